"""Draws the pictures of world.md again:  python docs/world_pictures.py

worlds.jpg: six scenes of every world. weather.jpg: a scene in every weather. world_NAME.jpg: one scene with every label drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from saccade.data.world.dataset import world
from saccade.data.world.table import WORLDS
from saccade.data.world.weather import WEATHERS

FOLDER = Path(__file__).parent / "pictures"
LARGEST = 150_000  # bytes of a picture
SHOWN = ("boxes", "instances", "map", "depth", "normals", "points", "keypoints", "boxes3d", "graph", "regions", "flow", "caption")
EXAMPLE = {"tabletop": 21, "street": 9, "wildlife": 7, "clips": 9, "xray": 9, "cells": 5, "gestures": 12, "digits": 3, "shapes": 3, "glyphs": 2}


def write(name: str, rows: Sequence[np.ndarray]) -> None:
    """One picture of rows, as good as fits into LARGEST bytes."""
    width = max(row.shape[1] for row in rows)
    sheet = np.vstack([np.pad(row, ((0, 4), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows])
    FOLDER.mkdir(exist_ok=True)
    for quality in (92, 85, 78, 70, 60, 50):
        _, data = cv2.imencode(".jpg", sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        if len(data) <= LARGEST:
            break
    (FOLDER / f"{name}.jpg").write_bytes(data.tobytes())
    print(f"{name}.jpg  {sheet.shape[1]} x {sheet.shape[0]}  {len(data):,} bytes")


def labels(name: str, side: int = 208) -> list[np.ndarray]:
    """A scene and every label of it, four in a row."""
    data = world(name, n=48, size=side, seed=4, supersample=2, labels=[])
    i = EXAMPLE[name]
    image, truth = data.read(i), data.truth(i)
    tiles = [image] + [truth[head].draw(image, data.spaces[head]) for head in SHOWN if head in truth]
    rows = []
    for k in range(0, len(tiles), 4):
        high = max(tile.shape[0] for tile in tiles[k : k + 4])
        rows.append(np.hstack([np.pad(t, ((0, high - t.shape[0]), (0, 4), (0, 0)), constant_values=255) for t in tiles[k : k + 4]]))
    return rows


def main() -> None:
    step = {name: max(1, made.frames) for name, made in WORLDS.items()}
    scenes = {name: world(name, n=8 * step[name], size=120, seed=1, supersample=2) for name in WORLDS}
    write("worlds", [np.hstack([data.read(i * step[name] + step[name] // 2) for i in range(6)]) for name, data in scenes.items()])
    rows = []
    for name in ("tabletop", "street", "wildlife", "digits"):
        rows.append(np.hstack([world(name, n=8, size=128, seed=1, weather=w, supersample=2).read(2) for w in WEATHERS if w != "mixed"]))
    write("weather", rows)
    for name in WORLDS:
        write(f"world_{name}", labels(name))


if __name__ == "__main__":
    main()
