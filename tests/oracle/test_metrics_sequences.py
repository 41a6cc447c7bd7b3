"""Metrics of tagged sequences against their slow definitions."""

import functools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saccade.core import LabelSpace
from saccade.errors import ModelError
from saccade.metrics.sequences import SequenceTagging, edit_distance, matched, segments
from saccade.targets import TagSequence

SPACE = LabelSpace(("rest", "wave", "clap"), background=0)
WORDS = st.lists(st.integers(0, 3), max_size=7)


def slow_distance(one, two):
    @functools.cache
    def distance(i, j):
        if not i or not j:
            return i + j
        return min(distance(i - 1, j) + 1, distance(i, j - 1) + 1, distance(i - 1, j - 1) + (one[i - 1] != two[j - 1]))

    return distance(len(one), len(two))


@given(WORDS, WORDS)
def test_edit_distance(one, two):
    assert edit_distance(one, two) == slow_distance(one, two)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=30))
def test_segments_tell_the_tags_again(tags):
    again = [s.tag for s in segments(np.array(tags)) for _ in range(s.last - s.first)]
    assert again == tags and all(a.tag != b.tag for a, b in zip(segments(np.array(tags))[:-1], segments(np.array(tags))[1:], strict=True))


def test_a_known_case():
    """Truth: wave 0-4, clap 6-10. Answer: wave 0-2 (IoU 0.5), wave 3-4 (0.5, the segment is taken), clap 8-10 (0.5), rest elsewhere."""
    truth = [1, 1, 1, 1, 0, 0, 2, 2, 2, 2]
    answer = [1, 1, 0, 1, 0, 0, 0, 0, 2, 2]
    given, wanted = segments(np.array(answer), 0), segments(np.array(truth), 0)
    assert [(s.first, s.last, s.tag) for s in given] == [(0, 2, 1), (3, 4, 1), (8, 10, 2)]
    assert [matched(given, wanted, overlap) for overlap in (0.1, 0.25, 0.5, 0.6)] == [2, 2, 2, 0]
    metric = SequenceTagging(SPACE)
    metric.update(TagSequence(torch.tensor(answer)), TagSequence(torch.tensor(truth)))
    found = metric.compute()
    assert found["segment_f1"].value == pytest.approx(2 * 2 / (3 + 2)) and found["edit"].value == pytest.approx(1 - 1 / 3)
    assert found["accuracy"].value == pytest.approx(0.7) and found["sequence_accuracy"].value == 0
    per_class = {row["class"]: row for row in metric.per_class()}
    assert per_class["wave"]["recall"] == pytest.approx(3 / 4) and per_class["clap"]["f1"] == pytest.approx(2 * 2 / (2 + 4))
    assert found["f1"].value == pytest.approx(np.mean([row["f1"] for row in per_class.values()]))
    facts = metric.of_image(TagSequence(torch.tensor(answer)), TagSequence(torch.tensor(truth)))
    assert facts == pytest.approx({"accuracy": 0.7, "edit": 2 / 3, "segment_f1": 0.8})


def test_unknown_frames_are_cut_out_and_sums_are_one_pass():
    g = np.random.default_rng(0)
    pairs = [(g.integers(0, 3, 12), g.integers(-1, 3, 12)) for _ in range(9)]
    whole, one, two, cut = (SequenceTagging(SPACE) for _ in range(4))
    for i, (answer, truth) in enumerate(pairs):
        for metric in (whole, one if i < 4 else two):
            metric.update(TagSequence(torch.from_numpy(answer)), TagSequence(torch.from_numpy(truth)))
        cut.update(TagSequence(torch.from_numpy(answer[truth >= 0])), TagSequence(torch.from_numpy(truth[truth >= 0])))
    assert whole.compute() == (one + two).compute() == cut.compute()
    right, known = sum(int((a == t).sum()) for a, t in pairs), sum(int((t >= 0).sum()) for _, t in pairs)
    assert whole.points()["accuracy"] == pytest.approx(right / known)
    value = whole.compute()["accuracy"]
    assert value.low < value.value < value.high and value.n == 9


def test_nothing_known_is_nan_and_faults_are_coded():
    metric = SequenceTagging(SPACE)
    metric.update(TagSequence(torch.tensor([0, 1])), None)
    metric.update(TagSequence(torch.tensor([0, 1])), TagSequence(torch.tensor([-1, -1])))
    assert all(np.isnan(value.value) and value.n == 0 for value in metric.compute().values()) and metric.per_class() == []
    with pytest.raises(ModelError, match="MODEL-CLASSES"):
        metric.update(TagSequence(torch.tensor([0])), TagSequence(torch.tensor([0, 1])))
    with pytest.raises(ModelError, match="MODEL-CLASSES"):
        metric.update(TagSequence(torch.tensor([3])), TagSequence(torch.tensor([1])))
    with pytest.raises(ValueError, match="same classes"):
        metric + SequenceTagging(LabelSpace(("a",)))
