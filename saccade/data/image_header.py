"""The header of an image file: what it declares, read and judged before anything is decoded, and what decoders throw as coded errors."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from threading import Lock
from typing import Any, BinaryIO, ParamSpec, TypeVar

from PIL import Image, TiffImagePlugin, UnidentifiedImageError, WebPImagePlugin

from saccade.data import image_file
from saccade.data.jpeg import MODES, JpegHeader, read_header
from saccade.data.pixels import COLOUR_MODES, GREY_MODES
from saccade.errors import DataError, Problem, SaccadeError

MAX_PIXELS = 100_000_000
WHOLE = 1 << 26
"""Files of up to this many bytes are read in one go."""

_PLUGINS = (TiffImagePlugin, WebPImagePlugin)  # imported for their effect: Pillow then knows these formats
_SILENCING = Lock()
# Pillow warns of odd metadata; what matters of it is told as a problem instead.
warnings.filterwarnings("ignore", module=r"PIL\.")

T = TypeVar("T")
Given = ParamSpec("Given")


@dataclass(frozen=True)
class Header:
    """What an image file declares: nothing of its pixels has been decoded.

    `size` (h, w) as seen, after the EXIF orientation; `channels` as `read_image` gives them (1 or 3); `bits` of a
    sample; `frames` the pictures in the file; `orientation` as declared (1 to 8); `mode` Pillow's name of the pixel format.
    """

    format: str
    size: tuple[int, int]
    channels: int
    bits: int
    frames: int
    orientation: int
    mode: str
    problems: tuple[Problem, ...] = ()


def open_header(stream: BinaryIO, where: str, max_pixels: int) -> tuple[Image.Image | JpegHeader, Header]:
    """The file opened but not decoded, and its header, the frames not yet counted (see `with_frames`).

    Raises DataError: IMG-EMPTY, -UNREADABLE, -FORMAT, -BOMB, -CORRUPT, and whatever Pillow throws (see `coded`).
    """
    head = stream.read(image_file.HEAD)
    name = image_file.recognise(head, where)
    if name in ("JPEG", "WEBP") and stream.seek(0, os.SEEK_END) > image_file.LARGEST_READ:
        raise DataError("IMG-BOMB", f"a {name} file of {stream.tell() / 1e9:.1f} GB", where=where)  # their decoders want all of it at once
    if Image.MAX_IMAGE_PIXELS is not None and 2 * Image.MAX_IMAGE_PIXELS < max_pixels:
        Image.MAX_IMAGE_PIXELS = max_pixels  # Pillow refuses above twice its own limit, which the user has raised here
    if name == "JPEG":
        jpeg = read_header(stream)
        if jpeg.bits != 8 or jpeg.components not in MODES:
            raise DataError("IMG-UNREADABLE", f"a JPEG of {jpeg.components} components of {jpeg.bits} bits", where=where)
        found = Header(name, jpeg.size, 3 if jpeg.components > 1 else 1, 8, jpeg.frames, 1, MODES[jpeg.components])
        return jpeg, _judged(found, image_file.exif_orientation(jpeg.exif) if jpeg.exif else 1, jpeg.components, where, max_pixels)
    if name == "WEBP" and (declared := image_file.webp_size(head)):
        image_file.check_size(declared, 4, 2, max_pixels, where)  # libwebp allocates two canvases on opening
    stream.seek(0)
    image = Image.open(stream, formats=(name,))
    if image.mode not in GREY_MODES | COLOUR_MODES:
        raise DataError("IMG-FORMAT", f"the colour space {image.mode}", where=where, fix="convert it to RGB")
    channels = 1 if image.mode in GREY_MODES else 3
    found = Header(name, (image.height, image.width), channels, _bits(image, name, stream), 1, 1, image.mode)
    return image, _judged(found, _orientation(image, name, stream), len(image.getbands()), where, max_pixels)


def _judged(found: Header, orientation: Any, bands: int, where: str, max_pixels: int) -> Header:
    """The header with its size as seen, within the limits, and with its problems; `orientation` None when it cannot be read."""
    problems = list(image_file.name_problems(where, found.format))
    if orientation not in (1, 2, 3, 4, 5, 6, 7, 8):
        problems.append(Problem("IMG-EXIF-BAD", where, "it cannot be read" if orientation is None else f"orientation {orientation}"))
        orientation = 1
    elif orientation != 1:
        problems.append(Problem("IMG-EXIF", where, f"orientation {orientation}"))
    if found.bits > 8:
        problems.append(Problem("IMG-DEPTH", where, f"{found.bits} bits"))
    if found.frames > 1:
        problems.append(Problem("IMG-FRAMES", where, f"{found.frames} frames"))
    # Pillow gives the size of a turned TIFF as seen, and turns its pixels itself.
    size = found.size[::-1] if orientation >= 5 and found.format != "TIFF" else found.size
    image_file.check_size(size, max(3, bands), 4 if found.bits > 8 else 1, max_pixels, where)
    return replace(found, size=size, orientation=orientation, problems=tuple(problems))


def _bits(image: Any, name: str, stream: BinaryIO) -> int:
    """Bits of a sample, as stored; 8 for palettes, whose colours have 8."""
    if image.mode == "1":
        return 1
    if name == "PNG" and image.mode != "P":
        stream.seek(24)
        return stream.read(1)[0]  # PNG, section 11.2.1
    if name == "TIFF" and image.mode != "P":
        return int(max(image.tag_v2.get(258, (8,))))
    if name == "PPM" and image.mode == "RGB" and image.tile[0].codec_name == "ppm":
        return 16 if image.tile[0].args[1] > 255 else 8
    return {"I": 16, "F": 32}.get(image.mode, 8)


def _orientation(image: Any, name: str, stream: BinaryIO) -> Any:
    """The EXIF orientation: 1 without one, None when it cannot be read."""
    if name == "TIFF":
        image.info.pop("xmp", None)  # Pillow would take an orientation from there, which other programs do not
        return image.tag_v2.get(274, 1)
    block = image.info.get("exif", b"")
    if name == "PNG":  # it may stand behind the pixels, where Pillow looks only after decoding them
        chunk = next((c for c in image_file.png_chunks(stream) if c.kind == b"eXIf"), None)
        if chunk:
            stream.seek(chunk.start)
            block = stream.read(min(chunk.length, 1 << 16))
    return image_file.exif_orientation(block) if block else 1


def with_frames(image: Any, found: Header, where: str, file_size: int) -> Header:
    """The header with its frames counted: last of all, since Pillow moves through the file. In a file above 64 MB several count as two."""
    if not hasattr(image, "is_animated"):
        return found
    try:
        if not image.is_animated:
            return found
        frames = int(image.n_frames) if file_size <= WHOLE else 2
    except Warning:
        raise  # see `quiet`
    except Exception:  # the pictures that are not read are damaged, which does not matter
        frames = 2
    if frames < 2:
        return found
    return replace(found, frames=frames, problems=(*found.problems, Problem("IMG-FRAMES", where, f"{frames} frames")))


def quiet(function: Callable[Given, T]) -> Callable[Given, T]:
    """The function without Pillow's warnings.

    `warnings.catch_warnings` is not safe among threads, so they are ignored by one filter, set above. Only where the
    caller's own filters make them errors is the call repeated, from its beginning, with all warnings off and one
    thread at a time.
    """

    @wraps(function)
    def call(*args: Given.args, **kwargs: Given.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except Warning:
            with _SILENCING, warnings.catch_warnings(action="ignore"):
                return function(*args, **kwargs)

    return call


@contextmanager
def coded(where: str, stream: BinaryIO) -> Iterator[None]:
    """Whatever a decoder throws as a DataError: IMG-TRUNC when it ran out of bytes, IMG-CORRUPT, IMG-BOMB, IMG-MEMORY, IMG-UNREADABLE."""
    try:
        yield
    except (SaccadeError, Warning):
        raise
    except Exception as error:  # decoders throw nearly everything: OSError, SyntaxError, struct.error, IndexError, TypeError, ...
        raise DataError(_code(error, stream), _text(error), where=where) from error


def _text(error: Exception) -> str:
    """The decoder's words in one line, but for Pillow's own limit and the name it has for the stream."""
    if isinstance(error, UnidentifiedImageError):
        return "its header cannot be read"
    return " ".join(str(error).split()).split(" exceeds limit")[0][:200] or type(error).__name__


def _code(error: Exception, stream: BinaryIO) -> str:
    text = str(error).lower()
    if isinstance(error, MemoryError):
        return "IMG-MEMORY"
    if isinstance(error, Image.DecompressionBombError) or "max_text" in text or "decompressed data too large" in text:
        return "IMG-BOMB"
    if isinstance(error, NotImplementedError) or (isinstance(error, OSError) and error.errno) or "unsupported" in text:
        return "IMG-UNREADABLE"
    short = any(word in text for word in ("truncated", "end of file", "not enough", "too short"))
    if short or isinstance(error, EOFError) or stream.tell() >= stream.seek(0, os.SEEK_END):
        return "IMG-TRUNC"
    return "IMG-UNREADABLE" if isinstance(error, ImportError) else "IMG-CORRUPT"
