"""One pass of a generative model: what it says of every picture, samples judged beside them, and the sheets that show both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from saccade import storage
from saccade.core import LabelSpace
from saccade.data.conditions import Condition
from saccade.data.loader import Loader
from saccade.data.tiles import images_of
from saccade.generative.base import Generative
from saccade.generative.vae import ACTIVE, Vae
from saccade.generative.walks import between, effects, sliders, straight
from saccade.inference.evaluate import Evaluation, relative
from saccade.inference.judge import Judge
from saccade.metrics.generation import nearest
from saccade.metrics.samples import Samples
from saccade.ops.sheets import picture_of, sheet

Array = np.ndarray[Any, Any]
MOST, FEWEST = 2000, 64  # samples that an evaluation judges
WEIGHTED = 200  # pictures, to the end of their batch, whose likelihood is estimated by importance weights
SHOWN, ROW, SIDE, STRIPS, STEPS, SLIDERS = 100, 10, 56, 6, 10, 8
ALIKE, MATCHED = 0.1, 0.25  # variety below which samples are one; share of copies that is told
EARLY = 5  # epochs before which nothing is called a collapse
KNOWN_PICTURES = 200  # looked at for codes that are in use


class Alert(NamedTuple):
    """A code of the registry and one sentence with the numbers."""

    code: str
    text: str


@dataclass(frozen=True)
class Generated(Evaluation):
    """An evaluation with the sheets to write by name, what was judged by what, and what is wrong in plain words."""

    sheets: dict[str, Array] = field(default_factory=dict)
    judged: dict[str, Any] = field(default_factory=dict)
    alerts: tuple[Alert, ...] = ()

    def write(self, folder: Path) -> None:
        """The files of every evaluation; pictures/NAME.png of every sheet, and judge.json: by whom, how many samples of which seed, and what is wrong."""
        super().write(folder)
        for name, picture in self.sheets.items():
            write_png(folder / "pictures" / f"{name}.png", picture)
        storage.write_json(folder / "judge.json", {**self.judged, "alerts": [alert._asdict() for alert in self.alerts]})


def evaluate_samples(
    model: Generative,
    loader: Loader,
    *,
    metric: Samples,
    space: LabelSpace,
    head: str,
    judge: Judge,
    training: Loader | None = None,
    post: Any = None,
    autocast: AbstractContextManager[None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Generated:
    """Evaluates in eval mode: a row a picture, and as many samples as pictures, from 64 to 2,000, of the seed 0, told the pictures' classes in turn.

    training: pictures that the model has seen, to look for copies of them; at most 5,000 are looked at.
    """
    was_training = model.training
    model.eval()
    judge.metric(lambda _: metric, space)
    with torch.inference_mode(), autocast or nullcontext():
        rows, labels = _rows(model, loader, metric, head, progress)
        n = min(MOST, max(FEWEST, len(rows)))
        drawn = model.sample(n, seed=0, labels=_repeated(labels, n, model)).cpu()
        metric.take(drawn, None if training is None else _pictures(training, model.head))
        sheets = sheets_of(model, metric)
        alerts = tuple(wrong(model, metric))
    model.train(was_training)
    judged = {**judge.told(), "own": metric.own, "samples": n, "seed": 0, "pictures": len(rows)}
    return Generated(space, head, metric, rows, sheets=sheets, judged=judged, alerts=alerts)


def _rows(model: Generative, loader: Loader, metric: Samples, head: str, progress: Callable[[int, int], None] | None) -> tuple[list[dict[str, Any]], list[Any]]:
    """A row a picture, and its class or its vector where it has one; the first `WEIGHTED`, to the end of a batch, with their likelihood."""
    images, rows, labels = images_of(loader.dataset), list[dict[str, Any]](), list[Any]()
    places, root = {record.id: i for i, record in enumerate(images.records)}, Path(getattr(images, "root", "."))
    key = first_fact(model)
    for batch in loader.epoch(0):
        batch = batch.to(model.device)
        _, seen = model.evaluate(batch)
        weighted = model.importance_weighted(batch).tolist() if isinstance(model, Vae) and len(rows) < WEIGHTED else [None] * len(batch)
        for meta, found, target, likelihood in zip(batch.meta, seen[head], batch.targets.get(head, [None] * len(batch)), weighted, strict=True):
            record = images.records[places[meta.id]]
            facts = {name: round(value, 6) for name, value in found.facts.items()}
            metric.update(found, target, group=record.group)
            bad = None if key is None else (-facts[key] if key == "elbo" else facts[key])
            row = {"id": record.id, "path": relative(record.path, root), "group": record.group, "facts": facts, "badness": bad}
            rows.append(row | ({} if likelihood is None else {"log_likelihood": round(likelihood, 4)}))
            labels.append(target.probabilities if isinstance(target, Condition) else getattr(target, "index", -1))
        if progress is not None:
            progress(len(rows), len(images))
    metric.note("log_likelihood", [row["log_likelihood"] for row in rows if "log_likelihood" in row])
    return rows, labels


def first_fact(model: Generative) -> str | None:
    """What says how strange a picture is to the model: its bound, or its error; a discriminator's belief says nothing of that."""
    return "elbo" if isinstance(model, Vae) else "denoising" if model.steps is not None else None


