"""For each task a sound set of 72 images, and the faults that only its truths can have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from saccade.ops.masks import Polygons
from saccade.targets import (
    Caption,
    DepthMap,
    ImageTarget,
    Instances,
    Label,
    Labels,
    Number,
    Points,
    RegionCaptions,
    SegmentationMap,
    TagSequence,
)
from tests.support.faults import DOUBT, IMAGES, SIZE, Bench, Fault
from tests.support.made_data import boxes, space
from tests.support.plants import (
    alike,
    box,
    changed,
    deep,
    depth,
    dots,
    every,
    filled,
    foreign,
    late,
    linked,
    mask_file,
    masked,
    none,
    person,
    plane,
    ring,
    runs,
    shape,
    smooth,
    solid,
    strange,
    swap,
    text,
    two,
    unused,
)

H, W = SIZE
NAMES = ("ant", "bee", "cat")


class Setup(NamedTuple):
    """head: of the truths. truth: of image i, without a fault. other: one that contradicts it. faults: of this task alone."""

    head: str
    truth: Callable[[int], Any]
    spaces: Mapping[str, Any]
    other: Callable[[Any], Any] | None
    faults: tuple[Fault, ...]

    def bench(self, root: Path) -> Bench:
        return Bench(root, [{self.head: self.truth(i)} for i in range(IMAGES)], dict(self.spaces), self.other, self.head)

    @property
    def own(self) -> tuple[Fault, ...]:
        return (*self.faults, DOUBT) if self.other else self.faults


BOX_FAULTS = (
    Fault("a corner that is no number", "ANN-NUMBER", "error", box(np.nan, 1, 20, 20), says="object 1 of 2"),
    Fault("an endless box", "ANN-NUMBER", "error", box(1, 1, np.inf, 20)),
    Fault("corners exchanged", "ANN-BOX-NEGATIVE", "error", box(20, 6, 5, 30)),
    Fault("a box outside", "ANN-BOX-OUT", "error", box(70, 6, 90, 30)),
    Fault("a box that leaves half a pixel inside", "ANN-BOX-OUT", "error", box(63.5, 6, 90, 30)),
    Fault("a box over the edge", "ANN-BOX-CLIP", "fixed", box(-4, 6, 20, 30)),
    Fault("a box without area", "BOX-EMPTY", "error", box(5, 6, 5, 30)),
    Fault("a class that is not listed", "CLS-RANGE", "fatal", foreign, says="class 7"),
    Fault("a class that nothing has", "CLS-EMPTY", "warn", unused, "class unused"),
    Fault("two names alike", "CLS-CASE", "warn", alike, "{root}", alone=True),
)
OWN_BOXES = (
    *BOX_FAULTS,
    Fault("a box as large as the image", "BOX-WHOLE", "warn", box(0, 0, W, H)),
    Fault("the same box twice", "BOX-DUP", "warn", lambda b, i: b.put(i, boxes((0, 5, 5, 20, 20), (1, 5, 5, 20, 20), (0, 5, 5, 20, 20)))),
    Fault("boxes of three pixels", "BOX-TINY", "warn", lambda b, i: b.put(i, boxes(*[(0, 4 * k, 4, 4 * k + 3, 8) for k in range(9)]))),
    Fault("no object", "OBJ-EMPTY", "note", lambda b, i: b.put(i, boxes())),
    Fault("no label", "LABEL-NONE", "note", none),
    Fault("no object anywhere", "OBJ-NONE", "fatal", every(lambda b, j: boxes()), "{root}", alone=True),
    Fault("no label anywhere", "CLS-NONE", "fatal", lambda b, i: [b.truths.__setitem__(j, {"boxes": None}) for j in range(IMAGES)], "{root}", alone=True),
    Fault("a class of test alone", "CLS-SPLIT", "fatal", late(lambda k: boxes((k, 5, 5, 20, 20))), "test", alone=True),
    Fault("more than ten times as many", "CLS-BALANCE", "note", every(lambda b, j: boxes((0, 5, 5, 20, 20)) if j % 24 else two(0)), "{root}", alone=True),
    Fault("a class of one image", "CLS-SINGLE", "warn", lambda b, i: (unused(b, i), b.put(i, boxes((3, 5, 5, 20, 20)))), "class unused", alone=True),
    Fault("most images without objects", "OBJ-EMPTY", "warn", every(lambda b, j: boxes() if j % 3 else two(j)), "1.png", alone=True, says="67%"),
)


SETUPS: Mapping[str, Setup] = {
    "classify": Setup(
        "label",
        lambda i: Label(i % 3),
        {"label": space(*NAMES)},
        lambda t: Label((t.index + 1) % 3),
        (
            Fault("a class without images", "CLS-EMPTY", "warn", unused, "class unused"),
            Fault("two names alike", "CLS-CASE", "warn", alike, "{root}", alone=True),
            Fault("a class of test alone", "CLS-SPLIT", "fatal", late(Label), "test", alone=True),
            Fault("one class", "CLS-ONE", "fatal", every(lambda b, j: Label(0)), "{root}", alone=True),
            Fault("no label", "CLS-NONE", "fatal", lambda b, i: [none(b, j) for j in range(IMAGES)], "{root}", alone=True),
            Fault("more than ten times as many", "CLS-BALANCE", "note", every(lambda b, j: Label(0 if j % 24 else 1 + j // 24 % 2)), "{root}", alone=True),
        ),
    ),
    "multilabel": Setup(
        "labels",
        lambda i: Labels(torch.tensor([i % 2, i // 2 % 2, int(i % 4 == 0)], dtype=torch.int8)),
        {"labels": space(*NAMES)},
        lambda t: Labels(1 - t.values),
        (
            Fault("an answer too many", "LABELS-COUNT", "fatal", lambda b, i: b.put(i, Labels(torch.tensor([1, 0, 1, 1], dtype=torch.int8)))),
            Fault("an answer of 3", "ANN-NUMBER", "error", changed("values", 3)),
            Fault("nothing known", "LABEL-NONE", "note", lambda b, i: b.put(i, Labels(torch.full((3,), -1, dtype=torch.int8)))),
            Fault("nothing holds", "OBJ-EMPTY", "note", lambda b, i: b.put(i, Labels(torch.zeros(3, dtype=torch.int8)))),
            Fault(
                "a label of every image",
                "CLS-CONSTANT",
                "warn",
                every(lambda b, j: Labels(torch.tensor([j % 2, j // 2 % 2, 1], dtype=torch.int8))),
                "class cat",
                alone=True,
            ),
            Fault(
                "a label of no image",
                "CLS-EMPTY",
                "warn",
                every(lambda b, j: Labels(torch.tensor([1 - j % 2, j % 2, 0], dtype=torch.int8))),
                "class cat",
                alone=True,
            ),
        ),
    ),
    "boxes": Setup("boxes", two, {"boxes": space(*NAMES)}, lambda t: boxes((0, 1, 1, 9, 9)), OWN_BOXES),
    "instances": Setup(
        "instances",
        masked,
        {"instances": space(*NAMES)},
        lambda t: replace(t, boxes=replace(t.boxes, classes=(t.boxes.classes + 1) % 3)),
        (
            *BOX_FAULTS,
            Fault(
                "masks of another size",
                "MAP-SIZE",
                "error",
                lambda b, i: b.change(i, size=(90, 90), shapes=(Polygons((90, 90), ring(5, 6, 25, 30).rings),) * 2),
            ),
            Fault("runs that do not fill the plane", "MASK-RUNS", "error", runs(5, 10)),
            Fault("a negative run", "MASK-RUNS", "error", runs(10, -5, H * W - 5)),
            Fault("a mask without a pixel", "MASK-EMPTY", "warn", runs(H * W)),
            Fault("a mask elsewhere than its box", "MASK-BOX", "warn", shape(40, 30, 60, 45)),
            Fault("a mask outside", "MASK-OUT", "error", shape(70, 6, 90, 30)),
            Fault("no object", "OBJ-EMPTY", "note", lambda b, i: b.put(i, Instances(boxes(), SIZE, ()))),
        ),
    ),
    "keypoints": Setup(
        "keypoints",
        person,
        {"keypoints": space(*NAMES, keypoints=("left", "right", "nose"), pairs=((0, 1),))},
        lambda t: replace(t, xy=t.xy + 9),
        (
            *BOX_FAULTS,
            Fault("a point too many", "KEY-COUNT", "fatal", lambda b, i: b.change(i, xy=torch.ones(2, 4, 2), visible=torch.ones(2, 4, dtype=torch.uint8))),
            Fault("a point that is no number", "ANN-NUMBER", "error", changed("xy", [[np.nan, 1], [2, 2], [3, 3]]), says="left"),
            Fault("a visibility of 3", "KEY-VISIBLE", "error", changed("visible", 3)),
            Fault("labelled at 0 0", "KEY-VISIBLE", "warn", changed("xy", [[0, 0], [20, 12], [15, 25]]), says="left is labelled at 0 0"),
            Fault("not labelled, with a place", "KEY-VISIBLE", "warn", changed("visible", [0, 2, 2])),
            Fault("a point outside", "KEY-OUT", "warn", changed("xy", [[10, 10], [200, 12], [15, 25]]), says="right at 200 12"),
            Fault("all points outside", "KEY-OUT", "error", changed("xy", [[100, 100]] * 3)),
            Fault("a point far from its box", "KEY-BOX", "warn", changed("xy", [[10, 10], [20, 12], [60, 45]]), says="nose"),
            Fault("left and right exchanged", "KEY-SWAP", "note", swap),
        ),
    ),
    "map": Setup(
        "map",
        plane,
        {"map": space("ground", "wall", "door", background=0)},
        lambda t: SegmentationMap(t.ids.flip(0)),
        (
            Fault("a map of another size", "MAP-SIZE", "error", filled((30, 30))),
            Fault("a map on its side", "MAP-SIZE", "error", filled((W, H)), says="turned"),
            Fault("a value that is not listed", "MAP-VALUES", "fatal", strange, says="9 ("),
            Fault("a smoothed map", "MAP-SMOOTH", "fatal", smooth),
            Fault("nothing but ignored", "MAP-IGNORED", "warn", filled(SIZE, 255)),
            Fault("a mask file of no bytes", "IMG-EMPTY", "error", mask_file(b""), "mask{i}.png"),
            Fault("a mask file that is none", "IMG-UNREADABLE", "error", mask_file(b"<svg></svg>"), "mask{i}.png"),
            Fault("background alone", "OBJ-EMPTY", "note", filled(SIZE)),
            Fault("a class without pixels", "CLS-EMPTY", "warn", unused, "class unused"),
            Fault("one class alone", "CLS-ONE", "fatal", every(lambda b, j: SegmentationMap(torch.zeros(SIZE, dtype=torch.uint8))), "{root}", alone=True),
            Fault("a class of test alone", "CLS-SPLIT", "fatal", late(lambda k: SegmentationMap(torch.full(SIZE, k, dtype=torch.uint8))), "test", alone=True),
        ),
    ),
    "points": Setup(
        "points",
        dots,
        {"points": space(*NAMES)},
        lambda t: Points(t.xy[:2], t.classes[:2]),
        (
            Fault("a dot that is no number", "ANN-NUMBER", "error", changed("xy", [np.nan, 3])),
            Fault("a dot outside", "ANN-POINT-OUT", "error", changed("xy", [90, 3])),
            Fault("the same dot twice", "POINT-DUP", "warn", lambda b, i: b.put(i, Points(torch.ones(2, 2) * 9, torch.tensor([0, 0])))),
            Fault("a class that is not listed", "CLS-RANGE", "fatal", foreign),
            Fault("no dot", "OBJ-EMPTY", "note", lambda b, i: b.put(i, Points(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64)))),
            Fault("a class of test alone", "CLS-SPLIT", "fatal", late(lambda k: Points(torch.ones(1, 2) * 9, torch.tensor([k]))), "test", alone=True),
        ),
    ),
    "caption": Setup(
        "caption",
        lambda i: Caption((f"a picture of {i} things", "something")),
        {},
        None,
        (
            Fault("an empty sentence", "TEXT-EMPTY", "warn", text("fine", "  ")),
            Fault("no sentence", "TEXT-EMPTY", "warn", text()),
            Fault("a hundred thousand characters", "TEXT-LONG", "warn", text("a " * 50_000)),
            Fault("a character that turns the reading direction", "TEXT-CONTROL", "warn", text("left \u202eright"), says="U+202E"),
            Fault("a NUL", "TEXT-CONTROL", "warn", text("a\0b"), says="U+0000"),
            Fault("no label anywhere", "CLS-NONE", "fatal", lambda b, i: [none(b, j) for j in range(IMAGES)], "{root}", alone=True),
        ),
    ),
    "sequence": Setup(
        "tags",
        lambda i: TagSequence(torch.tensor([i % 3, 1, 2, 0])),
        {"tags": space(*NAMES)},
        lambda t: TagSequence(t.tags.flip(0)[:3]),
        (
            Fault("no step", "TAG-NONE", "warn", lambda b, i: b.put(i, TagSequence(torch.zeros(0, dtype=torch.int64)))),
            Fault("every step ignored", "TAG-NONE", "warn", lambda b, i: b.put(i, TagSequence(torch.full((5,), -1)))),
            Fault("a tag that is not listed", "CLS-RANGE", "fatal", changed("tags", 5)),
            Fault("a tag below -1", "CLS-RANGE", "fatal", changed("tags", -3)),
            Fault("a tag that nothing has", "CLS-EMPTY", "warn", unused, "class unused"),
            Fault("a tag of test alone", "CLS-SPLIT", "fatal", late(lambda k: TagSequence(torch.tensor([k, k]))), "test", alone=True),
        ),
    ),
    "depth": Setup(
        "depth",
        deep,
        {},
        lambda t: DepthMap(t.metres + 5),
        (
            Fault("a map of another size", "MAP-SIZE", "error", depth(2.0, (24, 32))),
            Fault("nothing known", "DEPTH-NONE", "error", depth(float("nan"))),
            Fault("below zero", "DEPTH-RANGE", "error", depth(-1.0)),
            Fault("zero metres", "DEPTH-RANGE", "error", depth(0.0)),
            Fault("endless", "DEPTH-RANGE", "error", depth(float("inf"))),
        ),
    ),
    "pairs": Setup(
        "image",
        lambda i: ImageTarget(torch.full((3, 2 * H, 2 * W), i / 100)),
        {},
        lambda t: ImageTarget(1 - t.pixels),
        (
            Fault("a pair of another ratio", "PAIR-SIZE", "error", lambda b, i: b.put(i, ImageTarget(torch.zeros(3, H, W)))),
            Fault("a second picture on its side", "PAIR-SIZE", "error", lambda b, i: b.put(i, ImageTarget(torch.zeros(3, 2 * W, 2 * H)))),
            Fault("nothing known", "ANN-NUMBER", "error", lambda b, i: b.put(i, ImageTarget(torch.full((3, 2 * H, 2 * W), np.nan)))),
            Fault("values up to 255", "ANN-NUMBER", "error", lambda b, i: b.put(i, ImageTarget(torch.full((3, 2 * H, 2 * W), 255.0))), says="0 to 1"),
        ),
    ),
    "number": Setup(
        "number",
        lambda i: Number(20.0 + i % 7),
        {},
        lambda t: Number(t.value + 1),
        (
            Fault("no number", "ANN-NUMBER", "error", lambda b, i: b.put(i, Number(float("nan")))),
            Fault("endless", "ANN-NUMBER", "error", lambda b, i: b.put(i, Number(float("inf")))),
            Fault("in another unit", "NUM-FAR", "note", lambda b, i: b.put(i, Number(20_000.0))),
            Fault("always the same", "NUM-CONSTANT", "warn", every(lambda b, j: Number(3.0)), "{root}", alone=True),
        ),
    ),
    "space": Setup(
        "boxes3d",
        solid,
        {"boxes3d": space(*NAMES)},
        None,
        (
            Fault("a heading that is no number", "ANN-SPACE", "error", changed("yaw", np.nan)),
            Fault("a negative length", "ANN-SPACE", "error", changed("size", [-4.0, 1.5, 1.8])),
            Fault("no camera", "ANN-CAMERA", "error", lambda b, i: b.change(i, camera=torch.zeros(3, 4))),
            Fault("a camera of three columns", "ANN-CAMERA", "error", lambda b, i: b.change(i, camera=torch.eye(3))),
            Fault("a class that is not listed", "CLS-RANGE", "fatal", changed("classes", 4)),
        ),
    ),
    "graph": Setup(
        "graph",
        linked,
        {"graph": space(*NAMES, relations=("on", "under"))},
        None,
        (
            *BOX_FAULTS,
            Fault("a relation of what is not there", "GRAPH-ROW", "error", changed("relations", [0, 1, 8])),
            Fault("a relation with itself", "GRAPH-ROW", "warn", changed("relations", [1, 1, 1])),
            Fault("a relation that is not listed", "CLS-RANGE", "fatal", changed("relations", [0, 5, 1])),
        ),
    ),
    "regions": Setup(
        "regions",
        lambda i: RegionCaptions(two(i).xyxy, ("a thing", f"thing {i}")),
        {},
        None,
        (
            Fault("a region outside", "ANN-BOX-OUT", "error", box(70, 6, 90, 30)),
            Fault("a region over the edge", "ANN-BOX-CLIP", "fixed", box(-4, 6, 20, 30)),
            Fault("a region without words", "TEXT-EMPTY", "warn", lambda b, i: b.change(i, texts=("", "x"))),
        ),
    ),
}
