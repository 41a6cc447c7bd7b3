"""The one image reader: every picture that a job trains on, evaluates, predicts or shows comes through here.

    path -> a regular file? -> format by its first bytes -> declared size -> decode -> EXIF orientation -> channels

Nothing is allocated for a picture before its declared size is known to be within the limit, and whatever a decoder
throws arrives as `DataError("IMG-...")` with the path. The rules for pixel formats are those of `saccade.data.pixels`.
JPEG goes to libjpeg-turbo, which decodes straight to a reduced size and, unlike Pillow, tells of damaged data;
everything else, and what it refuses, goes to Pillow. Safe to call from several threads at once.
"""

from __future__ import annotations

import io
import math
import os
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from saccade.data import image_file, jpeg, pixels
from saccade.data.image_header import MAX_PIXELS, WHOLE, Header, coded, open_header, quiet, with_frames
from saccade.data.likeness import content_hash, near, near_pairs, tiny
from saccade.errors import DataError, Problem, UsageError

# fmt: off
__all__ = [
    "MAX_PIXELS", "Header", "Picture", "Samples", "content_hash", "header", "near", "near_pairs", "raw_range", "read_image", "read_samples", "tiny",
]
# fmt: on


class Picture(NamedTuple):
    """A decoded picture: `pixels` (H, W, 1 or 3), uint8 or, of more than 8 bits, float32 in [0, 1]; `size` (h, w) of the
    whole picture, which `pixels` may be a reduction of; `problems` the survivable findings."""

    pixels: np.ndarray
    size: tuple[int, int]
    problems: tuple[Problem, ...] = ()


class Samples(NamedTuple):
    """What a file stores, nothing scaled or mixed: what masks, id maps and depth maps are read as.

    values: (H, W) indices, grey levels or deep samples, or (H, W, C) of colour and alpha; uint8, uint16, int32 or float32. A palette's
    indices stay indices, 1, 2 and 4 bit grey counts from 0. palette: (n, 3) uint8 where there is one. frames: pictures in the file.
    """

    values: np.ndarray
    palette: np.ndarray | None
    bits: int
    frames: int
    format: str


class _Wish(NamedTuple):
    """What the caller of `read_image` wants the pixels to be; `least` (h, w) as stored, before the orientation."""

    channels: int | None
    least: tuple[int, int]
    value_range: tuple[float, float] | None


