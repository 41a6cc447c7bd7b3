"""samples/: what the network really sees in training, drawn."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from saccade import storage
from saccade.core import Batch, LabelSpace

SHOWN, FEWER, COLUMNS, SIDE, LARGE = 24, 12, 6, 128, 256


def write_batch(folder: Path, batch: Batch, space: LabelSpace, head: str) -> Path:
    """samples/train_batch.png: the first images of a batch, changed and mixed as they are trained on, with their truths."""
    tiles = []
    for place in range(min(SHOWN if head == "label" else FEWER, len(batch))):
        pixels = (batch.inputs[place].permute(1, 2, 0).numpy() * 255).round().clip(0, 255).astype(np.uint8)
        pixels = np.ascontiguousarray(pixels[:, :, :3] if pixels.shape[2] >= 3 else np.repeat(pixels[:, :, :1], 3, axis=2))
        target = batch.targets[head][place] if head in batch.targets else None
        if head == "label":
            canvas = _fitted(pixels, SIDE)
            tiles.append(canvas if target is None else target.draw(canvas, space))
        else:
            tiles.append(_fitted(pixels if target is None else target.to("cpu").draw(pixels, space), LARGE))
    height = max(tile.shape[0] for tile in tiles)
    padded = [np.pad(tile, ((0, height - tile.shape[0]), (0, 0), (0, 0)), constant_values=255) for tile in tiles]
    padded += [np.full_like(padded[0], 255)] * (-len(padded) % COLUMNS)
    sheet = np.concatenate([np.concatenate(padded[i : i + COLUMNS], axis=1) for i in range(0, len(padded), COLUMNS)])
    folder.mkdir(exist_ok=True)
    path = folder / "train_batch.png"
    storage.atomic_write(path, cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))[1].tobytes())
    return path


def _fitted(pixels: np.ndarray, side: int) -> np.ndarray:
    """A square of that side with the picture at its upper left, as large as it can be."""
    scale = side / max(pixels.shape[:2])
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    canvas = np.full((side, side, 3), 255, np.uint8)
    canvas[: size[1], : size[0]] = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    return canvas
