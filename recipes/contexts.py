"""The more of its surroundings a pixel's answer may see, the better it is, and a sliding window pays for it with a pass for each pixel.

Command     python recipes/contexts.py [STEPS]
Data        the simulated boards with shapes, 64x64 px: 160 to learn from and 60 kept aside. Seven 3x3 convolutions of stride 1 and 24 channels, the same
            number of weights each time; their dilations alone make the context 15, 23, 35 or 67 pixels wide. 1,000 steps of 8 boards each, the same seed.
            The network of each context then answers a part of 20x20 px of a board by the sliding window too: every pixel from its own window
Expected    mean IoU rises from 15 over 23 to 35 pixels, by 0.03 or more in all; the sliding window makes 400 passes over 400 pixels, its
            scores differ from those of one pass over the part by at most 0.001, and it takes 10 times as long or more
Measured    (2026-11-22, 1,000 steps) mean IoU 0.288, 0.324, 0.346 and 0.300, pixel accuracy 0.907, 0.913, 0.916 and 0.906: a context of 67 pixels, wider
            than the boards, was expected to be best and is not. The window's scores are those of one
            pass to 0.0001, in 256 to 691 times the time
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from itertools import pairwise

import torch
from claims import finish, hold

from saccade.core import Batch, Inputs, LabelSpace, Meta, Model, decay_groups
from saccade.data.augment import Policy
from saccade.data.loader import Loader
from saccade.data.preprocess import Preprocess
from saccade.data.world.dataset import world
from saccade.metrics.segmentation import Segmentation
from saccade.models.table import build
from saccade.models.windows import by_windows
from saccade.ops.geometry import Geometry

DILATIONS = ((1, 1, 1, 1, 1, 1, 1), (1, 1, 2, 2, 2, 2, 1), (1, 1, 2, 4, 4, 4, 1), (1, 1, 2, 4, 8, 16, 1))
RATE, WARM, PART = 4e-3, 0.05, 20


def boards(side: int) -> tuple[list[Batch], list[Batch], LabelSpace]:
    """Batches of 8 boards to learn from, two passes of them turned and mirrored differently; batches of those kept aside; the classes."""
    made = world("shapes", n=220, size=side, labels=["map"], difficulty="easy")
    preprocess = Preprocess((side, side), 3)
    learn = Loader(made.subset(range(160)), preprocess, batch_size=8, shuffle=True, policy=Policy(flip=True), threads=0)
    kept = Loader(made.subset(range(160, 220)), preprocess, batch_size=20, threads=0)
    return [batch for epoch in range(2) for batch in learn.epoch(epoch)], list(kept.epoch(0)), made.spaces["map"]


def inputs(side: int) -> Inputs:
    """Of boards of this side."""
    return Inputs(3, (side, side), (0.5,) * 3, (0.25,) * 3)


def trained(model: Model, batches: Sequence[Batch], *, steps: float = math.inf, seconds: float = math.inf) -> tuple[Model, int]:
    """The model in eval mode after so many steps or so many processor seconds, whichever end first, and the steps; the rate falls as a cosine."""
    optimiser, began, step = torch.optim.AdamW(decay_groups(model.train()), RATE, weight_decay=0.01), time.process_time(), 0
    while (share := max(step / steps, (time.process_time() - began) / seconds)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, share / WARM + 0.01) * (1 + math.cos(math.pi * share)) / 2
        loss = torch.stack(list(model(batches[step % len(batches)]).values())).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        step += 1
    return model.eval(), step


def measured(model: Model, kept: Sequence[Batch], space: LabelSpace) -> dict[str, float]:
    """The values of segmentation on batches kept aside."""
    metric = Segmentation(space)
    with torch.inference_mode():
        for batch in kept:
            size = (int(batch.inputs.shape[2]), int(batch.inputs.shape[3]))
            meta = [Meta(m.id, size, Geometry.identity(size)) for m in batch.meta]
            for answer, truth in zip(model.predict(batch.inputs, batch.sizes, meta)["map"], batch.targets["map"], strict=True):
                metric.update(answer, truth)
    return metric.points()


def windowed(model: Model, picture: torch.Tensor, context: int) -> tuple[int, float, float]:
    """Passes of the sliding window over a part of a picture, the largest difference of its scores from one pass, and how many times as long it takes."""
    sizes = torch.tensor([picture.shape[-2:]])
    began = time.process_time()
    slow = by_windows(model, picture, context)
    by_window = time.process_time() - began
    with torch.no_grad():
        model.outputs(picture, sizes)  # the first call sets up
        began = time.process_time()
        fast = model.outputs(picture, sizes)["map"].logits
        at_once = max(time.process_time() - began, 1e-6)
    return slow.passes, float((slow.logits - fast).abs().max()), by_window / at_once


def main() -> None:
    torch.set_num_threads(1)
    steps, side, held, reached, slower = float(sys.argv[1]) if len(sys.argv) > 1 else 1000.0, 64, [], [], []
    learn, kept, space = boards(side)
    print("context  weights  mean IoU  pixel accuracy  passes over 20x20 px  times as long  s of a processor", flush=True)
    for dilations in DILATIONS:
        torch.manual_seed(0)
        began = time.process_time()
        model, _ = trained(build("segment", "full_resolution", inputs(side), space, {"width": 24, "dilations": list(dilations)}), learn, steps=steps)
        taken, values, context = time.process_time() - began, measured(model, kept, space), 1 + 2 * sum(dilations)
        passes, difference, factor = windowed(model, kept[0].inputs[:1, :, :PART, :PART], context)
        weights = sum(p.numel() for p in model.parameters())
        reached.append(values["mean_iou"])
        slower.append(factor)
        told = f"{context:7d}  {weights:7,d}  {values['mean_iou']:8.4f}  {values['pixel_accuracy']:14.4f}  {passes:20d}  {factor:13.0f}  {taken:16.0f}"
        print(told, flush=True)
        held += [hold("passes for each pixel", passes / PART**2, 1, 1), hold("largest difference of the scores", difference, 0, 1e-3)]
    gains = [b - a for a, b in pairwise(reached[:3])]
    held.append(hold("least gain of mean IoU by a wider context, up to 35 pixels", min(gains), 0, 1))
    held.append(hold("gain of mean IoU from 15 to 35 pixels", reached[2] - reached[0], 0.03, 1))
    print(f"gain of mean IoU from 35 to 67 pixels: {reached[3] - reached[2]:.4f}")
    held.append(hold("the sliding window's time, times one pass's", min(slower), 10, 1e6))
    finish(*held)


if __name__ == "__main__":
    main()
