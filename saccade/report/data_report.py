"""data_report.html: one page on a checked data set: what it holds, what is wrong with it, its numbers and its pictures with the labels drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from saccade import storage
from saccade.data.check_report import NOUNS, CheckReport
from saccade.data.contents import OBJECTS
from saccade.data.statistics import DataStatistics, HeadStatistics, statistics
from saccade.errors import SEVERITIES, Problem, displayable
from saccade.report import data_plots, plots
from saccade.report.data_sheet import cell, joined, spread_places
from saccade.report.page import page, paragraph, picture, table, text
from saccade.report.thumbnails import thumbnail

SHOWN = 48  # images of the contact sheet
SIDE = 220  # pixels of a picture
_CLASSES = 60
_EACH, _PROBLEMS = 4, 24  # problem images of one code, and in all
_EXAMPLES = 5

Section = tuple[str, str, str]


def write(report: CheckReport, out: Path, numbers: DataStatistics | None = None) -> Path:
    """Writes data_report.html, contact_sheet.jpg and plots/ to a folder; returns the page's path. numbers: `statistics` of the data, else counted here.

    The page needs no network and no script. Raises ResourceError RUN-DISK.
    """
    path = Path(out) / "data_report.html"
    with storage.disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    found = numbers if numbers is not None else statistics(report.dataset)
    places = spread_places(report.dataset, SHOWN)
    cells = [cell(report.dataset, i, SIDE) for i in places]
    if cells and (sheet := _jpeg(joined(cells, side=SIDE))):
        storage.atomic_write(Path(out) / "contact_sheet.jpg", sheet)
    shown = {displayable(report.dataset.records[i].id): _jpeg(drawn) for i, drawn in zip(places, cells, strict=True)}
    storage.atomic_write(path, render(report, found, shown, Path(out) / "plots").encode("utf-8", "backslashreplace"))
    return path


def render(report: CheckReport, numbers: DataStatistics, shown: Mapping[str, bytes | None], folder: Path) -> str:
    """The page as text; its drawings and the numbers behind them go to `folder`. shown: JPEG of the images of the contact sheet by name."""
    sections: list[Section | None] = [_summary(report, numbers), _problems(report)]
    for head, own in numbers.heads.items():
        if own.labelled:
            sections.append(_head(report, head, own, folder))
    sections += [_images(numbers, folder), _sheet(report, shown), _problem_images(report)]
    title = f"{displayable(report.dataset.name)}: data"
    return page(title, f"{report.dataset.format}, {len(report.dataset):,} images", [section for section in sections if section is not None])


def _private(report: CheckReport, words: str) -> str:
    """Text without the folders above the data, which are nobody's business."""
    root = report.dataset.root
    return displayable(words).replace(f"{displayable(str(root.parent))}/", "") if len(root.parts) > 1 else displayable(words)


def _summary(report: CheckReport, numbers: DataStatistics) -> Section:
    """What it is, how much there is, and whether it may be trained on."""
    fatal, errors, warnings = (report.severity(name) for name in SEVERITIES[:3])
    verdict = "Training refuses these data" if fatal else "Training may use these data"
    said = f"{verdict}: {fatal} fatal problems, {errors} errors, {warnings} warnings; {report.bad:,} of {report.total:,} samples are left out."
    inner = f'<p class="call {"no" if fatal else "ok"} lead">{text(said)}</p>' + paragraph(_private(report, report.dataset.reason))
    rows = [[f"{NOUNS[head][own.total != 1]}", own.total, own.labelled] for head, own in numbers.heads.items()]
    inner += table("What the labels are", ["kind", "in all", "images that have it"], rows, words=[0])
    parts = [[name, n] for name, n in numbers.images.items()]
    return "summary", "Summary", inner + table("Images by part, as the data give them", ["part", "images"], parts, words=[0])


def _problems(report: CheckReport) -> Section:
    """A row a code with the first examples."""
    if not report.problems:
        return "problems", "Problems", paragraph("Every file was read; no problem was found.")
    rows = []
    for code, count in report.counts().items():
        examples = [p for p in report.problems if p.code == code][:_EXAMPLES]
        shown = "; ".join(_private(report, f"{p.where} {p.got}".strip())[:240] for p in examples)
        rows.append([code, count.severity, f"{count.n:,}", shown + (" ..." if count.n > _EXAMPLES else ""), f"{count.first.text}. To do: {count.first.fix}"])
    inner = table("All of them are in data_problems.csv", ["code", "severity", "n", "first examples", "meaning"], rows, words=[3, 4])
    return "problems", "Problems", inner


