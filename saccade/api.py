"""What `import saccade` shows: the verbs of the command line as functions, with the same names and the same words.

Each one calls the job of its name in `saccade.jobs`; a keyword that is not known raises TypeError with the likely name.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from saccade.errors import UsageError, nearest

if TYPE_CHECKING:
    from pydantic import BaseModel

    from saccade.bundle import Bundle
    from saccade.data.check_report import CheckReport
    from saccade.jobs.add_class import Added
    from saccade.jobs.compare import Comparison
    from saccade.jobs.convert import Converted
    from saccade.jobs.doctor import DoctorReport
    from saccade.jobs.evaluate import EvaluateResult
    from saccade.jobs.predict import PredictSummary
    from saccade.jobs.runs import RunInfo
    from saccade.jobs.split import SplitResult
    from saccade.jobs.train import RunResult
    from saccade.jobs.tune import TuneResult
    from saccade.models.summary import Summary

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M", bound="BaseModel")
Listener = Callable[[dict[str, Any]], None]
Progress = Callable[[int, int], None]


def suggesting(model: str = "") -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator: the TypeError for an unknown keyword names the likely one.

    model: "module:name" of the options that the function takes as **options.

    >>> doctor(foldr=".")
    Traceback (most recent call last):
    ...
    TypeError: doctor() has no keyword 'foldr'; did you mean folder? The options are folder
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        parameters = inspect.signature(function).parameters.values()
        named = [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]

        @functools.wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            if any(name not in named for name in kwargs):
                known = [*named, *(name for name in _model(model).model_fields if name not in named)] if model else named
                _refuse_unknown(function.__name__, kwargs, known)
            return function(*args, **kwargs)

        return checked

    return decorate


def _model(place: str) -> type[BaseModel]:
    module, _, name = place.partition(":")
    found: type[BaseModel] = getattr(importlib.import_module(module), name)
    return found


def _refuse_unknown(function: str, given: Iterable[str], known: Sequence[str]) -> None:
    from saccade.jobs.options import HINTS

    for name in given:
        if name not in known:
            raise TypeError(f"{function}() has no keyword {name!r}; {nearest(name, known, HINTS)}")


def filled(model: type[M], given: Mapping[str, Any]) -> M:
    """A model of options filled in. Raises UsageError USE-VALUE for a value that it refuses."""
    from pydantic import ValidationError

    try:
        return model(**given)
    except ValidationError as problem:
        first = problem.errors()[0]
        place = "".join(f"--{str(part).replace('_', '-')}" for part in first["loc"][:1])
        raise UsageError("USE-VALUE", f"{first['msg'].removeprefix('Value error, ')}, got {first['input']!r}"[:300], where=place) from None


@suggesting("saccade.jobs.check:CheckOptions")
def check(data: Path | str, *, out: Path | str | None = None, progress: Progress | None = None, **options: Any) -> CheckReport:
    """Reads every file of a data set and reports its problems; `report.gate()` raises what would stop a training.

    data: a folder, a CSV or IDX files.
    out: where data_report.html, check.json, data_problems.csv and statistics.json go; nothing is written without it.
    progress: is told (files read, files in all).

    The other keywords are those of `saccade check`.
    """
    from saccade.jobs.check import CheckOptions, run_check

    return run_check(data, filled(CheckOptions, options), out=_path(out), progress=progress)


@suggesting("saccade.jobs.convert:ConvertOptions")
def convert(data: Path | str, out: Path | str, **options: Any) -> Converted:
    """Writes a data set in another layout; `losses` of the result tells what that layout cannot hold.

    data: a folder or a label file.
    out: the folder to write, new or empty.

    The other keywords are those of `saccade convert`.
    """
    from saccade.jobs.convert import ConvertOptions, run_convert

    return run_convert(data, Path(out), filled(ConvertOptions, options))


@suggesting("saccade.jobs.summary:SummaryOptions")
def summary(model: Path | str, *, csv: Path | str | None = None, **options: Any) -> Summary:
    """The layers of a network: shapes, parameters, multiply-adds, strides, exact receptive fields.

    model: a model.saccade, a run's folder, or a network by name.
    csv: where the table goes as well.

    The other keywords are those of `saccade summary`.
    """
    from saccade.jobs.summary import SummaryOptions, run_summary

    return run_summary(model, filled(SummaryOptions, options), csv=_path(csv))


@suggesting("saccade.jobs.world:WorldOptions")
def world(name: str, out: Path | str, **options: Any) -> Converted:
    """Draws simulated scenes and writes them as a data set; `saccade.train("world:NAME")` streams them without files.

    name: a world, such as tabletop, street or wildlife.
    out: the folder to write, new or empty.

    The other keywords are those of `saccade world`.
    """
    from saccade.jobs.world import WorldOptions, run_world

    return run_world(name, Path(out), filled(WorldOptions, options))


@suggesting("saccade.jobs.split:SplitOptions")
def split(data: Path | str, *, out: Path | str | None = None, progress: Progress | None = None, **options: Any) -> SplitResult:
    """Checks a data set and divides it into train, val and test.

    data: a folder, a CSV or IDX files.
    out: the table to write, or with folds a folder; nothing is written without it.
    progress: is told (files read, files in all).

    The other keywords are those of `saccade split`.
    """
    from saccade.jobs.split import SplitOptions, run_split

    return run_split(data, filled(SplitOptions, options), out=_path(out), progress=progress)


@suggesting("saccade.jobs.options:TrainOptions")
def train(data: Path | str = "", *, listeners: Sequence[Listener] = (), **options: Any) -> RunResult:
    """Trains, evaluates and reports; returns the run's folder and its metrics. Raises SaccadeError of every kind.

    data: a folder, a CSV or IDX files; not needed with resume=RUN.
    listeners: functions that are told every event as a mapping with the key "event".

    The other keywords are the options of `saccade train`, with the same names and meanings.
    """
    from saccade.jobs.options import make_options
    from saccade.jobs.train import run_train

    given = {**options, "data": str(data)} if data else options
    return run_train(make_options(**given), listeners=listeners)


@suggesting("saccade.jobs.tune_options:TuneOptions")
def tune(data: Path | str, *, listeners: Sequence[Listener] = (), **options: Any) -> TuneResult:
    """Searches settings by many short trainings; returns the study's folder, its best trial and the command that trains with it.

    data: a folder, a CSV or IDX files; its test images are not looked at.
    listeners: functions that are told every event as a mapping with the key "event".

    The other keywords are the options of `saccade tune`, with the same names and meanings. Raises SaccadeError of every kind.
    """
    from saccade.jobs.tune import run_tune
    from saccade.jobs.tune_options import make_tune_options

    return run_tune(make_tune_options(**{**options, "data": str(data)}), listeners=listeners)


@suggesting("saccade.jobs.evaluate:EvaluateOptions")
def evaluate(model: Path | str, data: Path | str, *, out: Path | str | None = None, progress: Progress | None = None, **options: Any) -> EvaluateResult:
    """The metrics of a stored model on a data set, with 95 % intervals, and the predictions behind them.

    model: a model.saccade, or a run's folder.
    data: a folder, a CSV or IDX files.
    out: where metrics, tables and predictions go; nothing is written without it.
    progress: is told (images done, images in all).

    The other keywords are those of `saccade evaluate`.
    """
    from saccade.jobs.evaluate import EvaluateOptions, run_evaluate

    return run_evaluate(Path(model), data, filled(EvaluateOptions, options), out=_path(out), progress=progress)


@suggesting("saccade.jobs.predict:PredictOptions")
def predict(
    model: Path | str,
    images: Path | str | Sequence[Path | str],
    *,
    out: Path | str | None = None,
    progress: Callable[[int, int, int], None] | None = None,
    **options: Any,
) -> PredictSummary:
    """Answers every image: exactly one line an input, failures among them.

    model: a model.saccade, or a run's folder.
    images: files, folders, patterns, @FILE for a list of paths.
    out: a .jsonl or .csv file, or a folder; default runs/<date>_predict_<source>.
    progress: is told (answered, failed, inputs in all).

    The other keywords are those of `saccade predict`; `--as` is `as_` here.
    """
    from saccade.jobs.predict import PredictOptions, run_predict

    return run_predict(model, images, filled(PredictOptions, options), out=out, progress=progress)


@suggesting("saccade.jobs.add_class:AddClassOptions")
def add_class(model: Path | str, name: str, images: Path | str | Sequence[Path | str], *, out: Path | str | None = None, **options: Any) -> Added:
    """Teaches a trained classifier one more class; every other weight stays as it was, bit for bit. Returns the new file and what was forgotten.

    model: a model.saccade, or a run's folder.
    name: the new class.
    images: pictures of it: files, folders, patterns.
    out: the model file to write; default beside the old one.

    The other keywords are those of `saccade add-class`.
    """
    from saccade.jobs.add_class import AddClassOptions, run_add_class

    return run_add_class(Path(model), name, images, filled(AddClassOptions, options), out=_path(out))


@suggesting()
def load(path: Path | str, *, allow_nan: bool = False) -> Bundle:
    """The network of a model file, in eval mode on the CPU, and its card. Raises ModelError for anything that is not a sound model file.

    path: a model.saccade, or the run that holds it.
    allow_nan: accept weights that are not finite.
    """
    from saccade import bundle

    return bundle.read(bundle.model_file(path), allow_nan=allow_nan)


@suggesting()
def demo(
    task: str = "classify", *, out: Path | str = "saccade-demo", budget: str | None = None, seed: int = 0, listeners: Sequence[Listener] = ()
) -> RunResult:
    """Trains on data that come with saccade, real digits or a simulated world, a fifth held out.

    task: what to show; `saccade demo --list` names the choice.
    out: where the images and the run go.
    budget: time for everything, such as 90s; None for the task's own, 60s or 2m.
    seed: of every random choice.
    listeners: functions that are told every event.
    """
    from saccade.jobs.demo import run_demo

    return run_demo(task, out=out, budget=budget, seed=seed, listeners=listeners)


@suggesting()
def compare(first: Path | str, second: Path | str) -> Comparison:
    """Two evaluations of the same images as a paired test. Raises DataError COMPARE-SET when the images differ.

    first, second: runs, or folders that `evaluate` wrote.
    """
    from saccade.jobs.compare import run_compare

    return run_compare(Path(first), Path(second))


@suggesting()
def doctor(folder: Path | str = ".") -> DoctorReport:
    """Versions, device, disk and a self-test of this machine.

    folder: where the speed of the disk is tried, by a temporary file that is removed.
    """
    from saccade.jobs.doctor import run_doctor

    return run_doctor(folder)


@suggesting()
def runs(folder: Path | str = "runs") -> list[RunInfo]:
    """The runs in a folder, the youngest last. Raises UsageError RUN-MISSING when there is none.

    folder: the folder that holds the runs, or a run.
    """
    from saccade.jobs.runs import run_runs

    return run_runs(folder)


def _path(path: Path | str | None) -> Path | None:
    return None if path is None else Path(path)
