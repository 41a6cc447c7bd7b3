"""Sequences drawn as ribbons: frames, truth, answer, the marginals of every class and of the hidden states, from left to right."""

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
from saccade.inference.evaluate import Evaluation, Shown, coloured, evaluate
from saccade.inference.postprocess import Postprocess
from saccade.targets import Label, TagSequence, paint

WIDTH, MARGIN, CELL = 720, 120, 24  # pixels: of a picture at most, left for names, of a frame at most
TAGS_HEIGHT, CLASS_HEIGHT, STATE_HEIGHT, GAP = 20, 12, 7, 3
MOST_CLASSES, MOST_NUMBERS = 24, 32
INK = np.array([40.0, 60.0, 90.0])  # of frames, and of states that belong to no class
Row = tuple[str, np.ndarray, int]  # a name, (T, 3) colours, a height


def ribbons(truth: TagSequence | None, answer: TagSequence, states: Tensor | None, space: LabelSpace, column: np.ndarray | None = None) -> np.ndarray:
    """(h, w, 3) uint8. states: (T, S) marginals of hidden states, S a multiple of the classes; drawn in the colours of the classes they belong to.
    column: the frames (see `data.columns`), drawn at the top where they are given.

    Of a sequence that is longer than the picture is wide only every so many frames are shown.
    """
    kept = _kept(len(answer))
    palette = np.array([paint.colour_of(space, k) for k in range(len(space))], np.float64).reshape(-1, 3)
    rows = _numbers(column, kept)
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
    present = {int(k) for part in (truth, answer) if part is not None for k in part.tags.tolist()}
    canvas = _stacked(rows, len(kept), column)
    canvas.legend((paint.colour_of(space, k), paint.name_of(space, k)) for k in sorted(present))
    return canvas.finish()


def drawn_sequence(column: np.ndarray, answer: Any, states: Tensor | None, space: LabelSpace) -> np.ndarray:
    """(h, w, 3) uint8: the frames of a sequence as the network sees them (see `data.columns`), with its tags or its label, and hidden states."""
    if isinstance(answer, TagSequence):
        return ribbons(None, answer, states, space, column)
    steps = column.shape[0] // column.shape[1]
    rows = _numbers(column, kept := _kept(steps))
    for s in range(0 if states is None else min(states.shape[1], MOST_NUMBERS)):
        rows.append(("states" if s == 0 else "", _shade(states[kept, s].numpy(), INK), STATE_HEIGHT))  # type: ignore[index]
    picture = _stacked(rows, len(kept), column).finish()
    assert isinstance(answer, Label)
    return answer.draw(picture, space)


def _kept(steps: int) -> np.ndarray:
    """The places of the frames that are shown."""
    return np.linspace(0, max(steps - 1, 0), min(steps, WIDTH)).astype(int)


def _numbers(column: np.ndarray | None, kept: np.ndarray) -> list[Row]:
    """A row for each of the first numbers of the frames, from its smallest value in white to its largest; none where frames are pictures."""
    if column is None or column.shape[1] > 1:
        return []
    values = column[kept, 0, :MOST_NUMBERS].astype(np.float64)  # (T, D)
    low, high = values.min(0), values.max(0)
    shades = (values - low) / np.where(high > low, high - low, 1)
    return [("frames" if d == 0 else "", _shade(shades[:, d], INK), STATE_HEIGHT) for d in range(values.shape[1])]


def _colours(tags: TagSequence, kept: np.ndarray, space: LabelSpace) -> np.ndarray:
    return np.array([paint.colour_of(space, int(tags.tags[i])) for i in kept], np.uint8).reshape(-1, 3)


def _shade(p: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """(T,) probabilities -> (T, 3) from white to a colour."""
    return np.round(255 + p.astype(np.float64)[:, None].clip(0, 1) * (colour - 255)).astype(np.uint8)


def _stacked(rows: Sequence[Row], steps: int, column: np.ndarray | None) -> paint.Canvas:
    """The rows below one another, names on their left; above them frames that are pictures."""
    cell = max(1, min(CELL, WIDTH // max(steps, 1)))
    wide = max(steps * cell, 120)
    film = _film(column, steps * cell)
    top = 0 if film is None else film.shape[0] + GAP
    picture = np.full((max(1, top + sum(tall + GAP for _, _, tall in rows)), MARGIN + wide, 3), 255, np.uint8)
    canvas = paint.Canvas(picture)
    if film is not None:
        canvas.pixels[: film.shape[0], MARGIN : MARGIN + film.shape[1]] = film
    for name, colours, tall in rows:
        canvas.pixels[top : top + tall, MARGIN : MARGIN + steps * cell] = np.repeat(colours, cell, 0)
        if name:
            canvas.mark(np.array([0.0, float(top + max(tall, CLASS_HEIGHT))]), name, paint.WHITE)
        top += tall + GAP
    return canvas


def _film(column: np.ndarray | None, width: int) -> np.ndarray | None:
    """Frames that are pictures, (T S, S, C) in [0, 1], side by side over so many pixels: those at the middle of each place. None for numbers."""
    if column is None or column.shape[1] == 1 or width < 1:
        return None
    side = column.shape[1]
    count = max(1, width // side)
    chosen = ((np.arange(count) + 0.5) * (column.shape[0] // side) / count).astype(int)
    frames = [column[t * side : (t + 1) * side] for t in chosen]
    return coloured(np.concatenate(frames, axis=1))[:, :width]


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
