"""What a search may choose: ranges and lists of values, read from text such as `lr=1e-4..1e-2` and `augment=light,strong`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from saccade.errors import UsageError

TENFOLD = 10.0  # a range of numbers above 0 that is at least so wide is drawn from on a logarithmic scale


@dataclass(frozen=True)
class Range:
    """Numbers from low to high, both included; whole ones where both ends are written so."""

    name: str
    low: float
    high: float
    whole: bool = False

    @property
    def logarithmic(self) -> bool:
        return self.low > 0 and self.high / self.low >= TENFOLD

    def draw(self, chance: np.random.Generator) -> float | int:
        """One of them: equally likely, or equally likely in the logarithm. Numbers have four digits, as one would write them."""
        if self.whole:
            if not self.logarithmic:
                return int(chance.integers(int(self.low), int(self.high) + 1))
            found = math.exp(chance.uniform(math.log(self.low), math.log(self.high)))
            return int(min(self.high, max(self.low, round(found))))
        spread = math.exp(chance.uniform(math.log(self.low), math.log(self.high))) if self.logarithmic else chance.uniform(self.low, self.high)
        return float(f"{min(self.high, max(self.low, spread)):.4g}")

    def text(self) -> str:
        return f"{self.name}={self.low:g}..{self.high:g}"


@dataclass(frozen=True)
class Choice:
    """One of these values."""

    name: str
    values: tuple[Any, ...]

    def draw(self, chance: np.random.Generator) -> Any:
        return self.values[int(chance.integers(len(self.values)))]

    def text(self) -> str:
        return f"{self.name}={','.join(map(str, self.values))}"


Space = tuple[Range | Choice, ...]


def read_space(texts: Sequence[str]) -> Space:
    """The dimensions of a search. Raises UsageError USE-VALUE, also for a name that comes twice.

    >>> [d.text() for d in read_space(["lr=1e-4..1e-2", "batch=16,32", "network.blocks=1..4"])]
    ['lr=0.0001..0.01', 'batch=16,32', 'network.blocks=1..4']
    """
    found: dict[str, Range | Choice] = {}
    for text in texts:
        name, equals, values = (part.strip() for part in text.partition("="))
        if not equals or not name or not values or name in found:
            raise UsageError("USE-VALUE", f"{text}, expected each name once, as lr=1e-4..1e-2 or augment=light,strong", where="--search")
        found[name] = _range(name, values) if ".." in values else Choice(name, tuple(_value(v) for v in values.split(",")))
    return tuple(found.values())


def _range(name: str, text: str) -> Range:
    ends = text.split("..")
    try:
        low, high = (float(end) for end in ends)
    except ValueError:
        low, high = math.nan, math.nan
    if not (low < high and math.isfinite(low) and math.isfinite(high)):
        raise UsageError("USE-VALUE", f"{name}={text}, expected low..high, such as 1e-4..1e-2", where="--search")
    return Range(name, low, high, all(end.strip().lstrip("+-").isdigit() for end in ends))


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text.strip()


def draw(space: Space, seed: int, number: int) -> dict[str, Any]:
    """The values of trial `number`: they follow from (seed, number) alone, whichever process asks."""
    chance = np.random.default_rng([seed, number])
    return {dimension.name: dimension.draw(chance) for dimension in space}


def as_words(values: Mapping[str, Any]) -> list[str]:
    """The options of `saccade train` that give these values: `network.dropout` is `--set dropout=...`.

    >>> as_words({"lr": 0.001, "network.dropout": 0.2})
    ['--lr', '0.001', '--set', 'dropout=0.2']
    """
    words: list[str] = []
    for name, value in values.items():
        shown = value if isinstance(value, str) else json.dumps(value)
        words += ["--set", f"{name.removeprefix('network.')}={shown}"] if name.startswith("network.") else [f"--{name.replace('_', '-')}", shown]
    return words
