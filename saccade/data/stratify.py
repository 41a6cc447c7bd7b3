"""Choosing records in proportion to their classes without dividing a group: the arithmetic of `split`."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from saccade.data.dataset import ImageDataset
from saccade.data.formats.source import natural


class Unit(NamedTuple):
    """Records that stay together: a group, or one record without a group. `classes` is how many it has of each class id."""

    key: str
    places: tuple[int, ...]
    classes: Mapping[int, int]


def units(dataset: ImageDataset, places: Iterable[int]) -> list[Unit]:
    """The groups among these records, and the records without one, by the smallest id."""
    members: dict[tuple[bool, str], list[int]] = defaultdict(list)
    for i in places:
        record = dataset.records[i]
        members[(True, record.group) if record.group is not None else (False, record.id)].append(i)
    labels = dataset.labels
    made = [Unit(min(dataset.records[i].id for i in own), tuple(own), Counter(int(labels[i]) for i in own)) for own in members.values()]
    return sorted(made, key=lambda unit: unit.key)


def totals(pool: Iterable[Unit]) -> Counter[int]:
    """Images of each class in several units together."""
    total: Counter[int] = Counter()
    for unit in pool:
        total.update(unit.classes)
    return total


def quotas(counts: Mapping[int, int], number: int) -> dict[int, int]:
    """How many of each class to take so that `number` are taken in proportion: largest remainders, one at least of a class of three or more.

    >>> quotas({0: 60, 1: 30, 2: 10}, 11)
    {0: 7, 1: 3, 2: 1}
    """
    whole = max(1, sum(counts.values()))
    exact = {k: number * n / whole for k, n in counts.items()}
    taken = {k: min(max(int(share), 1 if counts[k] >= 3 else 0), counts[k] - 1) for k, share in exact.items()}
    missing = number - sum(taken.values())
    for k in sorted(exact, key=lambda k: (taken[k] - exact[k], k)):
        if missing <= 0:
            break
        if taken[k] < counts[k] - 1:
            taken[k] += 1
            missing -= 1
    return taken


def _hash(seed: int, salt: str, key: str) -> bytes:
    return hashlib.blake2b(f"{seed}\0{salt}\0{key}".encode("utf-8", "surrogateescape"), digest_size=8).digest()


def by_hash(pool: Iterable[Unit], seed: int, salt: str) -> list[Unit]:
    """In a random order that follows from the seed and the ids."""
    return sorted(pool, key=lambda unit: _hash(seed, salt, unit.key))


def from_the_end(pool: Iterable[Unit], dataset: ImageDataset) -> list[Unit]:
    """The last first: by the mean place of a unit's records in the natural order of their classes, as a share."""
    by_class: dict[int, list[int]] = defaultdict(list)
    pool = list(pool)
    for unit in pool:
        for i in unit.places:
            by_class[int(dataset.labels[i])].append(i)
    rank: dict[int, float] = {}
    for own in by_class.values():
        own.sort(key=lambda i: natural(dataset.records[i].id))
        rank |= {i: (position + 1) / len(own) for position, i in enumerate(own)}
    return sorted(pool, key=lambda unit: (-sum(rank[i] for i in unit.places) / len(unit.places), unit.key))


def choose(ordered: Sequence[Unit], wanted: Mapping[int, int]) -> list[int]:
    """The records of the units that, one after another, bring the classes nearer to the wanted numbers without using up a class."""
    left, total = totals(ordered), totals(ordered)
    held: Counter[int] = Counter()
    chosen: list[int] = []
    for unit in ordered:
        change = sum(n * (n + 2 * (held[k] - wanted[k])) / total[k] for k, n in unit.classes.items())  # of sum (held - wanted)^2 / total
        if change < 0 and all(left[k] > n for k, n in unit.classes.items()):
            held.update(unit.classes)
            left.subtract(unit.classes)
            chosen += unit.places
    return chosen


def balanced(ordered: Sequence[Unit], k: int) -> list[int]:
    """The fold of each unit: the one whose classes grow least beyond the others', then the smallest, then the first."""
    total = totals(ordered)
    held: list[Counter[int]] = [Counter() for _ in range(k)]
    sizes, folds = [0] * k, []
    for unit in ordered:
        costs = [sum(n * (n + 2 * own[c]) / total[c] for c, n in unit.classes.items()) for own in held]
        best = min(range(k), key=list(zip(costs, sizes, range(k), strict=True)).__getitem__)
        held[best].update(unit.classes)
        sizes[best] += len(unit.places)
        folds.append(best)
    return folds
