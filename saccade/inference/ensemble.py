"""Several models, or several views of every input, as one model: their answers are averaged, multiplied, voted or fused.

An `Ensemble` stands wherever a network predicts (`inference.evaluate`, `inference.predict`): it has `predict` and `outputs`, is never trained,
and is not written to a file. Every answer is brought back into the pixels of the picture before they are combined, so that the members may have
inputs of different sizes and the views may be mirrored, turned or cut out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
import torch
from torch import Tensor, nn

from saccade import bundle
from saccade.core import IGNORE, Geometry, LabelSpace, Meta, Model
from saccade.errors import UsageError
from saccade.inference.views import seen, views_named
from saccade.metrics.calibration import scale
from saccade.ops.fusion import weighted_box_fusion
from saccade.targets import Boxes, Keypoints, Label, Labels

Combine = Literal["mean", "geometric", "vote"]
COMBINE: tuple[Combine, ...] = get_args(Combine)


@dataclass(frozen=True)
class Member:
    """One network of an ensemble. size: of its own input, None takes what it is given; temperature: that its probabilities are taken at
    (`inference.postprocess`); order: where each class of the ensemble is in its own list, None for the same order."""

    model: Model
    size: tuple[int, int] | None = None
    temperature: float = 1.0
    order: tuple[int, ...] | None = None


class Ensemble(nn.Module):
    """Members and views as one model.

    combine: mean of the probabilities; geometric, the mean of their logarithms (a product of experts), of classes alone; or vote, in which
    every member and view has one voice for a class and the shares are the probabilities. Boxes are fused by `ops.fusion` whatever it says, the
    points of one object are averaged, other answers put together by their own `merge`. weights: of the members, of classes, boxes and points alone;
    all alike where None.
    Raises UsageError USE-VALUE or USE-OPTION for members, weights or a way that do not go together.
    """

    def __init__(self, members: Sequence[Member], *, combine: Combine = "mean", views: str = "none", weights: Sequence[float] | None = None) -> None:
        super().__init__()
        if not members or len({tuple(m.model.heads) for m in members}) != 1:
            raise UsageError("USE-VALUE", f"{len(members)} models with the heads {[list(m.model.heads) for m in members]}, expected the same heads")
        if combine not in COMBINE:
            raise UsageError("USE-VALUE", f"{combine}; the options are {', '.join(COMBINE)}", where="--combine")
        if weights is not None and (len(weights) != len(members) or not all(0 < w < float("inf") for w in weights)):
            raise UsageError("USE-VALUE", f"{list(weights)[:10]}, expected {len(members)} positive numbers", where="--weights")
        self.models = nn.ModuleList([member.model for member in members])
        self.members = [replace(m, model=None) for m in members]  # type: ignore[arg-type]  # deepcopy and .to() reach the networks by `models` alone
        self.combine: Combine = combine
        self.views, self.weights = views_named(views), None if weights is None else tuple(float(w) for w in weights)

    @property
    def heads(self) -> nn.ModuleDict:
        """Those of the first member, for what asks which there are."""
        return cast(Model, self.models[0]).heads

    def outputs(self, inputs: Tensor, sizes: Tensor) -> dict[str, Any]:
        """Every member's outputs of the plain view, by head: what counting multiply-adds needs."""
        found = [cast(Model, model).outputs(*self._sized(member, inputs, sizes, None)[:2]) for member, model in zip(self.members, self.models, strict=True)]
        return {head: [out[head] for out in found] for head in found[0]}

    def predict(self, inputs: Tensor, sizes: Tensor, meta: Sequence[Meta]) -> dict[str, list[Any]]:
        """One answer for each input and head, in the pixels of the picture."""
        parts: list[dict[str, list[Any]]] = []
        weights: list[float] = []
        for view in self.views:
            shown = seen(view, inputs, sizes, meta)
            for place, (member, model) in enumerate(zip(self.members, self.models, strict=True)):
                found = cast(Model, model).predict(*self._sized(member, *shown))
                parts.append({head: [_own(answer, member) for answer in answers] for head, answers in found.items()})
                weights.append(1.0 if self.weights is None else self.weights[place])
        return {head: [self._one([p[head][i] for p in parts], weights, meta[i]) for i in range(len(meta))] for head in parts[0]}

    def _sized(self, member: Member, inputs: Tensor, sizes: Tensor, meta: Sequence[Meta] | None) -> tuple[Tensor, Tensor, Any]:
        """A batch at the size of a member's own input; mirrored and turned ones too, because only squares are turned there."""
        plane = (inputs.shape[-2], inputs.shape[-1])
        if member.size is None or member.size == plane:
            return inputs, sizes, meta
        smaller = member.size[0] < plane[0]
        resized = torch.nn.functional.interpolate(inputs, member.size, mode="bilinear", align_corners=False, antialias=smaller).clamp(0, 1)
        geometry = Geometry.resize(plane, member.size)
        extents = (sizes * torch.tensor(member.size, device=sizes.device) / torch.tensor(plane, device=sizes.device)).round().to(sizes.dtype)
        return resized, extents, None if meta is None else [replace(m, geometry=m.geometry.then(geometry)) for m in meta]

    def _one(self, parts: list[Any], weights: list[float], meta: Meta) -> Any:
        if isinstance(parts[0], Label):
            return combined_labels(parts, weights, self.combine)
        if self.combine == "geometric" or (self.combine == "vote" and not isinstance(parts[0], Labels)):
            raise UsageError("USE-OPTION", f"{self.combine} is for classes; the answers are {type(parts[0]).__name__}", where="--combine")
        if isinstance(parts[0], Labels) and all(p.scores is not None for p in parts):
            votes = [(p.scores >= 0.5).float() if self.combine == "vote" else p.scores for p in parts]
            mean = weighted_mean(votes, weights)
            return Labels((mean >= 0.5).to(torch.int8), mean)
        if isinstance(parts[0], Boxes):
            return fused_boxes(parts, weights)
        if isinstance(parts[0], Keypoints) and all(len(part) == 1 and part.scores is not None for part in parts):
            return mean_pose(parts, weights)
        if self.weights is not None:
            raise UsageError("USE-OPTION", f"weights are for classes and boxes; the answers are {type(parts[0]).__name__}", where="--weights")
        return type(parts[0]).merge(parts, [Geometry.identity(meta.size)] * len(parts))


