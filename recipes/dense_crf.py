"""A fully connected CRF behind a segmenter sharpens its boundaries without harm to the regions, and the less the finer the network is.

Command     python recipes/dense_crf.py [MINUTES] [fcn32s] [fcn8s] [unet]
            one network alone: saccade train DATA --task segment --model fcn32s --set refine=dense_crf --split SPLIT --augment cells --budget 5m
Data        segmentation/dsb2018: 171 pictures, 5,228 nuclei, the last fifth of the sorted ids kept aside as the test. The CRF's weights and widths
            are chosen on validation images, which are cut from the others
Expected    in 5 minutes each on two cores that do nothing else, with the CRF against without it, the same weights: FCN-32s: boundary IoU up by 0.01
            to 0.5; the finer FCN-8s and U-Net by no more than the coarser net before them; mean IoU of none down by more than 0.005
Measured    2026-11-21, FCN-32s in 3 minutes beside the test suite: boundary IoU 0.331 to 0.547, mean IoU 0.676 to 0.780. FCN-8s and U-Net: not measured with
            validation images; FCN-8s after two epochs (57 s of one thread), on another fifth: boundary IoU 0.109 to 0.139, mean IoU 0.505 to 0.512
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

SETS = {
    "fcn32s": ("refine=dense_crf", "width=0.5", "hidden=64"),
    "fcn8s": ("refine=dense_crf", "width=0.5", "hidden=64"),
    "unet": ("refine=dense_crf", "widths=[8,16,32,64,128]"),
}
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


def with_validation(learnt: list[str], file: Path) -> None:
    """Every sixth of the training pictures is one of validation."""
    text = file.read_text()
    for name in learnt[::6]:
        text = text.replace(f"{name}.png,train", f"{name}.png,val")
    file.write_text(text)


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    place, source, held = folder(), data("segmentation/dsb2018"), list[bool]()
    with_validation(split(source, place), place / "split.csv")
    found = {model: gains(model, source, place, f"{round(60 * minutes)}s") for model in sys.argv[2:] or SETS}
    least = {"fcn32s": 0.01, "fcn8s": 0.0, "unet": 0.0}
    for place, (model, gain) in enumerate(found.items()):
        most = 0.5 if not place else found[list(found)[place - 1]]["boundary_iou"]
        held.append(hold(f"{model}, boundary IoU gained", gain["boundary_iou"], least[model] - 0.005 * (model != "fcn32s"), most))
        held.append(hold(f"{model}, mean IoU gained", gain["mean_iou"], -0.005, 0.5))
    finish(*held)


if __name__ == "__main__":
    main()
