"""Selective search as a detector's source of regions, each picture searched once."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from saccade.classic.selective_search import Mode, selective_search

HELD = 20_000  # pictures whose boxes are kept: 16 kB each at 2,000 boxes


class Searched:
    """(C, h, w) in [0, 1] -> (k, 4) boxes of selective search in its pixels, best first.

    What was found is kept by the pixels themselves, so that a picture that comes again, or its mirror image, is not searched again; two copies of a
    model share what they have found. `seconds` and `pictures` count what was searched.
    """

    def __init__(self, most: int, mode: Mode = "fast") -> None:
        self.most, self.mode = most, mode
        self.found: OrderedDict[bytes, np.ndarray] = OrderedDict()
        self.seconds, self.pictures = 0.0, 0

    def __deepcopy__(self, memo: dict[int, Any]) -> Searched:
        return self

    def __call__(self, image: Tensor) -> Tensor:
        if image.is_meta:  # shapes alone are asked for
            return image.new_zeros(1, 4)
        pixels = (image.detach().float().clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        mirror = np.ascontiguousarray(pixels[:, ::-1])
        pixels = np.ascontiguousarray(pixels)
        turned = mirror.tobytes() < pixels.tobytes()
        boxes = self._of(mirror if turned else pixels).astype(np.float32)
        if turned:
            boxes[:, [0, 2]] = pixels.shape[1] - boxes[:, [2, 0]]
        return torch.from_numpy(boxes).to(image.device)

    def _of(self, pixels: np.ndarray) -> np.ndarray:
        key = hashlib.blake2b(pixels.tobytes(), digest_size=16, salt=np.array(pixels.shape[:2], "<u4").tobytes()).digest()
        if key not in self.found:
            began = time.perf_counter()
            self.found[key] = selective_search(pixels, mode=self.mode, most=self.most).astype(np.uint16)
            self.seconds, self.pictures = self.seconds + time.perf_counter() - began, self.pictures + 1
            if len(self.found) > HELD:
                self.found.popitem(last=False)
        self.found.move_to_end(key)
        return self.found[key]
