"""YOLO as people have it: every folder layout and list of classes, every kind of row, and what a wrong row is called."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.core import LabelSpace
from saccade.data.formats.coco_save import save as save_coco
from saccade.data.formats.drawn_out import Losses, items
from saccade.data.formats.objects import Objects
from saccade.data.formats.pictures import Pictures
from saccade.data.formats.yolo_rows import Layout, Target, read_lines
from saccade.data.open import open_dataset
from saccade.errors import DataError
from saccade.jobs.convert import ConvertOptions, run_convert
from saccade.ops.masks import Polygons, area, mask_of
from saccade.targets import Boxes, Instances, Keypoints
from tests.support.json_files import codes
from tests.support.made_data import made, pictures
from tests.support.random_sets import random_set
from tests.support.text_files import boxes, laid_out, opened, splits, written

ROW = "0 0.5 0.5 0.5 0.4\n"  # of 40 x 30 pixels: 10 9 30 21
BOX = [10.0, 9.0, 30.0, 21.0, 0]
YAML = "path: ../somewhere/else\ntrain: images/train\nval: images/val\nnames: [cat, dog]\n"

LAYOUTS = {
    "ultralytics": {"data.yaml": YAML, "labels/train/a.txt": ROW, "labels/val/b.txt": ROW, "images/train/a.png": None, "images/val/b.png": None},
    "roboflow": {
        "data.yaml": "train: ../train/images\nval: ../valid/images\nnc: 2\nnames: ['cat', 'dog']\nroboflow:\n  license: x\n",
        "train/labels/a.txt": ROW,
        "valid/labels/b.txt": ROW,
        "train/images/a.png": None,
        "valid/images/b.png": None,
    },
    "paths of another machine": {
        "dataset.yaml": "train: /mnt/me/set/images/train\nval: C:\\me\\set\\images\\val\nnames:\n  0: cat\n  1: dog\n",
        "labels/train/a.txt": ROW,
        "labels/val/b.txt": ROW,
        "images/train/a.png": None,
        "images/val/b.png": None,
    },
    "lists": {
        "data.yaml": "train: train.txt\nval: [val.txt]\nnames: [cat, dog]\n",
        "train.txt": "./images/a.png\n",
        "val.txt": "/content/set/images/b.png\n",
        "labels/a.txt": ROW,
        "labels/b.txt": ROW,
        "images/a.png": None,
        "images/b.png": None,
    },
    "darknet": {
        "obj.data": "classes = 2\ntrain = data/train.txt\nvalid = data/test.txt\nnames = data/obj.names\nbackup = backup/\n",
        "obj.names": "cat\ndog\n",
        "train.txt": "data/obj_train_data/a.png\n",
        "test.txt": "data/obj_train_data/b.png\n",
        "obj_train_data/a.txt": ROW,
        "obj_train_data/b.txt": ROW,
        "obj_train_data/a.png": None,
        "obj_train_data/b.png": None,
    },
    "one folder inside": {
        "set/data.yaml": YAML,
        "set/labels/train/a.txt": ROW,
        "set/labels/val/b.txt": ROW,
        "set/images/train/a.png": None,
        "set/images/val/b.png": None,
    },
    "splits outside of images": {
        "classes.txt": "cat\ndog\n",
        "train/labels/a.txt": ROW,
        "val/labels/b.txt": ROW,
        "train/images/a.png": None,
        "val/images/b.png": None,
    },
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_layouts_with_splits(kind, tmp_path):
    files = {name: content for name, content in LAYOUTS[kind].items() if content is not None}
    data = opened(tmp_path, files, *(name for name, content in LAYOUTS[kind].items() if content is None))
    assert data.format == "yolo" and data.spaces["boxes"].names == ("cat", "dog")
    assert sorted(splits(data).values()) == ["train", "val"] and splits(data)[data.records[0].id] == "train"
    assert [boxes(data, record.id) for record in data.records] == [[BOX], [BOX]]
    assert not [problem for problem in data.problems if problem.severity in ("error", "fatal", "warn")]


@pytest.mark.parametrize("labels", ["labels/", "Annotations/", "images/", "images/labels/"])
def test_layouts_without_splits(labels, tmp_path):
    data = opened(tmp_path, {f"{labels}a.b c.txt": ROW, "classes.txt": "cat\ndog\n"}, "images/a.b c.jpg", "images/d.png")
    assert data.format == "yolo" and boxes(data, "images/a.b c.jpg") == [BOX] and boxes(data, "images/d.png") == []
    assert splits(data) == {"images/a.b c.jpg": None, "images/d.png": None} and codes(data) == {"ANN-NOFILE": "note"}


def test_real_files(shared_data):
    root = shared_data / "formats" / "annotation_formats"
    for path, expected in {"yolo_dataset/strict": {"train": 1}, "yolo_dataset/labels": {"train": 1, "val": 1}, "yolo_dataset/annotations": {None: 1}}.items():
        data = open_dataset(root / path)
        assert data.format == "yolo" and Counter(splits(data).values()) == expected and len(data.spaces["boxes"]) == 10
        assert all(np.allclose(data.truth(i)["boxes"].xyxy, [[0, 2, 4, 4], [3, 3, 5, 6]], atol=1e-4) for i in range(len(data)))
    data = open_dataset(root / "roboflow_dataset" / "yolo")
    assert Counter(splits(data).values()) == {"train": 2, "val": 1} and codes(data) == {"ANN-PATH": "warn"}  # it names a folder that is not there


def test_flat_folder_as_labelimg_writes_it(tmp_path):
    data = opened(tmp_path, {"a.txt": ROW, "classes.txt": "no\n012\n"}, "a.png")
    assert data.spaces["boxes"].names == ("no", "012") and boxes(data, "a.png") == [BOX]


def test_the_yaml_file_itself_may_be_given(tmp_path):
    root = laid_out(tmp_path, {"data.yaml": YAML, "labels/train/a.txt": ROW}, "images/train/a.png", "images/val/b.png")
    assert splits(open_dataset(root / "data.yaml")) == {"images/train/a.png": "train", "images/val/b.png": "val"}


def test_without_names_the_numbers_are_used(tmp_path):
    data = opened(tmp_path, {"labels/a.txt": "2 .5 .5 .5 .5"}, "images/a.png")
    assert data.spaces["boxes"].names == ("0", "1", "2") and codes(data) == {"ANN-NAMES": "warn"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("names: {0: cat, 2: dog}", "ANN-CLASS"),
        ("names: [cat, dog]\nnc: 3", "ANN-CLASS"),
        ("names: [cat, cat]", "ANN-CLASS"),
        ("names: [[cat], dog]", "ANN-CLASS"),
        ("names: cat", "ANN-CLASS"),
        ("names: [cat]\nnc: many", "ANN-CLASS"),
        ("names: [cat]\nkpt_shape: [3]", "ANN-YAML"),
        ("names: [cat]\nkpt_shape: [3, 4]", "ANN-YAML"),
        ("names: [cat]\nkpt_shape: [2, 3]\nflip_idx: [0, 2]", "ANN-YAML"),
        ("names: [cat]\ntrain: {a: b}", "ANN-YAML"),
        ("names: [cat\n", "ANN-YAML"),
    ],
)
def test_configurations_that_contradict_themselves_are_refused(text, code, tmp_path):
    with pytest.raises(DataError) as caught:
        opened(tmp_path, {"data.yaml": text, "labels/a.txt": ROW}, "images/a.png")
    assert caught.value.code == code and caught.value.where == "data.yaml"


def test_the_same_folder_twice_and_what_is_not_used_are_told(tmp_path):
    data = opened(tmp_path, {"data.yaml": "train: images\nval: images\nnames: [cat]\ncolour: red", "labels/a.txt": ROW}, "images/a.png")
    assert codes(data) == {"ANN-IGNORED": "note", "LEAK-EXACT": "fatal"} and splits(data) == {"images/a.png": "train"}
    assert next(problem.got for problem in data.problems if problem.code == "ANN-IGNORED") == "colour"


ROWS = {
    "0 0.5 0.5 0.5": "ANN-ROW",
    "0 0.5 0.5 0.5 0.4 0.9": "ANN-ROW",
    "0 0.5 0.5 0.5 0.4 0.9 0.1 0.2": "ANN-ROW",
    "cat 0.5 0.5 0.5 0.4": "ANN-ROW",
    "0 0,5 0,5 0,5 0,4": "ANN-ROW",
    "0,0.5,0.5,0.5,0.4": "ANN-ROW",
    "2 0.5 0.5 0.5 0.4": "ANN-CLASS",
    "-1 0.5 0.5 0.5 0.4": "ANN-CLASS",
    "0.5 0.5 0.5 0.5 0.4": "ANN-CLASS",
    "nan 0.5 0.5 0.5 0.4": "ANN-CLASS",
    "0 nan 0.5 0.5 0.4": "ANN-NUMBER",
    "0 0.5 0.5 inf 0.4": "ANN-NUMBER",
    "0 20 15 20 12": "ANN-SHARE",
    "0 0.5 1.02 0.5 0.4": "ANN-SHARE",
    "0 0.1 0.1 0.9 1.02 0.5 0.5": "ANN-SHARE",
    "0 0.5 0.5 -0.5 0.4": "ANN-BOX-NEGATIVE",
}


@pytest.mark.parametrize("row", ROWS)
def test_rows_that_cannot_be_understood_cost_their_image(row, tmp_path):
    files = {"data.yaml": "names: [cat, dog]\ntrain: images", "labels/a.txt": f"{ROW}\n{row}\n", "labels/b.txt": ROW}
    data = opened(tmp_path, files, "images/a.png", "images/b.png")
    (found,) = data.problems
    assert (found.code, found.where, found.image) == (ROWS[row], "labels/a.txt:3", "images/a.png")
    assert found.severity == ("fatal" if found.code == "ANN-CLASS" else "error") and [record.id for record in data.records] == ["images/b.png"]


@pytest.mark.parametrize(
    "text", ["0\t0.5\t0.5\t0.5\t0.4", "0 0.5 0.5 0.5 0.4\r\n\r\n", "\ufeff0 0.5 0.5 0.5 0.4", "0.0 5e-1 .5 0.5 0.4", "  0  0.5 0.5 0.5 0.4 "]
)
def test_ways_to_write_a_row(text, tmp_path):
    data = opened(tmp_path, {"data.yaml": "names: [cat, dog]\ntrain: images", "labels/a.txt": text}, "images/a.png")
    assert boxes(data, "images/a.png") == [BOX] and not data.problems


def test_outlines_and_boxes_together(tmp_path):
    files = {"classes.txt": "cat\ndog\n", "labels/a.txt": "1 0.1 0.2 0.5 0.2 0.5 0.8\n" + ROW, "labels/b.txt": ""}
    data = opened(tmp_path, files, "images/a.png", "images/b.png")
    assert codes(data) == {"ANN-MIXED": "note"} and boxes(data, "images/a.png") == [[4, 6, 20, 24, 1], BOX] == boxes(data, "images/a.png", "instances")
    instances = data.truth(0)["instances"]
    assert isinstance(instances, Instances) and np.allclose(instances.shapes[0].rings[0], [[4, 6], [20, 6], [20, 24]])
    assert mask_of(instances.shapes[1]).sum() == 20 * 12 and len(data.truth(1)["instances"]) == 0


def test_key_points(tmp_path):
    yaml = "names: [cat]\ntrain: images\nkpt_shape: [3, 3]\nflip_idx: [0, 2, 1]\n"
    data = opened(tmp_path, {"data.yaml": yaml, "labels/a.txt": "0 .5 .5 .5 .4 0.5 0.5 2 0.25 0.1 1 0.7 0.7 0\n"}, "images/a.png")
    points = data.truth(0)["keypoints"]
    assert points.xy.tolist() == [[[20, 15], [10, 3], [0, 0]]] and points.visible.tolist() == [[2, 1, 0]] and points.pairs == ((1, 2),)
    assert boxes(data, "images/a.png", "keypoints") == [BOX] == boxes(data, "images/a.png")
    assert codes(data) == {"KEY-VISIBLE": "warn"} and "1 key points have a place but visibility 0" in data.problems[0].got
    for row, code in (
        ("0 .5 .5 .5 .4 0.5 0.5 2", "ANN-ROW"),
        ("0 .5 .5 .5 .4" + " .5 .5 3" * 3, "ANN-FIELD"),
        ("0 .5 .5 .5 .4" + " .5 1.5 2" * 3, "ANN-SHARE"),
    ):
        other = opened(tmp_path / code, {"data.yaml": yaml, "labels/a.txt": row}, "images/a.png")
        assert codes(other) == {code: "error"} and not other.records


def test_two_numbers_a_key_point(tmp_path):
    yaml = "names: [cat]\ntrain: images\nkpt_shape: [2, 2]\nkpt_names: {0: [left ear, right ear]}\n"
    data = opened(tmp_path, {"data.yaml": yaml, "labels/a.txt": "0 .5 .5 .5 .4 0.5 0.5 0 0\n"}, "images/a.png")
    assert data.truth(0)["keypoints"].visible.tolist() == [[2, 0]] and data.spaces["keypoints"].pairs == ((0, 1),)


def test_masks_are_the_same_pixels_when_written_as_one_outline(tmp_path):
    dataset = random_set(3, tmp_path / "in", heads=("boxes", "instances"), images=3)
    again, losses = written(dataset, tmp_path / "out", "yolo")
    assert any("several pieces" in text for text in losses)
    after = {record.path.stem: record.targets["instances"] for record in again.records}
    for record in dataset.records:
        for one, other in zip(record.targets["instances"].shapes, after[record.path.stem].shapes, strict=True):
            if isinstance(one, Polygons) and len(one.rings) > 1:
                assert np.array_equal(mask_of(one), mask_of(other))


def test_of_key_points_and_outlines_one_is_written(tmp_path):
    dataset = random_set(3, tmp_path / "in", heads=("boxes", "instances", "keypoints"), images=3)
    again, losses = written(dataset, tmp_path / "out", "yolo")
    assert list(again.spaces) == ["boxes", "keypoints"] and losses == ["LOSS-HEAD instances yolo holds key points or outlines, not both"]


def test_objects_with_and_without_joints_are_converted_and_the_loss_is_named(tmp_path):
    pose = LabelSpace(("cat", "car"), keypoints=("nose", "tail"))
    box = Boxes(torch.tensor([[1.0, 2, 9, 9], [11, 3, 18, 12], [20, 4, 30, 14]]), torch.tensor([0, 1, 0]))
    points = Keypoints(torch.tensor([[[2.0, 3], [8, 8]], [[0.0, 0], [0, 0]]]), torch.tensor([[2, 1], [0, 0]], dtype=torch.uint8), box.select([0, 2]))
    made_set = made([{"boxes": box, "keypoints": points}], {"boxes": LabelSpace(pose.names), "keypoints": pose}, root=pictures(tmp_path / "in", 1, (24, 32)))
    (tmp_path / "coco").mkdir()
    save_coco(made_set, tmp_path / "coco", Pictures(made_set, tmp_path / "coco"))
    result = run_convert(tmp_path / "coco", tmp_path / "out", ConvertOptions(to="yolo"))
    assert "objects without key points, which have them unlabelled now of 1" in [problem.got for problem in result.losses]
    back = open_dataset(tmp_path / "out").truth(0)
    assert back["keypoints"].visible.tolist() == [[2, 1], [0, 0], [0, 0]] and len(back["boxes"]) == 3 and result.written["keypoints"] == (1, 1)


def test_areas_that_are_those_of_the_boxes_are_not_lost(tmp_path):
    box = Boxes(torch.tensor([[1.0, 2, 9, 9.5], [11, 3, 18, 12]]), torch.tensor([0, 0]), areas=torch.tensor([60.0, 63.0], dtype=torch.float64))
    for areas, expected in (([60.0, 63.0], []), ([60.0, float("nan")], []), ([60.0, 40.0], ["areas of 1"])):
        truth = replace(box, areas=torch.tensor(areas, dtype=torch.float64))
        losses = Losses()
        items({"boxes": truth}, {"boxes": LabelSpace(("cat",))}, losses)
        assert [problem.got for problem in losses.problems()] == expected
    ring = Polygons((24, 32), (np.array([[1.0, 2], [9, 2], [9, 9.5]]),))
    losses = Losses()
    outlined = Instances(replace(box.select([0]), areas=torch.tensor([30.0], dtype=torch.float64)), (24, 32), (ring,))
    items({"instances": outlined}, {"instances": LabelSpace(("cat",))}, losses)
    assert area(ring) == pytest.approx(30, abs=8) and [p.got for p in losses.problems()] == ([] if area(ring) == 30 else ["areas of 1"])


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("01.5-e, \t\n\rnaif_²"), max_size=60), st.sampled_from([Layout(2), Layout(None), Layout(2, 1, 3), Layout(2, 2, 2)]))
def test_any_text_gives_objects_or_coded_problems(text, layout):
    objects = Objects()
    problems = read_lines(text, "a.txt", Target(0, "a.png", (30, 40)), layout, objects)
    assert len(objects) + len(problems) == sum(bool(line.split()) for line in text.split("\n"))
    assert {problem.code for problem in problems} <= {"ANN-ROW", "ANN-CLASS", "ANN-SHARE", "ANN-NUMBER", "ANN-FIELD"}
    assert np.isfinite(np.array(objects.xyxy, dtype=float)).all()
