"""Puts the pictures of a data set where a format wants them when it is written."""

from __future__ import annotations

import os
import posixpath
import shutil
from pathlib import Path
from typing import Literal

from saccade.data.dataset import ImageDataset

How = Literal["copy", "link", "none"]


class Pictures:
    """how: copy the files, link to them (symbolic links), or leave them where they are (labels then name the data set's own paths)."""

    def __init__(self, dataset: ImageDataset, out: Path, how: How = "copy") -> None:
        self.dataset, self.out, self.how = dataset, out, how
        self._taken: dict[str, str] = {}  # name in lower case -> record id, so that no two pictures meet on any file system

    def name(self, i: int, folder: str) -> str:
        """Where picture i goes, relative to `out`: its own file name in the folder, with a number behind it when another has it already."""
        record = self.dataset.records[i]
        if self.how == "none":
            return record.id
        base = posixpath.basename(record.id) if record.index is None else f"{record.path.name.split('.')[0]}_{record.index:06d}.png"
        stem, suffix = posixpath.splitext(base)
        path, number = posixpath.join(folder, base), 1
        while self._taken.setdefault(posixpath.splitext(path)[0].lower(), record.id) != record.id:
            number += 1
            path = posixpath.join(folder, f"{stem}_{number}{suffix}")
        return path

    def put(self, i: int, folder: str) -> str:
        """Copies or links picture i into a folder of `out` and returns its path relative to `out`. A picture of many becomes a PNG."""
        path, record = self.name(i, folder), self.dataset.records[i]
        if self.how == "none":
            return path
        target = self.out / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if record.index is not None:
            from PIL import Image

            pixels = self.dataset.stored(record)
            Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(target)
        elif self.how == "link":
            target.symlink_to(os.path.abspath(record.path))
        else:
            shutil.copyfile(record.path, target)
        return path
