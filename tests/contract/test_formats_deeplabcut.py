"""DeepLabCut: tables of one animal and of several, paths in one cell or three, config.yaml, groups, and damaged rows."""

import numpy as np
import pytest

from saccade.data.open import open_dataset
from saccade.errors import DataError
from tests.support.json_files import codes
from tests.support.text_files import boxes, opened, written

ONE = "scorer,me,me,me,me,me,me\nbodyparts,left ear,left ear,right ear,right ear,tail,tail\ncoords,x,y,x,y,x,y\n"
SEVERAL = "scorer,me,me,me,me,me,me\nindividuals,tom,tom,jo,jo,single,single\nbodyparts,nose,nose,nose,nose,cup,cup\ncoords,x,y,x,y,x,y\n"
FOLDER = "labeled-data/v1/"
IMAGE = f"{FOLDER}img01.png"
TABLE = f"{FOLDER}CollectedData_me.csv"


def test_one_animal(tmp_path):
    text = ONE + f"{FOLDER}img01.png,4.5,6,10,20,,\n{FOLDER}img02.png,,,,,nan,nan\n"
    config = "bodyparts: [tail, left ear, right ear]\nskeleton:\n- [left ear, right ear, tail]\n- [tail, nowhere]\n"
    data = opened(tmp_path, {TABLE: text, "config.yaml": config}, IMAGE, f"{FOLDER}img02.png", "elsewhere.png")
    space, points = data.spaces["keypoints"], data.truth(0)["keypoints"]
    assert data.format == "deeplabcut" and space.names == ("animal",) and space.keypoints == ("tail", "left ear", "right ear")
    assert space.skeleton == ((1, 2), (2, 0)) and space.pairs == ((1, 2),)
    assert points.xy.tolist() == [[[0, 0], [4.5, 6], [10, 20]]] and points.visible.tolist() == [[0, 2, 2]]
    assert boxes(data, IMAGE, "keypoints") == [[4.5, 6, 10, 20, 0]] and len(data.truth(1)["keypoints"]) == 0
    assert codes(data) == {"ANN-UNLISTED": "note"} and data.records[0].group is None


def test_several_animals(tmp_path):
    data = opened(tmp_path, {TABLE: SEVERAL + f"{IMAGE},4,6,,,30,20\n"}, IMAGE)
    points = data.truth(0)["keypoints"]
    assert data.spaces["keypoints"].names == ("animal", "single") and data.spaces["keypoints"].keypoints == ("nose", "cup")
    assert points.boxes.classes.tolist() == [0, 1] and points.boxes.attributes == ({"individual": "tom"}, {}) and points.visible.tolist() == [[2, 0], [0, 2]]
    assert boxes(data, IMAGE, "keypoints") == [[3.5, 5.5, 4.5, 6.5, 0], [29.5, 19.5, 30.5, 20.5, 1]]  # a single point has a box of one pixel


@pytest.mark.parametrize("path", [f"{FOLDER}img01.png", "labeled-data\\v1\\img01.png", "/mnt/me/labeled-data/v1/img01.png", "img01.png"])
def test_ways_to_name_a_frame(path, tmp_path):
    data = opened(tmp_path, {TABLE: ONE + f"{path},1,2,3,4,5,6\n"}, IMAGE, "labeled-data/v2/img01.png")
    assert [record.id for record in data.records] == [IMAGE]


def test_paths_in_three_cells(tmp_path):
    header = "\n".join(",".join([line.split(",")[0], "", "", *line.split(",")[1:]]) for line in ONE.splitlines())
    data = opened(tmp_path, {TABLE: f"{header}\nlabeled-data,v1,img01.png,1,2,3,4,5,6\n"}, IMAGE)
    assert data.truth(0)["keypoints"].xy.tolist() == [[[1, 2], [3, 4], [5, 6]]]


def test_frames_of_a_video_are_a_group_from_three_videos_on(tmp_path):
    names = [f"labeled-data/v{n}/img01.png" for n in range(3)]
    files = {f"labeled-data/v{n}/CollectedData_me.csv": ONE + f"{name},1,2,3,4,5,6\n" for n, name in enumerate(names)}
    data = opened(tmp_path, files, *names)
    assert [record.group for record in data.records] == ["labeled-data/v0", "labeled-data/v1", "labeled-data/v2"]


