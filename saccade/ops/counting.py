"""Counting from dots: density maps, the four losses of LC-FCN, and dots from what a network answers.

Dots are (n, 2) x, y in continuous cells of the map, a cell (i, j) covering [j, j + 1] x [i, i + 1]; a dot on the far border belongs to the last cell.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from saccade.ops.components import grown

STEPS = 32  # of the landscape that a watershed floods
SMALLEST = 1e-7


class PointTerms(NamedTuple):
    """The four losses of one image."""

    image: Tensor
    point: Tensor
    split: Tensor
    false_positive: Tensor


def density(xy: Tensor, sigma: float, size: tuple[int, int]) -> Tensor:
    """(n, 2) dots -> (h, w) float64: a Gaussian of deviation `sigma` cells around each, whose values in the map sum to one, so that the map's sum is n.

    Lempitsky and Zisserman 2010, eq. 2. Deviation: a dot at the border counts one and not what of its Gaussian is inside, so that sums are counts.

    >>> round(float(density(torch.tensor([[0.0, 0.0], [5.0, 3.0]]), 1.5, (4, 6)).sum()), 6)
    2.0
    """
    dots = xy.double().cpu()
    rows, columns = (_bells(dots[:, axis], sigma, length) for axis, length in ((1, size[0]), (0, size[1])))
    return rows.T @ columns


def _bells(centres: Tensor, sigma: float, length: int) -> Tensor:
    """(n, length) float64: normalised rows of Gaussian weights at the cells' centres."""
    at = torch.arange(length, dtype=torch.float64) + 0.5
    exponent = -((at - centres[:, None]) ** 2) / (2 * sigma**2)
    return torch.softmax(exponent, 1)


def peaks(found: np.ndarray, sigma: float, count: int) -> np.ndarray:
    """(h, w) density -> (count, 3) x, y and the density there, one dot after another at the highest cell, each taking its own Gaussian away."""
    left, reach = found.astype(np.float64).copy(), int(np.ceil(3 * sigma))
    bell = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    kernel, (h, w) = np.outer(bell, bell) / bell.sum() ** 2, found.shape
    rows = np.empty((count, 3))
    for place in range(count):
        y, x = divmod(int(left.argmax()), w)
        rows[place] = x + 0.5, y + 0.5, found[y, x]
        top, side = max(0, y - reach), max(0, x - reach)
        bottom, end = min(h, y + reach + 1), min(w, x + reach + 1)
        left[top:bottom, side:end] -= kernel[top - y + reach : bottom - y + reach, side - x + reach : end - x + reach]
    return rows


