"""Where the boxes come from that a model of single objects answers: a file, another model, or the whole of every image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch

from saccade import bundle, storage
from saccade.core import LabelSpace, Model
from saccade.data.dataset import ImageDataset
from saccade.data.preprocess import Preprocess
from saccade.data.tiles import whole_answers
from saccade.errors import DataError, UsageError
from saccade.inference.device import inference_mode_for, trained_precision
from saccade.inference.evaluate import answers_of, in_order
from saccade.inference.fold import ready
from saccade.inference.given_boxes import read_boxes, whole_image
from saccade.inference.object_files import OBJECT_HEADS
from saccade.inference.postprocess import postprocess_of
from saccade.inference.predict import Predictor, predict
from saccade.inference.sources import Input
from saccade.inference.writers import to_row
from saccade.metrics.similarity import boxes_of
from saccade.targets import Boxes

BOXES = "the objects to answer: a file of boxes (COCO, or predict's JSON lines), or whole = all of every image as one"
DETECTOR = "the model that finds the objects to answer"
WHOLE = "whole"
Asked = Callable[[Input, tuple[int, int]], Boxes | None]  # an input, its (h, w) -> its objects, None where nothing is said of it


def refuse_boxes(preprocess: Preprocess, boxes: str | None, detector: Path | None, *, needed: bool) -> None:
    """Raises UsageError USE-OPTION for boxes that nobody asks for or that are given twice, USE-MISSING where there are none and some are needed."""
    given = "--boxes" if boxes is not None else "--detector"
    if boxes is not None and detector is not None:
        raise UsageError("USE-OPTION", "the objects are named by --boxes and by --detector", where="--boxes", fix="leave one of them out")
    if preprocess.crops is None and (boxes is not None or detector is not None):
        raise UsageError("USE-OPTION", f"{given} is for models of single objects, this one takes whole images", where=given, fix="leave it out")
    if preprocess.crops is not None and needed and boxes is None and detector is None:
        got = "this model answers one object at a time, and nothing says where the objects are"
        raise UsageError("USE-MISSING", got, where="--boxes", fix="give --detector MODEL, --boxes FILE, or --boxes whole where each image is one object")


def asked_boxes(
    boxes: str | None, detector: Path | None, items: Sequence[Input], space: LabelSpace, *, kept: Path, device: str, precision: str, batch: int, threads: int
) -> Asked:
    """What says which objects an input has. What a detector finds is written to `kept`, and read from there when it is there already.

    Raises as `given_boxes.read_boxes` and `Predictor` do.
    """
    if boxes == WHOLE:
        return lambda item, size: whole_image(size)
    if boxes is not None:
        found = read_boxes(Path(boxes), items, space)
        return lambda item, size: found.get(item.id)
    if not kept.exists():
        assert detector is not None
        predictor = Predictor(_finder(detector), device=device, precision=precision)
        lines = []
        for results in predict(predictor, items, batch=batch, workers=threads):
            lines += [storage.dump_json(to_row(result, predictor.space, top=1, probabilities=False)) + "\n" for result in results]
        storage.atomic_write(kept, "".join(lines).encode())
    found = read_boxes(kept, items, space)
    return lambda item, size: found.get(item.id)


def record_boxes(boxes: str | None, detector: Path | None, dataset: ImageDataset, space: LabelSpace, *, device: str, batch: int) -> list[Boxes] | None:
    """The objects of each record of a data set; None where nothing is given, and the truth's own boxes are meant.

    Raises as `given_boxes.read_boxes` does, and DataError PRED-BOXES for an image that the file does not name.
    """
    if boxes is None and detector is None:
        return None
    if boxes == WHOLE:
        return [whole_image(dataset.size(i)) for i in range(len(dataset))]
    if boxes is not None:
        found = read_boxes(Path(boxes), [Input(record.id, record.path) for record in dataset.records], space)
        missing = [record.id for record in dataset.records if record.id not in found]
        if missing:
            raise DataError("PRED-BOXES", f"{len(missing)} of {len(dataset)} images, such as {missing[0]}", where=str(boxes))
        return [found[record.id] for record in dataset.records]
    assert detector is not None
    return _found(_finder(detector), dataset, space, device=device, batch=batch)


def _finder(path: Path) -> bundle.Bundle:
    """A model that answers with objects, of whole images. Raises UsageError USE-OPTION for another."""
    read = bundle.read(bundle.model_file(path))
    head = next(iter(read.card.spaces))
    if head not in OBJECT_HEADS or Preprocess.from_dict(read.card.preprocess).crops is not None:
        what = "single objects" if head in OBJECT_HEADS else head
        raise UsageError("USE-OPTION", f"{path} answers with {what}", where="--detector", fix="give a model of detect, instances, or keypoint_rcnn")
    return read


def _found(read: bundle.Bundle, dataset: ImageDataset, space: LabelSpace, *, device: str, batch: int) -> list[Boxes]:
    head, names = next(iter(read.card.spaces.items()))
    known = [space.index(name) if name in space.names else -1 for name in names.names]
    if not any(place >= 0 for place in known):
        got = f"{', '.join(names.names[:5])}; the model knows {', '.join(space.names[:10])}"
        raise DataError("CLS-MODEL", got, where="--detector")
    preprocess = Preprocess.from_dict(read.card.preprocess)
    network = cast(Model, read.model)
    mode = inference_mode_for(network, read.card.inputs, device=device, precision=trained_precision(read.card))
    network = ready(network, mode)
    own = replace(dataset, channels=read.card.inputs.channels, value_range=preprocess.value_range)
    loader = in_order(own, preprocess, None, batch_size=batch, cache_bytes=0)
    post = postprocess_of(head).from_dict(read.card.postprocess, names)
    answers = [Boxes.empty()] * len(dataset)
    with torch.inference_mode(), mode.autocast():
        for place, answer in whole_answers(answers_of(network, loader, head), loader.dataset):
            boxes = boxes_of(post.apply([answer], names)[0])
            classes = torch.tensor([known[k] for k in boxes.classes.tolist()], dtype=torch.int64)
            answers[place] = Boxes(boxes.xyxy, classes, boxes.scores).select(classes >= 0)
    return answers
