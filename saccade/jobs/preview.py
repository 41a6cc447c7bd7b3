"""`saccade check DATA --preview FILE`: the sheet of what a network would see."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from saccade import storage
from saccade.data.augment import Policy
from saccade.data.dataset import ImageDataset
from saccade.data.loader import Loader, heads_of
from saccade.data.loader_inputs import STILL
from saccade.data.preprocess import Preprocess
from saccade.data.preview import preview
from saccade.data.whiten import Whitening
from saccade.errors import DataError, UsageError

SMALLEST, LARGEST = 16, 4096  # of a side that may be asked for
USUAL = 512  # the largest side that is chosen when none is asked for
SAMPLES = 50  # images that the usual size is found from
FITTED = 2000  # images that whitening is fitted on


def write_preview(dataset: ImageDataset, file: Path, *, augment: str = "default", size: int | None = None, whiten: int | None = None) -> Path:
    """Writes the sheet as a PNG. augment: a policy's name. size: pixels of a side of the square input. whiten: the odd side of the patches
    whose ZCA whitening is shown, before and after, fitted on the training part; 0 for whole images.

    Raises UsageError for a value out of range, DataError when no image can be read, ResourceError RUN-DISK when the file cannot be written.
    """
    if file.suffix.lower() != ".png":
        raise UsageError("USE-VALUE", f"{file.name}, expected a name that ends in .png", where="--preview")
    if size is not None and not SMALLEST <= size <= LARGEST:
        raise UsageError("USE-VALUE", f"{size}, expected {SMALLEST} to {LARGEST}", where="--size")
    heads = heads_of(dataset)
    side = size or usual_side(dataset)
    mode: Any = "stretch" if all(head in STILL for head in heads) else "letterbox"
    preprocess = Preprocess((side, side), dataset.channels, mode, value_range=dataset.value_range)
    policy = Policy.suited(augment, dataset.spaces, heads)
    if whiten is not None:
        preprocess = Preprocess(preprocess.size, dataset.channels, mode, value_range=dataset.value_range, whitening=fitted(dataset, preprocess, whiten))
    picture = preview(dataset, preprocess, policy)
    done, data = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))
    assert done
    with storage.disk_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
    storage.atomic_write(file, data.tobytes())
    return file


def usual_side(dataset: ImageDataset) -> int:
    """The median longer side of a sample of the images, at most 512, a multiple of 32 (of the images' own size when they are smaller)."""
    sides = []
    for place in np.linspace(0, len(dataset) - 1, min(SAMPLES, len(dataset))).astype(int):
        try:
            sides.append(max(dataset.size(int(place))))
        except DataError:
            continue
    if not sides:
        raise DataError("DATA-BAD", f"none of {min(SAMPLES, len(dataset))} images can be read", where=str(dataset.root))
    side = min(USUAL, round(statistics.median(sides)))
    return max(SMALLEST, side if side < 32 else side // 32 * 32)


def fitted(dataset: ImageDataset, preprocess: Preprocess, patch: int) -> Whitening:
    """The whitening of the training part (of all images where the data name none), as inputs that are not changed otherwise."""
    places = dataset.places("train") or tuple(range(len(dataset)))
    chosen = [places[i] for i in np.linspace(0, len(places) - 1, min(FITTED, len(places))).astype(int)]
    batches = Loader(dataset.subset(chosen), preprocess, batch_size=64, threads=0, cache_bytes=0).epoch(0)
    return Whitening.fit(np.concatenate([batch.inputs.permute(0, 2, 3, 1).numpy() for batch in batches]), patch=patch)
