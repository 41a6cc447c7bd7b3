"""One pass of a model that learns codes: reconstructions and their errors, the codes, a map of them, densities fitted to them, and what PCA reaches."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from saccade import storage
from saccade.classic.density import DENSITIES
from saccade.classic.flat_map import FlatMap, flat_map
from saccade.classic.pca import WIDEST
from saccade.core import LabelSpace
from saccade.data.loader import Loader
from saccade.errors import DataError, UsageError
from saccade.generative.autoencoder import Autoencoder
from saccade.generative.principal_components import Gathered, PrincipalComponents
from saccade.inference.evaluate import Evaluation, evaluate
from saccade.inference.tables import write_csv
from saccade.metrics.restoration import image_means
from saccade.ops.sheets import picture_of, sheet

Array = np.ndarray[Any, Any]
MAPPED = 1000  # codes of an evaluation that are mapped, at most
FITTED = 4000  # codes that densities are fitted to and measured on, at most
FEWEST = 20  # codes without which no density is fitted
SAMPLES, ROW, SIDE = 40, 10, 56  # pictures from a density; in a row; pixels of a side
ACROSS = 8  # originals in a row of the sheet of reconstructions
FLOOR_INPUTS, FLOOR_WIDE, FLOOR_VALUES = 20_000, 2_000, 100_000_000  # that a floor is fitted to, at most: inputs, those of many values, and values
KEY = "reconstruction_error"


@dataclass(frozen=True)
class Represented(Evaluation):
    """An evaluation with the codes (n, K) of its rows, what they are called by (empty texts where nothing is known), the model and the loader."""

    codes: Array = field(default_factory=lambda: np.zeros((0, 1), np.float32))
    names: tuple[str, ...] = ()
    model: Any = None
    loader: Any = None

    def write(self, folder: Path) -> None:
        """The files of every evaluation, codes.npy, map.csv, density.csv, pictures/reconstructions.png and pictures/samples_DENSITY.png besides."""
        super().write(folder)
        buffer = io.BytesIO()
        np.save(buffer, self.codes)
        storage.atomic_write(folder / "codes.npy", buffer.getvalue())
        if shown := (*self.typical[:ACROSS], *self.worst[:ACROSS]):
            write_picture(folder / "pictures" / "reconstructions.png", sheet(self.pairs(), columns=min(ACROSS, len(shown)), side=SIDE))
        if len(self.codes) >= 2:
            write_csv(folder / "map.csv", self.map_rows())
        if len(self.codes) >= FEWEST:
            self.write_densities(folder)

    def pairs(self) -> list[Array]:
        """Rows of originals, each above the row of their reconstructions: a random choice, then the worst."""
        rows = []
        for items in (self.typical[:ACROSS], self.worst[:ACROSS]):
            blank = [np.full((1, 1, 3), 255, np.uint8)] * (min(ACROSS, max(len(self.typical), len(self.worst))) - len(items))
            for shown in ([item.pixels for item in items], [item.answer.shown() for item in items]):
                rows += [*shown, *blank] if items else []
        return rows

    def map_rows(self) -> list[dict[str, Any]]:
        """A row for each of at most 1,000 codes: id, label, x, y, and how the map was made."""
        places = np.linspace(0, len(self.codes) - 1, min(MAPPED, len(self.codes))).astype(int)
        found: FlatMap = flat_map(self.codes[places])
        how = found.by if found.method == "pca" else f"t-SNE ({found.by})"
        return [
            {"id": self.rows[i]["id"], "label": self.names[i], "x": round(float(x), 4), "y": round(float(y), 4), "method": how}
            for i, (x, y) in zip(places, found.points, strict=True)
        ]

    def write_densities(self, folder: Path) -> None:
        """density.csv: of N(0, I) and of each density fitted to half of the codes, the mean -log p of the other half in nats; and decoded samples."""
        places = np.random.default_rng(0).permutation(len(self.codes))[:FITTED]
        own, others = np.array_split(self.codes[places].astype(np.float64), 2)
        rows = []
        for name, kind in DENSITIES.items():
            density = kind().fit(own)
            told = {"density": name, "fitted_to": 0 if name == "standard" else len(own), "measured_on": len(others)}
            rows.append(told | {"nats": round(float(-density.log_density(others).mean()), 4)})
            if self.pictured:
                drawn = density.sample(SAMPLES, np.random.default_rng(1))
                with torch.inference_mode():
                    device = next(self.model.parameters()).device
                    pictures = self.model.decoded(torch.from_numpy(drawn).float().to(device)).cpu().numpy()
                made = sheet([picture_of(picture) for picture in pictures], columns=ROW, side=SIDE)
                write_picture(folder / "pictures" / f"samples_{name}.png", made)
        write_csv(folder / "density.csv", rows)

    @property
    def pictured(self) -> bool:
        """Whether the inputs are pictures and not vectors."""
        return tuple(self.loader.preprocess.size) != (1, 1)


def write_picture(path: Path, picture: Array) -> None:
    """(h, w, 3) uint8 as PNG."""
    path.parent.mkdir(exist_ok=True)
    storage.atomic_write(path, cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes())


def evaluate_codes(model: Autoencoder, loader: Loader, *, metric: Any, space: LabelSpace, head: str, **options: Any) -> Represented:
    """`inference.evaluate.evaluate`, and the codes of the same inputs."""
    found = evaluate(model, loader, metric=metric, space=space, head=head, **options)
    codes, ids = codes_of(model, loader)
    place = {name: i for i, name in enumerate(ids)}
    kept = codes[[place[row["id"]] for row in found.rows]] if found.rows else codes
    called = getattr(loader.dataset, "names", {})
    pictured = tuple(loader.preprocess.size) != (1, 1)
    worst, typical = (tuple(item._replace(truth=None) for item in items) if pictured else () for items in (found.worst, found.typical))  # it is the picture
    names = tuple(called.get(row["id"], "") for row in found.rows)
    return Represented(space, head, found.metric, found.rows, worst, typical, codes=kept, names=names, model=model, loader=loader)


def codes_of(model: Autoencoder, loader: Loader) -> tuple[Array, list[str]]:
    """(n, K) float32 codes of all inputs that can be read, and their ids."""
    model.eval()
    device, codes, ids = next(model.parameters()).device, [], list[str]()
    with torch.inference_mode():
        for batch in loader.epoch(0):
            codes.append(model.encode(batch.inputs.to(device), batch.sizes.to(device)).float().cpu().numpy())
            ids += [meta.id for meta in batch.meta]
    return (np.concatenate(codes) if codes else np.zeros((0, model.codes), np.float32)), ids


def floors(dataset: Any, train: Sequence[int], test: Sequence[int], *, space: LabelSpace, evaluation: Represented, budget_s: float = 20.0) -> dict[str, Any]:
    """{"mean input", "PCA with K codes": {reconstruction_error, difference (the model's less its own, image by image), trained_on, seconds}}.

    Fitted to at most 20,000 training inputs (2,000 of more than 4,096 values), fewer where reading them takes more than half of the time.
    No PCA beside a model that is one.
    """
    began, codes = time.monotonic(), evaluation.model.codes
    rows: list[Array] = []
    width = math.prod(evaluation.loader.preprocess.size) * evaluation.loader.preprocess.channels
    most = min(len(train), FLOOR_INPUTS if width <= WIDEST else FLOOR_WIDE, FLOOR_VALUES // width)
    chosen = [train[i] for i in np.linspace(0, len(train) - 1, most).astype(int)]
    shuffled = np.random.default_rng(0).permutation(chosen).tolist()
    for batch in _like(evaluation.loader, dataset.subset(shuffled)).epoch(0):
        rows.append(batch.inputs.flatten(1).numpy())
        if time.monotonic() - began > budget_s / 2:
            break
    count = sum(map(len, rows))
    if not count:
        return {"mean input": {"unfinished": "no training input can be read"}}
    asked = dataset.subset([i for i in test if dataset.records[i].id in {row["id"] for row in evaluation.rows}])
    mean = np.concatenate(rows).mean(0, dtype=np.float64)
    found = {"mean input": _beside(evaluation, asked, mean, None, count, began)}
    if not isinstance(evaluation.model, PrincipalComponents):
        name = f"PCA with {codes} codes"
        gathered = Gathered(codes)
        for part in rows:
            gathered.add(part)
        try:
            mean, _, axes = gathered.finish()
            found[name] = _beside(evaluation, asked, mean, axes, count, began)
        except UsageError as problem:
            found[name] = {"unfinished": problem.got}
    return found


def _beside(evaluation: Represented, asked: Any, mean: Array, axes: Array | None, count: int, began: float) -> dict[str, Any]:
    """What a linear model of these axes, or the mean alone, leaves of the evaluated inputs."""
    own = {row["id"]: row["facts"].get(KEY) for row in evaluation.rows}
    group = {row["id"]: row["group"] for row in evaluation.rows}
    errors, differences, groups = [], [], []
    for batch in _like(evaluation.loader, asked).epoch(0):
        centred = batch.inputs.flatten(1).numpy().astype(np.float64) - mean
        left = centred if axes is None else centred - (centred @ axes.T) @ axes
        for meta, error in zip(batch.meta, (left**2).mean(1), strict=True):
            if own.get(meta.id) is not None:
                errors.append({KEY: float(error)})
                differences.append({"difference": float(own[meta.id]) - float(error)})
                groups.append(group[meta.id])
    if not errors:
        raise DataError("DATA-SMALL", "no evaluated input can be read again", where=str(getattr(asked, "root", "")))
    resamples, seed = evaluation.metric.resamples, evaluation.metric.seed
    values = image_means(errors, groups, (), resamples, seed) | image_means(differences, groups, (), resamples, seed)
    return {key: value._asdict() for key, value in values.items()} | {"trained_on": count, "seconds": round(time.monotonic() - began, 2)}


def _like(loader: Loader, dataset: Any) -> Loader:
    """The loader of other inputs."""
    return Loader(dataset, loader.preprocess, batch_size=loader.batch_size, degrade=loader.inputs.degrade, threads=loader.threads, cache_bytes=0)
