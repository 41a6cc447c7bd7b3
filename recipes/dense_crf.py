"""A fully connected CRF behind a segmenter sharpens its boundaries without harm to the regions, and the less the finer the network is.

Command     python recipes/dense_crf.py [MINUTES] [fcn8s] [unet]
            one network alone: saccade train DATA --task segment --model fcn8s --set refine=dense_crf --split SPLIT --augment cells --budget 5m
Data        segmentation/dsb2018: 171 pictures, 5,228 nuclei, the last fifth of the sorted ids kept aside as the test. The CRF's weights and widths
            are chosen on validation images, which are cut from the others
Expected    in 5 minutes each on two cores that do nothing else, with the CRF against without it, the same weights: FCN-8s: boundary IoU up by 0.01
            to 0.5, mean IoU by -0.001 to 0.5; U-Net: boundary IoU by -0.005 up to what FCN-8s gains, mean IoU by -0.005 to 0.5
Measured    not at this budget. FCN-8s after two epochs (57 s of one thread), on another fifth of 34 pictures drawn at random: boundary IoU 0.1090 to
            0.1386, mean IoU 0.5053 to 0.5124
"""

from __future__ import annotations

import sys
from pathlib import Path

from claims import data, finish, folder, hold
from nuclei_points import COMMON, split

from saccade import bundle
from saccade.jobs.evaluate import EvaluateOptions, run_evaluate
from saccade.jobs.options import make_options
from saccade.jobs.train import run_train

SETS = {"fcn8s": ("refine=dense_crf", "width=0.5", "hidden=64"), "unet": ("refine=dense_crf", "widths=[8,16,32,64,128]")}
KEYS = ("boundary_iou", "mean_iou")


def gains(model: str, source: Path, place: Path, budget: str) -> dict[str, float]:
    """What the CRF adds to each number on the test pictures."""
    options = {"data": str(source), "split": place / "split.csv", "model": model, "set": SETS[model], "out": place / model, "budget": budget}
    run = run_train(make_options(**COMMON, **options))
    found = bundle.read(run.model)
    refiner = found.model.heads["map"].refine  # type: ignore[union-attr, operator]
    print(model, {name: round(value, 4) for name, value in refiner.settings().items()}, flush=True)
    refiner.set({"appearance": 0.0, "smoothness": 0.0})
    bundle.write(place / f"{model}_off.saccade", found.model, found.card)
    values = [run_evaluate(path, place / "test", EvaluateOptions(split="all")).evaluation.values for path in (place / f"{model}_off.saccade", run.model)]
    for key in KEYS:
        print(f"{model} {key}: {values[0][key].value:.4f} without, {values[1][key].value:.4f} with the CRF", flush=True)
    return {key: values[1][key].value - values[0][key].value for key in KEYS}


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    place, source, held = folder(), data("segmentation/dsb2018"), list[bool]()
    split(source, place)
    found = {model: gains(model, source, place, f"{round(60 * minutes)}s") for model in sys.argv[2:] or SETS}
    if "fcn8s" in found:
        held.append(hold("FCN-8s, boundary IoU gained", found["fcn8s"]["boundary_iou"], 0.01, 0.5))
        held.append(hold("FCN-8s, mean IoU gained", found["fcn8s"]["mean_iou"], -0.001, 0.5))
    if "unet" in found:
        held.append(hold("U-Net, boundary IoU gained", found["unet"]["boundary_iou"], -0.005, found.get("fcn8s", {"boundary_iou": 0.5})["boundary_iou"]))
        held.append(hold("U-Net, mean IoU gained", found["unet"]["mean_iou"], -0.005, 0.5))
    finish(*held)


if __name__ == "__main__":
    main()
