"""`saccade predict`: a model file and images (or sequences) in, one answer for each out, whatever dies on the way."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from saccade import storage
from saccade.bundle import Bundle
from saccade.errors import PartialError, Problem, UsageError
from saccade.inference.answers import FILES
from saccade.inference.ensemble import joined
from saccade.inference.object_files import OBJECT_FILES, OBJECT_HEADS
from saccade.inference.predict import Predictor, Result, predict
from saccade.inference.predict_documents import DocumentPredictor, documents_in
from saccade.inference.predict_sequences import SequencePredictor, predict_sequences
from saccade.inference.segment_files import write_segments
from saccade.inference.sequence_files import expand_sequences
from saccade.inference.sources import Inputs, expand
from saccade.inference.writers import Journal, Places, Row, draw_overlay, to_row, write_csv, write_failed, write_picture, write_table
from saccade.jobs.boxes import BOXES, DETECTOR, asked_boxes, refuse_boxes
from saccade.jobs.options import check_tile
from saccade.jobs.tiling import MODEL_TILE, MODEL_TILE_OVERLAP, retiled
from saccade.targets import TARGETS
from saccade.tasks import find_task
from saccade.training.engine import set_threads
from saccade.training.run_folder import new_folder

BATCH = 32
Form = Literal["jsonl", "csv", "coco", "yolo", "crops", "deeplabcut", "segments"]
BESIDE: Mapping[str, Any] = {**OBJECT_FILES, "segments": write_segments}  # forms that are written at the end beside JSON lines
Progress = Callable[[int, int, int], None]  # answered, failed, inputs in all


class PredictOptions(BaseModel):
    """What a user may say of a prediction."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    as_: Annotated[
        Form | None,
        Field(description="form of the answers: jsonl, or (beside JSON lines, at the end) csv; of objects coco, yolo, crops, deeplabcut; of tags segments"),
    ] = None
    top: Annotated[int, Field(ge=1, le=1000, description="most probable classes that are listed")] = 5
    probabilities: Annotated[bool, Field(description="list the probability of every class, of tags for every frame")] = False
    threshold: Annotated[float | None, Field(ge=0, le=1, description="less probable answers are unknown; default: the model file's own")] = None
    overlay: Annotated[bool, Field(description="also write every picture with its answer below it, every sequence as ribbons")] = False
    resume: Annotated[bool, Field(description="go on with what a killed prediction left in --out")] = False
    on_error: Annotated[Literal["skip", "stop"], Field(description="at an image that cannot be read: list it and go on, or stop")] = "skip"
    with_: Annotated[tuple[Path, ...], Field(description="more models, whose answers are combined with the first one's")] = ()
    views: Annotated[str, Field(description="also answer changed copies of every picture: none, flip and others, which an error lists")] = "none"
    combine: Annotated[Literal["mean", "geometric", "vote"], Field(description="how classes of several models or views are combined")] = "mean"
    tile: Annotated[int | None, Field(description=MODEL_TILE)] = None
    tile_overlap: Annotated[int | None, Field(description=MODEL_TILE_OVERLAP)] = None
    boxes: Annotated[str | None, Field(description=BOXES)] = None
    detector: Annotated[Path | None, Field(description=DETECTOR)] = None
    batch: Annotated[int | None, Field(ge=1, le=4096, description="images at a time")] = None
    threads: Annotated[int | None, Field(ge=1, le=1024, description="of the network, and as many that read images")] = None
    device: Annotated[str, Field(description="auto, cpu, cuda, cuda:0 ...")] = "auto"
    precision: Annotated[Literal["auto", "fp32", "bf16"], Field(description="of the network's arithmetic")] = "auto"
    allow_nan: Annotated[bool, Field(description="read a model file whose weights are not all finite")] = False

    @model_validator(mode="after")
    def _tiles(self) -> PredictOptions:
        check_tile(self.tile, self.tile_overlap)
        return self


@dataclass(frozen=True)
class PredictSummary:
    """What a prediction did: inputs, answers, failures, the file of answers, images a second, and what was left out of folders."""

    n: int
    ok: int
    failed: int
    path: Path
    rate: float
    failed_path: Path | None = None
    problems: tuple[Problem, ...] = ()
    samples: str = "images"

    @property
    def exit(self) -> int:
        return PartialError.exit if self.failed else 0

    def error(self) -> PartialError | None:
        """PRED-FAILED when some inputs have no answer."""
        if not self.failed:
            return None
        return PartialError("PRED-FAILED", f"{self.failed} of {self.n}", where=str(self.path), fix=f"see {self.failed_path}")

    def to_dict(self) -> dict[str, Any]:
        paths = {"path": str(self.path), "failed_path": None if self.failed_path is None else str(self.failed_path)}
        return {**asdict(self), **paths, "problems": [problem.to_dict() for problem in self.problems]}


