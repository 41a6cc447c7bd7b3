"""Any backbone under any detector: speed and accuracy on blood cells, over the input's size and the number of proposals, as a table and a drawing.

Command     python recipes/backbones_detectors.py [MINUTES] [--detectors NAME ...] [--backbones NAME ...] [--sizes N ...] [--proposals N ...] [--images N]
            each cell by: saccade train ../shared/data/detection/bccd_voc --task detect --model DETECTOR --set backbone=BACKBONE --size H,W --budget MINUTESm
            then the same weights with other numbers of proposals: saccade evaluate MODEL DATA --split val
Data        detection/bccd_voc: 205 images to learn from, 87 to measure by, as the data say (640x480, red and white cells and platelets)
Expected    at 10 minutes a cell (54 cells, 9 hours): the median time of an image with two stages 1.2 to 100 times that with one; the best mAP with
            two stages at most 0.02 below the best with one, and with the deepest backbone at most 0.02 below that with the shallowest; the best mAP at
            the largest size at least that at the smallest; 50 proposals in less time than 300 and at most 0.03 mAP below
Measured    not at its minutes. A trial on 2026-11-21 (0.1 --images 6, faster_rcnn and ssd over small at 160 px, a machine with four times as much to do as
            it has cores) went through and drew both, 543 and 382 ms an image, neither having learnt anything; times mean something on an idle machine only
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from claims import data, finish, folder, hold
from rcnn_to_one_stage import first_images

from saccade import bundle
from saccade.core import Model
from saccade.data.loader import Loader
from saccade.data.open import open_dataset
from saccade.data.preprocess import Preprocess
from saccade.jobs.evaluate import EvaluateOptions, run_evaluate
from saccade.jobs.options import make_options
from saccade.jobs.train import run_train

MINUTES, STEP, TIMED = 10.0, 32, 20  # images that are timed, one at a time
TWO_STAGES = ("faster_rcnn", "rfcn")
DETECTORS = (*TWO_STAGES, "retinanet", "ssd", "yolo", "nano")
BACKBONES = ("small", "resnet18", "resnet50")  # by depth and width
SIZES, PROPOSALS = (160, 320, 480), (300, 100, 50, 20)  # the first is what a network is trained with
COLOURS = dict(zip(DETECTORS, ("#2f5f98", "#9a4f96", "#d1751f", "#3c8d5a", "#b0413e", "#6b5b95"), strict=True))
MARKS = dict(zip(BACKBONES, ("o", "s", "^"), strict=True))


class Row(NamedTuple):
    """A cell of the table: pixels of the input's longer side, regions that go on to a second stage (0 has none), million parameters, seconds an image
    from pixels to boxes, and average precision on the validation images."""

    detector: str
    backbone: str
    size: int
    proposals: int
    parameters: float
    seconds: float
    map50: float
    map: float


@torch.inference_mode()
def image_seconds(path: Path, source: Path) -> float:
    """Seconds from the pixels of an input to boxes: the median over single images, which other programs disturb less than the mean."""
    read, dataset, times = bundle.read(path), open_dataset(source), list[float]()
    model = read.model
    assert isinstance(model, Model)
    model.eval().to(memory_format=torch.channels_last)
    places = [i for i, record in enumerate(dataset.records) if record.split != "train"][: TIMED + 2]
    for batch in Loader(dataset.subset(places), Preprocess.from_dict(read.card.preprocess), batch_size=1, threads=0).epoch(0):
        began = time.perf_counter()
        model.predict(batch.inputs, batch.sizes, batch.meta)
        times.append(time.perf_counter() - began)
    return statistics.median(times[2:])  # the first are slower


def trained(detector: str, backbone: str, size: int, source: Path, out: Path, *, minutes: float, proposals: list[int]) -> list[Row]:
    """One network from scratch, and a row for each number of proposals where it has any."""
    height = -(-size * 3 // 4 // STEP) * STEP  # pictures are 640x480
    chosen: dict[str, Any] = {"budget": f"{max(10, round(60 * minutes))}s", "size": f"{height},{size}", "floors": False, "selftest": False}
    found = run_train(make_options(data=str(source), task="detect", model=detector, out=out, set=(f"backbone={backbone}",), **chosen))
    read, metrics, rows = bundle.read(found.model), found.metrics, []
    parameters = sum(p.numel() for p in read.model.parameters()) / 1e6
    for count in proposals if detector in TWO_STAGES else [0]:
        path = found.model
        if count and count != read.card.arguments.get("proposals", PROPOSALS[0]):
            path = out / f"proposals_{count}.saccade"
            bundle.write(path, read.model, replace(read.card, arguments={**read.card.arguments, "proposals": count}))
            metrics = run_evaluate(path, source, EvaluateOptions(split="val"), out=out / f"proposals_{count}").metrics
        rows.append(Row(detector, backbone, size, count, parameters, image_seconds(path, source), metrics["map50"]["value"], metrics["map"]["value"]))
    return rows


def table(rows: list[Row]) -> str:
    """All cells so far."""
    lines = [f"{'detector':12s} {'backbone':12s} size  proposals  million parameters  ms an image  mAP50    mAP"]
    for row in rows:
        own = f"{row.proposals or '–':>9}"
        lines.append(
            f"{row.detector:12s} {row.backbone:12s} {row.size:4d}  {own}  {row.parameters:18.2f}  {1e3 * row.seconds:11.1f}  {row.map50:.3f}  {row.map:.3f}"
        )
    return "\n".join(lines)


def draw(rows: list[Row], out: Path) -> None:
    """Accuracy over time: a colour for each detector, a mark for each backbone, larger for larger inputs; lines join numbers of proposals."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for key in dict.fromkeys(row[:3] for row in rows):
        own = sorted((row for row in rows if row[:3] == key), key=lambda row: row.proposals)
        style = {"color": COLOURS[key[0]], "marker": MARKS.get(key[1], "D"), "markersize": 4 + key[2] / 60, "linewidth": 0.9, "alpha": 0.85}
        axes.plot([1e3 * row.seconds for row in own], [row.map for row in own], **style)
    for names, what in ((COLOURS, "color"), (MARKS, "marker")):
        for name in [n for n in names if any(n in row[:2] for row in rows)]:
            axes.plot([], [], **{"color": "#1c2430", "marker": "o", "linestyle": "", "label": name, what: names[name]})
    axes.set_xscale("log")
    axes.set_xlabel("milliseconds an image, one at a time")
    axes.set_ylabel("mAP on the validation images")
    axes.set_title("Detectors and backbones; larger marks are larger inputs, lines join numbers of proposals", loc="left", fontsize=10)
    axes.grid(True, color="#e3e7ec", linewidth=0.6)
    axes.legend(frameon=False, ncols=2)
    figure.savefig(out, dpi=120)


