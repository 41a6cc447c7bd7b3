"""Choosing records in proportion to their classes without dividing a group: the arithmetic of `split`.

Records of one class each are chosen by quotas (`choose`, `balanced`); records with several classes, or none, by iterative
stratification (`spread`): K. Sechidis, G. Tsoumakas, I. Vlahavas, "On the stratification of multi-label data", ECML PKDD 2011.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from saccade.data.contents import all_contents, heads, plain
from saccade.data.dataset import ImageDataset
from saccade.data.formats.source import natural

BINS = 10
"""Quantiles of a number that records are kept in proportion by."""

_TABLE, _SWAPS, _TRIED = 20_000_000, 300, 32

Classes = Sequence[tuple[Hashable, ...] | None]


class Unit(NamedTuple):
    """Records that stay together: a group, or one record without a group. `classes` is how many of its records have each class."""

    key: str
    places: tuple[int, ...]
    classes: Mapping[Hashable, int]


NO_TRUTH = "no truth"


def classes_of(dataset: ImageDataset) -> list[tuple[Hashable, ...] | None]:
    """What each record is kept in proportion by, None for one without any label.

    Of classification: its class id. Else (head, class) of each class in its truths, heads with the same class names counted once;
    (number, tenth) of a number by its quantiles; (head, -1) for an image without objects. Where no record has a truth, all are alike.
    """
    if not any(record.targets for record in dataset.records):
        return [(NO_TRUTH,)] * len(dataset)
    if plain(dataset):
        return [None if k < 0 else (int(k),) for k in dataset.labels]
    found: list[tuple[Hashable, ...] | None] = [None] * len(dataset)
    seen: list[tuple[str, ...]] = []
    for head in heads(dataset):
        space = dataset.spaces.get(head)
        names = space.names if space is not None else ()
        if names and names in seen:
            names = ()
        seen.append(names)
        held = list(all_contents(dataset, head))
        tenths = _tenths([one.values.get("value", np.nan) if one.known else np.nan for one in held]) if head == "number" else None
        for i, one in enumerate(held):
            if not one.known:
                continue
            own: list[Hashable] = [(head, int(k)) for k in one.present] if names else []
            if tenths is not None:
                own.append((head, int(tenths[i])))
            elif names and not own:
                own.append((head, -1))
            found[i] = (*(found[i] or ()), *own)
    return found


def _tenths(values: Sequence[float]) -> np.ndarray:
    """The quantile bin (n,) of each number: ten, or one for every five numbers where there are fewer than fifty; equal numbers share one."""
    given = np.asarray(values, np.float64)
    known = given[np.isfinite(given)]
    bins = max(1, min(BINS, len(known) // 5))
    edges = np.unique(np.quantile(known, np.arange(1, bins) / bins)) if bins > 1 else np.zeros(0)
    placed: np.ndarray = np.searchsorted(edges, given, "right")
    return placed


def units(dataset: ImageDataset, places: Iterable[int], classes: Classes) -> list[Unit]:
    """The groups among these records, and the records without one, by the smallest id."""
    members: dict[tuple[bool, str], list[int]] = defaultdict(list)
    for i in places:
        record = dataset.records[i]
        members[(True, record.group) if record.group is not None else (False, record.id)].append(i)
    made = [Unit(min(dataset.records[i].id for i in own), tuple(own), Counter(k for i in own for k in classes[i] or ())) for own in members.values()]
    return sorted(made, key=lambda unit: unit.key)


def totals(pool: Iterable[Unit]) -> Counter[Hashable]:
    """Images of each class in several units together."""
    total: Counter[Hashable] = Counter()
    for unit in pool:
        total.update(unit.classes)
    return total


def quotas(counts: Mapping[Any, int], number: int) -> dict[Any, int]:
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
    """The last first: by the mean place of a unit's records in the natural order of their classes (else of all), as a share."""
    by_class: dict[int, list[int]] = defaultdict(list)
    pool, single = list(pool), plain(dataset)
    for unit in pool:
        for i in unit.places:
            by_class[int(dataset.labels[i]) if single else 0].append(i)
    rank: dict[int, float] = {}
    for own in by_class.values():
        own.sort(key=lambda i: natural(dataset.records[i].id))
        rank |= {i: (position + 1) / len(own) for position, i in enumerate(own)}
    return sorted(pool, key=lambda unit: (-sum(rank[i] for i in unit.places) / len(unit.places), unit.key))


def choose(ordered: Sequence[Unit], wanted: Mapping[Hashable, int]) -> list[int]:
    """The records of the units that, one after another, bring the classes nearer to the wanted numbers without using up a class."""
    left, total = totals(ordered), totals(ordered)
    held: Counter[Hashable] = Counter()
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
    held: list[Counter[Hashable]] = [Counter() for _ in range(k)]
    sizes, folds = [0] * k, []
    for unit in ordered:
        costs = [sum(n * (n + 2 * own[c]) / total[c] for c, n in unit.classes.items()) for own in held]
        best = min(range(k), key=list(zip(costs, sizes, range(k), strict=True)).__getitem__)
        held[best].update(unit.classes)
        sizes[best] += len(unit.places)
        folds.append(best)
    return folds


