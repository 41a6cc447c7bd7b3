"""Operators of detectors beside torchvision's CPU kernels: NMS of 1,000, 4,000 and 10,000 boxes, RoI align forward and backward. Same inputs, one thread.

    pip install --no-deps -c constraints.txt --target FOLDER torchvision==0.28.0
    TORCHVISION_PATH=FOLDER python benchmarks/detection.py

torchvision is no dependency of this package. Its kernels are compiled for one torch: where they do not load (a wheel for CUDA beside a torch for processors
lacks two libraries), or TORCHVISION_PATH is not set, the peer is the usual loop over boxes and over regions in torch; the first line says which.
Answers are compared before anything is timed. Ratios are medians over pairs measured one right after the other, in processor time.
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from saccade.ops.iou import overlap
from saccade.ops.nms import nms
from saccade.ops.roi import roi_align

Run = Callable[[], Any]


def torchvision_ops() -> Any | None:
    """torchvision.ops with its compiled kernels from TORCHVISION_PATH, or None."""
    folder = os.environ.get("TORCHVISION_PATH")
    if not folder:
        return None
    sys.path.append(folder)
    try:
        ops = importlib.import_module("torchvision.ops")
        ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    except (RuntimeError, ImportError, AttributeError, OSError) as problem:
        print(f"# torchvision's kernels do not load: {str(problem).splitlines()[0][:120]}")
        return None
    return ops


def loop_nms(boxes: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """The definition, one box that stays after another."""
    left, kept = scores.argsort(descending=True), []
    while len(left):
        kept.append(left[0])
        left = left[1:][overlap(boxes[left[0]], boxes[left[1:]]) <= threshold]
    return torch.stack(kept)


def loop_align(features: Tensor, regions: Tensor, output: tuple[int, int], scale: float, sampling: int, aligned: bool) -> Tensor:
    """Region by region with torch's own bilinear sampling, 2 x 2 points a bin; for regions inside of the map."""
    height, width = features.shape[2:]
    found = []
    for row, *box in regions.tolist():
        x1, y1, x2, y2 = (v * scale - 0.5 * aligned for v in box)
        ys = y1 + (torch.arange(output[0] * sampling) + 0.5) * (y2 - y1) / (output[0] * sampling)
        xs = x1 + (torch.arange(output[1] * sampling) + 0.5) * (x2 - x1) / (output[1] * sampling)
        grid = torch.stack(torch.meshgrid(2 * ys / (height - 1) - 1, 2 * xs / (width - 1) - 1, indexing="ij"), -1).flip(-1)
        samples = torch.nn.functional.grid_sample(features[int(row)][None], grid[None], padding_mode="border", align_corners=True)
        found.append(torch.nn.functional.avg_pool2d(samples, sampling)[0])
    return torch.stack(found)


