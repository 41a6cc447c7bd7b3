"""Unpooling by switches keeps edges where nearest-neighbour unpooling blurs them: the same network, the same time, boundary IoU.

Command     python recipes/unpooling_edges.py [MINUTES] [SEEDS]
            one network alone: saccade train DATA --task segment --model segnet --set unpooling=nearest --set widths=[16,32,64] --set counts=[2,2,2]
Data        the simulated boards with shapes, 96x96 px: 160 to learn from and 60 kept aside; two classes, the solids and what is around them, so that edges
            decide and not names. SegNet of three groups of two convolutions, equal but for what makes its maps larger: switches, which put every value
            where its maximum was, or nearest, four times the same value
Expected    in 3 minutes of a processor each, over 2 seeds: boundary IoU with switches above that with nearest by 0.01 or more in the mean, and mean IoU not
            lower by more than 0.02
Measured    (2026-11-22, one thread, the other core busy) boundary IoU 0.731 and 0.738 with switches, 0.663 and 0.674 with nearest, 0.067 above; mean IoU
            0.923 and 0.929 against 0.904 and 0.910, though in fewer steps (916 and 831 against 1,007 and 954)
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from claims import finish, folder, hold
from contexts import boards, inputs, measured, trained

from saccade.core import Batch, LabelSpace, Meta, Model
from saccade.models.table import build
from saccade.ops.geometry import Geometry
from saccade.targets.segmentation_map import IGNORED, SegmentationMap

KINDS, SIDE, SHOWN = ("switches", "nearest"), 96, 4
FIRST_SOLID = 2  # of the boards' classes: background and ground come before
OWN = {"widths": [16, 32, 64], "counts": [2, 2, 2]}


def merged(batches: list[Batch]) -> list[Batch]:
    """The same batches with two classes: ground and background as one, all solids as the other."""

    def two(target: SegmentationMap) -> SegmentationMap:
        return SegmentationMap(torch.where(target.ids == IGNORED, IGNORED, target.ids >= FIRST_SOLID).to(torch.uint8))

    return [replace(batch, targets={"map": [two(target) for target in batch.targets["map"]]}) for batch in batches]


def drawn(models: dict[str, Model], batch: Batch, space: LabelSpace, file: Path) -> None:
    """Some boards, one a row: the picture, its truth, the answer of each network, three times as large."""
    rows = []
    with torch.inference_mode():
        for i in range(SHOWN):
            picture = np.ascontiguousarray((batch.inputs[i] * 255).byte().permute(1, 2, 0).numpy())
            picture = cv2.resize(picture, (3 * SIDE, 3 * SIDE), interpolation=cv2.INTER_NEAREST)
            g, meta = Geometry.resize((SIDE, SIDE), (3 * SIDE, 3 * SIDE)), [Meta("", (SIDE, SIDE), Geometry.identity((SIDE, SIDE)))]
            answers = [model.predict(batch.inputs[i : i + 1], batch.sizes[i : i + 1], meta)["map"][0] for model in models.values()]
            maps = [target.warp(g).draw(picture.copy(), space)[: 3 * SIDE, : 3 * SIDE] for target in (batch.targets["map"][i], *answers)]
            rows.append(np.concatenate([picture, *maps], 1))
    cv2.imwrite(str(file), cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR))
    print(f"{file}: picture, truth, {', '.join(models)}", flush=True)


def main() -> None:
    torch.set_num_threads(1)
    minutes, seeds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0, int(sys.argv[2]) if len(sys.argv) > 2 else 2
    learn, kept = (merged(part) for part in boards(SIDE)[:2])
    space = LabelSpace(("ground", "solid"), background=0)
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
    models: dict[str, Model] = {}
    print("unpooling  seed  steps  boundary IoU  mean IoU", flush=True)
    for seed in range(seeds):
        for kind in KINDS:
            torch.manual_seed(seed)
            models[kind], steps = trained(build("segment", "segnet", inputs(SIDE), space, {**OWN, "unpooling": kind}), learn, seconds=60 * minutes)
            found[kind].append(measured(models[kind], kept, space))
            told = found[kind][-1]
            print(f"{kind:9s}  {seed:4d}  {steps:5d}  {told['boundary_iou']:12.4f}  {told['mean_iou']:8.4f}", flush=True)
    drawn(models, kept[0], space, folder() / "unpooling.png")
    gains = {key: float(np.mean([a[key] - b[key] for a, b in zip(found["switches"], found["nearest"], strict=True)])) for key in ("boundary_iou", "mean_iou")}
    held = [hold("boundary IoU, gain of the switches", gains["boundary_iou"], 0.01, 1)]
    held.append(hold("mean IoU, gain of the switches", gains["mean_iou"], -0.02, 1))
    finish(*held)


if __name__ == "__main__":
    main()
