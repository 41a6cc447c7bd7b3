"""Annotations read as columns against the parser of JSON: the same, or left to it, whatever a byte is changed to."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.data.formats import coco_plain
from saccade.data.formats.coco_plain import PlainRows, split_annotations
from saccade.data.formats.strict_json import parse

STYLES = [{"separators": (",", ":")}, {"separators": (", ", ": ")}, {"indent": 1}, {"indent": 4, "separators": (" ,", " : ")}]


def page(n: int, style: int, seed: int = 0, **more) -> bytes:
    g = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        box, area = np.round(g.uniform(-1, 99, 4), 2).tolist(), round(float(g.uniform(0, 99)), 3)
        ids = {"image_id": int(g.integers(0, 9)), "bbox": box, "category_id": int(g.integers(1, 4))}
        rows.append({"segmentation": [], "area": area, "iscrowd": 0, **ids, "none": None, "sure": True, "source": "by hand", "id": i} | more)
    images = [{"id": i, "file_name": f"{i}.png"} for i in range(3)]
    return json.dumps({"images": images, "annotations": rows, "categories": [{"id": 1, "name": "a"}]}, **STYLES[style]).encode()


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(coco_plain, "SMALLEST", 0)
    monkeypatch.setattr(coco_plain, "_BLOCK", 700)


@pytest.mark.parametrize("style", range(len(STYLES)))
@pytest.mark.parametrize("n", [2, 3, 7, 40])
def test_plain_annotations_are_read_as_they_are(n, style):
    data = page(n, style)
    found = split_annotations(data, "x")
    assert found is not None
    root, rows = found
    wanted = parse(data, "x")
    assert list(rows) == wanted["annotations"] and rows[1:3] == wanted["annotations"][1:3] and len(rows) == n
    assert root == {**wanted, "annotations": []}
    assert rows.column("image_id", None) == [row["image_id"] for row in wanted["annotations"]] and rows.array("image_id").dtype == np.int64
    assert rows.column("bbox", None) == rows.table("bbox", 4).tolist() == [row["bbox"] for row in wanted["annotations"]]
    assert rows.column("sure", None) == [True] * n and rows.column("other", 5) == [5] * n and rows.array("bbox") is None and rows.table("bbox", 3) is None


@settings(max_examples=600, deadline=None)
@given(st.integers(0, 3), st.lists(st.tuples(st.floats(0, 1), st.sampled_from(list(b'0123456789+-.eE,:"[]{} ntau')), st.booleans()), min_size=1, max_size=3))
def test_a_changed_byte_is_seen_or_does_not_matter(style, changes):
    data = bytearray(page(12, style))
    begin = data.index(b"annotations")
    for place, byte, replace in changes:
        at = begin + int(place * (len(data) - begin - 1))
        data[at : at + replace] = bytes([byte])
    found = split_annotations(bytes(data), "x")
    if found is not None:
        root, rows = found
        wanted = parse(bytes(data), "x")  # raises when it is no JSON: then it should not have been read
        assert list(rows) == wanted["annotations"] and root == {**wanted, "annotations": []}


@pytest.mark.parametrize(
    "more",
    [
        {"segmentation": [[1, 2, 3]]},
        {"segmentation": {"size": [1, 2]}},
        {"note": "see 4"},
        {"id2": 3},
        {"note": "{"},
        {"area": 1e-9},
        {"area": 2**60},
        {"note": 'a"'},
    ],
)
def test_what_is_not_plain_is_left_to_the_parser(more):
    assert split_annotations(page(5, 0, **more), "x") is None


def test_other_files_are_left_to_the_parser():
    for data in (b"", b"{}", b'{"annotations": []}', b'{"annotations": [{}, {}]}', b'{"annotations": [{"a": 1}]}', b'["annotations"]', page(1, 0)):
        assert split_annotations(data, "x") is None
    twice = page(5, 0).replace(b'"images"', b'"annotations": [], "images"')
    assert split_annotations(twice, "x") is None
    nested = b'{"x": ' + page(5, 0) + b"}"
    assert split_annotations(nested, "x") is None
    assert isinstance(split_annotations(page(5, 0), "x")[1], PlainRows)
