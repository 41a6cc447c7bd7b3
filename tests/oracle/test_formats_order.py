"""The listing's order, and rows that are met again, against their slow definitions."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from saccade.data.formats.objects import _met_again
from saccade.data.formats.source import in_natural_order, natural

NAMES = st.lists(st.text(st.sampled_from("ab/10٣é_"), max_size=6) | st.from_regex(r"\A[ab]/0[0-9]{2}\.jpg\Z"), max_size=40, unique=True)


@given(NAMES)
def test_names_are_sorted_as_by_their_keys(names):
    assert in_natural_order(names) == sorted(names, key=natural)
    many = [f"{folder}/{i:04d}.jpg" for folder in ("train10", "train9", "val") for i in range(30)]
    assert in_natural_order([*reversed(many), *names]) == sorted([*many, *names], key=natural)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.sampled_from([0.0, -0.0, 1.5])), max_size=30))
def test_rows_that_are_there_several_times_are_all_found(rows):
    image, label = (np.array([row[i] for row in rows], dtype=np.int64) for i in (0, 1))
    boxes = np.array([[0, 0, 5, row[2]] for row in rows], dtype=np.float64).reshape(-1, 4)
    keys = list(zip(image.tolist(), label.tolist(), (boxes[:, 3] + 0.0).tolist(), strict=True))
    wanted = [i for i, key in enumerate(keys) if keys.count(key) > 1]
    assert _met_again(image, label, boxes).tolist() == wanted
