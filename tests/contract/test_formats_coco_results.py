"""COCO results files, any bytes as a COCO file, and the shared sets in COCO's formats."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saccade.data.formats.coco_results import read_results, write_results
from saccade.data.formats.coco_save import save
from saccade.data.formats.pictures import Pictures
from saccade.data.open import open_dataset
from saccade.errors import CODES, DataError
from saccade.targets import Boxes
from tests.support.data_files import picture
from tests.support.random_sets import random_set


def answers(made, seed=0):
    g = np.random.default_rng(seed)
    found = []
    for record in made.records:
        boxes = record.targets["boxes"]
        scores = torch.from_numpy(np.sort(g.random(len(boxes)))[::-1].copy())
        found.append(Boxes(boxes.xyxy, boxes.classes, scores=scores))
    return found


def test_results_are_written_and_read_for_each_record(tmp_path):
    made = random_set(3, tmp_path / "a", splits=False)
    wanted = answers(made)
    write_results(tmp_path / "r.json", wanted)
    for got, want in zip(read_results(tmp_path / "r.json", made), wanted, strict=True):
        assert torch.allclose(got.xyxy, want.xyxy) and torch.equal(got.classes, want.classes) and torch.equal(got.scores, want.scores)


def test_results_with_the_ids_of_a_coco_file(tmp_path):
    from pycocotools.coco import COCO

    made = random_set(4, tmp_path / "a", splits=False)
    (tmp_path / "b").mkdir()
    save(made, tmp_path / "b", Pictures(made, tmp_path / "b"))
    file = tmp_path / "b" / "annotations" / "instances.json"
    data = json.loads(file.read_text())
    for entry in data["images"]:
        entry["id"] *= 1000
    for entry in data["categories"]:
        entry["id"] = 90 - entry["id"]
    for entry in data["annotations"]:
        entry["image_id"], entry["category_id"] = entry["image_id"] * 1000, 90 - entry["category_id"]
    file.write_text(json.dumps(data))
    opened = open_dataset(tmp_path / "b")
    rows = [{"image_id": e["image_id"], "category_id": e["category_id"], "bbox": e["bbox"], "score": 0.5} for e in data["annotations"]]
    (tmp_path / "r.json").write_text(json.dumps(rows))
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = COCO(str(file)).loadRes(str(tmp_path / "r.json"))
    got = read_results(tmp_path / "r.json", opened, truth=file)
    for record, boxes in zip(opened.records, got, strict=True):
        truth = record.targets["boxes"]
        assert sorted(boxes.xyxy.tolist()) == sorted(truth.xyxy.tolist()) and sorted(boxes.classes.tolist()) == sorted(truth.classes.tolist())
    assert sum(map(len, got)) == len(theirs.anns)
    (tmp_path / "r.json").write_text(json.dumps([{"image_id": record.id, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1} for record in opened.records]))
    assert [len(boxes) for boxes in read_results(tmp_path / "r.json", opened)] == [1] * len(opened)


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ({}, "ANN-COCO"),
        ([1], "ANN-COCO"),
        ([{"image_id": 99, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}], "ANN-REF"),
        ([{"image_id": 1, "category_id": 99, "bbox": [0, 0, 1, 1], "score": 1}], "ANN-REF"),
        ([{"image_id": None, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1}], "ANN-FIELD"),
        ([{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1], "score": 1}], "ANN-FIELD"),
        ([{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, None], "score": 1}], "ANN-FIELD"),
        ([{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": "high"}], "ANN-FIELD"),
        ([{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1]}], "ANN-FIELD"),
    ],
)
def test_results_that_are_wrong_are_refused(rows, code, tmp_path):
    made = random_set(3, tmp_path / "a")
    (tmp_path / "r.json").write_text(json.dumps(rows))
    with pytest.raises(DataError) as caught:
        read_results(tmp_path / "r.json", made)
    assert caught.value.code == code and caught.value.where.startswith("r.json")


def test_results_that_cannot_be_read(tmp_path):
    made = random_set(3, tmp_path / "a")
    with pytest.raises(DataError, match="ANN-UNREADABLE"):
        read_results(tmp_path / "none.json", made)
    write_results(tmp_path / "r.json", answers(made))
    (tmp_path / "t.json").write_text("[]")
    with pytest.raises(DataError, match="ANN-COCO"):
        read_results(tmp_path / "r.json", made, truth=tmp_path / "t.json")


# any file at all --------------------------------------------------------------------------------------------------

SCALAR = st.none() | st.booleans() | st.integers(-2, 14) | st.sampled_from([1e300, -0.5, 1e-9, 10**200, "1", "a.png", "", "../a.png", "\0"])
INNER = SCALAR | st.lists(SCALAR, max_size=4) | st.lists(st.lists(SCALAR, max_size=7), max_size=2)
RLE = st.fixed_dictionaries(
    {"size": st.lists(st.integers(-1, 12), max_size=3) | SCALAR, "counts": st.lists(st.integers(-3, 144), max_size=4) | st.text(max_size=4)}
)
KEYS = "id image_id category_id bbox area iscrowd segmentation keypoints caption segments_info file_name ignore attributes".split()
ANNOTATION = st.dictionaries(st.sampled_from(KEYS), INNER | RLE)
SOUND = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 5, 4], "area": 20, "iscrowd": 0, "segmentation": [[1, 1, 6, 1, 6, 6]], "keypoints": [1, 1, 2]}
PAGE = st.fixed_dictionaries(
    {
        "images": st.lists(st.dictionaries(st.sampled_from(["id", "file_name", "height", "width"]), INNER), max_size=2) | INNER,
        "annotations": st.lists(ANNOTATION.map(lambda own: {**SOUND, **own}) | ANNOTATION, max_size=3) | INNER,
        "categories": st.lists(st.dictionaries(st.sampled_from(["id", "name", "keypoints", "skeleton", "isthing"]), INNER), max_size=1) | INNER,
    }
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=PAGE, keep=st.booleans())
def test_any_page_is_read_or_refused_with_a_code(data, keep, tmp_path):
    if keep and isinstance(data["images"], list) and isinstance(data["categories"], list):
        data["images"] = [{"id": 1, "file_name": "a.png", "height": 12, "width": 12}, *data["images"]]
        data["categories"] = [{"id": 1, "name": "cat", "keypoints": ["nose"]}, *data["categories"]]
    if not (tmp_path / "a.png").exists():
        picture(tmp_path / "a.png")
    (tmp_path / "cells.json").write_text(json.dumps(data))
    try:
        opened = open_dataset(tmp_path, format="coco")
    except DataError as error:
        assert error.code in CODES
        return
    for record in opened.records:
        for head in ("boxes", "instances", "keypoints"):
            target = record.targets.get(head)
            boxes = target if isinstance(target, Boxes) else getattr(target, "boxes", None)
            if isinstance(boxes, Boxes) and len(boxes) and record.size:
                h, w = record.size
                corners = boxes.xyxy.numpy()
                assert np.isfinite(corners).all() and (corners >= 0).all() and (corners <= [w, h, w, h]).all()
                crowd = boxes.crowd.numpy() if boxes.crowd is not None else np.zeros(len(boxes), bool)
                assert (corners[:, 2:] - corners[:, :2])[~crowd].min(initial=1) >= 1 - 1e-6


# shared sets ------------------------------------------------------------------------------------------------------


def test_chess_is_read_as_its_readme_counts_it(shared_data):
    opened = open_dataset(shared_data / "detection" / "chess_coco")
    assert len(opened) == 202 and set(opened.splits) == {"train"} and opened.spaces["boxes"].names[:2] == ("pieces", "bishop")
    twice = [p for p in opened.problems if p.code == "ANN-BOX-DUP"]
    assert sum(len(r.targets["boxes"]) for r in opened.records) + len(twice) == 2108 and len(opened.problems) == len(twice) == 1
    classes = np.concatenate([r.targets["boxes"].classes.numpy() for r in opened.records])
    assert np.bincount(classes, minlength=14)[:2].tolist() == [0, 1]
    assert opened.size(0) == opened.records[0].size


def test_scenes_with_objects_and_sentences(shared_data):
    root = shared_data / "language" / "nlvr_dev"
    opened = open_dataset(root)
    assert opened.reason == "COCO: boxes from derived/objects_coco.json; caption from derived/captions_coco.json"
    assert len(opened) == 1978 and sum(r.targets["caption"] is not None for r in opened.records) == 1094
    assert sum(len(r.targets["boxes"]) for r in opened.records) == 17752
    alone = open_dataset(root / "derived" / "objects_coco.json")
    assert alone.root.resolve() == root.resolve() and len(alone) == 1978 and alone.reason.endswith("its images are above it, in nlvr_dev")


@pytest.mark.parametrize(
    ("name", "heads"),
    [
        ("coco", {"boxes", "instances", "keypoints", "labels", "caption", "map"}),
        ("coco_captions", {"caption"}),
        ("coco_instances", {"boxes", "instances"}),
        ("coco_labels", {"labels"}),
        ("coco_panoptic", {"map"}),
        ("coco_person_keypoints", {"boxes", "instances", "keypoints"}),
        ("coco_roboflow", {"boxes", "instances"}),
        ("coco_stuff", {"boxes", "instances"}),
        ("mmdet_coco", {"boxes", "instances"}),
    ],
)
def test_small_sets_in_all_of_cocos_formats(name, heads, shared_data):
    opened = open_dataset(shared_data / "formats" / "annotation_formats" / "coco_dataset" / name)
    assert opened.format == "coco" and set(opened.spaces) == heads and opened.splits == ("train", "val") and len(opened) == 2
    assert all(opened.truth(i)[head] is not None for i in range(2) for head in heads)
    assert not [p for p in opened.problems if p.severity in ("error", "fatal", "warn")]


def test_images_without_labels_and_without_classes_are_refused(shared_data):
    with pytest.raises(DataError, match="ANN-COCO"):
        open_dataset(shared_data / "formats" / "annotation_formats" / "coco_dataset" / "coco_image_info")
