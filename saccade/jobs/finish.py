"""After training: calibrate, write the model file, evaluate, compare with simple models, report."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from saccade import bundle, storage
from saccade.bundle import Card
from saccade.core import Model
from saccade.data.loader import Loader
from saccade.data.preprocess import Preprocess
from saccade.data.tiles import windowed
from saccade.errors import DataError
from saccade.inference.evaluate import Evaluation, evaluate
from saccade.inference.postprocess import Postprocess
from saccade.jobs.plan import Plan
from saccade.jobs.prepare import Prepared
from saccade.metrics.calibration import fit_temperature, scale
from saccade.metrics.thresholds import choose
from saccade.training.engine import Engine
from saccade.training.run_folder import RunFolder

FLOOR_SECONDS = 20.0
CALIBRATION_IMAGES = 20  # fewer say nothing of a temperature


def watch_loader(plan: Plan, dataset: Any) -> Loader:
    """Batches in order and unchanged, for validation and evaluation; of windows where the plan has a tiling."""
    preprocess = Preprocess.from_dict(plan.preprocess)
    return Loader(windowed(dataset, preprocess.tiling), preprocess, batch_size=max(64, plan.batch), threads=plan.workers, cache_bytes=plan.cache_bytes)


def evaluated_part(prepared: Prepared) -> str:
    """The part that the final numbers are of: test when there is one, else val, else train."""
    return next(name for name in ("test", "val", "train") if getattr(prepared.split, name))


def finish(model: Model, plan: Plan, prepared: Prepared, run: RunFolder, engine: Engine, *, floors: bool) -> Evaluation:
    """Writes model.saccade, eval/ and report.html into the run folder and returns the evaluation."""
    model.eval()
    post = calibrated(model, plan, prepared, engine)
    part = evaluated_part(prepared)
    run.event("evaluate", part=part, images=len(getattr(prepared.split, part)), temperature=round(post.temperature, 4))
    loader, limits = watch_loader(plan, prepared.part(part)), dict(post.thresholds) or None
    evaluation = evaluate(model, loader, space=prepared.space, temperature=post.temperature, thresholds=limits, autocast=engine.autocast())
    evaluation.write(run.path / "eval")
    metrics = {key: value._asdict() for key, value in evaluation.values.items()}
    bundle.write(run.path / "model.saccade", model, card(plan, prepared, post, metrics))
    run.update(metrics=metrics, evaluated=part)
    if floors:
        run.event("floors", seconds=FLOOR_SECONDS)
        write_floors(prepared, part, evaluation, run)
    return evaluation


def calibrated(model: Model, plan: Plan, prepared: Prepared, engine: Engine) -> Postprocess:
    """The temperature and, where a precision is asked for, the thresholds, both from the validation images; none where those are too few.

    Raises DataError DATA-SMALL when thresholds are asked for and there is nothing to choose them by.
    """
    if len(prepared.split.val) < CALIBRATION_IMAGES:
        if plan.min_precision is not None:
            got = f"{len(prepared.split.val)} validation images, {CALIBRATION_IMAGES} are needed to choose thresholds by"
            raise DataError("DATA-SMALL", got, where="--min-precision", fix="raise --val, or leave --min-precision out")
        return Postprocess()
    found = evaluate(model, watch_loader(plan, prepared.part("val")), space=prepared.space, autocast=engine.autocast())
    p, truth = found.metric.probabilities, found.metric.truth
    temperature = fit_temperature(p, truth)
    if plan.min_precision is None:
        return Postprocess(temperature)
    return Postprocess(temperature, choose(scale(p, temperature), truth, prepared.space, precision=plan.min_precision))


def card(plan: Plan, prepared: Prepared, post: Postprocess, metrics: Mapping[str, Any]) -> Card:
    """What the model file says of its weights."""
    return Card(
        task=plan.task,
        model=plan.model,
        arguments=plan.arguments,
        inputs=plan.inputs,
        spaces={"label": prepared.space},
        preprocess=plan.preprocess,
        postprocess=post.to_dict(),
        metrics=metrics,
        fingerprint=prepared.dataset.fingerprint,
        extra={"settings": asdict(plan.settings), "data": prepared.dataset.name},
    )


def write_floors(prepared: Prepared, part: str, evaluation: Evaluation, run: RunFolder) -> None:
    """eval/floors.json: what simple models reach on the same images."""
    from saccade.inference.floors import run_floors

    split = prepared.split
    found = run_floors(prepared.dataset, split.train, getattr(split, part), space=prepared.space, evaluation=evaluation, budget_s=FLOOR_SECONDS)
    storage.write_json(run.path / "eval" / "floors.json", found)


def write_report(run: RunFolder) -> None:
    """report.html, from the files of the run folder alone."""
    from saccade.report import write

    began = time.monotonic()
    path = write(run.path)
    run.event("report", path=str(path), seconds=round(time.monotonic() - began, 2))
