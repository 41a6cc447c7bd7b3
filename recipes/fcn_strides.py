"""Each skip of a fully convolutional network sharpens its boundaries: FCN-32s, FCN-16s and FCN-8s, trained alike.

Command     python recipes/fcn_strides.py
Data        the simulated boards with shapes, 96x96 px: 160 to learn from and 60 kept aside; half of a ResNet-18, 1,000 steps of 8 each (a staged net
            gives the skips their share of these), the same seed
Expected    boundary IoU rises by 0.02 or more with each skip, and so does mean IoU
Measured    2026-11-21, one minute of a processor each: boundary IoU 0.048, 0.072, 0.101; mean IoU 0.126, 0.202, 0.235 (all far from learnt to the end)
"""

from __future__ import annotations

import time
from typing import Any

import torch
from claims import finish, hold

from saccade.core import Batch, Inputs, Meta
from saccade.data.augment import Policy
from saccade.data.loader import Loader
from saccade.data.preprocess import Preprocess
from saccade.data.world.dataset import world
from saccade.metrics.segmentation import Segmentation
from saccade.models.segment import fcn
from saccade.ops.geometry import Geometry
from saccade.training.schedules import rate_factor

STEPS, SIDE = 1000, 96


def trained(stride: int, batches: list[Batch], inputs: Inputs, space: Any) -> Any:
    """A staged network after all steps; each stage is warmed up and annealed anew, as in `training.fit`."""
    torch.manual_seed(0)
    model = fcn(inputs, space, stride=stride, width=0.5, hidden=64).to(memory_format=torch.channels_last).train()
    place = 0
    for stage in model.stages():
        count = round(stage.epochs * STEPS)
        optimiser = torch.optim.AdamW(stage.phases[0].groups(), 3e-3, weight_decay=0.01)
        for step in range(count):
            for group in optimiser.param_groups:
                group["lr"] = 3e-3 * rate_factor(step, count, schedule="cosine", warmup=0.1)
            loss = torch.stack(list(model(batches[place % len(batches)]).values())).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            place += 1
    return model.eval()


def main() -> None:
    torch.set_num_threads(1)
    boards = world("shapes", n=220, size=SIDE, labels=["map"], difficulty="easy")
    preprocess, space = Preprocess((SIDE, SIDE), 3), boards.spaces["map"]
    learn = Loader(boards.subset(range(160)), preprocess, batch_size=8, shuffle=True, policy=Policy(flip=True), threads=0)
    kept = list(Loader(boards.subset(range(160, 220)), preprocess, batch_size=20, threads=0).epoch(0))
    batches = [batch for epoch in range(2) for batch in learn.epoch(epoch)]
    values, held = [], []
    for stride in (32, 16, 8):
        began, metric = time.process_time(), Segmentation(space)
        model = trained(stride, batches, Inputs(3, (SIDE, SIDE), (0.5,) * 3, (0.25,) * 3), space)
        with torch.inference_mode():
            for batch in kept:
                meta = [Meta(m.id, (SIDE, SIDE), Geometry.identity((SIDE, SIDE))) for m in batch.meta]
                for answer, truth in zip(model.predict(batch.inputs, batch.sizes, meta)["map"], batch.targets["map"], strict=True):
                    metric.update(answer, truth)
        values.append(metric.points())
        told = ", ".join(f"{key} {values[-1][key]:.4f}" for key in ("mean_iou", "boundary_iou", "pixel_accuracy"))
        print(f"FCN-{stride}s: {told}; {time.process_time() - began:.0f} s of a processor", flush=True)
    for key in ("boundary_iou", "mean_iou"):
        held += [hold(f"{key}, gain of the skip to stride {s}", b[key] - a[key], 0.02, 1) for s, a, b in ((16, *values[:2]), (8, *values[1:]))]
    finish(*held)


if __name__ == "__main__":
    main()