def _repeated(labels: Sequence[Any], n: int, model: Generative) -> list[int] | Tensor | None:
    """The classes or vectors of the pictures, over and over, for n samples; every class in turn, or the means, where none is known."""
    vectors = [label for label in labels if isinstance(label, Tensor)]
    if model.columns:
        return torch.stack([vectors[i % len(vectors)] for i in range(n)]) if vectors else None
    known = [label for label in labels if 0 <= label < model.classes]
    return [known[i % len(known)] for i in range(n)] if known else None


def _pictures(loader: Loader, head: str, most: int = 5000) -> Tensor:
    found: list[Tensor] = []
    for batch in loader.epoch(0):
        found.append((batch.inputs.clamp(0, 1) * 255).round().byte())
        if sum(map(len, found)) >= most:
            break
    return torch.cat(found)[:most].float() / 255


# -- what is shown -----------------------------------------------------------------------------------------------------


def sheets_of(model: Generative, metric: Samples) -> dict[str, Array]:
    """samples, samples beside the nearest pictures of training, strips between two samples, sliders of single codes, reconstructions: those there can be."""
    drawn = metric.drawn
    found = {"samples": grid(drawn[:SHOWN])}
    if metric.training is not None and metric.judged:
        found["nearest"] = grid(torch.stack(list(_beside_nearest(metric)), 0))
    pictures = metric.pictures[far_apart(len(metric), STRIPS)]
    found["interpolation"] = grid(torch.cat(list(strips(model, pictures))))
    if len(model.noise_shape) == 1:
        found["sliders"] = grid(slider_rows(model)[0], columns=9)
    if isinstance(model, Vae):
        own = pictures[:ROW].to(model.device)  # those of the strips
        found["reconstructions"] = grid(torch.cat([own, model.draw(model.encode(own), unsaid(model, len(own)))]).cpu(), columns=len(own))
    return found


