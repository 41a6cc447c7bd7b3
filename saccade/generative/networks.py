"""The networks of autoencoders and adversarial pairs: pictures down to a few cells, and up again; dense ones for small pictures."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from saccade.generative.base import pooled_sizes

FEWEST = 8  # cells of a side that no map need be smaller than
Size = tuple[int, int]


def halvings(size: Size) -> int:
    """How often a picture is halved until its shorter side has at most `FEWEST` cells; once at least.

    >>> halvings((28, 28)), halvings((64, 96)), halvings((8, 8))
    (2, 3, 1)
    """
    times = 1
    while min(pooled_sizes(size, times)[-1]) > FEWEST:
        times += 1
    return times


class Crop(nn.Module):
    """The upper left (h, w) of a map: what a doubled map has too much where a side was odd."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, : self.size[0], : self.size[1]]


def down(channels: int, size: Size, width: int, times: int, *, act: Callable[[], nn.Module], norm: bool = False, spectral: bool = False) -> nn.Sequential:
    """(N, C, h, w) -> (N, width 2^(times-1), h / 2^times, w / 2^times): 4x4 convolutions of stride 2, the width doubling each time.

    norm: batch normalisation behind every convolution but the first (Radford et al. 2016). spectral: every kernel divided by its largest singular value.
    """
    layers: list[nn.Module] = []
    for step in range(times):
        before, after = (channels if step == 0 else width << (step - 1)), width << step
        odd = [side % 2 for side in pooled_sizes(size, times)[step]]
        if any(odd):
            layers.append(nn.ZeroPad2d((0, odd[1], 0, odd[0])))
        normed = norm and step > 0
        conv = nn.Conv2d(before, after, 4, 2, 1, bias=not normed)
        layers += [spectral_norm(conv) if spectral else conv, *([nn.BatchNorm2d(after)] if normed else []), act()]
    return nn.Sequential(*layers)


def up(channels: int, size: Size, width: int, times: int, *, act: Callable[[], nn.Module], norm: bool = False) -> nn.Sequential:
    """The mirror image of `down`: (N, width 2^(times-1), small) -> (N, channels, h, w), without an activation behind the last."""
    sizes, layers = pooled_sizes(size, times), list[nn.Module]()
    for step in reversed(range(times)):
        before, after = width << step, (channels if step == 0 else width << (step - 1))
        normed = norm and step > 0
        layers += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=not normed), Crop(sizes[step])]
        layers += [*([nn.BatchNorm2d(after)] if normed else []), act()] if step else []
    return nn.Sequential(*layers)


class Encoder(nn.Module):
    """Pictures and what is told of them -> `outputs` numbers. hidden: units of the dense layer; kind: convolutional, or two dense layers alone."""

    def __init__(self, channels: int, size: Size, *, kind: str, width: int, hidden: int, told: int, outputs: int) -> None:
        super().__init__()
        if kind == "dense":
            self.body: nn.Module = nn.Sequential(nn.Flatten(), nn.Linear(channels * prod(size), hidden), nn.SiLU())
            cells = hidden
        else:
            times = halvings(size)
            self.body = nn.Sequential(down(channels, size, width, times, act=nn.SiLU), nn.Flatten())
            cells = (width << (times - 1)) * prod(pooled_sizes(size, times)[-1])
        self.head = nn.Sequential(nn.Linear(cells + told, hidden), nn.SiLU(), nn.Linear(hidden, outputs))

    def forward(self, pictures: Tensor, told: Tensor | None = None) -> Tensor:
        found = self.body(pictures)
        return self.head(found if told is None else torch.cat([found, told.to(found.dtype)], 1))


class Decoder(nn.Module):
    """Codes and what is told -> (N, channels, h, w), the mirror image of `Encoder`; logits or means, without an activation."""

    def __init__(self, channels: int, size: Size, *, kind: str, width: int, hidden: int, told: int, codes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Linear(codes + told, hidden), nn.SiLU())
        if kind == "dense":
            whole = nn.Linear(hidden, channels * prod(size))
            self.body: nn.Module = nn.Sequential(nn.Linear(hidden, hidden), nn.SiLU(), whole, nn.Unflatten(1, (channels, *size)))
        else:
            times = halvings(size)
            small = (width << (times - 1), *pooled_sizes(size, times)[-1])
            first = [nn.Linear(hidden, prod(small)), nn.SiLU(), nn.Unflatten(1, small)]
            self.body = nn.Sequential(*first, up(channels, size, width, times, act=nn.SiLU))

    def forward(self, codes: Tensor, told: Tensor | None = None) -> Tensor:
        return self.body(self.stem(codes if told is None else torch.cat([codes, told.to(codes.dtype)], 1)))
