"""Where and in which precision a network predicts.

The rule of `precision="auto"`: bfloat16 where the processor is faster with it (AMX, avx512_bf16 where a measurement of some
milliseconds says so, or a CUDA device with it) and the network has at least 10 million multiply-adds an image, below which the
conversions cost what it gains; else float32. Weights lie in channels_last, as the pictures do.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch

from saccade.bundle import Card
from saccade.core import Inputs, System
from saccade.errors import UsageError, nearest
from saccade.training.engine import auto_precision, pick_device

Precision = Literal["auto", "fp32", "bf16"]
PRECISIONS = ("auto", "fp32", "bf16")


@dataclass(frozen=True)
class Mode:
    """A device and a precision, auto no more."""

    device: torch.device
    precision: Literal["fp32", "bf16"]

    def autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16) if self.precision == "bf16" else nullcontext()


def inference_mode_for(model: System, inputs: Inputs, *, device: str = "auto", precision: str = "auto") -> Mode:
    """The device and the precision to predict in. Raises UsageError USE-VALUE, ResourceError DEVICE."""
    place = pick_device(device)
    if precision not in PRECISIONS:
        raise UsageError("USE-VALUE", f"{precision}; {nearest(precision, PRECISIONS)}", where="--precision")
    if precision == "auto":
        return Mode(place, auto_precision(place, multiply_adds(model, inputs)))
    return Mode(place, "bf16" if precision == "bf16" else "fp32")


def trained_precision(card: Card) -> str:
    """The precision that the network was trained and evaluated in, "auto" where its card does not say."""
    stored = card.extra.get("settings")
    found = stored.get("precision", "auto") if isinstance(stored, dict) else "auto"
    return found if found in PRECISIONS else "auto"


def multiply_adds(model: System, inputs: Inputs) -> float:
    """Multiply-adds of the network for one image, counted by torch."""
    from torch.utils.flop_counter import FlopCounterMode

    was_training = model.training
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model.eval().outputs(torch.zeros(1, inputs.channels, *inputs.size), torch.tensor([inputs.size]))
    model.train(was_training)
    return counter.get_total_flops() / 2
