"""`evaluate MODEL DATA`: the numbers of a stored model on a data set, with intervals, and every prediction behind them."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from saccade import bundle, storage
from saccade.bundle import Bundle
from saccade.core import LabelSpace, Model
from saccade.data.check import check
from saccade.data.columns import columns
from saccade.data.conditions import a_number, columns_of, conditioned
from saccade.data.dataset import ImageDataset
from saccade.data.preprocess import Preprocess
from saccade.data.tiles import Tiling
from saccade.data.words import in_words
from saccade.errors import DataError, GateError, UsageError
from saccade.inference.device import inference_mode_for, trained_precision
from saccade.inference.ensemble import joined
from saccade.inference.evaluate import in_order
from saccade.inference.judge import Judge, glyphs
from saccade.jobs.boxes import BOXES, DETECTOR, record_boxes, refuse_boxes
from saccade.jobs.options import check_tile
from saccade.jobs.prepare import open_for, with_task
from saccade.jobs.tiling import MODEL_TILE, MODEL_TILE_OVERLAP, retiled
from saccade.targets.renamed import renamed, reordered
from saccade.tasks import TASKS, find_task
from saccade.training.engine import Engine, set_threads

GATE = re.compile(r"\s*([a-z][\w.]*)\s*(>=|<=|>|<)\s*(-?\d+(?:\.\d+)?)\s*")
COLUMNS = 5  # of the table of classes, besides their names
COMPARISONS: dict[str, Callable[[float, float], bool]] = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}


class EvaluateOptions(BaseModel):
    """What a user may say of an evaluation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    split: Annotated[Literal["train", "val", "test", "all"] | None, Field(description="default: test if there is one, else val, else all")] = None
    gate: Annotated[tuple[str, ...], Field(description='a bar that must be met, such as "accuracy>=0.9"; exit 8 when it is not')] = ()
    threshold: Annotated[float | None, Field(ge=0, le=1, description="less probable answers are unknown; default: those stored with the model")] = None
    format: Annotated[str | None, Field(description="the layout, instead of finding out")] = None
    group: Annotated[str | None, Field(description="a column or pattern; intervals are then over groups")] = None
    label: Annotated[str | None, Field(description="the table's column of labels")] = None
    with_: Annotated[tuple[Path, ...], Field(description="more models, whose answers are combined with the first one's")] = ()
    views: Annotated[str, Field(description="also answer changed copies of every picture: none, flip and others, which an error lists")] = "none"
    combine: Annotated[Literal["mean", "geometric", "vote"], Field(description="how classes of several models or views are combined")] = "mean"
    tile: Annotated[int | None, Field(description=MODEL_TILE)] = None
    tile_overlap: Annotated[int | None, Field(description=MODEL_TILE_OVERLAP)] = None
    boxes: Annotated[str | None, Field(description=f"{BOXES}; default: the boxes of the labels")] = None
    detector: Annotated[Path | None, Field(description=DETECTOR)] = None
    judge: Annotated[Path | None, Field(description="a classifier that samples are judged by; default that of the model's run, else the package's own")] = None
    batch: Annotated[int, Field(ge=1, description="images at a time")] = 64
    follow: Annotated[bool, Field(description="follow links out of the data's folder")] = False
    max_bad: Annotated[float, Field(ge=0, le=1, description="share of unusable images that stops the evaluation")] = 0.05
    device: Annotated[str, Field(description="auto, cpu, cuda, cuda:0 ...")] = "auto"
    threads: Annotated[int | None, Field(ge=1, description="of the network")] = None

    @field_validator("gate")
    @classmethod
    def _gates(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for text in given:
            if not GATE.fullmatch(text):
                raise ValueError(f'a gate such as "accuracy>=0.9" is expected, got {text}')
        return given

    @model_validator(mode="after")
    def _tiles(self) -> EvaluateOptions:
        check_tile(self.tile, self.tile_overlap)
        return self


@dataclass(frozen=True)
class EvaluateResult:
    """The evaluation, the part of the data it is of and why, and the folder it was written to."""

    evaluation: Any
    part: str
    reason: str
    out: Path | None
    tiling: Tiling | None = None
    samples: str = "images"

    @property
    def metrics(self) -> dict[str, dict[str, Any]]:
        """{key: {value, low, high, n}}."""
        return {key: value._asdict() for key, value in self.evaluation.values.items()}

    def text(self) -> str:
        """The numbers for people, at most 20 classes."""
        by = f", each by {self.tiling}" if self.tiling else ""
        wide = max([16, *(len(key) + 1 for key in self.evaluation.values)])
        lines = [f"{len(self.evaluation)} {self.samples} ({self.reason}){by}", f"{'metric':<{wide}}{'value':>9}   95 % interval"]
        lines += [f"{key:<{wide}}{v.value:>9.4f}   {v.low:.4f} to {v.high:.4f}" for key, v in self.evaluation.values.items()]
        metric: Any = getattr(self.evaluation, "metric", None)
        points = metric.per_joint() if hasattr(metric, "per_joint") else []
        return "\n".join(lines + _table(self.evaluation.per_class(), "class", "per_class.csv") + _table(points, "point", "joints.csv"))


def _table(rows: list[dict[str, Any]], name: str, file: str) -> list[str]:
    """The first rows of a table for people, without the intervals."""
    if not rows:
        return []
    columns = [key for key in rows[0] if key != name and not key.endswith(("_low", "_high"))][:COLUMNS]
    lines = ["", f"{name:<32}" + "".join(f"{key[:10]:>11}" for key in columns)]
    lines += [f"{str(row[name])[:31]:<32}" + "".join(f"{_shown(row[key]):>11}" for key in columns) for row in rows[:20]]
    return lines + ([f"... and {len(rows) - 20} more in {file}"] if len(rows) > 20 else [])


def _shown(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def run_evaluate(
    model: Path, data: str | Path, options: EvaluateOptions | None = None, *, out: Path | None = None, progress: Callable[[int, int], None] | None = None
) -> EvaluateResult:
    """Evaluates a model file (or a run's) on a data set; writes eval files into `out` where it is given.

    Raises ModelError, DataError (CLS-MODEL for classes the model does not know), UsageError RUN-EXISTS for an `out` that holds anything, GateError
    GATE-FAILED after everything is written.
    """
    if out is not None:
        storage.refuse_occupied(out)
    chosen = options or EvaluateOptions()
    set_threads(chosen.threads)
    judged = judged_by(model, chosen)
    found = retiled(joined(model, chosen.with_, chosen.views, chosen.combine), chosen.tile, chosen.tile_overlap)
    task, (head, space) = find_task(found.card.task), next(iter(found.card.spaces.items()))
    preprocess = Preprocess.from_dict(found.card.preprocess)
    label = chosen.label or (None if preprocess.told is None else a_number(preprocess.told.columns[0]))
    opened = with_task(open_for(task, data, format=chosen.format, group=chosen.group, label=label, follow=chosen.follow), task)
    report = check(opened, near=False, progress=progress)
    report.gate(chosen.max_bad, allow_leak=True, learning=False)
    in_numbers = in_words(columns(report.dataset, limit=found.card.inputs.size[0]), preprocess.vocabulary, where=str(data))
    dataset = fitted(in_numbers, found, str(data))
    if preprocess.told is not None:
        dataset = conditioned(dataset, preprocess.told, columns_of(data, preprocess.told.columns, group=chosen.group, follow=chosen.follow))
    part, reason, places = chosen_part(dataset, chosen.split)
    post = task.postprocess.from_dict(found.card.postprocess, space, where=str(model))
    if chosen.threshold is not None:
        post = post.with_thresholds(chosen.threshold, space)
    network, autocast = placed(found, chosen.device)
    degrade = task.degrading(found.card.model, found.card.arguments)
    refuse_boxes(preprocess, chosen.boxes, chosen.detector, needed=False)
    given = record_boxes(chosen.boxes, chosen.detector, dataset.subset(places), space, device=chosen.device, batch=chosen.batch)
    loader = in_order(dataset.subset(places), preprocess, degrade, batch_size=chosen.batch, cache_bytes=0, boxes=given)
    metric = task.metric(space, **post.stated())
    evaluation = task.measure(network, loader, metric=metric, space=space, head=head, post=post, autocast=autocast, progress=progress, **judged)
    if out is not None:
        evaluation.write(out)
    held(evaluation, chosen.gate)
    reason += f"; judged by {judged['judge'].name}, {judged['judge'].sha256[:12]}" if judged else ""
    return EvaluateResult(evaluation, part, reason, out, preprocess.tiling, task.samples)


def judged_by(model: Path, chosen: EvaluateOptions) -> dict[str, Any]:
    """{"judge"} of a model whose answers are judged: the one asked for, else that of the model's run, else the package's own; nothing for other models.

    Raises ModelError; UsageError USE-OPTION for options that mean nothing there, or for a judge that nothing is judged by.
    """
    card = bundle.read_card(bundle.model_file(model))
    if card.task not in TASKS or not TASKS[card.task].judged:
        if chosen.judge is not None:
            raise UsageError("USE-OPTION", f"models of the task {card.task} are not judged", where="--judge", fix="leave --judge out")
        return {}
    if chosen.with_ or chosen.views != "none":
        raise UsageError("USE-OPTION", "samples of several models or views are not combined", where="--with", fix="leave --with and --views out")
    beside = bundle.model_file(model).with_name("judge.saccade")
    return {"judge": Judge.read(chosen.judge) if chosen.judge is not None else Judge.read(beside) if beside.is_file() else glyphs()}


def placed(found: Bundle, device: str) -> tuple[Model, AbstractContextManager[None]]:
    """The network on its device, and the arithmetic that training chose for it."""
    network = cast(Model, found.model)  # or several that answer as one, see `inference.ensemble`
    mode = inference_mode_for(network, found.card.inputs, device=device, precision=trained_precision(found.card))
    engine = Engine(device, mode.precision)
    engine.place(network)
    return network, engine.autocast()


def fitted(dataset: ImageDataset, found: Bundle, where: str) -> ImageDataset:
    """The data set with the model's channels and its class ids, matched by name. Raises DataError CLS-MODEL."""
    (head, space), task = next(iter(found.card.spaces.items())), find_task(found.card.task)
    value_range = Preprocess.from_dict(found.card.preprocess).value_range
    dataset = replace(dataset, channels=found.card.inputs.channels, value_range=value_range)
    if task.unlabelled and not len(space):  # it was trained without classes and does without them
        return dataset.with_heads([])
    own = task.space_of(dataset.spaces)
    unknown = [name for name in own.names if name not in space.names]
    if unknown:
        raise DataError("CLS-MODEL", f"{', '.join(unknown[:5])}; the model knows {', '.join(space.names[:20])}", where=where)
    if own.keypoints != space.keypoints:
        dataset = _with_points(dataset, head, own, space, where)
    return dataset if own.names == space.names else _as_named(dataset, head, own, space)


def _with_points(dataset: ImageDataset, head: str, own: LabelSpace, space: LabelSpace, where: str) -> ImageDataset:
    """The data set with its key points in the model's order; those that it does not have are not labelled. Raises DataError CLS-MODEL for others."""
    unknown = [name for name in own.keypoints if name not in space.keypoints]
    if unknown:
        got = f"key points {', '.join(unknown[:5])}; the model knows {', '.join(space.keypoints[:20])}"
        raise DataError("CLS-MODEL", got, where=where)
    places = [own.keypoints.index(name) if name in own.keypoints else -1 for name in space.keypoints]
    moved = [replace(r, targets={k: reordered(t, places, space.pairs) if k == head else t for k, t in r.targets.items()}) for r in dataset.records]
    named = replace(space, names=own.names, background=own.background, colours=own.colours)
    return dataset.with_records(moved, spaces={**dataset.spaces, head: named})


def _as_named(dataset: ImageDataset, head: str, own: LabelSpace, space: LabelSpace) -> ImageDataset:
    """The data set with the ids that its classes have in the model."""
    table = [space.index(name) for name in own.names]
    moved = tuple(replace(r, targets={k: renamed(t, table, len(space)) if k == head else t for k, t in r.targets.items()}) for r in dataset.records)
    return replace(dataset, records=moved, spaces={**dataset.spaces, head: space})


def chosen_part(dataset: ImageDataset, wanted: str | None) -> tuple[str, str, list[int]]:
    """The part to evaluate, why, and its places. Raises UsageError USE-VALUE when the data have no such part."""
    splits = {name: [i for i, record in enumerate(dataset.records) if record.split == name] for name in ("train", "val", "test")}
    present = [name for name, places in splits.items() if places]
    if wanted == "all" or (wanted is None and not {"val", "test"} & set(present)):
        return "all", "all of them" if wanted else "all of them: the data name no test or val part", list(range(len(dataset)))
    if wanted is not None:
        if wanted not in present:
            raise UsageError("USE-VALUE", f"{wanted}; the data have {', '.join([*present, 'all'])}", where="--split")
        return wanted, f"the {wanted} part", splits[wanted]
    part = "test" if "test" in present else "val"
    return part, f"the {part} part, as the data name it", splits[part]


def held(evaluation: Any, gates: tuple[str, ...]) -> None:
    """Raises GateError GATE-FAILED for the bars that are not met, UsageError USE-VALUE for a metric that does not exist."""
    failed = []
    for text in gates:
        key, sign, bar = GATE.fullmatch(text).groups()  # type: ignore[union-attr]
        if key not in evaluation.values:
            raise UsageError("USE-VALUE", f"{key}; the metrics are {', '.join(evaluation.values)}", where="--gate")
        value = evaluation.values[key].value
        if not COMPARISONS[sign](value, float(bar)):
            failed.append(f"{key} is {value:.4f}, the gate is {sign} {bar}")
    if failed:
        raise GateError("GATE-FAILED", "; ".join(failed))
