"""Random changes of training images: all geometry in one matrix, all colour in another, both drawn for a whole batch at once.

The numbers drawn follow from (seed, epoch, record place) alone, by a counter-based hash, so neither the order of the batches
nor the number of loader threads can change them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, NamedTuple, Self

import numpy as np
import torch

from saccade.core import Batch
from saccade.errors import UsageError, nearest, unknown_name
from saccade.ops.geometry import Geometry
from saccade.targets import Label

COLUMNS = 16  # numbers drawn for an image
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
# NTSC's luma and two chroma axes, in which a hue is an angle and a saturation a length
YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


@dataclass(frozen=True)
class Policy:
    """Ranges of the random changes; the defaults change nothing.

    flip: mirror half of the images. rotate_deg, shear_deg: up to so much each way. scale, aspect: factors within 1/(1+v) .. 1+v.
    translate: share of the size. brightness: added, in [0, 1] units. contrast, saturation: factors within 1/(1+v) .. 1+v.
    hue: share of a full turn. grey: probability of losing all colour. noise: largest standard deviation, in [0, 1] units.
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

    def __post_init__(self) -> None:
        for name in ("scale", "aspect", "translate", "brightness", "contrast", "saturation", "hue", "grey", "noise", "erase", "erase_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError("USE-VALUE", f"augment {name} = {getattr(self, name)}, expected 0 to 1", where="--augment")
        for name, most in (("rotate_deg", 180), ("shear_deg", 60)):
            if not 0 <= getattr(self, name) <= most:
                raise UsageError("USE-VALUE", f"augment {name} = {getattr(self, name)}, expected 0 to {most}", where="--augment")

    @classmethod
    def named(cls, name: str, names: Sequence[str] = ()) -> Self:
        """A policy of the table; images are mirrored unless their classes are digits, letters or the like."""
        if name not in POLICIES:
            raise UsageError("USE-VALUE", f"{name}; {nearest(name, ['auto', *POLICIES])}", where="--augment")
        found = cls(**POLICIES[name])
        return replace(found, flip=found.flip and not mirrors_change(names))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        if unknown := unknown_name(stored, [f.name for f in fields(cls)]):
            raise UsageError("USE-OPTION", f"augment {unknown}")
        return cls(**stored)


POLICIES: dict[str, dict[str, Any]] = {
    "none": {},
    "light": {"flip": True, "rotate_deg": 8.0, "scale": 0.1, "aspect": 0.05, "translate": 0.05, "brightness": 0.1, "contrast": 0.1},
    "symbols": {"flip": True, "rotate_deg": 10.0, "scale": 0.1, "aspect": 0.1, "shear_deg": 6.0, "translate": 0.08},
    "default": {
        "flip": True,
        "rotate_deg": 15.0,
        "scale": 0.2,
        "aspect": 0.1,
        "translate": 0.08,
        "brightness": 0.2,
        "contrast": 0.2,
        "saturation": 0.2,
        "hue": 0.03,
        "erase": 0.3,
        "erase_probability": 0.5,
    },
    "strong": {
        "flip": True,
        "rotate_deg": 25.0,
        "scale": 0.35,
        "aspect": 0.2,
        "shear_deg": 8.0,
        "translate": 0.12,
        "brightness": 0.3,
        "contrast": 0.4,
        "saturation": 0.4,
        "hue": 0.06,
        "grey": 0.1,
        "noise": 0.05,
        "erase": 0.4,
        "erase_probability": 0.6,
    },
}


def mirrors_change(names: Sequence[str]) -> bool:
    """Whether the class names say that a mirror image is another thing: digits, single letters, left and right.

    >>> mirrors_change(["0", "1", "2"]), mirrors_change(["cat", "dog"]), mirrors_change(["left", "right"])
    (True, False, True)
    """
    plain = [name.strip().lower() for name in names]
    symbols = [name for name in plain if (name.isdigit() and len(name) <= 2) or (len(name) == 1 and name.isalpha())]
    binary = set(plain) <= {"0", "1"}  # yes and no, not the digits
    sided = any(word in name.replace("-", "_").split("_") for name in plain for word in ("left", "right"))
    return sided or (not binary and len(symbols) * 2 > len(plain))


def default_policy(names: Sequence[str] = ()) -> Policy:
    """What training does when nothing is said."""
    return Policy.named("default", names)


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
    """The random changes of a batch: matrices (n, 2, 3) on the input, colours (n, C, C+1), noise (n,), boxes (n, 4) as shares, x0 y0 x1 y1."""

    matrices: np.ndarray
    colours: np.ndarray
    noise: np.ndarray
    boxes: np.ndarray

    def geometry(self, i: int, size: tuple[int, int]) -> Geometry:
        return Geometry(self.matrices[i], size)


def composed(after: np.ndarray, first: np.ndarray) -> np.ndarray:
    """(n, 2, 3) matrices `first` and then `after`, as Geometry.then does for one."""
    linear = after[:, :, :2] @ first[:, :, :2]
    return np.concatenate([linear, after[:, :, :2] @ first[:, :, 2:] + after[:, :, 2:]], 2)


def draw(policy: Policy, u: np.ndarray, size: tuple[int, int], channels: int) -> Draws:
    """The changes that uniform numbers (n, COLUMNS) mean for inputs of a size (h, w)."""
    return Draws(_matrices(policy, u, size), _colours(policy, u, channels), policy.noise * u[:, 11] if policy.noise else np.zeros(len(u)), _boxes(policy, u))


def _both(u: np.ndarray, reach: float) -> np.ndarray:
    return (2 * u - 1) * reach


def _factor(u: np.ndarray, reach: float) -> np.ndarray:
    return np.exp(_both(u, np.log1p(reach)))


def _matrices(p: Policy, u: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Around the centre: mirror and scale, shear, rotate; then translate."""
    h, w = size
    angle, shear = np.deg2rad(_both(u[:, 1], p.rotate_deg)), np.tan(np.deg2rad(_both(u[:, 4], p.shear_deg)))
    scale, aspect = _factor(u[:, 2], p.scale), np.sqrt(_factor(u[:, 3], p.aspect))
    sx, sy = scale * aspect * np.where(p.flip & (u[:, 0] < 0.5), -1.0, 1.0), scale / aspect
    cos, sin = np.cos(angle), np.sin(angle)
    linear = np.empty((len(u), 2, 2))
    linear[:, 0, 0], linear[:, 0, 1] = cos * sx, (cos * shear - sin) * sy
    linear[:, 1, 0], linear[:, 1, 1] = sin * sx, (sin * shear + cos) * sy
    centre = np.array([w / 2, h / 2])
    shift = np.stack([_both(u[:, 5], p.translate) * w, _both(u[:, 6], p.translate) * h], 1)
    return np.concatenate([linear, (centre - linear @ centre + shift)[:, :, None]], 2)


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
    return np.concatenate([linear, offset], 2)


def _boxes(p: Policy, u: np.ndarray) -> np.ndarray:
    """Rectangles cut out: sides of a third of `erase` up to all of it, centred anywhere; empty ones where none is cut."""
    width, height = p.erase * (1 + 2 * u[:, 12]) / 3, p.erase * (1 + 2 * ((u[:, 12] * 7919) % 1)) / 3
    x, y = (u[:, 13] * 104729) % 1, u[:, 14]
    cut = u[:, 13] < p.erase_probability
    boxes = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], 1).clip(0, 1)
    return np.where(cut[:, None], boxes, 0.0)


@dataclass(frozen=True)
class Mix:
    """Mixing of a batch with itself: mixup (Zhang et al. 2018, section 2) and cutmix (Yun et al. 2019, equation 1), one of them a batch.

    The values are the parameters of the Beta distribution of the shares; 0 = off. Truths become distributions.
    """

    mixup: float = 0.0
    cutmix: float = 0.0

    def __call__(self, batch: Batch, classes: int, seed: tuple[int, int, int]) -> Batch:
        """The mixed batch; seed is (seed, epoch, number of the batch)."""
        chance = np.random.default_rng([*(number % 2**64 for number in seed), 0x6D6978])
        if not (self.mixup or self.cutmix) or len(batch) < 2:
            return batch
        partner = chance.permutation(len(batch))
        cuts = bool(self.cutmix) and (not self.mixup or chance.random() < 0.5)
        alpha = self.cutmix if cuts else self.mixup
        share = float(chance.beta(alpha, alpha))
        inputs = batch.inputs
        if cuts:
            h, w = inputs.shape[-2:]
            side = np.sqrt(1 - share)
            cy, cx = chance.random() * h, chance.random() * w
            top, bottom = (int(np.clip(v, 0, h)) for v in (cy - side * h / 2, cy + side * h / 2))
            left, right = (int(np.clip(v, 0, w)) for v in (cx - side * w / 2, cx + side * w / 2))
            inputs = inputs.clone()
            inputs[..., top:bottom, left:right] = batch.inputs[partner][..., top:bottom, left:right]
            share = 1 - (bottom - top) * (right - left) / (h * w)
        else:
            inputs = torch.lerp(batch.inputs[partner], inputs, share)
        targets = {head: [_mixed(a, given[j], share, classes) for a, j in zip(given, partner, strict=True)] for head, given in batch.targets.items()}
        return Batch(inputs, batch.sizes, targets, batch.meta)


def _mixed(a: Label | None, b: Label | None, share: float, classes: int) -> Label | None:
    """The mixture of two truths; None where one is missing."""
    if a is None or b is None or not (a.known and b.known):
        return None
    whole = torch.zeros(classes)
    for label, weight in ((a, share), (b, 1 - share)):
        whole += weight * (label.probabilities if label.probabilities is not None else torch.nn.functional.one_hot(torch.tensor(label.index), classes))
    return Label(a.index if share >= 0.5 else b.index, whole)
