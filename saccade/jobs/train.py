"""`train`: DATA becomes a run folder with a model, its numbers, and a report.

The events told to the listeners, in order: start, opened, check, split, plan (every value with its origin), selftest, speed,
step (often: n, total, loss, and phase while something else than training is under way), epoch, alert, checkpoint, evaluate, floors,
report, end (status, exit).
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from saccade.core import Estimated, Feeds, Model, System
from saccade.data.augment import Policy
from saccade.data.augment_mix import Mix
from saccade.data.loader import Loader
from saccade.data.open import located
from saccade.data.preprocess import Preprocess
from saccade.errors import InterruptedRun, ResourceError, SaccadeError
from saccade.inference.device import multiply_adds
from saccade.jobs import finish as finishing
from saccade.jobs.object_alerts import tell_objects
from saccade.jobs.options import TrainOptions
from saccade.jobs.plan import Plan, make_plan
from saccade.jobs.prepare import Opened, Prepared, opened, prepare, with_conditions, with_words, write_data
from saccade.jobs.samples import write_batch
from saccade.jobs.start import begin_with
from saccade.jobs.steps import learns_by_steps, refuse_steps
from saccade.jobs.trials import SELFTEST_SHARE, allowed_s, selftest, shortened, with_epochs, with_rate
from saccade.jobs.tricks import credited, with_preset
from saccade.models.table import MODELS
from saccade.models.table import find as find_model
from saccade.tasks import find_task
from saccade.training.engine import Engine, set_threads
from saccade.training.fit import fit, plan_stages
from saccade.training.initialisations import initialise
from saccade.training.last_layer import fit_last_layer
from saccade.training.run_folder import Listener, RunFolder, new_folder


@dataclass(frozen=True)
class RunResult:
    """A finished run: its folder, and its metrics {key: {value, low, high, n}}."""

    path: Path
    metrics: dict[str, Any]
    evaluated: str
    samples: str = "images"
    draws: bool = False  # whether the model is asked for samples

    @property
    def model(self) -> Path:
        """The model file; of a cross-validation, which has one a fold, that of the first."""
        own = self.path / "model.saccade"
        return own if own.exists() or not (self.path / "folds").exists() else self.path / "folds" / "0" / "model.saccade"

    @property
    def report(self) -> Path:
        return self.path / "report.html"


def run_train(options: TrainOptions, *, listeners: Sequence[Listener] = (), argv: Sequence[str] | None = None) -> RunResult:
    """Trains, or goes on with a run. Raises SaccadeError of every kind; run.json then says how the run ended."""
    if options.resume is not None:
        from saccade.jobs.resume import run_resume

        return run_resume(options, listeners=listeners)
    began = time.monotonic()
    before = refuse_early(options)
    if options.folds:
        from saccade.jobs.folds import run_folds

        return run_folds(options, before, listeners=listeners, argv=argv)
    stem = Path(options.data).name.split(".")[0] or "data"
    run = RunFolder(new_folder(options.out, with_preset(options)[0].model or options.task or "auto", stem, options.name), listeners=tuple(listeners))
    threads = set_threads(options.threads)
    begin(run, options, argv, threads)
    with ending(run):
        prepared = prepare(options, run, before)
        return train_prepared(options, prepared, run, began=began)


def refuse_early(options: TrainOptions) -> Opened:
    """The data, opened; what is misspelt, and data without the task's labels, are refused before a run folder is made. Raises UsageError, DataError."""
    if options.task is not None:
        find_task(options.task)
    if options.model is not None:
        known_model(options)
    return opened(options)


def known_model(options: TrainOptions) -> None:
    """Raises UsageError USE-OPTION for a model that the task does not have or, where none is named, that no task has."""
    tasks = [options.task] if options.task is not None else [task for task, models in MODELS.items() if options.model in models] or ["classify"]
    find_model(tasks[0], str(options.model))


