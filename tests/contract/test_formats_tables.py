"""Tables of every kind of label: what the columns are taken for, what is wrong with rows, and what is written reads the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from saccade.data.formats import FORMATS
from saccade.data.formats.pictures import Pictures
from saccade.data.open import open_dataset
from saccade.errors import DataError, UsageError
from tests.support.data_files import folder, picture
from tests.support.random_answers import random_answers
from tests.support.random_sets import equal_sets

ROUND_TRIPS = 25


@pytest.mark.parametrize("head", ["label", "labels", "number", "points", "boxes", "caption"])
def test_what_a_table_says_reads_the_same(tmp_path, head):
    for seed in range(ROUND_TRIPS):
        dataset = random_answers(seed, tmp_path / f"{seed}a", head)
        out = tmp_path / f"{seed}b"
        out.mkdir()
        losses = FORMATS["table"].save(dataset, out, Pictures(dataset, out))
        back = open_dataset(out)
        assert (back.format, losses) == ("table", []), (seed, back.reason)
        assert equal_sets(dataset, back) == [], seed
