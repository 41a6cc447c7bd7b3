"""After training: calibrate, write the model file, evaluate, compare with simple models, report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np

from saccade import bundle, storage
from saccade.bundle import Card
from saccade.core import Metric, Model, System
from saccade.data.loader import Loader
from saccade.data.preprocess import Preprocess
from saccade.errors import DataError
from saccade.inference.evaluate import in_order
from saccade.inference.postprocess import AsItIs, Postprocess
from saccade.inference.tables import write_csv
from saccade.jobs.judge import judge_of
from saccade.jobs.plan import Plan
from saccade.jobs.prepare import Prepared
from saccade.tasks import find_task
from saccade.training.engine import Engine
from saccade.training.refining import MOST as PARTS
from saccade.training.refining import refine, tunable
from saccade.training.run_folder import RunFolder

REFINE_SECONDS = 30.0  # that the search for a dense CRF's settings takes, about
CALIBRATION_IMAGES = 20  # fewer say nothing of a temperature


def watch_loader(plan: Plan, dataset: Any) -> Loader:
    """Batches in order and unchanged, for validation and evaluation; of windows where the plan has a tiling."""
    preprocess, task = Preprocess.from_dict(plan.preprocess), find_task(plan.task)
    batch = max(64, plan.batch) if task.head == "label" else plan.batch
    degrade = task.degrading(plan.model, plan.arguments)
    return in_order(dataset, preprocess, degrade, batch_size=batch, threads=plan.workers, cache_bytes=plan.cache_bytes)


def evaluated_part(prepared: Prepared) -> str:
    """The part that the final numbers are of: test when there is one, else val, else train."""
    return next(name for name in ("test", "val", "train") if getattr(prepared.split, name))


def finish(model: System, plan: Plan, prepared: Prepared, run: RunFolder, engine: Engine, *, floors_s: float) -> Any:
    """Writes model.saccade, eval/ and report.html into the run folder and returns the evaluation. floors_s: for simple models beside it, 0 for none."""
    model.eval()
    refined(model, plan, prepared, run, engine)
    task, post, part = prepared.task, calibrated(model, plan, prepared, engine), evaluated_part(prepared)
    run.event("evaluate", part=part, images=len(getattr(prepared.split, part)), **post.told())
    evaluation = measured(model, watch_loader(plan, prepared.part(part)), prepared, engine, post, **judging(plan, prepared, run))
    evaluation.write(run.path / "eval")
    for alert in getattr(evaluation, "alerts", ()):
        run.alert(*alert)
    metrics = {key: value._asdict() for key, value in evaluation.values.items()}
    told = card(plan, prepared, post, metrics)
    own = {"judge": run.info["judge"]} if "judge" in run.info else {}
    bundle.write(run.path / "model.saccade", model, replace(told, extra={**told.extra, **own}))
    run.update(metrics=metrics, evaluated=part)
    if floors_s and task.floors is not None:
        run.event("floors", seconds=round(floors_s))
        write_floors(prepared, part, evaluation, run, floors_s)
    return evaluation


def refined(model: System, plan: Plan, prepared: Prepared, run: RunFolder, engine: Engine) -> None:
    """Sets a dense CRF behind the network on windows of validation images; what was tried is refine.csv, and an alert says when it stays off."""
    if not isinstance(model, Model) or tunable(model) is None:
        return
    found = None
    if prepared.split.val:
        whole = watch_loader(plan, prepared.part("val"))
        places = sorted(set(np.linspace(0, len(whole.dataset) - 1, min(len(whole.dataset), PARTS)).astype(int).tolist()))
        loader = Loader(whole.dataset.subset(places), whole.preprocess, batch_size=plan.batch, threads=plan.workers, cache_bytes=0)
        found = refine(model, loader.epoch(0), prepared.space, autocast=engine.autocast())
    if found is None:
        run.alert("REFINE-OFF", "there are no validation images to set it by")
        return
    write_csv(run.path / "refine.csv", [dict(trial) for trial in found.trials])
    told = {"settings": dict(found.settings), "before": dict(found.before), "after": dict(found.after)}
    run.update(refined={"images": found.images, "trials": len(found.trials), **told})
    run.event("refined", images=found.images, trials=len(found.trials), **told)
    if not found.used:
        run.alert("REFINE-OFF", f"none of {len(found.trials)} settings was better on parts of {found.images} validation windows")


def measured(model: System, loader: Loader, prepared: Prepared, engine: Engine, post: Postprocess, **judged: Any) -> Any:
    """One pass of the model over the loader, by the task's own metric at the thresholds chosen. judged: by whom, of a task whose answers are."""
    task = prepared.task
    metric = task.metric(prepared.space, **post.stated())
    return task.measure(model, loader, metric=metric, space=prepared.space, head=task.head, post=post, autocast=engine.autocast(), **judged)


