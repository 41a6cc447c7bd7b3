"""CVAT XML: every kind of shape against its definition, groups, tags, tracks of videos, subsets, and damaged files."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.data.formats.cvat_shapes import brush_text
from saccade.data.open import open_dataset
from saccade.errors import DataError
from saccade.ops.masks import mask_of
from tests.support.json_files import codes
from tests.support.text_files import boxes, opened, splits

BOX = '<box label="cat" occluded="0" xtl="4" ytl="2.5" xbr="20" ybr="12"/>'


def label(name, more=""):
    return f"<label><name>{name}</name>{more}</label>"


def page(*shapes, labels=("cat", "dog"), more="", image='id="0" name="a.png" width="40" height="30"'):
    listed = "".join(text if text.startswith("<") else label(text) for text in labels)
    meta = f"<meta><task><labels>{listed}</labels></task></meta>"
    return f"<?xml version='1.0' encoding='utf-8'?><annotations><version>1.1</version>{meta}<image {image}>{''.join(shapes)}</image>{more}</annotations>"


def read(tmp_path, *shapes, **options):
    return opened(tmp_path, {"annotations.xml": page(*shapes, **options)}, "images/a.png")


def test_boxes_and_attributes(tmp_path):
    given = {"wet": "true", "age": "2.5", "name": "012", "is_crowd": "true"}
    inner = "".join(f'<attribute name="{name}">{value}</attribute>' for name, value in given.items())
    kinds = "".join(
        f"<attribute><name>{n}</name><input_type>{k}</input_type></attribute>" for n, k in (("wet", "checkbox"), ("age", "number"), ("is_crowd", "checkbox"))
    )
    data = read(
        tmp_path,
        BOX.replace('"0"', '"1"').replace("/>", f">{inner}</box>"),
        BOX.replace("cat", "dog"),
        labels=(label("cat", f"<attributes>{kinds}</attributes>"), "dog"),
    )
    held = data.truth(0)["boxes"]
    assert data.format == "cvat" and list(data.spaces) == ["boxes"] and data.spaces["boxes"].names == ("cat", "dog") and not data.problems
    assert boxes(data, "images/a.png") == [[4, 2.5, 20, 12, 0], [4, 2.5, 20, 12, 1]]
    assert held.attributes == ({"occluded": True, "wet": True, "age": 2.5, "name": "012"}, {}) and held.crowd.tolist() == [True, False]


def test_turned_boxes_and_ellipses_are_outlines(tmp_path):
    turned = '<box label="cat" xtl="10" ytl="10" xbr="20" ybr="14" rotation="30"/>'
    ellipse = '<ellipse label="dog" cx="20" cy="15" rx="8" ry="4"/>'
    data = read(tmp_path, turned, ellipse)
    first, second = data.truth(0)["instances"].shapes
    c, s = math.cos(math.pi / 6), math.sin(math.pi / 6)
    expected = [(15 + c * x - s * y, 12 + s * x + c * y) for x, y in ((-5, -2), (5, -2), (5, 2), (-5, 2))]  # clockwise, y down
    assert np.allclose(first.rings[0], expected) and abs(mask_of(second).sum() - math.pi * 32) < 6
    assert np.allclose(data.truth(0)["boxes"].xyxy[0], [*np.min(expected, 0), *np.max(expected, 0)])


def test_outlines_of_one_group_are_one_object(tmp_path):
    ring = '<polygon label="{}" {} points="{}"/>'
    one, two = ring.format("cat", 'group_id="1"', "1,1;5,1;5,5"), ring.format("cat", 'group_id="1"', "10,10;20,10;20,20.5")
    alone, other = ring.format("cat", "", "2,2;9,2;9,9"), ring.format("dog", 'group_id="1"', "3,3;7,3;7,7")
    data = read(tmp_path, one, alone, two, other, BOX)
    instances = data.truth(0)["instances"]
    assert [len(shape.rings) for shape in instances.shapes] == [2, 1, 1, 1] and codes(data) == {"ANN-MIXED": "note"}
    assert boxes(data, "images/a.png") == [[1, 1, 20, 20.5, 0], [2, 2, 9, 9, 0], [3, 3, 7, 7, 1], [4, 2.5, 20, 12, 0]]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=5))
def test_brush_masks_are_run_lengths_by_rows(tmp_path_factory, rows):
    mask = np.array(rows)
    mask[0, 0] = True
    shape = f'<mask label="cat" rle="{brush_text(mask)}" left="7" top="3" width="4" height="{len(mask)}"/>'
    data = read(tmp_path_factory.mktemp("mask"), shape)
    found = mask_of(data.truth(0)["instances"].shapes[0])
    assert found.shape == (30, 40) and found.sum() == mask.sum() and np.array_equal(found[3 : 3 + len(mask), 7:11], mask)


SKELETON = """<skeleton label="cat" {}><points label="nose" outside="0" occluded="0" points="4,6"/>
<points label="left paw" outside="0" occluded="1" points="10,20"/><points label="right paw" outside="1" occluded="0" points="0,0"/></skeleton>"""
SVG = "<svg>&lt;line data-type=&quot;edge&quot; data-node-from=&quot;1&quot; data-node-to=&quot;2&quot;&gt;&lt;/line&gt;</svg>"
JOINTS = [f"<label><name>{name}</name><type>points</type><parent>cat</parent></label>" for name in ("nose", "left paw", "right paw")]


def test_skeletons(tmp_path):
    data = read(tmp_path, SKELETON.format("").replace("</skeleton>", '<attribute name="age">3</attribute></skeleton>'), labels=(label("cat", SVG), *JOINTS))
    points, space = data.truth(0)["keypoints"], data.spaces["keypoints"]
    assert list(data.spaces) == ["keypoints"] and space.names == ("cat",) and space.keypoints == ("nose", "left paw", "right paw")
    assert space.skeleton == ((0, 1),) and space.pairs == ((1, 2),)
    assert points.xy.tolist() == [[[4, 6], [10, 20], [0, 0]]] and points.visible.tolist() == [[2, 1, 0]]
    assert boxes(data, "images/a.png", "keypoints") == [[4, 6, 10, 20, 0]]
    grouped = read(tmp_path / "2", SKELETON.format('group_id="3"'), BOX.replace("/>", ' group_id="3"/>'), labels=(label("cat"), *JOINTS))
    assert boxes(grouped, "images/a.png", "keypoints") == [[4, 2.5, 20, 12, 0]] == boxes(grouped, "images/a.png")


def test_points_and_kinds_that_are_not_read(tmp_path):
    data = read(tmp_path, '<points label="dog" points="1,2;3.5,4"/>', '<polyline label="cat" points="1,2;3,4"/>', '<cuboid label="cat"/>')
    held = data.truth(0)["points"]
    assert held.xy.tolist() == [[1, 2], [3.5, 4]] and held.classes.tolist() == [1, 1]
    assert sorted(problem.got for problem in data.problems) == ["1 of kind cuboid", "1 of kind polyline"] and codes(data) == {"ANN-KIND": "warn"}


def test_tags(tmp_path):
    more = '<image id="1" name="b.png" width="40" height="30"><tag label="dog"/>{}</image>'
    files = {"annotations.xml": page('<tag label="cat"/>', more=more.format(""))}
    one = opened(tmp_path / "1", files, "images/a.png", "images/b.png")
    assert list(one.spaces) == ["label"] and [one.truth(i)["label"].index for i in range(2)] == [0, 1]
    files = {"annotations.xml": page(more=more.format('<tag label="cat"/>'))}
    several = opened(tmp_path / "2", files, "images/a.png", "images/b.png")
    assert list(several.spaces) == ["labels"] and [several.truth(i)["labels"].values.tolist() for i in range(2)] == [[0, 0], [1, 1]]


def test_subsets_and_files_give_the_splits(tmp_path):
    more = '<image id="0" name="a.png" subset="Validation" width="40" height="30"/><image id="1" name="b.png" subset="default" width="40" height="30"/>'
    text = page(image='id="0" name="a.png" subset="Train" width="40" height="30"', more=more)
    data = opened(tmp_path, {"annotations.xml": text}, "images/Train/a.png", "images/Validation/a.png", "images/b.png")
    assert splits(data) == {"images/Train/a.png": "train", "images/Validation/a.png": "val", "images/b.png": None}
    assert splits(opened(tmp_path / "2", {"test.xml": page()}, "images/a.png")) == {"images/a.png": "test"}


def track(*shapes, name="cat", number=7):
    return f'<track id="{number}" label="{name}">{"".join(shapes)}</track>'


def test_tracks(tmp_path):
    """Shapes as they are listed; those outside are left out; frames without any are images without objects."""
    box = '<box frame="{}" outside="{}" occluded="{}" keyframe="1" xtl="4" ytl="2" xbr="20" ybr="12"/>'
    tracks = track(box.format(3, 0, 1), box.format(4, 0, 0), box.format(5, 1, 0)) + track(box.format(4, 0, 0), box.format(99, 0, 0), name="dog", number=8)
    text = page(more=tracks).replace('<image id="0" name="a.png" width="40" height="30"></image>', "")
    data = opened(tmp_path, {"annotations.xml": text}, *(f"images/frame_{n:06d}.png" for n in (2, 3, 4, 5)))
    assert [len(data.truth(i)["boxes"]) for i in range(4)] == [0, 1, 2, 0] and data.truth(2)["boxes"].ids.tolist() == [7, 8]
    assert data.truth(1)["boxes"].attributes == ({"occluded": True},) and codes(data) == {"IMG-MISSING": "error"}


DAMAGED = {
    "no label": (BOX.replace("cat", ""), "ANN-FIELD"),
    "another label": (BOX.replace("cat", "cow"), "ANN-CLASS"),
    "no corner": (BOX.replace('xtl="4"', ""), "ANN-FIELD"),
    "a word": (BOX.replace('xtl="4"', 'xtl="four"'), "ANN-NUMBER"),
    "nan": (BOX.replace('xtl="4"', 'xtl="nan"'), "ANN-NUMBER"),
    "outside": (BOX.replace('xtl="4"', 'xtl="50"').replace('xbr="20"', 'xbr="60"'), "ANN-BOX-OUT"),
    "two corners": ('<polygon label="cat" points="1,2;3,4"/>', "ANN-POLYGON"),
    "no points": ('<polygon label="cat"/>', "ANN-FIELD"),
    "three numbers a point": ('<polygon label="cat" points="1,2,3;4,5,6;7,8,9"/>', "ANN-NUMBER"),
    "a point outside": ('<points label="cat" points="100,2"/>', "ANN-POINT-OUT"),
    "short run lengths": ('<mask label="cat" rle="0, 3" left="0" top="0" width="4" height="4"/>', "ANN-MASK"),
    "negative run lengths": ('<mask label="cat" rle="20, -4" left="0" top="0" width="4" height="4"/>', "ANN-MASK"),
    "huge run lengths": ('<mask label="cat" rle="0, 99999999999" left="0" top="0" width="4" height="4"/>', "ANN-MASK"),
    "a mask outside": ('<mask label="cat" rle="0, 16" left="38" top="0" width="4" height="4"/>', "ANN-MASK"),
    "a joint without a name": (SKELETON.format("").replace('label="nose"', ""), "ANN-FIELD"),
    "listed twice": (f'</image><image id="1" name="a.png" width="40" height="30">{BOX}', "ANN-CONFLICT"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_shape_costs_its_image(kind, tmp_path):
    text, code = DAMAGED[kind]
    more = '<image id="9" name="b.png" width="40" height="30"/><image id="8" name="gone.png"/>'
    data = opened(tmp_path, {"annotations.xml": page(BOX, text, more=more)}, "images/a.png", "images/b.png")
    found = {problem.code: problem for problem in data.problems}
    assert found[code].severity == ("fatal" if code == "ANN-CLASS" else "error") and found[code].image == "images/a.png"
    assert found[code].where.startswith("annotations.xml:image[") and [record.id for record in data.records] == ["images/b.png"]
    assert found["IMG-MISSING"].got == "named in annotations.xml:image[3]" if kind == "listed twice" else found["IMG-MISSING"].got.endswith("image[2]")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (page().replace("<annotations>", "<!DOCTYPE x><annotations>"), "ANN-XML"),
        (page()[:-9], "ANN-UNREADABLE"),
        (page(labels=("cat", "cat")), "ANN-CLASS"),
    ],
)
def test_files_that_cannot_be_trusted_are_refused(text, code, tmp_path):
    with pytest.raises(DataError) as caught:
        opened(tmp_path, {"annotations.xml": text}, "images/a.png")
    assert caught.value.code == code and caught.value.where == "annotations.xml"


def test_real_exports(shared_data):
    root = shared_data / "formats" / "annotation_formats" / "cvat_dataset"
    project = open_dataset(root / "for_images" / "export_project")
    assert sorted(splits(project).values()) == ["test", "test", "train", "train", "val", "val"] and len(project.spaces["boxes"]) == 2
    assert boxes(project, "images/Train/img0.jpg") == [[0, 2, 4, 4, 0]]
    assert project.truth(0)["boxes"].attributes == ({"occluded": True, "a1": True, "a2": "v3", "a3": "0003", "a4": 2.4},)
    task = open_dataset(root / "for_images" / "export_task")
    assert codes(task)["ANN-FIELD"] == "error" and splits(task) == {"images/img0.jpg": "train"}  # a polygon of its second image has no label
    video = open_dataset(root / "for_video")
    assert [len(video.truth(i)["boxes"]) for i in range(3)] == [1, 0, 0] and boxes(video, "images/frame_000010.png") == [[3, 4, 10, 5, 2]]
