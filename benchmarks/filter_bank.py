"""The filter bank over the same Gabors as depthwise convolutions, both measured in one run, in turn:  python benchmarks/filter_bank.py

    naive        each octave's kernels at the octave's own size on the full image, torch's depthwise conv2d, every second answer taken later
    pyramid      the same Gaussian pyramid, depthwise conv2d with stride 2 on each octave
    one channel  the same with the channels as samples, which is conv2d's better path

8 orientations, even and odd, 3 octaves, 16 pictures, one thread unless OMP_NUM_THREADS says more. Ratios are medians over pairs measured
one right after the other.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from saccade.ops.filters import gabor_bank
from saccade.ops.separable import gabor_energy, shrink

OCTAVES, ORIENTATIONS, SIGMA, CYCLES, IMAGES, PAIRS = 3, 8, 2.0, 0.56, 16, 5


def kernels(sigma: float) -> Tensor:
    """(2 x orientations, 1, k, k)."""
    return torch.stack(list(gabor_bank([sigma], ORIENTATIONS, cycles=CYCLES).values()))[:, None].float()


def energy(x: Tensor) -> Tensor:
    return torch.sqrt(x[:, 0::2] ** 2 + x[:, 1::2] ** 2 + 1e-6)


def ours(x: Tensor) -> list[Tensor]:
    found = []
    for _ in range(OCTAVES):
        found.append(gabor_energy(x, sigma=SIGMA, frequency=CYCLES / SIGMA, orientations=ORIENTATIONS))
        x = shrink(x)
    return found


def naive(x: Tensor) -> list[Tensor]:
    found = []
    for octave in range(OCTAVES):
        k = kernels(SIGMA * 2**octave).repeat(x.shape[1], 1, 1, 1)
        found.append(energy(F.conv2d(x, k, padding=k.shape[-1] // 2, groups=x.shape[1])))
    return found


def pyramid(x: Tensor) -> list[Tensor]:
    found, k = [], kernels(SIGMA).repeat(x.shape[1], 1, 1, 1)
    for _ in range(OCTAVES):
        found.append(energy(F.conv2d(x, k, padding=k.shape[-1] // 2, groups=x.shape[1], stride=2)))
        x = shrink(x)
    return found


def one_channel(x: Tensor) -> list[Tensor]:
    found, k, x = [], kernels(SIGMA), x.flatten(0, 1)[:, None]
    for _ in range(OCTAVES):
        found.append(energy(F.conv2d(x, k, padding=k.shape[-1] // 2, stride=2)))
        x = shrink(x)
    return found


def seconds(function: Callable[[Tensor], list[Tensor]], x: Tensor) -> float:
    began = time.perf_counter()
    function(x)
    return time.perf_counter() - began


def main() -> None:
    torch.manual_seed(0)
    for channels, side in ((1, 28), (3, 64), (3, 128)):
        x = torch.rand(IMAGES, channels, side, side)
        for function in (ours, naive, pyramid, one_channel):
            function(x)  # warm
        line, own = [], []
        for function in (naive, pyramid, one_channel):
            pairs = [(seconds(function, x), seconds(ours, x)) for _ in range(PAIRS)]
            own += [mine for _, mine in pairs]
            line.append(f"{function.__name__.replace('_', ' ')} {statistics.median(theirs / mine for theirs, mine in pairs):.1f}x")
        print(f"{channels} x {side} x {side}: {1e3 * statistics.median(own) / IMAGES:.2f} ms an image; faster than {', '.join(line)}", flush=True)


if __name__ == "__main__":
    main()
