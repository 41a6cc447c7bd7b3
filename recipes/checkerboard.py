"""Transposed convolutions whose stride does not divide their kernel draw checkerboards; those of kernel 4 and stride 2 do not.

Command     python recipes/checkerboard.py
Data        none: maps of ones, and smooth random maps, through one and through three layers with even kernels, and through a layer whose kernel was
            learnt for 300 steps to enlarge smooth maps twofold. Measured is the share of the mean square that repeats with the strides together
            (`ops.upsampling.checkerboard`), away from the border; a picture of the maps is drawn into the folder that is printed
Expected    kernel 3: energy of one layer 0.15 to 0.25, of three layers 0.2 to 0.6; kernel 4: below 1e-9 in both; learnt kernels of both sizes leave
            less than a tenth of the even kernel 3's energy; nearest and sub-pixel (fresh) enlargement of ones: 0
Measured    0.1900, 0.2468; 0.0000, 0.0000; learnt 0.0000 and 0.0000; 0.0000 and 0.0000; 5 s with one thread
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from claims import finish, folder, hold
from torch import Tensor

from saccade.ops.upsampling import checkerboard, resize, sub_pixel, sub_pixel_kernel, upsample


def enlarged(x: Tensor, kernel: Tensor, layers: int) -> Tensor:
    for _ in range(layers):
        x = F.conv_transpose2d(x, kernel, stride=2, padding=(kernel.shape[-1] - 1) // 2)
    return x


def energy(x: Tensor, margin: int, period: int = 2) -> float:
    """Of the inner part, whose sides are whole periods."""
    side = (x.shape[-1] - 2 * margin) // period * period
    return float(checkerboard(x[..., margin : margin + side, margin : margin + side], period).mean())


def smooth(count: int, side: int) -> Tensor:
    """(count, 1, side, side): positive maps without detail."""
    return resize(torch.rand(count, 1, side // 8, side // 8) + 0.2, (side, side))


def learnt(size: int) -> Tensor:
    """A kernel that enlarges smooth maps as well as it can."""
    torch.manual_seed(0)
    kernel = torch.full((1, 1, size, size), 4 / size**2).requires_grad_()
    optimiser = torch.optim.Adam([kernel], 0.02)
    for _ in range(300):
        fine = smooth(8, 64)
        found = enlarged(F.avg_pool2d(fine, 2), kernel, 1)[..., :64, :64]
        loss = (found - fine[..., : found.shape[-2], : found.shape[-1]])[..., 4:-4, 4:-4].square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return kernel.detach()


def main() -> None:
    torch.set_num_threads(1)
    ones, drawn, held = torch.ones(1, 1, 16, 16), [], []
    limits = {3: ((0.15, 0.25), (0.2, 0.6)), 4: ((0, 1e-9), (0, 1e-9))}
    for size, ranges in limits.items():
        even = torch.full((1, 1, size, size), 4 / size**2)
        for layers, (low, high) in zip((1, 3), ranges, strict=True):
            found = enlarged(ones, even, layers)
            held.append(hold(f"kernel {size}, {layers} layers, even: energy", energy(found, 8 * layers, 2**layers), low, high))
            drawn.append(found[0, 0])
        found = enlarged(ones, learnt(size), 1)
        held.append(hold(f"kernel {size}, learnt: energy", energy(found, 8), 0, 0.017))
        drawn.append(found[0, 0])
    torch.manual_seed(0)
    fresh = sub_pixel(F.conv2d(ones, sub_pixel_kernel(torch.rand(1, 1, 3, 3), 2), padding=1), 2)
    held += [hold("nearest: energy", energy(upsample(ones, 2, "nearest"), 4), 0, 1e-9), hold("sub-pixel, fresh: energy", energy(fresh, 4), 0, 1e-9)]
    place = folder()
    tiles = [cv2.resize((m / m.max()).clamp(0, 1).numpy()[8:-8, 8:-8], (192, 192), interpolation=cv2.INTER_NEAREST) for m in drawn]
    rows = [np.concatenate([np.pad(t, 3, constant_values=1) for t in tiles[i : i + 3]], 1) for i in (0, 3)]
    cv2.imwrite(str(place / "checkerboards.png"), (np.concatenate(rows) * 255).astype(np.uint8))
    print(f"{place / 'checkerboards.png'}: above kernel 3, below kernel 4; one layer, three layers, learnt")
    finish(*held)


if __name__ == "__main__":
    main()
