"""COCO's classes in the files of published detectors: 91 numbers, 80 of them used, and how rows of their last layers are taken for other lists of classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

# fmt: off
NAMES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light", "fire hydrant", "", "stop sign", "parking meter",
    "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "", "backpack", "umbrella", "", "", "handbag", "tie",
    "suitcase", "frisbee", "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut",
    "cake", "chair", "couch", "potted plant", "bed", "", "dining table", "", "", "toilet", "", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone",
    "microwave", "oven", "toaster", "sink", "refrigerator", "", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)
# fmt: on
"""The class of number 1, 2, ... 90; "" where COCO uses none."""


def numbers(names: Sequence[str], *, classes: int = 91) -> list[int] | None:
    """COCO's numbers of these names, in a file of so many classes (2: persons alone); None where one of them is not COCO's.

    >>> numbers(["dog", "person"]), numbers(["person"], classes=2), numbers(["cell"])
    ([18, 1], [1], None)
    """
    known = {name: i for i, name in enumerate(NAMES, 1) if name and i < classes}
    return [known[name] for name in names] if names and all(name in known for name in names) else None


def chosen(given: Mapping[str, Tensor], own: Mapping[str, Tensor], names: Sequence[str]) -> dict[str, Tensor]:
    """The tensors whose first axis counts classes, reduced to those of `names` wherever the network's own are smaller; keys are ours.

    That axis is groups (anchors) x classes x values (4 of a box); whether the first class is a background is told by the layer. What does
    not fit in this way is left as it is.
    """
    found = dict(given)
    for key, tensor in given.items():
        if key not in own or own[key].shape == tensor.shape or own[key].shape[1:] != tensor.shape[1:]:
            continue
        background = ".scores.output." not in key  # RetinaNet asks of each class alone
        for classes in (91, 2):
            rows = numbers(names, classes=classes)
            if rows is None or len(tensor) % classes:
                continue
            kept = torch.tensor([0, *rows] if background else rows)
            groups, values = (1, len(tensor) // classes) if key.split(".")[2] in ("deltas", "masks") or len(tensor) == classes else (len(tensor) // classes, 1)
            taken = tensor.view(groups, classes, values, *tensor.shape[1:])[:, kept].reshape(-1, *tensor.shape[1:])
            if taken.shape == own[key].shape:
                found[key] = taken
                break
    return found
