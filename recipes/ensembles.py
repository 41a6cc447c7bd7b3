"""Several nets together are better than the best of them, and so are several views of a picture (system C6).

Command     python recipes/ensembles.py
Data        500 photographs of hand signs at 24x24 to learn from, mirrored at random, and 833 others as the test, five small nets that differ in their seed;
            for boxes, 200 made pictures of 1 to 8 objects and three detectors whose corners, scores, misses and false alarms are drawn at random
Expected    error of the mean of five, of their vote and of the geometric mean: each below 0.97 of the best member's; mean of two views (mirrored) of one
            net: at most its own; mAP of weighted box fusion over that of the best detector: at least 1.03
Measured    0.819 (mean), 0.773 (geometric), 0.854 (vote): the members miss 31.2 to 43.2 %, together 25.6, 24.1 and 26.7 %; mirrored views 0.901; boxes 1.70
            (mAP 0.349 and 0.593); 7 minutes on two cores beside fourteen other programs
"""

from __future__ import annotations

import time

import numpy as np
import torch
from claims import data, finish, folder, hold
from tensors import InMemory, Pictures, pictures, train

from saccade.core import LabelSpace, Model
from saccade.inference.ensemble import Ensemble, Member, fused_boxes
from saccade.models.table import build
from saccade.ops.boxes import iou
from saccade.targets import Boxes

OBJECTS = LabelSpace(("a", "b"))


def member(learn: Pictures, seed: int, place) -> Model:
    torch.manual_seed(seed)
    net, began = build("classify", "small", learn.inputs, learn.space, {"widths": [16, 32], "blocks": [1, 1]}), time.monotonic()
    train(net, learn, place / str(seed), batch=32, mirror=True, epochs=20, optimiser="adamw", rate=3e-3, schedule="cosine", warmup=0.1, seed=seed)
    print(f"member {seed}: {time.monotonic() - began:.0f} s", flush=True)
    return net.eval()


@torch.inference_mode()
def error(net, test: Pictures) -> float:
    """In per cent."""
    answers = [label.index for b in InMemory(test, 250, shuffle=False).epoch(0) for label in net.predict(b.inputs, b.sizes, b.meta)["label"]]
    return 100 * float(np.mean(np.array(answers) != test.truth.numpy()))


def scene(chance: np.random.Generator) -> Boxes:
    """Objects that hardly overlap."""
    xyxy: list[np.ndarray] = []
    for _ in range(int(chance.integers(1, 9))):
        corner, sides = chance.uniform(0, 80, 2), chance.uniform(8, 20, 2)
        box = np.concatenate([corner, corner + sides])
        if not xyxy or iou(np.array(xyxy), box[None]).max() < 0.1:
            xyxy.append(box)
    return Boxes(torch.tensor(np.array(xyxy)), torch.tensor(chance.integers(0, 2, len(xyxy))))


def detected(truth: Boxes, chance: np.random.Generator) -> Boxes:
    """What a middling detector says: a fifth is missed, corners are off by a tenth of the side, and there are as many false alarms as misses."""
    seen = chance.random(len(truth)) > 0.2
    xyxy = truth.xyxy.numpy()[seen]
    sides = np.tile(xyxy[:, 2:] - xyxy[:, :2], 2)
    xyxy = xyxy + chance.normal(0, 0.1, xyxy.shape) * sides
    false = chance.poisson(0.2 * len(truth))
    corner = chance.uniform(0, 80, (false, 2))
    xyxy = np.concatenate([xyxy, np.concatenate([corner, corner + chance.uniform(8, 20, (false, 2))], 1)])
    scores = np.concatenate([chance.beta(5, 2, seen.sum()), chance.beta(2, 4, false)])
    classes = np.concatenate([truth.classes.numpy()[seen], chance.integers(0, 2, false)])
    return Boxes(torch.tensor(xyxy), torch.tensor(classes), torch.tensor(scores))


def boxes() -> tuple[float, float]:
    """COCO's mAP of the best of three detectors, and of their fusion."""
    from saccade.metrics.detection import Detection

    chance = np.random.default_rng(0)
    truths = [scene(chance) for _ in range(200)]
    answers = [[detected(truth, chance) for truth in truths] for _ in range(3)]
    fused = [fused_boxes(parts, [1.0] * 3) for parts in zip(*answers, strict=True)]
    values = []
    for found in (*answers, fused):
        metric = Detection(OBJECTS)
        for answer, truth in zip(found, truths, strict=True):
            metric.update(answer, truth)
        values.append(metric.points()["map"])
    print("mAP of the detectors and of their fusion: " + ", ".join(f"{v:.4f}" for v in values), flush=True)
    return max(values[:3]), values[3]


def main() -> None:
    torch.set_num_threads(1)
    every = pictures(data("classification/sign_digits"), 1333, 24)
    order = torch.randperm(len(every), generator=torch.Generator().manual_seed(0))
    learn, test, place = every[order[:500]], every[order[500:]], folder()
    nets = [member(learn, seed, place) for seed in range(5)]
    alone = [error(net, test) for net in nets]
    joined = {how: error(Ensemble([Member(net) for net in nets], combine=how), test) for how in ("mean", "geometric", "vote")}
    views = [error(Ensemble([Member(net)], views="flip"), test) for net in nets]
    print("errors in %: members " + ", ".join(f"{e:.2f}" for e in alone) + "; " + ", ".join(f"{how} {e:.2f}" for how, e in joined.items()), flush=True)
    best, fused = boxes()
    finish(
        *(hold(f"error of the five by {how} over that of the best member", e / min(alone), 0.5, 0.97) for how, e in joined.items()),
        hold("mean error with the mirror image over that without", float(np.mean(views) / np.mean(alone)), 0.5, 1.0),
        hold("mAP of weighted box fusion over that of the best detector", fused / best, 1.03, 2),
    )


if __name__ == "__main__":
    main()
