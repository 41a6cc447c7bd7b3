"""DeepLabCut's label tables written: labeled-data/<video>/ with the frames and their table, and config.yaml."""

from __future__ import annotations

import csv
import json
import posixpath
import re
from collections import defaultdict
from pathlib import Path

import numpy as np

from saccade.data.dataset import ImageDataset
from saccade.data.formats.deeplabcut import ANIMAL, SINGLE, around
from saccade.data.formats.drawn_out import Losses
from saccade.data.formats.pictures import Pictures
from saccade.data.formats.skeletons import mirrored_pairs
from saccade.errors import Problem
from saccade.targets import Keypoints

HOLDS = frozenset({"keypoints"})
SCORER = "saccade"


def save(dataset: ImageDataset, out: Path, pictures: Pictures) -> list[Problem]:
    """Writes a table for each group of images (a video), for one animal where no image has more, else for as many as the fullest image has.

    What it cannot hold: classes, whether a point is hidden, left and right pairs that the names do not say, boxes that are not tight around
    their points, objects without a labelled point, splits, and images without labels, whose rows are blank then.
    """
    losses, space = Losses(), dataset.spaces["keypoints"]
    truths = [dataset.truth(i).get("keypoints") for i in range(len(dataset))]
    rows = [_animals(truth, dataset.size(i), space.names, losses) for i, truth in enumerate(truths)]
    owners = sorted({owner for row in rows for owner, _ in row}, key=lambda name: (name == SINGLE, len(name), name))
    several = owners not in ([], [""])
    tables: dict[str, list[list[str]]] = defaultdict(list)
    for i, record in enumerate(dataset.records):
        video = re.sub(r"[^\w.-]+", "_", posixpath.basename(record.group or "")) or "images"
        path = pictures.put(i, f"labeled-data/{video}")
        held = dict(rows[i])
        cells = [f"{v:.12g}" if p[2] else "" for owner in owners or [""] for p in held.get(owner, np.zeros((len(space.keypoints), 3))) for v in p[:2]]
        tables[video].append([path, *cells])
        losses.add("keypoints", "splits", int(record.split is not None))
        losses.add("keypoints", "images without labels, which have blank rows", int(truths[i] is None))
    for video, lines in tables.items():
        _table(out / "labeled-data" / video / f"CollectedData_{SCORER}.csv", owners or [""], space.keypoints, lines, several)
    losses.add("keypoints", "pairs of left and right that the names do not say", int(space.pairs != mirrored_pairs(space.keypoints)))
    losses.add("keypoints", "names of classes", int(space.names not in ((ANIMAL,), (ANIMAL, SINGLE), (SINGLE,))))
    config = [f"Task: {json.dumps(dataset.name)}", f"scorer: {SCORER}", f"multianimalproject: {str(several).lower()}"]
    config += [f"individuals: {json.dumps([name for name in owners if name != SINGLE], ensure_ascii=False)}"] if several else []
    config += [f"{'multianimalbodyparts' if several else 'bodyparts'}: {json.dumps(space.keypoints, ensure_ascii=False)}"]
    config += [f"skeleton: {json.dumps([[space.keypoints[a], space.keypoints[b]] for a, b in space.skeleton], ensure_ascii=False)}"]
    (out / "config.yaml").write_text("\n".join(config) + "\n", encoding="utf-8")
    return losses.problems()


def _animals(truth: Keypoints | None, size: tuple[int, int], names: tuple[str, ...], losses: Losses) -> list[tuple[str, np.ndarray]]:
    """(individual, its points (K, 3)) of one image: by the attribute `individual` where each has one of its own, else by number."""
    if truth is None:
        return []
    tables = np.concatenate([truth.xy.numpy(), truth.visible.numpy()[..., None]], 2)
    shown = [i for i in range(len(tables)) if tables[i, :, 2].any()]
    losses.add("keypoints", "objects without a labelled point", len(tables) - len(shown))
    losses.add("keypoints", "points that are labelled but hidden", int((tables[..., 2] == 1).sum()))
    boxes = truth.boxes
    for i in shown:
        own = tables[i][tables[i, :, 2] > 0, :2]
        losses.add("keypoints", "boxes that are not tight around the points", int(not np.allclose(around(own, size), boxes.xyxy[i].numpy(), rtol=0, atol=1e-6)))
    for name in ("crowd", "difficult", "areas", "ids", "scores"):
        losses.add("keypoints", name, len(boxes) if getattr(boxes, name) is not None else 0)
    attributes = boxes.attributes or ({},) * len(boxes)
    losses.add("keypoints", "attributes", sum(len(set(held) - {"individual"}) for held in attributes))
    if ("single" in names and len(names) > 1) or names == (SINGLE,):
        given = [SINGLE if names[int(boxes.classes[i])] == SINGLE else str(attributes[i].get("individual", "")) for i in shown]
    else:
        given = [str(attributes[i].get("individual", "")) for i in shown]
    if len(set(given)) < len(given) or ("" in given and len(given) > 1):
        given = [f"individual{k + 1}" for k in range(len(shown))]
    return [(name, tables[i]) for name, i in zip(given, shown, strict=True)]


def _table(path: Path, owners: list[str], parts: tuple[str, ...], lines: list[list[str]], several: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = [(owner, part, axis) for owner in owners for part in parts for axis in ("x", "y")]
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["scorer", *[SCORER] * len(columns)])
        if several:
            writer.writerow(["individuals", *(owner for owner, _, _ in columns)])
        writer.writerow(["bodyparts", *(part for _, part, _ in columns)])
        writer.writerow(["coords", *(axis for _, _, axis in columns)])
        writer.writerows(lines)
