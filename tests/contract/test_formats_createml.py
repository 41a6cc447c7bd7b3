"""CreateML's JSON: boxes by their middle, classes of whole images, faults with their place."""

import json

import pytest

from saccade.data.formats import FORMATS
from saccade.data.formats.pictures import Pictures
from saccade.data.open import open_dataset
from tests.support.json_files import codes, pictures, write


def entry(image, *rows):
    return {
        "image": image,
        "annotations": [{"label": label, "coordinates": dict(zip(("x", "y", "width", "height"), place, strict=True))} for label, place in rows],
    }


def test_boxes_are_given_by_their_middle(tmp_path):
    pictures(tmp_path, "train/a.png", "valid/b.png", "train/empty.png")
    write(tmp_path / "train/_annotations.createml.json", [entry("a.png", ("dog", (10, 12, 4, 6))), entry("empty.png")])
    write(tmp_path / "valid/_annotations.createml.json", [entry("b.png", ("cat", (10, 12, 4, 6)), ("dog", (1, 1, 4, 4)))])
    data = open_dataset(tmp_path)
    assert data.format == "createml" and data.spaces["boxes"].names == ("cat", "dog")
    assert [(r.id, r.split, r.targets["boxes"].xyxy.tolist()) for r in data.records] == [
        ("train/a.png", "train", [[8, 9, 12, 15]]),
        ("train/empty.png", "train", []),
        ("valid/b.png", "val", [[8, 9, 12, 15], [0, 0, 3, 3]]),
    ]
    assert codes(data) == {"ANN-BOX-CLIP": "fixed"}


def test_other_names_of_the_keys_and_classes_of_images(tmp_path):
    pictures(tmp_path, "a.png", "b.png")
    write(tmp_path / "x.json", [{"imagefilename": "a.png", "annotation": [{"label": "dog"}]}, {"imagefilename": "b.png", "annotation": [{"label": "cat"}]}])
    data = open_dataset(tmp_path)
    assert data.spaces["label"].names == ("cat", "dog") and data.labels.tolist() == [1, 0] and "boxes" not in data.spaces


BAD = {
    "a box without numbers": ({"label": "a", "coordinates": {"x": 1}}, "ANN-NUMBER"),
    "coordinates that are null": ({"label": "a", "coordinates": None}, "ANN-NUMBER"),
    "a negative width": ({"label": "a", "coordinates": {"x": 5, "y": 5, "width": -3, "height": 3}}, "ANN-BOX-NEGATIVE"),
    "outside": ({"label": "a", "coordinates": {"x": 99, "y": 5, "width": 3, "height": 3}}, "ANN-BOX-OUT"),
    "no label": ({"coordinates": {"x": 5, "y": 5, "width": 3, "height": 3}}, "ANN-FIELD"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_fault_loses_its_image(tmp_path, fault):
    pictures(tmp_path, "a.png", "b.png")
    row, code = BAD[fault]
    write(tmp_path / "x.json", [{"image": "a.png", "annotations": [row]}, entry("b.png", ("a", (9, 9, 4, 4)))])
    data = open_dataset(tmp_path)
    (problem,) = data.problems
    assert [r.id for r in data.records] == ["b.png"] and (problem.code, problem.severity) == (code, "error")
    assert (problem.where, problem.image) == ("x.json:[0].annotations[0]", "a.png")


def test_entries_that_cannot_be_used(tmp_path):
    pictures(tmp_path, "a.png")
    write(tmp_path / "x.json", [entry("a.png"), entry("lost.png"), entry("a.png"), {"annotations": []}, {"image": "a.png", "annotations": {}}, 7])
    data = open_dataset(tmp_path)
    assert len(data) == 0 and codes(data) == {"IMG-MISSING": "error", "ANN-CONFLICT": "error", "ANN-FIELD": "error"}


def test_what_is_written_is_createml_and_names_what_it_loses(tmp_path):
    pictures(tmp_path / "in", "a.png")
    write(tmp_path / "in/x.json", [entry("a.png", ("dog", (10, 12, 4, 6)))])
    data, out = open_dataset(tmp_path / "in"), tmp_path / "out"
    out.mkdir()
    assert FORMATS["createml"].save(data, out, Pictures(data, out)) == []
    assert json.loads((out / "_annotations.createml.json").read_text()) == [entry("a.png", ("dog", (10, 12, 4, 6)))]
    reversed_names = data.with_records(data.records, spaces={"boxes": type(data.spaces["boxes"])(("dog", "unused"))})
    (tmp_path / "again").mkdir()
    (loss,) = FORMATS["createml"].save(reversed_names, tmp_path / "again", Pictures(reversed_names, tmp_path / "again"))
    assert loss.code == "LOSS-FIELD" and "without objects" in loss.got


def test_the_set_of_a_tool(shared_data):
    data = open_dataset(shared_data / "formats/annotation_formats/roboflow_dataset/createml")
    assert (data.format, len(data), data.splits) == ("createml", 3, ("train", "val"))
