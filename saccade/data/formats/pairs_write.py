"""Images and their answers as pictures, written: second pictures, dots and depth, each in a folder beside that of the images."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np

from saccade.data.dataset import ImageDataset
from saccade.data.formats.depth import MILLIMETRE
from saccade.data.formats.drawn_out import Losses
from saccade.data.formats.masks_write import answer_path, placed, write_classes, write_indices, write_samples
from saccade.data.formats.pictures import Pictures
from saccade.data.formats.stored import ImageFile
from saccade.errors import Problem
from saccade.label_space import LabelSpace
from saccade.targets import ImageTarget, Points

_REACH = 8  # pixels that a dot may be moved, so that it does not touch another
_DEEPEST = 65535


def _put(pictures: Pictures, i: int, split: str | None, folder: str) -> str:
    return placed(pictures.put(i, folder + (f"/{split}" if split else "")))


def save_images(dataset: ImageDataset, out: Path, pictures: Pictures) -> list[Problem]:
    """Writes `input/` and `target/`, by split. Answers that are files are copied, others become PNG of 8 bits, or of 16 where 8 do not hold them."""
    losses = Losses()
    for i, record in enumerate(dataset.records):
        path = _put(pictures, i, record.split, "input")
        target = record.targets.get("image")
        if isinstance(target, ImageFile):
            copy = out / answer_path(path, "target", target.path.suffix, "input")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(target.path, copy)
        elif target is not None:
            found = target.load() if hasattr(target, "load") else target
            _write_picture(out / answer_path(path, "target", base="input"), found, losses)
    return losses.problems()


def _write_picture(path: Path, found: ImageTarget, losses: Losses) -> None:
    import cv2

    pixels = found.pixels.numpy().transpose(1, 2, 0).astype(np.float64)
    losses.add("image", "pixels that are not known", int(np.isnan(pixels).any(2).sum()))
    pixels = np.clip(np.nan_to_num(pixels), 0, 1)
    shallow = np.round(pixels * 255)
    deep = np.abs(shallow / 255 - pixels).max(initial=0) > 1e-6
    values = np.round(pixels * _DEEPEST).astype(np.uint16) if deep else shallow.astype(np.uint8)
    losses.add("image", "rounding to 16 bits", int(deep and np.abs(values / _DEEPEST - pixels).max(initial=0) > 1e-6))
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = cv2.imencode(".png", values[..., ::-1] if values.shape[2] == 3 else values)[1]
    path.write_bytes(encoded.tobytes())


def save_depth(dataset: ImageDataset, out: Path, pictures: Pictures) -> list[Problem]:
    """Writes `color/` and `depth/`, by split: PNG of 16 bits in millimetres, 0 where the depth is not known."""
    losses = Losses()
    for i, record in enumerate(dataset.records):
        path = _put(pictures, i, record.split, "color")
        found = dataset.truth(i).get("depth")
        if found is None:
            continue
        metres = found.metres.numpy().astype(np.float64)
        units = np.round(metres / MILLIMETRE)
        known = np.isfinite(units) & (units >= 1) & (units <= _DEEPEST)
        values = np.where(known, units, 0).astype(np.uint16)
        losses.add("depth", "pixels nearer than 1 mm or farther than 65.535 m", int((np.isfinite(metres) & ~known).sum()))
        losses.add("depth", "rounding to millimetres", int((np.abs(values * MILLIMETRE - metres)[known] > 1e-5).any()))
        write_samples(out / answer_path(path, "depth", base="color"), values)
    return losses.problems()


def save_dots(dataset: ImageDataset, out: Path, pictures: Pictures) -> list[Problem]:
    """Writes `images/` and `dots/`, by split: palette PNG, one pixel a dot, index = class + 1, with `dots/classes.json`.

    A dot that would touch another of its class, or cover one, goes to the nearest free pixel.
    """
    losses, space = Losses(), dataset.spaces["points"]
    shown = LabelSpace(("", *(f"{name} " for name in space.names)), background=0, colours=("#000000", *(space.colour(k) for k in range(len(space)))))
    for i, record in enumerate(dataset.records):
        path = _put(pictures, i, record.split, "images")
        found = dataset.truth(i).get("points")
        if found is not None:
            write_indices(out / answer_path(path, "dots"), _plane(found, dataset.size(i), losses), shown)
    (out / "dots").mkdir(parents=True, exist_ok=True)
    write_classes(out / "dots" / "classes.json", space, first=1)
    return losses.problems()


def _plane(found: Points, size: tuple[int, int], losses: Losses) -> np.ndarray:
    """(h, w) uint8, 0 or class + 1."""
    h, w = size
    plane = np.zeros((h, w), np.uint8)
    losses.add("points", "scores", 0 if found.scores is None else len(found))
    for (x, y), k in zip(found.xy.tolist(), found.classes.tolist(), strict=True):
        column, row = min(max(math.floor(x), 0), w - 1), min(max(math.floor(y), 0), h - 1)
        free = next((place for place in _around(row, column, size) if _is_free(plane, place, k + 1)), None)
        if free is None:
            losses.add("points", "dots too near to others")
            continue
        plane[free] = k + 1
        losses.add("points", "places inside of a pixel", int(abs(free[1] + 0.5 - x) > 1e-6 or abs(free[0] + 0.5 - y) > 1e-6))
        losses.add("points", "dots moved apart", int(free != (row, column)))
    return plane


def _around(row: int, column: int, size: tuple[int, int]) -> list[tuple[int, int]]:
    reach = range(-_REACH, _REACH + 1)
    places = [(row + i, column + j) for i in reach for j in reach if 0 <= row + i < size[0] and 0 <= column + j < size[1]]
    return sorted(places, key=lambda p: ((p[0] - row) ** 2 + (p[1] - column) ** 2, p))


def _is_free(plane: np.ndarray, place: tuple[int, int], value: int) -> bool:
    row, column = place
    near = plane[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
    return plane[place] == 0 and not (near == value).any()