def epoch_metric(model: System, plan: Plan, prepared: Prepared, run: RunFolder) -> Callable[[], Metric[Any]]:
    """What makes the metric of an epoch's validation: the task's own, or what watches a model whose answers are judged."""
    task = prepared.task
    if task.watch is None:
        return lambda: task.metric(prepared.space)
    judge, told = judge_of(plan, prepared, run), set[str]()
    watch = partial(task.watch, folder=run.path / "samples", number=lambda: len(run.rows()) + 1, tell=run.alert, told=told)
    return lambda: watch(model, judge.metric(task.metric, prepared.space))


def judging(plan: Plan, prepared: Prepared, run: RunFolder) -> dict[str, Any]:
    """Who judges the answers of the final evaluation, and the training pictures that copies are looked for among; nothing of other tasks."""
    if not prepared.task.judged:
        return {}
    return {"judge": judge_of(plan, prepared, run), "training": watch_loader(plan, prepared.part("train"))}


def calibrated(model: System, plan: Plan, prepared: Prepared, engine: Engine) -> Postprocess:
    """What finishes the answers, chosen by the validation images; nothing is chosen where those are too few.

    Raises DataError DATA-SMALL when thresholds are asked for and there is nothing to choose them by.
    """
    kind = prepared.task.postprocess
    if len(prepared.split.val) < CALIBRATION_IMAGES:
        if plan.min_precision is not None:
            got = f"{len(prepared.split.val)} validation images, {CALIBRATION_IMAGES} are needed to choose thresholds by"
            raise DataError("DATA-SMALL", got, where="--min-precision", fix="raise --val, or leave --min-precision out")
        return kind.from_dict({}, prepared.space)
    if kind is AsItIs and plan.min_precision is None:
        return AsItIs()
    found = measured(model, watch_loader(plan, prepared.part("val")), prepared, engine, kind.from_dict({}, prepared.space))
    return kind.fit(found, prepared.space, plan.min_precision)


def card(plan: Plan, prepared: Prepared, post: Postprocess, metrics: Mapping[str, Any]) -> Card:
    """What the model file says of its weights."""
    return Card(
        task=plan.task,
        model=plan.model,
        arguments=plan.arguments,
        inputs=plan.inputs,
        spaces={prepared.task.head: prepared.space},
        preprocess=plan.preprocess,
        postprocess=post.to_dict(),
        metrics=metrics,
        fingerprint=prepared.dataset.fingerprint,
        extra={"settings": asdict(plan.settings), "data": prepared.dataset.name},
    )


def write_floors(prepared: Prepared, part: str, evaluation: Any, run: RunFolder, budget_s: float) -> None:
    """eval/floors.json: what simple models reach on the same images."""
    split, floors = prepared.split, prepared.task.floors
    assert floors is not None
    found = floors(prepared.dataset, split.train, getattr(split, part), space=prepared.space, evaluation=evaluation, budget_s=budget_s)
    storage.write_json(run.path / "eval" / "floors.json", found)


def write_report(run: RunFolder) -> None:
    """report.html, from the files of the run folder alone."""
    from saccade.report import write

    began = time.monotonic()
    path = write(run.path)
    run.event("report", path=str(path), seconds=round(time.monotonic() - began, 2))