def written(rows: list[Row], place: Path) -> None:
    """The table on the screen, as CSV and drawn."""
    print(table(rows), flush=True)
    with (place / "backbones_detectors.csv").open("w", newline="") as file:
        csv.writer(file).writerows([Row._fields, *rows])
    draw(rows, place / "backbones_detectors.png")


def judged(rows: list[Row]) -> list[bool]:
    """The claims for which both sides were trained."""
    usual = [row for row in rows if row.proposals in (0, PROPOSALS[0])]
    held = []

    def best(key: str, value: object) -> float:
        return max((row.map for row in usual if getattr(row, key) == value), default=float("nan"))

    two, one = ([row for row in usual if (row.detector in TWO_STAGES) is wanted] for wanted in (True, False))
    if two and one:
        held.append(hold("two stages over one, median time", statistics.median(r.seconds for r in two) / statistics.median(r.seconds for r in one), 1.2, 100))
        held.append(hold("two stages less one, best mAP", max(r.map for r in two) - max(r.map for r in one), -0.02, 1))
    depths = [name for name in BACKBONES if any(row.backbone == name for row in usual)]
    if len(depths) > 1:
        held.append(hold(f"{depths[-1]} less {depths[0]}, best mAP", best("backbone", depths[-1]) - best("backbone", depths[0]), -0.02, 1))
    sizes = sorted({row.size for row in usual})
    if len(sizes) > 1:
        held.append(hold(f"{sizes[-1]} px less {sizes[0]} px, best mAP", best("size", sizes[-1]) - best("size", sizes[0]), 0, 1))
    few = {row[:3]: row for row in rows if row.proposals == 50}
    pairs = [(few[row[:3]], row) for row in usual if row[:3] in few]
    if pairs:
        held.append(hold("50 over 300 proposals, median time", statistics.median(a.seconds / b.seconds for a, b in pairs), 0, 1))
        held.append(hold("50 less 300 proposals, median mAP", statistics.median(a.map - b.map for a, b in pairs), -0.03, 1))
    return held


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("minutes", nargs="?", type=float, default=MINUTES, help="of training, for each cell")
    parser.add_argument("--detectors", nargs="+", choices=DETECTORS, default=DETECTORS)
    parser.add_argument("--backbones", nargs="+", default=BACKBONES, help="resnet34, mobilenet_v2 and others too")
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, help="pixels of the input's longer side")
    parser.add_argument("--proposals", nargs="+", type=int, default=PROPOSALS, help="regions that go on to a second stage")
    parser.add_argument("--images", type=int, help="the first so many of each part: a trial whose numbers say nothing")
    given = parser.parse_args()
    source, place = data("detection/bccd_voc"), folder()
    if given.images:
        source = first_images(source, place / "bccd", given.images)
    rows: list[Row] = []
    for size in given.sizes:
        for detector in given.detectors:
            for backbone in given.backbones:
                out = place / f"{detector}_{backbone}_{size}"
                rows += trained(detector, backbone, size, source, out, minutes=given.minutes, proposals=list(given.proposals))
                written(rows, place)
    print(place / "backbones_detectors.png")
    finish(*judged(rows))


if __name__ == "__main__":
    main()
