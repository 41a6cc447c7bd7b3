"""Where and how exactly a system computes, behind one door: device, number of threads, precision, memory format, backward."""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager
from functools import cache
from typing import TypeVar

import torch
from torch import Tensor, nn

from saccade.core import Batch, System
from saccade.errors import ResourceError, UsageError
from saccade.training.settings import Precision

Placed = TypeVar("Placed", bound=nn.Module)
GAIN = 1.2  # below this, bfloat16 costs more in accuracy than it saves


@cache
def cpu_has_bf16() -> bool:
    """Whether this processor multiplies bfloat16 in hardware (avx512_bf16 or AMX)."""
    return bool(torch.backends.mkldnn.is_available() and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()))


@cache
def bf16_gain() -> float:
    """How many times as fast as float32 this processor convolves in bfloat16, measured once: 0 without the instructions, infinite with AMX.

    avx512_bf16 alone tells nothing: it doubles the speed on some processors and halves it on others, whose vector units
    take two cycles for it.
    """
    if not cpu_has_bf16():
        return 0.0
    if torch.cpu._is_amx_tile_supported():
        return float("inf")
    images, kernels = torch.ones(2, 128, 28, 28), torch.ones(128, 128, 3, 3)
    kinds = [[t.to(kind, memory_format=torch.channels_last) for t in (images, kernels)] for kind in (torch.float32, torch.bfloat16)]
    turns = [[_seconds(x, w) for x, w in kinds] for _ in range(8)]  # in turn, and the best of each, because the machine does other things too
    single, half = (min(turn[i] for turn in turns) for i in (0, 1))
    return single / half


def _seconds(x: Tensor, w: Tensor) -> float:
    began = time.thread_time()
    with torch.inference_mode():
        torch.nn.functional.conv2d(x, w, None, 1, 1)
    return time.thread_time() - began


def pick_device(name: str = "auto") -> torch.device:
    """The device of a name such as auto, cpu, cuda, cuda:0. Raises ResourceError DEVICE when it is not there."""
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError("USE-VALUE", f"{name}; the options are auto, cpu, cuda, cuda:0 ...", where="--device") from None
    if device.type == "cuda" and not (torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()):
        raise ResourceError("DEVICE", f"{name}, but torch sees {torch.cuda.device_count()} CUDA devices", where="--device")
    if device.type not in ("cpu", "cuda"):
        raise UsageError("USE-VALUE", f"{name}; the options are auto, cpu, cuda, cuda:0 ...", where="--device")
    return device


def set_threads(threads: int | None) -> int:
    """Sets torch's threads and returns their number. None: OMP_NUM_THREADS where it is set, else one a core that this process may use."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wished = os.environ.get("OMP_NUM_THREADS", "")
    count = threads or (int(wished) if wished.isdigit() and int(wished) > 0 else available)
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)
    return count


class Engine:
    """Where and how exactly a system computes."""

    def __init__(self, device: str = "auto", precision: Precision = "fp32") -> None:
        self.device = pick_device(device)
        self.precision = precision

    def place(self, module: Placed) -> Placed:
        """The module on the device, its kernels in channels_last."""
        module.to(self.device)
        return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def place_batch(self, batch: Batch) -> Batch:
        return batch if self.device.type == "cpu" else batch.to(self.device)

    def autocast(self) -> AbstractContextManager[None]:
        """Inside, networks compute in the engine's precision; weights stay float32."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def losses(self, system: System, batch: Batch, phase: str) -> dict[str, Tensor]:
        with self.autocast():
            return system(batch, phase)

    def backward(self, loss: Tensor) -> None:
        loss.backward()


def auto_precision(device: torch.device, multiply_adds: float) -> Precision:
    """bfloat16 where the hardware is faster with it, by a fifth at least, and the network large enough to gain: 10 million multiply-adds an image."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return "bf16" if multiply_adds >= 10e6 and bf16_gain() >= GAIN else "fp32"
