"""Objects as inputs of their own: windows, truths there and back, answers put together, boxes that are given."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.core import LabelSpace, Record
from saccade.data.crops import CroppedDataset, Crops, JoinedCrops, typical_crop
from saccade.data.loader import Loader
from saccade.data.preprocess import Preprocess
from saccade.data.tiles import Tiling, Window, images_of, whole_answers
from saccade.errors import DataError, ModelError, UsageError
from saccade.inference.given_boxes import read_boxes, whole_image
from saccade.inference.sources import Input
from saccade.targets import Boxes, Keypoints
from saccade.tasks.classify import Pictures

pytestmark = pytest.mark.oracle
SPACE = LabelSpace(("cat", "dog"), keypoints=("nose", "tail"))
SIZE = (60, 80)


def objects(xy, visible=None, crowd=None):
    points = torch.tensor(xy, dtype=torch.float64)
    seen = torch.full(points.shape[:2], 2, dtype=torch.uint8) if visible is None else torch.tensor(visible, dtype=torch.uint8)
    boxes = Boxes(torch.cat([points.amin(1) - 4, points.amax(1) + 4], 1), torch.arange(len(points)) % 2, crowd=None if crowd is None else torch.tensor(crowd))
    return Keypoints(points, seen, boxes)


TRUTHS = [
    objects([[(10.0, 20.0), (30.0, 40.0)], [(50.0, 10.0), (70.0, 50.0)]]),
    Keypoints.empty(2),
    objects([[(20.0, 30.0), (40.0, 45.0)], [(5.0, 5.0), (9.0, 9.0)], [(60.0, 20.0), (70.0, 30.0)]], [[2, 1], [0, 0], [2, 2]], [False, False, True]),
    None,
]


@pytest.fixture
def dataset():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (len(TRUTHS), *SIZE, 3), dtype=np.uint8)
    records = tuple(Record(f"p#{i}", Path("p"), i, {"keypoints": t}, size=SIZE) for i, t in enumerate(TRUTHS))
    return Pictures("p", records, pixels, {"keypoints": SPACE}, "p")


Sides = st.integers(1, 200)


@settings(deadline=None, max_examples=200)
@given(h=Sides, w=Sides, corner=st.tuples(st.floats(0, 1), st.floats(0, 1)), sides=st.tuples(st.floats(0.001, 1), st.floats(0.001, 1)),
       context=st.floats(1, 4), ratio=st.floats(0.2, 5))  # fmt: skip
def test_a_window_is_inside_of_the_image_and_shows_all_of_the_box(h, w, corner, sides, context, ratio):
    x0, y0 = corner[0] * w, corner[1] * h
    box = (x0, y0, min(w, x0 + sides[0] * w), min(h, y0 + sides[1] * h))
    window = Crops(context).window(box, (h, w), ratio)
    bottom, right = window.y + window.size[0], window.x + window.size[1]
    assert window.x >= 0 and window.y >= 0 and right <= w and bottom <= h and min(window.size) >= 1
    assert window.x <= box[0] + 1e-6 and window.y <= box[1] + 1e-6 and right >= box[2] - 1e-6 and bottom >= box[3] - 1e-6


def test_a_window_far_from_the_border_has_the_ratio_of_the_input():
    window = Crops(1.25).window((450, 480, 470, 560), (1000, 1000), 4 / 3)
    assert window == Window(422, 470, (100, 76)) and 76 * 4 / 3 == pytest.approx(100, abs=2)


def test_records_are_objects_whose_truths_lie_where_they_did(dataset):
    cropped = CroppedDataset(dataset, Crops(), (64, 64))
    assert [record.id for record in cropped.records] == ["p#0@0", "p#0@1", "p#2@0"] and len(cropped) == 3
    for i, (place, row, window) in enumerate(cropped.crop):
        found = cropped.truth(i)["keypoints"]
        assert len(found) == 1 and cropped.size(i) == window.size == cropped.records[i].size
        back = found.warp(window.placement(SIZE))
        assert torch.allclose(back.xy[0].double(), TRUTHS[place].xy[row]) and torch.equal(back.visible[0], TRUTHS[place].visible[row])
        pixels = dataset.read(place)[window.y : window.y + window.size[0], window.x : window.x + window.size[1]]
        assert np.array_equal(cropped.read(i), pixels)
    part = cropped.subset([2])
    assert part.records[0].id == "p#2@0" and np.array_equal(part.read(0), cropped.read(2)) and part.fingerprint != cropped.fingerprint
    assert images_of(cropped) is dataset and typical_crop(dataset, Crops()) == (35, 35)


def test_answers_are_put_together_by_image(dataset):
    """The truths of the crops, given as answers, are the truths of the images; those without objects are answered with nothing."""
    cropped = CroppedDataset(dataset, Crops(), (64, 64))
    answers = [(record.id, scored(cropped.truth(i)["keypoints"], 0.5)) for i, record in enumerate(cropped.records)]
    whole = dict(whole_answers(reversed(answers), cropped))
    assert sorted(whole) == [0, 1, 2, 3] and len(whole[1]) == len(whole[3]) == 0 and whole[1].xy.shape == (0, 2, 2)
    assert torch.allclose(whole[0].xy.double().sort(0).values, TRUTHS[0].xy.sort(0).values)
    assert whole[2].boxes.xyxy[0].double().tolist() == TRUTHS[2].boxes.xyxy[0].tolist() and whole[2].boxes.classes.tolist() == [0]
    assert whole[2].boxes.scores.tolist() == [0.5]
    with pytest.raises(ValueError, match="no crop"):
        list(whole_answers([("p#9@0", None)], cropped))


def scored(target, score):
    return replace(target, boxes=replace(target.boxes, scores=torch.full((len(target),), score)), scores=torch.ones(target.visible.shape))


def test_given_boxes_are_answered_instead_and_their_scores_count(dataset):
    given_boxes = [Boxes(torch.tensor([[0.0, 0, 20, 20], [40, 10, 80, 60]]), torch.tensor([1, 0]), torch.tensor([0.5, 1.0])), *[Boxes.empty()] * 3]
    preprocess = Preprocess((32, 32), 3, "letterbox", crops=Crops())
    cropped = preprocess.parts(dataset, given_boxes)
    assert [record.id for record in cropped.records] == ["p#0@0", "p#0@1"] and cropped.truth(0) == {"keypoints": None}
    point = Keypoints(torch.full((1, 2, 2), 3.0), torch.full((1, 2), 2, dtype=torch.uint8), Boxes(torch.tensor([[0.0, 0, 9, 9]]), torch.tensor([0])))
    whole = dict(whole_answers([(record.id, scored(point, 0.8)) for record in cropped.records], cropped))
    assert whole[0].boxes.classes.tolist() == [1, 0] and whole[0].boxes.scores.tolist() == pytest.approx([0.4, 0.8])
    batch = next(iter(Loader(cropped, preprocess, batch_size=2, threads=0).epoch(0)))
    assert batch.inputs.shape == (2, 3, 32, 32) and batch.targets["keypoints"] == [None, None]
    with pytest.raises(ValueError, match="no crops"):
        replace(preprocess, crops=None).parts(dataset, given_boxes)


def test_the_joined_answer_of_no_objects_is_empty():
    empty = Keypoints.empty(2)
    joining = JoinedCrops(SIZE, Boxes.empty(), [], empty)
    joining.add(TRUTHS[0])
    assert joining.finish() is empty


def test_stored_values_are_checked():
    held = Preprocess((32, 32), 3, crops=Crops(1.5)).to_dict()
    assert held["crops"] == {"context": 1.5} and Preprocess.from_dict(json.loads(json.dumps(held))).crops == Crops(1.5)
    for wrong in ({"context": 9.0}, {"context": "a"}, {"contxt": 1.0}, [1]):
        with pytest.raises(ModelError) as caught:
            Preprocess.from_dict({**held, "crops": wrong})
        assert caught.value.code == "MODEL-ARGS"
    with pytest.raises(ModelError, match="a tiling and crops"):
        Preprocess((32, 32), 3, crops=Crops(), tiling=Tiling((32, 32), 8))
    with pytest.raises(UsageError):
        Crops(0.5)


ITEMS = [Input("a/one.png", Path("/data/a/one.png")), Input("b/two.png", Path("/data/b/two.png")), Input("c/three.png", Path("/data/c/three.png"))]


def test_boxes_of_json_lines_and_of_coco(tmp_path):
    cat, car = {"class": "cat", "score": 0.25, "box": [1, 2, 3, 4]}, {"class": "car", "score": 1, "box": [0, 0, 1, 1]}
    lines = [
        {"id": "a/one.png", "path": "x", "status": "ok", "objects": [cat, car]},
        {"id": "two.png", "status": "ok", "objects": []},
        {"id": "c/three.png", "status": "failed"},
    ]
    file = tmp_path / "boxes.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = read_boxes(file, ITEMS, SPACE)
    assert found["a/one.png"].xyxy.tolist() == [[1, 2, 3, 4]] and found["a/one.png"].scores.tolist() == [0.25]
    assert len(found["b/two.png"]) == 0 and "c/three.png" not in found  # by its file's name; what failed says nothing

    coco = {
        "images": [{"id": 7, "file_name": "b/two.png"}, {"id": 8, "file_name": "three.png"}],
        "categories": [{"id": 3, "name": "dog"}, {"id": 4, "name": "cat"}],
        "annotations": [
            {"image_id": 7, "category_id": 3, "bbox": [10, 20, 5, 6]},
            {"image_id": 7, "category_id": 4, "bbox": [0, 0, 5, 6], "score": 0.5},
            {"image_id": 8, "category_id": 4, "bbox": [0, 0, 5, 6], "iscrowd": 1},
        ],
    }
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps(coco))
    found = read_boxes(file, ITEMS, SPACE)
    assert found["b/two.png"].xyxy.tolist() == [[10, 20, 15, 26], [0, 0, 5, 6]] and found["b/two.png"].classes.tolist() == [1, 0]
    assert len(found["c/three.png"]) == 0 and "a/one.png" not in found
    assert whole_image((60, 80)).xyxy.tolist() == [[0, 0, 80, 60]]


NO_BOX = {"image_id": 1, "category_id": 2}


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("a.json", "[]", "ANN-FIELD"),
        ("a.json", '{"images": [], "annotations": []}', "ANN-FIELD"),
        ("a.json", '{"images": [], "categories": [], "annotations": [{"image_id": 1, "category_id": 1}]}', "ANN-FIELD"),
        ("a.json", json.dumps({"images": [{"id": 1, "file_name": "a"}], "categories": [{"id": 2, "name": "b"}], "annotations": [NO_BOX]}), "ANN-FIELD"),
        ("a.json", '{"images": [{"id": 1}], "categories": [], "annotations": []}', "ANN-FIELD"),
        ("a.jsonl", '{"id": "a"}', "ANN-FIELD"),
        ("a.jsonl", '{"id": "a", "objects": [{"class": "cat", "box": [0, 0, 1, 1], "score": 2}]}', "ANN-FIELD"),
        ("a.jsonl", '{"id": "a", "objects": [{"class": "cat", "box": [0, 0, 1]}]}', "ANN-FIELD"),
        ("a.jsonl", '{"id": "a", "objects": [{"class": "lorry", "box": [0, 0, 1, 1]}]}', "CLS-MODEL"),
        ("a.jsonl", "{", "ANN-JSON"),
        ("none.json", None, "ANN-UNREADABLE"),
    ],
)  # fmt: skip
def test_files_of_boxes_that_cannot_be_used_are_refused(tmp_path, name, text, code):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError) as caught:
        read_boxes(tmp_path / name, ITEMS, SPACE)
    assert caught.value.code == code


def test_small_pictures_are_enlarged_before_key_points_are_drawn():
    from saccade.inference.evaluate import LEGIBLE_SIDE, Shown, legible, panels

    held = Shown({}, np.full((60, 80, 3), 200, np.uint8), TRUTHS[0], scored(TRUTHS[0], 0.5))
    large = legible(held)
    assert large.pixels.shape == (LEGIBLE_SIDE * 60 // 80, LEGIBLE_SIDE, 3) and torch.allclose(large.truth.xy.double(), TRUTHS[0].xy * LEGIBLE_SIDE / 80)
    assert panels(held, SPACE).shape[0] == large.pixels.shape[0] and legible(large) is large
    assert legible(held._replace(answer=TRUTHS[0].boxes)).pixels is held.pixels
