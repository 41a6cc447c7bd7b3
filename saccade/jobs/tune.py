"""`tune`: many short trainings that differ in a few settings, scored on validation images or folds, never on the test part.

The folder holds study.sqlite (the trials; several processes may share it: start the same command again with the same --out), a run a trial
(trials/0 ...), trials.csv and report.html. The events told: start, opened, check, split, study, trial (begins), scored, alert, end.
"""

from __future__ import annotations

import shlex
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from saccade.data.split import Split, make_folds
from saccade.errors import DataError, InterruptedRun, SaccadeError, UsageError, nearest
from saccade.jobs.options import TrainOptions, make_options, network_settings, seconds
from saccade.jobs.prepare import Prepared, prepare, with_conditions, with_words
from saccade.jobs.steps import OF_STEPS, learns_by_steps, refuse_steps
from saccade.jobs.train import as_words, begin, ending, refuse_early, train_prepared
from saccade.jobs.trials import DEFAULT_BUDGET, with_epochs
from saccade.jobs.tune_options import FIXED, TuneOptions
from saccade.models.arguments import schema
from saccade.models.table import find
from saccade.report.tune_report import write_study
from saccade.tasks import Task
from saccade.training.engine import Engine, set_threads
from saccade.training.optimisers import start_of
from saccade.training.progress import LESS_IS_BETTER
from saccade.training.run_folder import Listener, RunFolder, new_folder
from saccade.training.search_space import Space, draw, read_space
from saccade.training.search_space import as_words as search_words
from saccade.training.tuning import NAME, STALE_S, Facts, Study, Trial

OWN = ("budget", "epochs", "folds", "out", "name")  # options of a training that each trial has its own of
STEPLESS = "learns_without_steps"  # in the facts of a study of such a model


@dataclass(frozen=True)
class TuneResult:
    """A study: its folder, its best trial, all trials, and the command that trains with the best settings."""

    path: Path
    best: Trial
    trials: list[Trial]
    monitor: str
    command: str

    @property
    def report(self) -> Path:
        return self.path / "report.html"


@dataclass(frozen=True)
class _Work:
    """What every trial needs. parts: one, or one a fold, each without its test images."""

    options: TuneOptions
    study: Study
    parts: Sequence[Prepared]
    run: RunFolder
    deadline: float


def run_tune(options: TuneOptions, *, listeners: Sequence[Listener] = (), argv: Sequence[str] | None = None) -> TuneResult:
    """Searches until all trials are done or the budget is spent. Raises SaccadeError of every kind."""
    began = time.monotonic()
    before = refuse_early(options)
    space = read_space(options.search or default_search(options, before.task))
    refuse_unknown(options, space)
    stem = Path(options.data).name.split(".")[0] or "data"
    run = folder_of(options, stem, listeners)
    threads = set_threads(options.threads)
    begin(run, options, argv, threads)
    with ending(run):
        prepared = prepare(options, run, before)
        monitor = options.monitor or prepared.task.monitor
        parts = without_test(prepared, options)
        epochs = epochs_of(options, space, parts[0], run, began)
        study = Study.open(run.path, facts_of(options, space, prepared, monitor, epochs))
        run.event("study", search=[d.text() for d in space], method=options.method, trials=options.trials, epochs=study.facts.epochs, monitor=monitor)
        search(_Work(options, study, parts, run, began + seconds(options.budget or DEFAULT_BUDGET)))
        return finished(options, study, run)


def folder_of(options: TuneOptions, stem: str, listeners: Sequence[Listener]) -> RunFolder:
    """The study's folder: a new one, or the one that another process made."""
    if options.out is not None and (options.out / NAME).is_file():
        return RunFolder(options.out.resolve(), listeners=tuple(listeners))
    return RunFolder(new_folder(options.out, "tune", stem, options.name), listeners=tuple(listeners))


# -- what is searched ---------------------------------------------------------------------------------------------


def default_search(options: TuneOptions, task: Task[Any]) -> tuple[str, ...]:
    """The rate an eightfold each way of what training would take, the decay of the weights, and what the network has of dropout and label
    smoothing; less what the user has settled."""
    model = options.model or next(iter(task.models))
    optimiser = options.optimiser or "adamw"
    rate = start_of(optimiser).rate or task.recipe(model).rate
    low, high = (1e-5, 1e-2) if start_of(optimiser).rate else (1e-3, 0.3)
    found = {"lr": f"{rate / 8:.3g}..{rate * 8:.3g}", "weight_decay": f"{low:g}..{high:g}"}
    has = schema(find(task.name, model)).model_fields
    found |= {f"network.{name}": f"0..{most}" for name, most in (("dropout", 0.5), ("label_smoothing", 0.2)) if name in has}
    settled = options.given | {f"network.{name}" for name in network_settings(options.set)}
    left = tuple(f"{name}={values}" for name, values in found.items() if name not in settled)
    if not left:
        raise UsageError("USE-MISSING", "everything that would be searched is settled", where="--search", fix="say what to search, such as batch=16,32,64")
    return left


