"""What is wrong with a data set as a whole: copies, leaks between the splits, classes too small or named alike."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from saccade.core import Record
from saccade.data.agreement import agree, loaded
from saccade.data.dataset import ImageDataset
from saccade.errors import Problem

_NAMED = 5  # examples in one text
_UNBALANCED = 10
_MANY = frozenset({"caption", "regions"})  # one picture may rightly have several of these


def truth(record: Record) -> int | None:
    """The class id of a record, None without a label."""
    target = record.targets.get("label")
    return None if target is None else int(target.index)


def members(keys: Iterable[object]) -> list[list[int]]:
    """The places of each key that is there more than once; an empty key counts for nothing."""
    found: dict[object, list[int]] = defaultdict(list)
    for place, key in enumerate(keys):
        if key not in ("", None):
            found[key].append(place)
    return [places for places in found.values() if len(places) > 1]


def copies(records: Sequence[Record], names: Sequence[str]) -> tuple[list[Problem], set[int]]:
    """DUP-EXACT, DUP-LABEL and LEAK-EXACT, and the places of the pictures whose label is in doubt. names: of the classes of the head `label`."""
    problems, doubtful = [], set()
    for places in members(record.bytes_hash for record in records):
        first, *others = places
        doubt = _doubt([records[i] for i in places], names)
        if doubt:
            doubtful.update(places)
        for i in others:
            where, pair = records[i].id, f"the same as {records[first].id}"
            if doubt:
                problems.append(Problem("DUP-LABEL", where, f"{pair}; {doubt}"))
            elif records[i].split == records[first].split:
                problems.append(Problem("DUP-EXACT", where, pair))
        if doubt:
            problems.append(Problem("DUP-LABEL", records[first].id, f"the same as {records[others[0]].id}"))
        problems += _across(records, places, "LEAK-EXACT", "the same as")
    return problems, doubtful


def _doubt(records: Sequence[Record], names: Sequence[str]) -> str:
    """What the truths of copies of one picture disagree about, empty when nothing."""
    labels = {label for record in records if (label := truth(record)) is not None}
    if len(labels) > 1:
        return f"labels {', '.join(names[k] for k in sorted(labels))}"
    for head in sorted({head for record in records for head in record.targets} - {"label", *_MANY}):
        given = [loaded(target) for record in records if (target := record.targets.get(head)) is not None]
        if any(not agree(given[0], other) for other in given[1:]):
            return f"different {head}"
    return ""


def near_leaks(records: Sequence[Record], groups: np.ndarray) -> list[Problem]:
    """LEAK-NEAR: nearly the same picture in two splits; exact copies are told by LEAK-EXACT."""
    problems: list[Problem] = []
    for places in members(groups.tolist()):
        different = {records[i].bytes_hash: i for i in reversed(places)}
        if len(different) > 1:
            problems += _across(records, sorted(different.values()), "LEAK-NEAR", "nearly the same as")
    return problems


def group_leaks(records: Sequence[Record]) -> list[Problem]:
    """LEAK-GROUP: one patient, subject or student in two splits."""
    problems: list[Problem] = []
    for places in members(record.group for record in records):
        problems += _across(records, places, "LEAK-GROUP", f"group {records[places[0]].group}, as", most=1)
    return problems


def _across(records: Sequence[Record], places: Sequence[int], code: str, text: str, most: int | None = None) -> list[Problem]:
    """A problem for each record that is in another split than the first one, train before val before test."""
    placed = [i for part in ("train", "val", "test") for i in places if records[i].split == part]
    if not placed:
        return []
    first = placed[0]
    others = [i for i in placed if records[i].split != records[first].split]
    return [Problem(code, records[i].id, f"{text} {records[first].id} ({records[first].split} | {records[i].split})") for i in others[:most]]


def split_classes(dataset: ImageDataset) -> list[Problem]:
    """CLS-SPLIT for classes that train does not have, CLS-EMPTY for those of train that val or test lack."""
    if "train" not in dataset.splits:
        return []
    counts = {split: dataset.class_counts(dataset.places(split)) for split in dataset.splits}
    problems = []
    for split in dataset.splits[1:]:
        present = {name for name, n in counts[split].items() if n}
        trained = {name for name, n in counts["train"].items() if n}
        if foreign := [name for name in counts[split] if name in present - trained]:
            problems.append(Problem("CLS-SPLIT", split, f"{some(foreign)} only in {split}, not in train"))
        if present and (lacking := [name for name in counts[split] if name in trained - present]):
            problems.append(Problem("CLS-EMPTY", split, f"{split} has no image of {some(lacking)}"))
    return problems


def classes(counts: Mapping[str, int], root: str) -> list[Problem]:
    """CLS-NONE, -ONE, -EMPTY, -SINGLE, -CASE and -BALANCE, from the number of usable images of each class."""
    filled = {name: n for name, n in counts.items() if n}
    problems = [Problem("CLS-EMPTY", f"class {name}", "no usable image") for name in counts if name not in filled]
    problems += [Problem("CLS-SINGLE", f"class {name}", "1 image") for name, n in filled.items() if n == 1]
    if not filled:
        problems.append(Problem("CLS-NONE", root))
    elif len(filled) == 1:
        problems.append(Problem("CLS-ONE", root, next(iter(filled))))
    problems += alike_names(list(counts), root)
    if len(filled) > 1 and max(filled.values()) > _UNBALANCED * min(filled.values()):
        most, least = max(filled, key=lambda k: filled[k]), min(filled, key=lambda k: filled[k])
        problems.append(Problem("CLS-BALANCE", root, f"{most} {filled[most]:,}, {least} {filled[least]:,}"))
    return problems


def alike_names(names: Sequence[str], root: str) -> list[Problem]:
    """CLS-CASE: names that differ only in case, spaces or underscores."""
    alike = Counter(map(_folded, names))
    return [Problem("CLS-CASE", root, " and ".join(repr(name) for name in names if _folded(name) == key)) for key, n in alike.items() if n > 1]


def _folded(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().replace("_", " ").split())


def some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
