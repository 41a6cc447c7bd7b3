"""Karpathy's and Flickr's files of sentences: read, checked, written and read again."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saccade.data.formats.captions import save_flickr, save_karpathy
from saccade.data.formats.pictures import Pictures
from saccade.data.open import open_dataset
from saccade.errors import DataError
from saccade.targets import Caption
from tests.support.data_files import folder
from tests.support.random_sets import equal_sets, random_set


@pytest.mark.parametrize("writer", [save_karpathy, save_flickr])
@pytest.mark.parametrize("seed", range(10))
def test_random_sets_come_back_equal(seed, writer, tmp_path):
    made = random_set(seed, tmp_path / "a", heads=("caption",), splits=seed % 2 == 0)
    (tmp_path / "b").mkdir()
    assert writer(made, tmp_path / "b", Pictures(made, tmp_path / "b")) == []
    back = open_dataset(tmp_path / "b")
    assert back.format == ("karpathy" if writer is save_karpathy else "flickr") and back.problems == ()
    assert equal_sets(made, back, without=("size",)) == []


def test_what_is_lost_is_said(tmp_path):
    made = random_set(1, tmp_path / "a", heads=("caption", "label"))
    first = made.records[0]
    made = made.with_records([type(first)(first.id, first.path, targets={"caption": Caption(("two\nlines",), (-1.0,))}, group="g"), *made.records[1:]])
    for number, writer in enumerate((save_karpathy, save_flickr)):
        (tmp_path / f"{number}").mkdir()
        said = {(p.code, p.got) for p in writer(made, tmp_path / f"{number}", Pictures(made, tmp_path / f"{number}"))}
        assert said >= {("LOSS-HEAD", "a file of sentences cannot hold label"), ("LOSS-FIELD", "scores (1)"), ("LOSS-FIELD", "groups (1)")}
    assert ("LOSS-FIELD", "images without sentences, or breaks inside of one (1)") in said


def karpathy(root, images, *files):
    folder(root, *(files or ("train2014/a.png", "val2014/b.png")))
    (root / "dataset_coco.json").write_text(json.dumps({"images": images, "dataset": "coco"}))
    return root


def entry(**changes):
    sentences = [{"tokens": ["a", "cat"], "raw": " A cat. ", "imgid": 0, "sentid": 0}]
    made = {"filepath": "train2014", "filename": "a.png", "imgid": 0, "sentences": sentences, "split": "train", "sentids": [0]} | changes
    return {key: value for key, value in made.items() if value != "missing"}


def test_karpathys_splits_and_sentences(tmp_path):
    other = entry(filepath="val2014", filename="b.png", split="restval", sentences=[{"tokens": ["two", "dogs"]}, {"raw": "Dogs"}])
    opened = open_dataset(karpathy(tmp_path, [entry(), other]))
    assert [(r.id, r.split, r.targets["caption"].texts) for r in opened.records] == [
        ("train2014/a.png", "train", ("A cat.",)),
        ("val2014/b.png", "train", ("two dogs", "Dogs")),
    ]
    assert opened.format == "karpathy" and opened.reason == "Karpathy's JSON: 3 sentences in dataset_coco.json" and opened.problems == ()
    alone = open_dataset(tmp_path / "dataset_coco.json")
    assert len(alone) == 2 and alone.root == tmp_path


@pytest.mark.parametrize(
    ("second", "code", "severity"),
    [
        ("x", "ANN-FIELD", "error"),
        (entry(filename=None), "ANN-FIELD", "error"),
        (entry(filename="b.png", filepath="val2014", split="other"), "ANN-FIELD", "error"),
        (entry(filename="b.png", filepath="val2014", split=3), "ANN-FIELD", "error"),
        (entry(filename="b.png", filepath="val2014", sentences={}), "ANN-FIELD", "error"),
        (entry(filename="b.png", filepath="val2014", sentences=[{"raw": 3}]), "ANN-FIELD", "error"),
        (entry(filename="b.png", filepath="val2014", sentences=["A dog"]), "ANN-FIELD", "error"),
        (entry(filename="c.png"), "IMG-MISSING", "error"),
        (entry(), "ANN-DUP", "warn"),
    ],
)
def test_karpathys_entries_that_are_wrong(second, code, severity, tmp_path):
    opened = open_dataset(karpathy(tmp_path, [entry(), second]))
    assert (code, severity) in [(p.code, p.severity) for p in opened.problems] and [r.id for r in opened.records] == ["train2014/a.png"]


@pytest.mark.parametrize(("images", "code"), [({"sentences": 1}, "ANN-FIELD"), ([entry(filename="q.png")], "IMG-MISSING")])
def test_karpathys_files_that_are_useless(images, code, tmp_path):
    with pytest.raises(DataError) as caught:
        open_dataset(karpathy(tmp_path, images))
    assert caught.value.code == code


def flickr(root, text, name="results_20130124.token"):
    folder(root, "images/1000.png", "images/1001.png", "images/1002.png")
    (root / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return root


def texts(opened):
    return {record.id.rpartition("/")[2]: record.targets["caption"].texts for record in opened.records}


def test_flickrs_token_files_and_their_lists_of_images(tmp_path):
    text = "1000.png#0\tTwo men .\r\n1000.png#1\tMen # 2 .\r\n\r\n1001.png#0\tA | dog .\r\n1002.png#0\tSky .\n"
    root = flickr(tmp_path, text, "Flickr8k.token.txt")
    (root / "Flickr_8k.trainImages.txt").write_text("1000.png\n")
    (root / "Flickr_8k.devImages.txt").write_text("1001.png\n")
    (root / "test.txt").write_text("1002\n")
    opened = open_dataset(root)
    assert opened.format == "flickr" and texts(opened) == {"1000.png": ("Two men .", "Men # 2 ."), "1001.png": ("A | dog .",), "1002.png": ("Sky .",)}
    assert [r.split for r in opened.records] == ["train", "val", "test"]


def test_flickrs_tables_with_bars(tmp_path):
    text = "image_name| comment_number| comment\n1000.png| 0| Two , men .\n1001.png| 0| Dog .\n1001.png| 4   A dog runs .\n1003.png| 0| Gone .\n"
    opened = open_dataset(flickr(tmp_path, text, "results.csv"))
    assert opened.format == "flickr" and texts(opened) == {"1000.png": ("Two , men .",), "1001.png": ("Dog .",)}
    found = [(p.code, p.severity, p.where) for p in opened.problems]
    assert found == [("ANN-ROW", "warn", "results.csv:4"), ("IMG-MISSING", "error", "1003.png"), ("ANN-UNLISTED", "note", "images/1002.png")]


def test_flickrs_files_in_another_encoding(tmp_path):
    opened = open_dataset(flickr(tmp_path, "1000.png#0\tCafé .\n".encode("latin-1")))
    assert texts(opened) == {"1000.png": ("Café .",)} and opened.problems[0].code == "ANN-ENCODING"
    with pytest.raises(DataError, match="IMG-MISSING"):
        open_dataset(flickr(tmp_path, "9.png#0\tNo .\n"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tail=st.text(st.sampled_from("1000.png#\t|0 ab\n\r\0é"), max_size=60), bars=st.booleans())
def test_any_text_is_read_or_refused_with_a_code(tail, bars, tmp_path):
    start = "1000.png| 0| A\n" if bars else "1000.png#0\tA\n"
    try:
        assert texts(open_dataset(flickr(tmp_path, start + tail)))["1000.png"][0] == "A"
    except DataError as error:
        assert error.code in ("ANN-COLUMNS", "DATA-LAYOUT")


SENTENCES = st.lists(st.dictionaries(st.sampled_from(["raw", "tokens"]), st.text(max_size=3) | st.none()), max_size=2)
VALUES = st.none() | st.integers(0, 1) | st.sampled_from(["a.png", "train", ""]) | SENTENCES


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(images=st.lists(st.dictionaries(st.sampled_from(["filename", "filepath", "split", "sentences"]), VALUES), max_size=3))
def test_any_entries_are_read_or_told(images, tmp_path):
    opened = open_dataset(karpathy(tmp_path, [entry(), *images]))
    assert opened.records[0].id == "train2014/a.png"
