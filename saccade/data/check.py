"""The gate before training: reads every file of a data set and tells, by code and path, all that is wrong with it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from saccade.core import Record, Stored
from saccade.data import check_sets
from saccade.data.check_files import Depth, Finding, inspect_all
from saccade.data.check_objects import Seen, alone, pairs, whole
from saccade.data.check_report import CheckReport
from saccade.data.check_truth import checked
from saccade.data.contents import Contents, contents, plain
from saccade.data.dataset import ImageDataset
from saccade.data.duplicates import merge_groups, near_groups
from saccade.errors import Problem, UsageError

_TICK = 0.5  # seconds between two reports of progress
_PERCENTILES = (1, 99)


def check(
    dataset: ImageDataset,
    *,
    deep: bool = True,
    max_pixels: int | None = None,
    isolate: bool = False,
    near: bool = True,
    threads: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> CheckReport:
    """Reads every file and returns what was found; nothing is written and nothing but a wrong option is raised.

    deep: decode the pixels, else read headers only (then `near` finds nothing). max_pixels: of one image, else the data
    set's. isolate: decode in child processes, so that a crash of a decoder is a finding. near: look for nearly the same
    pictures, which end in one group. progress: called with (done, total), at most twice a second.

    The report's data set has only the usable records, with their sizes, content hashes, groups that hold copies together, channels,
    what was seen in truths that are files (`contents`), boxes cut at the edges of their images, and for images of more than 8 bits
    one range of values: from the 1st percentile of their lowest to the 99th of their highest.
    """
    if threads < 1:
        raise UsageError("USE-VALUE", f"threads={threads}", fix="give at least 1")
    began = time.perf_counter()
    if dataset.format == "world":  # drawn when it is read: there is no file that could be bad
        return CheckReport((), dataset, len(dataset), 0, {dataset.size(0): len(dataset)} if len(dataset) else {})
    if max_pixels is not None:
        dataset = replace(dataset, max_pixels=max_pixels)
    depth = Depth(deep, deep and near, isolate and deep)
    findings = _paired(dataset, inspect_all(dataset, depth, threads, _ticking(progress, len(dataset))))
    problems = list(dataset.problems) + [problem for finding in findings for problem in finding.problems]
    labelled = "label" in dataset.spaces
    problems += check_sets.split_classes(dataset) if labelled else []
    left = [i for i, finding in enumerate(findings) if not finding.bad]
    records = [replace(checked(dataset.records[i], findings[i].size, findings[i].mended), bytes_hash=findings[i].hash) for i in left]
    usable, ranges, more = _resolved(dataset, records, [findings[i] for i in left])
    problems += more + (check_sets.classes(usable.class_counts(), str(dataset.root)) if labelled else [])
    problems += alone(dataset) + _whole(usable, {dataset.records[i].id: findings[i] for i in left})
    bad = {problem.image or problem.where for problem in problems if problem.severity == "error"}
    bad |= {dataset.records[i].id for i, finding in enumerate(findings) if finding.bad}
    sizes = Counter(findings[i].size for i in left)
    return CheckReport(tuple(problems), usable, len(usable) + len(bad), len(bad), sizes, ranges, time.perf_counter() - began)


def _paired(dataset: ImageDataset, findings: list[Finding]) -> list[Finding]:
    """The findings with PAIR-SIZE, which only the whole set can tell, where images have second pictures."""
    places = [i for i, finding in enumerate(findings) if "image" in finding.contents]
    found = pairs([dataset.records[i].id for i in places], [findings[i].size for i in places], [findings[i].contents["image"] for i in places])
    for row, problem in found.items():
        i = places[row]
        findings[i] = replace(findings[i], problems=(*findings[i].problems, problem))
    return findings


def _whole(usable: ImageDataset, findings: dict[str, Finding]) -> list[Problem]:
    """What the truths of the usable records tell together; nothing of a data set of classification alone."""
    if plain(usable):
        return []
    seen = []
    for record in usable.records:
        own = findings[record.id].contents
        if record.targets.get("label") is not None:
            own = {**own, "label": contents(record.targets["label"])}
        seen.append(Seen(record.id, record.split, findings[record.id].size, own))
    return whole(usable, seen)


def _resolved(dataset: ImageDataset, records: list[Record], findings: list[Finding]) -> tuple[ImageDataset, dict[str, float], list[Problem]]:
    """The usable data set: copies grouped, doubtful labels left out, channels and range of values chosen."""
    problems, doubtful = check_sets.copies(records, dataset.spaces["label"].names if "label" in dataset.spaces else ())
    problems += check_sets.group_leaks(records)
    alike = _alike(records, findings)
    problems += check_sets.near_leaks(records, alike)
    records = _with_groups(records, alike)
    left = [i for i in range(len(records)) if i not in doubtful]
    channels = Counter(findings[i].channels for i in left)
    usual = max(channels, key=lambda c: (channels[c], c), default=dataset.channels)
    if len(channels) > 1:
        odd = next(records[i].id for i in left if findings[i].channels != usual)
        problems.append(Problem("IMG-DIFFER", odd, ", ".join(f"{n:,} of {c}" for c, n in channels.most_common()) + f" channels; read as {usual}"))
    value_range, ranges = _value_range([raw for i in left if (raw := findings[i].raw)])
    stamps = {records[i].id: seen for i in left if (seen := findings[i].stamp)}
    kept = [records[i] for i in left]
    stored = {records[i].id: _of_files(records[i], findings[i]) for i in left if findings[i].contents}
    held = {name: own for name, own in stored.items() if own}
    return dataset.with_records(kept, channels=usual, value_range=value_range, stamps=stamps, contents=held, problems=()), ranges, problems


def _of_files(record: Record, finding: Finding) -> dict[str, Contents]:
    """The contents of the truths that are in files of their own: the others are read from the record at no cost."""
    return {head: own for head, own in finding.contents.items() if isinstance(record.targets[head], Stored)}


def _alike(records: Sequence[Record], findings: Sequence[Finding]) -> np.ndarray:
    """The group (n,) of each record: exact copies by hash, near ones by their tiny copies where those were made."""
    if not records:
        return np.zeros(0, np.int64)
    exact = np.unique([record.bytes_hash for record in records], return_inverse=True)[1].ravel()
    if any(finding.copy is None for finding in findings):
        return merge_groups(exact)
    return merge_groups(exact, near_groups(np.stack([finding.copy for finding in findings if finding.copy is not None])))


def _with_groups(records: list[Record], alike: np.ndarray) -> list[Record]:
    """The records with groups that no copy leaves: a group that shares a picture with another becomes one with it."""
    if not records:
        return records
    keys = [record.group if record.group is not None else f"\0{i}" for i, record in enumerate(records)]
    given = np.unique(keys, return_inverse=True)[1].ravel()
    merged = merge_groups(given, alike)
    sizes = Counter(merged.tolist())
    names: dict[int, str] = {}
    for record, root in zip(records, merged.tolist(), strict=True):
        own = record.group if record.group is not None else f"copies of {record.id}"
        names[root] = min(names.get(root, own), own, key=lambda name: (name.startswith("copies of "), name))
    return [
        record if sizes[root] == 1 or record.group == names[root] else replace(record, group=names[root])
        for record, root in zip(records, merged.tolist(), strict=True)
    ]


def _value_range(raws: Sequence[tuple[float, float]]) -> tuple[tuple[float, float] | None, dict[str, float]]:
    """One range for all images of more than 8 bits, and the percentiles it comes from."""
    if not raws:
        return None, {}
    lows, highs = np.array(raws, dtype=np.float64).T
    low, high = float(np.percentile(lows, _PERCENTILES[0])), float(np.percentile(highs, _PERCENTILES[1]))
    ranges = {"images": float(len(raws)), "low_p1": low, "high_p99": high, "lowest": float(lows.min()), "highest": float(highs.max())}
    return ((low, high) if np.isfinite([low, high]).all() and low < high else None), ranges


def _ticking(progress: Callable[[int, int], None] | None, total: int) -> Callable[[int], None]:
    """`progress` at most twice a second, and at the end."""
    last = time.perf_counter()

    def tick(done: int) -> None:
        nonlocal last
        if progress and (done == total or time.perf_counter() - last >= _TICK):
            last = time.perf_counter()
            progress(done, total)

    return tick