@quiet
def header(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> Header:
    """What the file declares, and every problem that can be seen without decoding it.

    Raises DataError: IMG-MISSING, -DENIED, -SPECIAL, -EMPTY, -UNREADABLE, -FORMAT, -BOMB, -TRUNC, -CORRUPT, -MEMORY.
    """
    where = os.fspath(path)
    with image_file.open_regular(path) as file, coded(where, file):
        opened, found = open_header(file, where, max_pixels)
        return with_frames(opened, found, where, os.fstat(file.fileno()).st_size)


@quiet
def read_image(
    path: str | os.PathLike[str],
    *,
    channels: int | None = None,
    at_least: tuple[int, int] | None = None,
    max_pixels: int = MAX_PIXELS,
    value_range: tuple[float, float] | None = None,
) -> Picture:
    """The picture in a file, the right way up.

    channels: 1 (luma), 3 (grey repeated) or None (as stored). at_least: (h, w) that the pixels may be reduced to, never
    below it. value_range: the raw values (black, white) of pictures of more than 8 bits, the same for a whole data set;
    by default the declared depth, and for floats [0, 1] widened to their own extremes.

    Raises DataError as `header` does, and IMG-CHANGED; UsageError("USE-VALUE") for the options.
    """
    where = os.fspath(path)
    if channels not in (None, 1, 3):
        raise UsageError("USE-VALUE", f"channels={channels}", where=where, fix="use 1 (grey), 3 (RGB) or None (as stored)")
    if value_range is not None and not (all(map(math.isfinite, value_range)) and value_range[0] < value_range[1]):
        raise UsageError("USE-VALUE", f"value_range={value_range}", where=where, fix="give two finite numbers, the smaller one first")
    with image_file.open_regular(path) as file:
        stream = _whole(file, where)
        with coded(where, stream):
            opened, found = open_header(stream, where, max_pixels)
            h, w = at_least or found.size
            wish = _Wish(channels, (w, h) if found.orientation >= 5 else (h, w), value_range)
            decoded, notes = _decode(opened, found, stream, where, wish)
            found = with_frames(opened, found, where, stream.seek(0, os.SEEK_END))
            turned = pixels.orient(decoded, 1 if found.format == "TIFF" else found.orientation)  # Pillow has turned a TIFF
            return Picture(np.ascontiguousarray(pixels.with_channels(turned, channels)), found.size, found.problems + notes)


@quiet
def raw_range(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> tuple[float, float] | None:
    """The extreme raw values of a picture of more than 8 bits, None for any other: what a data set's `value_range` is chosen from."""
    where = os.fspath(path)
    with image_file.open_regular(path) as file:
        stream = _whole(file, where)
        with coded(where, stream):
            opened, found = open_header(stream, where, max_pixels)
            if found.bits <= 8:
                return None
            raw, _ = _deep(opened, found, stream, where)
    raw = raw[..., : found.channels]
    return float(raw.min()), float(raw.max())


@quiet
def read_samples(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> Samples:
    """The samples of a file's first picture as stored, the right way up. Raises DataError as `read_image` does."""
    where = os.fspath(path)
    with image_file.open_regular(path) as file:
        stream = _whole(file, where)
        with coded(where, stream):
            opened, found = open_header(stream, where, max_pixels)
            if isinstance(opened, jpeg.JpegHeader):
                stream.seek(0)
                opened = Image.open(stream, formats=("JPEG",))
            if found.bits > 8:
                values, palette = _deep(opened, found, stream, where)[0], None
            else:
                _load(opened, found, stream, where)
                values, palette = pixels.as_stored(opened, found.bits)
            found = with_frames(opened, found, where, stream.seek(0, os.SEEK_END))
            turned = pixels.orient(values, 1 if found.format == "TIFF" else found.orientation)
            single = turned[..., 0] if turned.ndim == 3 and turned.shape[2] == 1 else turned
            return Samples(np.ascontiguousarray(single), palette, found.bits, found.frames, found.format)


def _whole(file: BinaryIO, where: str) -> BinaryIO:
    """The file in memory, unless it is big: what is decoded then is what was read, whatever happens to the file."""
    size = os.fstat(file.fileno()).st_size
    if size > WHOLE:
        return file
    try:
        data = file.read(size + 1)
    except OSError as error:
        raise DataError("IMG-UNREADABLE", os.strerror(error.errno or 0), where=where) from error
    if len(data) != size:
        raise DataError("IMG-CHANGED", f"{len(data)} of {size} bytes could be read", where=where)
    return io.BytesIO(data)


def _decode(opened: Any, found: Header, stream: BinaryIO, where: str, wish: _Wish) -> tuple[np.ndarray, tuple[Problem, ...]]:
    """Pixels as stored, and what was met on the way."""
    notes: tuple[Problem, ...] = ()
    if isinstance(opened, jpeg.JpegHeader):
        stream.seek(0)
        decoded, notes = jpeg.decode(stream.read(), opened, where, grey=wish.channels == 1, at_least=wish.least)
        if decoded is not None:
            return decoded, notes
        opened = Image.open(stream, formats=("JPEG",))
        opened.draft(None, (max(1, wish.least[1]), max(1, wish.least[0])))
    if found.bits > 8:
        raw, declared = _deep(opened, found, stream, where)
        return pixels.scale(raw, declared, wish.value_range, where), notes + _tail(found.format, stream, where)
    _load(opened, found, stream, where)
    decoded, transparent = pixels.shallow(opened)
    if transparent:
        notes += (Problem("IMG-ALPHA", where),)
    return decoded, notes + _tail(found.format, stream, where)


def _load(image: Any, found: Header, stream: BinaryIO, where: str) -> None:
    """Decodes with Pillow, which does not check the checksums of a PNG's pixel data."""
    if found.format == "PNG" and (damage := image_file.png_damage(stream)):
        raise DataError("IMG-CORRUPT", damage, where=where)
    image.load()


def _tail(image_format: str, stream: BinaryIO, where: str) -> tuple[Problem, ...]:
    """IMG-TAIL when a picture that was decoded in full lacks the end that its format wants."""
    if image_format == "PNG":
        *_, last = image_file.png_chunks(stream)
        complete = last.kind == b"IEND" and stream.seek(0, os.SEEK_END) >= last.start + 4
    else:
        complete = image_format != "GIF" or image_file.ends_with(stream, b";")
    return () if complete else (Problem("IMG-TAIL", where),)


def _deep(image: Any, found: Header, stream: BinaryIO, where: str) -> tuple[np.ndarray, tuple[float, float]]:
    """Raw values (H, W, C) of a picture of more than 8 bits, and the (black, white) that its format declares."""
    if found.format == "PPM" and image.mode == "RGB":
        return _deep_ppm(image, stream, where)
    _load(image, found, stream, where)
    if image.mode not in pixels.DEEP_MODES:
        return _deep_colour(image, stream, where), (0, 2**found.bits - 1)
    raw = np.asarray(image)[..., None]
    if raw.dtype.kind == "f":
        return raw, (float(raw.min(initial=0)), float(raw.max(initial=1)))
    signed = found.format == "TIFF" and 2 in image.tag_v2.get(339, ())
    return raw, (-(2.0 ** (found.bits - 1)), 2.0 ** (found.bits - 1) - 1) if signed else (0, 2.0**found.bits - 1)


def _deep_ppm(image: Any, stream: BinaryIO, where: str) -> tuple[np.ndarray, tuple[float, float]]:
    """16-bit colour of a binary PPM, most significant byte first (netpbm's ppm(5)): Pillow gives 8 bits of it."""
    stream.seek(image.tile[0].offset)
    wanted = image.width * image.height * 6
    data = stream.read(wanted)
    if len(data) < wanted:
        raise DataError("IMG-TRUNC", f"{len(data)} of {wanted} bytes of pixels", where=where)
    return np.frombuffer(data, ">u2").reshape(image.height, image.width, 3), (0, image.tile[0].args[1])


def _deep_colour(image: Any, stream: BinaryIO, where: str) -> np.ndarray:
    """16-bit colour or alpha of a PNG or TIFF by OpenCV, once Pillow, which gives the upper 8 bits, has decoded it without complaint.

    Both must agree in those 8 bits, else IMG-CORRUPT: OpenCV reads some layouts of TIFF differently.
    """
    import cv2

    stream.seek(0)
    raw = cv2.imdecode(np.frombuffer(stream.read(image_file.LARGEST_READ), np.uint8), cv2.IMREAD_UNCHANGED)
    bands, expected = image.getbands(), np.asarray(image)
    if raw is not None and raw.ndim == 3 and raw.dtype == np.uint16 and raw.shape[2] >= 3:
        order = [{"L": 2, "R": 2, "G": 1, "B": 0, "A": 3}[band] for band in bands if band != "A" or raw.shape[2] == 4]
        samples: np.ndarray = raw[..., order]
        if samples.shape == expected.shape and np.abs((samples >> 8).astype(np.int16) - expected).max(initial=0) <= 1:
            return samples
    raise DataError("IMG-CORRUPT", f"{'/'.join(bands)} of 16 bits, which two decoders read differently", where=where)
