"""From DATA to what can be trained on: opened, checked, refused when it is bad, and split."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from saccade import bundle
from saccade.core import LabelSpace
from saccade.data.check import CheckReport, check
from saccade.data.columns import columns, has_sequences
from saccade.data.conditions import a_number, columns_of, conditioned
from saccade.data.contents import contents_of, heads, tally
from saccade.data.dataset import ImageDataset
from saccade.data.open import open_dataset
from saccade.data.split import Split, make_split, read_split
from saccade.data.told import Told
from saccade.data.words import MOST, Vocabulary, has_documents, in_words, learnt_from
from saccade.errors import DataError, UsageError
from saccade.jobs.defaults import test_images, validation_share
from saccade.jobs.options import TrainOptions
from saccade.tasks import TASKS, Task, find_task, task_of
from saccade.training.run_folder import RunFolder


@dataclass(frozen=True)
class Prepared:
    """A checked data set, its parts (places in `dataset.records`) and the report on its problems."""

    task: Task[Any]
    dataset: ImageDataset
    split: Split
    report: CheckReport
    vocabulary: Vocabulary | None = None  # that its documents are counted in
    told: Told | None = None  # the columns that its pictures are told

    @property
    def space(self) -> LabelSpace:
        return self.task.space_of(self.dataset.spaces)

    def part(self, name: str) -> ImageDataset:
        """The records of train, val or test."""
        return self.dataset.subset(getattr(self.split, name))

    def counts(self) -> dict[str, dict[str, int]]:
        """Images that have each class in each part that has any; of data without classes, the images under the head's name."""
        found = {}
        for name in ("train", "val", "test"):
            places = getattr(self.split, name)
            if places:
                counted = tally(self.dataset, self.task.head, places) if len(self.space) else {}
                found[name] = counted or {self.task.head: len(places)}
        return found


class Opened(NamedTuple):
    """A data set with the truths of its task alone, not yet checked."""

    task: Task[Any]
    dataset: ImageDataset


def opened(options: TrainOptions) -> Opened:
    """Opens the data; the task is what the labels are for unless it is named. Raises UsageError USE-OPTION, DataError of every kind."""
    label = options.label or (a_number(options.condition[0]) if options.condition else None)
    found = open_for(named_task(options), options.data, format=options.format, group=options.group, label=label, follow=options.follow)
    task = chosen_task(options, found)
    return Opened(task, with_task(found, task))


def named_task(options: TrainOptions) -> Task[Any] | None:
    """The task that is named, by itself or by a model that no other task has and that needs no labels. Raises UsageError USE-OPTION."""
    if options.task is not None:
        return find_task(options.task)
    owners = [task for task in TASKS.values() if options.model is not None and options.model in task.models]
    return owners[0] if len(owners) == 1 and not owners[0].needs_labels else None


def open_for(task: Task[Any] | None, data: str | Path, *, format: str | None, **options: Any) -> ImageDataset:
    """Opens the data; for a task that needs no labels a folder whose layout is not known is one of plain images. Raises DataError of every kind."""
    try:
        return open_dataset(data, format=format, **options)
    except DataError as problem:
        if task is None or task.needs_labels or format is not None or problem.code != "DATA-LAYOUT":
            raise
        return open_dataset(data, format="images", **options)


def open_checked(options: TrainOptions, run: RunFolder, before: Opened | None = None) -> tuple[Task[Any], ImageDataset, CheckReport]:
    """Reads every file of the data, which are opened unless that was done before, and lets only a usable set through. Raises DataError."""
    task, found = before or opened(options)
    run.event("opened", name=found.name, format=found.format, reason=found.reason, images=len(found), task=task.name, named=named_task(options) is not None)
    report = check(found, max_pixels=options.max_pixels, progress=lambda done, total: run.event("step", phase="check", n=done, total=total))
    report.write_csv(run.path / "data_problems.csv")
    run.event("check", images=len(report.dataset), classes=len(task.space_of(report.dataset.spaces)), problems=problem_counts(report))
    report.gate(options.max_bad, allow_leak=options.allow_leak)
    return task, columns(report.dataset), report


