"""`train --folds K`: cross-validation. Every image is predicted once by a network that never saw it, nor its group.

The folder holds one run a fold (folds/0 ...) and cv.json: the metrics of the pooled predictions with intervals, the mean over
the folds, and the floors on the same images with a paired test.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from saccade import storage
from saccade.data.split import Split, make_folds
from saccade.errors import DataError, InterruptedRun, UsageError
from saccade.inference.classified import Classified
from saccade.jobs.finish import write_report
from saccade.jobs.options import TrainOptions, seconds
from saccade.jobs.prepare import Opened, Prepared, counted, open_checked, with_conditions
from saccade.jobs.train import RunResult, begin, ending, train_prepared
from saccade.jobs.trials import DEFAULT_BUDGET
from saccade.metrics import paired
from saccade.training.engine import set_threads
from saccade.training.run_folder import Listener, RunFolder, new_folder


def run_folds(options: TrainOptions, before: Opened, *, listeners: Sequence[Listener] = (), argv: Sequence[str] | None = None) -> RunResult:
    """Trains K networks, each tested on the part that it was kept from. A budget is that of all folds together."""
    stem = Path(options.data).name.split(".")[0] or "data"
    run = RunFolder(new_folder(options.out, options.model or options.task or "auto", stem, options.name or f"cv{options.folds}"), listeners=tuple(listeners))
    begin(run, options, argv, set_threads(options.threads))
    with ending(run):
        return _all_folds(options, options, run, before)


def resume_folds(options: TrainOptions, stored: TrainOptions, run: RunFolder) -> RunResult:
    """Goes on with the folds that are not finished."""
    from saccade.jobs.resume import refuse_changes

    refuse_changes(options, run)
    if options.epochs is not None:
        raise UsageError("RUN-CONFIG", f"epochs {options.epochs}: a cross-validation is not extended; start another with more --epochs", where=str(run.path))
    set_threads(options.threads or run.info["threads"])
    run.begin()
    with ending(run):
        return _all_folds(stored, options, run, None)


def _all_folds(options: TrainOptions, resumed: TrainOptions, run: RunFolder, before: Opened | None) -> RunResult:
    task, dataset, report = open_checked(options, run, before)
    refuse_other_data(dataset.fingerprint, resumed, run)
    splits = make_folds(dataset, options.folds, seed=options.seed, val=0.15 if options.val is None else options.val)
    paths = []
    for number, split in enumerate(splits):
        path = run.path / "folds" / str(number)
        run.event("fold", number=number, folds=len(splits), path=str(path))
        if not _done(path):
            _one_fold(_share(options, len(splits)), resumed, Prepared(task, dataset, split, report), path, run)
        paths.append(path)
    found = summarise(paths) if task.head == "label" else summarise_values(paths)
    storage.write_json(run.path / "cv.json", found)
    _write_data(run, Prepared(task, dataset, splits[0], report), splits, paths[0])
    run.update(metrics=found["metrics"], evaluated="every fold", monitor=RunFolder(paths[0]).info.get("monitor"), model=RunFolder(paths[0]).info.get("model"))
    run.end("done", 0)
    write_report(run)
    return RunResult(run.path, found["metrics"], "every fold", task.samples)


def refuse_other_data(fingerprint: str, options: TrainOptions, run: RunFolder) -> None:
    """The folds of one cross-validation are of one data set. Raises DataError DATA-CHANGED."""
    known = run.info.get("fingerprint", fingerprint)
    if known != fingerprint:
        if not options.data_changed_ok:
            raise DataError("DATA-CHANGED", f"fingerprint {fingerprint[:12]}, stored {known[:12]}", where=str(run.path))
        run.alert("DATA-CHANGED", "accepted with --data-changed-ok")
    run.update(fingerprint=fingerprint)


def _share(options: TrainOptions, folds: int) -> TrainOptions:
    """The options of one fold: its share of the budget, its own folder."""
    share = seconds(options.budget or DEFAULT_BUDGET) / folds
    return options.model_copy(update={"budget": f"{share:.0f}s", "folds": 0})


def _done(path: Path) -> bool:
    return (path / "run.json").exists() and RunFolder(path).info.get("status") == "done"


def _one_fold(options: TrainOptions, resumed: TrainOptions, prepared: Prepared, path: Path, parent: RunFolder) -> None:
    """Trains one fold, or goes on with it where it was stopped."""
    from saccade.jobs.plan import Plan
    from saccade.jobs.resume import adjusted
    from saccade.jobs.train import make_feeds, train_planned
    from saccade.training.engine import Engine

    began = time.monotonic()
    path.mkdir(parents=True, exist_ok=True)
    run = RunFolder(path, listeners=tuple(parent.listeners))
    with ending(run), stopping_as(parent):
        if "plan" in run.info:
            plan = adjusted(Plan.from_dict(run.info["plan"]), resumed)
            prepared = with_conditions(counted(prepared, plan.vocabulary), options, plan.told)
            run.begin()
            engine, model = Engine(plan.device, plan.settings.precision), plan.build(prepared.space)
            train_planned(plan, model, make_feeds(plan, prepared, model), prepared, run, engine, floors_s=options.floors_s)
        else:
            begin(run, options, parent.info["argv"], parent.info["threads"])
            train_prepared(options, prepared, run, began=began)


@contextmanager
def stopping_as(parent: RunFolder) -> Iterator[None]:
    """A fold that is stopped tells how to go on with all of them."""
    try:
        yield
    except InterruptedRun as stopped:
        stopped.fix, stopped.where = f"saccade train --resume {parent.path}", str(parent.path)
        raise


def summarise(paths: Sequence[Path]) -> dict[str, Any]:
    """The pooled metrics with intervals, each fold's own, and the floors beside them."""
    evaluations = [Classified.read(path / "eval") for path in paths]
    pooled = evaluations[0].metric
    for evaluation in evaluations[1:]:
        pooled = pooled + evaluation.metric
    metrics = {key: value._asdict() for key, value in pooled.compute().items()}
    folds: list[dict[str, Any]] = [{"path": f"folds/{i}", "metrics": {k: v._asdict() for k, v in e.values.items()}} for i, e in enumerate(evaluations)]
    means = {key: spread([fold["metrics"][key]["value"] for fold in folds]) for key in metrics}
    floors = [storage.read_json(p / "eval" / "floors.json") for p in paths if (p / "eval" / "floors.json").exists()]
    return {"folds": folds, "metrics": metrics, "means": means, "floors": _floors(floors, folds), "paired": _paired(floors, folds)}


