"""Six networks against torchvision's own, both measured in one run, in turn:  python benchmarks/backbones.py [NETWORK ...] [--quick]

    training     a step of 16 pictures of 224 px (SGD), over torchvision's model in its default settings: fp32, contiguous
    inference    batches of 1 and of 16, bf16 where the processor is faster with it, over the same
    fp32         a batch of 16 with batch normalisation folded, in fp32; its logits must be torchvision's to 1e-4

The weights are the same on both sides, by the table of published names. torchvision is no dependency of this package; the peer is
read from the folder that TORCHVISION_PATH names:

    pip install --no-deps -c constraints.txt --target FOLDER torchvision==0.28.0
    TORCHVISION_PATH=FOLDER python benchmarks/backbones.py

Without it only our own times are shown. Ratios are medians over pairs measured one right after the other.
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
from torch import Tensor, nn

from saccade.core import Batch, Geometry, Inputs, LabelSpace, Meta, Model
from saccade.inference.device import Mode
from saccade.inference.fold import ready
from saccade.models.published import published_key
from saccade.models.table import build
from saccade.targets import Label
from saccade.training.engine import Engine, auto_precision, bf16_gain
from saccade.training.settings import Precision

NETWORKS = ("resnet18", "resnet50", "vgg16", "densenet121", "mobilenet_v2", "googlenet")
HELD = ("resnet18", "resnet50", "vgg16")  # whose ratios have a bar; the others' are reported
BARS = {"training": 1.8, "batch 16": 2.0, "fp32 folded": 1.2}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SPACE = LabelSpace(tuple(f"class{i}" for i in range(1000)))
LIBRARY: list[Any] = []  # operators that torchvision expects of its compiled half; alive as long as the process

Run = Callable[[], Any]


def torchvision_models() -> Any | None:
    """torchvision.models from TORCHVISION_PATH, or None. On a torch it was not compiled for, two operators are declared by hand, unused here."""
    folder = os.environ.get("TORCHVISION_PATH")
    if not folder:
        return None
    sys.path.append(folder)
    try:
        return importlib.import_module("torchvision.models")
    except RuntimeError:  # operator torchvision::nms does not exist
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    LIBRARY.append(library)
    return importlib.import_module("torchvision.models")


def theirs(models: Any, name: str) -> nn.Module:
    options = {"init_weights": False, "aux_logits": True} if name == "googlenet" else {}
    made: nn.Module = getattr(models, name)(weights=None, **options)
    return made


def ours(name: str, side: int, peer: nn.Module | None) -> Model:
    """Our network with the peer's weights."""
    model = build("classify", name, Inputs(3, (side, side), MEAN, STD), SPACE)
    if peer is not None:
        constants = {"backbone.mean": model.backbone.mean, "backbone.std": model.backbone.std}
        model.load_state_dict({published_key(name, key): value for key, value in peer.state_dict().items()} | constants)
    return model


def normalised(x: Tensor) -> Tensor:
    return ((x - torch.tensor(MEAN).view(1, -1, 1, 1)) / torch.tensor(STD).view(1, -1, 1, 1)).contiguous()


def precision() -> Precision:
    """That of `precision="auto"` for networks of this size."""
    return auto_precision(torch.device("cpu"), 1e9)


def their_step(peer: nn.Module, x: Tensor, truth: Tensor) -> Run:
    peer.train()
    optimiser = torch.optim.SGD(peer.parameters(), lr=1e-6, momentum=0.9)

    def step() -> None:
        optimiser.zero_grad()
        out = peer(x)
        loss = nn.functional.cross_entropy(getattr(out, "logits", out), truth)
        for early in (getattr(out, "aux_logits1", None), getattr(out, "aux_logits2", None)):
            loss = loss if early is None else loss + 0.3 * nn.functional.cross_entropy(early, truth)
        loss.backward()
        optimiser.step()

    return step


def our_step(model: Model, x: Tensor, truth: Tensor) -> Run:
    engine = Engine("cpu", precision())
    engine.place(model).train()
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-6, momentum=0.9)
    meta = [Meta(str(i), tuple(x.shape[-2:]), Geometry.identity(tuple(x.shape[-2:]))) for i in range(len(x))]
    batch = Batch(x.to(memory_format=torch.channels_last), sizes(x), {"label": [Label(i) for i in truth.tolist()]}, meta)

    def step() -> None:
        optimiser.zero_grad()
        engine.backward(torch.stack(list(engine.losses(model, batch, "all").values())).sum())
        optimiser.step()

    return step


