"""Photograph-like JPEGs from a seed, so that the benchmarks need no data."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def write_photos(folder: Path, n: int, *, size: tuple[int, int] = (480, 640), classes: int = 2, seed: int = 0, quality: int = 92) -> Path:
    """n pictures of (h, w) in one folder a class: smooth shades at several scales plus grain, which compress like a photograph."""
    chance = np.random.default_rng(seed)
    for i in range(n):
        layers = [
            cv2.resize(chance.normal(0, 60 / (level + 1), (3 * 2**level, 4 * 2**level, 3)).astype(np.float32), size[::-1], interpolation=cv2.INTER_CUBIC)
            for level in range(6)
        ]
        picture = 120 + sum(layers) + chance.normal(0, 7, (*size, 3))
        target = folder / f"class{i % classes}"
        target.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(target / f"{i:05d}.jpg"), picture.clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return folder
