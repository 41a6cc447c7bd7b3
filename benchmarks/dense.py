"""Dense prediction against plain PyTorch, each pair measured in turn in one run:  python benchmarks/dense.py [--quick] [--only PART ...]

    training     a step of our U-Net (widths 16 to 256) on 4 pictures of 256 px (AdamW, the same loss), over the same layers written
                 plainly: fp32, contiguous, nn.Sequential
    prediction   a picture of 1,024 x 1,024 px in windows of 256 px that overlap by 64, merged by the mean of probabilities: ours (folded,
                 channels_last, bf16 where the processor is faster with it) over the plain network and a plain loop over the windows
    windows      a fully convolutional network over the same network on the window of every pixel
    large        a picture of 10,000 x 10,000 px through `saccade predict`: the most memory that the process held

Times are processor seconds of one thread. The two networks have the same weights; their answers must agree to 1e-4 in fp32.
Bars: training 1.8 and prediction 2.0 on processors that are faster in bf16, large 1.5 GB; on others the ratios are reported.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saccade.core import Batch, Geometry, Inputs, LabelSpace, Meta, Model
from saccade.data.tiles import Tiling, merged
from saccade.inference.device import Mode
from saccade.inference.fold import ready
from saccade.models.segment import full_resolution, unet
from saccade.models.windows import by_windows
from saccade.targets import SegmentationMap
from saccade.training.engine import Engine, auto_precision, bf16_gain

WIDTHS = (16, 32, 64, 128, 256)
MEAN, STD = (0.2,) * 3, (0.2,) * 3
SPACE = LabelSpace(("background", "cell"), background=0)
BARS = {"training": 1.8, "prediction": 2.0}
LARGE_GB = 1.5
ALONE = """import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, capture_output=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"""
"""Runs a command and prints its peak of memory: from a small process, because a child counts what its parent held when it was begun."""
Run = Callable[[], Any]


def double(inputs: int, outputs: int) -> nn.Sequential:
    """Two convolutions with normalisation, as one would write them down."""
    layers: list[nn.Module] = []
    for before in (inputs, outputs):
        layers += [nn.Conv2d(before, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class Plain(nn.Module):
    """The same U-Net, plainly."""

    def __init__(self) -> None:
        super().__init__()
        before = (3, *WIDTHS[:-1])
        self.down = nn.ModuleList(double(a, b) for a, b in zip(before, WIDTHS, strict=True))
        pairs = list(zip(WIDTHS[1:], WIDTHS[:-1], strict=True))
        self.up = nn.ModuleList(double(coarse + fine, fine) for coarse, fine in reversed(pairs))
        self.last = nn.Conv2d(WIDTHS[0], 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = (x - torch.tensor(MEAN).view(1, -1, 1, 1)) / torch.tensor(STD).view(1, -1, 1, 1)
        skips: list[Tensor] = []
        for place, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if place else x)
            skips.append(x)
        for block, skip in zip(self.up, reversed(skips[:-1]), strict=True):
            x = block(torch.cat([F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False), skip], 1))
        return self.last(x)


def pair() -> tuple[Model, Plain]:
    """Our network and the plain one with its weights."""
    torch.manual_seed(0)
    ours, plain = unet(Inputs(3, (256, 256), MEAN, STD), SPACE, widths=WIDTHS), Plain()
    for theirs, mine in zip(plain.down, ours.backbone.backbone.stages, strict=True):
        for i, layer in enumerate(part for part in mine if hasattr(part, "conv")):
            theirs[3 * i].load_state_dict(layer.conv.state_dict())
            theirs[3 * i + 1].load_state_dict(layer.norm.state_dict())
    for theirs, mine in zip(plain.up, ours.backbone.necks[0].blocks, strict=True):
        for i, layer in enumerate(mine):
            theirs[3 * i].load_state_dict(layer.conv.state_dict())
            theirs[3 * i + 1].load_state_dict(layer.norm.state_dict())
    plain.last.load_state_dict(ours.heads["map"].classifier[-1].state_dict())
    x = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        a, b = plain.eval()(x), ours.eval().outputs(x, torch.tensor([[64, 64]]))["map"].logits
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    return ours, plain


def soft_dice(logits: Tensor, truth: Tensor) -> Tensor:
    p, t = torch.softmax(logits, 1)[:, 1], (truth == 1).float()
    return 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)


def training(repeats: int) -> tuple[Run, Run, int]:
    ours, plain = pair()
    engine = Engine("cpu", auto_precision(torch.device("cpu"), 1e9))
    engine.place(ours).train()
    plain.train()
    optimisers = [torch.optim.AdamW(net.parameters(), lr=1e-5) for net in (ours, plain)]
    x, ids = torch.rand(4, 3, 256, 256), (torch.rand(4, 256, 256) > 0.8).to(torch.uint8)
    batch = Batch(x.to(memory_format=torch.channels_last), torch.tensor([[256, 256]] * 4), {"map": [SegmentationMap(t) for t in ids]}, [])
    truth = ids.long()

    def mine() -> None:
        optimisers[0].zero_grad()
        engine.backward(torch.stack(list(engine.losses(ours, batch, "all").values())).sum())
        optimisers[0].step()

    def theirs() -> None:
        optimisers[1].zero_grad()
        logits = plain(x)
        (F.cross_entropy(logits, truth) + soft_dice(logits, truth)).backward()
        optimisers[1].step()

    return mine, theirs, repeats


def prediction(repeats: int) -> tuple[Run, Run, int]:
    ours, plain = pair()
    plain.eval()
    mode = Mode(torch.device("cpu"), auto_precision(torch.device("cpu"), 1e9))
    prepared, tiling, side = ready(ours, mode), Tiling((256, 256), 64), 1024
    image = torch.rand(3, side, side)
    windows = tiling.windows((side, side))
    meta = [Meta("a", (256, 256), Geometry.identity((256, 256)))] * 8

    def mine() -> None:
        parts = []
        with torch.inference_mode(), mode.autocast():
            for start in range(0, len(windows), 8):
                crops = [image[:, w.y : w.y + 256, w.x : w.x + 256] for w in windows[start : start + 8]]
                x = torch.stack(crops).to(memory_format=torch.channels_last)
                parts += prepared.predict(x, torch.tensor([[256, 256]] * len(x)), meta[: len(x)])["map"]
        merged(parts, (side, side), tiling)

    def theirs() -> None:
        total, counts = torch.zeros(2, side, side), torch.zeros(side, side)
        with torch.inference_mode():
            for start in range(0, len(windows), 8):
                own = windows[start : start + 8]
                soft = torch.softmax(plain(torch.stack([image[:, w.y : w.y + 256, w.x : w.x + 256] for w in own])), 1)
                for w, p in zip(own, soft, strict=True):
                    total[:, w.y : w.y + 256, w.x : w.x + 256] += p
                    counts[w.y : w.y + 256, w.x : w.x + 256] += 1
        (total / counts).argmax(0)

    return mine, theirs, max(1, repeats // 2)


def windows(repeats: int) -> tuple[Run, Run, int]:
    torch.manual_seed(0)
    model, x = full_resolution(Inputs(3, (48, 48), MEAN, STD), SPACE, width=16, dilations=(1, 1, 2, 4, 1)).eval(), torch.rand(1, 3, 48, 48)
    size = torch.tensor([[48, 48]])
    context = model.backbone.context
    print(f"  windows of {context} px around {48 * 48} pixels")

    def mine() -> None:
        with torch.inference_mode():
            model.outputs(x, size)

    return mine, lambda: by_windows(model, x, context), max(1, repeats // 4)


def seconds(run: Run) -> float:
    began = time.process_time()
    run()
    return time.process_time() - began


def compared(name: str, made: tuple[Run, Run, int]) -> float:
    """Prints the median of the ratios theirs / ours over pairs measured one right after the other."""
    ours, theirs, repeats = made
    ours(), theirs()
    times = [(seconds(ours), seconds(theirs)) for _ in range(repeats)]
    ratio = statistics.median(b / a for a, b in times)
    bar = f", bar {BARS[name]} where bf16 is faster" if name in BARS else ""
    print(f"{name:12s} ours {min(a for a, _ in times):.3f} s, theirs {min(b for _, b in times):.3f} s: {ratio:.2f} times as fast{bar}", flush=True)
    return ratio


def large(side: int) -> float:
    """The peak memory in GB of `saccade predict` on one picture of side x side px by a U-Net in windows."""
    import cv2

    from saccade.bundle import Card, write
    from saccade.data.preprocess import Preprocess

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        torch.manual_seed(0)
        inputs = Inputs(3, (256, 256), MEAN, STD)
        arguments = {"widths": [4, 8]}
        model = unet(inputs, SPACE, widths=(4, 8))
        preprocess = Preprocess((256, 256), 3, mode="keep", tiling=Tiling((256, 256), 32))
        write(root / "model.saccade", model, Card("segment", "unet", arguments, inputs, {"map": SPACE}, preprocess.to_dict()))
        shade = np.add.outer(np.arange(side) // 37, np.arange(side) // 53).astype(np.uint8)
        cv2.imwrite(str(root / "large.png"), np.repeat(shade[..., None], 3, 2))
        del shade
        command = [sys.executable, "-m", "saccade", "predict", str(root / "model.saccade"), str(root / "large.png"), "--out", str(root / "out")]
        began = time.monotonic()
        told = subprocess.run([sys.executable, "-c", ALONE, *command, "--batch", "4", "--threads", "1"], check=True, capture_output=True, text=True)
        peak = int(told.stdout) * 1024 / 1e9
        print(f"large        {side} x {side} px in {time.monotonic() - began:.0f} s: {peak:.2f} GB at most, bar {LARGE_GB}", flush=True)
    return peak


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the work: shows that it runs")
    parser.add_argument("--only", nargs="+", choices=["training", "prediction", "windows", "large"])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    parts = asked.only or ["training", "prediction", "windows", "large"]
    print(f"bf16 is {bf16_gain():.2f} times as fast as fp32 here")
    repeats, held = 3 if asked.quick else 12, True
    for name, make in (("training", training), ("prediction", prediction), ("windows", windows)):
        if name in parts:
            ratio = compared(name, make(repeats))
            held &= name not in BARS or ratio >= BARS[name] or bf16_gain() < 1.2
    if "large" in parts:
        held &= large(2000 if asked.quick else 10_000) <= LARGE_GB
    return 0 if held else 8


if __name__ == "__main__":
    sys.exit(main())