def chosen_task(options: TrainOptions, dataset: ImageDataset) -> Task[Any]:
    """The task that is named, else what the data's labels are for. Raises UsageError USE-OPTION, DataError DATA-TASK."""
    return named_task(options) or task_of(heads(dataset), has_sequences(dataset), where=str(dataset.root))


def with_task(dataset: ImageDataset, task: Task[Any]) -> ImageDataset:
    """The data set with the truths that a task learns from alone; of a task that needs none, without any. Raises DataError DATA-TASK."""
    if task.degrade is not None:
        return dataset.with_records([replace(record, targets={}) for record in dataset.records], spaces={}, names=class_names(dataset))
    if task.unlabelled:  # two classes or more are welcome, and not needed
        filled = [name for name, n in dataset.class_counts().items() if n] if task.head in heads(dataset) else []
        return dataset.with_heads([task.head] if len(filled) > 1 else [])
    return with_head(dataset if task.adapt is None else task.adapt(dataset), task.head)


def class_names(dataset: ImageDataset) -> dict[str, str]:
    """{record id: the name of its class} of the records that have one."""
    if "label" not in dataset.spaces:
        return {}
    names, labels = dataset.spaces["label"].names, dataset.targets("label")
    return {r.id: names[t.index] for r, t in zip(dataset.records, labels, strict=True) if t is not None and 0 <= t.index < len(names)}


def with_head(dataset: ImageDataset, head: str) -> ImageDataset:
    """The data set with the truths of this head alone. Raises DataError DATA-TASK when it has none."""
    if head not in heads(dataset):
        there = ", ".join(heads(dataset)) or "none"
        raise DataError("DATA-TASK", f"it needs {head}; the data ({dataset.format}) have {there}", where=str(dataset.root))
    return dataset.with_heads([head])


def problem_counts(report: CheckReport) -> dict[str, int]:
    """How often each code was met."""
    return dict(Counter(problem.code for problem in report.problems))


def prepare(options: TrainOptions, run: RunFolder, before: Opened | None = None) -> Prepared:
    """Opens, checks and splits. before: the data, where they were opened already. Raises DataError DATA-SMALL when a part would be empty."""
    task, dataset, report = open_checked(options, run, before)
    if options.split is not None:
        split = read_split(options.split, dataset)
        refuse_leaks(dataset, split, options, run)
    else:
        val = validation_share(len(dataset)) if options.val is None else options.val
        test = test_images(len(dataset)) if options.test is None and "test" not in dataset.splits else options.test
        split = make_split(dataset, test=test or None, val=val, seed=options.seed, order=options.order)
    prepared = Prepared(task, dataset, split, report)
    labelled = [i for i in split.train if not task.needs_labels or known(dataset, i, task.head)]
    if len(labelled) < 2:
        raise DataError("DATA-SMALL", f"{len(labelled)} labelled images to train on", where=str(options.data))
    run.event("split", reason=split.reason, **{name: len(getattr(split, name)) for name in ("train", "val", "test")})
    return prepared


def with_words(prepared: Prepared, options: TrainOptions) -> Prepared:
    """Documents as vectors of counted words, the vocabulary being learnt from the training part, or that of the model which training begins with; any
    other data as they are. Raises UsageError USE-OPTION for options of words that mean nothing, DataError, ModelError."""
    if prepared.vocabulary is not None:
        return prepared
    asked = [f"--{name.replace('_', '-')}" for name in ("words", "word_scale") if getattr(options, name) is not None]
    if not has_documents(prepared.dataset):
        if asked:
            raise UsageError("USE-OPTION", f"{asked[0]} is of documents, the data are {prepared.dataset.format}", where=asked[0], fix="leave it out")
        return prepared
    begun = bundle.read_card(bundle.model_file(options.from_)).preprocess.get("vocabulary") if options.from_ is not None else None
    if begun is not None and asked:
        raise UsageError("USE-OPTION", f"{options.from_} has its own words", where=asked[0], fix="leave it out, or --from")
    wishes: dict[str, Any] = {"most": options.words or MOST, "scale": options.word_scale or "log"}
    vocabulary = Vocabulary.from_dict(begun) if begun is not None else learnt_from(prepared.part("train"), **wishes)
    return counted(prepared, vocabulary)