def far_apart(n: int, pairs: int) -> list[int]:
    """Places of up to so many pairs among n: the partners half of the list from each other, so that lists in the order of classes pair different ones.

    >>> far_apart(100, 3), far_apart(1, 3)
    ([0, 50, 16, 66, 33, 83], [])
    """
    half = n // 2
    firsts = [i * half // pairs for i in range(pairs)] if half >= pairs else list(range(half))
    return [place for first in firsts for place in (first, first + half)]


def _beside_nearest(metric: Samples) -> Iterator[Tensor]:
    """Ten samples, the nearest training picture of each below it; then ten more."""
    drawn, training = metric.drawn[: 2 * ROW], metric.training
    places = nearest(metric.looked("samples")[0][: len(drawn)], metric.looked("training")[0]).places
    for start in range(0, len(drawn), ROW):
        yield from drawn[start : start + ROW]
        yield from training[places[start : start + ROW]]  # type: ignore[index]


def unsaid(model: Generative, n: int) -> Tensor | None:
    """What a model is told where nothing is known."""
    return torch.zeros(n, model.classes, device=model.device) if model.classes else None


def strips(model: Generative, pictures: Tensor, steps: int = STEPS) -> Iterator[Tensor]:
    """Strips (steps, C, h, w): between the codes of pictures (2k, C, h, w) two by two, or between samples where pictures have no exact codes.

    All are told the first class where classes are told, and the means where numbers are.
    """
    exact, told = straight(model) and len(pictures) >= 2, model.usual(steps)
    codes = model.encode(pictures.to(model.device)) if exact else model.noise(2 * STRIPS, seed=1)
    for first, last in zip(codes[0::2], codes[1::2], strict=False):
        yield model.draw(between(first, last, steps, spherical=not exact).to(model.device), told).cpu()


def slider_rows(
    model: Generative, base: Tensor | None = None, told: Tensor | None = None, *, most: int = SLIDERS, n: int = 9, places: list[int] | None = None
) -> tuple[Tensor, list[int]]:
    """(rows x n, C, h, w) and which codes the rows are of: those given, or those that change the picture most. base: (codes,), nought where nothing is said."""
    told = told if told is not None else model.usual(1)
    places = places or effects(model, told).argsort(descending=True)[:most].tolist()
    start = torch.zeros(model.noise_shape, device=model.device) if base is None else base
    rows = sliders(start, places, n)
    return torch.cat([model.draw(row, None if told is None else told.expand(n, -1)).cpu() for row in rows]), places


def grid(pictures: Tensor, columns: int = ROW, side: int = 0) -> Array:
    """(n, C, h, w) in [0, 1] -> one picture (h, w, 3) uint8; each with `side` pixels, or its own size where that is larger, up to 256."""
    wanted = side or min(256, max(SIDE, *pictures.shape[-2:]))
    return sheet([picture_of(picture) for picture in pictures.float().cpu().numpy()], columns=max(1, columns), side=wanted)


def write_png(path: Path, picture: Array) -> None:
    """(h, w, 3) uint8. Raises ResourceError RUN-DISK."""
    with storage.disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    storage.atomic_write(path, cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes())


# -- what is wrong -----------------------------------------------------------------------------------------------------


def wrong(model: Generative, metric: Samples) -> Iterator[Alert]:
    """What an experienced person would say of these samples."""
    values = metric.points(("variety", "modes_covered")) if metric.judged else {}
    if values.get("variety", 1.0) < ALIKE:
        yield Alert("GEN-COLLAPSE", f"{metric.drawn.shape[0]} samples vary {values['variety']:.2f} times as much as the pictures do")
    elif metric.own and values.get("modes_covered", 1.0) < 1.0:
        yield Alert("GEN-COLLAPSE", f"{values['modes_covered']:.0%} of the classes have samples")
    if isinstance(model, Vae) and len(metric) >= 2:
        use = model.use_of_codes(metric.pictures[:KNOWN_PICTURES].to(model.device))
        active = int((use > ACTIVE).sum())
        if 2 * active < len(use):
            yield Alert("GEN-POSTERIOR", f"{active} of {len(use)} codes differ between pictures")
    if metric.judged and metric.training is not None and (share := metric.copied) > MATCHED:
        yield Alert("GEN-MEMORY", f"{share:.0%} of the samples are nearer to a training picture than 5 % of new pictures are")


# -- while training ----------------------------------------------------------------------------------------------------


@dataclass
class Watch:
    """The metric of an epoch: as `Samples`, and `points` draws and judges samples with the weights of the moment and writes samples/epoch_N.png.

    tell: is told of collapse, once each. Samples are of the seed 0, so that sheets of several epochs show the same noise.
    """

    model: Generative
    metric: Samples
    folder: Path
    number: Callable[[], int]
    tell: Callable[[str, str], None]
    told: set[str]

    def update(self, prediction: Any, truth: Any) -> None:
        self.metric.update(prediction, truth)

    def points(self) -> dict[str, float]:
        """The values of the epoch; those that samples are judged by where the model is one that draws quickly."""
        model = self.model
        count = max(model.shown, min(model.judged, max(FEWEST, len(self.metric))))
        options: dict[str, Any] = {"steps": min(20, model.steps)} if model.steps is not None and not model.judged else {}
        drawn = model.sample(count, seed=0, **options).cpu()
        write_png(self.folder / f"epoch_{self.number():04d}.png", grid(drawn[: model.shown], columns=6))
        if not model.judged:
            self.metric.judge = None
        self.metric.take(drawn)
        for alert in wrong(model, self.metric) if self.number() >= EARLY else ():
            if alert.code not in self.told:
                self.told.add(alert.code)
                self.tell(*alert)
        return self.metric.points(("fid",))
