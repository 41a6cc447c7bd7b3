"""What the report of a detector has besides: precision against recall, the kinds of errors, who is taken for whom, and sizes of objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from saccade.data.object_sizes import warning
from saccade.report import plots
from saccade.report.facts import Facts
from saccade.report.page import paragraph, table
from saccade.report.sections import Section

KINDS = {
    "class": "right place, wrong class",
    "location": "right class, wrong place",
    "both": "wrong place and class",
    "duplicate": "found twice",
    "background": "nothing is there",
    "missed": "an object that nothing found",
}
COLOURS = (plots.BLUE, plots.ORANGE, plots.GREY, "#3c8d5a", "#9a4f96", "#b0413e", "#5b7f2b", "#6b5b95")
SMALL_SIDE = 16.0  # pixels of the input, below which there is little to see


def curves(f: Facts) -> Section | None:
    """Precision against recall of each class (the eight most frequent), with the threshold in use."""
    rows = f.table("curves")
    if not rows:
        return None
    names = list(dict.fromkeys(row["class"] for row in rows))
    truths = {row["class"]: int(row["truths"]) for row in f.per_class if "truths" in row}
    shown = sorted(names, key=lambda name: -truths.get(name, 0))[: len(COLOURS)]
    figure, axes = plots.new_figure()
    for name, colour in zip(shown, COLOURS, strict=False):
        own = [row for row in rows if row["class"] == name]
        axes.plot([float(row["recall"]) for row in own], [float(row["precision"]) for row in own], color=colour, linewidth=1.6, label=plots.plain(name)[:28])
    for row in f.per_class:
        if row["class"] in shown and row.get("precision") not in (None, "", "nan") and row.get("recall") not in (None, "", "nan"):
            axes.plot([float(row["recall"])], [float(row["precision"])], "o", color=COLOURS[shown.index(row["class"])], markersize=5)
    axes.set_xlim(0, 1.01)
    axes.set_ylim(0, 1.01)
    axes.set_xlabel("recall")
    axes.set_ylabel("precision")
    axes.set_title("Precision against recall, IoU 0.5", loc="left")
    axes.legend(frameon=False, loc="lower left")
    drawing = plots.save(figure, rows, f.folder / "plots", "precision_recall")
    stated = ", ".join(f"{row['class']} {float(row['threshold']):.2f}" for row in f.per_class if row.get("threshold") not in (None, ""))
    words = f"The dots are at the thresholds of the scores: {stated}." if stated else "The dots are at the thresholds."
    more = f" Shown are the {len(shown)} most frequent of {len(names)} classes." if len(names) > len(shown) else ""
    return "curves", "Precision and recall", drawing + paragraph(words + more)


def errors(f: Facts) -> Section | None:
    """How the wrong answers are wrong, by class, and the confusions."""
    kinds = [kind for kind in KINDS if f.per_class and f"error_{kind}" in f.per_class[0]]
    if not kinds:
        return None
    totals = {KINDS[kind]: float(sum(int(row[f"error_{kind}"]) for row in f.per_class)) for kind in kinds}
    inner = plots.bars(totals, f.folder / "plots", "error_kinds", "Kinds of errors at the thresholds")
    rows = [[row["class"], *(row[f"error_{kind}"] for kind in kinds)] for row in f.per_class]
    inner += table("Errors by class: of the answer, or of the missed object", ["", *(KINDS[kind] for kind in kinds)], rows, words=[0])
    return "errors", "Kinds of errors", inner + _confusion(f.table("confusion")) + paragraph(_advice(totals))


def _confusion(rows: Sequence[dict[str, str]], most: int = 12) -> str:
    """Who is taken for whom, where the classes are few enough to be read."""
    if not rows or len(rows) > most + 1:
        return ""
    columns = [key for key in rows[0] if key != "truth"]
    return table(
        "Truths (rows) and answers (columns) at the thresholds, IoU 0.5",
        ["truth", *columns],
        [[row["truth"], *(row[c] for c in columns)] for row in rows],
        words=[0],
    )


def _advice(totals: dict[str, float]) -> str:
    """What the most frequent kind of error asks for."""
    worst = max(totals, key=lambda kind: totals[kind])
    if not totals[worst]:
        return "There are no errors at these thresholds."
    remedy = {
        KINDS["class"]: "more pictures of the classes that are confused, or one class for both",
        KINDS["location"]: "a larger input, longer training, and a look at how tightly the boxes were drawn",
        KINDS["both"]: "longer training",
        KINDS["duplicate"]: "a lower overlap of suppression (--set nms_overlap=0.5)",
        KINDS["background"]: "pictures without objects, objects that were forgotten in the labels, or a higher threshold",
        KINDS["missed"]: "a larger input or windows (--tile) where objects are small, or a lower threshold",
    }
    return f"Most frequent: {worst} ({totals[worst]:.0f}). What helps: {remedy[worst]}."


def sizes(f: Facts) -> Section | None:
    """How large objects are at the input's size, and how well each size is found."""
    rows = f.table("sizes")
    if not rows:
        return None
    binned, whole = rows[:-1], rows[-1]
    known = whole.get("median_input") not in (None, "", "nan")
    unit = "pixels of the input" if known else "pixels of the image"
    listed = [
        [f"{row['from']} to {row['to']}" if row["to"] else f"{row['from']} and more", row["truths"], row["found"], _share(row["recall"])] for row in binned
    ]
    inner = table(f"Objects by the root of their area in {unit}", [unit, "objects", "found", "recall"], listed, words=[0])
    if not known:
        return "sizes", "Sizes of objects", inner
    own, size = float(whole["median_input"]), f.data.get("preprocess", {}).get("size", ["?", "?"])
    words = f"Your objects are {own:.0f} px at this input size ({size[0]}x{size[1]}; {float(whole['median']):.0f} px in the images), in the median."
    small = sum(int(row["truths"]) for row in binned if row["to"] and float(row["to"]) <= SMALL_SIDE)
    if told := _warning(whole, size):
        words += f" {told[0].upper()}{told[1:]}."
    elif small * 10 > int(whole["truths"]):
        words += f" {small} of {whole['truths']} are below {SMALL_SIDE:.0f} px: a larger --size, or --tile for windows of the images, would show more of them."
    return "sizes", "Sizes of objects", paragraph(words) + inner


def _warning(whole: dict[str, str], size: Sequence[Any]) -> str:
    """What is said where a quarter of the objects are too small; "" where they are not, or the run does not know."""
    quartile = whole.get("quartile_input")
    if quartile in (None, "", "nan") or "?" in size:
        return ""
    return warning(np.array([float(str(quartile))]), float(whole["median_input"]) / float(whole["median"]), (int(size[0]), int(size[1])))


def _share(text: str) -> str:
    return f"{float(text):.3f}" if text not in ("", "nan") else "–"


SECTIONS = (curves, errors, sizes)