def with_conditions(prepared: Prepared, options: TrainOptions, told: Told | None = None) -> Prepared:
    """Pictures that are told columns of numbers in place of classes, in the units of the training part or of a model; all as it is where none is asked for.

    Raises UsageError USE-OPTION for another task than generation and for --label beside it, DataError and UsageError for a column that is none.
    """
    if not options.condition or prepared.told is not None:
        return prepared
    for wrong, why in ((not prepared.task.unlabelled, f"the task {prepared.task.name} answers what it is not told"), (options.label is not None, "--label")):
        if wrong:
            raise UsageError("USE-OPTION", f"--condition {', '.join(options.condition)}: {why}", where="--condition", fix="leave one of them out")
    values = columns_of(options.data, options.condition, group=options.group, follow=options.follow)
    train = [values.get(prepared.dataset.records[i].id, {}) for i in prepared.split.train]
    told = told or Told.learnt(options.condition, train)
    return replace(prepared, dataset=conditioned(prepared.dataset, told, values), told=told)


def counted(prepared: Prepared, vocabulary: Vocabulary | None) -> Prepared:
    """The same data in the words of a vocabulary. Raises DataError DATA-TASK where the data are no documents, or there is none for them."""
    dataset = in_words(prepared.dataset, vocabulary, where=str(prepared.dataset.root))
    return replace(prepared, dataset=dataset, vocabulary=vocabulary)


def known(dataset: ImageDataset, place: int, head: str) -> bool:
    """Whether the record has a truth that says something. Raises DataError for one in a file that cannot be read."""
    return contents_of(dataset, dataset.records[place], head).known


def refuse_leaks(dataset: ImageDataset, split: Split, options: TrainOptions, run: RunFolder) -> None:
    """A split made by hand may divide a group: fatal; or copies of one picture: told. Raises DataError LEAK-GROUP."""
    parts: dict[str, set[str]] = {}
    for name in ("train", "val", "test"):
        for place in getattr(split, name):
            if (group := dataset.records[place].group) is not None:
                parts.setdefault(group, set()).add(name)
    for group, names in sorted(parts.items()):
        if len(names) > 1 and group.startswith("copies of "):
            run.alert("LEAK-NEAR", f"{group} in {' and '.join(sorted(names))}")
        elif len(names) > 1 and not options.allow_leak:
            raise DataError("LEAK-GROUP", f"{group} is in {' and '.join(sorted(names))}", where=str(options.split))


def write_data(run: RunFolder, prepared: Prepared, preprocess: dict[str, Any]) -> None:
    """data.json: everything the report and a resumed run must know of the data."""
    from saccade import storage

    dataset, split = prepared.dataset, prepared.split
    storage.write_json(
        run.path / "data.json",
        {
            "name": dataset.name,
            "root": str(dataset.root) if dataset.format == "world" else str(Path(dataset.root).resolve()),
            "format": dataset.format,
            "reason": dataset.reason,
            "fingerprint": dataset.fingerprint,
            "classes": list(prepared.space.names),
            "channels": dataset.channels,
            "counts": prepared.counts(),
            "split_reason": split.reason,
            "split": {name: [dataset.records[i].id for i in getattr(split, name)] for name in ("train", "val", "test")},
            "groups": {r.id: r.group for r in dataset.records if r.group is not None},
            "preprocess": preprocess,
            "problems": problem_counts(prepared.report),
        },
    )
