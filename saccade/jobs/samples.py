"""samples/: what the network really sees in training, drawn."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from saccade import storage
from saccade.core import Batch, LabelSpace

SHOWN, COLUMNS, SIDE = 24, 6, 128


def write_batch(folder: Path, batch: Batch, space: LabelSpace) -> Path:
    """samples/train_batch.png: the first images of a batch, changed and mixed as they are trained on, with their labels."""
    tiles = []
    for place in range(min(SHOWN, len(batch))):
        pixels = (batch.inputs[place].permute(1, 2, 0).numpy() * 255).round().clip(0, 255).astype(np.uint8)
        pixels = pixels if pixels.shape[2] == 3 else np.repeat(pixels[:, :, :1], 3, axis=2)
        scale = SIDE / max(pixels.shape[:2])
        size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
        canvas = np.full((SIDE, SIDE, 3), 255, np.uint8)
        canvas[: size[1], : size[0]] = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
        target = batch.targets["label"][place]
        tiles.append(canvas if target is None else target.draw(canvas, space))
    height = max(tile.shape[0] for tile in tiles)
    padded = [np.pad(tile, ((0, height - tile.shape[0]), (0, 0), (0, 0)), constant_values=255) for tile in tiles]
    padded += [np.full_like(padded[0], 255)] * (-len(padded) % COLUMNS)
    sheet = np.concatenate([np.concatenate(padded[i : i + COLUMNS], axis=1) for i in range(0, len(padded), COLUMNS)])
    folder.mkdir(exist_ok=True)
    path = folder / "train_batch.png"
    storage.atomic_write(path, cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))[1].tobytes())
    return path