def summarise_values(paths: Sequence[Path]) -> dict[str, Any]:
    """Each fold's own metrics and their mean, whose interval is Student's t over the folds: for answers that are not kept."""
    from scipy.stats import t

    folds = [{"path": f"folds/{i}", "metrics": storage.read_json(path / "eval" / "metrics.json")} for i, path in enumerate(paths)]
    metrics: dict[str, Any] = {}
    for key in folds[0]["metrics"]:
        values = np.array([fold["metrics"][key]["value"] for fold in folds], float)
        reach = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
        count = sum(fold["metrics"][key]["n"] for fold in folds)
        metrics[key] = {"value": float(values.mean()), "low": float(values.mean() - reach), "high": float(values.mean() + reach), "n": count}
    means = {key: spread([fold["metrics"][key]["value"] for fold in folds]) for key in metrics}
    return {"folds": folds, "metrics": metrics, "means": means, "floors": {}, "paired": {}}


def spread(values: Sequence[float]) -> dict[str, float]:
    """Mean and standard deviation over the folds.

    >>> spread([0.8, 0.9])
    {'mean': 0.85, 'std': 0.0707}
    """
    found = np.asarray(values, float)
    return {"mean": round(float(found.mean()), 6), "std": round(float(found.std(ddof=1)), 4)}


def _floors(floors: list[dict[str, Any]], folds: list[dict[str, Any]]) -> dict[str, Any]:
    """Each simple model's mean over the folds, where every fold has it."""
    if len(floors) != len(folds):
        return {}
    names = [name for name in floors[0] if all(name in f and "unfinished" not in f[name] for f in floors)]
    keys = list(folds[0]["metrics"])
    return {name: {key: spread([f[name][key]["value"] for f in floors]) for key in keys if all(key in f[name] for f in floors)} for name in names}


def _paired(floors: list[dict[str, Any]], folds: list[dict[str, Any]]) -> dict[str, Any]:
    """The network against each simple model, twice: by the corrected resampled t-test (Nadeau and Bengio 2003) over the folds, which asks
    whether networks trained anew would win too, and, as name.metric.images, by each fold's own paired test of its images, combined.
    """
    compared = {}
    for name, values in _floors(floors, folds).items():
        for key in values:
            if key in ("accuracy", "auroc"):
                differences = [fold["metrics"][key]["value"] - floor[name][key]["value"] for fold, floor in zip(folds, floors, strict=True)]
                compared[f"{name}.{key}"] = paired.corrected_t(differences, 1 / (len(folds) - 1)).to_dict()
                tests = [floor[name].get("paired", {}).get(key) for floor in floors]
                if all(tests):
                    compared[f"{name}.{key}.images"] = paired.combined([paired.Paired(**test) for test in tests]).to_dict()
    return compared


def _write_data(run: RunFolder, prepared: Prepared, splits: Sequence[Split], fold: Path) -> None:
    from saccade.jobs.prepare import write_data

    write_data(run, prepared, storage.read_json(fold / "data.json")["preprocess"])
    data = storage.read_json(run.path / "data.json")
    records = prepared.dataset.records
    data["split"] = {f"fold {i}": [records[place].id for place in split.test] for i, split in enumerate(splits)}
    folds = [replace(prepared, split=Split((), (), split.test, "")).counts()["test"] for split in splits]
    data["counts"] = {f"fold {i}": counts for i, counts in enumerate(folds)}
    storage.write_json(run.path / "data.json", data)
