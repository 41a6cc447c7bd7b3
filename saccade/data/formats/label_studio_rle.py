"""The run lengths in which Label Studio stores the pixels of a brush: RGBA bytes of the whole image, row by row, in a stream of bits.

The stream: the number of bytes (32 bits); the width of a word less one (5 bits); four widths of lengths less one (4 bits each); then
blocks until all bytes are there: 1 bit (1 = one word repeated, 0 = words one by one), 2 bits that choose a width of the length, the length
less one in that width, and one word or as many as the length says. A pixel is set where its fourth byte (alpha) is not 0.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

WIDTHS = (3, 4, 8, 16)  # of lengths, as Label Studio writes them
_WORD = 8


class _Bits:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, width: int) -> int:
        """The next bits as a number, the first the highest. Raises ValueError at the end of the stream."""
        first, last = self.at >> 3, (self.at + width + 7) >> 3
        if last > len(self.data):
            raise ValueError("the run lengths are cut short")
        self.at += width
        chunk = int.from_bytes(self.data[first:last], "big")
        return (chunk >> ((last << 3) - self.at)) & ((1 << width) - 1)


def decode(values: Any, size: tuple[int, int]) -> np.ndarray:
    """The numbers 0..255 of Label Studio's `rle` -> (h, w) bool. Raises ValueError for other values, another size and a stream that is cut short."""
    if not isinstance(values, list) or not all(type(v) is int and 0 <= v < 256 for v in values):
        raise ValueError("rle is no list of numbers from 0 to 255")
    bits = _Bits(bytes(values))
    total, expected = bits.take(32), size[0] * size[1] * 4
    if total != expected:
        raise ValueError(f"run lengths of {total:,} values, expected {size[0]} x {size[1]} x 4 = {expected:,}")
    word, widths = bits.take(5) + 1, [bits.take(4) + 1 for _ in range(4)]
    if word != _WORD:
        raise ValueError(f"words of {word} bits, expected {_WORD}")
    least = 3 + min(widths) + word  # bits of a block
    if total > (len(bits.data) * 8 // least + 1) << max(widths):
        raise ValueError("the run lengths are cut short")
    flat, at = np.zeros(total, np.uint8), 0
    while at < total:
        repeated = bits.take(1)
        length = min(bits.take(widths[bits.take(2)]) + 1, total - at)
        if repeated:
            flat[at : at + length] = bits.take(word)
        else:
            flat[at : at + length] = _words(bits, length)
        at += length
    mask: np.ndarray = flat.reshape(*size, 4)[..., 3] > 0
    return mask


def _words(bits: _Bits, n: int) -> np.ndarray:
    """n bytes from wherever the stream is."""
    first, shift = bits.at >> 3, bits.at & 7
    raw = np.frombuffer(bits.data[first : first + n + 1], np.uint8).astype(np.uint16)
    if len(raw) < n + (shift > 0):
        raise ValueError("the run lengths are cut short")
    bits.at += 8 * n
    if not shift:
        return raw[:n].astype(np.uint8)
    return (((raw[:-1] << shift) | (raw[1:] >> (8 - shift))) & 255).astype(np.uint8)[:n]


def encode(mask: np.ndarray) -> list[int]:
    """(h, w) bool -> the numbers of `rle`: runs of bytes that are all 0 or all 255."""
    values = np.repeat(mask.astype(bool).ravel(), 4)
    changes = np.flatnonzero(values[1:] != values[:-1]) + 1
    bounds = [0, *changes.tolist(), len(values)] if len(values) else [0]
    text = [f"{len(values):032b}", f"{_WORD - 1:05b}", *(f"{width - 1:04b}" for width in WIDTHS)]
    for first, last in pairwise(bounds):
        word = "1" * _WORD if values[first] else "0" * _WORD
        while first < last:
            length = min(last - first, 1 << WIDTHS[-1])
            kind = next(i for i, width in enumerate(WIDTHS) if length <= 1 << width)
            text.append(f"1{kind:02b}{length - 1:0{WIDTHS[kind]}b}{word}")
            first += length
    stream = "".join(text)
    stream += "0" * (-len(stream) % 8)
    return list(int(stream, 2).to_bytes(len(stream) // 8, "big")) if stream else []
