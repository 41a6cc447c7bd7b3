"""Detectors, in four parts: NMS of 1,000, 4,000 and 10,000 boxes and RoI align forward and backward, both beside torchvision's CPU kernels; selective search
beside OpenCV's, its time and its recall; a folder to COCO JSON by the default detector (`detect_predict.py`). Same inputs, one thread but for the last.

    pip install --no-deps -c constraints.txt --target FOLDER torchvision==0.28.0
    pip install --no-deps --target OTHER opencv-contrib-python-headless
    TORCHVISION_PATH=FOLDER OPENCV_CONTRIB_PATH=OTHER python benchmarks/detection.py [--images 12] [--only nms align search predict] [--quick]

OpenCV's contributed modules are no dependency either, and replace the OpenCV that is there: they run in a process of their own, on the same pictures.
Recall is by an IoU of 0.5, of as many boxes of each image as both have given. Without them our own numbers are printed alone.

torchvision is no dependency of this package. Its kernels are compiled for one torch: where they do not load (a wheel for CUDA beside a torch for processors
lacks two libraries), or TORCHVISION_PATH is not set, the peer is the usual loop over boxes and over regions in torch; the first line says which.
Answers are compared before anything is timed. Ratios are medians over pairs measured one right after the other, in processor time.
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from saccade.classic.selective_search import recall, selective_search
from saccade.data.open import open_dataset
from saccade.ops.iou import overlap
from saccade.ops.nms import nms
from saccade.ops.roi import roi_align

Run = Callable[[], Any]
PARTS = ("nms", "align", "search", "predict")
DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "detection"


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
    """NMS; of 1,000 boxes alone where no time is given."""
    peer = ops.nms if ops is not None else loop_nms
    for kind in (objects, scattered):
        for count in (1000, 4000, 10_000) if seconds else (1000,):
            boxes, scores = kind(count, count)
            assert torch.equal(nms(boxes, scores, 0.5), peer(boxes, scores, 0.5))
            row(f"nms, {kind.__name__}, {count} boxes", lambda b=boxes, s=scores: nms(b, s, 0.5), lambda b=boxes, s=scores: peer(b, s, 0.5), seconds)
            if ops is not None:
                classes = torch.randint(0, 20, (count,), generator=torch.Generator().manual_seed(0))
                assert torch.equal(nms(boxes, scores, 0.5, classes), ops.batched_nms(boxes, scores, classes, 0.5))
                mine = lambda b=boxes, s=scores, c=classes: nms(b, s, 0.5, c)  # noqa: E731
                row(f"nms of 20 classes, {kind.__name__}, {count} boxes", mine, lambda b=boxes, s=scores, c=classes: ops.batched_nms(b, s, c, 0.5), seconds)


def alignment(ops: Any | None, seconds: float) -> None:
    """RoI align forward and backward; the last and smallest case alone where no time is given."""
    peer = ops.roi_align if ops is not None else loop_align
    for channels, stride, count in ((256, 16, 512), (256, 4, 512), (96, 8, 64))[0 if seconds else -1 :]:
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


SEARCH = """
import sys, time
import cv2, numpy as np
cv2.setNumThreads(1)
images, found = np.load(sys.argv[1]), {}
for name in images.files:
    began = time.process_time()
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(np.ascontiguousarray(images[name][..., ::-1]))
    search.switchToSelectiveSearchFast()
    boxes = search.process().astype(np.float32)
    found["seconds_" + name] = np.array(time.process_time() - began)
    boxes[:, 2:] += boxes[:, :2]
    found["boxes_" + name] = boxes