DAMAGED = {
    "a word": ("1,2,3,four,5,6", "ANN-NUMBER"),
    "one of two": ("1,2,3,,5,6", "ANN-NUMBER"),
    "inf": ("1,2,3,inf,5,6", "ANN-NUMBER"),
    "outside": ("1,2,3,44,5,6", "ANN-POINT-OUT"),
    "few cells": ("1,2,3", "ANN-ROW"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_row_costs_its_image(kind, tmp_path):
    cells, code = DAMAGED[kind]
    data = opened(tmp_path, {TABLE: ONE + f"{IMAGE},{cells}\n{FOLDER}img02.png,1,2,3,4,5,6\n"}, IMAGE, f"{FOLDER}img02.png")
    found = next(problem for problem in data.problems if problem.code == code)
    assert found.severity == "error" and found.where == f"{TABLE}:4" and [record.id for record in data.records] == [f"{FOLDER}img02.png"]


def test_frames_listed_twice_and_frames_that_are_not_there(tmp_path):
    same, other = "1,2,3,4,5,6", "9,2,3,4,5,6"
    data = opened(tmp_path, {TABLE: ONE + f"{IMAGE},{same}\n{IMAGE},{same}\n{FOLDER}gone.png,{same}\n"}, IMAGE)
    assert codes(data) == {"ANN-DUP": "warn", "IMG-MISSING": "error"} and len(data) == 1
    conflict = opened(tmp_path / "2", {TABLE: ONE + f"{IMAGE},{same}\n{IMAGE},{other}\n"}, IMAGE)
    assert codes(conflict)["ANN-CONFLICT"] == "error" and len(conflict) == 0


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (ONE.replace("x,y,x,y,x,y", "x,y,x,x,x,y"), "ANN-COLUMNS"),
        (ONE.replace("right ear", "left ear"), "ANN-COLUMNS"),
        (ONE.replace("x,y,x,y,x,y", ",,,,,"), "ANN-COLUMNS"),
    ],
)
def test_headers_that_cannot_be_understood_are_refused(header, code, tmp_path):
    with pytest.raises(DataError) as caught:
        opened(tmp_path, {TABLE: header + f"{IMAGE},1,2,3,4,5,6\n"}, IMAGE)
    assert caught.value.code == code and caught.value.where == TABLE


def test_a_configuration_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(DataError) as caught:
        opened(tmp_path, {TABLE: ONE + f"{IMAGE},1,2,3,4,5,6\n", "config.yaml": "bodyparts: [a"}, IMAGE)
    assert caught.value.code == "ANN-YAML"


def test_points_that_no_table_has_are_told(tmp_path):
    data = opened(tmp_path, {TABLE: ONE + f"{IMAGE},1,2,3,4,5,6\n", "config.yaml": "bodyparts: [tail, wing]"}, IMAGE)
    assert codes(data) == {"ANN-IGNORED": "note"} and data.spaces["keypoints"].keypoints == ("tail", "left ear", "right ear")


def test_a_mouse_in_an_open_field(shared_data, tmp_path):
    data = open_dataset(shared_data / "pose" / "dlc_openfield")
    space = data.spaces["keypoints"]
    assert data.format == "deeplabcut" and len(data) == 86 and space.keypoints == ("snout", "leftear", "rightear", "tailbase") and not data.problems
    first = data.truth(0)["keypoints"]
    assert first.xy[0].tolist() == [[10.761, 132.714], [16.91, 132.97], [9.992, 125.028], [43.555, 76.349]] and space.pairs == ((1, 2),)
    labelled = sum(int((data.truth(i)["keypoints"].visible > 0).sum()) for i in range(86))
    rows = [line.split(",")[1:] for line in (data.root / "labeled-data/m4s1/CollectedData_Pranav.csv").read_text().splitlines()[3:]]
    assert labelled == sum(bool(cell) for row in rows for cell in row[::2]) == 4 * 86  # none is blank in the frames of this pack
    again, losses = written(data.subset(range(0, 86, 8)), tmp_path / "out", "deeplabcut")
    assert losses == [] and np.allclose(again.truth(0)["keypoints"].xy, first.xy, rtol=0, atol=1e-6)
