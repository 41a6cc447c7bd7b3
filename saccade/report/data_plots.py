"""The drawings of a data set: distributions, and where its objects are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from saccade.data.statistics import Histogram
from saccade.report.page import paragraph
from saccade.report.plots import BLUE, FAINT, new_figure, plain, save


def distribution(values: Histogram | None, folder: Path, name: str, title: str, unit: str) -> str:
    """A bar for each bin with the median as a line; a sentence where all values are one, "" without any."""
    if values is None:
        return ""
    if values.quartiles[0] == values.quartiles[4]:
        return paragraph(f"{title}: {values.quartiles[0]:.6g} {unit} in all {sum(values.counts):,}.")
    figure, axes = new_figure()
    edges, counts = values.edges, values.counts
    axes.bar(edges[:-1], counts, width=[b - a for a, b in pairwise(edges)], align="edge", color=BLUE, linewidth=0)
    axes.axvline(values.quartiles[2], color="#d1751f", linewidth=1.2)
    axes.set_xlabel(f"{unit} (median {values.quartiles[2]:.4g})")
    axes.set_title(plain(title), loc="left")
    rows = [{"from": a, "to": b, "n": n} for a, b, n in zip(edges, edges[1:], counts, strict=False)]
    return save(figure, rows, folder, name)


def heat(cells: Sequence[Sequence[int]] | None, folder: Path, name: str, title: str) -> str:
    """Counts over the image's plane, rows from the top; "" without any."""
    if cells is None or not any(map(any, cells)):
        return ""
    figure, axes = new_figure(3.6, 3.1)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    shown = axes.imshow(cells, cmap="Blues", extent=(0, 1, 1, 0), aspect="equal", interpolation="nearest")
    axes.set_xticks([0, 0.5, 1], ["left", "", "right"])
    axes.set_yticks([0, 0.5, 1], ["top", "", "bottom"])
    figure.colorbar(shown, ax=axes, shrink=0.8, drawedges=False).outline.set_edgecolor(FAINT)
    axes.set_title(plain(title), loc="left")
    rows = [{"row": i, "column": j, "n": n} for i, row in enumerate(cells) for j, n in enumerate(row) if n]
    return save(figure, rows, folder, name)