def refuse_unknown(options: TuneOptions, space: Space) -> None:
    """Raises UsageError USE-OPTION for a name that is no option of training, or that is not for a search, and for one that is settled too."""
    known = [name for name in TrainOptions.model_fields if name not in FIXED]
    for dimension in space:
        name = dimension.name
        if not name.startswith("network.") and name not in known:
            got = f"{name} cannot be searched" if name in FIXED else f"{name}; {nearest(name, known)}, or network.NAME of an argument of the network"
            raise UsageError("USE-OPTION", got, where="--search")
        if name in options.given or name.removeprefix("network.") in network_settings(options.set):
            raise UsageError("USE-OPTION", f"{name} is both settled and searched", where="--search", fix="leave one of them out")
    for number in range(3):
        trial_options(options, draw(space, 0, number), None, Path("trial"))  # a value that training would refuse is refused now


def trial_options(options: TuneOptions, values: Mapping[str, Any], epochs: int | None, out: Path) -> TrainOptions:
    """The options of one training: those that all share, and the trial's values. epochs: None where training decides, or where there are none."""
    shared = {name: getattr(options, name) for name in options.given if name in TrainOptions.model_fields and name not in OWN}
    named = {name: _as_option(name, value) for name, value in values.items() if not name.startswith("network.")}
    arguments = tuple(word for word in search_words({k: v for k, v in values.items() if k.startswith("network.")}) if word != "--set")
    shared |= {} if epochs is None else {"epochs": str(epochs)}
    shared |= {"out": out, "floors": False, "selftest": False, "set": (*options.set, *arguments)}
    return make_options(**shared, **named)


def _as_option(name: str, value: Any) -> Any:
    """A value as the option takes it: text where it is text."""
    kinds = str(TrainOptions.model_fields[name].annotation)
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) and "str" in kinds else value


def without_test(prepared: Prepared, options: TuneOptions) -> list[Prepared]:
    """What the trials see: the training and validation images, once or in folds; the test images are in none.

    Raises DataError DATA-SMALL without validation images.
    """
    split = prepared.split
    if options.folds:
        kept = sorted((*split.train, *split.val))
        part = replace(prepared, dataset=prepared.dataset.subset(kept))
        folds = make_folds(part.dataset, options.folds, seed=options.seed, val=0.0)
        return [replace(part, split=Split(fold.train, fold.test, (), fold.reason)) for fold in folds]
    if not split.val:
        raise DataError("DATA-SMALL", "no validation images to choose by", where=str(options.data), fix="raise --val, or give --folds")
    return [replace(prepared, split=split._replace(test=()))]


def facts_of(options: TuneOptions, space: Space, prepared: Prepared, monitor: str, epochs: int | None) -> Facts:
    """What every process of the study must mean the same."""
    left_out = ("out", "name", "budget", "threads", "workers", "device", "cache", "data", "search", "trials", "method")
    shared = {name: value for name, value in options.model_dump(mode="json", exclude_unset=True).items() if name not in left_out}
    settled: dict[str, Any] = {"fingerprint": prepared.dataset.fingerprint, "task": prepared.task.name, "options": shared}
    settled |= {STEPLESS: True} if epochs is None else {}
    less = monitor.rpartition(".")[2] in LESS_IS_BETTER
    return Facts(tuple(d.text() for d in space), options.method, options.trials, epochs or 1, monitor, less, options.seed, settled=settled)


def epochs_of(options: TuneOptions, space: Space, prepared: Prepared, run: RunFolder, began: float) -> int | None:
    """Epochs of the longest trainings: the user's, or so many that all trials fit the budget at the speed that is measured; None for a model without steps.

    Raises UsageError USE-OPTION where such a model is asked for steps, or for a search among what is about them.
    """
    from saccade.jobs.plan import make_plan
    from saccade.jobs.train import make_feeds

    given = trial_options(options, {}, None, run.path)
    prepared = with_conditions(with_words(prepared, given), given)
    plan = make_plan(given, prepared)
    model = plan.build(prepared.space)
    if not learns_by_steps(model, plan.start.get("fit", "loop")):
        refuse_steps(options, plan.model, plan.start.get("fit", "loop"))
        refuse_search(options, space, plan.model)
        return None
    if options.epochs:
        return int(options.epochs)
    if (run.path / NAME).is_file():
        return Study.stored(run.path).facts.epochs
    whole = seconds(options.budget or DEFAULT_BUDGET) - (time.monotonic() - began)
    trainings = options.trials * max(1, options.folds) if options.method != "halving" else options.trials * max(1, options.folds) / 3  # three rungs of a ninth
    share = max(1.0, 0.9 * whole / trainings)
    given = given.model_copy(update={"budget": f"{share:.0f}s"})
    plan = with_epochs(plan, given, prepared, model, make_feeds(plan, prepared, model), run, Engine(plan.device, plan.settings.precision), time.monotonic())
    return plan.settings.epochs


