"""A map of codes drawn: points coloured by their names as SVG, thumbnails where there is room as PNG. Bytes depend on the map alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from saccade.ops.sheets import fitted
from saccade.report.page import text

Array = np.ndarray[Any, Any]
COLOURS = (
    "#3366aa", "#d1751f", "#2e8b57", "#b3362f", "#7b5ea7", "#8c6d46", "#c9599b", "#6b7280", "#a3a017", "#1f9bb0",
    "#7396c8", "#eaae73", "#82c29d", "#dc8983", "#b6a3d0", "#c2ab8d", "#e5a9cd", "#aab0ba", "#d0cd68", "#78c6d3",
)  # fmt: skip
OTHER, PLAIN, NEW = "#9aa3af", "#3366aa", "#111827"
SHOWN = 5000  # points of a drawing, drawn evenly from those of the map
SIDE, LEGEND, MARGIN = 640, 150, 16
SHEET, TILE = 1440, 36  # pixels of a side of the sheet of thumbnails, and of a thumbnail


def palette(labels: Sequence[str]) -> dict[str, str]:
    """{label: colour}: the twenty most frequent labels in the order of their names, all others grey; one colour where nothing is labelled."""
    counted = Counter(label for label in labels if label)
    if not counted:
        return {"": PLAIN}
    chosen = sorted(sorted(counted, key=lambda name: (-counted[name], name))[: len(COLOURS)], key=_natural)
    found = dict(zip(chosen, COLOURS, strict=False))
    return found | {label: OTHER for label in [*counted, ""] if label not in found}


def unit(points: Array) -> Array:
    """(n, 2) -> (n, 2) in [0, 1], one scale for both axes, the picture of the points in the middle; y downwards."""
    low, high = points.min(0), points.max(0)
    span = float((high - low).max()) or 1.0
    found: Array = (points - (low + high) / 2) / span + 0.5
    found[:, 1] = 1 - found[:, 1]
    return found


def svg(points: Array, labels: Sequence[str], *, title: str, new: Array | None = None) -> str:
    """The map as an SVG document: at most 5,000 points, a legend, new points as black rings. points: (n, 2); new: (n,) bool."""
    spots, colours = unit(points), palette(labels)
    fresh = np.zeros(len(points), bool) if new is None else new
    order = np.linspace(0, len(points) - 1, min(SHOWN, len(points))).astype(int)
    radius = float(np.clip(60 / np.sqrt(len(order)), 1.4, 4.5))
    inner = SIDE - 2 * MARGIN
    groups: dict[str, list[str]] = {}
    rings = []
    for i in order:
        x, y = (MARGIN + inner * spots[i]).round(1)
        groups.setdefault(colours.get(labels[i], OTHER), []).append(f'<circle cx="{x:g}" cy="{y:g}" r="{radius:.1f}"/>')
        if fresh[i]:
            rings.append(f'<circle cx="{x:g}" cy="{y:g}" r="{radius + 2:.1f}"/>')
    body = "".join(f'<g fill="{colour}">{"".join(circles)}</g>' for colour, circles in sorted(groups.items()))
    body += f'<g fill="none" stroke="{NEW}" stroke-width="1.2">{"".join(rings)}</g>' if rings else ""
    named = [(label, colour) for label, colour in colours.items() if label and colour != OTHER]
    rest = [("others", OTHER)] if len(named) < len({label for label in labels if label}) or (named and "" in set(labels)) else []
    entries = "".join(
        f'<circle cx="{SIDE + 8}" cy="{MARGIN + 10 + 20 * k}" r="5" fill="{colour}"/><text x="{SIDE + 20}" y="{MARGIN + 14 + 20 * k}">{text(label[:18])}</text>'
        for k, (label, colour) in enumerate([*named, *rest])
    )
    width = SIDE + (LEGEND if entries else 0)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {SIDE}" width="{width}" height="{SIDE}" role="img" '
        f'font-family="system-ui,sans-serif" font-size="13" fill="#4b5563"><title>{text(title)}</title>{body}{entries}</svg>\n'
    )


def thumbnails(points: Array, labels: Sequence[str], picture: Callable[[int], Array | None]) -> Array:
    """(1440, 1440, 3) uint8: at every cell of a grid that has points the picture of the one nearest to its middle, in a frame of its label's colour."""
    spots, colours = unit(points), palette(labels)
    cells = SHEET // TILE
    where = np.clip((spots * cells).astype(int), 0, cells - 1)
    away = ((spots * cells - where - 0.5) ** 2).sum(1)
    canvas = np.full((SHEET, SHEET, 3), 255, np.uint8)
    taken: set[tuple[int, int]] = set()
    for i in np.argsort(away, kind="stable"):
        column, row = int(where[i, 0]), int(where[i, 1])
        if (row, column) in taken or (shown := picture(int(i))) is None:
            continue
        taken.add((row, column))
        frame = np.empty((TILE, TILE, 3), np.uint8)
        frame[:] = [int(colours.get(labels[i], OTHER)[k : k + 2], 16) for k in (1, 3, 5)]
        frame[2:-2, 2:-2] = fitted(shown, TILE - 4)
        canvas[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE] = frame
    return canvas


def _natural(name: str) -> tuple[int, float, str]:
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name
