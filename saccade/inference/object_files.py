"""Answers that are objects, as files of other tools: one COCO document, YOLO's label files, and a picture of each object."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from saccade import storage
from saccade.core import LabelSpace
from saccade.data.image import header, read_image
from saccade.errors import SaccadeError, displayable
from saccade.inference.answers import Row
from saccade.inference.sources import Input
from saccade.inference.tables import write_cells

DIGITS = 6  # of a share of the image's side


def answered(rows: Sequence[Row], items: Sequence[Input]) -> Iterator[tuple[int, Row, Input]]:
    """(place from 0, row, input) of the inputs that have an answer."""
    for place, (row, item) in enumerate(zip(rows, items, strict=False)):
        if row["status"] == "ok":
            yield place, row, item


def write_coco(journal: Path, rows: Sequence[Row], items: Sequence[Input], space: LabelSpace) -> Path:
    """One COCO document beside the journal, named as it is: every answered image (id = its place from 1), the classes (id = place from 1), and an
    annotation with a score each.

    Its `annotations` are also what COCO's tools take as results. Masks are compressed run lengths; points have the flag 2 where they are given.
    Raises ResourceError RUN-DISK.
    """
    images, annotations = list[dict[str, Any]](), list[dict[str, Any]]()
    categories: list[dict[str, Any]] = [{"id": k + 1, "name": name} for k, name in enumerate(space.names)]
    for category in categories if space.keypoints else ():
        category |= {"keypoints": list(space.keypoints), "skeleton": [[a + 1, b + 1] for a, b in space.skeleton]}
    ids = {name: k + 1 for k, name in enumerate(space.names)}
    for place, row, item in answered(rows, items):
        height, width = header(item.path).size
        images.append({"id": place + 1, "file_name": displayable(os.fspath(item.path)), "height": height, "width": width})
        for found in row.get("objects", []):
            annotations.append(_annotation(found, len(annotations) + 1, place + 1, ids, space))
    path = journal.with_suffix(".json")
    storage.atomic_write(path, storage.dump_json({"images": images, "annotations": annotations, "categories": categories}).encode())
    return path


def _annotation(found: Mapping[str, Any], number: int, image: int, ids: Mapping[str, int], space: LabelSpace) -> dict[str, Any]:
    x1, y1, x2, y2 = found["box"]
    box = [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)]
    area = found.get("area", round(box[2] * box[3], 2))
    entry = {"id": number, "image_id": image, "category_id": ids[found["class"]], "bbox": box, "area": area, "iscrowd": 0, "score": found["score"]}
    if "mask" in found:
        entry["segmentation"] = found["mask"]
    if "points" in found:
        given = [found["points"].get(name) for name in space.keypoints]
        entry["keypoints"] = [v for point in given for v in ((point[0], point[1], 2) if point is not None else (0, 0, 0))]
        entry["num_keypoints"] = sum(point is not None for point in given)
    return entry


def write_yolo(journal: Path, rows: Sequence[Row], items: Sequence[Input], space: LabelSpace) -> Path:
    """labels/<name>.txt for each answered image, a line `class x y w h score` an object, shares of the image; and classes.txt. Of key points
    `class x y w h`, then `x y flag` of each (0 0 0 where it was not seen, else the flag 2), then the score.

    A second image of the same name gets its place in front. Raises ResourceError RUN-DISK.
    """
    out = _folder(journal)
    folder, taken, ids = out / "labels", set[str](), {name: k for k, name in enumerate(space.names)}
    with storage.disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for place, row, item in answered(rows, items):
        height, width = header(item.path).size
        lines = []
        for found in row.get("objects", []):
            x1, y1, x2, y2 = found["box"]
            numbers = [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height]
            for point in (found["points"].get(name) for name in space.keypoints) if "points" in found else ():
                numbers += [0.0, 0.0, 0.0] if point is None else [point[0] / width, point[1] / height, 2.0]
            score = "" if found["score"] is None else f" {found['score']}"
            lines.append(f"{ids[found['class']]} " + " ".join(f"{v:.{DIGITS}f}" for v in numbers) + score + "\n")
        stem = _plain(item.path.stem)
        name = stem if stem not in taken else f"{place:06d}_{stem}"
        taken.add(name)
        storage.atomic_write(folder / f"{name}.txt", "".join(lines).encode())
    storage.atomic_write(out / "classes.txt", "".join(f"{name}\n" for name in space.names).encode())
    return folder


def write_crops(journal: Path, rows: Sequence[Row], items: Sequence[Input], space: LabelSpace) -> Path:
    """crops/<class>/<place>_<name>_<number>.png: the pixels of every object's box. Raises ResourceError RUN-DISK."""
    folder = _folder(journal) / "crops"
    with storage.disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for place, row, item in answered(rows, items):
        if not row.get("objects"):
            continue
        try:
            pixels = read_image(item.path, channels=3).pixels
        except SaccadeError:  # it was readable a moment ago; its answer stands
            continue
        image = pixels if pixels.dtype == np.uint8 else np.rint(pixels * 255).astype(np.uint8)
        for number, found in enumerate(row["objects"]):
            x1, y1, x2, y2 = _whole(found["box"], image.shape[:2])
            own = folder / _plain(found["class"])
            with storage.disk_errors(own):
                own.mkdir(exist_ok=True)
            data = cv2.imencode(".png", np.ascontiguousarray(image[y1:y2, x1:x2, ::-1]))[1].tobytes()
            storage.atomic_write(own / f"{place:06d}_{_plain(item.path.stem)}_{number:03d}.png", data)
    return folder


