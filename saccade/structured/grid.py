"""Pixel grids with ties to the four neighbours: belief propagation and mean field, a row, a column or a chequer at once.

    score(x) = sum_i unary_i(x_i) + sum of right(x_i, x_j) over pairs (i, j to its right) + sum of down(x_i, x_j) over pairs (i, j below it)

Unary scores are (N, K, H, W). A table of ties is (K, K), the same everywhere, or (N or 1, H, W - 1, K, K) to the right and (N or 1, H - 1, W, K, K)
down; the first K is the upper or left pixel's label. Messages are kept in logarithms; a table that is the same everywhere is a matrix product.
Grids have cycles: but for a single row or column the answers are approximations (see `belief_propagation`). All is differentiable.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from saccade.structured.factor_graph import Factor, FactorGraph, log_sum, possible

Schedule = Literal["sweeps", "parallel"]
SPREAD = {torch.float32: 60.0, torch.float64: 500.0}  # within which a table is still multiplied outside of the logarithms


class GridBeliefs(NamedTuple):
    """log_marginals: (N, K, H, W), for max-product of the max-marginals. log_z: (N,) Bethe's, NaN for max-product. The others as in `Beliefs`."""

    log_marginals: Tensor
    log_z: Tensor
    rounds: int
    residual: float
    settled: bool


class _Messages(NamedTuple):
    """What each pixel hears from its left, right, upper and lower neighbour, (N, H, W, K) each; 0 where there is none."""

    left: Tensor
    right: Tensor
    up: Tensor
    down: Tensor


