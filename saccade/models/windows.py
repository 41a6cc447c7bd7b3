"""Segmentation by a sliding window: one pass of the network for each pixel, with what lies around it. Correct, slow, and the definition of the fast ways."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from saccade.core import Model


class Passed(NamedTuple):
    """logits: (N, K, H, W). passes: windows that the network saw, one a pixel of each image."""

    logits: Tensor
    passes: int


@torch.no_grad()
def by_windows(model: Model, inputs: Tensor, context: int, *, batch: int = 256) -> Passed:
    """The scores of every pixel of (N, C, H, W) from the window of `context` x `context` pixels around it alone, cut where the image ends.

    context: odd. Equal to one pass over the whole image for networks of stride 1 whose answers depend on no more than the context: the border of
    a window is further away than they look. Ciresan, Giusti, Gambardella, Schmidhuber, NIPS 2012. The model is used in eval mode.
    Raises ValueError for an even context.
    """
    if context % 2 == 0 or context < 1:
        raise ValueError(f"the context must be odd, so that a window has a middle, got {context}")
    (height, width), reach = inputs.shape[-2:], context // 2
    places: dict[tuple[int, int, int, int], list[tuple[int, int]]] = {}  # shape of a window and its pixel in it -> pixels
    for y in range(height):
        top, bottom = max(0, y - reach), min(height, y + reach + 1)
        for x in range(width):
            left, right = max(0, x - reach), min(width, x + reach + 1)
            places.setdefault((bottom - top, right - left, y - top, x - left), []).append((y, x))
    was_training, out = model.training, None
    model.eval()
    for (h, w, dy, dx), pixels in places.items():
        crops = torch.stack([inputs[..., y - dy : y - dy + h, x - dx : x - dx + w] for y, x in pixels], 1).flatten(0, 1)
        sizes = torch.tensor([[h, w]], device=inputs.device)
        found = torch.cat([model.outputs(part, sizes.expand(len(part), 2))["map"].logits[..., dy, dx] for part in crops.split(batch)])
        out = found.new_empty(len(inputs), found.shape[1], height, width) if out is None else out
        rows, columns = (torch.tensor(values) for values in zip(*pixels, strict=True))
        out[:, :, rows, columns] = found.view(len(inputs), len(pixels), -1).transpose(1, 2)
    model.train(was_training)
    assert out is not None
    return Passed(out, len(inputs) * height * width)
