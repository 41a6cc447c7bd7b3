"""Uneven classes made even: weights of the loss by how rare a class is, and an order in which every class comes equally often."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from saccade.core import Dataset, LabelSpace
from saccade.data.augment import uniforms
from saccade.errors import DataError, UsageError, nearest

REPEAT_COLUMN, REPEATS = 40, 4096  # of `uniforms`: which columns an order uses; how often an image may come in one epoch


def class_counts(dataset: Dataset, head: str = "label") -> np.ndarray:
    """(K,) how many records have each class; those without a known label are not counted. Raises DataError DATA-TASK without such labels."""
    return np.bincount(classes_of(dataset, head)[1], minlength=len(dataset.spaces[head]))


def classes_of(dataset: Dataset, head: str = "label") -> tuple[np.ndarray, np.ndarray]:
    """Places of the records with a known class, and the class of each. Raises DataError DATA-TASK where the head has no class an image."""
    if head != "label" or head not in dataset.spaces:
        raise DataError("DATA-TASK", f"classes are balanced where every image has one, and the truths are {', '.join(dataset.spaces) or 'none'}")
    known = [(i, t.index) for i, r in enumerate(dataset.records) if (t := r.targets.get(head)) is not None and t.known]
    return np.array([i for i, _ in known], np.int64), np.array([k for _, k in known], np.int64)


def balanced_weights(counts: Sequence[int] | np.ndarray) -> tuple[float, ...]:
    """Weights of the loss that make the classes count alike: n / (K n_k), their mean over the images being 1; 0 for a class without images.

    >>> balanced_weights([30, 10])
    (0.666667, 2.0)
    """
    found = np.asarray(counts, float)
    present = found > 0
    weights = np.divide(found.sum() / max(1, present.sum()), found, out=np.zeros_like(found), where=present)
    return tuple(round(float(w), 6) for w in weights)


def median_frequency_weights(dataset: Dataset, *, most: int = 200) -> tuple[float, ...]:
    """Weights of the classes of maps: the median of the classes' frequencies over each one's own, a frequency being a class's share of the known pixels of
    the images that show it; 0 for a class in no image. Of at most `most` images, evenly chosen.

    Eigen and Fergus 2015, section 5.2; what SegNet was trained with (Badrinarayanan et al. 2017, section 4.1).
    """
    names = len(dataset.spaces["map"])
    shown, whole = np.zeros(names), np.zeros(names)
    for i in np.linspace(0, len(dataset) - 1, min(most, len(dataset))).astype(int).tolist() if len(dataset) else []:
        target = dataset.truth(i).get("map")
        if target is None:
            continue
        counts = np.bincount(target.ids.numpy().ravel(), minlength=256)[:names]
        shown += counts
        whole += np.where(counts > 0, counts.sum(), 0)
    present = shown > 0
    frequencies = np.divide(shown, whole, out=np.zeros(names), where=present)
    middle = float(np.median(frequencies[present])) if present.any() else 0.0
    weights = np.divide(middle, frequencies, out=np.zeros(names), where=present)
    return tuple(round(float(w), 6) for w in weights)


def positive_weights(dataset: Dataset) -> tuple[float, ...]:
    """What a missed yes of each label should cost so that yeses and noes count alike: noes over yeses of the head "labels"; 1 where only one of
    the two is known.

    At most 100, for a label that hardly ever holds is not learnt by shouting.
    """
    truths = [t for i in range(len(dataset)) if (t := dataset.truth(i).get("labels")) is not None]
    values = np.stack([t.values.numpy() for t in truths]) if truths else np.zeros((0, len(dataset.spaces["labels"])))
    yes, no = (values == 1).sum(0), (values == 0).sum(0)
    return tuple(round(min(100.0, float(n / y)), 6) if y and n else 1.0 for y, n in zip(yes, no, strict=True))


def read_weights(text: str, space: LabelSpace) -> tuple[float, ...]:
    """The weights of a table `cat=2,dog=0.5`; classes that it leaves out have 1. Raises UsageError USE-VALUE or USE-OPTION.

    >>> read_weights("b=2", LabelSpace(("a", "b")))
    (1.0, 2.0)
    """
    given: dict[str, float] = {}
    for part in text.split(","):
        name, equals, value = part.rpartition("=")
        try:
            given[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals or not 0 <= given[name.strip()] < float("inf"):
            raise UsageError("USE-VALUE", f"{part}, expected none, auto, or a table such as cat=2,dog=0.5", where="--class-weights")
    if unknown := [name for name in given if name not in space.names]:
        raise UsageError("USE-OPTION", f"class {unknown[0]}; {nearest(unknown[0], space.names)}", where="--class-weights")
    return tuple(given.get(name, 1.0) for name in space.names)


def balanced_order(classes: np.ndarray, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """The order of an epoch in which every class comes equally often, and of each entry how often its record came before.

    classes: (n,) of the records that are drawn from. Returns two (n,) arrays: places in `classes`, and 0, 1, 2 ... for repetitions.
    The classes present get n / K entries each, the first ones by lot one more; within a class all records come once before one comes
    twice, and those that come once more change from epoch to epoch. Follows from (seed, epoch) alone.
    """
    n = len(classes)
    present = np.unique(classes)
    lots = np.argsort(uniforms(seed, epoch, present + n, REPEAT_COLUMN + 1)[:, REPEAT_COLUMN], kind="stable")
    shares = np.full(len(present), n // len(present))
    shares[lots[: n % len(present)]] += 1
    places, repeats = [], []
    for cls, share in zip(present, shares, strict=True):
        members = np.flatnonzero(classes == cls)
        shuffled = members[np.argsort(uniforms(seed, epoch, members, REPEAT_COLUMN + 2)[:, REPEAT_COLUMN + 1], kind="stable")]
        entries = np.arange(share)
        places.append(shuffled[entries % len(members)])
        repeats.append(entries // len(members))
    place, repeat = np.concatenate(places), np.concatenate(repeats)
    mixed = np.argsort(uniforms(seed, epoch, place + (repeat + 1) * (n + 1), REPEAT_COLUMN + 3)[:, REPEAT_COLUMN + 2], kind="stable")
    return place[mixed], repeat[mixed]
