"""One pass of a model over a data set, for every kind of answer: a row an image, the metrics with intervals, and the files of eval/.

Answers are measured one at a time and forgotten, but for the images that will be shown, so that maps of any size take no memory.
Classification keeps every probability instead: see `inference.classified`.
"""

from __future__ import annotations

import heapq
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch

from saccade import storage
from saccade.core import Dataset, Geometry, LabelSpace, Metric, Model, Value
from saccade.data.degrade import Degrade
from saccade.data.loader import Loader
from saccade.data.preprocess import Preprocess
from saccade.data.tiles import images_of, whole_answers
from saccade.inference.answers import row_of
from saccade.inference.postprocess import Postprocess
from saccade.inference.tables import write_csv
from saccade.targets.boxes import Boxes
from saccade.targets.image_target import ImageTarget
from saccade.targets.keypoints import Keypoints
from saccade.training.validate import in_input_pixels

WORST, TYPICAL = 16, 8  # images that are drawn
SHOWN_SIDE = 512  # pixels, at most, of a picture that is drawn
LEGIBLE_SIDE = 256  # pixels, at least, of one that key points are drawn on
DEGRADED_SIDE, DEGRADED_BATCH = 768, 2  # of pictures that are made worse and measured: pixels, at most, and images at once


class Shown(NamedTuple):
    """An image to draw: its row, its pixels (h, w, 3) uint8, and truth and answer in those pixels."""

    row: dict[str, Any]
    pixels: np.ndarray
    truth: Any
    answer: Any


