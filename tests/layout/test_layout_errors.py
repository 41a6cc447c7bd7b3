"""Every error code can happen, is tested, and is explained."""

import importlib.util
import re
from pathlib import Path

from saccade.errors import CODES, SEVERITIES

ROOT = Path(__file__).resolve().parents[2]
QUOTED = re.compile(r"""["']([A-Z]+(?:-[A-Z]+)*)["']""")


def mentioned(folder: str) -> set[str]:
    """The codes that stand in quotes somewhere below a folder, the registry apart."""
    files = [file for file in (ROOT / folder).rglob("*.py") if file != ROOT / "saccade" / "errors.py"]
    return {code for file in files for code in QUOTED.findall(file.read_text(encoding="utf-8"))} & set(CODES)


def test_codes_have_a_severity_a_meaning_and_a_fix():
    for code, known in CODES.items():
        assert re.fullmatch(r"[A-Z]+(-[A-Z]+)*", code)
        assert known.severity in SEVERITIES and known.text and known.fix, code
        assert not known.text.endswith(".") and not known.fix.endswith("."), f"{code}: one clause, without a full stop"


def test_the_documentation_has_an_anchor_for_every_code():
    specification = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    reference = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(reference)
    page = reference.errors_page()
    assert re.findall(r"^\(([A-Z-]+)\)=$", page, re.MULTILINE) == list(CODES)
    assert all(known.fix in page for known in CODES.values())


def test_every_code_is_raised_somewhere():
    idle = set(CODES) - mentioned("saccade")
    assert not idle, f"registered but never raised: {sorted(idle)}"


def test_every_code_has_a_test():
    untested = {code for code in CODES if not any(code in file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("*.py"))}
    assert not untested, f"no test mentions {sorted(untested)}"
