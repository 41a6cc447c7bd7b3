"""YOLO written: `images/` and `labels/` with a folder for each split, and `data.yaml`."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from saccade.core import LabelSpace
from saccade.data.dataset import ImageDataset
from saccade.data.formats.drawn_out import Item, Losses, items, moved
from saccade.data.formats.pictures import Pictures
from saccade.errors import Problem
from saccade.ops.masks import Polygons, Runs, area, mask_of, outlines

HOLDS = frozenset({"boxes", "instances", "keypoints"})


def save(dataset: ImageDataset, out: Path, pictures: Pictures) -> list[Problem]:
    """Writes boxes, or outlines where the data have masks, or key points where it has those (a file holds one kind).

    What it cannot hold: images without labels (a missing file means "no objects"), flags, numbers and attributes of objects, outlines of
    several pieces (they are joined by cuts of no width), boxes that are not tight around their outline.
    """
    losses, pose = Losses(), dataset.spaces.get("keypoints")
    problems = [Problem("LOSS-HEAD", "instances", "yolo holds key points or outlines, not both")] if pose is not None and "instances" in dataset.spaces else []
    names = list(dict.fromkeys(name for head, space in dataset.spaces.items() if head in HOLDS for name in space.names))
    index = {name: i for i, name in enumerate(names)}
    splits: dict[str, list[str]] = {}
    for i, record in enumerate(dataset.records):
        truth = {head: target for head, target in dataset.truth(i).items() if head in HOLDS and target is not None}
        if not truth:
            losses.add("boxes", "images without labels, which are left out")
            continue
        path = pictures.put(i, f"images/{record.split}" if record.split else "images")
        if record.split:
            splits.setdefault(record.split, []).append(path)
        size = dataset.size(i)
        lines = [_line(item, index[item.name], size, pose, losses) for item in items(truth, dataset.spaces, losses)]
        label = out / posixpath.join("labels", posixpath.splitext(path.removeprefix("images/"))[0] + ".txt")
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    _configuration(out, names, pose, splits, pictures)
    return problems + losses.problems()


def _configuration(out: Path, names: Sequence[str], pose: LabelSpace | None, splits: dict[str, list[str]], pictures: Pictures) -> None:
    lines = ["path: ."]
    for split in ("train", "val", "test"):
        if split in splits and pictures.how == "none":
            (out / f"{split}.txt").write_text("".join(f"{path}\n" for path in splits[split]), encoding="utf-8")
            lines.append(f"{split}: {split}.txt")
        elif split in splits:
            lines.append(f"{split}: images/{split}")
    lines += [f"nc: {len(names)}", "names:" + ("" if names else " []"), *(f"  {i}: {json.dumps(name, ensure_ascii=False)}" for i, name in enumerate(names))]
    if pose is not None:
        flip = list(range(len(pose.keypoints)))
        for a, b in pose.pairs:
            flip[a], flip[b] = b, a
        lines += [f"kpt_shape: [{len(flip)}, 3]", f"kpt_names: {json.dumps(pose.keypoints, ensure_ascii=False)}"]
        lines.append(f"flip_idx: {flip}")
        lines += [f"skeleton: {json.dumps(pose.skeleton)}"] if pose.skeleton else []
    (out / "data.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _line(item: Item, label: int, size: tuple[int, int], pose: LabelSpace | None, losses: Losses) -> str:
    """One object as a line of text."""
    height, width = size
    losses.add("boxes", "flags and attributes", int(bool(item.flags)))
    if pose is None and item.shape is not None:
        if moved(item):
            losses.add("instances", "boxes that are not tight around their outlines")
        return _joined([str(label), *map(_number, (one_ring(item.shape, losses) / (width, height)).ravel().tolist())])
    x1, y1, x2, y2 = item.box
    numbers = [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height]
    cells = [str(label), *map(_number, numbers)]
    if pose is not None:
        losses.add("keypoints", "objects without key points, which have them unlabelled now", int(item.points is None))
        table = np.zeros((len(pose.keypoints), 3)) if item.points is None else item.points
        for x, y, visible in table.tolist():
            cells += [_number(x / width), _number(y / height), str(int(visible))]
    return _joined(cells)


def one_ring(shape: Runs | Polygons, losses: Losses) -> np.ndarray:
    """A mask as a single outline (m, 2): its pieces are joined by cuts of no width; pieces that overlap become the outline of their pixels."""
    rings = shape.rings if isinstance(shape, Polygons) else outlines(mask_of(shape)).rings
    if len(rings) > 1 and isinstance(shape, Polygons) and sum(area(Polygons(shape.size, (ring,))) for ring in rings) != area(shape):
        rings = outlines(mask_of(shape)).rings
        losses.add("instances", "outlines of pieces that overlap, which follow pixels now", 1)
    losses.add("instances", "outlines of several pieces, joined to one", int(len(rings) > 1))
    losses.add("instances", "empty masks", int(not rings))
    joined = rings[0] if rings else np.zeros((3, 2))
    for ring in rings[1:]:
        distance = ((joined[:, None] - ring[None]) ** 2).sum(2)
        i, j = divmod(int(distance.argmin()), len(ring))
        joined = np.concatenate([joined[: i + 1], ring[j:], ring[: j + 1], joined[i:]])
    return joined


def _number(value: float) -> str:
    """Enough digits for a millionth of a pixel in an image of ten thousand."""
    return f"{value:.12g}"


def _joined(cells: Sequence[str]) -> str:
    return " ".join(cells)