def objects(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Boxes as a detector gives them: around 60 objects of 30 to 200 px in 1000 x 1000, each seen often."""
    chance = torch.Generator().manual_seed(seed)
    middle, side = torch.rand(60, 2, generator=chance) * 1000, torch.rand(60, 2, generator=chance) * 170 + 30
    which = torch.randint(0, 60, (count,), generator=chance)
    near = middle[which] + torch.randn(count, 2, generator=chance) * 0.15 * side[which]
    half = side[which] * torch.exp(0.2 * torch.randn(count, 2, generator=chance)) / 2
    return torch.cat([near - half, near + half], 1), torch.randperm(count, generator=chance) / count  # no two alike


def scattered(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Boxes of 10 to 200 px anywhere in 1000 x 1000: about half of them stay."""
    chance = torch.Generator().manual_seed(seed)
    middle, half = torch.rand(count, 2, generator=chance) * 1000, (torch.rand(count, 2, generator=chance) * 190 + 10) / 2
    return torch.cat([middle - half, middle + half], 1), torch.randperm(count, generator=chance) / count


def paired(ours: Run, theirs: Run, seconds: float) -> tuple[float, float, float, int]:
    """Our time and theirs (ms, medians), the median of theirs / ours over pairs, and the number of pairs."""
    ours(), theirs()
    pairs: list[tuple[float, float]] = []
    began = time.perf_counter()
    while len(pairs) < 3 or (time.perf_counter() - began < seconds and len(pairs) < 200):
        times = []
        for run in (ours, theirs):
            start = time.process_time()
            run()
            times.append(time.process_time() - start)
        pairs.append((times[0], times[1]))
    return (*(1000 * statistics.median(side) for side in zip(*pairs, strict=True)), statistics.median(b / a for a, b in pairs), len(pairs))


def row(name: str, ours: Run, theirs: Run, seconds: float) -> None:
    a, b, ratio, count = paired(ours, theirs, seconds)
    print(f"{name:<44}{a:>10.2f}{b:>12.2f}{ratio:>8.2f}x{count:>5}", flush=True)


def suppression(ops: Any | None, seconds: float) -> None:
    peer = ops.nms if ops is not None else loop_nms
    for kind in (objects, scattered):
        for count in (1000, 4000, 10_000):
            boxes, scores = kind(count, count)
            assert torch.equal(nms(boxes, scores, 0.5), peer(boxes, scores, 0.5))
            row(f"nms, {kind.__name__}, {count} boxes", lambda b=boxes, s=scores: nms(b, s, 0.5), lambda b=boxes, s=scores: peer(b, s, 0.5), seconds)
            if ops is not None:
                classes = torch.randint(0, 20, (count,), generator=torch.Generator().manual_seed(0))
                assert torch.equal(nms(boxes, scores, 0.5, classes), ops.batched_nms(boxes, scores, classes, 0.5))
                mine = lambda b=boxes, s=scores, c=classes: nms(b, s, 0.5, c)  # noqa: E731
                row(f"nms of 20 classes, {kind.__name__}, {count} boxes", mine, lambda b=boxes, s=scores, c=classes: ops.batched_nms(b, s, c, 0.5), seconds)


def alignment(ops: Any | None, seconds: float) -> None:
    peer = ops.roi_align if ops is not None else loop_align
    for channels, stride, count in ((256, 16, 512), (256, 4, 512), (96, 8, 64)):
        chance = torch.Generator().manual_seed(0)
        features = torch.randn(2, channels, 800 // stride, 800 // stride, generator=chance)
        middle, half = torch.rand(count, 2, generator=chance) * 500 + 150, torch.rand(count, 2, generator=chance) * 100 + 16
        regions = torch.cat([torch.randint(0, 2, (count, 1), generator=chance).float(), middle - half, middle + half], 1)
        their_arguments = ((7, 7), 1 / stride, 2, True)

        def ours(x: Tensor, r: Tensor = regions, s: int = stride) -> Tensor:
            return roi_align(x, r, (7, 7), scale=1 / s, sampling=2)

        def theirs(x: Tensor, r: Tensor = regions, arguments: Any = their_arguments) -> Tensor:
            return peer(x, r, *arguments)

        torch.testing.assert_close(ours(features), theirs(features), rtol=1e-3, atol=1e-4)
        name = f"RoI align, {channels} channels, stride {stride}, {count} regions"
        row(name, lambda f=features: ours(f), lambda f=features: theirs(f), seconds)
        row("  and backward", lambda f=features: backward(ours, f), lambda f=features: backward(theirs, f), seconds)


def backward(run: Callable[[Tensor], Tensor], features: Tensor) -> None:
    x = features.detach().requires_grad_()
    run(x).sum().backward()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="three pairs of each")
    seconds = 0.0 if parser.parse_args().quick else 4.0
    torch.set_num_threads(1)
    ops = torchvision_ops()
    peer = "torchvision's compiled CPU kernels" if ops is not None else "loops in torch"
    print(f"# beside {peer}; 1 thread, processor time; load before {os.getloadavg()[0]:.1f}")
    print(f"{'':<44}{'ours ms':>10}{'theirs ms':>12}{'ratio':>9}{'n':>5}")
    suppression(ops, seconds)
    alignment(ops, seconds)
    print(f"# load after {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