def dots_of(xy: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The rows and columns (n,) of the cells that hold the dots."""
    rows, columns = (np.clip(np.floor(xy[:, axis]).astype(int), 0, length - 1) for axis, length in ((1, size[0]), (0, size[1])))
    return rows, columns


def blobs(ids: np.ndarray, index: int) -> tuple[int, np.ndarray]:
    """How many connected pieces (corners included) the cells of a class make, and their numbers (h, w) int32 from 1, 0 elsewhere."""
    count, numbers = cv2.connectedComponents((ids == index).astype(np.uint8), connectivity=8)
    return count - 1, numbers


def watershed_lines(probability: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(h, w) bool: cells beside the borders between the basins that a flood of 1 - p from the dots divides the map into.

    The water rises in 32 steps of p; on every level the basins grow a cell at a time to all sides, and the later dot wins where two meet at once. Both
    sides of a border are lines, so that no two dots stay connected to each other without them, corners included.
    """
    basins = np.zeros(probability.shape, np.int32)
    basins[rows, columns] = np.arange(1, len(rows) + 1)
    steps = np.floor(np.clip(probability, 0, 1) * (STEPS - 1) + 0.5).astype(np.int32)
    for level in np.unique(steps)[::-1].tolist():
        basins = grown(basins, (steps >= level) | (basins > 0))
    around, numbers = np.ones((3, 3), np.uint8), basins.astype(np.float32)
    lines: np.ndarray = cv2.dilate(numbers, around) != cv2.erode(numbers, around)
    return lines


def split_weights(probability: np.ndarray, numbers: np.ndarray, rows: np.ndarray, columns: np.ndarray, *, balanced: bool = False) -> np.ndarray:
    """(h, w) alpha of the split loss for one class: on the watershed's lines inside of a blob with several dots, the number of its dots; on the lines of
    the flood of the whole map, one more. Laradji et al. 2018, section 3.3, watershed split, local and global.

    balanced: all lines of a flood together weigh as much as it has dots beyond the first, instead of each of their cells so much."""
    weights = np.zeros(probability.shape)
    if len(rows) < 2:
        return weights
    whole = watershed_lines(probability, rows, columns)
    weights += whole * ((len(rows) - 1) / max(1, int(np.count_nonzero(whole))) if balanced else 1.0)
    held = numbers[rows, columns]
    for blob in np.unique(held[held > 0]).tolist():
        mine = held == blob
        if mine.sum() > 1:
            inside = numbers == blob
            top, bottom = np.flatnonzero(inside.any(1))[[0, -1]] + (0, 1)
            left, right = np.flatnonzero(inside.any(0))[[0, -1]] + (0, 1)
            part = inside[top:bottom, left:right]
            lines = watershed_lines(np.where(part, probability[top:bottom, left:right], 0.0), rows[mine] - top, columns[mine] - left)
            each = (int(mine.sum()) - 1) / max(1, int(np.count_nonzero(lines & part))) if balanced else int(mine.sum())
            weights[top:bottom, left:right] += (lines & part) * each
    return weights


def point_losses(logits: Tensor, xy: np.ndarray, classes: np.ndarray, *, balanced: bool = False) -> PointTerms:
    """The losses of LC-FCN for one image: Laradji, Rostamzadeh, Pinheiro, Vazquez, Schmidt, "Where are the blobs", ECCV 2018, eq. 2 to 5.

    logits: (K + 1, h, w), the background first; xy (n, 2), classes (n,) 0..K-1. The image and the point term push every class that is there to be found
    once at least and at its dots, and no other; the split term asks for background between dots, the false-positive term in blobs without a dot. Sums
    over cells, as in the paper. Which cells belong to which term follows from the answer itself and passes no gradient.

    balanced: the lines between dots weigh together as much as the dots (see `split_weights`), and a blob without a dot as much as one. As sums, the
    lines have many cells for each dot, and a network that begins with nothing may learn to answer background everywhere.
    """
    log_p = torch.log_softmax(logits.to(torch.promote_types(logits.dtype, torch.float32)), 0)
    p = log_p.detach().exp().float().cpu().numpy()
    size = (p.shape[1], p.shape[2])
    rows, columns = dots_of(xy, size)
    ids = p.argmax(0)
    weights, wrong = np.zeros(size), np.zeros(size)
    for k in range(1, len(p)):
        mine = classes == k - 1
        _, numbers = blobs(ids, k)
        weights += split_weights(p[k], numbers, rows[mine], columns[mine], balanced=balanced)
        missed = (numbers > 0) & ~np.isin(numbers, numbers[rows[mine], columns[mine]])
        wrong += missed / np.bincount(numbers.ravel())[numbers] if balanced else missed
    truth = torch.from_numpy(classes + 1).to(logits.device), torch.from_numpy(rows).to(logits.device), torch.from_numpy(columns).to(logits.device)
    background = -log_p[0]
    return PointTerms(
        image=image_loss(log_p, np.unique(classes) + 1),
        point=-log_p[truth].sum(),
        split=(background * torch.from_numpy(weights).to(background)).sum(),
        false_positive=(background * torch.from_numpy(wrong).to(background)).sum(),
    )


def image_loss(log_p: Tensor, present: np.ndarray) -> Tensor:
    """Eq. 2 of LC-FCN: the mean of -log of the highest probability of the classes that are there, the background among them, and the mean of -log(1 - it)
    of those that are not. log_p: (K + 1, h, w); present: ids from 1."""
    highest = log_p.flatten(1).amax(1)
    there = torch.zeros(len(log_p), dtype=torch.bool, device=log_p.device)
    there[torch.as_tensor([0, *present.tolist()], device=log_p.device)] = True
    found = -highest[there].mean()
    if there.all():
        return found
    return found - torch.log1p(-highest[~there].exp().clamp_max(1 - SMALLEST)).mean()