def refuse_search(options: TuneOptions, space: Space, model: str) -> None:
    """Raises UsageError USE-OPTION for a search of a model without steps among what is about them."""
    idle = [dimension.name for dimension in space if dimension.name in OF_STEPS]
    if idle:
        fix = "search arguments of the network: --search network.NAME=..."
        raise UsageError("USE-OPTION", f"{model} learns without gradient steps, and {', '.join(idle)} would change nothing", where="--search", fix=fix)
    if options.method == "halving":
        got = f"{model} learns without epochs, and halving is of trainings of different length"
        raise UsageError("USE-OPTION", got, where="--method", fix="choose random or optuna")


# -- the search ---------------------------------------------------------------------------------------------------


def search(work: _Work) -> None:
    """Asks, trains and tells, until nothing is left or no time for another training is."""
    study = work.study
    while time.monotonic() < work.deadline:
        trials = study.trials()
        pace = [t.seconds / t.epochs for t in trials if t.seconds]
        if pace and time.monotonic() + float(np.median(pace)) * study.facts.epochs_of(0) > work.deadline:
            break
        trial = study.ask()
        if trial is None:
            if study.finished():
                return
            time.sleep(0.5)  # another process trains what the next one depends on
            continue
        if pace and time.monotonic() + float(np.median(pace)) * trial.epochs > work.deadline:
            study.give_back(trial.number)
            break
        train_trial(work, trial)
    work.run.event("budget_spent", done=sum(t.state == "done" for t in study.trials()), trials=study.facts.trials)


def train_trial(work: _Work, trial: Trial) -> None:
    """One configuration on one or all folds; what goes wrong in it is its own note, but for a full disk or a wish to stop."""
    work.run.event("trial", number=trial.number, values=trial.values, epochs=trial.epochs, rung=trial.rung)
    began, score, note = time.monotonic(), None, ""
    with signs_of_life(work.study, trial.number):
        try:
            score = float(np.mean([trained(work, trial, fold) for fold in range(len(work.parts))]))
        except InterruptedRun as stopped:
            work.study.give_back(trial.number)
            stopped.fix, stopped.where = shlex.join(["saccade", "tune", *as_words(work.options)[2:]]), str(work.run.path)
            raise
        except SaccadeError as problem:
            if problem.code == "RUN-DISK":
                work.study.give_back(trial.number)
                raise
            note = f"{problem.code} {problem.got}"[:200]
    took = time.monotonic() - began
    work.study.tell(trial.number, score, note=note, seconds=took)
    best = work.study.best()
    work.run.event("scored", number=trial.number, score=score, note=note, seconds=round(took, 1), best=best.score if best else None)


def trained(work: _Work, trial: Trial, fold: int) -> float:
    """The monitor's value on the validation images of a fold."""
    path = work.run.path / "trials" / (str(trial.number) if len(work.parts) == 1 else f"{trial.number}/folds/{fold}")
    path.mkdir(parents=True, exist_ok=True)
    options = trial_options(work.options, trial.values, None if STEPLESS in work.study.facts.settled else trial.epochs, path)
    run = RunFolder(path)
    begin(run, options, None, work.run.info["threads"])
    with ending(run):
        found = train_prepared(options, work.parts[fold], run, began=time.monotonic())
    shutil.rmtree(path / "checkpoints", ignore_errors=True)
    monitor = work.study.facts.monitor
    value = found.metrics[monitor]["value"] if monitor in found.metrics else next((row[monitor] for row in reversed(run.rows()) if monitor in row), None)
    if value is None:
        raise UsageError("USE-VALUE", f"{monitor}; the options are {', '.join(found.metrics)}, val_loss", where="--monitor")
    return float(value)


@contextmanager
def signs_of_life(study: Study, number: int) -> Any:
    """Inside, the trial's entry is touched often enough that no other process takes it for lost."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(STALE_S / 6):
            study.beat(number)

    watch = threading.Thread(target=beat, daemon=True)
    watch.start()
    try:
        yield
    finally:
        over.set()
        watch.join(1.0)


def finished(options: TuneOptions, study: Study, run: RunFolder) -> TuneResult:
    """Writes the tables and the report. Raises DataError TUNE-NONE where no trial could be trained."""
    trials, best = study.trials(), study.best()
    if best is None:
        notes = [t.note for t in trials if t.note]
        raise DataError("TUNE-NONE", f"{len(trials)} trials; the last one: {notes[-1] if notes else 'not ended'}", where=str(run.path))
    command = best_command(options, best, None if STEPLESS in study.facts.settled else best.epochs)
    run.update(best={"trial": best.number, "values": best.values, "value": best.score}, trials=len(trials))
    run.end("done", 0)
    write_study(run.path, study.facts, trials, best, command)
    return TuneResult(run.path, best, trials, study.facts.monitor, command)


def best_command(options: TuneOptions, best: Trial, epochs: int | None) -> str:
    """How to train with the best settings, for as long as the best trial; epochs: None for a model without them."""
    own = options.model_dump(mode="json", exclude_unset=True)
    kept = {name: value for name, value in own.items() if name in TrainOptions.model_fields and name not in ("out", "name", "budget", "epochs", "folds")}
    long = [] if epochs is None else ["--epochs", str(epochs)]
    return shlex.join([*as_words(make_options(**kept)), *search_words(best.values), *long])
