"""Folders of small pictures with label files of the JSON tools, for the tests of their formats."""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZE = (40, 30)  # w, h


def pictures(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(zlib.crc32(name.encode())).integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
        Image.fromarray(noise).save(root / name)
    return root


def write(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def codes(dataset) -> dict[str, str]:
    """Code -> severity of the problems of a data set."""
    return {problem.code: problem.severity for problem in dataset.problems}
