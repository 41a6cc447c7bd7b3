"""Sequences drawn as ribbons: truth, answer, the marginals of every class and of the hidden states, frames from left to right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from saccade.core import LabelSpace, Metric, Model
from saccade.data.loader import Loader
from saccade.inference.evaluate import Evaluation, Shown, evaluate
from saccade.inference.postprocess import Postprocess
from saccade.targets import TagSequence, paint

WIDTH, MARGIN, CELL = 720, 120, 24  # pixels: of a picture at most, left for names, of a frame at most
TAGS_HEIGHT, CLASS_HEIGHT, STATE_HEIGHT, GAP = 20, 12, 7, 3
MOST_CLASSES = 24


def ribbons(truth: TagSequence | None, answer: TagSequence, states: Tensor | None, space: LabelSpace) -> np.ndarray:
    """(h, w, 3) uint8. states: (T, S) marginals of hidden states, S a multiple of the classes; drawn in the colours of the classes they belong to.

    Of a sequence that is longer than the picture is wide only every so many frames are shown.
    """
    steps = len(answer)
    kept = np.linspace(0, max(steps - 1, 0), min(steps, WIDTH)).astype(int)
    palette = np.array([paint.colour_of(space, k) for k in range(len(space))], np.float64).reshape(-1, 3)
    rows: list[tuple[str, np.ndarray, int]] = []
    if truth is not None:
        rows.append(("truth", _colours(truth, kept, space), TAGS_HEIGHT))
    rows.append(("answer", _colours(answer, kept, space), TAGS_HEIGHT))
    if answer.scores is not None:
        for k in range(min(len(space), MOST_CLASSES)):
            rows.append((f"p({space.names[k]})", _shade(answer.scores[kept, k].numpy(), palette[k]), CLASS_HEIGHT))
    if states is not None and len(space):
        each = states.shape[1] // len(space)
        for s in range(min(states.shape[1], MOST_CLASSES * each)):
            name = f"states of {space.names[s // each]}" if s % each == 0 else ""
            rows.append((name, _shade(states[kept, s].numpy(), palette[s // each]), STATE_HEIGHT))
    return _stacked(rows, len(kept), {int(k) for part in (truth, answer) if part is not None for k in part.tags.tolist()}, space)


def _colours(tags: TagSequence, kept: np.ndarray, space: LabelSpace) -> np.ndarray:
    return np.array([paint.colour_of(space, int(tags.tags[i])) for i in kept], np.uint8).reshape(-1, 3)


def _shade(p: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """(T,) probabilities -> (T, 3) from white to a colour."""
    return np.round(255 + p.astype(np.float64)[:, None].clip(0, 1) * (colour - 255)).astype(np.uint8)


def _stacked(rows: Sequence[tuple[str, np.ndarray, int]], steps: int, present: set[int], space: LabelSpace) -> np.ndarray:
    cell = max(1, min(CELL, WIDTH // max(steps, 1)))
    height = sum(tall + GAP for _, _, tall in rows)
    picture = np.full((height, MARGIN + max(steps * cell, 120), 3), 255, np.uint8)
    canvas, top = paint.Canvas(picture), 0
    for name, colours, tall in rows:
        canvas.pixels[top : top + tall, MARGIN : MARGIN + steps * cell] = np.repeat(colours, cell, 0)
        if name:
            canvas.mark(np.array([0.0, float(top + max(tall, CLASS_HEIGHT))]), name, paint.WHITE)
        top += tall + GAP
    canvas.legend((paint.colour_of(space, k), paint.name_of(space, k)) for k in sorted(present))
    return canvas.finish()


def evaluate_sequences(
    model: Model,
    loader: Loader,
    *,
    metric: Metric[Any],
    space: LabelSpace,
    head: str,
    post: Postprocess | None = None,
    autocast: AbstractContextManager[None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """As `inference.evaluate.evaluate`; the sequences that are shown are drawn as ribbons, with their hidden states where the head has any."""
    found = evaluate(model, loader, metric=metric, space=space, head=head, post=post, autocast=autocast, progress=progress)
    named = {record.id: place for place, record in enumerate(loader.dataset.records)}
    wanted = sorted({named[item.row["id"]] for item in (*found.worst, *found.typical)})
    with torch.inference_mode():
        states = _states(model, loader, wanted, head)

    def drawn(item: Shown) -> Shown:
        return Shown(item.row, ribbons(item.truth, item.answer, states.get(item.row["id"]), space), None, None)

    return replace(found, worst=tuple(map(drawn, found.worst)), typical=tuple(map(drawn, found.typical)))


def _states(model: Model, loader: Loader, places: Sequence[int], head: str) -> dict[str, Tensor]:
    """By record id the marginals (T, S) of the hidden states; none where the head has no more states than classes."""
    network: Any = model.heads[head]
    if getattr(network, "states", 1) < 2 or not places:
        return {}
    device, answers = next(model.parameters()).device, dict[str, Tensor]()
    few = Loader(loader.dataset.subset(places), loader.preprocess, batch_size=loader.batch_size, threads=0, cache_bytes=0)
    for batch in few.epoch(0):
        out = model.outputs(batch.inputs.to(device), batch.sizes.to(device))[head]
        answers |= dict(zip((meta.id for meta in batch.meta), network.hidden_states(out), strict=True))
    return answers
