"""Runs every recipe in this folder, or those whose name contains one of the words given, and says which numbers hold.

Exit code 0 when each number lies in its range, 8 when one does not; a recipe whose data are absent (exit code 77) is listed and does not count.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
VERDICTS = {0: "holds", 8: "MISSED", 77: "no data"}


def recipes(words: list[str]) -> list[Path]:
    """The recipes asked for, by name."""
    return sorted(
        file
        for file in HERE.glob("*.py")
        if file.name not in (Path(__file__).name, "claims.py", "tensors.py") and (not words or any(word in file.stem for word in words))
    )


def main(words: list[str]) -> int:
    """Runs them one after another; their own output passes through."""
    chosen, missed = recipes(words), 0
    if not chosen:
        print(f"no recipe has {' or '.join(words) or 'a file'} in its name", file=sys.stderr)
        return 2
    for file in chosen:
        start = time.monotonic()
        code = subprocess.run([sys.executable, str(file)], cwd=HERE.parent, check=False).returncode
        missed += code not in (0, 77)
        print(f"{VERDICTS.get(code, f'FAILED ({code})'):<12}{file.stem:<32}{time.monotonic() - start:6.0f} s", flush=True)
    return 8 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