def write_deeplabcut(journal: Path, rows: Sequence[Row], items: Sequence[Input], space: LabelSpace) -> Path:
    """deeplabcut.csv as DeepLabCut writes its answers: header rows scorer, bodyparts, coords (with several objects an image also individuals), then for each
    answered image its path and x, y, likelihood of every point, blank where it was not seen.

    Objects of an image are animal1, animal2 ... in the order of their scores. Raises ResourceError RUN-DISK.
    """
    told = [(item, row.get("objects", [])) for _, row, item in answered(rows, items)]
    most = max((len(found) for _, found in told), default=1) or 1
    owners = [f"animal{i + 1}" for i in range(most)]
    columns = [(owner, point, value) for owner in owners for point in space.keypoints for value in ("x", "y", "likelihood")]
    table: list[list[Any]] = [["scorer", *["saccade"] * len(columns)]]
    table += [["individuals", *(owner for owner, _, _ in columns)]] if most > 1 else []
    table += [["bodyparts", *(point for _, point, _ in columns)], ["coords", *(value for _, _, value in columns)]]
    for item, found in told:
        cells: list[Any] = [displayable(os.fspath(item.path))]
        for i in range(most):
            points = found[i]["points"] if i < len(found) else {}
            for name in space.keypoints:
                cells += ["" if value is None else value for value in points.get(name, (None, None, None))]
        table.append(cells)
    path = _folder(journal) / "deeplabcut.csv"
    with storage.disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_cells(path, table)
    return path


def _folder(journal: Path) -> Path:
    """Where folders of answers go: beside the journal, in one of its name where the name was chosen."""
    return journal.parent if journal.stem == "predictions" else journal.with_suffix("")


def _whole(box: Sequence[float], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The whole pixels that a box touches, one at least."""
    height, width = size
    x1, y1 = min(width - 1, max(0, int(box[0]))), min(height - 1, max(0, int(box[1])))
    return x1, y1, max(x1 + 1, min(width, -int(-box[2] // 1))), max(y1 + 1, min(height, -int(-box[3] // 1)))


def _plain(name: str) -> str:
    """A name that is safe as a file's."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", displayable(name)).lstrip(".")[:80] or "_"


Writer = Callable[[Path, Sequence[Row], Sequence[Input], LabelSpace], Path]
OBJECT_FILES: Mapping[str, Writer] = {"coco": write_coco, "yolo": write_yolo, "crops": write_crops, "deeplabcut": write_deeplabcut}
"""Forms of answers that only objects have, by their name in --as."""
OBJECT_HEADS = ("boxes", "instances", "keypoints")
