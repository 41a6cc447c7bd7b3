"""The rooms in their order, and nothing heavy before it is needed."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "sklearn", "matplotlib", "cv2", "scipy", "torchmetrics", "numpy")


def loaded(code: str) -> set[str]:
    """The modules that are there after a piece of code, run in a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", f"{code}\nimport sys; print('MODULES', *sys.modules)"], capture_output=True, text=True, cwd=ROOT, check=True)
    return set(done.stdout.rpartition("MODULES")[2].split())


def test_rooms_import_only_those_above_them():
    done = subprocess.run([Path(sys.executable).with_name("lint-imports"), "--no-cache"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["check", "--help"], ["runs", "--help"], ["--version"], ["no-such-verb"]])
def test_help_imports_nothing_heavy(arguments):
    modules = loaded(f"from saccade.cli import main; main({arguments!r})")
    assert not modules & set(HEAVY)
    assert "saccade.cli.dispatch" in modules


def test_import_saccade_imports_nothing_heavy():
    assert not loaded("import saccade") & {*HEAVY, "pydantic", "cyclopts", "saccade.api"}


def test_listing_runs_needs_no_torch(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "run.json").write_text('{"status": "done"}')
    assert "torch" not in loaded(f"from saccade.cli import main; main(['runs', {str(tmp_path)!r}])")


def _cpu_s(code: str) -> float:
    """Processor seconds of a fresh interpreter over an empty one; the smallest of five, since the machine is shared."""
    program = f"import time; start = time.process_time(); {code}; print(time.process_time() - start)"
    runs = [subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True).stdout for _ in range(5)]
    return min(float(out.split()[-1]) for out in runs)


def test_import_and_help_are_fast():
    assert _cpu_s("import saccade") <= 0.15
    assert _cpu_s("from saccade.cli import main; main(['--help'])") <= 0.2
