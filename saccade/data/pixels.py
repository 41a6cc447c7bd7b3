"""Decoded pictures as arrays: the written rules for every pixel format, and what is done to pixels before a network sees them.

| stored as | becomes |
|---|---|
| 1 bit, grey of up to 8 bits, a palette of greys in BMP and GIF | (H, W, 1) uint8 over the whole range 0..255 |
| grey with alpha or a transparent grey | (H, W, 1) uint8, composited on white |
| palette | (H, W, 3) uint8, composited on white where the palette has transparency |
| RGB, YCbCr | (H, W, 3) uint8 |
| RGBA, RGB with a transparent colour | (H, W, 3) uint8, composited on white |
| CMYK | (H, W, 3) uint8 as (1 - ink)(1 - black); a JPEG's inks are taken as stored inverted, as Adobe and all others write them |
| grey or RGB(A) of more than 8 bits, integers of 32 bits, floats | float32 in [0, 1] by `scale` |
| anything else (CIE Lab) | refused with IMG-FORMAT |

Alpha is composited as c a + (1 - a), on white, rounded to the nearest level. Deep pictures ignore a transparent colour.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

from saccade.errors import DataError, UsageError

GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
COLOUR_MODES = frozenset({"P", "PA", "RGB", "RGBX", "RGBA", "RGBa", "CMYK", "YCbCr"})
DEEP_MODES = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
LUMA = (19595, 38470, 7471)
"""The weights of R, G and B in the luma Y of ITU-R BT.601, times 65536."""

_BAND = 1 << 22  # pixels converted at a time, so that a big picture is not held three times over


def shallow(image: Image.Image) -> tuple[np.ndarray, bool]:
    """Pixels of up to 8 bits of a decoded picture, in one of the modes above: (H, W, 1 or 3) uint8 and whether any was transparent.

    >>> shallow(Image.new("LA", (1, 1), (0, 128)))[0].item()
    127
    """
    channels = 1 if image.mode in GREY_MODES else 3
    wanted = ("L" if channels == 1 else "RGB") + ("A" if image.has_transparency_data else "")
    pixels, transparent = np.empty((image.height, image.width, channels), np.uint8), False
    for rows, band in _bands(image):
        block = np.asarray(band if band.mode == wanted else band.convert(wanted))
        block = block.reshape(*block.shape[:2], -1)
        if block.shape[2] == channels:
            pixels[rows] = block
        else:
            pixels[rows] = on_white(block)
            transparent = transparent or bool((block[..., -1] < 255).any())
    return pixels, transparent


def as_stored(image: Image.Image, bits: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Samples of up to 8 bits, not scaled or mixed, and the palette (n, 3) that indices point into: 1 bit is 0 and 1, 4 bit grey 0 to 15.

    >>> as_stored(Image.new("1", (1, 1), 1), 1)[0].item()
    1
    """
    palette = None
    if image.mode in ("P", "PA") and image.palette is not None:
        palette = np.array(image.getpalette("RGB") or (), np.uint8).reshape(-1, 3)
    if image.mode not in ("1", "L", "P", "PA", "LA", "RGB", "RGBA"):
        return shallow(image)[0], None
    values = np.asarray(image)
    if image.mode == "1":
        return values.astype(np.uint8), None
    if image.mode == "PA":
        return values[..., 0], palette
    if image.mode == "L" and bits in (2, 4):
        return values // np.uint8(255 // (2**bits - 1)), None
    return values, palette


def _bands(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    rows = max(1, _BAND // image.width)
    if rows >= image.height:
        yield slice(None), image
        return
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        yield slice(top, bottom), image.crop((0, top, image.width, bottom))


def on_white(pixels: np.ndarray) -> np.ndarray:
    """(H, W, C+1) with alpha last, uint8 or float in [0, 1], composited on white: (H, W, C)."""
    colour, alpha = pixels[..., :-1], pixels[..., -1:]
    if pixels.dtype != np.uint8:
        return colour * alpha + (1 - alpha)
    mixed = colour.astype(np.uint16) * alpha + (255 - alpha).astype(np.uint16) * 255 + 127  # at most 65152
    return (mixed // 255).astype(np.uint8)


def inks_to_rgb(inks: np.ndarray) -> np.ndarray:
    """(H, W, 4) uint8 inks as a JPEG stores them, inverted (255 is no ink), to (H, W, 3) uint8 RGB.

    >>> inks_to_rgb(np.array([[[255, 0, 255, 128]]], np.uint8)).tolist()
    [[[128, 0, 128]]]
    """
    mixed = inks[..., :3].astype(np.uint16) * inks[..., 3:] + 127
    return (mixed // 255).astype(np.uint8)


def scale(raw: np.ndarray, declared: tuple[float, float], chosen: tuple[float, float] | None, where: str = "") -> np.ndarray:
    """Raw values of any depth, (H, W, C), to float32 in [0, 1]: `chosen`, else `declared`, is (black, white); outside is clipped.

    With an even number of channels the last is alpha, which is scaled by `declared` and composited on white.
    Raises DataError("IMG-CORRUPT") when a value is not finite.

    >>> scale(np.array([[[1000], [3000]]], np.uint16), (0, 65535), (1000, 5000)).ravel().tolist()
    [0.0, 0.5]
    """
    if raw.dtype.kind == "f" and not np.isfinite(raw).all():
        raise DataError("IMG-CORRUPT", "values that are not finite", where=where)
    has_alpha = raw.shape[2] % 2 == 0
    pixels = _stretch(raw[..., :-1] if has_alpha else raw, chosen or declared)
    return on_white(np.concatenate([pixels, _stretch(raw[..., -1:], declared)], 2)) if has_alpha else pixels


def _stretch(raw: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    low, high = limits
    pixels = raw.astype(np.float32)
    pixels -= np.float32(low)
    pixels /= np.float32(high - low)
    return np.clip(pixels, 0, 1, out=pixels)


def orient(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """The picture the right way up, from pixels stored with an EXIF orientation of 1 to 8 (Exif 2.3, section 4.6.4.A).

    >>> orient(np.array([[1, 2, 3]]), 6).tolist()
    [[1], [2], [3]]
    """
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def with_channels(pixels: np.ndarray, channels: int | None) -> np.ndarray:
    """(H, W, 1 or 3) with 1 or 3 channels: grey by the luma of ITU-R BT.601, colour by repetition; None leaves them as they are.

    >>> with_channels(np.array([[[255, 0, 0]]], np.uint8), 1).item()
    76
    """
    if channels is None or pixels.shape[2] == channels:
        return pixels
    if channels == 3 and pixels.shape[2] == 1:
        return np.repeat(pixels, 3, axis=2)
    if channels == 1 and pixels.shape[2] == 3:
        if pixels.dtype != np.uint8:
            return (pixels @ (np.array(LUMA, np.float32) / 65536))[..., None]
        red, green, blue = (pixels[..., c].astype(np.uint32) * w for c, w in enumerate(LUMA))
        return ((red + green + blue + 32768) >> 16).astype(np.uint8)[..., None]
    raise UsageError("USE-VALUE", f"channels={channels}", fix="use 1 (grey), 3 (RGB) or None (as stored)")
