"""JPEG: the header read here, in a tenth of the time that a general reader takes, and the pixels by libjpeg-turbo.

The marker codes and segments are those of ITU-T T.81, annex B; several pictures in a file (MPO) those of CIPA DC-007.
"""

from __future__ import annotations

import os
import re
import struct
from typing import BinaryIO, NamedTuple

import numpy as np
import simplejpeg

from saccade.data.image_file import directory_value
from saccade.data.pixels import inks_to_rgb
from saccade.errors import DataError, Problem

MODES = {1: "L", 3: "RGB", 4: "CMYK"}
"""Pillow's name of the pixel format, by the number of components."""

_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset((0xC2, 0xC6, 0xCA, 0xCE))
_BARE = frozenset((0x01, *range(0xD0, 0xD8)))  # markers without a segment
_SCANS = 500  # of a progressive picture; each may cost a pass over all its pixels
_EXTRA = re.compile(r"(\d+) extraneous bytes")  # libjpeg's words for padding between the pixels and the next marker
_LARGEST_JUNK = 1 << 16


class JpegHeader(NamedTuple):
    """What stands before the first scan: `size` (h, w) as stored, `exif` its block or nothing, `scan` where the first scan begins."""

    size: tuple[int, int]
    components: int
    bits: int
    progressive: bool
    exif: bytes
    frames: int
    scan: int


def read_header(stream: BinaryIO) -> JpegHeader:
    """The segments of a JPEG file up to its first scan.

    Raises EOFError when the file ends before it, ValueError when there is no frame header or something else than segments.
    """
    frame, exif, frames = None, b"", 1
    stream.seek(2)
    while (marker := _next_marker(stream)) != 0xDA:
        if marker in _BARE:
            continue
        (length,) = struct.unpack(">H", _exactly(stream, 2))
        if length < 2 or marker == 0xD9:
            raise ValueError(f"no segment at byte {stream.tell() - 4}")
        if marker in _FRAME_HEADERS and frame is None:
            data = _exactly(stream, length - 2)
            bits, height, width, components = struct.unpack(">BHHB", data[:6].ljust(6, b"\0"))
            frame = ((height, width), components, bits, marker in _PROGRESSIVE)
        elif marker in (0xE1, 0xE2):
            data = _exactly(stream, length - 2)
            if data.startswith(b"Exif\0\0") and not exif:
                exif = data
            elif data.startswith(b"MPF\0"):
                number = directory_value(data[4:], 0xB001)
                frames = number if isinstance(number, int) and number > 0 else 1
        else:
            stream.seek(length - 2, os.SEEK_CUR)
    if frame is None:
        raise ValueError("no frame header before the first scan")
    return JpegHeader(*frame, exif, frames, stream.tell() - 2)


def _next_marker(stream: BinaryIO) -> int:
    """The code of the next marker; fill bytes and, as in libjpeg, a little junk in front of it are passed over."""
    code = stream.read(2)
    if len(code) == 2 and code[0] == 0xFF and 0 < code[1] < 0xFF:
        return code[1]
    stream.seek(-len(code), os.SEEK_CUR)
    start = stream.tell()
    found = re.search(rb"\xff[\x01-\xfe]", junk := stream.read(_LARGEST_JUNK))
    if not found:
        raise EOFError("the header ends too early") if len(junk) < _LARGEST_JUNK else ValueError(f"no marker after byte {start}")
    stream.seek(start + found.end())
    return found[0][1]


def _exactly(stream: BinaryIO, length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        raise EOFError("the header ends too early")
    return data


def decode(
    data: bytes, header: JpegHeader, where: str, *, grey: bool = False, at_least: tuple[int, int] = (0, 0)
) -> tuple[np.ndarray | None, tuple[Problem, ...]]:
    """Pixels as stored, (H, W, 1 or 3) uint8, strictly decoded at the smallest of 1/8 to 8/8 that is not below `at_least` (h, w).

    None for the pixels when libjpeg-turbo does not read this kind, or only with some bytes left out (IMG-DAMAGED).
    Raises DataError: IMG-TRUNC, IMG-CORRUPT, IMG-BOMB (too many scans).
    """
    if header.progressive and data.count(b"\xff\xda") > _SCANS:
        raise DataError("IMG-BOMB", f"more than {_SCANS} scans", where=where)
    space = "CMYK" if header.components == 4 else "GRAY" if grey or header.components == 1 else "RGB"

    def pixels(content: bytes) -> np.ndarray:
        decoded = simplejpeg.decode_jpeg(content, space, min_height=at_least[0], min_width=at_least[1], strict=True)
        return inks_to_rgb(decoded) if space == "CMYK" else decoded

    try:
        if (size := simplejpeg.decode_jpeg_header(data)[:2]) != header.size:
            raise DataError("IMG-CORRUPT", f"its size is declared as {header.size} and as {size}", where=where)
        return pixels(data), ()
    except ValueError as error:
        text = str(error)
    if text.startswith("Premature end"):
        try:
            decoded = pixels(data + b"\xff\xd9")  # strict: this passes only when no pixel is missing in the scans begun
        except ValueError as error:
            raise DataError("IMG-TRUNC", text, where=where) from error
        if not scans_all(data, header):
            raise DataError("IMG-TRUNC", "its last scans are missing", where=where)
        return decoded, (Problem("IMG-TAIL", where),)
    if (extra := _EXTRA.search(text)) and int(extra[1]) <= 256:  # some cameras pad; more means that the pixels went wrong
        return None, (Problem("IMG-DAMAGED", where, text),)
    if text.startswith("Corrupt"):
        raise DataError("IMG-CORRUPT", text, where=where)
    return None, ()


def scans_all(data: bytes, header: JpegHeader) -> bool:
    """Whether the scans that the file begins give every coefficient of every component its last bit (T.81, B.2.3 and G.1.1)."""
    place = header.scan
    given: set[tuple[int, int]] = set()
    while place >= 0:
        count = data[place + 4] if len(data) > place + 4 else 0
        selectors, rest = data[place + 5 : place + 5 + 2 * count : 2], data[place + 5 + 2 * count : place + 8 + 2 * count]
        if len(rest) == 3 and rest[2] & 15 == 0:
            given.update((c, k) for c in selectors for k in range(rest[0], rest[1] + 1))
        place = data.find(b"\xff\xda", place + 2)
    return len(given) == 64 * header.components