def sizes(x: Tensor) -> Tensor:
    return torch.tensor([x.shape[-2:]] * len(x))


def their_inference(peer: nn.Module, x: Tensor) -> Run:
    peer.eval()

    def run() -> Tensor:
        with torch.inference_mode():
            return peer(x)

    return run


def our_inference(model: Model, x: Tensor, kind: Precision) -> Run:
    mode = Mode(torch.device("cpu"), kind)
    prepared = ready(model, mode)
    x, size = x.to(memory_format=torch.channels_last), sizes(x)

    def run() -> Tensor:
        with torch.inference_mode(), mode.autocast():
            return prepared.outputs(x, size)["label"].logits

    return run


def seconds(run: Run) -> float:
    """Processor time with one thread, which other programs on the machine stretch least; else the time that passes."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    began = clock()
    run()
    return clock() - began


def compare(name: str, part: str, mine: Run, peer: Run | None, budget_s: float) -> bool:
    """Measures in turn until the budget is spent, at least twice; prints the medians; False where a bar is missed."""
    pairs, began = [], time.perf_counter()
    for run in (mine, peer):
        if run is not None:
            run()
    while len(pairs) < 2 or (time.perf_counter() - began < budget_s and len(pairs) < 15):
        pairs.append((seconds(mine), float("nan") if peer is None else seconds(peer)))
    own, other = (1000 * statistics.median(p[i] for p in pairs) for i in (0, 1))
    ratio = statistics.median(b / a for a, b in pairs)
    bar = BARS.get(part) if name in HELD and (part == "fp32 folded" or precision() == "bf16") else None
    verdict = "" if bar is None or peer is None else f"  at least {bar}x: {'holds' if ratio >= bar else 'MISSED'}"
    print(f"{name:<14}{part:<13}{own:>10.1f}{other:>12.1f}{ratio:>8.2f}x{len(pairs):>4}{verdict}", flush=True)
    return "MISSED" not in verdict


def measure(name: str, models: Any | None, side: int, budget_s: float) -> bool:
    torch.manual_seed(0)
    peer = None if models is None else theirs(models, name)
    model = ours(name, side, peer)
    pictures, truth = torch.rand(16, 3, side, side), torch.arange(16)
    held = []
    for part, count, kind in (("batch 1", 1, precision()), ("batch 16", 16, precision()), ("fp32 folded", 16, "fp32")):
        if part == "batch 16" and kind == "fp32":
            continue  # the same as the next
        mine = our_inference(model, pictures[:count], kind)
        other = None if peer is None else their_inference(peer, normalised(pictures[:count]))
        if kind == "fp32" and other is not None:
            torch.testing.assert_close(mine(), other(), rtol=1e-4, atol=1e-4 * float(other().abs().max()))
        held.append(compare(name, part, mine, other, budget_s))
        del mine, other
    held.append(compare(name, "training", our_step(model, pictures, truth), peer and their_step(peer, normalised(pictures), truth), budget_s))
    return all(held)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"some of {', '.join(NETWORKS)}; all of them unless given")
    parser.add_argument("--threads", type=int, default=1, help="of torch, on both sides")
    parser.add_argument("--quick", action="store_true", help="two turns at 64 px: shows that it runs, not what it measures")
    chosen = parser.parse_args()
    unknown = set(chosen.networks) - set(NETWORKS)
    if unknown:
        parser.error(f"no network {sorted(unknown)[0]!r} here; the options are {', '.join(NETWORKS)}")
    torch.set_num_threads(chosen.threads)
    models, began = torchvision_models(), time.perf_counter()
    gain, side = f"bf16 {bf16_gain():.2f} times as fast as fp32, so {precision()}", 64 if chosen.quick else 224
    print(f"# {torch.get_num_threads()} threads, {gain}, load before {os.getloadavg()[0]:.1f}, side {side} px")
    if models is None:
        print("# TORCHVISION_PATH is not set: our own times alone; see the head of this file")
    print(f"{'':<27}{'ours ms':>10}{'theirs ms':>12}{'ratio':>9}{'n':>4}")
    held = [measure(name, models, side, 0.0 if chosen.quick else 4.0) for name in chosen.networks or NETWORKS]
    print(f"# {time.perf_counter() - began:.0f} s, load after {os.getloadavg()[0]:.1f}")
    return 0 if all(held) or chosen.quick else 8


if __name__ == "__main__":
    sys.exit(main())
