"""`train --resume RUN [--epochs +20]`: goes on with an interrupted run, or extends a finished one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from saccade import storage
from saccade.core import Estimated
from saccade.data.open import located
from saccade.data.split import Split
from saccade.errors import DataError, ModelError, UsageError
from saccade.jobs.options import TrainOptions, make_options, memory
from saccade.jobs.plan import Plan
from saccade.jobs.prepare import Prepared, counted, open_checked, prepare, with_conditions
from saccade.jobs.start import begin_with
from saccade.training.engine import Engine, set_threads
from saccade.training.run_folder import Listener, RunFolder

if TYPE_CHECKING:
    from saccade.jobs.train import RunResult

ALLOWED = {"resume", "epochs", "device", "threads", "workers", "cache", "data_changed_ok", "save_every", "floors", "data"}


def run_resume(options: TrainOptions, *, listeners: Sequence[Listener] = ()) -> RunResult:
    """Goes on in the same folder. Settings that would change the result are refused, and so is changed data.

    Raises UsageError RUN-MISSING, RUN-CONFIG or RUN-ACTIVE, DataError DATA-CHANGED.
    """
    from saccade.jobs import train

    path = Path(options.resume or "")
    run = open_run(path, listeners)
    stored = make_options(**run.info["options"])
    if stored.folds:
        from saccade.jobs.folds import resume_folds

        return resume_folds(options, stored, run)
    refuse_changes(options, run)
    threads = set_threads(options.threads or run.info["threads"])
    if threads != run.info["threads"]:
        run.alert("RUN-THREADS", f"{threads}, the run was started with {run.info['threads']}")
    run.begin()
    with train.ending(run):
        if "plan" not in run.info:  # stopped before the plan was made: nothing is lost by beginning again
            prepared = prepare(stored, run)
            import time

            return train.train_prepared(stored, prepared, run, began=time.monotonic())
        prepared = reopened(stored, options, run)
        plan = adjusted(extended(Plan.from_dict(run.info["plan"]), options, run), options)
        prepared = with_conditions(counted(prepared, plan.vocabulary), stored, plan.told)
        engine = Engine(plan.device, plan.settings.precision)
        model = plan.build(prepared.space)
        if isinstance(model, Estimated):  # it has no checkpoints: it begins again, with what it began with
            begin_with(model, plan, run, prepared.space)
        return train.train_planned(
            plan, model, train.make_feeds(plan, prepared, model), prepared, run, engine, floors_s=(options if "floors" in options.given else stored).floors_s
        )


def open_run(path: Path, listeners: Sequence[Listener]) -> RunFolder:
    """The folder of a run that may be resumed."""
    if not (path / "run.json").is_file():
        raise UsageError("RUN-MISSING", where=str(path))
    try:
        run = RunFolder(path.resolve(), listeners=tuple(listeners))
    except ValueError as problem:
        raise ModelError("RUN-CHECKPOINT", str(problem), where=str(path)) from None
    if run.running_elsewhere():
        raise UsageError("RUN-ACTIVE", f"process {run.info['pid']}", where=str(path))
    return run


def refuse_changes(options: TrainOptions, run: RunFolder) -> None:
    """Raises UsageError RUN-CONFIG for options that would make another run of it."""
    changed = sorted(options.given - ALLOWED)
    if options.data and located(options.data) != run.info["options"].get("data"):
        changed.append("data")
    if changed:
        shown = ", ".join(f"{name}: {run.info['options'].get(name, 'not given')} -> {getattr(options, name)}" for name in changed)
        raise UsageError("RUN-CONFIG", shown, where=str(run.path))
    if options.epochs and not options.epochs.startswith("+"):
        raise UsageError("RUN-CONFIG", f"epochs {options.epochs}; to extend the run give +{options.epochs}", where=str(run.path))


def reopened(stored: TrainOptions, options: TrainOptions, run: RunFolder) -> Prepared:
    """The data as it was: the same images, labels and parts. Raises DataError DATA-CHANGED."""
    task, dataset, report = open_checked(stored, run)
    known = storage.read_json(run.path / "data.json")
    if dataset.fingerprint != known["fingerprint"]:
        if not options.data_changed_ok:
            raise DataError("DATA-CHANGED", f"fingerprint {dataset.fingerprint[:12]}, stored {known['fingerprint'][:12]}", where=stored.data)
        run.alert("DATA-CHANGED", "accepted with --data-changed-ok")
    places = {record.id: i for i, record in enumerate(dataset.records)}
    parts = {name: tuple(places[i] for i in ids if i in places) for name, ids in known["split"].items()}
    return Prepared(task, dataset, Split(parts["train"], parts["val"], parts["test"], known["split_reason"]), report)


def adjusted(plan: Plan, options: TrainOptions) -> Plan:
    """The plan with what a resumed run may be told anew, because it changes no weight: device, loader threads, cache, how often it saves."""
    if "save_every" in options.given:
        plan = replace(plan, settings=replace(plan.settings, save_every_s=options.save_every))
    if "cache" in options.given and options.cache is not None:
        plan = replace(plan, cache_bytes=memory(options.cache))
    if options.workers is not None:
        plan = replace(plan, workers=options.workers)
    return replace(plan, device=options.device) if "device" in options.given else plan


def extended(plan: Plan, options: TrainOptions, run: RunFolder) -> Plan:
    """The plan with further epochs, where they are asked for; stored before the first of them."""
    if options.epochs is None:
        return plan
    more = int(options.epochs.removeprefix("+"))
    if not (run.path / "checkpoints" / "last").exists():
        raise UsageError("RUN-CONFIG", "there is no checkpoint to extend", where=str(run.path))
    settings = replace(plan.settings, extensions=(*plan.settings.extensions, more))
    plan = replace(plan, settings=settings, origins={**plan.origins, "extensions": "user"})
    run.update(plan=plan.to_dict())
    run.write_config(plan.flat(), plan.origins)
    return plan
