"""The judge of samples: a classifier of ours whose last features pictures are compared by, and whose classes tell what samples show.

A judge is an ordinary model file of the task classify. Where pictures have classes it is a LeNet-5 trained on the same pictures; else it is `GLYPHS`, a LeNet-5
that comes with the package, trained on simulated letters and digits. Numbers of two judges do not compare; name and hash are stored with every number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from saccade import bundle
from saccade.bundle import Bundle
from saccade.core import LabelSpace, Model
from saccade.errors import UsageError

GLYPHS = Path(__file__).with_name("glyphs.saccade")
"""A classifier of 36 letters and digits: see recipes/glyphs_judge.py, which makes it."""
TOGETHER = 256


class Judge:
    """features and classes of pictures (N, C, h, w) in [0, 1] of any size and number of channels.

    Raises UsageError USE-VALUE for a model that is no classifier with a linear last layer.
    """

    def __init__(self, found: Bundle, name: str, *, where: str = "--judge") -> None:
        head = next(iter(found.card.spaces))
        last = found.model.heads[head] if isinstance(found.model, Model) and head == "label" else nn.Identity()
        layers = [part for part in last.modules() if isinstance(part, nn.Linear)]
        if not isinstance(found.model, Model) or not layers:
            raise UsageError("USE-VALUE", f"{name} is of the task {found.card.task}", where=where, fix="give a classifier, such as --model lenet5")
        self.name, self.sha256, self.names = name, found.card.sha256, found.card.spaces[head].names
        self.inputs, self._model, self._last = found.card.inputs, found.model, layers[-1]

    @classmethod
    def read(cls, path: Path | str, name: str = "") -> Judge:
        """The judge of a model file or run. Raises ModelError, UsageError."""
        found = bundle.read(bundle.model_file(path))
        return cls(found, name or f"{found.card.model} on {found.card.extra.get('data', Path(path).stem)}", where=str(path))

    def metric(self, make: Callable[[Any], Any], space: LabelSpace) -> Any:
        """A metric (`metrics.samples.Samples`) with this judge; its classes count as those of the pictures where the names are the same."""
        metric = make(space)
        metric.judge, metric.own = self, bool(len(space)) and self.names == space.names
        return metric

    def told(self) -> dict[str, str]:
        """Its name and the hash of its weights, as they are stored with every number."""
        return {"name": self.name, "sha256": self.sha256}

    def inputs_of(self, pictures: Tensor) -> Tensor:
        """The pictures in the judge's channels and size."""
        own, wanted = pictures.float(), self.inputs.channels
        if own.shape[1] != wanted:
            own = own.mean(1, keepdim=True) if own.shape[1] != 1 else own
            own = own.expand(-1, wanted, -1, -1)
        return own if tuple(own.shape[2:]) == tuple(self.inputs.size) else F.interpolate(own, self.inputs.size, mode="bilinear", antialias=True).clamp(0, 1)

    @torch.inference_mode()
    def look(self, pictures: Tensor) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Features (N, D) float64 and the most probable classes (N,)."""
        features, classes = [torch.zeros(0, self._last.in_features)], [torch.zeros(0, dtype=torch.int64)]
        hook = self._last.register_forward_pre_hook(lambda _, given: features.append(given[0].float()))
        try:
            for start in range(0, len(pictures), TOGETHER):
                part = self.inputs_of(pictures[start : start + TOGETHER].cpu())
                with torch.autocast("cpu", enabled=False):
                    logits = self._model.outputs(part, torch.tensor([self.inputs.size] * len(part)))["label"].logits
                classes.append(logits.argmax(1))
        finally:
            hook.remove()
        return torch.cat(features).double().numpy(), torch.cat(classes).numpy()

    def counts(self, classes: Sequence[int] | np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """(K,) how often each class is there."""
        return np.bincount(np.asarray(classes, dtype=np.int64), minlength=len(self.names))


def glyphs() -> Judge:
    """The judge that comes with the package."""
    return Judge.read(GLYPHS, "lenet5 on simulated glyphs (saccade)")
