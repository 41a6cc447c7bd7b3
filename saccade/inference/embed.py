"""Codes of pictures or vectors by a trained model: of one that learns codes those, of any other what its last map says of the whole picture."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from saccade.core import Batch, Model, System
from saccade.data.dataset import ImageDataset
from saccade.data.loader import Loader
from saccade.data.preprocess import Preprocess
from saccade.errors import Problem, UsageError
from saccade.generative.autoencoder import Autoencoder
from saccade.inference.evaluate import DEGRADED_BATCH, DEGRADED_SIDE
from saccade.ops.padding import cells, valid_extent
from saccade.ops.pooling import global_average

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Embedded:
    """codes: (n, K) float32, a row for each record of `dataset`, which holds those that could be read. errors: (n,) reconstruction errors of a model that
    reconstructs, else None. problems: of what could not be read."""

    dataset: ImageDataset
    codes: Array
    errors: Array | None
    problems: tuple[Problem, ...] = ()

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def ids(self) -> list[str]:
        return [record.id for record in self.dataset.records]

    @property
    def labels(self) -> list[str]:
        """The names of the records' classes, empty where they have none."""
        return [self.dataset.names.get(record.id, "") for record in self.dataset.records]


def embed(
    model: System,
    dataset: ImageDataset,
    preprocess: Preprocess,
    *,
    batch: int = 64,
    device: torch.device | str = "cpu",
    autocast: AbstractContextManager[None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Embedded:
    """The code of every record that can be read, in order. Raises UsageError USE-VALUE for a model that has none.

    Pictures are looked at whole: of a model that answers by windows at the size of a window, or where nothing is scaled the upper left 768 pixels.
    """
    preprocess = replace(preprocess, tiling=None)
    if preprocess.mode == "keep":
        preprocess, batch = replace(preprocess, size=(DEGRADED_SIDE, DEGRADED_SIDE)), min(batch, DEGRADED_BATCH)
    model.eval()
    loader = Loader(dataset, preprocess, batch_size=batch, cache_bytes=0)
    codes, errors, ids = [], [], list[str]()
    with torch.inference_mode(), autocast or nullcontext():
        for part in loader.epoch(0):
            found, error = codes_of(model, Batch(part.inputs.to(device), part.sizes.to(device), {}, part.meta))
            codes.append(found.float().cpu().numpy())
            errors += [] if error is None else [error.cpu().numpy()]
            ids += [meta.id for meta in part.meta]
            if progress is not None:
                progress(len(ids), len(dataset))
    place = {record.id: i for i, record in enumerate(dataset.records)}
    seen = dataset.subset([place[name] for name in ids])
    width = codes[0].shape[1] if codes else 1
    every = np.concatenate(codes) if codes else np.zeros((0, width), np.float32)
    return Embedded(seen, every, np.concatenate(errors) if errors else None, tuple(loader.problems))


def codes_of(model: System, batch: Batch) -> tuple[Tensor, Tensor | None]:
    """(N, K) codes, and the (N,) mean squared errors of a model that reconstructs. Raises UsageError USE-VALUE for a model without codes."""
    if isinstance(model, Autoencoder):
        codes = model.encode(batch.inputs, batch.sizes)
        truth = batch.inputs.float()
        return codes, (model.decoded(codes).float() - truth).square().flatten(1).mean(1)
    if getattr(model, "encodes", False):
        found: Tensor = model.encode(batch.inputs)  # type: ignore[operator]
        return found.flatten(1), None
    if not isinstance(model, Model):
        got = f"a {type(model).__name__} makes pictures and has no codes of them"
        raise UsageError("USE-VALUE", got, where="MODEL", fix="use a model of the task represent, a classifier, or a VAE")
    features = model.backbone(batch.inputs, batch.sizes)
    last, level = features.maps[-1], model.backbone.levels[-1]  # type: ignore[union-attr, index]
    extent = valid_extent(batch.inputs, batch.sizes)
    valid = None if extent is None or last.shape[2:] == (1, 1) else cells(extent, level.stride, getattr(model.backbone, "reach", 1))
    return global_average(last, valid), None