def train_prepared(options: TrainOptions, prepared: Prepared, run: RunFolder, *, began: float) -> RunResult:
    """Plans, builds, trains and finishes, on data that is ready."""
    asked, prepared = options, with_conditions(with_words(prepared, options), options)
    options, preset = with_preset(options)
    plan, engine, model, feeds = laid_out(options, prepared, run)
    looped = learns_by_steps(model, plan.start.get("fit", "loop"))
    if not looped:
        refuse_steps(asked, plan.model, plan.start.get("fit", "loop"))
    plan = with_rate(plan, options, model, feeds, run, engine) if looped else plan
    if options.selftest and looped:
        selftest(model, plan, prepared, run, engine, seconds=SELFTEST_SHARE * allowed_s(options))
    plan = with_epochs(plan, options, prepared, model, feeds, run, engine, began)
    if looped and shortened(plan, options, prepared):
        timed, work = plan, multiply_adds(model, plan.inputs)
        plan, engine, model, feeds = laid_out(options, prepared, run, brief=True)
        if multiply_adds(model, plan.inputs) != work:  # another network, another speed
            timed = with_epochs(plan, options, prepared, model, feeds, run, engine, began)
        origins = plan.origins | {name: why for name, why in timed.origins.items() if name in ("epochs", "epoch_images")}
        plan = replace(plan, settings=replace(plan.settings, epochs=timed.settings.epochs), epoch_images=timed.epoch_images, origins=origins)
    feeds = make_feeds(plan, prepared, model) if plan.epoch_images is not None or plan.policy["mosaic_off"] else feeds
    plan = credited(plan, preset, options.preset)
    if isinstance(feeds.train, Loader):
        plan = replace(plan, origins={**plan.origins, "cache_bytes": f"{plan.origins['cache_bytes']}; {feeds.train.cache_note}"})
        write_batch(run.path / "samples", next(iter(feeds.train.epoch(0))), prepared.space, prepared.task.head)
    write_data(run, prepared, plan.preprocess)
    tell_objects(plan, prepared, run)
    run.write_config(plan.flat(), plan.origins)
    parameters = sum(p.numel() for p in model.parameters())
    facts = {"task": plan.task, "model": plan.model, "monitor": plan.monitor, "precision": plan.settings.precision, "fingerprint": prepared.dataset.fingerprint}
    run.update(plan=plan.to_dict(), parameters=parameters, **facts)
    run.event("plan", values=plan.flat(), origins=plan.origins, parameters=parameters)
    return train_planned(plan, model, feeds, prepared, run, engine, floors_s=options.floors_s)


def laid_out(options: TrainOptions, prepared: Prepared, run: RunFolder, *, brief: bool = False) -> tuple[Plan, Engine, System, Feeds]:
    """The choices but for the epochs, and what they make: where to compute, the network with its first weights, the loaders."""
    plan = make_plan(options, prepared, brief=brief)
    model = plan.build(prepared.space)
    begin_with(model, plan, run, prepared.space)
    feeds = make_feeds(plan, prepared, model)
    scaled_first(model, plan, feeds)
    return plan, Engine(plan.device, plan.settings.precision), model, feeds


def train_planned(plan: Plan, model: System, feeds: Feeds, prepared: Prepared, run: RunFolder, engine: Engine, *, floors_s: float) -> RunResult:
    """Everything after the plan is stored: what a resumed run does too."""
    scaled_first(model, plan, feeds)
    task = prepared.task
    metrics = {task.head: finishing.epoch_metric(model, plan, prepared, run)} if feeds.val is not None else {}
    monitor = plan.monitor if feeds.val is not None else "train_loss"
    if plan.start.get("fit", "loop") != "loop":
        fitted_last(model, plan, feeds, run, engine)
    elif isinstance(model, Estimated):
        estimated(model, feeds, run, engine)
    else:
        fit(model, feeds, settings=plan.settings, run=run, engine=engine, metrics=metrics, monitor=monitor)
    progress = [row for row in run.rows() if row.get("best")]
    run.update(best={"epoch": progress[-1]["epoch"], "value": progress[-1].get(monitor)} if progress else None)
    for problem in (feeds.train.problems if isinstance(feeds.train, Loader) else ())[:20]:
        run.alert(problem.code, f"{problem.where}: {problem.got}")
    evaluation = finishing.finish(model, plan, prepared, run, engine, floors_s=floors_s)
    return result(run, evaluation)


def scaled_first(model: System, plan: Plan, feeds: Feeds) -> None:
    """The first weights of `--init lsuv`, which need pictures: those of the first batch, whenever asked."""
    if plan.init == "lsuv":
        initialise(model, plan.init, seed=plan.settings.seed, batch=next(iter(feeds.train.epoch(0))))