def _head(report: CheckReport, head: str, own: HeadStatistics, folder: Path) -> Section:
    """Classes, sizes, places and lengths of one kind of label."""
    space = report.dataset.spaces.get(head)
    names = [] if space is None else list(space.names)
    inner = _classes(head, names, own, folder) if names else ""
    drawn = [data_plots.distribution(own.per_image, folder, f"{head}_per_image", f"{NOUNS[head][1].capitalize()} an image", "number")]
    if own.boxes is not None:
        share = "root of the share of the image's area"
        drawn += [
            data_plots.distribution(own.boxes.relative, folder, f"{head}_size", "Size of the boxes", share),
            data_plots.distribution(own.boxes.aspect, folder, f"{head}_aspect", "Shape of the boxes", "log2 of width over height"),
            data_plots.heat(own.boxes.positions, folder, f"{head}_where", "Where the boxes' middles are"),
        ]
    drawn += [
        data_plots.heat(own.positions, folder, f"{head}_points", "Where the points are"),
        data_plots.distribution(own.steps, folder, f"{head}_steps", "Length of the sequences", "steps"),
        data_plots.distribution(
            own.values, folder, f"{head}_values", "Mean distance of an image" if head == "depth" else "Values", "m" if head == "depth" else ""
        ),
    ]
    if own.texts is not None:
        drawn.append(data_plots.distribution(own.texts.length, folder, f"{head}_words", "Words a sentence", "words"))
        common = ", ".join(f"{word} {n:,}" for word, n in own.texts.common)
        inner += paragraph(f"{own.texts.sentences:,} sentences, {own.texts.words:,} words, {own.texts.vocabulary:,} different. Most frequent: {common}.")
    if own.ignored:
        inner += paragraph(f"{own.ignored:.1%} of the pixels are ignored.")
    if own.visibility:
        rows = [[name, *counts] for name, counts in own.visibility.items()]
        inner += table("Key points", ["name", "not labelled", "hidden", "visible"], rows, words=[0])
    return f"head-{head}", NOUNS[head][1].capitalize(), inner + f'<div class="plots">{"".join(drawn)}</div>'


def _classes(head: str, names: list[str], own: HeadStatistics, folder: Path) -> str:
    """Images and objects of each class, by part, and the balance drawn."""
    what = "pixels" if head == "map" else "objects" if head in OBJECTS else ""
    parts = list(own.images)
    heads = ["class"] + [f"{part}: images" for part in parts] + [f"{part}: {what}" for part in parts if what]
    rows: list[list[Any]] = []
    for name in names[:_CLASSES]:
        counts = [own.images[part][name] for part in parts] + [own.objects[part][name] for part in parts if what]
        rows.append([displayable(name), *(f"{n:,}" for n in counts)])
    caption = "Classes" + (f", the first {_CLASSES} of {len(names)}" if len(names) > _CLASSES else "")
    counted = own.objects["all"] if what else own.images["all"]
    bars = plots.bars({displayable(name): float(n) for name, n in counted.items()}, folder, f"{head}_classes", f"{(what or 'images').capitalize()} by class")
    return table(caption, heads, rows, words=[0]) + f'<div class="plots">{bars}</div>'


def _images(numbers: DataStatistics, folder: Path) -> Section:
    """Sizes of the pictures."""
    drawn = [
        data_plots.distribution(numbers.width, folder, "image_width", "Width of the images", "pixels"),
        data_plots.distribution(numbers.height, folder, "image_height", "Height of the images", "pixels"),
    ]
    return "sizes", "Image sizes", f'<div class="plots">{"".join(drawn)}</div>'


def _sheet(report: CheckReport, shown: Mapping[str, bytes | None]) -> Section | None:
    """The contact sheet: images that show every class, with their labels drawn."""
    if not shown:
        return None
    cells = "".join(picture(jpeg, name, [(name, "soft")]) for name, jpeg in shown.items())
    said = f"{len(shown)} of {len(report.dataset):,} images, chosen so that every class is seen, with their labels drawn."
    return "sheet", "Contact sheet", paragraph(said) + f'<div class="grid">{cells}</div>'


def _problem_images(report: CheckReport) -> Section | None:
    """Pictures that a problem names, the most severe first: with their labels where they are used, alone where they were left out."""
    places = {record.id: i for i, record in enumerate(report.dataset.records)}
    seen: Counter[str] = Counter()
    shown: dict[tuple[str, str], str] = {}
    for problem in sorted(report.problems, key=lambda p: SEVERITIES.index(p.severity or "note")):
        name = problem.image or problem.where
        if problem.severity == "note" or seen[problem.code] >= _EACH or len(shown) >= _PROBLEMS or (problem.code, name) in shown:
            continue
        if drawn := _problem_picture(report, problem, name, places.get(name)):
            seen[problem.code] += 1
            shown[problem.code, name] = drawn
    if not shown:
        return None
    return "faults", "Images with a problem", f'<div class="grid">{"".join(shown.values())}</div>'


def _problem_picture(report: CheckReport, problem: Problem, name: str, place: int | None) -> str:
    """The picture with its code and what was found; "" when the problem is of no picture."""
    path = report.dataset.root / name
    try:
        there = place is not None or path.is_file()
    except (OSError, ValueError):
        there = False
    if not there:
        return ""
    jpeg = _jpeg(cell(report.dataset, place, SIDE)) if place is not None else thumbnail(path, side=SIDE)
    lines = [(f"{problem.code} ({problem.severity})", "no" if problem.severity in ("fatal", "error") else ""), (_private(report, problem.got)[:200], "")]
    return picture(jpeg, displayable(name), [*lines, (displayable(name), "soft")])


def _jpeg(pixels: np.ndarray | None) -> bytes | None:
    if pixels is None:
        return None
    _, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return bytes(data)
