"""LabelMe files, JSON and XML: every kind of shape, and what is wrong with them named by code and place."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from saccade.core import LabelSpace
from saccade.data.formats import FORMATS
from saccade.data.formats.pictures import Pictures
from saccade.data.open import open_dataset
from saccade.ops.masks import mask_of
from tests.support.json_files import codes, pictures, write


def shape(label, points, kind="polygon", **more):
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, "flags": {}, **more}


def page(*shapes, image="a.png", **more):
    return {"version": "5.5.0", "flags": {}, "shapes": list(shapes), "imagePath": image, "imageData": None, "imageHeight": 30, "imageWidth": 40, **more}


def opened(tmp_path, *shapes, **more):
    pictures(tmp_path, "a.png")
    write(tmp_path / "a.json", page(*shapes, **more))
    return open_dataset(tmp_path)


def test_rectangles_polygons_and_circles(tmp_path):
    data = opened(tmp_path, shape("dog", [[10, 12], [2, 3]], "rectangle"), shape("cat", [[1, 1], [9, 1], [9, 8]]), shape("dog", [[20, 15], [26, 15]], "circle"))
    assert data.format == "labelme" and data.spaces["boxes"].names == ("cat", "dog")
    boxes = data.records[0].targets["boxes"]
    assert boxes.xyxy.numpy() == pytest.approx(np.array([[2, 3, 10, 12], [1, 1, 9, 8], [14, 9, 26, 21]]))
    assert boxes.classes.tolist() == [1, 0, 1]
    disc = mask_of(data.records[0].targets["instances"].shapes[2])
    assert disc.sum() == pytest.approx(np.pi * 36, rel=0.05)


def test_a_mask_lies_between_its_first_and_last_pixel(tmp_path):
    part = np.array([[1, 0, 1], [1, 1, 1]], bool)
    stream = io.BytesIO()
    Image.fromarray(part).save(stream, format="PNG")
    data = opened(tmp_path, shape("cell", [[5, 7], [7, 8]], "mask", mask=base64.b64encode(stream.getvalue()).decode()))
    instances = data.records[0].targets["instances"]
    whole = np.zeros((30, 40), bool)
    whole[7:9, 5:8] = part
    assert (mask_of(instances.shapes[0]) == whole).all()
    assert instances.boxes.xyxy.tolist() == [[5, 7, 8, 9]]


def test_outlines_of_one_group_and_class_are_one_object(tmp_path):
    rings = [[[1, 1], [5, 1], [5, 5]], [[11, 11], [15, 11], [15, 15]]]
    data = opened(tmp_path, *(shape("dog", ring, group_id=4) for ring in rings), shape("cat", rings[0], group_id=4), shape("dog", rings[0]))
    boxes = data.records[0].targets["boxes"]
    assert boxes.xyxy.tolist() == [[1, 1, 15, 15], [1, 1, 5, 5], [1, 1, 5, 5]]
    assert [len(s.rings) for s in data.records[0].targets["instances"].shapes] == [2, 1, 1]


def test_points_of_an_object_are_its_key_points_and_others_are_dots(tmp_path):
    data = opened(
        tmp_path,
        shape("mouse", [[1, 1], [20, 20]], "rectangle", group_id=1),
        shape("tail", [[3, 4]], "point", group_id=1, flags={"hidden": True}),
        shape("nose", [[7, 8]], "point", group_id=1),
        shape("seed", [[30, 2.5]], "point"),
    )
    keypoints = data.records[0].targets["keypoints"]
    assert data.spaces["keypoints"].keypoints == ("nose", "tail") and data.spaces["keypoints"].names == ("mouse",)
    assert keypoints.xy.tolist() == [[[7, 8], [3, 4]]] and keypoints.visible.tolist() == [[2, 1]]
    assert data.spaces["points"].names == ("seed",) and data.records[0].targets["points"].xy.tolist() == [[30, 2.5]]


def test_flags_are_labels_of_the_image(tmp_path):
    pictures(tmp_path, "train/a.png", "valid/b.png", "train/c.png")
    write(tmp_path / "train/a.json", page(flags={"wet": True, "dark": False}))
    write(tmp_path / "valid/b.json", page(image="b.png", flags={"dark": True}))
    data = open_dataset(tmp_path)
    assert data.spaces["labels"].names == ("dark", "wet")
    assert [r.targets["labels"].values.tolist() for r in data.records] == [[0, 1], [1, -1]]
    assert [r.split for r in data.records] == ["train", "val"]
    assert codes(data) == {"ANN-UNLISTED": "note"}


def test_a_list_of_labels_gives_the_order_and_the_flags_of_a_box_are_kept(tmp_path):
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\nzebra\nape\nunused\n", encoding="utf-8")
    data = opened(tmp_path, shape("ape", [[1, 1], [9, 9]], "rectangle", flags={"difficult": True, "wet": True}), shape("bee", [[1, 1], [8, 9]], "rectangle"))
    assert data.spaces["boxes"].names == ("zebra", "ape", "unused", "bee")
    boxes = data.records[0].targets["boxes"]
    assert boxes.difficult.tolist() == [True, False] and boxes.attributes[0] == {"wet": True}


def test_the_image_is_found_by_a_windows_path_or_by_the_name_of_the_file(tmp_path):
    pictures(tmp_path, "img/a.png", "img/b.png")
    write(tmp_path / "labels/a.json", page(image="..\\elsewhere\\a.png"))
    write(tmp_path / "labels/b.json", page(image="renamed.png"))
    assert [r.id for r in open_dataset(tmp_path).records] == ["img/a.png", "img/b.png"]


SQUARE = [[1, 1], [9, 1], [9, 9], [1, 9]]
FAULTS = {
    "two corners": (shape("a", SQUARE[:2]), "ANN-POLYGON"),
    "text for a number": (shape("a", [[1, 1], ["9", 1], [9, 9]]), "ANN-NUMBER"),
    "far away": (shape("a", [[1, 1], [1e12, 1], [9, 9]]), "ANN-NUMBER"),
    "no label": (shape("", SQUARE), "ANN-FIELD"),
    "a label that is a list": (shape(["a"], SQUARE), "ANN-FIELD"),
    "three corners of a rectangle": (shape("a", SQUARE[:3], "rectangle"), "ANN-FIELD"),
    "one point of a circle": (shape("a", SQUARE[:1], "circle"), "ANN-FIELD"),
    "two points of a point": (shape("a", SQUARE[:2], "point"), "ANN-FIELD"),
    "a box outside": (shape("a", [[50, 50], [60, 60]], "rectangle"), "ANN-BOX-OUT"),
    "a point outside": (shape("a", [[90, 9]], "point"), "ANN-POINT-OUT"),
    "a mask that is no PNG": (shape("a", [[1, 1], [2, 2]], "mask", mask="aGVsbG8="), "ANN-MASK"),
    "a mask that is no base64": (shape("a", [[1, 1], [2, 2]], "mask", mask="%%"), "ANN-MASK"),
    "a mask without pixels": (shape("a", [[1, 1], [2, 2]], "mask"), "ANN-MASK"),
    "points that are no list": (shape("a", "1 1 9 9"), "ANN-POLYGON"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_loses_its_image_and_is_named_with_its_place(tmp_path, fault):
    pictures(tmp_path, "a.png", "b.png")
    bad, code = FAULTS[fault]
    write(tmp_path / "a.json", page(shape("a", SQUARE), bad))
    write(tmp_path / "b.json", page(shape("a", SQUARE), image="b.png"))
    data = open_dataset(tmp_path)
    assert [r.id for r in data.records] == ["b.png"]
    (problem,) = [p for p in data.problems if p.severity == "error"]
    assert (problem.code, problem.where, problem.image) == (code, "a.json:shapes[1]", "a.png")


def test_broken_files_lose_their_image_and_lines_are_told(tmp_path):
    pictures(tmp_path, "a.png", "b.png", "c.png", "d.png")
    write(tmp_path / "a.json", '{"shapes": [')
    write(tmp_path / "b.json", {"shapes": "none", "imagePath": "b.png"})
    write(tmp_path / "c.json", page(shape("road", [[1, 1], [5, 5]], "line"), image="c.png"))
    write(tmp_path / "e.json", page(image="lost.png"))
    data = open_dataset(tmp_path)
    assert [r.id for r in data.records] == ["c.png"]
    assert codes(data) == {"ANN-JSON": "error", "ANN-FIELD": "error", "ANN-KIND": "warn", "IMG-MISSING": "error", "ANN-UNLISTED": "note"}
    assert {p.image for p in data.problems if p.severity == "error" and p.image} == {"a.png", "b.png"}


def test_an_image_labelled_by_two_files_is_not_used(tmp_path):
    pictures(tmp_path, "a.png", "b.png")
    for name, image in (("a", "a.png"), ("again", "a.png"), ("b", "b.png")):
        write(tmp_path / f"{name}.json", page(shape("a", SQUARE), image=image))
    data = open_dataset(tmp_path)
    assert [r.id for r in data.records] == ["b.png"] and codes(data) == {"ANN-CONFLICT": "error"}


def test_what_is_written_is_a_labelme_file(tmp_path):
    data = opened(tmp_path / "in", shape("dog", SQUARE), shape("cat", [[1, 1], [9, 9]], "rectangle"), flags={"wet": True})
    (tmp_path / "out").mkdir()
    assert FORMATS["labelme"].save(data, tmp_path / "out", Pictures(data, tmp_path / "out")) == []
    held = json.loads((tmp_path / "out" / "a.json").read_text(encoding="utf-8"))
    assert [(s["label"], s["shape_type"], s["points"]) for s in held["shapes"]] == [("dog", "polygon", SQUARE), ("cat", "polygon", SQUARE)]
    assert (held["imagePath"], held["imageHeight"], held["imageWidth"], held["flags"]) == ("a.png", 30, 40, {"wet": True})
    assert (tmp_path / "out" / "labels.txt").read_text(encoding="utf-8") == "cat\ndog\n"


def test_the_files_of_the_web_tool(shared_data):
    data = open_dataset(shared_data / "formats/annotation_formats/labelme_dataset")
    assert data.format == "labelme_xml" and len(data) == 1
    boxes = data.records[0].targets["boxes"]
    names = [data.spaces["boxes"].names[k] for k in boxes.classes.tolist()]
    assert names == ["window", "license plate", "o1", "q1", "b1", "m1", "hg"]
    assert boxes.xyxy[0].tolist() == [43, 34, 45, 37] and boxes.xyxy[4].tolist() == [13, 19, 23, 30]
    assert boxes.attributes[2] == {"occluded": True, "attributes": "a1"}
    assert data.spaces["instances"] == LabelSpace(tuple(sorted(names)))
    assert all(mask_of(s).any() for s in data.records[0].targets["instances"].shapes)


def test_faults_of_the_web_tool_s_files(tmp_path):
    pictures(tmp_path, "a.png", "b.png", "c.png", "d.png")
    begin = "<annotation><filename>{}</filename><folder></folder><source><sourceAnnotation>LabelMe Webtool</sourceAnnotation></source>"
    polygon = "<polygon><pt><x>1</x><y>1</y></pt><pt><x>9</x><y>1</y></pt><pt><x>{}</x><y>9</y></pt></polygon>"
    for name, inner in {
        "a": "<object><name>x</name><deleted>0</deleted>" + polygon.format("nine") + "</object>",
        "b": "<object><name>x</name><deleted>0</deleted><segm><mask>lost.png</mask></segm></object>",
        "c": "<object><name>x</name><deleted>1</deleted></object><object><name>x</name><deleted>0</deleted>" + polygon.format(9) + "</object>",
        "d": "<object><name></name><deleted>0</deleted></object>",
    }.items():
        write(tmp_path / f"{name}.xml", begin.format(f"{name}.png") + inner + "</annotation>")
    write(tmp_path / "e.xml", '<!DOCTYPE x [<!ENTITY a "b">]>' + begin.format("e.png") + "</annotation>")
    data = open_dataset(tmp_path)
    assert [r.id for r in data.records] == ["c.png"] and len(data.records[0].targets["boxes"]) == 1
    assert codes(data)["ANN-XML"] == "fatal"
    assert {p.code: p.where for p in data.problems if p.severity in ("error", "fatal")} == {
        "ANN-NUMBER": "a.xml:object[0]",
        "ANN-MASK": "b.xml:object[0]",
        "ANN-FIELD": "d.xml:object[0]",
        "ANN-XML": "e.xml",
    }
