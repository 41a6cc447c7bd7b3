"""Random numbers that follow from (seed, index, purpose) alone: the same for every machine, order and number of workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")
SCENE, NOISE, MOTION, WEATHER, WORDS, TILE = range(6)
"""What a stream of random numbers is for; streams do not share numbers."""

_MULTIPLIERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_STEP = np.uint64(0x9E3779B97F4A7C15)


def generator(seed: int, index: int, purpose: int = SCENE) -> np.random.Generator:
    """A counter-based generator (Philox; Salmon et al. 2011) whose key is (seed, purpose and index)."""
    return np.random.Generator(np.random.Philox(key=np.array([seed % 2**64, (purpose << 56) | index], np.uint64)))


def hashed(seed: int, indices: np.ndarray, purpose: int = SCENE) -> np.ndarray:
    """(n,) uint64: one number for each index (the finaliser of SplitMix64; Steele et al. 2014), for a million indices at once."""
    with np.errstate(over="ignore"):
        x = np.asarray(indices, dtype=np.uint64) * _STEP + np.uint64((seed * 0x632BE59BD9B4E019 + purpose * 0xD1B54A32D192ED03) % 2**64)
        x = (x ^ (x >> np.uint64(30))) * _MULTIPLIERS[0]
        x = (x ^ (x >> np.uint64(27))) * _MULTIPLIERS[1]
    mixed: np.ndarray = x ^ (x >> np.uint64(31))
    return mixed


class Chance:
    """What scene builders draw from: a generator with the few kinds of draws they need."""

    def __init__(self, seed: int, index: int, purpose: int = SCENE) -> None:
        self.generator = generator(seed, index, purpose)

    def within(self, low: float, high: float) -> float:
        """A number, uniform between two."""
        return low + (high - low) * float(self.generator.random())

    def whole(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + int(self.generator.random() * (high - low + 1))

    def yes(self, probability: float = 0.5) -> bool:
        return bool(self.generator.random() < probability)

    def one(self, options: Sequence[T]) -> T:
        """One of these, all as likely."""
        return options[int(self.generator.random() * len(options))]

    def near(self, middle: Any, spread: float) -> np.ndarray:
        """Numbers uniform within +- spread of each of these."""
        centre = np.asarray(middle, dtype=np.float64)
        drawn: np.ndarray = centre + spread * (2 * self.generator.random(centre.shape) - 1)
        return drawn
