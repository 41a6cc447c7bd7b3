"""The last layer alone, fitted without gradient steps: logistic regression on fixed features, prototypes, and one more class.

All of them work on the numbers that enter the head's last linear layer, computed once for every image by the network as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from saccade.core import IGNORE, Batch, Feeds, Model
from saccade.errors import UsageError

Fit = Literal["loop", "linear", "prototypes"]
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)  # of the squared weights of standardised features, times 1 / n
DEFAULT_PENALTY = 1e-2
STEPS = 200


class Examples(NamedTuple):
    """features: (n, d) float64, what enters the last layer. truth: (n,) class ids. ids: the records' names."""

    features: Tensor
    truth: Tensor
    ids: tuple[str, ...]


class Layer(NamedTuple):
    """weight (K, d), bias (K,), and the penalty that they were found with (nan for prototypes)."""

    weight: Tensor
    bias: Tensor
    penalty: float


def last_layer(model: Model, head: str = "label") -> nn.Linear:
    """The linear layer that gives the scores of the classes. Raises UsageError USE-OPTION for a head that does not end in one."""
    found = getattr(model.heads[head], "output", None)
    if head != "label":
        raise UsageError("USE-OPTION", f"answers are {head}, and only a class for a whole image is fitted so", where="--fit", fix="train it by --fit loop")
    if not isinstance(found, nn.Linear) or found.out_features != getattr(model.heads[head], "classes", None):
        raise UsageError(
            "USE-OPTION",
            f"the head {type(model.heads[head]).__name__} does not end in a linear layer with a row a class",
            where="--fit",
            fix="train it by --fit loop",
        )
    return found


@torch.no_grad()
def examples_of(model: Model, batches: Iterable[Batch], *, head: str = "label", autocast: AbstractContextManager[Any] | None = None) -> Examples:
    """The features and truths of all labelled images, in eval mode."""
    model.eval()
    device = next(model.parameters()).device
    caught: list[Tensor] = []
    hook = last_layer(model, head).register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0].detach()))
    features, truth, ids = list[Tensor](), list[int](), list[str]()
    try:
        with autocast or nullcontext():
            for batch in batches:
                caught.clear()
                model.outputs(batch.inputs.to(device), batch.sizes.to(device))
                targets = batch.targets.get(head, [None] * len(batch))
                keep = [i for i, target in enumerate(targets) if target is not None and target.index != IGNORE]
                features.append(caught[-1].double().cpu()[keep])
                truth += [targets[i].index for i in keep]
                ids += [batch.meta[i].id for i in keep]
    finally:
        hook.remove()
    width = last_layer(model, head).in_features
    return Examples(torch.cat(features) if features else torch.zeros(0, width, dtype=torch.float64), torch.tensor(truth, dtype=torch.int64), tuple(ids))


def fit_last_layer(model: Model, feeds: Feeds, how: Fit, *, head: str = "label", autocast: AbstractContextManager[Any] | None = None) -> Layer:
    """Fits the last layer in place: "linear" by logistic regression, "prototypes" by the classes' mean features. The rest stays as it is."""
    train = examples_of(model, feeds.train.epoch(0), head=head, autocast=autocast)
    val = examples_of(model, feeds.val.epoch(0), head=head, autocast=autocast) if feeds.val is not None else None
    layer = last_layer(model, head)
    found = fit_linear(train, layer.out_features, val) if how == "linear" else prototypes(train, layer.out_features, val)
    with torch.no_grad():
        layer.weight.copy_(found.weight)
        layer.bias.copy_(found.bias)
    return found


def fit_linear(train: Examples, classes: int, val: Examples | None = None) -> Layer:
    """Multinomial logistic regression: mean cross entropy + penalty / 2 |W|^2 over standardised features, the bias free; convex, by L-BFGS.

    The penalty is that of the lowest cross entropy on `val` among `PENALTIES`, else 0.01. Raises UsageError USE-VALUE without examples.
    """
    if not len(train.truth):
        raise UsageError("USE-VALUE", "no labelled image to fit the last layer by", where="--fit")
    mean, std = train.features.mean(0), train.features.std(0, correction=0).clamp_min(1e-8)
    x = (train.features - mean) / std
    best: tuple[float, float, Tensor, Tensor] | None = None
    start: tuple[Tensor, Tensor] | None = None
    for penalty in sorted(PENALTIES, reverse=True) if val is not None and len(val.truth) else (DEFAULT_PENALTY,):
        w, b = start = _regress(x, train.truth, classes, penalty, start)
        loss = 0.0 if val is None or not len(val.truth) else float(nn.functional.cross_entropy(((val.features - mean) / std) @ w.T + b, val.truth))
        if best is None or loss < best[0]:
            best = (loss, penalty, w, b)
    assert best is not None
    _, penalty, w, b = best
    return Layer(w / std, b - (w / std) @ mean, penalty)