def _checked(unary: Tensor, right: Tensor, down: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(N, H, W, K) and the tables with five axes or two. Raises ValueError where they do not fit."""
    if unary.ndim != 4:
        raise ValueError(f"unary scores are (N, K, H, W), got {tuple(unary.shape)}")
    n, k, h, w = unary.shape
    for name, table, size in (("right", right, (h, w - 1)), ("down", down, (h - 1, w))):
        if table.shape not in ((k, k), (1, *size, k, k), (n, *size, k, k)):
            raise ValueError(f"ties {name} are ({k}, {k}) or ({n} or 1, {size[0]}, {size[1]}, {k}, {k}), got {tuple(table.shape)}")
    return unary.permute(0, 2, 3, 1), right, down


def _send(scores: Tensor, table: Tensor, maximise: bool) -> Tensor:
    """(..., K) scores of the sender -> (..., K) scores of the receiver, not normalised; table (K, K) or (..., K, K) with the sender first."""
    if maximise:
        return (scores[..., None] + table).amax(-2)
    finite = table.detach()[table.detach() > float("-inf")]
    if table.ndim == 2 and finite.numel() and float(finite.max() - finite.min()) < SPREAD.get(scores.dtype, 0.0):
        top, most = scores.detach().amax(-1, keepdim=True), finite.max()
        top = torch.where(torch.isfinite(top), top, 0.0)
        sums = (scores - top).exp() @ (table - most).exp()
        none = sums == 0
        return torch.where(none, float("-inf"), torch.where(none, 1.0, sums).log() + top + most)
    return log_sum(scores[..., None] + table, [-2])


def _normal(message: Tensor) -> Tensor:
    norm = log_sum(message, [-1])
    possible(norm)
    return message - norm[..., None]


def grid_belief_propagation(
    unary: Tensor,
    right: Tensor,
    down: Tensor,
    *,
    maximise: bool = False,
    schedule: Schedule = "sweeps",
    damping: float = 0.0,
    rounds: int = 50,
    tolerance: float = 1e-6,
) -> GridBeliefs:
    """schedule: sweeps pass over the picture to the right, left, down and up in each round, every column or row seeing the one before it renewed,
    so that news crosses the picture in one round; parallel renews all messages at once. damping: the share of the old message kept.

    Raises ValueError for shapes that do not fit, for values out of range, and where hard constraints leave nothing.
    """
    if not 0 <= damping < 1 or rounds < 1 or schedule not in ("sweeps", "parallel"):
        raise ValueError(f"damping 0 to below 1, 1 round or more, schedule sweeps or parallel; got {damping}, {rounds}, {schedule!r}")
    scores, right, down = _checked(unary, right, down)
    messages, made, residual = _silence(scores), 0, float("inf")
    renew = _swept if schedule == "sweeps" else _at_once
    while made < rounds and residual > tolerance:
        old, made = messages, made + 1
        messages = renew(scores, old, right, down, (maximise, damping))
        residual = max(float((m.detach().exp() - o.detach().exp()).abs().max()) for m, o in zip(messages, old, strict=True))
    total = scores + messages.left + messages.right + messages.up + messages.down
    log_z = torch.full_like(total[:, 0, 0, 0], float("nan")) if maximise else _bethe(scores, messages, right, down)
    return GridBeliefs(_normal(total).permute(0, 3, 1, 2), log_z, made, residual, residual <= tolerance)


def _silence(scores: Tensor) -> _Messages:
    """Uniform messages, and 0 from beyond the edges."""
    first = [torch.full_like(scores, 1 / scores.shape[3]).log() for _ in range(4)]
    for message, (axis, place) in zip(first, ((2, 0), (2, -1), (1, 0), (1, -1)), strict=True):
        message.select(axis, place).zero_()
    return _Messages(*first)


def _damped(new: Tensor, old: Tensor, damping: float) -> Tensor:
    return _normal((1 - damping) * _normal(new) + damping * old) if damping else _normal(new)


def _at_once(scores: Tensor, old: _Messages, right: Tensor, down: Tensor, how: tuple[bool, float]) -> _Messages:
    maximise, damping = how
    level, upright = scores + old.up + old.down, scores + old.left + old.right
    to_right = _send((level + old.left)[:, :, :-1], right, maximise)
    to_left = _send((level + old.right)[:, :, 1:], right.transpose(-1, -2), maximise)
    to_below = _send((upright + old.up)[:, :-1], down, maximise)
    to_above = _send((upright + old.down)[:, 1:], down.transpose(-1, -2), maximise)
    return _Messages(
        torch.cat([old.left[:, :, :1], _damped(to_right, old.left[:, :, 1:], damping)], 2),
        torch.cat([_damped(to_left, old.right[:, :, :-1], damping), old.right[:, :, -1:]], 2),
        torch.cat([old.up[:, :1], _damped(to_below, old.up[:, 1:], damping)], 1),
        torch.cat([_damped(to_above, old.down[:, :-1], damping), old.down[:, -1:]], 1),
    )


def _scan(own: Tensor, old: Tensor, table: Tensor, axis: int, how: tuple[bool, float]) -> Tensor:
    """What is heard along an axis from the smaller place, each sender having heard before it speaks. own: all else that a sender knows."""
    maximise, damping = how
    heard = [old.select(axis, 0)]
    for place in range(own.shape[axis] - 1):
        ties = table if table.ndim == 2 else table.select(axis, place)
        heard.append(_damped(_send(own.select(axis, place) + heard[-1], ties, maximise), old.select(axis, place + 1), damping))
    return torch.stack(heard, axis)


def _swept(scores: Tensor, old: _Messages, right: Tensor, down: Tensor, how: tuple[bool, float]) -> _Messages:
    level = scores + old.up + old.down
    left = _scan(level, old.left, right, 2, how)
    back = right.transpose(-1, -2)
    from_right = _scan(level.flip(2), old.right.flip(2), back if back.ndim == 2 else back.flip(2), 2, how).flip(2)
    upright = scores + left + from_right
    up = _scan(upright, old.up, down, 1, how)
    back = down.transpose(-1, -2)
    below = _scan(upright.flip(1), old.down.flip(1), back if back.ndim == 2 else back.flip(1), 1, how).flip(1)
    return _Messages(left, from_right, up, below)


def _bethe(scores: Tensor, m: _Messages, right: Tensor, down: Tensor) -> Tensor:
    """(N,): from the messages alone: the pixels' and the ties' log sums, less those of what they told each other (Mézard and Montanari 2009, eq. 14.27)."""
    total = scores + m.left + m.right + m.up + m.down
    log_z = log_sum(total, [3]).sum((1, 2))
    level = total[:, :, :-1], m.right[:, :, :-1], total[:, :, 1:], m.left[:, :, 1:], right
    upright = total[:, :-1], m.down[:, :-1], total[:, 1:], m.up[:, 1:], down
    for first, from_second, second, from_first, table in (level, upright):
        joint = log_sum(_send(first - from_second, table, False) + second - from_first, [3])
        log_z = log_z + (joint - log_sum(first, [3]) - log_sum(second, [3])).sum((1, 2))
    return log_z


def grid_mean_field(unary: Tensor, right: Tensor, down: Tensor, *, rounds: int = 10) -> Tensor:
    """(N, K, H, W) log q after rounds of naive mean field, from softmax(unary), the two chequers in turn; finite tables only (ValueError)."""
    scores, right, down = _checked(unary, right, down)
    if rounds < 0 or not (torch.isfinite(right).all() and torch.isfinite(down).all()):
        raise ValueError(f"rounds of 0 or more and finite ties, got {rounds} rounds; for hard constraints use grid_belief_propagation")
    h, w = scores.shape[1:3]
    white = ((torch.arange(h, device=scores.device)[:, None] + torch.arange(w, device=scores.device)) % 2 == 0)[None, :, :, None]
    log_q = torch.log_softmax(scores, 3)
    for half in range(2 * rounds):
        q = log_q.exp()
        pad = torch.nn.functional.pad
        heard = pad(_mean(q[:, :, :-1], right), (0, 0, 1, 0)) + pad(_mean(q[:, :, 1:], right.transpose(-1, -2)), (0, 0, 0, 1))
        heard = heard + pad(_mean(q[:, :-1], down), (0, 0, 0, 0, 1, 0)) + pad(_mean(q[:, 1:], down.transpose(-1, -2)), (0, 0, 0, 0, 0, 1))
        log_q = torch.where(white if half % 2 == 0 else ~white, torch.log_softmax(scores + heard, 3), log_q)
    return log_q.permute(0, 3, 1, 2)


def _mean(q: Tensor, table: Tensor) -> Tensor:
    return q @ table if table.ndim == 2 else (q[..., None] * table).sum(-2)


def grid_graph(unary: Tensor, right: Tensor, down: Tensor) -> FactorGraph:
    """The same as a factor graph with batch N, variables row by row: for exact answers on narrow grids, sampling, or comparison."""
    scores, right, down = _checked(unary, right, down)
    n, h, w, k = scores.shape
    wide = [t.expand(n, *size, k, k) for t, size in ((right, (h, w - 1)), (down, (h - 1, w)))]
    factors = [Factor((y * w + x,), scores[:, y, x]) for y in range(h) for x in range(w)]
    factors += [Factor((y * w + x, y * w + x + 1), wide[0][:, y, x]) for y in range(h) for x in range(w - 1)]
    factors += [Factor((y * w + x, y * w + x + w), wide[1][:, y, x]) for y in range(h - 1) for x in range(w)]
    return FactorGraph((k,) * (h * w), factors)
