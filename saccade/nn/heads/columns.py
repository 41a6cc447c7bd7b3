"""Several questions of a whole image with one answer each, such as colour and shape: a head a question over the same features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from saccade.core import LabelSpace, Level, Meta
from saccade.nn.heads.classify import full
from saccade.nn.heads.multi_label import MultiLabel, MultiLabelOut, answers
from saccade.targets.labels import Labels


class Columns(MultiLabel):
    """A softmax over the answers of each question, a sigmoid for a question of yes or no; questions without a truth cost nothing.

    names: the K answers, see `LabelSpace.questions`. Other options are those of `MultiLabel`.
    """

    def __init__(self, level: Level, names: Sequence[str], **options: Any) -> None:
        super().__init__(level, len(names), **options)
        self.columns = LabelSpace(tuple(names)).questions

    def probabilities(self, logits: Tensor) -> Tensor:
        """(N, K) scores -> (N, K) probabilities, summing to 1 over the answers of each question."""
        out = torch.sigmoid(logits)
        for places in self.columns.values():
            if len(places) > 1:
                out = out.index_copy(1, torch.tensor(places, device=logits.device), torch.softmax(logits[:, places], 1))
        return out

    def loss(self, out: MultiLabelOut, targets: Sequence[Labels]) -> dict[str, Tensor]:
        """{question: cross entropy} of every question that a truth is known of, the mean over those who know; the sum is what is trained."""
        logits = full(out.logits)
        truth, known = answers(targets, self.classes, logits)
        terms: dict[str, Tensor] = {}
        for name, places in self.columns.items():
            own = known[:, places].all(1) & ((truth[:, places].sum(1) > 0) | (len(places) == 1))
            if not bool(own.any()):
                continue
            scores, right = logits[own][:, places], truth[own][:, places]
            if len(places) > 1:
                terms[name] = -(torch.log_softmax(scores, 1) * right / right.sum(1, keepdim=True)).sum(1).mean()
            else:
                terms[name] = torch.nn.functional.binary_cross_entropy_with_logits(scores, right)
        return terms or {"cross_entropy": logits[:0].sum()}

    def decode(self, out: MultiLabelOut, meta: Sequence[Meta]) -> list[Labels]:
        """The probability of each answer; yes for the most probable of each question, of a question of yes or no from 0.5 on."""
        return [Labels(exclusive(row, self.columns), row) for row in self.probabilities(full(out.logits.detach())).cpu().unbind()]


def exclusive(scores: Tensor, columns: dict[str, list[int]]) -> Tensor:
    """(K,) probabilities -> (K,) int8: one yes for each question of several answers."""
    values = (scores >= 0.5).to(torch.int8)
    for places in columns.values():
        if len(places) > 1:
            values[places] = 0
            values[places[int(scores[places].argmax())]] = 1
    return values
