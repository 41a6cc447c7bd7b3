"""What reports of segmentation have besides: which class is taken for which, the objects that maps fall into, and the random field behind the network."""

from __future__ import annotations

import statistics
from typing import Any

from saccade.report.facts import Facts
from saccade.report.page import paragraph, table
from saccade.report.sections import Section

MOST = 12
"""Rows of the table of confusions."""


def confusion(f: Facts) -> Section | None:
    """The commonest confusions of classes, as shares of the pixels that are of a class."""
    rows = f.table("confusion")
    if not rows:
        return None
    found = []
    for row in rows:
        truth, counts = row["truth"], {name: int(n) for name, n in row.items() if name != "truth"}
        total = sum(counts.values())
        found += [(n / total, truth, name, n) for name, n in counts.items() if n and name != truth]
    found.sort(reverse=True)
    cells = [[truth, name, f"{share:.2%}", f"{n:,}"] for share, truth, name, n in found[:MOST]]
    inner = table("Of all pixels of a class, the share that was answered otherwise", ["is", "was taken for", "share", "pixels"], cells, words=[0, 1])
    return "confusion", "Which class is taken for which", inner if cells else paragraph("No pixel was answered wrongly.")


def objects(f: Facts) -> Section | None:
    """How many objects of each class there are and were answered, and how large the answered ones are."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in f.predictions:
        for one in row.get("objects", ()):
            found.setdefault(one["class"], []).append(one)
    classes = {row["class"]: row for row in f.per_class if row.get("objects") not in (None, "", "0") or row["class"] in found}
    if not classes:
        return None
    cells = []
    for name, row in classes.items():
        own = found.get(name, [])
        sizes = [f"{statistics.median(one[key] for one in own):.1f}" if own else "–" for key in ("area", "length", "width")]
        cells.append([name, row.get("objects", ""), row.get("objects_answered", ""), _short(row.get("objects_f1", "")), *sizes])
    heads = ["", "true", "answered", "F1 at IoU 0.5", "median area (px)", "median length (px)", "median width (px)"]
    text = "An object is a connected spot of one class, pulled apart where the network has learnt where objects meet. Every answered one is listed by predict."
    return "objects", "Objects", table(f"On the {f.evaluated} images", heads, cells, words=[0]) + paragraph(text, "soft")


def refined(f: Facts) -> Section | None:
    """What the random field behind the network was set to, and what that changed on parts of validation windows."""
    found = f.run.get("refined")
    if not found:
        return None
    settings = ", ".join(f"{name} {value:.3g}" for name, value in found["settings"].items())
    used = found["settings"]["appearance"] or found["settings"]["smoothness"]
    names = {"mean_iou": "mean IoU", "boundary_iou": "boundary IoU"}
    cells = [[names[key], f"{found['before'][key]:.4f}", f"{found['after'][key]:.4f}"] for key in names]
    title = f"On parts of {found['images']} validation windows, by which {found['trials']} settings were compared"
    told = f"It is set to {settings}; all that was tried is in refine.csv." if used else "No setting was better than none: it stays off."
    text = f"{told} The numbers of this report are with it."
    return "refined", "The random field behind the network", table(title, ["", "without", "with it"], cells, words=[0]) + paragraph(text, "soft")


def _short(text: str) -> str:
    return "–" if text in ("", "nan") else f"{float(text):.3f}"


SECTIONS = (confusion, objects, refined)
