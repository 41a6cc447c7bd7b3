"""What a detector's metric says, as rows of tables: confusions, curves, and how well objects of each size are found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from saccade.core import LabelSpace
from saccade.metrics.coco_matching import Matched

Array = np.ndarray
Rows = list[dict[str, Any]]
POINTS = 200  # of a curve, at most
SIDES = (0, 8, 16, 32, 64, 128, 256, 1e9)  # pixels


def confusion(counts: Array, space: LabelSpace) -> Rows:
    """(K + 1, K + 1) counts -> a row a truth with a column an answer; the last row is background, the last column missed."""
    names = (*space.names, "missed")
    truths = (*space.names, "background")
    return [{"truth": truth, **{name: int(n) for name, n in zip(names, row, strict=True)}} for truth, row in zip(truths, counts, strict=True)]


def curves(found: Mapping[str, tuple[Array, Array, Array]]) -> Rows:
    """class, score, precision, recall behind at most POINTS answers of each class, best first; none of a class without truths or answers."""
    rows: Rows = []
    for name, (scores, precision, recall) in found.items():
        known = len(scores) and np.isfinite(recall).all()
        for i in np.unique(np.linspace(0, len(scores) - 1, POINTS).round().astype(int)) if known else ():
            rows.append({"class": name} | {k: round(float(v[i]), 6) for k, v in (("score", scores), ("precision", precision), ("recall", recall))})
    return rows


def sizes(images: Sequence[Matched], limits: Array, scale: float | None) -> Rows:
    """Truths by the root of their area: from, to (pixels of the input where `scale` is known, else of the image), truths, found (at the thresholds), recall.

    The last row is of all, with the median side as `median` in pixels of the image and `median_input` in those of the input, `quartile_input` being the
    lower quartile.
    """
    sides, found = [np.zeros(0)], [np.zeros(0, bool)]
    for image in images:
        counted = ~image.skipped & (image.truths >= 0)
        hit = np.zeros(len(counted), bool)
        rows = image.hit[:, 0, 0] & (image.scores >= limits[image.classes]) if len(image.classes) else np.zeros(0, bool)
        hit[image.finds[rows]] = True
        sides.append(np.sqrt(np.maximum(image.areas, 0))[counted])
        found.append(hit[counted])
    side, hits = np.concatenate(sides), np.concatenate(found)
    seen = side * (scale or 1.0)
    binned: Rows = []
    for low, high in pairwise(SIDES):
        inside = (seen >= low) & (seen < high)
        if inside.any():
            binned.append(_row(f"{low:g}", f"{high:g}" if high < 1e9 else "", inside, hits))
    quartile, median = np.percentile(side, (25, 50)).tolist() if len(side) else (float("nan"), float("nan"))
    at_input = {name: round(value * scale, 2) if scale else None for name, value in (("median_input", median), ("quartile_input", quartile))}
    whole = _row("all", "", np.ones(len(side), bool), hits) | {"median": round(median, 2)} | at_input
    return [row | dict.fromkeys(("median", *at_input)) for row in binned] + [whole]


def _row(low: str, high: str, inside: Array, hits: Array) -> dict[str, Any]:
    count, got = int(inside.sum()), int(hits[inside].sum())
    return {"from": low, "to": high, "truths": count, "found": got, "recall": round(got / count, 6) if count else None}