@dataclass(frozen=True)
class Evaluation:
    """What a model answered: a row an image (id, path, group, the image's own facts, the answer), the metric that has seen them all.

    worst, typical: the images to draw, the worst first and a random choice.
    """

    space: LabelSpace
    head: str
    metric: Any
    rows: list[dict[str, Any]]
    worst: tuple[Shown, ...] = ()
    typical: tuple[Shown, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def values(self) -> dict[str, Value]:
        """The metrics, each with its 95 % interval."""
        return dict(self.metric.compute())

    def per_class(self) -> list[dict[str, Any]]:
        """A row a class, where the metric has any."""
        return list(self.metric.per_class()) if hasattr(self.metric, "per_class") else []

    def write(self, folder: Path) -> None:
        """metrics.json, per_class.csv, predictions.jsonl, errors.jsonl (worst first), every table of the metric, pictures/ with their list."""
        folder.mkdir(parents=True, exist_ok=True)
        storage.write_json(folder / "metrics.json", {key: value._asdict() for key, value in self.values.items()})
        write_csv(folder / "per_class.csv", self.per_class())
        ranked = sorted((row for row in self.rows if row["badness"] is not None), key=lambda row: -row["badness"])
        for name, rows in (("predictions", self.rows), ("errors", ranked)):
            storage.atomic_write(folder / f"{name}.jsonl", "".join(storage.dump_json(row) + "\n" for row in rows).encode())
        for name, table in (self.metric.tables() if hasattr(self.metric, "tables") else {}).items():
            write_csv(folder / f"{name}.csv", table)
        listed = []
        for kind, shown in (("worst", self.worst), ("typical", self.typical)):
            for place, item in enumerate(shown):
                name = f"pictures/{kind}_{place:02d}.jpg"
                (folder / "pictures").mkdir(exist_ok=True)
                storage.atomic_write(folder / name, _jpeg(panels(item, self.space)))
                listed.append({"kind": kind, "picture": name, "id": item.row["id"], "facts": item.row["facts"]})
        storage.write_json(folder / "pictures.json", {"pictures": listed})


def panels(item: Shown, space: LabelSpace) -> np.ndarray:
    """(h, w, 3) uint8: the picture, the truth drawn on it, the answer drawn on it, side by side; of answers that are pictures themselves these, the input
    enlarged to their size."""
    if isinstance(item.answer, ImageTarget):
        h, w = item.answer.size
        large = cv2.resize(item.pixels, (w, h), interpolation=cv2.INTER_NEAREST)
        return beside([large, *(target.shown() for target in (item.truth, item.answer) if target is not None)])
    item = legible(item)
    drawn = [item.pixels, *(target.draw(item.pixels.copy(), space) for target in (item.truth, item.answer) if target is not None)]
    return beside(drawn)


def legible(item: Shown) -> Shown:
    """A small picture with key points enlarged, so that its dots and lines do not cover it; any other as it is."""
    h, w = item.pixels.shape[:2]
    factor = LEGIBLE_SIDE / max(h, w)
    if not isinstance(item.answer, Keypoints) or factor <= 1:
        return item
    g = Geometry.resize((h, w), (round(h * factor), round(w * factor)))
    large = cv2.resize(item.pixels, (g.size[1], g.size[0]), interpolation=cv2.INTER_CUBIC)
    return item._replace(pixels=large, truth=None if item.truth is None else item.truth.warp(g), answer=item.answer.warp(g))


def beside(drawn: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures (h, w, 3) uint8 of any sizes side by side, with a white line between them."""
    height = max(part.shape[0] for part in drawn)
    padded = [np.pad(part, ((0, height - part.shape[0]), (0, 4), (0, 0)), constant_values=255) for part in drawn]
    return np.concatenate(padded, axis=1)


def in_order(
    dataset: Dataset, preprocess: Preprocess, degrade: Degrade | None, *, batch_size: int, boxes: Sequence[Boxes] | None = None, **options: Any
) -> Loader:
    """The batches that a model is measured by: every image once, by its windows where there is a tiling, by its objects where these are cropped, those
    with `boxes` where they are given.

    Pictures that are made worse are measured whole where nothing is scaled, at most `DEGRADED_SIDE` pixels a side from the top left corner.
    """
    if degrade is None:
        return Loader(preprocess.parts(dataset, boxes), preprocess, batch_size=batch_size, **options)
    if preprocess.mode == "keep":
        preprocess, batch_size = replace(preprocess, size=(DEGRADED_SIDE, DEGRADED_SIDE)), min(batch_size, DEGRADED_BATCH)
    return Loader(dataset, preprocess, batch_size=batch_size, degrade=degrade, **options)


def evaluate(
    model: Model,
    loader: Loader,
    *,
    metric: Metric[Any],
    space: LabelSpace,
    head: str,
    post: Postprocess | None = None,
    autocast: AbstractContextManager[None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Evaluates in eval mode: a row an image, also where the loader's records are windows of images, or pictures made worse.

    Images that cannot be read are in `loader.problems` and in no row.
    """
    images, grouped = images_of(loader.dataset), "group" in inspect.signature(metric.update).parameters
    root, rows, gallery = Path(getattr(images, "root", ".")), list[dict[str, Any]](), Gallery()
    with torch.inference_mode(), autocast or nullcontext():
        for place, answer, truth, pixels in _pairs(model, loader, head):
            record = images.records[place]
            answer = post.measured(answer, space) if post is not None else answer
            metric.update(answer, truth, **({"group": record.group} if grouped else {}))
            facts = _facts(metric, answer, truth)
            bad = _badness(metric, facts)
            row = {"id": record.id, "path": relative(record.path, root), "group": record.group, "facts": facts, "badness": bad}
            rows.append(row | row_of(answer, space))
            gallery.offer(rows[-1], bad, lambda i=place, a=answer, t=truth, p=pixels: shown(images, i, finished(a, post, space), t, p))  # type: ignore[misc]
            if progress is not None and (len(rows) % loader.batch_size == 0 or len(rows) == len(images)):
                progress(len(rows), len(images))
    return Evaluation(space, head, metric, rows, gallery.worst(), gallery.typical())


def answers_of(model: Model, loader: Loader, head: str) -> Iterator[tuple[str, Any]]:
    """(record id, answer) of every record that can be read, in the loader's order; in eval mode, in the caller's arithmetic."""
    model.eval()
    device = next(model.parameters()).device
    for batch in loader.epoch(0):
        found = model.predict(batch.inputs.to(device), batch.sizes.to(device), batch.meta)[head]
        yield from zip((meta.id for meta in batch.meta), found, strict=True)


def _pairs(model: Model, loader: Loader, head: str) -> Iterator[tuple[int, Any, Any, np.ndarray | None]]:
    """(place, answer, truth, pixels): in the image's own pixels, or of pictures made worse in those of the input, which is then given."""
    images = images_of(loader.dataset)
    if loader.inputs.degrade is None:
        for place, answer in whole_answers(answers_of(model, loader, head), loader.dataset):
            yield place, answer, images.truth(place).get(head), None
        return
    model.eval()
    device, places = next(model.parameters()).device, {record.id: i for i, record in enumerate(images.records)}
    for batch in loader.epoch(0):
        found = model.predict(batch.inputs.to(device), batch.sizes.to(device), in_input_pixels(batch).meta)[head]
        for i, (meta, answer) in enumerate(zip(batch.meta, found, strict=True)):
            h, w = batch.sizes[i].tolist()
            pixels = (batch.inputs[i, :3, :h, :w].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
            yield places[meta.id], answer, batch.targets[head][i], pixels


def _facts(metric: Any, answer: Any, truth: Any) -> dict[str, float]:
    """What the metric says of this image alone, the decisive number first; none for an image without a truth."""
    if truth is None or not hasattr(metric, "of_image"):
        return {}
    return {key: round(float(value), 6) for key, value in metric.of_image(answer, truth).items()}


def _badness(metric: Any, facts: dict[str, float]) -> float | None:
    """How bad an image is: its first fact, turned where more is better; None where it has none."""
    first = next(iter(facts.values()), None)
    if first is None or first != first:
        return None
    return first if getattr(metric, "worst", "low") == "high" else -first


class Gallery:
    """The worst images of a pass and a random choice, found without keeping the others."""

    def __init__(self) -> None:
        self.seen, self._chance = 0, np.random.default_rng(0)
        self._worst: list[tuple[float, int, Shown]] = []
        self._typical: list[tuple[int, Shown]] = []

    def offer(self, row: dict[str, Any], badness: float | None, make: Callable[[], tuple[np.ndarray, Any, Any] | None]) -> None:
        """Takes the image in where it is worse than those kept, or where chance wants it; `make` is called only then."""
        self.seen += 1
        place = int(self._chance.integers(self.seen))
        typical = self.seen <= TYPICAL or place < TYPICAL
        bad = badness is not None and (len(self._worst) < WORST or badness > self._worst[0][0])
        made = make() if typical or bad else None
        if made is None:
            return
        item = Shown(row, made[0], made[1], made[2])
        if typical:
            self._typical[place : place + 1] = [(self.seen, item)] if self.seen > TYPICAL else []
            if self.seen <= TYPICAL:
                self._typical.append((self.seen, item))
        if bad and badness is not None:
            push = heapq.heappush if len(self._worst) < WORST else heapq.heapreplace
            push(self._worst, (badness, self.seen, item))

    def worst(self) -> tuple[Shown, ...]:
        """The worst first."""
        return tuple(item for _, _, item in sorted(self._worst, key=lambda kept: (-kept[0], kept[1])))

    def typical(self) -> tuple[Shown, ...]:
        """In the order of the data set."""
        return tuple(item for _, item in sorted(self._typical, key=lambda kept: kept[0]))


def shown(images: Any, place: int, answer: Any, truth: Any, pixels: np.ndarray | None) -> tuple[np.ndarray, Any, Any]:
    """Pixels (h, w, 3) uint8 of at most `SHOWN_SIDE`, and truth and answer in them."""
    if pixels is not None:
        return coloured(pixels), truth, answer
    picture = coloured(images.read(place))
    size = images.size(place)
    scale = min(1.0, SHOWN_SIDE / max(size))
    small = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    if small != picture.shape[:2]:
        picture = cv2.resize(picture, (small[1], small[0]), interpolation=cv2.INTER_AREA)
    if small == size:
        return picture, truth, answer
    g = Geometry.resize(size, small)
    return picture, None if truth is None else truth.warp(g), answer.warp(g)


def finished(answer: Any, post: Postprocess | None, space: LabelSpace) -> Any:
    """The answer as users get it: without what is below the thresholds."""
    return answer if post is None else post.apply([answer], space)[0]


def coloured(pixels: np.ndarray) -> np.ndarray:
    """(h, w, C) uint8 or float32 in [0, 1] -> (h, w, 3) uint8."""
    values = pixels if pixels.dtype == np.uint8 else (pixels.clip(0, 1) * 255).round().astype(np.uint8)
    return np.ascontiguousarray(values[:, :, :3] if values.shape[2] >= 3 else np.repeat(values[:, :, :1], 3, axis=2))


def relative(path: Path, root: Path) -> str:
    """As seen from the data set's folder; a file's own folder where the data set is a table or an IDX file."""
    folder, path = (root if root.is_dir() else root.parent).resolve(), path.resolve()
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


def _jpeg(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()
