"""Random changes of training images: all geometry in one matrix, all colour in another, both drawn for a whole batch at once.

The numbers drawn follow from (seed, epoch, record place) alone, by a counter-based hash, so neither the order of the batches
nor the number of loader threads can change them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, NamedTuple, Self

import numpy as np

from saccade.core import LabelSpace
from saccade.data import augment_geometry as shapes
from saccade.errors import UsageError, nearest, unknown_name
from saccade.ops.geometry import Geometry
from saccade.targets.rows import KEPT

COLUMNS = 84  # numbers drawn for an image; the meaning of a column never changes, new ones come behind
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
# NTSC's luma and two chroma axes, in which a hue is an angle and a saturation a length
YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
# principal components of the colours of ImageNet's training pictures, one a column, and the roots of their variances: what Krizhevsky
# et al. 2012 (section 4.1) add multiples of
COMPONENTS = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
SPREADS = np.array([0.2175, 0.0188, 0.0045])


# the largest value of every range; the smallest is 0, of min_visible what a warp leaves
# fmt: off
LIMITS = {
    "rotate_deg": 180.0, "shear_deg": 60.0, "scale": 1.0, "aspect": 1.0, "translate": 1.0, "perspective": 0.3, "crop": 0.95, "crop_visible": 1.0,
    "elastic": 0.1, "brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 1.0, "grey": 1.0, "gamma": 1.0, "lighting": 5.0,
    "noise": 1.0, "blur": 20.0, "motion": 60.0, "jpeg": 1.0,
    "erase": 1.0, "erase_probability": 1.0, "mosaic": 1.0, "mosaic_off": 1.0, "min_visible": 1.0,
}
# fmt: on


@dataclass(frozen=True)
class Policy:
    """Ranges of the random changes; the defaults change nothing.

    flip, flip_vertical: mirror half of the images. quarter_turns: turn by none to three right angles (square inputs; others by
    none or two). rotate_deg, shear_deg: up to so much each way. scale, aspect: factors within 1/(1+v) .. 1+v. translate: share of
    the size. perspective: share of the size that a corner may move along each axis. crop: the share of the area that a window,
    enlarged to the input, may leave out; crop_visible: the window shows at least this share of the box of one object, or it is drawn
    anew. elastic: largest displacement of a smooth bend, as a share of the size. mosaic: probability that four images share an input.
    mosaic_off: the share of a training's epochs, the last ones, in which none do, so that a network ends with images as it will be asked about.
    min_visible: objects whose box shows less than this share of itself in the result are taken out of the truth (a tenth, as `warp` does).

    brightness: added, in [0, 1] units. contrast, saturation, gamma: factors within 1/(1+v) .. 1+v (gamma as an exponent).
    lighting: standard deviation of the three amounts of ImageNet's principal colours that are added to a colour picture (Krizhevsky et al. 2012
    have 0.1). hue: share of a full turn. grey: probability of losing all colour. noise: largest standard deviation, in [0, 1] units.
    blur: largest standard deviation of a Gaussian, in pixels of the input; motion: largest length of a straight stroke, in pixels;
    half of the images get each. jpeg: how coarse, 1 is quality 5; half of the images are compressed.
    erase: largest side of the rectangle cut out, as a share of the size; erase_probability: how often.
    """

    flip: bool = False
    rotate_deg: float = 0.0
    scale: float = 0.0
    aspect: float = 0.0
    shear_deg: float = 0.0
    translate: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    grey: float = 0.0
    noise: float = 0.0
    erase: float = 0.0
    erase_probability: float = 0.0
    flip_vertical: bool = False
    quarter_turns: bool = False
    perspective: float = 0.0
    crop: float = 0.0
    crop_visible: float = 0.5
    elastic: float = 0.0
    gamma: float = 0.0
    blur: float = 0.0
    motion: float = 0.0
    jpeg: float = 0.0
    mosaic: float = 0.0
    min_visible: float = KEPT
    lighting: float = 0.0
    mosaic_off: float = 0.0

    def __post_init__(self) -> None:
        for name in ("flip", "flip_vertical", "quarter_turns"):
            if not isinstance(getattr(self, name), bool):
                raise UsageError("USE-VALUE", f"augment {name} = {str(getattr(self, name))[:40]}, expected true or false", where="--augment")
        for name, most in LIMITS.items():
            value, least = getattr(self, name), KEPT if name == "min_visible" else 0.0
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
                raise UsageError("USE-VALUE", f"augment {name} = {str(value)[:40]}, expected {least:g} to {most:g}", where="--augment")

    @property
    def zoom(self) -> float:
        """How many times more pixels a side are of use than the input has: a window is enlarged."""
        return (1 - self.crop) ** -0.5

    @classmethod
    def named(cls, name: str, names: Sequence[str] = ()) -> Self:
        """A policy of the table; images are mirrored unless their classes are digits, letters or the like."""
        if name not in POLICIES:
            raise UsageError("USE-VALUE", f"{name}; {nearest(name, ['auto', *POLICIES])}", where="--augment")
        return cls(**POLICIES[name]).unturned(mirrors_change(names))

    @classmethod
    def suited(cls, name: str, spaces: Mapping[str, LabelSpace], heads: Sequence[str] = ()) -> Self:
        """A policy of the table for what a data set's heads say: mirrored and turned only where no answer changes by it.

        heads: those without a label space, such as captions.
        """
        return cls.named(name).unturned(not mirrors_allowed(spaces, heads))

    def unturned(self, wanted: bool = True) -> Self:
        """The same without mirrors and quarter turns, where that is wanted."""
        return replace(self, flip=False, flip_vertical=False, quarter_turns=False) if wanted else self

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        if unknown := unknown_name(stored, [f.name for f in fields(cls)]):
            raise UsageError("USE-OPTION", f"augment {unknown}")
        return cls(**stored)


# fmt: off
POLICIES: dict[str, dict[str, Any]] = {
    "none": {},
    "light": {"flip": True, "rotate_deg": 8.0, "scale": 0.1, "aspect": 0.05, "translate": 0.05, "brightness": 0.1, "contrast": 0.1},
    # pictures whose answer is a picture: what changes no pixel
    "mirrored": {"flip": True, "flip_vertical": True, "quarter_turns": True},
    "upright": {"flip": True},
    "symbols": {"flip": True, "rotate_deg": 10.0, "scale": 0.1, "aspect": 0.1, "shear_deg": 6.0, "translate": 0.08},
    "default": {
        "flip": True, "rotate_deg": 15.0, "scale": 0.2, "aspect": 0.1, "translate": 0.08, "brightness": 0.2, "contrast": 0.2, "saturation": 0.2,
        "hue": 0.03, "erase": 0.3, "erase_probability": 0.5,
    },
    "strong": {
        "flip": True, "rotate_deg": 25.0, "scale": 0.35, "aspect": 0.2, "shear_deg": 8.0, "translate": 0.12, "brightness": 0.3, "contrast": 0.4,
        "saturation": 0.4, "hue": 0.06, "grey": 0.1, "noise": 0.05, "erase": 0.4, "erase_probability": 0.6,
    },
    # Krizhevsky et al. 2012, section 4.1: windows of 224 of 256 pixels, here as shifts by up to 16 of 224; mirror images; their colours
    "alexnet2012": {"flip": True, "translate": 0.0714, "lighting": 0.1},
    # boxes, masks and key points: upright, seen from near and far
    "objects": {
        "flip": True, "scale": 0.3, "aspect": 0.1, "translate": 0.1, "crop": 0.5, "crop_visible": 0.5, "brightness": 0.15, "contrast": 0.2, "saturation": 0.4,
        "hue": 0.02,
    },
    "mosaic": {
        "flip": True, "scale": 0.3, "aspect": 0.1, "translate": 0.1, "brightness": 0.15, "contrast": 0.2, "saturation": 0.4, "hue": 0.02, "mosaic": 0.7,
        "mosaic_off": 0.15,
    },
    # key points of one object, which is turned, too large or too small, and not in the middle
    "poses": {
        "flip": True, "rotate_deg": 25.0, "scale": 0.3, "aspect": 0.1, "translate": 0.1, "brightness": 0.15, "contrast": 0.25, "saturation": 0.3, "hue": 0.02,
    },
    # what has no up and down: cells, tissue, aerial photographs
    "cells": {
        "flip": True, "flip_vertical": True, "quarter_turns": True, "rotate_deg": 20.0, "scale": 0.2, "shear_deg": 5.0, "elastic": 0.02, "brightness": 0.1,
        "contrast": 0.2, "gamma": 0.3, "saturation": 0.2, "hue": 0.03,
    },
    # a camera that moves, at night, over a slow line
    "camera": {
        "flip": True, "rotate_deg": 8.0, "scale": 0.2, "translate": 0.08, "perspective": 0.08, "brightness": 0.2, "contrast": 0.3, "saturation": 0.3,
        "gamma": 0.4, "noise": 0.06, "blur": 1.5, "motion": 9.0, "jpeg": 0.7,
    },
}
# fmt: on


def mirrors_change(names: Sequence[str]) -> bool:
    """Whether the class names say that a mirror image is another thing: digits, single letters, left and right.

    >>> mirrors_change(["0", "1", "2"]), mirrors_change(["cat", "dog"]), mirrors_change(["left", "right"])
    (True, False, True)
    """
    plain = [name.strip().lower() for name in names]
    symbols = [name for name in plain if (name.isdigit() and len(name) <= 2) or (len(name) == 1 and name.isalpha())]
    binary = set(plain) <= {"0", "1"}  # yes and no, not the digits
    sided = any(word in re.split(r"[-_\s]+", name) for name in plain for word in ("left", "right"))
    return sided or (not binary and len(symbols) * 2 > len(plain))


def mirrors_allowed(spaces: Mapping[str, LabelSpace], heads: Sequence[str] = ()) -> bool:
    """Whether a mirror image has the answers that `warp` gives it: no symbols, no sided names, no sentences, nothing in space.

    Key points of left and right are exchanged by a flip, but a person's hands are not: they are mirrored only when asked for.
    """
    told = {"caption", "regions", "boxes3d"}.intersection([*spaces, *heads])
    sided = any(mirrors_change(s.names) or s.pairs or mirrors_change(s.keypoints) or mirrors_change(s.relations) for s in spaces.values())
    return not told and not sided


def uniforms(seed: int, epoch: int, places: np.ndarray, columns: int = COLUMNS) -> np.ndarray:
    """(n, columns) numbers in [0, 1), a function of (seed, epoch, place, column): SplitMix64 (Steele, Lea, Flood 2014) over a counter."""
    with np.errstate(over="ignore"):
        key = _mix(np.array([seed % 2**64], np.uint64) * _GOLDEN + np.uint64(epoch + 1))
        rows = _mix(key ^ _mix(places.astype(np.uint64)[:, None] + np.uint64(1)))
        drawn = _mix(rows + (np.arange(columns, dtype=np.uint64) + np.uint64(1))[None] * _GOLDEN)
    return (drawn >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


class Draws(NamedTuple):
    """The random changes of a batch of n.

    matrices: (n, 2, 3), or (n, 3, 3) with perspective, on the input. colours: (n, C, C+1). noise: (n,) standard deviations.
    boxes: (n, 4) rectangles cut out, as shares, x0 y0 x1 y1. gamma: (n,) exponents. blur: (n,) standard deviations in pixels.
    motion: (n, 2) lengths in pixels and angles. jpeg: (n,) qualities, 0 = none. bends: n grids of offsets in pixels, or None.
    windows: (n, tries, 4) windows to crop, as shares, or None.
    """

    matrices: np.ndarray
    colours: np.ndarray
    noise: np.ndarray
    boxes: np.ndarray
    gamma: np.ndarray
    blur: np.ndarray
    motion: np.ndarray
    jpeg: np.ndarray
    bends: np.ndarray | None = None
    windows: np.ndarray | None = None

    def geometry(self, i: int, size: tuple[int, int]) -> Geometry:
        """What happens to the input of row i, but for the window."""
        return Geometry(self.matrices[i], size, None if self.bends is None else self.bends[i])

    @staticmethod
    def joined(parts: Sequence[Draws]) -> Draws:
        """The rows of several, of one policy."""
        fields: list[Any] = [None if found[0] is None else np.concatenate(found) for found in zip(*parts, strict=True)]
        return Draws(*fields)


def composed(after: np.ndarray, first: np.ndarray) -> np.ndarray:
    """(n, 2, 3) or (n, 3, 3) matrices: `first` (n, 2, 3) and then `after`, as Geometry.then does for one."""
    if after.shape[1] == 3:
        return after @ np.concatenate([first, np.broadcast_to([[[0.0, 0.0, 1.0]]], (len(first), 1, 3))], 1)
    linear = after[:, :, :2] @ first[:, :, :2]
    return np.concatenate([linear, after[:, :, :2] @ first[:, :, 2:] + after[:, :, 2:]], 2)


def draw(policy: Policy, u: np.ndarray, size: tuple[int, int], channels: int) -> Draws:
    """The changes that uniform numbers (n, COLUMNS) mean for inputs of a size (h, w)."""
    n = len(u)
    some = (u[:, 21] < 0.5, u[:, 23] < 0.5, u[:, 26] < 0.5)
    return Draws(
        shapes.matrices(policy, u, size),
        _colours(policy, u, channels),
        policy.noise * u[:, 11] if policy.noise else np.zeros(n),
        _boxes(policy, u),
        _factor(u[:, 19], policy.gamma) if policy.gamma else np.ones(n),
        np.where(some[0], policy.blur * u[:, 20], 0.0),
        np.stack([np.where(some[1], policy.motion * u[:, 22], 0.0), np.pi * u[:, 24]], 1),
        np.where(some[2] & (policy.jpeg > 0), np.round(100 - 95 * policy.jpeg * u[:, 25]), 0.0).astype(np.int64),
        shapes.bends(policy.elastic, u, size) if policy.elastic else None,
        shapes.windows(policy.crop, policy.aspect, u) if policy.crop else None,
    )


def _both(u: np.ndarray, reach: float) -> np.ndarray:
    return (2 * u - 1) * reach


def _factor(u: np.ndarray, reach: float) -> np.ndarray:
    return np.exp(_both(u, np.log1p(reach)))


def _normals(u: np.ndarray) -> np.ndarray:
    """(n, 4) uniform numbers -> (n, 4) normal ones (Box and Muller 1958)."""
    radius, angle = np.sqrt(-2 * np.log1p(-u[:, :2])), 2 * np.pi * u[:, 2:]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], 1)


def _colours(p: Policy, u: np.ndarray, channels: int) -> np.ndarray:
    """Contrast around mid-grey, then brightness; for three channels hue and saturation in YIQ before them."""
    n = len(u)
    contrast, added = _factor(u[:, 8], p.contrast), _both(u[:, 7], p.brightness)
    linear = np.broadcast_to(np.eye(channels), (n, channels, channels)).copy()
    if channels == 3 and (p.saturation or p.hue or p.grey):
        saturation = np.where(u[:, 15] < p.grey, 0.0, _factor(u[:, 9], p.saturation))
        angle = 2 * np.pi * _both(u[:, 10], p.hue)
        turned = np.zeros((n, 3, 3))
        turned[:, 0, 0] = 1
        turned[:, 1, 1] = turned[:, 2, 2] = saturation * np.cos(angle)
        turned[:, 2, 1] = saturation * np.sin(angle)
        turned[:, 1, 2] = -turned[:, 2, 1]
        linear = np.linalg.inv(YIQ) @ turned @ YIQ
    linear = linear * contrast[:, None, None]
    offset = np.broadcast_to((0.5 * (1 - contrast) + added)[:, None, None], (n, channels, 1))
    if channels == 3 and p.lighting:
        offset = offset + ((p.lighting * _normals(u[:, 80:84])[:, :3] * SPREADS) @ COMPONENTS.T)[:, :, None]
    return np.concatenate([linear, offset], 2)


def _boxes(p: Policy, u: np.ndarray) -> np.ndarray:
    """Rectangles cut out: sides of a third of `erase` up to all of it, centred anywhere; empty ones where none is cut."""
    width, height = p.erase * (1 + 2 * u[:, 12]) / 3, p.erase * (1 + 2 * ((u[:, 12] * 7919) % 1)) / 3
    x, y = (u[:, 13] * 104729) % 1, u[:, 14]
    cut = u[:, 13] < p.erase_probability
    boxes = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], 1).clip(0, 1)
    return np.where(cut[:, None], boxes, 0.0)