def run_predict(
    model: str | Path,
    sources: str | Path | Sequence[str | Path],
    options: PredictOptions | None = None,
    *,
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> PredictSummary:
    """Answers every image that `sources` names (see `inference.sources.expand`), or every sequence (`inference.sequence_files.expand_sequences`).

    model: a model.saccade, or a run's folder. out: a .jsonl or .csv file, or a folder; default runs/<date>_predict_<source>.
    Beside the answers lie the failures (failed.jsonl) and the plan (plan.json), which `resume` obeys. Nothing existing is
    written over. The summary is returned also when some inputs failed; its `error()` is what the command line ends with.

    Raises ModelError; DataError DATA-MISSING, PRED-NONE and, with on_error="stop", that of the first image;
    UsageError RUN-EXISTS, RUN-CONFIG, USE-MISSING, USE-VALUE; ResourceError RUN-DISK, DEVICE.
    """
    chosen = options or PredictOptions()
    read = retiled(joined(model, chosen.with_, chosen.views, chosen.combine, allow_nan=chosen.allow_nan), chosen.tile, chosen.tile_overlap)
    refuse_meaningless(chosen, next(iter(read.card.spaces)))
    sequences = find_task(read.card.task).samples == "sequences"
    if sequences:
        refuse_of_pictures(chosen, read)
    documents = read.card.preprocess.get("vocabulary") is not None
    if sequences:
        inputs = expand_sequences(sources, pictures=read.card.inputs.size[1] > 1)
    else:
        inputs = expand(sources, inside=documents_in) if documents else expand(sources)
    places = _places(chosen, out, sources)
    stored = storage.read_json(places.plan) if chosen.resume and places.plan.exists() else {}
    threads = set_threads(chosen.threads or stored.get("threads"))
    kind = SequencePredictor if sequences else DocumentPredictor if documents else Predictor
    predictor = kind(read, device=chosen.device, precision=_precision(chosen, stored), thresholds=chosen.threshold)
    refuse_boxes(predictor.preprocess, chosen.boxes, chosen.detector, needed=True)
    plan = _plan(chosen, stored, predictor, read, inputs) | {"threads": threads}
    if predictor.preprocess.crops is not None:
        plan |= {"boxes": chosen.boxes, "detector": None if chosen.detector is None else str(chosen.detector)}
    _agree(plan, stored, places.plan)
    with storage.disk_errors(places.plan):
        places.plan.parent.mkdir(parents=True, exist_ok=True)
        for folder, wanted in ((places.overlay, chosen.overlay), (places.pictures, pictured(predictor))):
            if wanted:
                folder.mkdir(exist_ok=True)
    if not stored:
        storage.write_json(places.plan, plan)
    if predictor.preprocess.crops is not None:
        how: dict[str, Any] = {"device": chosen.device, "precision": chosen.precision, "batch": plan["batch"], "threads": threads}
        predictor.boxes = asked_boxes(chosen.boxes, chosen.detector, inputs.items, predictor.space, kept=places.boxes, **how)
    journal = Journal(places.journal)
    rows = journal.mend(inputs.items)
    began, before = time.monotonic(), len(rows)
    for results in _results(predictor, inputs, chosen, batch=plan["batch"], workers=threads, done=before):
        _record(results, rows, journal, chosen, places, predictor)
        if progress is not None:
            progress(len(rows), sum(row["status"] == "failed" for row in rows), len(inputs))
    rate = (len(rows) - before) / max(1e-9, time.monotonic() - began)
    return _finish(rows, places, predictor, chosen, rate, inputs)


def _results(predictor: Predictor, inputs: Inputs, chosen: PredictOptions, **how: int) -> Iterator[list[Result]]:
    if isinstance(predictor, SequencePredictor):
        return predict_sequences(predictor, inputs.items, drawn=chosen.overlay, **how)
    return predict(predictor, inputs.items, **how)


def pictured(predictor: Predictor) -> bool:
    """Whether the answers are, or have, pictures, which are files of their own."""
    return TARGETS[predictor.head] in FILES


def refuse_meaningless(chosen: PredictOptions, head: str) -> None:
    """Raises UsageError USE-OPTION for an option that says nothing to answers of this kind."""
    for name, heads in (("top", ("label",)), ("probabilities", ("label", "tags"))):
        if head not in heads and getattr(chosen, name) != PredictOptions.model_fields[name].default:
            raise UsageError("USE-OPTION", f"--{name} is of classifiers, this model answers with {head}", where=f"--{name}", fix="leave it out")
    if chosen.as_ in OBJECT_FILES and head not in OBJECT_HEADS:
        raise UsageError("USE-OPTION", f"{chosen.as_} is a form of objects, this model answers with {head}", where="--as", fix="choose jsonl or csv")
    if chosen.as_ == "deeplabcut" and head != "keypoints":
        raise UsageError("USE-OPTION", f"deeplabcut is of key points, this model answers with {head}", where="--as", fix="choose jsonl or csv")
    if chosen.as_ == "segments" and head != "tags":
        raise UsageError("USE-OPTION", f"segments are of tags, this model answers with {head}", where="--as", fix="choose jsonl or csv")


def refuse_of_pictures(chosen: PredictOptions, read: Bundle) -> None:
    """Raises UsageError USE-OPTION for what only pictures have, and for models of sequences that do not go together."""
    for name, none in (("tile", None), ("tile_overlap", None), ("views", "none")):
        if getattr(chosen, name) != none:
            option = f"--{name.replace('_', '-')}"
            raise UsageError("USE-OPTION", f"{option} is of pictures, this model answers sequences", where=option, fix="leave it out")
    if any(member.size is not None for member in getattr(read.model, "members", ())):
        raise UsageError("USE-OPTION", "models that take sequences of different lengths", where="--with", fix="join models that were trained alike")


def _places(chosen: PredictOptions, out: str | Path | None, sources: Any) -> Places:
    form = "jsonl" if chosen.as_ in BESIDE else chosen.as_ or ("csv" if out is not None and Path(out).suffix.lower() == ".csv" else "jsonl")
    if out is None:
        if chosen.resume:
            raise UsageError("USE-MISSING", "--resume needs the --out of the prediction to go on with", where="--out")
        first = os.fspath(sources if isinstance(sources, str | Path) or not sources else sources[0])
        name = re.sub(r"[^A-Za-z0-9_-]+", "_", Path(first).stem).strip("_")[:40] or "images"
        return Places.of(new_folder(None, "predict", name), form)
    places = Places.of(Path(os.path.abspath(out)), form)
    if not chosen.resume and places.existing():
        raise UsageError("RUN-EXISTS", f"{places.existing()[0].name} is there", where=str(out))
    for left in (places.plan, places.failed, places.answers):
        storage.sweep(left)
    if places.journal.exists() and not places.plan.exists():
        raise UsageError("RUN-CONFIG", f"there are answers, but no {places.plan.name}", where=str(out))
    return places


def _precision(chosen: PredictOptions, stored: dict[str, Any]) -> str:
    return str(stored.get("precision", "auto")) if chosen.precision == "auto" else chosen.precision


def _plan(chosen: PredictOptions, stored: dict[str, Any], predictor: Predictor, read: Bundle, inputs: Inputs) -> dict[str, Any]:
    """Everything that an answer depends on, so that what is resumed ends in the same bytes."""
    named = hashlib.sha256()
    for item in inputs.items:
        named.update(os.fsencode(item.id) + b"\0" + os.fsencode(item.path) + b"\0" + (b"" if item.line is None else b"%d\0" % item.line))
    return {
        "model": read.card.sha256 or storage.dump_json(read.card.extra["ensemble"]),
        "preprocess": predictor.preprocess.to_dict(),
        "postprocess": predictor.postprocess.to_dict(),
        "inputs": len(inputs),
        "inputs_sha256": named.hexdigest(),
        "batch": chosen.batch or stored.get("batch") or BATCH,
        "precision": predictor.mode.precision,
        "device": predictor.mode.device.type,
        "top": chosen.top,
        "probabilities": chosen.probabilities,
    }


def _agree(plan: dict[str, Any], stored: dict[str, Any], where: Path) -> None:
    differing = [f"{name} was {str(stored.get(name))[:60]} and is {str(value)[:60]}" for name, value in plan.items() if stored and stored.get(name) != value]
    if differing:
        raise UsageError("RUN-CONFIG", "; ".join(differing), where=str(where), fix="resume with the same model, inputs and options, or choose another --out")


def _record(results: list[Result], rows: list[Row], journal: Journal, chosen: PredictOptions, places: Places, predictor: Predictor) -> None:
    """Adds the results of a batch to the journal; with on_error="stop" those before the first failure, which is raised."""
    fresh, error = list[Row](), None
    for result in results:
        if result.error is not None and chosen.on_error == "stop":
            error = result.error
            break
        place = len(rows) + len(fresh)
        if chosen.overlay:
            draw_overlay(places.overlay, place, result, predictor.space)
        picture = write_picture(places.pictures, place, result) if pictured(predictor) else None
        row = to_row(result, predictor.space, top=chosen.top, probabilities=chosen.probabilities)
        fresh.append(row if picture is None else row | {"file": f"{places.pictures.name}/{picture.name}"})
    journal.append(fresh)
    rows += fresh
    if error is not None:
        raise error


def _finish(rows: list[Row], places: Places, predictor: Predictor, chosen: PredictOptions, rate: float, inputs: Inputs) -> PredictSummary:
    failed = sum(row["status"] == "failed" for row in rows)
    write_failed(places.failed, rows)
    if places.answers != places.journal and predictor.head == "label":
        write_csv(places.answers, rows, predictor.space, top=chosen.top, probabilities=chosen.probabilities)
    elif places.answers != places.journal:
        write_table(places.answers, rows)
    answers = places.answers
    if chosen.as_ is not None and chosen.as_ in BESIDE:
        answers = BESIDE[chosen.as_](places.journal, rows, inputs.items, predictor.space)
    left = places.failed if failed else None
    samples = "sequences" if isinstance(predictor, SequencePredictor) else "images"
    return PredictSummary(len(rows), len(rows) - failed, failed, answers, rate, left, inputs.problems, samples)
