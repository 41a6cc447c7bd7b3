"""Folder to COCO JSON by the default detector: images a second, and how the time is divided into reading, network and post-processing.

    python benchmarks/detect_predict.py [--model run/model.saccade] [--images FOLDER] [--sizes 320 640] [--count 200]

Without a model the network has its first weights and answers with 100 boxes an image, which is more post-processing than a trained one has.
Without a folder 614x411 JPEGs are made from a seed. `processor` is seconds of all threads together, which another busy program changes less than the clock.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pictures import write_photos

from saccade import bundle
from saccade.bundle import Card
from saccade.core import Inputs, LabelSpace
from saccade.data.object_sizes import STEP
from saccade.data.preprocess import Preprocess
from saccade.inference.predict import Kept, Predictor
from saccade.inference.sources import expand
from saccade.jobs.predict import PredictOptions, run_predict
from saccade.models.table import build
from saccade.training.engine import set_threads

BARS = {320: 90.0, 640: 16.0}  # images/s: twice those of the field's nano detector on two cores


def untrained(folder: Path) -> Path:
    """A model file of the default detector with its first weights, three classes."""
    torch.manual_seed(0)
    inputs, space = Inputs(3, (224, 320), (0.5,) * 3, (0.25,) * 3), LabelSpace(("a", "b", "c"))
    model = build("detect", "nano", inputs, space, {"score_threshold": 0.0, "detections": 100})
    preprocess = Preprocess((224, 320), 3, "letterbox").to_dict()
    arguments = {"score_threshold": 0.0, "detections": 100}
    card = Card(task="detect", model="nano", arguments=arguments, inputs=inputs, spaces={"boxes": space}, preprocess=preprocess)
    path = folder / "model.saccade"
    bundle.write(path, model, card)
    return path


def sized(source: Path, side: int, ratio: float, out: Path) -> Path:
    """The same model file for inputs whose longer side is `side`."""
    found = bundle.read(source)
    height = -(-round(side * ratio) // STEP) * STEP
    card = replace(found.card, preprocess={**found.card.preprocess, "size": [height, side]})
    bundle.write(out, found.model, card)
    return out


def shares(model: Path, images: list[Any], batch: int = 16) -> dict[str, float]:
    """Processor seconds an image of reading, network and post-processing, one after another."""
    predictor = Predictor(bundle.read(model))
    marks = [0.0, 0.0, 0.0]
    for first in range(0, len(images), batch):
        parts = [part for place, item in enumerate(images[first : first + batch]) for part in predictor.parts(place, item)]
        pixels = np.zeros((len(parts), *predictor.preprocess.size, predictor.channels), np.float32)
        begin = time.process_time()
        meta = [predictor.read(part, row, Kept(0)) for part, row in zip(parts, pixels, strict=True)]
        read = time.process_time()
        sizes = torch.tensor([predictor.preprocess.shown(m.size, m.geometry) for m in meta])
        with torch.inference_mode(), predictor.mode.autocast():
            outs = predictor.model.outputs(torch.from_numpy(pixels).permute(0, 3, 1, 2), sizes)
            computed = time.process_time()
            predictor.postprocess.apply(predictor.model.decode(outs, meta)["boxes"], predictor.space)
        done = time.process_time()
        marks = [total + seconds for total, seconds in zip(marks, (read - begin, computed - read, done - computed), strict=True)]
    return dict(zip(("reading", "network", "post-processing"), (mark / len(images) for mark in marks), strict=True))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--model", type=Path)
    options.add_argument("--images", type=Path)
    options.add_argument("--sizes", type=int, nargs="+", default=[320, 640])
    options.add_argument("--count", type=int, default=200)
    given = options.parse_args()
    threads = set_threads(None)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        images = given.images or write_photos(folder / "photos", given.count, size=(411, 614))
        items = list(expand(images).items)[: given.count]
        model = given.model or untrained(folder)
        for side in given.sizes:
            own = sized(model, side, 411 / 614, folder / f"{side}.saccade")
            divided = shares(own, items[:64])
            clock, processor = time.perf_counter(), time.process_time()
            summary = run_predict(own, [item.path for item in items], PredictOptions(as_="coco"), out=folder / f"out{side}")
            clock, processor = time.perf_counter() - clock, (time.process_time() - processor) / summary.n
            print(f"{side} px, {threads} threads: {summary.n / clock:.1f} images/s by the clock (bar {BARS.get(side, 0):g}),", end=" ")
            print(f"{1e3 * processor:.1f} ms of processor an image")
            whole = sum(divided.values())
            print("    " + ", ".join(f"{name} {1e3 * seconds:.1f} ms ({seconds / whole:.0%})" for name, seconds in divided.items()), flush=True)


if __name__ == "__main__":
    main()
