"""Mutated image files: the reader throws nothing but DataError, quickly, and what it gives is a picture."""

import os
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from saccade.data.image import header, read_image
from saccade.errors import DataError
from tests.support.corpus import SAVED, encoded, picture

SECONDS = 8.0


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """One to eight bit flips, bytes inserted, deleted or repeated; every second one within the header."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 9)):
        place = int(rng.integers(0, min(len(changed), 200) if rng.random() < 0.5 else len(changed)))
        kind = rng.integers(0, 5)
        if kind <= 1:
            changed[place] ^= 1 << int(rng.integers(0, 8))
        elif kind == 2:
            changed[place] = int(rng.choice([0, 1, 127, 128, 255]))
        elif kind == 3:
            changed[place:place] = rng.bytes(int(rng.integers(1, 5)))
        elif len(changed) > 40:
            del changed[place : place + int(rng.integers(1, 30))]
    return bytes(changed)


def test_only_coded_errors_come_out_of_mutated_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(20)
    small = picture(rng, 24, 32)
    seeds = {f"seed.{extension}": encoded(small, name, **options) for extension, (name, options) in SAVED.items()}
    seeds["progressive.jpg"] = encoded(small, "JPEG", progressive=True)
    seeds["palette.png"] = encoded(small.quantize(16), "PNG", transparency=b"\x80" * 16)
    seeds["packed.tif"] = encoded(small, "TIFF", compression="tiff_lzw")
    seeds["seed.ppm"] = encoded(small, "PPM")
    seeds["deep.png"] = cv2.imencode(".png", rng.integers(0, 65536, (9, 9, 3), dtype=np.uint16))[1].tobytes()
    outcomes: Counter[str] = Counter()
    start, slowest = time.monotonic(), 0.0
    while time.monotonic() - start < SECONDS:
        name = list(seeds)[outcomes.total() % len(seeds)]
        path = os.fspath(tmp_path / name)
        Path(path).write_bytes(mutated(seeds[name], rng))
        begun = time.process_time()
        try:
            header(path, max_pixels=1_000_000)
            picture_read = read_image(path, max_pixels=1_000_000)
            assert picture_read.pixels.shape[:2] == picture_read.size and np.isfinite(picture_read.pixels).all()
            outcomes["read"] += 1
        except DataError as error:
            outcomes[error.code] += 1
        slowest = max(slowest, time.process_time() - begun)
    assert slowest <= 1
    assert outcomes.total() > 500 and len(outcomes) >= 4 and outcomes["read"] > 50
