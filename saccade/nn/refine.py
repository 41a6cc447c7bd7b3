"""Refinement of a segmenter's scores by a random field over the pixels: learnt with the network, or tuned on validation images.

A refiner turns (N, K, H, W) scores and the (N, C, H, W) image into refined scores, which are log marginals. `nn.heads.segment.Segment` takes one, so that
loss and answers are those of the refined scores; `REFINERS` are the names that the models of segmentation know.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from saccade.structured.dense_crf import Kernel, Tie, dense_crf, mean_field, potts
from saccade.structured.grid import grid_belief_propagation, grid_mean_field

Inference = Literal["bp", "mean_field"]
Refine = Literal["none", "dense_crf", "crf_as_rnn", "pixel_crf", "pixel_mean_field"]

SEARCH: Mapping[str, tuple[float, ...]] = {
    "appearance": (0.0, 1.0, 2.0, 4.0, 8.0, 16.0),
    "smoothness": (0.0, 1.0, 2.0, 4.0),
    "colour": (0.02, 0.04, 0.08, 0.16),
    "position": (5.0, 10.0, 20.0, 40.0, 80.0),
    "near": (1.0, 2.0, 3.0),
}
"""What `tune` tries for each setting of a `DenseCRF`: weights, then widths in units of [0, 1] and in pixels. Weights of 0 leave all as it is."""


class Refiner(nn.Module, ABC):
    """forward: (N, K, H, W) scores, (N, C, H, W) image, (N, 2) valid sizes -> (N, K, H, W) log marginals; padding keeps its scores.

    It runs in float32 at least, whatever the network around it runs in.
    """

    def forward(self, logits: Tensor, image: Tensor, extent: Tensor | None = None) -> Tensor:
        """extent: (N, 2) valid (h, w) of every sample, None where all is valid."""
        with torch.autocast(logits.device.type, enabled=False):
            wide = logits if logits.dtype == torch.float64 else logits.float()
            pixels = image.to(wide.dtype)
            if extent is None:
                return self.refined(wide, pixels)
            out = torch.log_softmax(wide, 1)
            rows = []
            for row, (h, w) in enumerate(extent.tolist()):
                inner = self.refined(wide[row : row + 1, :, :h, :w], pixels[row : row + 1, :, :h, :w])
                right = torch.cat([inner[0], out[row, :, :h, w:]], 2)
                rows.append(torch.cat([right, out[row, :, h:]], 1))
            return torch.stack(rows)

    @abstractmethod
    def refined(self, logits: Tensor, image: Tensor) -> Tensor:
        """The same for samples without padding."""


class DenseCRF(Refiner):
    """The fully connected CRF as a layer of few rounds (Zheng et al., "CRF as RNN", 2015): weights (appearance, smoothness) and compatibility are learnt.

    appearance, smoothness: the kernels' weights at first; position, near: their widths in pixels; colour: the width in units of [0, 1].
    learnt: whether the weights and the compatibility are parameters; else they stay as they are set, every difference costs the same (Potts), and with
    both weights at 0 the scores pass as they are, without any work. Kernels are normalised (see `structured.dense_crf`), so that a weight is the most
    that all others can move a pixel's score.
    Raises ValueError for a width that is not above 0 or fewer than one round.
    """

    def __init__(
        self,
        classes: int,
        *,
        appearance: float = 4.0,
        smoothness: float = 1.0,
        position: float = 40.0,
        colour: float = 0.05,
        near: float = 2.0,
        rounds: int = 5,
        learnt: bool = True,
    ) -> None:
        super().__init__()
        if min(position, colour, near) <= 0 or rounds < 1:
            raise ValueError(f"widths above 0 and 1 round or more, got {position}, {colour}, {near} and {rounds}")
        self.weights: Tensor
        self.compatibility: Tensor | None = None
        self.widths: Tensor
        if learnt:
            self.weights = nn.Parameter(torch.tensor([appearance, smoothness]))
            self.compatibility = nn.Parameter(1 - torch.eye(classes))
        else:
            self.register_buffer("weights", torch.tensor([appearance, smoothness]))
        self.register_buffer("widths", torch.tensor([position, colour, near]))
        self.rounds, self.learnt = rounds, learnt

    def forward(self, logits: Tensor, image: Tensor, extent: Tensor | None = None) -> Tensor:
        if not self.learnt and not self.weights.any():
            return logits
        return super().forward(logits, image, extent)

    def refined(self, logits: Tensor, image: Tensor) -> Tensor:
        weights, (position, colour, near) = self.weights.to(logits.dtype), self.widths.to(logits.dtype)
        kernels = [Kernel(weights[0], position, colour), Kernel(weights[1], near)]
        compatibility = None if self.compatibility is None else self.compatibility.to(logits.dtype)
        return dense_crf(logits, image, kernels, compatibility=compatibility, rounds=self.rounds)

    def settings(self) -> dict[str, float]:
        """The weights and widths by the names of `SEARCH`."""
        weights, widths = self.weights.tolist(), self.widths.tolist()
        return {"appearance": weights[0], "smoothness": weights[1], "position": widths[0], "colour": widths[1], "near": widths[2]}

    def set(self, settings: Mapping[str, float]) -> None:
        """Some of them anew. Raises KeyError for a name that is none of `settings`."""
        now = self.settings()
        for name, value in settings.items():
            _ = now[name]
            now[name] = value
        with torch.no_grad():
            self.weights.copy_(torch.tensor([now["appearance"], now["smoothness"]]))
            self.widths.copy_(torch.tensor([now["position"], now["colour"], now["near"]]))


class PixelCRF(Refiner):
    """A CRF over the grid of pixels with learnt tables of ties to the right and down: one that is always there and one that fades with contrast.

    A tie's table is bias + contrast exp(-|I_i - I_j|^2 / 2 m), m being the image's mean squared difference of neighbours (Boykov and Jolly 2001).
    inference: "bp" by sweeps over the picture, or "mean_field". Learnt through its rounds by whatever loss the log marginals enter.
    """

    def __init__(self, classes: int, *, inference: Inference = "bp", rounds: int = 2) -> None:
        super().__init__()
        if inference not in ("bp", "mean_field") or rounds < 1:
            raise ValueError(f"inference bp or mean_field and 1 round or more, got {inference!r} and {rounds}")
        self.inference, self.rounds = inference, rounds
        self.bias = nn.Parameter(torch.zeros(2, classes, classes))  # to the right, down
        self.contrast = nn.Parameter(torch.eye(classes).repeat(2, 1, 1) * 0.5)

    def refined(self, logits: Tensor, image: Tensor) -> Tensor:
        across, along = self._ties(image, 3, 0), self._ties(image, 2, 1)
        if self.inference == "mean_field":
            return grid_mean_field(logits, across, along, rounds=self.rounds)
        return grid_belief_propagation(logits, across, along, rounds=self.rounds, tolerance=0.0).log_marginals

    def _ties(self, image: Tensor, axis: int, direction: int) -> Tensor:
        """(N, H, W - 1, K, K) or (N, H - 1, W, K, K)."""
        square = image.diff(dim=axis).square().sum(1)  # (N, H, W - 1) or (N, H - 1, W)
        mean = square.flatten(1).mean(1).clamp_min(1e-8) if square.numel() else square.new_ones(len(image))
        fades = torch.exp(-0.5 * square / mean[:, None, None])[..., None, None]
        return self.bias[direction].to(image.dtype) + self.contrast[direction].to(image.dtype) * fades


REFINERS: Mapping[str, Callable[[int], Refiner]] = {
    "dense_crf": lambda classes: DenseCRF(classes, appearance=0.0, smoothness=0.0, learnt=False),
    "crf_as_rnn": DenseCRF,
    "pixel_crf": PixelCRF,
    "pixel_mean_field": lambda classes: PixelCRF(classes, inference="mean_field"),
}
"""dense_crf: the fully connected CRF, off until it is tuned on validation images after training (`training.refining`). crf_as_rnn: the same, learnt with the
network. pixel_crf, pixel_mean_field: ties of neighbouring pixels learnt with the network, through belief propagation or mean field."""


def refiner_of(name: Refine, classes: int) -> Refiner | None:
    """A fresh refiner of that name for so many classes; None for "none"."""
    return None if name == "none" else REFINERS[name](classes)


Sample = tuple[Tensor, Tensor]
"""Scores (1, K, H, W) of a validation image, and the image (1, C, H, W)."""


STARTS: tuple[Mapping[str, float], ...] = tuple(
    {"appearance": 4.0, "smoothness": 1.0, "position": position, "colour": colour, "near": 2.0} for position in (10.0, 40.0) for colour in (0.04, 0.16)
)
"""What `tune` tries first where it is not told what."""
KEPT = 2  # pairs of widths whose ties are kept for the next trials


def tune(
    refiner: DenseCRF,
    samples: Sequence[Sample],
    score: Callable[[list[Tensor]], float],
    *,
    search: Mapping[str, Sequence[float]] = SEARCH,
    starts: Sequence[Mapping[str, float]] = (),
    passes: int = 2,
) -> list[dict[str, float]]:
    """Sets the refiner to the best of what is tried, one setting after the other, and returns all that was tried with its "score".

    score: of the refined (K, H, W) log marginals of all samples, larger is better. The first trial has both weights at 0, which leaves the
    scores alone: what is set is never below it on these images. Then come the settings it has and those of `starts`, from the best of which
    the search goes on. Ties keep the earlier. Costs between labels are taken as alike. Raises ValueError without samples.
    """
    if not samples:
        raise ValueError("a refiner is tuned on at least one image")
    trials: list[dict[str, float]] = []
    kept: dict[tuple[float, float], list[Tie]] = {}

    def tried(settings: Mapping[str, float]) -> float:
        known = next((t["score"] for t in trials if all(t[name] == value for name, value in settings.items())), None)
        if known is not None:
            return known
        value = score(with_settings(samples, settings, refiner.rounds, kept))
        trials.append({**settings, "score": value})
        return value

    first = refiner.settings()
    best = {**first, "appearance": 0.0, "smoothness": 0.0}
    most = tried(best)
    for settings in (first, *({**first, **start} for start in starts)):
        if (value := tried(settings)) > most:
            best, most = settings, value
    for _ in range(passes):
        for name, values in search.items():
            for candidate in values:
                settings = {**best, name: candidate}
                if best["appearance"] == best["smoothness"] == 0 and name not in ("appearance", "smoothness"):
                    continue  # without weights the widths do nothing
                if (value := tried(settings)) > most:
                    best, most = settings, value
    refiner.set(best)
    return trials


@torch.no_grad()
def with_settings(
    samples: Sequence[Sample], settings: Mapping[str, float], rounds: int = 5, kept: dict[tuple[float, float], list[Tie]] | None = None
) -> list[Tensor]:
    """The samples' (K, H, W) log marginals by a dense CRF of these settings (the names of `SEARCH`), every difference of labels costing the same.

    kept: the appearance ties of the samples by their widths, which are dear to make; the last ones are kept for the next call.
    """
    if settings["appearance"] == settings["smoothness"] == 0:
        return [torch.log_softmax(logits[0], 0) for logits, _ in samples]
    widths, held = (settings["position"], settings["colour"]), {} if kept is None else kept
    if settings["appearance"] and widths not in held:
        while len(held) >= KEPT:
            del held[next(iter(held))]
        held[widths] = [Tie(Kernel(1.0, *widths), image[0]) for _, image in samples]
    near, found = Kernel(1.0, settings["near"]), list[Tensor]()
    for i, (logits, image) in enumerate(samples):
        ties: list[tuple[float | Tensor, Tie]] = [(settings["smoothness"], Tie(near, image[0]))]
        if settings["appearance"]:
            ties.append((settings["appearance"], held[widths][i]))
        found.append(mean_field(logits[0], ties, potts(logits.shape[1], logits), rounds))
    return found