def _regress(x: Tensor, truth: Tensor, classes: int, penalty: float, start: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
    w = (torch.zeros(classes, x.shape[1], dtype=x.dtype) if start is None else start[0].clone()).requires_grad_()
    b = (torch.zeros(classes, dtype=x.dtype) if start is None else start[1].clone()).requires_grad_()
    search = torch.optim.LBFGS([w, b], max_iter=STEPS, tolerance_grad=1e-8, tolerance_change=1e-13, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        search.zero_grad()
        value = nn.functional.cross_entropy(x @ w.T + b, truth) + penalty / 2 * w.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad():
        search.step(loss)  # type: ignore[arg-type]
    return w.detach(), b.detach()


def prototypes(train: Examples, classes: int, val: Examples | None = None) -> Layer:
    """The nearest class mean (Snell, Swersky and Zemel 2017): score_k = -s |f - c_k|^2, which is linear up to what all classes share.

    s scales the distances so that the cross entropy of the validation images (else of the images themselves, each left out of its own
    mean) is least. A class without an image is never the answer.
    """
    counts = torch.bincount(train.truth, minlength=classes).double()
    sums = torch.zeros(classes, train.features.shape[1], dtype=torch.float64).index_add_(0, train.truth, train.features)
    means = sums / counts.clamp_min(1)[:, None]
    distances, truth = _distances(train, val, means, counts)
    scales = torch.logspace(-4, 2, 61, dtype=torch.float64) / distances[torch.isfinite(distances)].mean().clamp_min(1e-12)
    losses = [float(nn.functional.cross_entropy(-s * distances.clamp_max(1e12), truth)) if len(truth) else 0.0 for s in scales]
    s = scales[int(np.argmin(losses))]
    bias = -s * means.square().sum(1)
    bias[counts == 0] = -1e4
    return Layer(2 * s * means, bias, float("nan"))


def _distances(train: Examples, val: Examples | None, means: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Squared distances (n, K) to the class means, of validation images, else of each image to means without it; and the truths."""
    if val is not None and len(val.truth):
        return torch.cdist(val.features, means).square(), val.truth
    found = torch.cdist(train.features, means).square()
    own = counts[train.truth]
    rows = torch.arange(len(own))
    found[rows, train.truth] *= (own / (own - 1).clamp_min(1)).square()  # the mean without the image lies n / (n - 1) times as far
    return found[own > 1], train.truth[own > 1]


def one_more(weight: Tensor, bias: Tensor, new: Tensor, old: Examples | None = None, *, penalty: float = DEFAULT_PENALTY) -> tuple[Tensor, float]:
    """The row (d,) and bias of a class that is added to fixed ones: the least of a convex loss, by L-BFGS.

    weight (K, d), bias (K,): of the old classes, fixed. new: (n, d) features of the new class. old: examples of the old classes (replay),
    which together weigh as much as K classes of the new one's weight. Loss: cross entropy over K + 1 classes plus the penalty on the row over
    features standardised by the examples at hand. Without old examples nothing says where the new class ends: the loss is then of
    the new images alone, and the penalty is what stops it.
    """
    weight, bias = weight.double(), bias.double()
    x = new if old is None else torch.cat([new, old.features])
    truth = torch.full((len(new),), len(bias), dtype=torch.int64) if old is None else torch.cat([torch.full((len(new),), len(bias)), old.truth])
    share = torch.full((len(x),), 1.0 / len(new), dtype=torch.float64)
    if old is not None:
        share[len(new) :] = len(bias) / max(1, len(old.truth))
    share = share / share.sum()
    mean, std = x.mean(0), x.std(0, correction=0).clamp_min(1e-6)
    z, fixed = (x - mean) / std, x @ weight.T + bias
    row, own = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True), torch.zeros((), dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([row, own], max_iter=STEPS, tolerance_grad=1e-9, tolerance_change=1e-13, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        search.zero_grad()
        scores = torch.cat([fixed, (z @ row + own)[:, None]], 1)
        value = (share * nn.functional.cross_entropy(scores, truth, reduction="none")).sum() + penalty / 2 * (row.square().sum() + own.square())
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad():
        search.step(loss)  # type: ignore[arg-type]
    found = row.detach() / std
    return found, float(own.detach() - found @ mean)


def recalls(examples: Examples, weight: Tensor, bias: Tensor, classes: Sequence[int]) -> dict[int, tuple[int, int]]:
    """{class: (named rightly, images)} of the examples by a linear layer."""
    answer = (examples.features @ weight.double().T + bias.double()).argmax(1)
    return {k: (int(((answer == k) & (examples.truth == k)).sum()), int((examples.truth == k).sum())) for k in classes}
