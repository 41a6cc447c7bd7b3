"""What every generative system is: pictures out of noise, by one interface, and what is told of a picture that it is shown.

Pictures are (N, C, h, w) in [0, 1] as everywhere; noise is (N, ...) of independent standard normal numbers, whose row i follows from (seed, i) alone, so
that the i-th sample of a seed is the same however many are drawn beside it.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from saccade.core import Batch, Inputs, LabelSpace, System
from saccade.phases import decay_groups

SEEDS = 2**63 - 1


class Seen(NamedTuple):
    """A picture (C, h, w) in [0, 1] that a generative system was shown, and what it says of it by name: numbers of nats, or errors."""

    picture: Tensor
    facts: dict[str, float]


class Generative(System, ABC):
    """A system with a sampler. `noise_shape`: of one sample's noise. `classes`: the length of the vector that it is told, 0 where it is told nothing.
    columns: the names of the numbers that it is told in place of classes (`data.told`): the vector has one more, which says that they are known.

    steps: how many a sampler takes where nobody says, None where it takes no steps. guides: whether samples can be guided. encodes: whether `encode`
    finds the code of a picture. judged: samples that an epoch's validation judges; shown: those that it draws.
    Subclasses have `forward` (losses by phase), `stages`, `outputs` (one pass of the largest network), `draw` and, where they encode, `encode`.
    """

    head = "label"
    steps: int | None = None
    guides = False
    encodes = False
    judged = 500
    shown = 36

    def __init__(self, inputs: Inputs, space: LabelSpace, *, conditional: bool, columns: Sequence[str] = ()) -> None:
        super().__init__()
        if conditional and columns:
            raise ValueError("conditional = True tells classes, columns tell numbers: one of them")
        if conditional and not len(space):
            raise ValueError("conditional = True: the data have no classes that it could be told")
        self.channels, self.size = inputs.channels, inputs.size
        self.columns = tuple(columns)
        self.classes = len(columns) + 1 if columns else len(space) if conditional else 0
        self.noise_shape: tuple[int, ...] = ()

    # -- what it is told ---------------------------------------------------------------------------------------------

    def told(self, batch: Batch) -> Tensor | None:
        """(N, K): what the batch says of its pictures, None for a system that is told nothing: a class as one of K, classes as ones and noughts, probabilities
        and vectors as they are; nought where nothing is known."""
        if not self.classes:
            return None
        rows = torch.zeros(len(batch), self.classes, device=batch.inputs.device)
        for row, target in zip(rows, batch.targets.get(self.head, ()), strict=False):
            values = getattr(target, "values", None)
            if values is not None:
                row.copy_(values.clamp_min(0))
            elif getattr(target, "probabilities", None) is not None:
                row.copy_(target.probabilities)
            elif target is not None and target.index >= 0:
                row[target.index] = 1.0
        return rows

    def told_of(self, labels: Sequence[int] | Tensor | None, n: int) -> Tensor | None:
        """(n, K) of class ids, or of vectors (n, K) as they are; of None for n samples every class in turn, or the mean of every column.

        Raises ValueError for a system that is told nothing, and for ids or shapes that are not its own.
        """
        if not self.classes:
            if labels is not None:
                raise ValueError("the model was trained without classes and cannot be asked for one")
            return None
        if isinstance(labels, Tensor) and labels.ndim == 2:
            if tuple(labels.shape) != (n, self.classes):
                raise ValueError(f"vectors are {tuple(labels.shape)}; expected {(n, self.classes)}")
            return labels.to(self.device, torch.float32)
        if self.columns:
            if labels is not None:
                raise ValueError(f"the model is told the columns {', '.join(self.columns)}, and has no classes")
            return nn.functional.one_hot(torch.full((n,), self.classes - 1), self.classes).to(self.device, torch.float32)
        ids = torch.arange(n) % self.classes if labels is None else torch.as_tensor(labels, dtype=torch.int64)
        if tuple(ids.shape) != (n,) or bool(((ids < 0) | (ids >= self.classes)).any()):
            raise ValueError(f"labels are {ids.tolist()[:8]}; expected {n} class ids from 0 to {self.classes - 1}")
        return nn.functional.one_hot(ids, self.classes).to(self.device, torch.float32)

    def usual(self, n: int) -> Tensor | None:
        """(n, K): the first class, or the mean of every column; None for a system that is told nothing."""
        return None if not self.classes else self.told_of(None if self.columns else [0] * n, n)

    # -- what it gives -----------------------------------------------------------------------------------------------

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def noise(self, n: int, seed: int = 0, first: int = 0) -> Tensor:
        """(n, *noise_shape): the noise of samples `first` and on of a seed."""
        return noise_rows([(seed, first + i) for i in range(n)], self.noise_shape).to(self.device)

    @abstractmethod
    def draw(self, noise: Tensor, told: Tensor | None = None, **options: Any) -> Tensor:
        """Pictures (N, C, h, w) in [0, 1] of noise (N, *noise_shape), a function of both alone."""

    def encode(self, pictures: Tensor, told: Tensor | None = None) -> Tensor:
        """The noise (N, *noise_shape) that `draw` makes these pictures of, as nearly as it can. Raises ValueError where `encodes` is False."""
        raise ValueError(f"{type(self).__name__} has no codes of pictures")

    @torch.no_grad()
    def sample(self, n: int, *, seed: int = 0, labels: Sequence[int] | Tensor | None = None, first: int = 0, batch: int = 256, **options: Any) -> Tensor:
        """n pictures (n, C, h, w) in [0, 1], in eval mode; those of (seed, i) are the same whatever n.

        labels: class ids, or vectors (n, classes); every class in turn where nothing is said. options: those of the system's `draw` (steps,
        guidance, eta). Raises ValueError for labels that it does not know.
        """
        was_training, told, found = self.training, self.told_of(labels, n), []
        self.eval()
        for start in range(0, n, batch):
            stop = min(n, start + batch)
            found.append(self.draw(self.noise(stop - start, seed, first + start), None if told is None else told[start:stop], **options))
        self.train(was_training)
        return torch.cat(found) if found else torch.zeros(0, self.channels, *self.size)

    # -- what jobs ask -----------------------------------------------------------------------------------------------

    def facts(self, batch: Batch) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
        """The losses of a batch by noise that follows from the pictures' ids, and what is said of every picture."""
        return self(batch), [{} for _ in range(len(batch))]

    def evaluate(self, batch: Batch) -> tuple[dict[str, Tensor], dict[str, list[Any]]]:
        losses, facts = self.facts(batch)
        pictures = batch.inputs.detach().float().cpu()
        return losses, {self.head: [Seen(picture, found) for picture, found in zip(pictures, facts, strict=True)]}


