"""Where one ray a pixel is too few: pixels beside which another solid, a shadow's rim or a texture's line begins."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from saccade.data.world.cast import Hits, where
from saccade.data.world.pack import Packed
from saccade.data.world.solids import root

STEP = 4.0
"""8-bit steps of tone between neighbours, above which both are looked at again."""


def uneven(packed: Packed, hits: Hits, light: Tensor, exposure: Tensor) -> Tensor:
    """(P,) int64: the pixels that need more than the ray through their middle.

    These are the pixels that see another solid than one of their eight neighbours, those whose red, green or blue differs by more than `STEP`
    from one of the four beside them once it is exposed, and those where a rod or a speck narrower than `pack.THIN` pixels may be.
    light: (3, rays) linear. exposure: (b,) factor of each scene's lens.
    """
    b, (h, w) = packed.count, packed.size
    found = torch.zeros(b, h, w, dtype=torch.bool, device=packed.device)
    solid = hits.solid.reshape(b, h, w)
    for one, other in _neighbours(found):
        differs = solid[one] != solid[other]
        found[one] |= differs
        found[other] |= differs
    exposed = light.reshape(3, b, h, w).clamp(min=0) * exposure.reshape(1, b, 1, 1)
    tone = root(exposed / (1 + exposed))  # about what the film makes of it
    for one, other in _neighbours(found)[:2]:
        differs = ((tone[(slice(None), *one)] - tone[(slice(None), *other)]).abs() > STEP / 255).any(0)
        found[one] |= differs
        found[other] |= differs
    scenes = packed.scene.cpu().numpy()
    for row in np.flatnonzero(packed.thin):
        x0, y0, x1, y1 = packed.bounds[row].tolist()
        found[int(scenes[row]), y0:y1, x0:x1] = True
    return where(found.reshape(-1))


def _neighbours(maps: Tensor) -> list[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Two views of (b, h, w) maps whose entries are neighbours: beside, below, and along both diagonals."""
    every, first, last = slice(None), slice(None, -1), slice(1, None)
    beside = ((every, every, first), (every, every, last))
    below = ((every, first, every), (every, last, every))
    return [beside, below, ((every, first, first), (every, last, last)), ((every, first, last), (every, last, first))]