def fitted_last(model: System, plan: Plan, feeds: Feeds, run: RunFolder, engine: Engine) -> None:
    """Fits the last layer on the features as they are, see `training.last_layer`."""
    assert isinstance(model, Model), "refused before"
    engine.place(model)
    began = time.monotonic()
    found = fit_last_layer(model, feeds, plan.start["fit"], head=find_task(plan.task).head, autocast=engine.autocast())
    model.eval()
    run.event("fitted", how=plan.start["fit"], penalty=found.penalty, seconds=round(time.monotonic() - began, 2))


def estimated(model: Estimated, feeds: Feeds, run: RunFolder, engine: Engine) -> None:
    """Trains what learns without the loop: one pass or as many as it asks for, its progress being events of the run."""
    engine.place(model)
    began = time.monotonic()
    model.train()
    model.estimate(feeds, run)
    model.eval()
    run.event("estimated", seconds=round(time.monotonic() - began, 2))


def result(run: RunFolder, evaluation: Any) -> RunResult:
    """Ends the run well: the report is written last, because it tells how the run ended."""
    run.end("done", 0)
    finishing.write_report(run)
    task = find_task(run.info["task"])
    return RunResult(run.path, run.info["metrics"], run.info["evaluated"], task.samples, task.judged)


def make_feeds(plan: Plan, prepared: Prepared, model: System) -> Feeds:
    """The loaders of a plan: training images shuffled, changed and mixed; validation images as they are."""
    preprocess, task, added = Preprocess.from_dict(plan.preprocess), prepared.task, plan.settings.extensions
    own = [epochs for _, epochs in plan_stages(model, plan.settings)][: -len(added) or None]
    train = Loader(
        preprocess.parts(prepared.part("train")),
        preprocess,
        batch_size=plan.batch,
        policy=Policy.from_dict(plan.policy),
        mix=Mix(**plan.mix) if any(plan.mix.values()) else None,
        degrade=task.degrading(plan.model, plan.arguments),
        shuffle=True,
        balanced=plan.sampling == "balanced",
        most=plan.epoch_images,
        seed=plan.settings.seed,
        threads=plan.workers,
        cache_bytes=plan.cache_bytes,
        schedules=(sum(own), *added),
    )
    val = finishing.watch_loader(plan, prepared.part("val")) if prepared.split.val else None
    return Feeds(train, val)


def begin(run: RunFolder, options: TrainOptions, argv: Sequence[str] | None, threads: int) -> None:
    """Writes into run.json what is known before anything is read: command, seed, versions."""
    from importlib.metadata import version

    versions = {name: version(name) for name in ("saccade", "torch", "numpy", "opencv-python-headless", "pillow")}
    versions["python"] = sys.version.split()[0]
    words = list(argv) if argv is not None else as_words(options)
    stored = options.model_dump(mode="json", exclude_unset=True)
    stored |= {key: located(stored[key]) for key in ("data", "split", "from_") if stored.get(key)}  # resumed from any folder
    run.begin(
        task=options.task,
        started=time.time(),
        seed=options.seed,
        threads=threads,
        versions=versions,
        argv=words,
        command=shlex.join(words),
        options=stored,
    )
    run.event("start", **{k: run.info[k] for k in ("argv", "versions", "seed", "threads")}, path=str(run.path))


def as_words(options: TrainOptions) -> list[str]:
    """The command line that gives these options."""
    words = ["saccade", "train", options.data]
    for name, value in options.model_dump(mode="json", exclude_unset=True).items():
        flag = f"--{name.rstrip('_').replace('_', '-')}"
        if name == "data" or value is None:
            continue
        if isinstance(value, bool):
            words.append(flag if value else f"--no-{flag[2:]}")
        else:
            words += [word for item in (value if isinstance(value, list) else [value]) for word in (flag, str(item))]
    return words


class ending:
    """Writes into run.json how the run ended, whatever ended it."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, _: Any) -> None:
        if problem is None:
            return
        status, code = "failed", 1
        if isinstance(problem, KeyboardInterrupt | InterruptedRun):
            status, code = "interrupted", getattr(problem, "exit", 130)
        elif isinstance(problem, SaccadeError):
            code = problem.exit
        try:
            self.run.end(status, code, str(problem))
        except (ResourceError, OSError):
            return  # the disk is full or gone: the first error is the one to tell
