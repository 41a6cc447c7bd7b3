"""Classification against plain PyTorch, both measured in one run, in turn:  python benchmarks/classification.py [--quick]

    training     images/s of ResNet-18 from 640x480 JPEGs to 128 px, over a plain fp32 loop with a Pillow loader of 2 worker processes
    loop         a step of `fit` over a hand-written loop with the same settings, on a step of at least 20 ms
    prediction   a folder of 1,000 JPEGs to JSON lines, over the same with plain PyTorch and Pillow

Each figure is the median of several turns; the ratio and the bar it is held against are printed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from pictures import write_photos
from PIL import Image
from torch import nn

from saccade import bundle
from saccade.bundle import Card
from saccade.core import Batch, Inputs, LabelSpace, Meta, decay_groups
from saccade.data.augment import Policy
from saccade.data.loader import Loader
from saccade.data.open import open_dataset
from saccade.data.preprocess import Preprocess
from saccade.jobs.predict import run_predict
from saccade.models.table import build
from saccade.ops.geometry import Geometry
from saccade.targets import Label
from saccade.training.engine import Engine, auto_precision
from saccade.training.fit import Feeds, fit
from saccade.training.run_folder import RunFolder
from saccade.training.settings import Settings

MEAN, STD = (0.45, 0.45, 0.45), (0.25, 0.25, 0.25)
SPACE = LabelSpace(("class0", "class1"))
PX, BATCH = 128, 32


class PlainPhotos(torch.utils.data.Dataset):
    """What a plain loop does: decode with Pillow, random crop, flip, normalise."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        with Image.open(self.files[i]) as image:
            w, h = image.size
            share = float(torch.empty(1).uniform_(0.6, 1.0)) ** 0.5
            cw, ch = int(w * share), int(h * share)
            left, top = int(torch.randint(0, w - cw + 1, (1,))), int(torch.randint(0, h - ch + 1, (1,)))
            image = image.convert("RGB").resize((PX, PX), Image.Resampling.BILINEAR, box=(left, top, left + cw, top + ch))
            if torch.rand(1) < 0.5:
                image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        return (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None], i % 2


def network(px: int = PX) -> nn.Module:
    torch.manual_seed(0)
    return build("classify", "resnet18", Inputs(3, (px, px), MEAN, STD), SPACE, {})