def noise_rows(keys: Sequence[tuple[int, int]], shape: tuple[int, ...]) -> Tensor:
    """(n, *shape) standard normal numbers; row i follows from its (seed, place) alone."""
    generator, rows = torch.Generator(), []
    for seed, place in keys:
        generator.manual_seed(zlib.crc32(f"{seed % SEEDS}:{place}".encode()) ^ (seed % SEEDS) << 20 & SEEDS)
        rows.append(torch.randn(shape, generator=generator))
    return torch.stack(rows) if rows else torch.zeros(0, *shape)


def chance_of(batch: Batch, salt: int = 0) -> torch.Generator:
    """A generator whose numbers follow from the ids of the batch's pictures, so that a validation always draws the same."""
    text = "\n".join(meta.id for meta in batch.meta)
    return torch.Generator().manual_seed(zlib.crc32(text.encode("utf-8", "surrogatepass")) + (salt << 32))


def groups_of(*parts: nn.Module, betas: tuple[float, float] | None = None) -> list[dict[str, Any]]:
    """Parameter groups of these parts, as `phases.decay_groups`; betas: of optimisers of Adam's kind, for these parts alone."""
    groups = [group for part in parts for group in decay_groups(part)]
    return groups if betas is None else [group | {"betas": betas} for group in groups]


def pooled_sizes(size: tuple[int, int], times: int) -> list[tuple[int, int]]:
    """(h, w) after 0 to `times` halvings, each rounded up."""
    sizes = [size]
    for _ in range(times):
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes
