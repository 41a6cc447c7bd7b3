"""From light to bytes: thickness instead of light, lens blur, rain, exposure, sensor noise and JPEG."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import torch
from torch import Tensor

from saccade.data.world.cast import Candidates, Rays, take
from saccade.data.world.chance import NOISE, Chance, generator
from saccade.data.world.pack import Packed
from saccade.data.world.scene import Camera, Lens
from saccade.data.world.shade import decay

_FIXED = 2.0**24
_STEPS = 4096


def thickness(packed: Packed, met: Candidates, through: Rays) -> Tensor:
    """(3, R) sums over all solids along each ray: metres inside times the density of each channel (a material's colour times its glow,
    below 0 for what is thinner than its surroundings).

    The sums are of whole numbers, so that they do not depend on the order of the solids.
    """
    total = torch.zeros(3, len(through.x), dtype=torch.int64, device=packed.device)
    length = met.far.clamp(max=1e3) - met.near
    material = take(packed.material, met.solid)
    for c in range(3):
        part = length * take(packed.materials[c] * packed.materials[9], material)
        total[c].index_add_(0, met.ray, (part * _FIXED).round().to(torch.int64))
    return total.clamp(min=0).to(torch.float32) / _FIXED


def seen_through(look: str, thick: Tensor) -> Tensor:
    """(3, rays) light from thickness. xray: what is dense is bright; fluorescence: what is there glows; brightfield: it takes away light."""
    if look == "xray":
        return (1 - decay(thick)) ** 2
    if look == "fluorescence":
        return thick
    return decay(thick) * 0.75


@lru_cache(maxsize=1)
def _tones() -> np.ndarray:
    """(_STEPS,) float32: the sRGB value 0..255 of the light (i / (_STEPS - 1))^2."""
    linear = (np.arange(_STEPS) / (_STEPS - 1)) ** 2
    curve = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(curve * 255 * 256).astype(np.float32) / 256


def blurred(light: np.ndarray, depth: np.ndarray, camera: Camera) -> np.ndarray:
    """(h, w, 3) light through a thin lens: each pixel is averaged over its circle of confusion, of diameter aperture * focal * |1 / z - 1 / focus|."""
    circle = np.abs(1 / np.minimum(depth, 1e6) - 1 / camera.focus) * np.float32(camera.aperture * camera.focal * light.shape[1])
    levels = [light]
    for radius in (1, 2, 3):
        levels.append(_box(_box(light, radius, 0), radius, 1))
    level = np.clip(circle / 2, 0, 2.999).astype(np.float32)[..., None]
    low = level.astype(np.int32)
    share = level - low
    result = np.zeros_like(light)
    for i in range(3):
        here = low == i
        result += here * (levels[i] * (1 - share) + levels[i + 1] * share)
    return result


def _box(light: np.ndarray, radius: int, axis: int) -> np.ndarray:
    """The mean over 2 * radius + 1 pixels along an axis; the border is repeated."""
    pad = [(0, 0)] * 3
    pad[axis] = (radius, radius)
    wide, n = np.pad(light, pad, mode="edge"), light.shape[axis]
    total = np.zeros_like(light)
    for shift in range(2 * radius + 1):
        total += wide[shift : shift + n] if axis == 0 else wide[:, shift : shift + n]
    return total / np.float32(2 * radius + 1)


def develop(light: np.ndarray, lens: Lens, key: tuple[int, int]) -> np.ndarray:
    """(h, w, 3) linear light -> (h, w, 3) uint8 sRGB as the sensor and the file give it. key: (seed, index) of its noise."""
    exposed = np.maximum(light * np.float32(lens.exposure), 0)
    if lens.veil and lens.look != "light":
        exposed = exposed + (np.float32(0.45) - exposed) * np.float32(min(lens.veil, 0.8))
    if lens.rain:
        exposed = _rain(exposed, lens, key)
    mapped = exposed * (1 + exposed * np.float32(1 / 6.25)) / (1 + exposed)  # Reinhard et al. 2002, eq. 4, white at 2.5
    place = np.minimum(np.sqrt(mapped) * np.float32(_STEPS - 1) + np.float32(0.5), _STEPS - 1).astype(np.int32)
    tones = _tones().take(place)
    if lens.noise:
        coarse = generator(*key, NOISE).integers(0, 256, (4, *tones.shape), np.uint8).astype(np.int16)
        grain = (coarse[0] + coarse[1] - coarse[2] - coarse[3]).astype(np.float32) * np.float32(1 / 147.8)
        tones = tones + grain * np.float32(lens.noise)
    pixels = np.clip(tones + np.float32(0.5), 0, 255).astype(np.uint8)
    return _recompressed(pixels, lens.jpeg) if lens.jpeg else pixels


def _rain(light: np.ndarray, lens: Lens, key: tuple[int, int]) -> np.ndarray:
    """Bright streaks, all falling nearly alike."""
    h, w = light.shape[:2]
    chance = Chance(key[0], key[1] ^ (1 << 40), NOISE)
    mask, slant = np.zeros((h, w), np.uint8), chance.within(-0.25, 0.25)
    for _ in range(int(lens.rain * h * w / 1000)):
        x, y, length = chance.within(-0.1, 1.1) * w, chance.within(-0.1, 1) * h, chance.within(0.04, 0.12) * h
        start, end = (int(x * 16), int(y * 16)), (int((x + slant * length) * 16), int((y + length) * 16))
        cv2.line(mask, start, end, chance.whole(40, 110), 1, cv2.LINE_AA, 4)
    veil = mask[..., None].astype(np.float32) * np.float32(1 / 255)
    bright = np.float32(light.mean(dtype=np.float64) * 1.5 + 0.08)
    return light * (1 - veil) + bright * veil


def _recompressed(pixels: np.ndarray, quality: int) -> np.ndarray:
    """The picture as it comes back from a JPEG file."""
    import simplejpeg

    coded = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=quality, colorspace="RGB", colorsubsampling="420")
    decoded: np.ndarray = simplejpeg.decode_jpeg(coded, colorspace="RGB")
    return decoded
