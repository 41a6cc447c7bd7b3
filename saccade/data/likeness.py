"""Whether two pictures are the same: exactly, by the bytes of their files, or nearly, by a tiny copy of their pixels.

The tiny copy is a 16 x 16 grey thumbnail by exact area averaging, so that re-encoding, rescaling and a change of
brightness or contrast hardly alter it once it is centred and divided by its length. Two pictures are nearly the same
when the distance of their copies is at most `NEAR`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from saccade.data.image_file import open_regular

SIDE = 16
NEAR = 0.08
"""Measured: no two of 20,000 MNIST digits are nearer than 0.098, of 1,797 digits of 8 x 8 than 0.107, of 1,333 photographs of
hands than 0.22; a copy re-encoded as JPEG of quality 75 is within 0.06 (0.02 for photographs), halved in size within 0.06 for
photographs. Pictures below about 28 px are told from their JPEG copies only down to quality 90."""
_FLAT = 0.5  # levels of 255: below this deviation there is nothing to compare but noise


def content_hash(source: str | os.PathLike[str] | bytes) -> str:
    """The hash of a file's bytes, or of the bytes given: 32 hexadecimal digits of BLAKE2b.

    Raises DataError as `image_file.open_regular` does.

    >>> content_hash(b"saccade")[:8]
    '3dc59487'
    """
    digest = hashlib.blake2b(digest_size=16)
    if isinstance(source, bytes):
        digest.update(source)
        return digest.hexdigest()
    with open_regular(source) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def tiny(pixels: np.ndarray) -> np.ndarray:
    """The comparable copy of a picture: (256,) float32 of length 1, or all zeros for a picture of one colour.

    pixels: (H, W, C), uint8 or float32 in [0, 1]; C = 1 or 3.
    """
    height, width, channels = pixels.shape
    across = _area_weights(width, SIDE).repeat(channels, axis=1) / channels  # the grey of a pixel is the mean of its channels
    small = _area_weights(height, SIDE) @ (pixels.reshape(height, -1).astype(np.float32) @ across.T)
    centred = (small - small.mean()).ravel()
    flat = _FLAT * (1 if pixels.dtype == np.uint8 else 1 / 255)
    deviation = float(centred.std())
    return (centred / np.linalg.norm(centred)).astype(np.float32) if deviation > flat else np.zeros(SIDE * SIDE, np.float32)


def near(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether the pictures of two tiny copies are nearly the same: Euclidean distance at most `NEAR`; pictures of one colour never are."""
    return bool(a.any() and b.any() and np.linalg.norm(a - b) <= NEAR)


@lru_cache(maxsize=256)
def _area_weights(length: int, parts: int) -> np.ndarray:
    """(parts, length) float32: row i averages over the i-th of `parts` equal stretches, pixels cut through counting by their share."""
    edges = np.arange(parts + 1) * (length / parts)
    places = np.arange(length)
    shares = np.minimum(edges[1:, None], places + 1) - np.maximum(edges[:-1, None], places)
    return (np.clip(shares, 0, None) / (length / parts)).astype(np.float32)


def near_pairs(copies: np.ndarray, *, block: int = 1024) -> Iterator[tuple[int, int]]:
    """The pairs (i, j), i < j, of nearly the same pictures among n tiny copies, (n, 256): O(n^2), by blocks of a matrix product."""
    least = 1 - NEAR**2 / 2  # of unit vectors: |a - b|^2 = 2 - 2 a.b
    for top in range(0, len(copies), block):
        alike = copies[top : top + block] @ copies[top:].T >= least
        for i, j in zip(*np.nonzero(np.triu(alike, 1)), strict=True):
            yield top + int(i), top + int(j)
