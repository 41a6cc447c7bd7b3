"""Scene graphs, captions of regions and captions as JSON lines: read, written, and every fault named by its line."""

from __future__ import annotations

import json

import pytest

from saccade.data.formats import FORMATS
from saccade.data.formats.pictures import Pictures
from saccade.data.open import open_dataset
from tests.support.data_files import folder
from tests.support.random_answers import random_answers
from tests.support.random_sets import equal_sets


@pytest.mark.parametrize("head", ["graph", "regions", "caption"])
def test_what_lines_say_reads_the_same(tmp_path, head):
    for seed in range(20):
        dataset = random_answers(seed, tmp_path / f"{seed}a", head)
        out = tmp_path / f"{seed}b"
        out.mkdir()
        losses = FORMATS["graphs"].save(dataset, out, Pictures(dataset, out))
        back = open_dataset(out)
        assert back.format == "graphs" and {p.code for p in losses} <= {"LOSS-FIELD"}, (seed, back.reason)
        kept = dataset.subset([i for i, r in enumerate(dataset.records) if r.targets[head] is not None])
        assert equal_sets(kept, back) == [], seed
