"""Nothing in the package can run code that a file brings with it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "saccade").rglob("*.py"))
MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "jsonpickle"}
CALLS = {"eval", "exec", "compile", "__import__"}
ATTRIBUTES = {("torch", "load"), ("yaml", "load"), ("yaml", "unsafe_load"), ("yaml", "full_load"), ("np", "load"), ("numpy", "load"), ("torch.jit", "load")}


def unsafe(source):
    """Line and word of each use of a module or function that can run code from data."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            names = [f"{node.func.id}()"]
        elif isinstance(node, ast.Attribute):
            names = [ast.unparse(node)]
        else:
            continue
        for name in names:
            pair = tuple(name.rsplit(".", 1))
            if name.split(".")[0] in MODULES or (name.endswith("()") and name[:-2] in CALLS) or pair in ATTRIBUTES:
                yield node.lineno, name


@pytest.mark.parametrize("file", [file for file in FILES if file.name != "import_weights.py"], ids=lambda file: str(file.relative_to(ROOT)))
def test_no_file_of_the_package_can_run_what_it_reads(file):
    assert not list(unsafe(file.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "import torch\ntorch.load('x')",
        "from torch import load",
        "eval('1')",
        "exec('1')",
        "import yaml\nyaml.load(s)",
        "numpy.load('x')",
    ],
)
def test_the_scan_sees_what_it_looks_for(source):
    assert list(unsafe(source))


def test_harmless_names_pass():
    assert not list(unsafe("model.eval()\nre.compile('x')\nimport yaml\nyaml.safe_load(s)\njson.load(f)\nself.load()"))


def test_the_one_reader_of_foreign_weights_builds_tensors_only():
    source = (ROOT / "saccade/models/import_weights.py").read_text(encoding="utf-8")
    assert {name for _, name in unsafe(source)} == {"pickle", "pickle.UnpicklingError", "torch.load"}  # the module for its exception alone
    assert source.count("torch.load(") == source.count("weights_only=True)") == 1 and "pickle.load" not in source
