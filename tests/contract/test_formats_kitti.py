"""KITTI: boxes in the image and in space against the definition, calibration, regions, and damaged rows."""

import math

import numpy as np
import pytest

from saccade.data.open import open_dataset
from tests.support.json_files import codes
from tests.support.text_files import boxes, opened, splits, written

CAMERA = "20 0 20 1 0 20 15 0.2 0 0 1 0.003"
CALIBRATION = f"P0: {CAMERA}\nP1: {CAMERA}\nP2: {CAMERA}\nP3: {CAMERA}\nR0_rect: 1 0 0 0 1 0 0 0 1\n"
CAR = "Car 0.25 1 -1.5 2 3 30 20 1.5 1.6 4 0.5 1.75 9 1.25"
REGION = "DontCare -1 -1 -10 1 1 5 5 -1 -1 -1 -1000 -1000 -1000 -10"
FLAT = "Van 0 0 0.5 4 4 9 9 -1 -1 -1 -1000 -1000 -1000 -10"


def files(text=CAR, calibration=CALIBRATION, root="training/"):
    held = {f"{root}label_2/000001.txt": text, f"{root}label_2/000002.txt": f"{CAR}\n", f"{root}calib/000002.txt": CALIBRATION}
    return held | ({f"{root}calib/000001.txt": calibration} if calibration is not None else {})


IMAGES = ("training/image_2/000001.png", "training/image_2/000002.png")


def test_a_row_is_what_the_definition_says(tmp_path):
    data = opened(tmp_path, files(f"{CAR}\n{REGION}\n{FLAT} 0.9\n"), *IMAGES)
    assert data.format == "kitti" and not data.problems and data.spaces["boxes"].names == ("Car", "Van") == data.spaces["boxes3d"].names
    truth = data.truth(0)
    assert boxes(data, IMAGES[0]) == [[2, 3, 30, 20, 0], [1, 1, 5, 5, -1], [4, 4, 9, 9, 1]] and truth["boxes"].crowd.tolist() == [False, True, False]
    assert truth["boxes"].attributes == ({"truncated": 0.25, "occluded": 1, "alpha": -1.5}, {}, {"truncated": 0.0, "occluded": 0, "alpha": 0.5})
    space = truth["boxes3d"]
    assert space.centre.tolist() == [[0.5, 1.0, 9.0]] and space.size.tolist() == [[4.0, 1.5, 1.6]] and space.yaw.tolist() == pytest.approx([1.25])
    assert np.allclose(space.camera.numpy(), np.array(CAMERA.split(), float).reshape(3, 4)) and space.boxes.xyxy.tolist() == [[2, 3, 30, 20]]
    assert splits(data) == dict.fromkeys(IMAGES)  # `training` alone is all there is


@pytest.mark.parametrize(("yaw", "expected"), [("3.5", 3.5 - 2 * math.pi), ("-3.141592653589793", math.pi), ("3.141592653589793", math.pi), ("-1", -1.0)])
def test_yaw_is_one_turn(yaw, expected, tmp_path):
    data = opened(tmp_path, files(" ".join([*CAR.split()[:-1], yaw])), *IMAGES)
    assert data.truth(0)["boxes3d"].yaw.tolist() == pytest.approx([expected])