np.savez(sys.argv[2], **found)
"""


def pictures(count: int) -> list[tuple[str, list[np.ndarray], list[np.ndarray]]]:
    """Photographs with boxes, some of each set that is beside this checkout; simulated ones where none is."""
    found = []
    names = [str(DATA / name) for name in ("bccd_voc", "chess_coco") if (DATA / name).exists()] or ["world:shapes?n=64&size=320&labels=boxes&objects=2-5"]
    for name in names:
        dataset = open_dataset(name)
        places = np.linspace(0, len(dataset) - 1, count).astype(int).tolist()
        found.append((Path(name).name, [dataset.read(i) for i in places], [dataset.truth(i)["boxes"].xyxy.numpy() for i in places]))
    return found


def searched_by_opencv(images: list[np.ndarray]) -> list[tuple[np.ndarray, float]] | None:
    """Boxes and processor seconds of each image by OpenCV's fast mode, best first, in a process of its own; None where it is not there."""
    folder = os.environ.get("OPENCV_CONTRIB_PATH")
    if not folder:
        return None
    with tempfile.TemporaryDirectory() as place:
        given, answer = Path(place) / "images.npz", Path(place) / "boxes.npz"
        np.savez(given, **{str(i): image for i, image in enumerate(images)})
        path = os.pathsep.join([folder, *sys.path])
        run = [sys.executable, "-c", SEARCH, str(given), str(answer)]
        done = subprocess.run(run, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"# OpenCV's contributed modules do not run: {done.stderr.strip().splitlines()[-1][:120]}")
            return None
        stored = np.load(answer)
        return [(stored[f"boxes_{i}"], float(stored[f"seconds_{i}"])) for i in range(len(images))]


def searching(count: int) -> None:
    """Selective search in its fast mode: seconds an image, and the recall of as many boxes."""
    print(f"# selective search, fast mode, {'OpenCV beside it' if os.environ.get('OPENCV_CONTRIB_PATH') else 'OPENCV_CONTRIB_PATH is not set: alone'}")
    print(f"{'':<20}{'ours s':>9}{'theirs s':>10}{'ratio':>8}{'boxes':>8}{'our recall':>12}{'theirs':>9}{'of 2,000':>10}")
    for name, images, truths in pictures(count):
        mine, times = [], []
        for image in images:
            began = time.process_time()
            mine.append(selective_search(image, most=None))
            times.append(time.process_time() - began)
        ours, whole = statistics.median(times), recall([boxes[:2000] for boxes in mine], truths).share
        peer = searched_by_opencv(images)
        if peer is None:
            print(f"{name:<20}{ours:>9.2f}{'-':>10}{'-':>8}{np.mean([len(b) for b in mine]):>8.0f}{recall(mine, truths).share:>12.3f}{'-':>9}{whole:>10.3f}")
            continue
        least = [min(len(a), len(b)) for a, (b, _) in zip(mine, peer, strict=True)]
        own = recall([boxes[:n] for boxes, n in zip(mine, least, strict=True)], truths)
        other = recall([boxes[:n] for (boxes, _), n in zip(peer, least, strict=True)], truths)
        ratio = statistics.median(theirs / a for a, (_, theirs) in zip(times, peer, strict=True))
        theirs = statistics.median(seconds for _, seconds in peer)
        row_of = f"{name:<20}{ours:>9.2f}{theirs:>10.2f}{ratio:>7.2f}x{own.boxes:>8.0f}{own.share:>12.3f}{other.share:>9.3f}{whole:>10.3f}"
        print(row_of + ("" if own.share >= other.share - 0.03 else "   MISSED"), flush=True)


def backward(run: Callable[[Tensor], Tensor], features: Tensor) -> None:
    x = features.detach().requires_grad_()
    run(x).sum().backward()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a trial in a minute: three pairs of the smallest cases, one picture of each set")
    parser.add_argument("--images", type=int, default=12, help="pictures of each set that are searched")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="these parts")
    given = parser.parse_args()
    seconds = 0.0 if given.quick else 4.0
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    print(f"# processor time; load before {os.getloadavg()[0]:.1f}")
    if {"nms", "align"} & set(given.only):
        ops = torchvision_ops()
        print(f"# beside {'loops in torch' if ops is None else 'the compiled CPU kernels of torchvision'}; 1 thread")
        print(f"{'':<44}{'ours ms':>10}{'theirs ms':>12}{'ratio':>9}{'n':>5}")
        for part, run in (("nms", suppression), ("align", alignment)):
            if part in given.only:
                run(ops, seconds)
    if "search" in given.only:
        searching(1 if given.quick else given.images)
    if "predict" in given.only:
        words = ["--count", "4", "--sizes", "320"] if given.quick else []
        subprocess.run([sys.executable, str(Path(__file__).with_name("detect_predict.py")), *words], check=True)
    print(f"# load after {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
