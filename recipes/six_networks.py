"""Six networks of segmentation on the same small scenes: parameters, time of a step, mean IoU and boundary IoU; and the strides of FCN beside them.

Command     python recipes/six_networks.py [MINUTES] [NETWORK ...]
            each network is trained by: saccade train FOLDER --task segment --model NETWORK --tile 416 --augment none --budget 10m --set loss=cross_entropy_dice
Data        language/nlvr_dev: 989 scenes of 400x100 px with shapes of 10 to 30 px, nine classes and the background, an eighth kept aside
Expected    in 10 minutes each on two cores that do nothing else, mean IoU of unet and segnet 0.95 to 1, of fcn8s, deeplab and dilated 0.8 to 1,
            deconvnet 0.7 to 1; boundary IoU rises from fcn32s over fcn16s to fcn8s
Measured    (one thread pinned to one of two cores, the other core busy; mean IoU, boundary IoU, minutes) unet 0.987, 0.983 (12);
            fcn8s 0.915, 0.890 (9.5); dilated 0.910, 0.884 (10); deeplab 0.882, 0.850 (12); of both cores: segnet 0.972, 0.965 (8.9, thirteen
            epochs); one thread with the other core busy: deconvnet 0.945, 0.931 (8.2; 0.169 before classes were weighed)
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path

import torch
from claims import data, finish, folder, hold

from saccade import bundle
from saccade.core import Batch
from saccade.jobs.options import make_options
from saccade.jobs.train import run_train
from saccade.targets import SegmentationMap

RANGES = {"unet": 0.95, "segnet": 0.95, "deconvnet": 0.7, "fcn8s": 0.8, "dilated": 0.8, "deeplab": 0.8, "fcn16s": 0.0, "fcn32s": 0.0}
OWN = {
    "unet": ("backbone=small", "stride=2"),
    "segnet": ("widths=[12,24,48,64]", "counts=[1,1,2,2]"),
    "deconvnet": ("widths=[12,24,48,64]", "counts=[1,1,2,2]", "hidden=128"),
    **{name: ("width=0.5",) for name in ("dilated", "deeplab")},
    **{name: ("staged=false",) for name in ("fcn8s", "fcn16s", "fcn32s")},
}


def scenes(out: Path) -> Path:
    """Images and masks of the first permutation side by side, with the list of the classes."""
    source = data("language/nlvr_dev")
    found = {path.name: path for path in (source / "images").rglob("*.png")}
    for kind in ("images", "masks"):
        (out / kind).mkdir(parents=True)
    for mask in sorted((source / "derived" / "semantic_masks").glob("*.png")):
        shutil.copyfile(mask, out / "masks" / mask.name)
        shutil.copyfile(found[mask.name], out / "images" / mask.name)
    named = json.loads((source / "derived" / "objects_coco.json").read_text())["categories"]
    names = ["background", *(one["name"] for one in sorted(named, key=lambda one: one["id"]))]
    (out / "classes.txt").write_text("\n".join(names) + "\n")
    return out


def step_seconds(model: Path) -> tuple[int, float]:
    """Parameters, and processor seconds of a step of four scenes (the best of three)."""
    network = bundle.read(model).model.train().requires_grad_()
    ids = torch.zeros(100, 400, dtype=torch.uint8)
    batch = Batch(torch.rand(4, 3, 100, 400), torch.tensor([[100, 400]] * 4), {"map": [SegmentationMap(ids)] * 4}, [])
    times = []
    for _ in range(3):
        began = time.process_time()
        sum(network(batch).values()).backward()
        times.append(time.process_time() - began)
    return sum(p.numel() for p in network.parameters()), min(times)


def main() -> None:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    names, place, held = sys.argv[2:] or list(RANGES), folder(), []
    root, boundary = scenes(place / "scenes"), dict[str, float]()
    lines = [f"{'network':12s} parameters  s a step  mean IoU  boundary IoU"]
    for name in names:
        common = {"data": str(root), "task": "segment", "tile": 416, "tile_overlap": 0, "augment": "none", "val": 0.0, "test": 0.125}
        settings = ("loss=cross_entropy_dice", *OWN.get(name, ()))
        common |= {"class_weights": "auto"} if name in ("segnet", "deconvnet") else {}
        asked = make_options(**common, out=place / name, model=name, budget=f"{round(60 * minutes)}s", floors=False, selftest=False, set=settings)
        values = run_train(asked).metrics
        count, seconds = step_seconds(place / name / "model.saccade")
        boundary[name] = values["boundary_iou"]["value"]
        lines.append(f"{name:12s} {count:10,d}  {seconds:8.3f}  {values['mean_iou']['value']:8.4f}  {boundary[name]:12.4f}")
        print("\n".join(lines), flush=True)
        held.append(hold(f"mean IoU of {name}", values["mean_iou"]["value"], RANGES[name], 1))
    strides = [boundary[name] for name in ("fcn32s", "fcn16s", "fcn8s") if name in boundary]
    if len(strides) == 3:
        held.append(hold("least gain of boundary IoU by a skip", min(strides[1] - strides[0], strides[2] - strides[1]), 0, 1))
    finish(*held)


if __name__ == "__main__":
    main()
