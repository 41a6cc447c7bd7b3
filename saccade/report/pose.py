"""What the report of key points has besides: how far each point is off, and how many are right at which distance."""

from __future__ import annotations

from typing import Any

from saccade.report import plots
from saccade.report.facts import Facts
from saccade.report.general import rows_table
from saccade.report.page import paragraph
from saccade.report.sections import Section

UNITS = (("box", "share of the longer side of the object's box"), ("px", "pixels of the image"))


def joints(f: Facts) -> Section | None:
    """Every key point's error, PCK and number of labels, and which is the worst."""
    rows = f.table("joints")
    known = {row["point"]: float(row["error"]) for row in rows if row["error"] not in ("", "nan")}
    if not known:
        return None
    inner = plots.bars(known, f.folder / "plots", "joint_errors", "Mean error of each point in pixels")
    inner += rows_table(f"Key points on the {f.evaluated} images; pck: within 0.1 of the box, pck05 and pck20: 0.05 and 0.2", rows)
    worst, best = max(known, key=lambda name: known[name]), min(known, key=lambda name: known[name])
    words = f"{worst} is {known[worst]:.1f} px off in the mean, {best} {known[best]:.1f} px."
    absent = [row["point"] for row in rows if row["labelled"] == "0"]
    words += f" Never labelled on these images: {', '.join(absent)}." if absent else ""
    return "joints", "Key points", inner + paragraph(words)


def distances(f: Facts) -> Section | None:
    """The share of right points by the distance that still counts as right."""
    rows = f.table("pck_curve")
    drawings = "".join(_curve(f, [row for row in rows if row["unit"] == unit and row["share"] not in ("", "nan")], unit, words) for unit, words in UNITS)
    if not drawings:
        return None
    return "pck", "How many points are right at which distance", f'<div class="plots">{drawings}</div>'


def _curve(f: Facts, rows: list[dict[str, str]], unit: str, words: str) -> str:
    if not rows:
        return ""
    figure, axes = plots.new_figure()
    shown: list[dict[str, Any]] = [{"distance": float(row["distance"]), "share": float(row["share"])} for row in rows]
    axes.plot([row["distance"] for row in shown], [row["share"] for row in shown], color=plots.BLUE, linewidth=1.8)
    axes.set_ylim(0, 1.01)
    axes.set_xlim(0, None)
    axes.set_xlabel(words)
    axes.set_ylabel("share of the points")
    axes.set_title("PCK by distance" + (" in pixels" if unit == "px" else ""), loc="left")
    return plots.save(figure, shown, f.folder / "plots", f"pck_{unit}")


SECTIONS = (joints, distances)
