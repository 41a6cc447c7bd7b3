"""The rules of the house that a program can check, over every file of the package."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "saccade").rglob("*.py"))
CODE = sorted(file for room in ("saccade", "tests", "benchmarks", "recipes", "docs") for file in (ROOT / room).rglob("*.py") if "_build" not in file.parts)
FILE_LINES, FUNCTION_LINES, ARGUMENTS = 400, 60, 8


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def functions(file: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree(file)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_there_is_something_to_check():
    assert len(FILES) > 20 and len(CODE) > len(FILES)


@pytest.mark.parametrize("file", CODE, ids=name)
def test_files_and_functions_are_short(file):
    assert len(file.read_text(encoding="utf-8").splitlines()) <= FILE_LINES
    for function in functions(file):
        assert function.end_lineno - function.lineno + 1 <= FUNCTION_LINES, f"{function.name} is longer than {FUNCTION_LINES} lines"


@pytest.mark.parametrize("file", FILES, ids=name)
def test_functions_take_few_arguments(file):
    for function in functions(file):
        given = function.args
        own = [a.arg for a in [*given.posonlyargs, *given.args] if a.arg not in ("self", "cls")]
        optional = sum(default is not None for default in given.kw_defaults)
        if file.parent.name in ("cli", "jobs") or file.name == "api.py" or function.name == "__init__":
            continue  # the surface: what a verb may be told is as long as the verb's options
        assert len(own) + len(given.kwonlyargs) - optional <= ARGUMENTS, f"{function.name} must be given {len(own) + len(given.kwonlyargs)} arguments"


@pytest.mark.parametrize("file", FILES, ids=name)
def test_modules_are_documented(file):
    if file.read_text(encoding="utf-8").strip():
        assert ast.get_docstring(tree(file)), "the first line of a file says what it is"


@pytest.mark.parametrize("file", CODE, ids=name)
def test_imports_are_absolute(file):
    relative = [node.lineno for node in ast.walk(tree(file)) if isinstance(node, ast.ImportFrom) and node.level]
    assert not relative, f"relative imports in lines {relative}"


@pytest.mark.parametrize("file", [file for file in FILES if file.name != "core.py"], ids=name)
def test_nothing_is_left_to_be_implemented(file):
    raised = [node for node in ast.walk(tree(file)) if isinstance(node, ast.Raise) and node.exc is not None]
    lines = [node.lineno for node in raised if "NotImplementedError" in ast.unparse(node.exc)]
    assert not lines, f"NotImplementedError is raised in lines {lines}; only the signatures in core.py may have it"


# A home folder or a mount of some machine, and a package index that is not the public one's ordinary client.
FORBIDDEN = re.compile(r"(?<![\w.])/(?:home|Users|root|work)/(?!u/)\w|/opt/(?:wheels|pypi)|https?://[\w.-]*(?:pypi|pythonhosted|artifactory|nexus)[\w.-]*")


def committed() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    files = [ROOT / part.decode() for part in listed.stdout.split(b"\0") if part] if listed.returncode == 0 else CODE
    return [file for file in files if file.is_file() and file.resolve() != Path(__file__).resolve()]


def test_no_path_of_a_machine_and_no_package_index_is_committed():
    found = []
    for file in committed():
        text = file.read_bytes().decode("utf-8", "replace")
        found += [f"{name(file)}: {match[0]}" for match in FORBIDDEN.finditer(text)]
    assert not found


def test_the_guard_against_paths_can_fail():
    assert FORBIDDEN.search("open('/home/me/data')") and FORBIDDEN.search("see https://pypi.example.org/simple")
    assert not FORBIDDEN.search("runs/home/x and /usr/lib")
