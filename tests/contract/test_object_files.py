"""Answers that are objects as files of other tools: what is written is read back by pycocotools and by our own formats."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from saccade.core import LabelSpace
from saccade.data.open import open_dataset
from saccade.errors import DataError, UsageError
from saccade.inference.object_files import OBJECT_FILES
from saccade.inference.predict import Result
from saccade.inference.sources import Input
from saccade.inference.writers import to_row
from saccade.jobs.predict import PredictOptions, refuse_meaningless
from saccade.targets import Boxes, Instances, Keypoints

SPACE = LabelSpace(("red cell", "white/cell"))
ANSWERS = [
    Boxes(torch.tensor([[2.5, 3.0, 20.0, 25.0], [30.2, 0.0, 64.0, 10.7]]), torch.tensor([0, 1]), torch.tensor([0.9, 0.4])),
    Boxes(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0)),
    Boxes(torch.tensor([[0.0, 0.0, 64.0, 48.0]]), torch.tensor([1]), torch.tensor([0.7])),
]


@pytest.fixture
def pictures(tmp_path: Path) -> list[Input]:
    items = []
    for i, name in enumerate(("images/a.png", "images/b.png", "other/a.png")):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), np.random.default_rng(i).integers(0, 255, (48, 64, 3), dtype=np.uint8))
        items.append(Input(name, path))
    return items


def rows_of(items: list[Input], answers: list, space: LabelSpace = SPACE) -> list[dict]:
    return [to_row(Result(item, answer, None), space, top=1, probabilities=False) for item, answer in zip(items, answers, strict=True)]


def test_coco_is_read_by_pycocotools(tmp_path: Path, pictures: list[Input]) -> None:
    from pycocotools.coco import COCO

    path = OBJECT_FILES["coco"](tmp_path / "predictions.jsonl", rows_of(pictures, ANSWERS), pictures, SPACE)
    with contextlib.redirect_stdout(io.StringIO()):
        found = COCO(str(path))
        results = found.loadRes(found.dataset["annotations"])
    assert [image["file_name"] for image in found.dataset["images"]] == [str(item.path) for item in pictures]
    assert [c["name"] for c in found.dataset["categories"]] == list(SPACE.names)
    listed = [(a["image_id"], a["category_id"], a["bbox"], a["score"]) for a in results.dataset["annotations"]]
    assert listed == [(1, 1, [2.5, 3.0, 17.5, 22.0], 0.9), (1, 2, [30.2, 0.0, 33.8, 10.7], 0.4), (3, 2, [0.0, 0.0, 64.0, 48.0], 0.7)]


def test_masks_and_points_are_written(tmp_path: Path, pictures: list[Input]) -> None:
    from faster_coco_eval.core import mask as tools

    from saccade import storage

    mask = np.zeros((48, 64), bool)
    mask[5:20, 7:30] = True
    masks = Instances.from_masks([mask], [1], torch.tensor([0.8]))
    path = OBJECT_FILES["coco"](tmp_path / "m.jsonl", rows_of(pictures[:1], [masks]), pictures[:1], SPACE)
    entry = storage.read_json(path)["annotations"][0]
    assert np.array_equal(tools.decode({**entry["segmentation"], "counts": entry["segmentation"]["counts"].encode()}).astype(bool), mask)
    assert entry["area"] == mask.sum()
    space = LabelSpace(("mouse",), keypoints=("nose", "tail"), skeleton=((0, 1),))
    box = Boxes(torch.tensor([[0.0, 0.0, 10.0, 10.0]]), torch.tensor([0]), torch.tensor([0.5]))
    points = Keypoints(torch.tensor([[[1.0, 2.0], [0.0, 0.0]]]), torch.tensor([[2, 0]], dtype=torch.uint8), box)
    path = OBJECT_FILES["coco"](tmp_path / "k.jsonl", rows_of(pictures[:1], [points], space), pictures[:1], space)
    found = storage.read_json(path)
    assert found["annotations"][0]["keypoints"] == [1.0, 2.0, 2, 0, 0, 0] and found["annotations"][0]["num_keypoints"] == 1
    assert found["categories"][0]["skeleton"] == [[1, 2]]


def test_yolo_labels_are_shares_of_the_image_and_names_stay_apart(tmp_path: Path, pictures: list[Input]) -> None:
    folder = OBJECT_FILES["yolo"](tmp_path / "predictions.jsonl", rows_of(pictures, ANSWERS), pictures, SPACE)
    assert sorted(path.name for path in folder.iterdir()) == ["000002_a.txt", "a.txt", "b.txt"]
    assert (folder / "b.txt").read_text() == ""
    assert (tmp_path / "classes.txt").read_text().splitlines() == list(SPACE.names)
    line = (folder / "a.txt").read_text().splitlines()[1].split()
    x, y, w, h = (float(v) for v in line[1:5])
    assert (line[0], line[5]) == ("1", "0.4")
    assert [(x - w / 2) * 64, (y - h / 2) * 48, (x + w / 2) * 64, (y + h / 2) * 48] == pytest.approx([30.2, 0, 64, 10.7], abs=1e-3)


def test_yolo_labels_are_a_data_set_of_their_own(tmp_path: Path, pictures: list[Input]) -> None:
    kept = pictures[:2]
    plain = [Boxes(a.xyxy, a.classes) for a in ANSWERS[:2]]
    OBJECT_FILES["yolo"](tmp_path / "predictions.jsonl", rows_of(kept, plain), kept, SPACE)
    read = open_dataset(tmp_path, format="yolo")
    place = next(i for i, record in enumerate(read.records) if record.path.name == "a.png" and record.path.parent.name == "images")
    found = read.truth(place)["boxes"]
    assert torch.allclose(found.xyxy.float(), ANSWERS[0].xyxy, atol=1e-2) and found.classes.tolist() == [0, 1]


def test_crops_are_the_pixels_of_the_boxes(tmp_path: Path, pictures: list[Input]) -> None:
    folder = OBJECT_FILES["crops"](tmp_path / "answers.jsonl", rows_of(pictures, ANSWERS), pictures, SPACE)
    assert folder == tmp_path / "answers" / "crops"
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png")) == [
        "red_cell/000000_a_000.png", "white_cell/000000_a_001.png", "white_cell/000002_a_000.png",
    ]  # fmt: skip
    image = cv2.imread(str(pictures[0].path))
    assert np.array_equal(cv2.imread(str(folder / "red_cell/000000_a_000.png")), image[3:25, 2:20])


def test_failures_have_no_objects(tmp_path: Path, pictures: list[Input]) -> None:
    rows = rows_of(pictures[:1], ANSWERS[:1])
    rows.append(to_row(Result(pictures[1], None, DataError("IMG-MISSING", "gone")), SPACE, top=1, probabilities=False))
    folder = OBJECT_FILES["yolo"](tmp_path / "predictions.jsonl", rows, pictures[:2], SPACE)
    assert [path.name for path in folder.iterdir()] == ["a.txt"]


def test_a_form_of_objects_is_refused_for_other_answers() -> None:
    with pytest.raises(UsageError, match="form of objects"):
        refuse_meaningless(PredictOptions(as_="yolo"), "label")
    refuse_meaningless(PredictOptions(as_="yolo"), "boxes")
    with pytest.raises(UsageError, match="of key points"):
        refuse_meaningless(PredictOptions(as_="deeplabcut"), "boxes")
    refuse_meaningless(PredictOptions(as_="deeplabcut"), "keypoints")


def test_key_points_in_yolos_and_deeplabcuts_form(tmp_path: Path, pictures: list[Input]) -> None:
    space = LabelSpace(("mouse",), keypoints=("nose", "tail"))
    box = Boxes(torch.tensor([[0.0, 0.0, 32.0, 24.0], [32.0, 24.0, 64.0, 48.0]]), torch.tensor([0, 0]), torch.tensor([0.5, 0.25]))
    scores = torch.tensor([[0.75, 0.0], [0.5, 0.25]])
    two = Keypoints(torch.tensor([[[16.0, 12.0], [0.0, 0.0]], [[0.0, 0.0], [-1.5, 48.0]]]), torch.tensor([[2, 0], [1, 2]], dtype=torch.uint8), box, scores)
    one = two.select([0])
    rows = rows_of(pictures[:2], [two, one], space)
    folder = OBJECT_FILES["yolo"](tmp_path / "predictions.jsonl", rows, pictures[:2], space)
    lines = [line.split() for line in (folder / "a.txt").read_text().splitlines()]
    assert [float(v) for v in lines[0]] == [0, 0.25, 0.25, 0.5, 0.5, 0.25, 0.25, 2, 0, 0, 0, 0.5]
    assert [float(v) for v in lines[1][5:8]] == [0, 0, 2] and len(lines[1]) == 12  # the corner of the image is a place
    table = OBJECT_FILES["deeplabcut"](tmp_path / "predictions.jsonl", rows, pictures[:2], space).read_text().splitlines()
    assert table[1] == "individuals," + ",".join(["animal1"] * 6 + ["animal2"] * 6) and table[2].startswith("bodyparts,nose,nose,nose,tail")
    assert table[4].endswith("images/a.png,16.0,12.0,0.75,,,,0.0,0.0,0.5,-1.5,48.0,0.25") and table[5].endswith("images/b.png,16.0,12.0,0.75" + "," * 9)
    table = OBJECT_FILES["deeplabcut"](tmp_path / "alone.jsonl", rows[1:], pictures[1:2], space).read_text().splitlines()
    assert [line.split(",")[0] for line in table[:3]] == ["scorer", "bodyparts", "coords"] and len(table) == 4
