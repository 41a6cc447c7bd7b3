"""The drawings of a run: an SVG each, whose bytes depend on the data alone, and the CSV behind it."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from saccade import storage
from saccade.inference.tables import write_csv

BLUE, ORANGE, GREY, INK, FAINT = "#2f5f98", "#d1751f", "#8a94a3", "#1c2430", "#e3e7ec"
INKED = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
STYLE: dict[Any, Any] = dict.fromkeys(INKED, INK)
STYLE |= {"svg.hashsalt": "saccade", "svg.fonttype": "path", "font.size": 9, "font.family": "DejaVu Sans"}  # the same bytes on every machine
IN_PAGE = {BLUE: "var(--accent)", INK: "currentColor", FAINT: "var(--line)"}  # so that a drawing in the page follows light and dark
Rows = Sequence[Mapping[str, Any]]


def new_figure(width: float = 4.8, height: float = 3.1) -> tuple[Any, Any]:
    """A figure and its axes, without pyplot and its global state."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(True, axis="y", color=FAINT, linewidth=0.6)
        axes.set_axisbelow(True)
    return figure, axes


def save(figure: Any, rows: Rows, folder: Path, name: str) -> str:
    """Writes name.svg and name.csv; returns the drawing as a part of the page."""
    import matplotlib
    from matplotlib.text import Text

    for label in figure.findobj(Text):
        label.set_color(INK)
    folder.mkdir(parents=True, exist_ok=True)
    out = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": "saccade"})
    storage.atomic_write(folder / f"{name}.svg", out.getvalue().encode())
    write_csv(folder / f"{name}.csv", [dict(row) for row in rows])
    return inline(out.getvalue(), name, figure.axes[0].get_title(loc="left"))


def inline(svg: str, name: str, title: str) -> str:
    """An SVG file's drawing for the page: ids of its own, the page's colours, a name for screen readers, nothing that points outside."""
    from saccade.report.page import text

    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r' xmlns(:xlink)?="[^"]*"', "", svg).replace("xlink:href", "href")
    svg = re.sub(r'(?<= )id="|(?<=href="#)|(?<=url\(#)', lambda m: f"{m[0]}{name}-", svg)
    for colour, shown in IN_PAGE.items():
        svg = svg.replace(colour, shown)
    return svg.replace("<svg", f'<svg role="img" aria-label="{text(title)}"', 1)


def curves(rows: Rows, keys: Sequence[str], folder: Path, name: str, title: str) -> str | None:
    """One line a key over the epochs; None when there is nothing to draw."""
    shown = [key for key in keys if any(row.get(key) is not None for row in rows)]
    if not shown:
        return None
    figure, axes = new_figure()
    for key, colour in zip(shown, (BLUE, ORANGE, GREY, "#3c8d5a", "#9a4f96"), strict=False):
        points = [(row["epoch"], row[key]) for row in rows if row.get(key) is not None]
        axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.6, marker="o" if len(points) < 3 else None, label=plain(key))
    best = [row["epoch"] for row in rows if row.get("best")]
    if best:
        axes.axvline(best[-1], color=GREY, linewidth=0.8, linestyle=":")
    axes.set_xlabel("epoch")
    axes.set_title(title, loc="left")
    if len(shown) > 1:
        axes.legend(frameon=False)
    return save(figure, [{"epoch": row["epoch"], **{key: row.get(key) for key in shown}} for row in rows], folder, name)


def bars(values: Mapping[str, float], folder: Path, name: str, title: str) -> str:
    """A horizontal bar a name, at most the 40 longest."""
    kept = sorted(values.items(), key=lambda item: -item[1])[:40] if len(values) > 40 else list(values.items())
    figure, axes = new_figure(height=max(1.6, 0.24 * len(kept) + 0.8))
    axes.barh(range(len(kept)), [v for _, v in kept], color=BLUE, height=0.7)
    axes.set_yticks(range(len(kept)), [plain(k)[:28] for k, _ in kept])
    axes.invert_yaxis()
    axes.grid(True, axis="x", color=FAINT, linewidth=0.6)
    axes.grid(False, axis="y")
    axes.set_title(title, loc="left")
    return save(figure, [{"name": k, "value": v} for k, v in values.items()], folder, name)


def reliability(bins: Rows, folder: Path, name: str) -> str:
    """Accuracy against confidence; on the diagonal the probabilities can be believed."""
    full = [b for b in bins if float(b["n"]) > 0]
    figure, axes = new_figure(height=3.4)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
    most = max((float(b["n"]) for b in full), default=1.0)
    sizes = [20 + 140 * float(b["n"]) / most for b in full]
    axes.scatter([float(b["confidence"]) for b in full], [float(b["accuracy"]) for b in full], s=sizes, color=BLUE, alpha=0.75, linewidths=0)
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("confidence")
    axes.set_ylabel("share that is right")
    axes.set_title("Calibration (a dot a bin, its area the images in it)", loc="left")
    return save(figure, bins, folder, name)


def plain(name: str) -> str:
    """A name that matplotlib draws as it stands: no mathematics, nothing that cannot be printed."""
    return "".join(c if c.isprintable() else "?" for c in name.replace("_", " ")).replace("$", r"\$")