def plain_logits(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The same layers without anything of ours around them; the input is normalised already."""
    backbone = model.backbone
    features = backbone(x * backbone.std.view(1, -1, 1, 1) + backbone.mean.view(1, -1, 1, 1), torch.tensor([x.shape[-2:]] * len(x)))
    return model.heads["label"](features).logits


def plain_training(files: list[Path]) -> Callable[[], float]:
    """A plain fp32 loop; a call trains one epoch and gives images/s."""
    model = network().train()
    optimiser = torch.optim.AdamW(decay_groups(model), lr=1e-3)
    loader = torch.utils.data.DataLoader(PlainPhotos(files), BATCH, shuffle=True, num_workers=2, drop_last=True, persistent_workers=True)

    def epoch() -> float:
        began, images = time.perf_counter(), 0
        for x, y in loader:
            loss = nn.functional.cross_entropy(plain_logits(model, x), y)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            images += len(x)
        return images / (time.perf_counter() - began)

    return epoch


def our_training(folder: Path, cache_bytes: int) -> Callable[[], float]:
    """saccade's loader and engine with its default settings; a call trains one epoch and gives images/s."""
    data = open_dataset(folder)
    loader = Loader(
        data, Preprocess((PX, PX), 3), batch_size=BATCH, policy=Policy.named("default", SPACE.names), shuffle=True, threads=2, cache_bytes=cache_bytes
    )
    engine = Engine("cpu", auto_precision(torch.device("cpu"), 1e9))
    model = engine.place(network()).train()
    optimiser = torch.optim.AdamW(decay_groups(model), lr=1e-3)
    count = iter(range(10**9))

    def epoch() -> float:
        began, images = time.perf_counter(), 0
        for batch in loader.epoch(next(count)):
            optimiser.zero_grad()
            engine.backward(torch.stack(list(engine.losses(model, batch, "all").values())).sum())
            optimiser.step()
            images += len(batch)
        return images / (time.perf_counter() - began)

    return epoch


class SameBatch:
    """The same batch again and again, so that nothing but the loop is measured."""

    def __init__(self, steps: int) -> None:
        images = torch.rand(BATCH, 3, PX, PX).contiguous(memory_format=torch.channels_last)
        meta = [Meta(str(i), (PX, PX), Geometry.identity((PX, PX))) for i in range(BATCH)]
        self.steps, self.batch = steps, Batch(images, torch.full((BATCH, 2), PX), {"label": [Label(i % 2) for i in range(BATCH)]}, meta)

    def __len__(self) -> int:
        return self.steps

    def epoch(self, epoch: int, start: int = 0, stop: int | None = None):
        return iter([self.batch] * ((self.steps if stop is None else stop) - start))


def loop_overhead(folder: Path, steps: int) -> tuple[float, float]:
    """Seconds a step of a hand-written loop and of `fit`, with the same network, optimiser, precision and schedule."""
    engine = Engine("cpu", auto_precision(torch.device("cpu"), 1e9))
    feed = SameBatch(steps)
    model = engine.place(network()).train()
    optimiser = torch.optim.AdamW(decay_groups(model), lr=1e-3, foreach=True)
    began = time.perf_counter()
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 * (1 - step / steps)
        with torch.autocast("cpu", torch.bfloat16, enabled=engine.precision == "bf16"):
            loss = sum(model(feed.batch).values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    hand = (time.perf_counter() - began) / steps
    run = RunFolder(folder)
    fit(network(), Feeds(feed), settings=Settings(epochs=1, rate=1e-3, schedule="linear", warmup=0.0, save_every_s=1e9), run=run, engine=engine)
    images_per_s = run.rows()[-1]["images_per_s"]
    return hand, BATCH / images_per_s


def plain_prediction(files: list[Path], model: nn.Module, px: int, out: Path) -> float:
    """Pillow, batches of 16, fp32, JSON lines: what one writes in ten minutes."""
    model.eval()
    began = time.perf_counter()
    with out.open("w") as stream, torch.inference_mode():
        for first in range(0, len(files), 16):
            part, inputs = files[first : first + 16], []
            for file in part:
                with Image.open(file) as image:
                    pixels = np.array(image.convert("RGB").resize((px, px), Image.Resampling.BILINEAR))
                inputs.append((torch.from_numpy(pixels).permute(2, 0, 1).float() / 255 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None])
            for file, row in zip(part, plain_logits(model, torch.stack(inputs)).softmax(1).tolist(), strict=True):
                stream.write(json.dumps({"id": file.name, "probabilities": row}) + "\n")
    return len(files) / (time.perf_counter() - began)


def our_prediction(folder: Path, model: Path, out: Path) -> float:
    began = time.perf_counter()
    summary = run_predict(model, [str(folder)], out=out)
    assert summary.failed == 0, summary
    return summary.n / (time.perf_counter() - began)


def report(name: str, ours: float, theirs: float, ratio: float, bar: str) -> None:
    print(f"{name:<44}{ours:>10.2f}{theirs:>10.2f}{ratio:>9.2f}x   {bar}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the work: shows that it runs, not what it measures")
    parser.add_argument("--only", choices=["training", "loop", "prediction"], help="one part alone")
    chosen = parser.parse_args()
    images, turns, steps, predicted = (64, 1, 5, 100) if chosen.quick else (512, 3, 60, 1000)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        print(f"{'':<44}{'ours':>10}{'plain':>10}{'ratio':>10}   bar", flush=True)
        if chosen.only in (None, "training"):
            training(root, images, turns)
        if chosen.only in (None, "loop"):
            pairs = []
            for turn in range(turns):
                (root / f"loop{turn}").mkdir()
                pairs.append(loop_overhead(root / f"loop{turn}", steps))
            ours, hand = statistics.median(p[1] for p in pairs), statistics.median(p[0] for p in pairs)
            report("step of fit over a hand-written loop (ms)", 1000 * ours, 1000 * hand, statistics.median(o / h for h, o in pairs), "at most 1.05x")
        if chosen.only in (None, "prediction"):
            prediction(root, predicted, turns)


def training(root: Path, images: int, turns: int) -> None:
    folder = write_photos(root / "photos", images)
    files = sorted(folder.rglob("*.jpg"))
    print(f"# {images} JPEGs of 640x480, {sum(f.stat().st_size for f in files) / images / 1000:.0f} kB each, {torch.get_num_threads()} threads")
    plain, cached, uncached = plain_training(files), our_training(folder, 10**9), our_training(folder, 0)
    for warm in (plain, cached, uncached):
        warm()
    rows = [(plain(), cached(), uncached()) for _ in range(turns)]
    theirs = statistics.median(r[0] for r in rows)
    for column, name in ((1, "kept in memory"), (2, "decoded anew each epoch")):
        ours, ratio = statistics.median(r[column] for r in rows), statistics.median(r[column] / r[0] for r in rows)
        report(f"training, pictures {name} (images/s)", ours, theirs, ratio, "at least 2.0x")


def prediction(root: Path, images: int, turns: int) -> None:
    folder = write_photos(root / "to_predict", images)
    files = sorted(folder.rglob("*.jpg"))
    for px in (128, 224):
        model, inputs = network(px), Inputs(3, (px, px), MEAN, STD)
        file = root / f"model{px}.saccade"
        bundle.write(file, model, Card("classify", "resnet18", {}, inputs, {"label": SPACE}, Preprocess((px, px), 3).to_dict()))
        rows = []
        for turn in range(turns):
            rows.append((plain_prediction(files, model, px, root / "plain.jsonl"), our_prediction(folder, file, root / f"out{px}_{turn}")))
        ours, theirs = statistics.median(r[1] for r in rows), statistics.median(r[0] for r in rows)
        report(f"prediction, ResNet-18 at {px} px (images/s)", ours, theirs, statistics.median(o / t for t, o in rows), "at least 2.5x")


if __name__ == "__main__":
    main()
