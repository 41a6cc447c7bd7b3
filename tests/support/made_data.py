"""Data sets of any kind of truth in memory, without files: for splits and statistics; and with pictures on disk, for the check."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from saccade.core import LabelSpace, Record
from saccade.data.dataset import ImageDataset
from saccade.targets import Boxes


def made(truths: Sequence[Mapping[str, Any]], spaces: Mapping[str, LabelSpace], *, groups=None, splits=None, root: Path = Path("made")) -> ImageDataset:
    """A data set of these truths; its pictures are `0.png`, `1.png` ... under the root, which need not be there."""
    n = len(truths)
    records = tuple(Record(f"{i}.png", root / f"{i}.png", None, truths[i], (splits or [None] * n)[i], (groups or [None] * n)[i]) for i in range(n))
    return ImageDataset("made", root, "made", "made for a test", records, dict(spaces))


def pictures(root: Path, n: int, size: tuple[int, int] = (48, 64)) -> Path:
    """n different colour pictures of a size (h, w): `0.png`, `1.png` ..."""
    root.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        (root / f"{i}.png").write_bytes(_picture(i, size))
    return root


@cache
def _picture(i: int, size: tuple[int, int]) -> bytes:
    small = np.random.default_rng(i + 1).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(small).resize(size[::-1], Image.Resampling.BICUBIC).save(out, "PNG")
    return out.getvalue()


def boxes(*rows: Sequence[float], **more: Any) -> Boxes:
    """Boxes of rows (class, x1, y1, x2, y2)."""
    table = torch.tensor([list(row) for row in rows], dtype=torch.float64).reshape(-1, 5)
    return Boxes(table[:, 1:], table[:, 0].to(torch.int64), **more)


def space(*names: str, **more: Any) -> LabelSpace:
    return LabelSpace(names, **more)
