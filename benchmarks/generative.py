"""Diffusion, ours against the same network written plainly: a training step, and sampling in 50 steps.

    python benchmarks/generative.py            # about four minutes on 2 cores that do nothing else
    python benchmarks/generative.py --quick    # seconds: shows that it runs, not what it measures

Ours is `models.generate.ddpm` as training runs it (channels_last, bf16 where the processor is faster with it, the optimiser's steps of all parameters
at once); theirs is `Plain`, textbook PyTorch in float32 with the same weights, whose answers are the same to rounding. In turn, the best of each. Bar: 1.8
where the processor has bf16 in hardware (AMX, or avx512_bf16 that is faster).
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saccade.core import Batch, Geometry, Inputs, LabelSpace, Meta
from saccade.generative.diffusion import implicit
from saccade.generative.unet import UNet
from saccade.models.generate import ddpm
from saccade.training.engine import GAIN, Engine, bf16_gain
from saccade.training.optimisers import make_optimiser
from saccade.training.settings import Settings

SIDE, BATCH, SAMPLES, STEPS = 28, 64, 64, 50


class Plain(nn.Module):
    """The same network, layer by layer, by the weights of ours under their names."""

    def __init__(self, ours: UNet) -> None:
        super().__init__()
        self.net = copy.deepcopy(ours).to(memory_format=torch.contiguous_format)

    def block(self, part: nn.Module, x: Tensor, told: Tensor) -> Tensor:
        h = part.first[2](F.silu(part.first[0](x)))
        factor, shift = torch.chunk(part.told(told), 2, dim=1)
        h = part.norm(h) * (1 + factor[:, :, None, None]) + shift[:, :, None, None]
        return part.shortcut(x) + part.last(F.silu(h))

    def attention(self, part: nn.Module, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        q, k, v = (t.reshape(n, part.heads, c // part.heads, h * w) for t in torch.chunk(part.asked(part.norm(x)), 3, dim=1))
        weights = torch.softmax(torch.einsum("nhci,nhcj->nhij", q, k) / math.sqrt(c // part.heads), dim=-1)
        return x + part.last(torch.einsum("nhij,nhcj->nhci", weights, v).reshape(n, c, h, w))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        net = self.net
        half = net.width // 2
        angles = t.float()[:, None] * torch.exp(-math.log(10_000.0) * torch.arange(half) / max(1, half - 1))
        told = F.silu(net.time(torch.cat([torch.cos(angles), torch.sin(angles)], dim=1)))
        x = net.stem(F.pixel_unshuffle(x, net.patch))
        kept, down, up, levels = [x], list(net.down), list(net.up), len(net.halve) + 1
        for level in range(levels):
            for _ in range(net.blocks):
                x = self.block(down.pop(0), x, told)
                kept.append(x)
            if level + 1 < levels:
                x = net.halve[level](x)
                kept.append(x)
        x = self.block(net.middle[2], self.attention(net.middle[1], self.block(net.middle[0], x, told)), told)
        for level in range(levels):
            for _ in range(net.blocks + 1):
                x = self.block(up.pop(0), torch.cat([x, kept.pop()], dim=1), told)
            if level + 1 < levels:
                x = net.enlarge[level](F.interpolate(x, scale_factor=2, mode="nearest"))
        x = net.out[2](F.silu(net.out[0](x)))
        return F.pixel_shuffle(x, net.patch)


def timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def in_turn(ours: Callable[[], object], theirs: Callable[[], object], turns: int) -> tuple[float, float]:
    """The least seconds of each, after one call that does not count."""
    ours(), theirs()
    pairs = [(timed(ours), timed(theirs)) for _ in range(turns)]
    return min(a for a, _ in pairs), min(b for _, b in pairs)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--threads", type=int, default=2)
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)
    batch_size, samples, steps, turns, repeats = (8, 4, 3, 1, 1) if chosen.quick else (BATCH, SAMPLES, STEPS, 5, 10)
    size = (SIDE, SIDE)
    system = ddpm(Inputs(1, size, (0.13,), (0.31,)), LabelSpace(()))
    nn.init.normal_(system.network.out[2].weight, 0, 0.02)  # so that the answers can be compared
    plain = Plain(system.network)
    x, t = torch.randn(4, 1, *size), torch.tensor([0, 10, 500, 999])
    with torch.no_grad():
        difference = float((system.network(x, t) - plain(x, t)).abs().max())
    assert difference < 1e-4, f"the two networks differ by {difference}"
    precision = "bf16" if bf16_gain() >= GAIN else "fp32"
    engine, settings = Engine("cpu", precision), Settings(epochs=1, rate=1e-4, weight_decay=0.0, precision=precision)
    engine.place(system).train()
    groups = system.stages()[0].phases[0].groups()
    optimiser, theirs = make_optimiser(groups, settings), torch.optim.AdamW(plain.parameters(), lr=1e-4, weight_decay=0.0, foreach=False)
    pictures = torch.rand(batch_size, 1, *size)
    metas = [Meta(str(i), size, Geometry.identity(size)) for i in range(batch_size)]
    batch = Batch(pictures.to(memory_format=torch.channels_last), torch.tensor([size] * batch_size), {}, metas)
    schedule = system.schedule

    def our_step() -> None:
        for _ in range(repeats):
            optimiser.zero_grad(set_to_none=True)
            engine.backward(engine.losses(system, batch, "all")["denoising"])
            optimiser.step()

    def their_step() -> None:
        for _ in range(repeats):
            theirs.zero_grad()
            clean, noise = 2 * pictures - 1, torch.randn_like(pictures)
            at = torch.randint(schedule.steps, (batch_size,))
            loss = F.mse_loss(plain(schedule.noised(clean, at, noise), at), schedule.goal(clean, at, noise))
            loss.backward()
            theirs.step()

    ours, others = in_turn(our_step, their_step, turns)
    told = f"on {chosen.threads} threads, {precision}"
    each = [1e3 * seconds / repeats for seconds in (ours, others)]
    print(f"training step of {batch_size} pictures of {SIDE}x{SIDE}: ours {each[0]:.1f} ms, plain {each[1]:.1f} ms: {others / ours:.2f}x ({told})")
    system.eval(), plain.eval()
    noise = system.noise(samples)

    def our_samples() -> None:
        with torch.inference_mode(), engine.autocast():
            system.draw(noise, steps=steps)

    def their_samples() -> None:
        with torch.no_grad():
            implicit(schedule, plain, noise, steps=steps, limit=1.0)

    ours, others = in_turn(our_samples, their_samples, max(1, turns // 2))
    print(f"{samples} samples in {steps} steps: ours {ours:.2f} s, plain {others:.2f} s: {others / ours:.2f}x ({told})")


if __name__ == "__main__":
    main()