def spread(ordered: Sequence[Unit], sizes: Sequence[float]) -> list[int]:
    """The part of each unit, parts being `sizes` images large: iterative stratification, the class with the fewest units left first.

    A unit goes to the part that lacks most of that class, then most images, then the first; a part that is full takes no more.

    **Deviations** from Sechidis et al. (2011), algorithm 1: units of several images count as many; of two equal parts the first is
    taken, not a random one (`ordered` is in a random order already); a class of more images than parts is wanted once at least in
    every part; parts that are full are passed over, so that they have the sizes asked for (single images exactly); afterwards units of
    equal size change places while that brings the classes nearer to their shares.
    """
    lacking = _wanted(totals(ordered), sizes)
    room = [float(size) for size in sizes]
    waiting: dict[Hashable, dict[int, None]] = defaultdict(dict)
    for i, unit in enumerate(ordered):
        for k in unit.classes:
            waiting[k][i] = None
    parts = [-1] * len(ordered)

    def put(i: int, k: Hashable | None) -> None:
        unit = ordered[i]
        open_ = [j for j in range(len(room)) if room[j] >= len(unit.places) / 2] or [max(range(len(room)), key=lambda j: room[j])]
        best = max(open_, key=lambda j: (round(lacking[j].get(k, 0.0), 9), room[j], -j))
        parts[i] = best
        room[best] -= len(unit.places)
        for own, n in unit.classes.items():
            lacking[best][own] -= n
            waiting[own].pop(i, None)

    while any(waiting.values()):
        rarest = min((k for k, left in waiting.items() if left), key=lambda k: (len(waiting[k]), str(k)))
        for i in sorted(waiting[rarest], key=lambda i: -ordered[i].classes[rarest]):
            put(i, rarest)
        del waiting[rarest]
    for i in sorted((i for i, part in enumerate(parts) if part < 0), key=lambda i: -len(ordered[i].places)):
        put(i, None)
    return _swapped(ordered, parts, _wanted(totals(ordered), sizes))


def _wanted(counts: Mapping[Hashable, int], sizes: Sequence[float]) -> list[dict[Hashable, float]]:
    """How many images of each class each part should have: its share, and one at least where there are more than parts."""
    whole = sum(sizes)
    shares = [size / whole for size in sizes]
    largest = max(range(len(sizes)), key=lambda j: sizes[j])
    wanted: list[dict[Hashable, float]] = [{} for _ in sizes]
    for k, n in counts.items():
        exact = [max(share * n, 1.0) if n > len(sizes) and share > 0 else share * n for share in shares]
        exact[largest] -= sum(exact) - n
        for part, value in zip(wanted, exact, strict=True):
            part[k] = value
    return wanted


def _swapped(ordered: Sequence[Unit], parts: list[int], wanted: Sequence[Mapping[Hashable, float]]) -> list[int]:
    """The parts after exchanges of two units of equal size that lower sum over parts and classes (held - wanted)^2 / images of the class.

    No exchange takes a part's last image of a class. Left out where units times classes are more than `_TABLE`.
    """
    columns = {k: column for column, k in enumerate(sorted({k for unit in ordered for k in unit.classes}, key=str))}
    if len(ordered) * len(columns) > _TABLE or not columns:
        return parts
    table = np.zeros((len(ordered), len(columns)), np.float32)
    for i, unit in enumerate(ordered):
        for k, n in unit.classes.items():
            table[i, columns[k]] = n
    sizes, own = np.array([len(unit.places) for unit in ordered]), np.array(parts)
    weight = 1 / table.sum(0)
    goal = np.array([[part.get(k, 0.0) for k in columns] for part in wanted])
    held = np.stack([table[own == j].sum(0) for j in range(len(wanted))]).astype(np.float64)
    for a, b in combinations(range(len(wanted)), 2):
        for _ in range(_SWAPS):
            pair = _exchange(table, sizes, np.flatnonzero(own == a), np.flatnonzero(own == b), held[[a, b]], goal[[a, b]], weight)
            if pair is None:
                break
            i, m = pair
            change = table[i] - table[m]
            held[a] -= change
            held[b] += change
            own[[i, m]] = b, a
    changed: list[int] = own.tolist()
    return changed


def _exchange(
    table: np.ndarray, sizes: np.ndarray, first: np.ndarray, second: np.ndarray, held: np.ndarray, goal: np.ndarray, weight: np.ndarray
) -> tuple[int, int] | None:
    """The exchange of a unit of the first part and one of the second that gains most, among the 32 most promising of each; None when none does."""
    if not len(first) or not len(second):
        return None
    pull = 2 * weight * ((held[1] - goal[1]) - (held[0] - goal[0]))
    slope = np.einsum("ik,k->i", table, pull)  # a product by BLAS has once warned of an invalid value where there was none
    first, second = first[np.argsort(slope[first], kind="stable")[:_TRIED]], second[np.argsort(-slope[second], kind="stable")[:_TRIED]]
    moved = table[first][:, None] - table[second][None]
    gain = slope[first][:, None] - slope[second][None] + 2 * (moved**2 @ weight)
    after = np.stack([held[0] - moved, held[1] + moved])
    emptied = ((after < 0.5) & (held[:, None, None] > 0.5)).any((0, 3))
    gain[emptied | (sizes[first][:, None] != sizes[second][None])] = np.inf
    i, m = np.unravel_index(int(gain.argmin()), gain.shape)
    return (int(first[i]), int(second[m])) if gain[i, m] < -1e-6 else None


def last(ordered: Sequence[Unit], number: int) -> list[int]:
    """The records of the first units of this order until about `number` are taken, and never all."""
    chosen: list[int] = []
    for unit in ordered[:-1]:
        if len(chosen) + len(unit.places) / 2 > number:
            break
        chosen += unit.places
    return chosen
