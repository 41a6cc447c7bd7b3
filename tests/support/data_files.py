"""Small image files and folders for the tests of data sets."""

from pathlib import Path

import numpy as np
from PIL import Image


def picture(path: Path, seed: int = 0, size: int = 12) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size), dtype=np.uint8)).save(path, format="PNG")
    return path


def folder(root: Path, *paths: str) -> Path:
    for seed, path in enumerate(paths):
        picture(root / path, seed)
    return root


def found(dataset) -> dict[str, str]:
    return {problem.code: problem.where for problem in dataset.problems}
