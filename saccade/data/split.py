"""Which records are trained on, chosen by and tested on: stratified by the classes of their truths, groups never divided.

Groups are those of the records (patient, student; `check` adds copies and nearly the same pictures). The result follows
from the seed and the ids, not from the order of the records.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from saccade import storage
from saccade.data.contents import plain
from saccade.data.dataset import ImageDataset
from saccade.data.formats.rows import read_rows, safe
from saccade.data.formats.source import SPLITS, natural
from saccade.data.stratify import Classes, Unit, balanced, by_hash, choose, classes_of, from_the_end, last, quotas, spread, totals, units
from saccade.errors import DataError, UsageError, nearest

_NAMED = 3
Order = Literal["random", "last"]
ORDERS: tuple[Order, ...] = ("random", "last")


class Split(NamedTuple):
    """Places of the records of each part, ascending, without a common one; `reason` says in a line how they were chosen."""

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]
    reason: str = ""


def make_split(dataset: ImageDataset, *, test: float | None = None, val: float = 0.15, seed: int = 0, order: Order = "random") -> Split:
    """Splits the labelled records, whatever their labels are. Splits that the data gives are kept; val is cut from train when there is none, never from test.

    test, val: a share below 1 or a number of images. order: `random`, or `last` for the last of each class by the numbers
    in their ids (of other truths than a class: the last of all). A data set with nothing but a given test is evaluated whole.

    Raises UsageError USE-VALUE for a test beside a given one and for values out of range, DataError DATA-SMALL when too few are left to train on.
    """
    if order not in ORDERS:
        raise UsageError("USE-VALUE", f"order={order}", fix=nearest(order, ORDERS))
    classes = classes_of(dataset)
    labelled = [i for i, own in enumerate(classes) if own is not None]
    given: dict[str | None, list[int]] = defaultdict(list)
    for i in labelled:
        given[dataset.records[i].split].append(i)
    if given["test"] and test:
        raise UsageError("USE-VALUE", f"test={test:g}, but the data has a test split of {len(given['test'])} images", fix="leave out --test")
    rest, parts, said = given["train"] + given[None], {"val": given["val"], "test": given["test"]}, []
    if any(given[name] for name in ("train", "val", "test")):
        said.append(f"{', '.join(name for name in ('train', 'val', 'test') if given[name])} as the data gives them")
    for name, wish in (("test", test or 0.0), ("val", val)):
        if parts[name] or not wish or not (rest or name == "test"):
            continue
        parts[name], rest, reason = _cut(dataset, rest, classes, wish, name, seed, order)
        said.append(reason)
    return Split(tuple(sorted(rest)), tuple(sorted(parts["val"])), tuple(sorted(parts["test"])), "; ".join(said) or "everything is for training")


def _cut(dataset: ImageDataset, places: Sequence[int], classes: Classes, wish: float, name: str, seed: int, order: Order) -> tuple[list[int], list[int], str]:
    """(cut off, left, how): a share of each class, whole units, and at least one image of each class left."""
    if not 0 < wish < np.inf or (wish >= 1 and wish != int(wish)):
        raise UsageError("USE-VALUE", f"{name}={wish:g}", fix="give a share between 0 and 1, or a number of images")
    number = int(wish) if wish >= 1 else round(wish * len(places))
    if number >= len(places):
        raise DataError(
            "DATA-SMALL", f"{name} is to have {number} of {len(places)} labelled images", where=str(dataset.root), fix="ask for fewer, or add examples"
        )
    pool = units(dataset, places, classes)
    ordered = by_hash(pool, seed, name) if order == "random" else from_the_end(pool, dataset)
    chosen, proportion = _chosen(ordered, number, len(places), order, plain(dataset))
    kept = set(chosen)
    share = f"{wish:.0%} of {'each class' if plain(dataset) else 'the images'}" if wish < 1 else f"{len(chosen):,} images"
    how = f"{name}: {'a random' if order == 'random' else 'the last'} {share}" + (", all classes in proportion" if proportion and "class" not in share else "")
    grouped = sum(len(unit.places) > 1 for unit in pool)
    return chosen, [i for i in places if i not in kept], how + (f", {grouped:,} groups undivided" if grouped else "")


def _chosen(ordered: Sequence[Unit], number: int, of: int, order: Order, single: bool) -> tuple[list[int], bool]:
    """About `number` of the `of` records, and whether the classes were kept in proportion."""
    if single:
        return choose(ordered, quotas(totals(ordered), number)), True
    if order == "last":
        return last(ordered, number), False
    parts = spread(ordered, (number, of - number))
    return [i for unit, part in zip(ordered, parts, strict=True) if part == 0 for i in unit.places], True


def make_folds(dataset: ImageDataset, k: int, *, seed: int = 0, val: float = 0.15) -> list[Split]:
    """k splits for cross-validation: every labelled record is in the test of exactly one, groups whole, classes in proportion.

    val is cut from what is not tested. A split that the data gives plays no part, but a given test that stands beside a
    train is left out: nothing is to be chosen by it. Raises UsageError USE-VALUE, DataError DATA-SMALL when there are fewer groups than folds.
    """
    if k < 2:
        raise UsageError("USE-VALUE", f"folds={k}", fix="give at least 2")
    kept_out = set(dataset.places("test")) if set(dataset.splits) - {"test"} or dataset.places(None) else set()
    classes = classes_of(dataset)
    pool = units(dataset, (i for i, own in enumerate(classes) if own is not None and i not in kept_out), classes)
    if len(pool) < k:
        raise DataError("DATA-SMALL", f"{len(pool)} groups for {k} folds", where=str(dataset.root), fix="ask for fewer folds, or add examples")
    folds: list[list[int]] = [[] for _ in range(k)]
    ordered = sorted(by_hash(pool, seed, "folds"), key=lambda unit: -len(unit.places))  # the small ones fill the gaps that the large ones leave
    images = sum(len(unit.places) for unit in pool)
    for unit, fold in zip(ordered, balanced(ordered, k) if plain(dataset) else spread(ordered, [images / k] * k), strict=True):
        folds[fold] += unit.places
    splits = []
    for number, test in enumerate(folds):
        rest = [i for other in folds if other is not test for i in other]
        chosen: list[int] = []
        if val:
            chosen, rest, _ = _cut(dataset, rest, classes, val, "val", seed + number, "random")
        reason = f"fold {number + 1} of {k}, {len(pool):,} groups in proportion to the classes"
        splits.append(Split(tuple(sorted(rest)), tuple(sorted(chosen)), tuple(sorted(test)), reason))
    return splits


def write_split(path: Path, dataset: ImageDataset, split: Split) -> None:
    """Writes the parts, one row a record in natural order: path, label (of classification), split, group. Raises ResourceError RUN-DISK."""
    names, out = dataset.spaces["label"].names if plain(dataset) else (), io.StringIO(newline="")
    grouped = any(record.group is not None for record in dataset.records)
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["path"] + ["label"] * bool(names) + ["split"] + ["group"] * grouped)
    rows = [(dataset.records[i], part) for part in ("train", "val", "test") for i in getattr(split, part)]
    for record, part in sorted(rows, key=lambda row: natural(row[0].id)):
        label = [safe(names[record.targets["label"].index])] if names else []
        writer.writerow([safe(record.id), *label, part] + [safe(record.group or "")] * grouped)
    storage.atomic_write(Path(path), out.getvalue().encode("utf-8", "surrogateescape"))


def read_split(path: Path, dataset: ImageDataset) -> Split:
    """The parts that a file names. Records that it does not list are in none; its rows for files that cannot be used are passed over.

    Raises DataError ANN-UNREADABLE, ANN-COLUMNS, ANN-SPLIT, LEAK-EXACT for an image in two parts, and DATA-CHANGED when an
    image is not in the data or has another label there.
    """
    where = str(path)
    rows = read_rows(Path(path), where)
    if rows.problems and (first := next((p for p in rows.problems if p.code == "ANN-ROW"), None)):
        raise DataError("ANN-ROW", first.got, where=first.where, fix="repair the row")
    header = [cell.strip().lower() for cell in rows.cells[0]] if rows.cells else []
    if "path" not in header or "split" not in header:
        raise DataError("ANN-COLUMNS", f"a split file has path and split, got {', '.join(header) or 'nothing'}", where=where, fix="write it with saccade split")
    columns = {name: header.index(name) for name in ("path", "split", "label") if name in header}
    places = {record.id: i for i, record in enumerate(dataset.records)}
    parts: dict[int, str] = {}
    unknown: list[str] = []
    for cells, line in zip(rows.cells[1:], rows.lines[1:], strict=True):
        row = {name: cells[column] for name, column in columns.items()}
        part = SPLITS.get(row["split"].strip().lower())
        if part is None:
            raise DataError("ANN-SPLIT", nearest(row["split"], ("train", "val", "test")), where=f"{where}:{line}")
        place = places.get(row["path"], places.get(_undecoded(row["path"])))
        if place is None:
            if not (dataset.root / row["path"]).is_file():
                unknown.append(row["path"])
            continue
        _same_label(dataset, place, row.get("label"), f"{where}:{line}")
        if parts.setdefault(place, part) != part:
            raise DataError("LEAK-EXACT", f"{row['path']}: {parts[place]} and {part}", where=f"{where}:{line}", fix="keep one of the rows")
    if unknown:
        got = f"{len(unknown)} of {len(rows.cells) - 1} images are not there: {', '.join(unknown[:_NAMED])}"
        raise DataError("DATA-CHANGED", got, where=where, fix="restore the images, or make the split again")
    members = {name: tuple(sorted(i for i, part in parts.items() if part == name)) for name in ("train", "val", "test")}
    return Split(**members, reason=f"as {Path(path).name} gives them")


def _same_label(dataset: ImageDataset, place: int, label: str | None, where: str) -> None:
    if "label" not in dataset.spaces:
        return
    target = dataset.records[place].targets.get("label")
    own = "" if target is None else dataset.spaces["label"].names[target.index]
    if label is not None and label != own:
        raise DataError(
            "DATA-CHANGED", f"{dataset.records[place].id} is {own or 'unlabelled'} in the data and {label} here", where=where, fix="make the split again"
        )


def _undecoded(name: str) -> str:
    """A name as the file system gives it, of one that was read as Latin-1 because some file's name is not UTF-8."""
    return name.encode("latin-1", "replace").decode("utf-8", "surrogateescape")
