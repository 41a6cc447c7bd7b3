"""Small COCO files for tests: one page with two images, changed at will."""

from __future__ import annotations

import json

from tests.support.data_files import picture

WHERE = "cells.json:annotations[0]"


def annotation(**changes):
    made = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 5, 4], "area": 20, "iscrowd": 0, "segmentation": []} | changes
    return {key: value for key, value in made.items() if value != "missing"}


def page(**changes):
    images = [{"id": i, "file_name": f"{name}.png", "height": 12, "width": 12} for i, name in ((1, "a"), (2, "b"))]
    return {"images": images, "annotations": [annotation()], "categories": [{"id": 1, "name": "cat"}, {"id": 5, "name": "dog"}]} | changes


def at(root, data, text=None):
    for name in ("a", "b"):
        if not (root / f"{name}.png").exists():
            picture(root / f"{name}.png")
    (root / "cells.json").write_text(json.dumps(data) if text is None else text)
    return root


def image(**changes):
    return {"id": 1, "file_name": "a.png", "height": 12, "width": 12} | changes
