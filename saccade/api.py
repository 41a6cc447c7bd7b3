"""What `import saccade` shows: the verbs of the command line as functions, with the same names and the same words.

Each one calls the job of its name in `saccade.jobs`; a keyword that is not known raises TypeError with the likely name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saccade.keywords import filled, suggesting

if TYPE_CHECKING:
    from saccade.bundle import Bundle
    from saccade.data.check_report import CheckReport
    from saccade.jobs.add_class import Added
    from saccade.jobs.compare import Comparison
    from saccade.jobs.convert import Converted
    from saccade.jobs.doctor import DoctorReport
    from saccade.jobs.duplicates import DuplicateResult
    from saccade.jobs.embed import EmbedResult
    from saccade.jobs.evaluate import EvaluateResult
    from saccade.jobs.map import MapResult
    from saccade.jobs.outliers import OutlierResult
    from saccade.jobs.predict import PredictSummary
    from saccade.jobs.runs import RunInfo
    from saccade.jobs.sample import Drawn
    from saccade.jobs.split import SplitResult
    from saccade.jobs.train import RunResult
    from saccade.jobs.tune import TuneResult
    from saccade.models.summary import Summary

Listener = Callable[[dict[str, Any]], None]
Progress = Callable[[int, int], None]


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


@suggesting("saccade.jobs.codes:CodeOptions")
def embed(model: Path | str, data: Path | str, *, out: Path | str = "codes.npy", progress: Progress | None = None, **options: Any) -> EmbedResult:
    """The code of every picture or vector, written and as `codes` of the result, (n, K) float32.

    model: a model.saccade, or a run's folder.
    data: a folder, a table, IDX files, or vectors.
    out: a .npy (with a CSV of ids and labels beside it), .csv or .parquet file.
    progress: is told (images done, images in all).

    The other keywords are those of `saccade embed`.
    """
    from saccade.jobs.codes import CodeOptions
    from saccade.jobs.embed import run_embed

    return run_embed(model, data, filled(CodeOptions, options), out=Path(out), progress=progress)


@suggesting("saccade.jobs.map:MapOptions")
def map(model: Path | str, data: Path | str, *, out: Path | str = "map", progress: Progress | None = None, **options: Any) -> MapResult:
    """A map of pictures or vectors by their codes: `points` of the result, (n, 2), and drawings and a page in `out`.

    model: a model.saccade, or a run's folder.
    data: a folder, a table, IDX files, or vectors.
    out: a new folder.
    progress: is told (images done, images in all).

    The other keywords are those of `saccade map`.
    """
    from saccade.jobs.map import MapOptions, run_map

    return run_map(model, data, filled(MapOptions, options), out=Path(out), progress=progress)


@suggesting("saccade.jobs.outliers:OutlierOptions")
def outliers(model: Path | str, data: Path | str, *, out: Path | str = "outliers", progress: Progress | None = None, **options: Any) -> OutlierResult:
    """Pictures or vectors ranked by how strange they are: `rows` of the result, the strangest first, and `auroc` where it is known which belong.

    model: a model.saccade, or a run's folder.
    data: a folder, a table, IDX files, or vectors.
    out: a new folder.
    progress: is told (images done, images in all).

    The other keywords are those of `saccade outliers`.
    """
    from saccade.jobs.outliers import OutlierOptions, run_outliers

    return run_outliers(model, data, filled(OutlierOptions, options), out=Path(out), progress=progress)


@suggesting("saccade.jobs.duplicates:DuplicateOptions")
def duplicates(data: Path | str, *, out: Path | str | None = None, progress: Progress | None = None, **options: Any) -> DuplicateResult:
    """Groups of the same and of nearly the same pictures: `rows` of the result, one for each picture that has a copy.

    data: a folder, a table or IDX files.
    out: a new folder; nothing is written without it.
    progress: is told (files read, files in all).

    The other keywords are those of `saccade duplicates`.
    """
    from saccade.jobs.duplicates import DuplicateOptions, run_duplicates

    return run_duplicates(data, filled(DuplicateOptions, options), out=_path(out), progress=progress)


@suggesting("saccade.jobs.sample:SampleOptions")
def sample(model: Path | str, *, out: Path | str = "samples", **options: Any) -> Drawn:
    """New pictures of a generative model, as files and as `pictures` of the result, (n, C, h, w) in [0, 1].

    model: a model.saccade of the task generate, or a run's folder.
    out: a new folder.

    The other keywords are those of `saccade sample`.
    """
    from saccade.jobs.sample import SampleOptions, run_sample

    return run_sample(model, filled(SampleOptions, options), out=Path(out))


@suggesting("saccade.jobs.sample:InterpolateOptions")
def interpolate(model: Path | str, first: Path | str | int, last: Path | str | int, *, out: Path | str = "strip", **options: Any) -> Drawn:
    """A strip of pictures from one to another through a generative model's codes, as files and as `pictures` of the result.

    model: a model.saccade of the task generate, or a run's folder.
    first, last: a picture's file, or the seed of a sample.
    out: a new folder.

    The other keywords are those of `saccade interpolate`.
    """
    from saccade.jobs.sample import InterpolateOptions, run_interpolate

    return run_interpolate(model, str(first), str(last), filled(InterpolateOptions, options), out=Path(out))


@suggesting("saccade.jobs.sample:TraverseOptions")
def traverse(model: Path | str, image: Path | str | int | None = None, *, out: Path | str = "sliders", **options: Any) -> Drawn:
    """Sliders of a generative model's codes, as a sheet and as `pictures` of the result, row after row.

    model: a model.saccade of the task generate (vae or dcgan), or a run's folder.
    image: a picture's file or the seed of a sample to begin with; the middle of all codes where nothing is said.
    out: a new folder.

    The other keywords are those of `saccade traverse`.
    """
    from saccade.jobs.sample import TraverseOptions, run_traverse

    return run_traverse(model, None if image is None else str(image), filled(TraverseOptions, options), out=Path(out))


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
