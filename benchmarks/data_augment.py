"""Augmentation, decoding and opening against peers, both measured in one run, in turn:  python benchmarks/data_augment.py [--quick]

    augmentation   boxes and masks of 10 objects at 640x480: affine, flip, colour, normalise; CPU time an image over albumentations 2.0.8
                   with an id map doing the same (needs `pip install albumentations==2.0.8`; left out where it is not there)
    decoding       1080p JPEGs decoded and resized to 224x224, over Pillow (decode, bilinear resize)
    opening        a folder of 100,000 files opened

One thread each. A figure is the median over turns of the ratio of CPU times measured one after the other.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from pictures import write_photos
from PIL import Image

from saccade.core import Batch
from saccade.data.augment import Policy
from saccade.data.image import read_image
from saccade.data.loader_inputs import Inputs, Sample
from saccade.data.open import open_dataset
from saccade.data.preprocess import Preprocess
from saccade.targets import Instances

SIZE, OBJECTS = (480, 640), 10
MEAN, STD = (0.45, 0.45, 0.45), (0.25, 0.25, 0.25)
POLICY = Policy(flip=True, rotate_deg=15.0, scale=0.2, shear_deg=5.0, translate=0.08, brightness=0.2, contrast=0.2, saturation=0.2, hue=0.03)


class Figure(NamedTuple):
    """Ours and theirs in milliseconds (None where there is no peer), the ratio theirs / ours, and the bar it is held against."""

    name: str
    ours: float
    theirs: float | None
    ratio: float | None
    bar: str


def scenes(n: int, seed: int = 0) -> list[tuple[np.ndarray, Instances]]:
    """n pictures (480, 640, 3) uint8 of shades with ten ellipses each, and the truths of these as id maps."""
    chance, found = np.random.default_rng(seed), []
    for _ in range(n):
        small = chance.integers(0, 256, (15, 20, 3)).astype(np.uint8)
        pixels = cv2.resize(small, SIZE[::-1], interpolation=cv2.INTER_CUBIC)
        masks = []
        for k in range(OBJECTS):
            mask = np.zeros(SIZE, np.uint8)
            centre = (int(chance.integers(60, 580)), 40 + 44 * k)
            cv2.ellipse(mask, centre, (int(chance.integers(15, 55)), 18), 0, 0, 360, 1, -1)
            masks.append(mask.astype(bool))
            pixels[masks[-1]] = chance.integers(0, 256, 3)
        shapes = Instances.from_masks(masks, [k % 3 for k in range(OBJECTS)])
        found.append((pixels, Instances(shapes.boxes, SIZE, None, torch.from_numpy(shapes.id_map()))))
    return found


def our_augmentation(data: list[tuple[np.ndarray, Instances]]) -> Callable[[int], Batch]:
    """A function of the epoch that makes a batch of all scenes as the loader does, and normalises it."""
    inputs = Inputs(Preprocess(SIZE, 3), POLICY, None, ("instances",), 0, len(data))
    samples = [Sample(i, str(i), pixels, {"instances": truth}, SIZE) for i, (pixels, truth) in enumerate(data)]
    mean, std = torch.tensor(MEAN).repeat(SIZE[1]), torch.tensor(STD).repeat(SIZE[1])

    def epoch(number: int) -> Batch:
        batch = inputs.batch(samples, number, {})
        batch.inputs.permute(0, 2, 3, 1).flatten(2).sub_(mean).div_(std)  # in the memory that the loader made, channels last
        return batch

    return epoch


def their_augmentation(data: list[tuple[np.ndarray, Instances]]) -> Callable[[int], list[dict]]:
    """The same by albumentations; raises ImportError where it is not installed."""
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    import albumentations

    low, high = 1 / (1 + POLICY.scale), 1 + POLICY.scale
    steps = [
        albumentations.Affine(
            scale=(low, high),
            rotate=(-POLICY.rotate_deg, POLICY.rotate_deg),
            shear=(-POLICY.shear_deg, POLICY.shear_deg),
            translate_percent=(-POLICY.translate, POLICY.translate),
            p=1.0,
        ),
        albumentations.HorizontalFlip(p=0.5),
        albumentations.ColorJitter(POLICY.brightness, POLICY.contrast, POLICY.saturation, POLICY.hue, p=1.0),
        albumentations.Normalize(MEAN, STD),
    ]
    compose = albumentations.Compose(steps, bbox_params=albumentations.BboxParams(format="pascal_voc", label_fields=["classes"]))
    prepared = [
        {"image": pixels, "mask": truth.id_map().astype(np.uint8), "bboxes": truth.boxes.xyxy.numpy(), "classes": truth.boxes.classes.numpy()}
        for pixels, truth in data
    ]
    return lambda number: [compose(**each) for each in prepared]


def cpu_ms(call: Callable[[], object], n: int) -> float:
    """CPU milliseconds of this process for each of the n things a call makes."""
    began = time.process_time()
    call()
    return 1000 * (time.process_time() - began) / n


def turns_of(ours: Callable[[int], object], theirs: Callable[[int], object], n: int, turns: int) -> tuple[float, float, float]:
    """Medians of ours, theirs (ms for each of n) and their ratio over turns; each is warmed once."""
    ours(0), theirs(0)
    pairs = [(cpu_ms(lambda turn=turn: ours(turn), n), cpu_ms(lambda turn=turn: theirs(turn), n)) for turn in range(1, turns + 1)]
    return statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs), statistics.median(t / o for o, t in pairs)


def augmentation(n: int = 8, turns: int = 15) -> Figure:
    """Boxes and masks of ten objects, in a batch of n."""
    data, name = scenes(n), "boxes + masks augmented, 640x480 (ms)"
    ours = our_augmentation(data)
    try:
        theirs = their_augmentation(data)
    except ImportError:
        ours(0)
        alone = statistics.median(cpu_ms(lambda turn=turn: ours(turn), n) for turn in range(turns))
        return Figure(name, alone, None, None, "albumentations is not installed")
    return Figure(name, *turns_of(ours, theirs, n, turns), "at least 1.4x albumentations 2.0.8")


def decoding(folder: Path, n: int = 12, turns: int = 5, size: tuple[int, int] = (224, 224)) -> Figure:
    """1080p JPEGs of quality 85 (0.4 MB each) to a size."""
    files = sorted(write_photos(folder, n, size=(1080, 1920), quality=85).rglob("*.jpg"))
    preprocess = Preprocess(size, 3)

    def ours(_: int) -> None:
        for file in files:
            pixels = read_image(file, channels=3, at_least=size).pixels
            preprocess.warp(pixels, preprocess.geometry(pixels.shape[:2]))

    def theirs(_: int) -> None:
        for file in files:
            with Image.open(file) as image:
                np.array(image.convert("RGB").resize(size[::-1], Image.Resampling.BILINEAR))

    return Figure("1080p JPEG decoded and resized to 224 (ms)", *turns_of(ours, theirs, n, turns), "at least 2.5x Pillow")


def opening(folder: Path, n: int = 100_000, classes: int = 100) -> Figure:
    """A folder of n small JPEGs in one folder a class: the CPU time until its records are there (the disk's cache is warm)."""
    folder.mkdir(parents=True, exist_ok=True)
    source = next(write_photos(folder / "one", 1, size=(8, 8)).rglob("*.jpg")).read_bytes()
    root = folder / "many"
    for i in range(classes):
        (root / f"class{i:03d}").mkdir(parents=True)
    for i in range(n):
        (root / f"class{i % classes:03d}" / f"{i:06d}.jpg").write_bytes(source)
    began = time.process_time()
    found = open_dataset(root)
    seconds = time.process_time() - began
    if len(found) != n:
        raise SystemExit(f"{len(found)} records of {n} files")
    return Figure(f"a folder of {n:,} files opened (ms)", 1000 * seconds, None, None, "at most 5,000 ms")


def show(figure: Figure) -> None:
    theirs = "" if figure.theirs is None else f"{figure.theirs:.2f}"
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}x"
    print(f"{figure.name:<48}{figure.ours:>10.2f}{theirs:>10}{ratio:>9}   {figure.bar}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the work: shows that it runs, not what it measures")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    print(f"{'':<48}{'ours':>10}{'theirs':>10}{'ratio':>9}   bar", flush=True)
    with tempfile.TemporaryDirectory() as place:
        show(augmentation(4, 3) if quick else augmentation())
        show(decoding(Path(place) / "photos", 3, 2) if quick else decoding(Path(place) / "photos"))
        show(opening(Path(place) / "folder", 2_000, 10) if quick else opening(Path(place) / "folder"))


if __name__ == "__main__":
    main()