DAMAGED = {
    "few columns": (" ".join(CAR.split()[:-1]), "ANN-ROW"),
    "many columns": (CAR + " 1 2", "ANN-ROW"),
    "a word": (CAR.replace("1.5 1.6", "1.5 high"), "ANN-ROW"),
    "no size": (CAR.replace("1.5 1.6", "0 1.6"), "ANN-SPACE"),
    "a negative size": (CAR.replace("1.5 1.6", "1.5 -1.6"), "ANN-SPACE"),
    "yaw is nan": (" ".join([*CAR.split()[:-1], "nan"]), "ANN-SPACE"),
    "a corner is inf": (CAR.replace("2 3 30", "2 3 inf"), "ANN-NUMBER"),
    "outside": (CAR.replace("2 3 30", "52 3 60"), "ANN-BOX-OUT"),
    "exchanged": (CAR.replace("2 3 30", "30 3 2"), "ANN-BOX-NEGATIVE"),
    "not UTF-8": (b"Car \xff", "ANN-UNREADABLE"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_row_costs_its_image(kind, tmp_path):
    text, code = DAMAGED[kind]
    good = f"{CAR}\n".encode() if isinstance(text, bytes) else f"{CAR}\n"
    data = opened(tmp_path, files(good + text), *IMAGES)
    assert codes(data) == {code: "error"} and [record.id for record in data.records] == [IMAGES[1]] and data.problems[0].image == IMAGES[0]


@pytest.mark.parametrize("calibration", [None, "", "P2: 1 2 3\n", CALIBRATION.replace("P2: 20", "P2: nan"), CALIBRATION.replace("P2: 20", "P2: 0"), "P2: a\n"])
def test_an_image_without_its_camera_is_left_out(calibration, tmp_path):
    data = opened(tmp_path, files(calibration=calibration), *IMAGES)
    assert codes(data) == {"ANN-CAMERA": "error"} and [record.id for record in data.records] == [IMAGES[1]]


def test_without_any_calibration_the_boxes_in_the_image_are_left(tmp_path):
    data = opened(tmp_path, {"label_2/1.txt": CAR}, "image_2/1.png")
    assert codes(data) == {"ANN-CAMERA": "warn"} and list(data.spaces) == ["boxes"] and boxes(data, "image_2/1.png") == [[2, 3, 30, 20, 0]]
    flat = opened(tmp_path / "flat", {"label_2/1.txt": FLAT}, "image_2/1.png")
    assert not flat.problems and list(flat.spaces) == ["boxes"]


def test_lists_classes_and_what_has_no_counterpart(tmp_path):
    held = files(f"{CAR}\n{REGION}") | {
        "ImageSets/train.txt": "000001\n",
        "ImageSets/val.txt": "000002",
        "classes.txt": "Van\nCar\n",
        "training/label_2/9.txt": "",
    }
    data = opened(tmp_path, held, *IMAGES, "training/image_2/000003.png", "testing/image_2/000001.png")
    assert splits(data)[IMAGES[1]] == "val" and data.spaces["boxes"].names == ("Van", "Car") and boxes(data, IMAGES[1])[0][4] == 1
    assert codes(data)["ANN-ORPHAN"] == "warn" and codes(data)["ANN-UNLISTED"] == "note" and codes(data)["ANN-NOFILE"] == "note"
    unknown = opened(tmp_path / "other", files() | {"classes.txt": "Van\n"}, *IMAGES)
    assert codes(unknown)["ANN-CLASS"] == "fatal"


def test_a_damaged_first_row_does_not_hide_the_layout(tmp_path):
    data = opened(tmp_path, files("1 2 3"), *IMAGES)
    assert data.format == "kitti" and codes(data) == {"ANN-ROW": "error"} and len(data) == 1


def test_other_text_files_are_no_kitti(tmp_path):
    data = opened(tmp_path, {"label_2/a.txt": "0 0.5 0.5 0.5 0.5\n"}, "image_2/a.png")
    assert data.format == "yolo"


def test_real_frames(shared_data, tmp_path):
    """The corners of every box in space lie around its box in the image, to a few pixels; written and read again nothing moves."""
    data = open_dataset(shared_data / "det3d" / "kitti")
    assert data.format == "kitti" and len(data) == 3 and not [p for p in data.problems if p.severity != "note"]
    assert [len(data.truth(i)["boxes"]) for i in range(3)] == [1, 7, 2] and [len(data.truth(i)["boxes3d"]) for i in range(3)] == [1, 3, 2]
    for i in range(3):
        space = data.truth(i)["boxes3d"]
        assert np.abs(space.around().numpy() - space.boxes.xyxy.numpy()).max() < 12  # pixels; the nearest object is 8 m away and 300 px high
    again, losses = written(data, tmp_path / "out", "kitti")
    assert losses == [] and [boxes(again, r.id) for r in again.records] == [boxes(data, r.id) for r in data.records]
    for i in range(3):
        before, after = data.truth(i)["boxes3d"], again.truth(i)["boxes3d"]
        assert (
            np.allclose(before.centre, after.centre, atol=1e-9) and np.allclose(before.camera, after.camera, atol=1e-9) and np.allclose(before.yaw, after.yaw)
        )
