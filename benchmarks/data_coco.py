"""COCO JSON of 300,000 boxes opened, against pycocotools, each in a fresh process and in turn:  python benchmarks/data_coco.py [--turns 5]

    ours     `open_dataset` of the folder: 40,000 images listed and matched, every check of the JSON, boxes as tensors, records
    theirs   `pycocotools.coco.COCO(file)`: the JSON parsed and indexed, nothing checked, no image looked for

The images are empty files: opening reads no headers but those of nine images, to count channels. Times are processor seconds
without imports; the ratio is theirs over ours, of the medians. Bar 0.7, goal 1.0.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

IMAGES, BOXES, CLASSES = 40_000, 300_000, 80
BAR = 0.7

OURS = """
import time
from saccade.data.open import open_dataset
began = time.process_time()
opened = open_dataset({folder!r})
print(time.process_time() - began)
assert sum(len(record.targets["boxes"]) for record in opened.records) == {boxes} and not opened.problems
"""
THEIRS = """
import time
from pycocotools.coco import COCO
began = time.process_time()
opened = COCO({file!r})
print(time.process_time() - began)
assert len(opened.anns) == {boxes}
"""


def write_set(folder: Path) -> Path:
    """`annotations/instances_train2017.json` with the fields that COCO's own file has, and an empty file for each image in `train2017/`."""
    g = np.random.default_rng(0)
    (folder / "train2017").mkdir()
    images, secret = [], g.integers(0, 256, (IMAGES, 10), dtype=np.uint8)
    for i in range(IMAGES):
        name = f"{i:012d}.jpg"
        (folder / "train2017" / name).touch()
        urls = {
            "coco_url": f"http://images.cocodataset.org/train2017/{name}",
            "flickr_url": f"http://farm9.staticflickr.com/8186/{secret[i].tobytes().hex()}_z.jpg",
        }
        images.append({"license": i % 8, "file_name": name, **urls, "height": 480, "width": 640, "date_captured": "2013-11-14 11:18:45", "id": i})
    xywh = np.round(np.concatenate([g.uniform(0, [500, 380], (BOXES, 2)), g.uniform(5, [130, 90], (BOXES, 2))], 1), 2)
    rows = zip(g.integers(0, IMAGES, BOXES).tolist(), g.integers(1, CLASSES + 1, BOXES).tolist(), xywh.tolist(), strict=True)
    annotations = [
        {"segmentation": [], "area": round(box[2] * box[3], 4), "iscrowd": 0, "image_id": image, "bbox": box, "category_id": category, "id": i + 1}
        for i, (image, category, box) in enumerate(rows)
    ]
    categories = [{"supercategory": "thing", "id": i + 1, "name": f"class {i + 1}"} for i in range(CLASSES)]
    file = folder / "annotations" / "instances_train2017.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"info": {}, "licenses": [], "images": images, "annotations": annotations, "categories": categories}))
    return file


def measured(program: str) -> float:
    """The processor seconds that a fresh interpreter prints last."""
    return float(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()[-1])


def opened(turns: int = 5) -> float:
    """Prints both sides' processor seconds, and returns theirs over ours."""
    with tempfile.TemporaryDirectory() as name:
        file = write_set(Path(name))
        print(f"{BOXES:,} boxes, {IMAGES:,} images, {file.stat().st_size / 1e6:.0f} MB of JSON, {turns} turns")
        programs = {"theirs": THEIRS.format(file=str(file), boxes=BOXES), "ours": OURS.format(folder=name, boxes=BOXES)}
        runs: dict[str, list[float]] = {side: [] for side in programs}
        for _ in range(turns):
            for side, program in programs.items():
                runs[side].append(measured(program))
    seconds = {side: statistics.median(own) for side, own in runs.items()}
    for side, own in runs.items():
        print(f"{side:<8}{seconds[side]:6.2f} s  ({', '.join(f'{s:.2f}' for s in own)})")
    ratio = seconds["theirs"] / seconds["ours"]
    print(f"theirs / ours = {ratio:.2f}  (at least {BAR}: {'yes' if ratio >= BAR else 'NO'}, goal 1.0)")
    return ratio


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    return 0 if opened(parser.parse_args().turns) >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
