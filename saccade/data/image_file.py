"""What is settled about an image file before any decoder sees it: that it is a file, its format, its declared size.

Only seven formats are opened (`FORMATS`), recognised by their first bytes and never by their name, because every
further decoder is a further way to be attacked; `FOREIGN` are known well enough to be named in the refusal.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from saccade.errors import DataError, Problem

FORMATS: dict[str, tuple[re.Pattern[bytes], tuple[str, ...]]] = {
    "JPEG": (re.compile(rb"\xff\xd8\xff"), (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo")),
    "PNG": (re.compile(rb"\x89PNG\r\n\x1a\n"), (".png", ".apng")),
    "GIF": (re.compile(rb"GIF8[79]a"), (".gif",)),
    "BMP": (re.compile(rb"BM"), (".bmp", ".dib")),
    "WEBP": (re.compile(rb"RIFF....WEBP", re.DOTALL), (".webp",)),
    "TIFF": (re.compile(rb"II[*+]\0|MM\0[*+]"), (".tif", ".tiff")),
    "PPM": (re.compile(rb"P[1-6][\s#]|P[fF]\s"), (".pnm", ".pbm", ".pgm", ".ppm", ".pfm")),
}
# fmt: off
FOREIGN: dict[str, tuple[re.Pattern[bytes], tuple[str, ...]]] = {
    "AVIF": (re.compile(rb"....ftypavi[fs]", re.DOTALL), (".avif",)),
    "HEIF": (re.compile(rb"....ftyp(?:hei[cxms]|hev[cm]|mif1|msf1)", re.DOTALL), (".heic", ".heif")),
    "JPEG 2000": (re.compile(rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"), (".jp2", ".j2k", ".jpx")),
    "JPEG XL": (re.compile(rb"\0\0\0\x0cJXL \r\n\x87\n|\xff\x0a"), (".jxl",)),
    "Photoshop": (re.compile(rb"8BPS"), (".psd",)),
    "icon": (re.compile(rb"\0\0[\1\2]\0[^\0]\0"), (".ico", ".cur")),
    "DirectDraw": (re.compile(rb"DDS "), (".dds",)),
    "OpenEXR": (re.compile(rb"\x76\x2f\x31\x01"), (".exr",)),
    "Radiance": (re.compile(rb"#\?RADIANCE|#\?RGBE"), (".hdr",)),
    "QOI": (re.compile(rb"qoif"), (".qoi",)),
    "PAM": (re.compile(rb"P7\n"), (".pam",)),
    "FITS": (re.compile(rb"SIMPLE  ="), (".fits",)),
    "DICOM": (re.compile(rb".{128}DICM", re.DOTALL), (".dcm",)),
}
# fmt: on
HEAD = 132  # bytes that suffice to recognise every format above
LARGEST_READ = 1 << 30  # bytes of a file that a decoder may ask for at once
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """The file opened for reading, when it is a regular one: a FIFO or a device would block or have effects.

    Raises DataError: IMG-MISSING, IMG-DENIED, IMG-SPECIAL (folder, FIFO, socket, device, a loop of links).
    """
    where = os.fspath(path)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise DataError("IMG-SPECIAL", where=where)
        # Not blocking, and looked at again: the path may have become a FIFO since the line above.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise DataError("IMG-SPECIAL", where=where)
    except PermissionError as error:
        raise DataError("IMG-DENIED", where=where) from error
    except OSError as error:
        raise DataError("IMG-SPECIAL" if error.errno == errno.ELOOP else "IMG-MISSING", os.strerror(error.errno or 0), where=where) from error
    except ValueError as error:  # a NUL in the path
        raise DataError("IMG-MISSING", str(error), where=where) from error
    return os.fdopen(handle, "rb")


def recognise(head: bytes, where: str = "") -> str:
    """The format that a file's first bytes show: a key of `FORMATS`.

    Raises DataError: IMG-EMPTY, IMG-FORMAT (an image of a format that is not read), IMG-UNREADABLE (anything else).

    >>> recognise(b"GIF89a")
    'GIF'
    """
    if not head:
        raise DataError("IMG-EMPTY", where=where)
    for name, (signature, _) in FORMATS.items():
        if signature.match(head):
            return name
    for name, (signature, _) in FOREIGN.items():
        if signature.match(head):
            raise DataError("IMG-FORMAT", f"{name}; the formats read are {', '.join(FORMATS)}", where=where)
    raise DataError("IMG-UNREADABLE", f"it begins with {head[:16]!r}", where=where)


def name_problems(path: str | os.PathLike[str], image_format: str) -> Iterator[Problem]:
    """What is odd about the name of the file: IMG-EXT (names another format), IMG-NAME (characters that some programs refuse)."""
    where, name = os.fspath(path), os.path.basename(os.fspath(path))
    extension = os.path.splitext(name)[1].lower()
    if extension not in FORMATS[image_format][1]:
        claimed = next((n for n, (_, known) in {**FORMATS, **FOREIGN}.items() if extension in known), None)
        if claimed:
            yield Problem("IMG-EXT", where, f"{extension} of a {image_format} file")
    if not name.isprintable() or name.endswith((" ", ".")) or name.startswith("-") or _RESERVED.fullmatch(name):
        yield Problem("IMG-NAME", where)


def check_size(size: tuple[int, int], channels: int, sample_bytes: int, max_pixels: int, where: str = "") -> None:
    """Refuses a declared size (h, w): IMG-BOMB above `max_pixels` or above 4 GB decoded, IMG-CORRUPT when a side is not positive.

    >>> check_size((13000, 13000), 3, 1, 100_000_000)
    Traceback (most recent call last):
    saccade.errors.DataError: error IMG-BOMB
      the image declares more pixels than the limit: 13000 x 13000 = 169 megapixels, at most 100 are read
      fix: raise --max-pixels, or cut the image into tiles
    """
    h, w = size
    if h <= 0 or w <= 0:
        raise DataError("IMG-CORRUPT", f"its declared size is {w} x {h}", where=where)
    if h * w > max_pixels:
        raise DataError("IMG-BOMB", f"{w} x {h} = {h * w / 1e6:.4g} megapixels, at most {max_pixels / 1e6:.4g} are read", where=where)
    if h * w * channels * sample_bytes > 4_000_000_000:
        raise DataError("IMG-BOMB", f"{w} x {h} would decode to {h * w * channels * sample_bytes / 1e9:.1f} GB, at most 4 are read", where=where)


def webp_size(head: bytes) -> tuple[int, int] | None:
    """The declared (h, w) of a WebP file, None when its first chunk is not one of the three known (RFC 9649, sections 2.5 to 2.7).

    Read here because libwebp allocates the canvas on opening.
    """
    kind, data = head[12:16], head[20:30]
    if len(data) < 10:
        return None
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[7:10], "little"), 1 + int.from_bytes(data[4:7], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(data[1:5], "little")
        return 1 + (bits >> 14 & 0x3FFF), 1 + (bits & 0x3FFF)
    if kind == b"VP8 ":
        w, h = struct.unpack("<HH", data[6:10])
        return h & 0x3FFF, w & 0x3FFF
    return None


class Chunk(NamedTuple):
    """A chunk of a PNG file: its four-letter kind, where its data begins and the length it declares."""

    kind: bytes
    start: int
    length: int


def png_chunks(stream: BinaryIO) -> Iterator[Chunk]:
    """The chunks of a PNG file in order (PNG, section 5.3), up to IEND or to where the file ends."""
    place = 8
    while len(start := _at(stream, place, 8)) == 8:
        length, kind = struct.unpack(">I4s", start)
        yield Chunk(kind, place + 8, length)
        if kind == b"IEND":
            return
        place += 12 + length


def png_damage(stream: BinaryIO) -> str | None:
    """The first chunk needed for decoding whose checksum is wrong, as text; Pillow does not check that of the pixel data."""
    for chunk in png_chunks(stream):
        if chunk.kind[:1].isupper():
            data = _at(stream, chunk.start, chunk.length + 4) if chunk.length < LARGEST_READ else b""
            if len(data) == chunk.length + 4 and zlib.crc32(data[:-4], zlib.crc32(chunk.kind)) != int.from_bytes(data[-4:], "big"):
                return f"wrong checksum of the chunk {chunk.kind.decode('latin-1')} at byte {chunk.start - 8}"
    return None


def exif_orientation(block: bytes) -> int | None:
    """The orientation that an EXIF block declares: 1 when it has none, None when it cannot be read (Exif 2.3, section 4.6.2).

    >>> exif_orientation(b"II*\\0\\x08\\0\\0\\0\\x01\\0\\x12\\x01\\x03\\0\\x01\\0\\0\\0\\x06\\0\\0\\0")
    6
    """
    return directory_value(block.removeprefix(b"Exif\0\0"), 0x0112, missing=1)


def directory_value(block: bytes, wanted: int, missing: int | None = None) -> int | None:
    """The whole number that a tag has in the first directory of a TIFF structure (TIFF 6.0, section 2), which EXIF and MPO use too.

    `missing` when the tag is not there, None when the structure or the tag's kind is not what it should be.
    """
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    try:
        if order is None:
            return None
        (directory,) = struct.unpack_from(order + "I", block, 4)
        (count,) = struct.unpack_from(order + "H", block, directory)
        for entry in range(directory + 2, directory + 2 + 12 * count, 12):
            tag, kind, number = struct.unpack_from(order + "HHI", block, entry)
            if tag == wanted:
                width = {1: "B", 3: "H", 4: "I"}.get(kind)
                return int(struct.unpack_from(order + width, block, entry + 8)[0]) if width and number == 1 else None
    except struct.error:
        return None
    return missing


def ends_with(stream: BinaryIO, mark: bytes) -> bool:
    """Whether the file's last bytes, padding zeros apart, are `mark`."""
    end = stream.seek(0, os.SEEK_END)
    return _at(stream, max(0, end - 4096), 4096).rstrip(b"\0").endswith(mark.rstrip(b"\0"))


def _at(stream: BinaryIO, place: int, length: int) -> bytes:
    stream.seek(place)
    return stream.read(length)
