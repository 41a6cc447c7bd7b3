"""COCO's layouts and key points: which files and images belong together, splits, classes, what is lost in writing."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from saccade.data.formats.coco_save import save
from saccade.data.formats.pictures import Pictures
from saccade.data.open import open_dataset
from saccade.errors import DataError
from tests.support.coco_pages import WHERE, annotation, at, image, page
from tests.support.data_files import picture
from tests.support.random_sets import equal_sets, random_set


def written(made, out):
    """The problems of writing a data set into a new folder."""
    out.mkdir()
    return save(made, out, Pictures(made, out))


# key points -------------------------------------------------------------------------------------------------------


def with_points(points, names=("nose", "left_eye", "right_eye"), skeleton=((1, 2), (1, 3)), **changes):
    categories = [{"id": 1, "name": "cat", "keypoints": list(names), "skeleton": [list(line) for line in skeleton]}, {"id": 5, "name": "dog"}]
    return page(categories=categories, annotations=[annotation(keypoints=points, num_keypoints=1, **changes)])


def test_key_points_with_names_lines_and_pairs(tmp_path):
    opened = open_dataset(at(tmp_path, with_points([1, 2, 2, 3, 4, 1, 9, 9, 0])))
    space, keypoints = opened.spaces["keypoints"], opened.records[0].targets["keypoints"]
    assert space.keypoints == ("nose", "left_eye", "right_eye") and space.skeleton == ((0, 1), (0, 2)) and space.pairs == ((1, 2),) == keypoints.pairs
    assert keypoints.xy.tolist() == [[[1, 2], [3, 4], [0, 0]]] and keypoints.visible.tolist() == [[2, 1, 0]]
    assert opened.spaces["boxes"].keypoints == () and len(opened.records[1].targets["keypoints"]) == 0
    unnamed = open_dataset(at(tmp_path, with_points([1, 2, 2, 3, 4, 1], names=(), skeleton=((0, 1),))))
    assert unnamed.spaces["keypoints"].keypoints == ("1", "2") and unnamed.spaces["keypoints"].skeleton == ((0, 1),)


@pytest.mark.parametrize("points", [[1, 2], [1, 2, 2], [1, 2, 3, 4, 5, 2, 1, 1, 1], ["1"] * 9, [None] * 9, {"x": 1}, [1, 2, 1.5, 3, 4, 1, 0, 0, 0]])
def test_key_points_that_are_wrong(points, tmp_path):
    opened = open_dataset(at(tmp_path, with_points(points)))
    assert [p.severity for p in opened.problems if p.code == "ANN-FIELD" and p.where == WHERE] == ["error"] and len(opened) == 1


# layouts ----------------------------------------------------------------------------------------------------------


def layout(root, *files):
    """Writes pictures and JSON files: (path of the JSON, image names, folder of the images)."""
    for path, names, folder in files:
        for name in names:
            picture(root / folder / name, seed=len(str(root / folder / name)))
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        images = [image(id=i + 1, file_name=name) for i, name in enumerate(names)]
        (root / path).write_text(json.dumps(page(images=images)))
    return root


def splits(opened):
    return {record.id: record.split for record in opened.records}


def test_the_usual_layouts(tmp_path):
    pair = ("000.png", "001.png")
    own = layout(
        tmp_path / "coco", ("annotations/instances_train2017.json", pair, "train2017"), ("annotations/instances_val2017.json", ("000.png",), "val2017")
    )
    assert splits(open_dataset(own)) == {"train2017/000.png": "train", "train2017/001.png": "train", "val2017/000.png": "val"}
    roboflow = layout(tmp_path / "r", *((f"{part}/_annotations.coco.json", ("a.png",), part) for part in ("train", "valid", "test")))
    assert splits(open_dataset(roboflow)) == {"test/a.png": "test", "train/a.png": "train", "valid/a.png": "val"}
    one = layout(tmp_path / "one", ("labels/cells.json", ("a.png", "b.png"), "pictures/deep"))
    assert splits(open_dataset(one)) == {"pictures/deep/a.png": None, "pictures/deep/b.png": None}
    every = layout(tmp_path / "every", ("all.json", ("train/a.png", "val/b.png"), ""))
    assert splits(open_dataset(every)) == {"train/a.png": "train", "val/b.png": "val"}
    absolute = layout(tmp_path / "abs", ("x.json", ("a.png",), "i"))
    (absolute / "x.json").write_text((absolute / "x.json").read_text().replace('"a.png"', '"C:\\\\data\\\\set\\\\i\\\\a.png"'))
    assert list(splits(open_dataset(absolute))) == ["i/a.png"]


def test_files_of_one_split_are_merged_and_a_file_of_all_is_left_out(tmp_path):
    root = layout(tmp_path, ("annotations/instances_train.json", ("a.png",), "train"), ("annotations/instances_val.json", ("b.png",), "val"))
    layout(root, ("annotations/all.json", ("a.png", "b.png"), "train"))
    (root / "train" / "b.png").unlink()
    captions = {"images": [image()], "annotations": [{"id": 1, "image_id": 1, "caption": " A cat. "}, {"id": 2, "image_id": 1, "caption": "Two."}]}
    (root / "annotations" / "captions_train.json").write_text(json.dumps(captions))
    opened = open_dataset(root)
    parts = [
        "COCO: boxes from annotations/instances_train.json (train), annotations/instances_val.json (val)",
        "caption from annotations/captions_train.json (train)",
        "annotations/all.json is left out, annotations/instances_train.json, annotations/instances_val.json have its images by split",
    ]
    assert opened.reason == "; ".join(parts)
    assert opened.records[0].targets["caption"].texts == ("A cat.", "Two.") and opened.records[1].targets["caption"] is None


def test_an_image_in_two_splits_is_a_leak(tmp_path):
    root = layout(tmp_path, ("train.json", ("a.png",), "images"), ("val.json", ("a.png",), "images"))
    assert [(p.code, p.severity, p.where) for p in open_dataset(root).problems if p.code == "LEAK-EXACT"] == [("LEAK-EXACT", "fatal", "images/a.png")]


def test_classes_meet_by_their_names(tmp_path):
    root = layout(tmp_path, ("train.json", ("a.png",), "train"), ("val.json", ("b.png",), "val"))
    data = page(images=[image(file_name="b.png")], categories=[{"id": 1, "name": "dog"}, {"id": 2, "name": "eel"}])
    (root / "val.json").write_text(json.dumps(data))
    opened = open_dataset(root)
    names = opened.spaces["boxes"].names
    assert [names[int(r.targets["boxes"].classes[0])] for r in opened.records] == ["cat", "dog"] and set(names) == {"cat", "dog", "eel"}
    assert [(p.code, p.severity) for p in opened.problems if p.code == "CLS-SPLIT"] == [("CLS-SPLIT", "warn")]


def test_a_file_finds_its_images_above_it(tmp_path):
    root = layout(tmp_path / "set", ("annotations/instances_val.json", ("a.png",), "val"))
    picture(root / "annotations" / "masks" / "a.jpg")
    opened = open_dataset(root / "annotations" / "instances_val.json")
    assert opened.root == root and list(splits(opened)) == ["val/a.png"] and opened.reason.endswith("its images are above it, in set")
    deep = layout(tmp_path / "deep", ("x/y/cells.json", ("images/a.png",), ""))
    assert open_dataset(deep / "x" / "y" / "cells.json").root == deep
    far = layout(tmp_path / "far", ("x/y/z/cells.json", ("images/a.png",), ""))
    with pytest.raises(DataError, match="IMG-MISSING"):
        open_dataset(far / "x" / "y" / "z" / "cells.json")


def test_annotations_that_only_name_a_category_are_labels_of_the_image(tmp_path):
    rows = [{"id": 1, "image_id": 1, "category_id": 5}, {"id": 2, "image_id": 1, "category_id": 1}, {"id": 3, "image_id": 2, "category_id": 7}]
    opened = open_dataset(at(tmp_path, page(annotations=rows)))
    assert opened.spaces["labels"].names == ("cat", "dog") and opened.records[0].targets["labels"].values.tolist() == [1, 1]
    assert [(p.code, p.where) for p in opened.problems] == [("ANN-REF", "cells.json:annotations[2]")] and len(opened) == 1


def test_what_coco_cannot_hold_is_said(tmp_path):
    made = random_set(1, tmp_path / "a", heads=("boxes", "label"), splits=False)
    first = made.records[0]
    boxes = replace(first.targets["boxes"], scores=torch.ones(len(first.targets["boxes"])))
    space = replace(made.spaces["boxes"], colours=("#000000",) * len(made.spaces["boxes"]))
    made = replace(
        made, records=(replace(first, group="g", targets={**first.targets, "boxes": boxes}), *made.records[1:]), spaces={**made.spaces, "boxes": space}
    )
    said = {(p.code, p.where): p.got for p in written(made, tmp_path / "b")}
    assert set(said) == {("LOSS-HEAD", "label"), ("LOSS-FIELD", "objects"), ("LOSS-FIELD", "boxes"), ("LOSS-FIELD", "records")}
    assert "scores" in said["LOSS-FIELD", "objects"] and "colours" in said["LOSS-FIELD", "boxes"] and "groups (1)" in said["LOSS-FIELD", "records"]


def test_images_without_any_label_stay_in_the_set(tmp_path):
    made = random_set(2, tmp_path / "a", heads=("boxes",), splits=False)
    made = made.with_records([replace(made.records[0], targets={"boxes": None}), *made.records[1:]])
    written(made, tmp_path / "b")
    assert equal_sets(made, open_dataset(tmp_path / "b"), without=("ids",)) == []
