"""The inputs of one batch: every picture placed by its geometry, coloured and finished, with its truths moved along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch

from saccade.core import Batch, Meta
from saccade.data import augment_geometry, mosaic
from saccade.data.augment import Draws, Policy, composed, draw, uniforms
from saccade.data.augment_pixels import SCALE, chance, coloured, finish, unfinished
from saccade.data.degrade import Degrade
from saccade.data.preprocess import PADDED, Preprocess
from saccade.data.visible import objects_of, seen
from saccade.ops.geometry import Geometry
from saccade.ops.resample import SHRINKS, centred, moved, scales
from saccade.targets import ImageTarget
from saccade.targets.rows import KEPT

STILL = frozenset({"label", "labels", "number", "caption", "tags"})  # heads whose truths no geometry changes


class Sample(NamedTuple):
    """A record as read. place: its own, n further on where it comes the second time in an epoch; random changes follow from it. `pixels` (h, w, C),
    reduced to what the input needs; `size` (h, w) of the whole image, which the truths are about."""

    place: int
    id: str
    pixels: np.ndarray
    truth: dict[str, Any]
    size: tuple[int, int]

    @property
    def read(self) -> tuple[int, int]:
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def reduced(self) -> Geometry:
        """Whole image -> pixels read."""
        return Geometry.identity(self.size) if self.read == self.size else Geometry.resize(self.size, self.read)


class _Placed(NamedTuple):
    """A picture in the input: (h, w, C) pixels, their geometry from the pixels read, and the truths where they were moved already."""

    pixels: np.ndarray
    geometry: Geometry
    truth: dict[str, Any] | None = None


class Inputs:
    """Makes batches of samples. Safe to call from several threads.

    heads: the names of the truths that a batch has. moves: whether any of them follows the geometry. records: how many there are
    for a mosaic to choose from; schedules: see `mosaic.is_over`.
    """

    def __init__(
        self,
        preprocess: Preprocess,
        policy: Policy | None,
        degrade: Degrade | None,
        heads: Sequence[str],
        seed: int,
        records: int,
        schedules: Sequence[int] = (),
    ) -> None:
        self.preprocess, self.policy, self.degrade, self.heads, self.seed, self.records = preprocess, policy, degrade, tuple(heads), seed, records
        self.schedules = tuple(schedules)
        self.moves = any(head not in STILL for head in heads)
        self.border = cv2.BORDER_CONSTANT if self.moves else preprocess.border  # an object's mirror image would be one without a label
        self._fits: dict[tuple[int, int], Geometry] = {}

    def batch(self, samples: Sequence[Sample], epoch: int, others: Mapping[int, Sample]) -> Batch:
        """others: the samples by place that a mosaic may need besides."""
        preprocess, n = self.preprocess, len(samples)
        extents = [self._extent(sample.read) for sample in samples]
        places = np.array([sample.place for sample in samples])
        u = None if self.policy is None else uniforms(self.seed, epoch, places)
        if u is not None and (share := self._mosaics(epoch)):
            extents = [preprocess.size if row[36] < share else extent for row, extent in zip(u, extents, strict=True)]
        plane, depth = preprocess.plane(extents), samples[0].pixels.shape[2]
        out = np.empty((n, *plane, depth), np.float32)
        if self.policy is None or u is None:
            placed = self._plain(samples, plane, out)
        else:
            drawn = self._drawn(u, extents, depth)
            placed = self._changed(samples, drawn, u, extents, epoch, others, out)
            finish(out, drawn, self.seed, epoch, places, extents if preprocess.mode in PADDED else None)
            self._pad(out, extents)
        metas, truths = self._truths(samples, placed, plane)
        return self._degraded(out, extents, truths, metas, epoch, places)

    def _drawn(self, u: np.ndarray, extents: Sequence[tuple[int, int]], depth: int) -> Draws:
        assert self.policy is not None
        if self.preprocess.mode not in PADDED:
            return draw(self.policy, u, self.preprocess.size, depth)
        return Draws.joined([draw(self.policy, u[i : i + 1], extent, depth) for i, extent in enumerate(extents)])

    def _plain(self, samples: Sequence[Sample], plane: tuple[int, int], out: np.ndarray) -> list[_Placed]:
        placed = []
        for i, sample in enumerate(samples):
            fit = self._fit(sample.read)
            geometry = fit if fit.size == plane else Geometry(fit.matrix, plane)
            pixels = self.preprocess.placed(sample.pixels, geometry)
            np.divide(pixels, self.preprocess.white(pixels), out=out[i], dtype=np.float32, casting="unsafe")
            placed.append(_Placed(pixels, geometry))
        return placed

    def _changed(
        self,
        samples: Sequence[Sample],
        drawn: Draws,
        u: np.ndarray,
        extents: Sequence[tuple[int, int]],
        epoch: int,
        others: Mapping[int, Sample],
        out: np.ndarray,
    ) -> list[_Placed]:
        """Every picture under what was drawn for it, coloured, in `out`."""
        policy, preprocess, share = self.policy, self.preprocess, self._mosaics(epoch)
        assert policy is not None
        matrices = composed(drawn.matrices, np.stack([self._fit(sample.read).matrix for sample in samples]))
        simple = drawn.matrices.shape[1] == 2 and drawn.bends is None and drawn.windows is None and not share
        quick = ~(np.minimum(*scales(matrices)) < SHRINKS) if simple else np.zeros(len(samples), dtype=bool)
        indexed, colours, later = centred(matrices), drawn.colours.astype(np.float32), unfinished(drawn)
        kept = (colours == np.eye(*colours.shape[1:], dtype=np.float32)).all((1, 2))  # numbers of sequences and vectors may lie outside of [0, 1]
        placed = []
        for i, sample in enumerate(samples):
            if u[i, 36] < share:
                found = self._mosaic(u[i], [sample if p == sample.place else others[p] for p in self._partners(u[i], sample.place)], epoch)
            else:
                geometry = Geometry(matrices[i], extents[i], None if drawn.bends is None else drawn.bends[i])
                if quick[i]:
                    fill = preprocess.fill * preprocess.white(sample.pixels)
                    found = _Placed(moved(sample.pixels, indexed[i], extents[i], self.border, fill), geometry)
                else:
                    geometry = self._windowed(sample, geometry, drawn, i)
                    found = _Placed(preprocess.placed(sample.pixels, geometry, self.border), geometry)
            placed.append(found)
            h, w = found.pixels.shape[:2]
            whole = out[i].shape[:2] == (h, w)
            goal = out[i] if whole else np.empty(found.pixels.shape, np.float32)
            coloured(found.pixels, colours[i], preprocess.white(found.pixels), goal, last=not later[i] and not kept[i])
            if not whole:
                out[i, :h, :w] = goal
        return placed

    def _windowed(self, sample: Sample, geometry: Geometry, drawn: Draws, i: int) -> Geometry:
        """The geometry with a window of what was drawn; the bend stays last."""
        if drawn.windows is None or self.policy is None:
            return geometry
        straight = Geometry(geometry.matrix, geometry.size)
        window = augment_geometry.chosen_window(drawn.windows[i], sample.reduced.then(straight), objects_of(sample.truth), self.policy.crop_visible)
        if window is None:
            return geometry
        both = straight.then(window)
        return Geometry(both.matrix, both.size, geometry.bend)

    def _mosaics(self, epoch: int) -> float:
        """The probability that an input of an epoch is a mosaic."""
        if self.policy is None or mosaic.is_over(epoch, self.schedules, self.policy.mosaic_off):
            return 0.0
        return self.policy.mosaic

    def _partners(self, row: np.ndarray, place: int) -> list[int]:
        return mosaic.partners(row, place, self.records)

    def needed(self, places: np.ndarray, epoch: int) -> set[int]:
        """The places besides these that mosaics of a batch are made of."""
        share = self._mosaics(epoch)
        if not share:
            return set()
        u = uniforms(self.seed, epoch, places)
        chosen = [self._partners(row, int(place)) for row, place in zip(u, places, strict=True) if row[36] < share]
        return {partner for four in chosen for partner in four} - {int(place) for place in places}

    def _mosaic(self, row: np.ndarray, four: Sequence[Sample], epoch: int) -> _Placed:
        """Four samples, each changed as its own place says and covering its quadrant."""
        policy, preprocess = self.policy, self.preprocess
        assert policy is not None
        first, size = four[0].pixels, preprocess.size
        canvas = np.empty((*size, first.shape[2]), first.dtype)
        parts: dict[str, list[Any]] = {head: [] for head in self.heads}
        corners, geometries = [], []
        rows = uniforms(self.seed, epoch, np.array([sample.place for sample in four]))
        for k, (sample, (corner, quadrant)) in enumerate(zip(four, mosaic.quadrants(row, size), strict=True)):
            drawn = draw(policy, rows[k : k + 1], quadrant, first.shape[2])
            straight = Geometry.cover(sample.read, quadrant).then(Geometry(drawn.matrices[0], quadrant))
            bend = None if drawn.bends is None else drawn.bends[0]
            geometry = self._windowed(sample, Geometry(straight.matrix, quadrant, bend), drawn, 0)
            pixels = preprocess.placed(sample.pixels, geometry, cv2.BORDER_CONSTANT)
            if pixels.dtype != first.dtype:
                pixels = (pixels * (preprocess.white(first) / preprocess.white(pixels))).astype(first.dtype)
            canvas[corner[1] : corner[1] + quadrant[0], corner[0] : corner[0] + quadrant[1]] = pixels
            corners.append(corner)
            geometries.append(geometry)
            for head in self.heads:
                parts[head].append(self._moved(sample.truth.get(head), sample.reduced.then(geometry)))
        truth = {head: mosaic.side_by_side(found, corners, size) for head, found in parts.items()}
        return _Placed(canvas, Geometry(geometries[0].matrix, size), truth)

    def _moved(self, target: Any, geometry: Geometry) -> Any:
        """A truth under a geometry, without the objects that are hardly seen any more."""
        if target is None:
            return None
        if self.policy is not None and self.policy.min_visible > KEPT:
            target = seen(target, geometry, self.policy.min_visible)
        return target.warp(geometry)

    def _truths(self, samples: Sequence[Sample], placed: Sequence[_Placed], plane: tuple[int, int]) -> tuple[list[Meta], dict[str, list[Any]]]:
        metas, truths = [], {head: [] for head in self.heads}  # type: tuple[list[Meta], dict[str, list[Any]]]
        for sample, found in zip(samples, placed, strict=True):
            geometry = sample.reduced.then(found.geometry) if sample.read != sample.size else found.geometry
            shown = geometry if geometry.size == plane or geometry.bend is not None else Geometry(geometry.matrix, plane)
            metas.append(Meta(sample.id, sample.size, shown))
            for head, given in truths.items():
                target = found.truth[head] if found.truth is not None else self._moved(sample.truth.get(head), geometry)
                given.append(target if target is None or geometry.size == plane or head in STILL else target.warp(Geometry.identity(plane)))
        return metas, truths

    def _pad(self, out: np.ndarray, extents: Sequence[tuple[int, int]]) -> None:
        for i, (h, w) in enumerate(extents):
            if (h, w) != out.shape[1:3]:
                out[i, h:], out[i, :, w:] = self.preprocess.fill, self.preprocess.fill

    def _degraded(
        self, out: np.ndarray, extents: Sequence[tuple[int, int]], truths: dict[str, list[Any]], metas: list[Meta], epoch: int, places: np.ndarray
    ) -> Batch:
        """The batch; where pictures are degraded, each in its own extent, what was made is the answer and the input is made from it."""
        sizes = torch.tensor(extents)
        if self.degrade is None:
            return Batch(self.preprocess.whitened(out).permute(0, 3, 1, 2), sizes, truths, metas)
        scale = 1 if self.degrade.enlarge else self.degrade.shrink
        plane = -(-out.shape[1] // scale), -(-out.shape[2] // scale)
        inputs = np.full((len(out), *plane, self.degrade.channels(out.shape[3])), self.preprocess.fill, np.float32)
        answers = []
        for i, (place, (h, w)) in enumerate(zip(places, extents, strict=True)):
            clean = np.ascontiguousarray(out[i, :h, :w])
            inputs[i, : h // scale, : w // scale] = self.degrade(clean, chance(self.seed, epoch, place, SCALE))
            answers.append(ImageTarget(torch.from_numpy(clean).permute(2, 0, 1).contiguous(), scale))
        if scale > 1:
            smaller = Geometry(np.array([[1 / scale, 0.0, 0.0], [0.0, 1 / scale, 0.0]]), plane)
            metas = [Meta(m.id, m.size, m.geometry if m.geometry.bend is not None else m.geometry.then(smaller)) for m in metas]
        return Batch(torch.from_numpy(inputs).permute(0, 3, 1, 2), torch.div(sizes, scale, rounding_mode="floor"), {**truths, "image": answers}, metas)

    def _extent(self, read: tuple[int, int]) -> tuple[int, int]:
        """(h, w) of the input that a picture fills; of one that is shrunk pixel for pixel, a multiple of the shrink, what is over being cut."""
        extent, shrink = self.preprocess.extent(read), 1 if self.degrade is None else self.degrade.shrink
        return extent if shrink == 1 or self.preprocess.mode not in PADDED else (max(1, extent[0] // shrink) * shrink, max(1, extent[1] // shrink) * shrink)

    def _fit(self, shape: tuple[int, int]) -> Geometry:
        """The geometry of a picture without any change, kept for each shape; in the modes pad and keep into its own extent."""
        found = self._fits.get(shape)
        if found is None:
            fit = self.preprocess.geometry(shape)
            found = self._fits[shape] = Geometry(fit.matrix, self._extent(shape))
        return found