def _own(answer: Any, member: Member) -> Any:
    """A member's answer at its temperature, in the ensemble's order of the classes."""
    if not isinstance(answer, Label) or answer.probabilities is None:
        if member.order is not None:
            raise UsageError("USE-OPTION", f"models with their classes in another order are joined for whole images; the answers are {type(answer).__name__}")
        return answer
    probabilities = answer.probabilities
    if member.temperature != 1.0:
        probabilities = torch.from_numpy(scale(probabilities[None].double().numpy(), member.temperature)[0]).float()
    if member.order is not None:
        probabilities = probabilities[list(member.order)]
    return Label(int(probabilities.argmax()), probabilities)


def weighted_mean(values: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """The mean of tensors of one shape, by weights."""
    return torch.tensordot(torch.tensor(weights, dtype=values[0].dtype), torch.stack(list(values)), 1) / sum(weights)


def combined_labels(parts: Sequence[Label], weights: Sequence[float], combine: Combine) -> Label:
    """The class of several answers with distributions of the same classes; equal votes are told apart by the mean of the probabilities."""
    given = [part.probabilities.double() for part in parts if part.probabilities is not None]
    if len(given) != len(parts):
        raise ValueError("every answer of an ensemble must carry its distribution")
    mean = weighted_mean(given, weights)
    if combine == "geometric":
        logs = weighted_mean([p.clamp_min(1e-30).log() for p in given], weights)
        mean = torch.softmax(logs, 0)
    if combine == "vote":
        voices = weighted_mean([torch.nn.functional.one_hot(p.argmax(), len(p)).double() for p in given], weights)
        return Label(int((voices + 1e-6 * mean).argmax()), voices.float())
    return Label(int(mean.argmax()) if mean.isfinite().all() else IGNORE, mean.float())


def fused_boxes(parts: Sequence[Boxes], weights: Sequence[float]) -> Boxes:
    """Weighted box fusion of several answers. Raises ValueError where one has no scores."""
    if any(part.scores is None for part in parts):
        raise ValueError("every answer of an ensemble must carry its scores")
    rows = [[np.asarray(t.cpu(), np.float64) for t in (p.xyxy, cast(Tensor, p.scores), p.classes)] for p in parts]
    xyxy, scores, classes = weighted_box_fusion(*zip(*rows, strict=True), weights=weights)
    return Boxes(torch.from_numpy(xyxy).float(), torch.from_numpy(classes.astype(np.int64)), torch.from_numpy(scores).float())


def mean_pose(parts: Sequence[Keypoints], weights: Sequence[float]) -> Keypoints:
    """Several answers of one object as one: each point is the mean of where they put it, by their scores of it; scores, visibility and box likewise.

    The class is that of the answer with the highest score. Raises ValueError where one has no scores.
    """
    if any(part.scores is None or part.boxes.scores is None for part in parts):
        raise ValueError("every answer of an ensemble must carry its scores")
    shares = torch.tensor(weights, dtype=torch.float64) / sum(weights)
    scores = torch.stack([cast(Tensor, part.scores)[0].double() for part in parts]) * shares[:, None]  # (parts, K)
    sure = scores.clamp_min(1e-9) / scores.clamp_min(1e-9).sum(0)
    xy = (torch.stack([part.xy[0].double() for part in parts]) * sure[..., None]).sum(0)
    seen = (torch.stack([(part.visible[0] == 2).double() for part in parts]) * sure).sum(0) >= 0.5
    whole = torch.stack([cast(Tensor, part.boxes.scores)[0].double() for part in parts])
    box = (torch.stack([part.boxes.xyxy[0].double() for part in parts]) * shares[:, None]).sum(0)
    boxes = Boxes(box[None].float(), parts[int(whole.argmax())].boxes.classes, (whole * shares).sum()[None].float())
    return Keypoints(xy[None].float(), torch.where(seen, 2, 1).to(torch.uint8)[None], boxes, scores.sum(0)[None].float(), parts[0].pairs)


def join(bundles: Sequence[bundle.Bundle], *, combine: Combine = "mean", views: str = "none", weights: Sequence[float] | None = None) -> bundle.Bundle:
    """Model files as one: an `Ensemble` with a card of its own, which `inference.predict.Predictor` takes like any other.

    The card is the first one's with the largest input, without thresholds, temperature and metrics: each member keeps its temperature. Their tasks
    and class names must be the same, the names of whole images in any order; pictures must be made inputs the same way but for the size.
    Raises UsageError USE-VALUE when there is no model, USE-OPTION when they do not go together.
    """
    if not bundles:
        raise UsageError("USE-VALUE", "no model, expected one at least")
    cards = [b.card for b in bundles]
    head, space = next(iter(cards[0].spaces.items()))
    largest = max(cards, key=lambda card: card.inputs.size[0] * card.inputs.size[1])
    for card in cards[1:]:
        _refuse_others(cards[0], card, head)
    members = []
    for one in bundles:
        own = next(iter(one.card.spaces.values()))
        order = None if own.names == space.names else tuple(own.index(name) for name in space.names)
        members.append(Member(cast(Model, one.model), tuple(one.card.preprocess["size"]), float(one.card.postprocess.get("temperature", 1.0)), order))
    if len({m.size for m in members}) == 1:
        members = [replace(m, size=None) for m in members]
    made = Ensemble(members, combine=combine, views=views, weights=weights).eval()
    told = {"members": [{"model": c.model, "sha256": c.sha256} for c in cards], "combine": combine, "views": views, "weights": list(weights or [])}
    card = replace(cards[0], inputs=largest.inputs, preprocess=largest.preprocess, postprocess={}, metrics={}, extra={"ensemble": told}, sha256="")
    return bundle.Bundle(cast(Any, made), card)


def _refuse_others(first: bundle.Card, other: bundle.Card, head: str) -> None:
    """Raises UsageError USE-OPTION for two cards whose models cannot answer together."""

    def plain(card: bundle.Card) -> dict[str, Any]:
        return {k: v for k, v in card.preprocess.items() if k != "size"}

    names = [sorted(_space(card, head).names) for card in (first, other)]
    for what, a, b in (
        ("tasks", first.task, other.task),
        ("heads", list(first.spaces), list(other.spaces)),
        ("classes", *names),
        ("numbers of channels", first.inputs.channels, other.inputs.channels),
        ("preprocessing", plain(first), plain(other)),
    ):
        if a != b:
            raise UsageError("USE-OPTION", f"models of different {what}: {str(a)[:80]} and {str(b)[:80]}", fix="join models that were trained alike")


def _space(card: bundle.Card, head: str) -> LabelSpace:
    return card.spaces[head] if head in card.spaces else LabelSpace(())


def read(paths: Sequence[Path], *, allow_nan: bool = False, **how: Any) -> bundle.Bundle:
    """Model files as one, see `join`. Raises ModelError as `bundle.read` does."""
    return join([bundle.read(path, allow_nan=allow_nan) for path in paths], **how)


def joined(model: Path | str, others: Sequence[Path], views: str, combine: Combine, *, allow_nan: bool = False) -> bundle.Bundle:
    """One model as it is or, with other models or views of every picture, all of them as one. Raises as `bundle.read` and `join` do."""
    if not others and views == "none":
        return bundle.read(bundle.model_file(model), allow_nan=allow_nan)
    return read([bundle.model_file(path) for path in (model, *others)], allow_nan=allow_nan, combine=combine, views=views)
