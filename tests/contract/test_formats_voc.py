"""Pascal VOC as people have it: where files lie, what corners mean, which classes there are, lists, masks, and damaged files."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from saccade.data.formats.voc_parts import CLASSES, palette
from saccade.data.open import open_dataset
from saccade.errors import DataError
from tests.support.json_files import codes
from tests.support.text_files import boxes, laid_out, opened, splits, written


def thing(name="dog", corners="1 1 40 30", more=""):
    tags = "".join(f"<{tag}>{value}</{tag}>" for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), corners.split(), strict=True))
    return f"<object><name>{name}</name>{more}<bndbox>{tags}</bndbox></object>"


def xml(*things, size="<size><width>40</width><height>30</height><depth>3</depth></size>", name="wrong.png"):
    return f"<annotation><folder>nowhere</folder><filename>{name}</filename>{size}{''.join(things)}</annotation>"


def test_corners_count_from_one_and_include_the_last_pixel(tmp_path):
    things = [thing(corners="1 1 1 1"), thing(corners="1 1 40 30"), thing(corners="11 6 20 15"), thing(corners="1.5 2.25 7.5 8")]
    data = opened(tmp_path, {"a.xml": xml(*things)}, "a.png")
    assert data.format == "voc" and not data.problems
    assert boxes(data, "a.png") == [[0, 0, 1, 1, 0], [0, 0, 40, 30, 0], [10, 5, 20, 15, 0], [0.5, 1.25, 7.5, 8, 0]]


def test_corners_that_count_from_zero_are_told_and_taken_as_they_are(tmp_path):
    data = opened(tmp_path, {"a.xml": xml(thing(corners="0 0 5 5"), thing(corners="1 0 5 6"), thing(corners="3 4 6 7"))}, "a.png")
    assert boxes(data, "a.png") == [[0, 0, 5, 5, 0], [1, 0, 5, 6, 0], [3, 4, 6, 7, 0]] and codes(data) == {"ANN-ORIGIN": "note"}
    few = opened(tmp_path / "few", {"a.xml": xml(thing(corners="0 9 5 15"), thing(corners="1 1 5 6"), thing(corners="3 4 6 7"))}, "a.png")
    assert boxes(few, "a.png")[2] == [2, 3, 6, 7, 0] and codes(few) == {"ANN-BOX-CLIP": "fixed"}


def test_flags_and_attributes(tmp_path):
    more = "<pose>Left</pose><truncated>1</truncated><occluded>0</occluded><difficult>1</difficult>"
    more += "<attributes><attribute><name>fur</name><value>red</value></attribute><attribute><name>wet</name><value>true</value></attribute></attributes>"
    data = opened(tmp_path, {"a.xml": xml(thing(more=more), thing(corners="2 2 9 9", more="<pose>Unspecified</pose>"))}, "a.png")
    held = data.truth(0)["boxes"]
    assert held.difficult.tolist() == [True, False]
    assert held.attributes == ({"pose": "Left", "truncated": True, "occluded": False, "fur": "red", "wet": True}, {})


LAYOUTS = {
    "challenge": ("Annotations/", "JPEGImages/"),
    "labelImg": ("", ""),
    "annotations and images": ("annotations/", "images/"),
    "roboflow": ("train/", "train/"),
    "nested": ("VOCdevkit/VOC2007/Annotations/", "VOCdevkit/VOC2007/JPEGImages/"),
    "labels inside of images": ("images/xml/", "images/"),
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_layouts(kind, tmp_path):
    labels, images = LAYOUTS[kind]
    files = {f"{labels}a b.c.xml": xml(thing()), f"{labels}empty.xml": xml()}
    data = opened(tmp_path, files, f"{images}a b.c.jpg", f"{images}empty.png", f"{images}bare.png")
    assert data.format == "voc" and data.spaces["boxes"].names == ("dog",)
    held = {record.path.name: record.targets["boxes"] for record in data.records}
    assert len(held["a b.c.jpg"]) == 1 and len(held["empty.png"]) == 0 and held["bare.png"] is None
    assert set(splits(data).values()) == {"train" if kind == "roboflow" else None} and codes(data) == {"ANN-NOFILE": "note"}


def test_lists_give_the_splits(tmp_path):
    files = {f"Annotations/{name}.xml": xml(thing()) for name in ("a", "b c", "d", "e")}
    files |= {"ImageSets/Main/train.txt": "a\n", "ImageSets/Main/val.txt": "b c\r\n\nmissing\n", "ImageSets/Main/trainval.txt": "a\nb c\nd\n"}
    data = opened(tmp_path, files, *(f"JPEGImages/{name}.png" for name in ("a", "b c", "d", "e")))
    assert splits(data) == {"JPEGImages/a.png": "train", "JPEGImages/b c.png": "val", "JPEGImages/d.png": "train"}
    assert codes(data) == {"IMG-MISSING": "error", "ANN-UNLISTED": "note", "ANN-ORPHAN": "warn"} or codes(data) == {
        "IMG-MISSING": "error",
        "ANN-UNLISTED": "note",
    }
    twice = {**files, "ImageSets/Main/test.txt": "a\n"}
    assert codes(opened(tmp_path / "twice", twice, "JPEGImages/a.png"))["LEAK-EXACT"] == "fatal"


def test_classes_are_listed_or_the_challenges_or_those_found(tmp_path):
    names = {"dog": xml(thing("dog")), "x10": xml(thing("x10"), thing("x9", "3 3 9 9"))}
    plain = opened(tmp_path / "1", {f"{i}.xml": text for i, text in names.items()}, "dog.png", "x10.png")
    assert plain.spaces["boxes"].names == ("dog", "x9", "x10")
    challenge = opened(tmp_path / "2", {"Annotations/a.xml": names["dog"], "ImageSets/Main/train.txt": "a"}, "JPEGImages/a.png")
    assert challenge.spaces["boxes"].names == CLASSES and boxes(challenge, "JPEGImages/a.png")[0][4] == CLASSES.index("dog")
    listed = opened(tmp_path / "3", {"a.xml": names["dog"], "labels.txt": "zebra\ndog\n"}, "a.png")
    assert listed.spaces["boxes"].names == ("zebra", "dog")
    unknown = opened(tmp_path / "4", {"a.xml": names["dog"], "b.xml": xml(thing("cat")), "labels.txt": "zebra\ncat\n"}, "a.png", "b.png")
    assert codes(unknown) == {"ANN-CLASS": "fatal"} and [record.id for record in unknown.records] == ["b.png"]
    with pytest.raises(DataError, match="listed twice"):
        opened(tmp_path / "5", {"a.xml": names["dog"], "labels.txt": "dog\ndog\n"}, "a.png")


DAMAGED = {
    "DOCTYPE": ("<!DOCTYPE annotation [<!ENTITY x 'y'>]>" + xml(thing()), "ANN-XML", "fatal"),
    "deep": ("<annotation>" + "<a>" * 100 + "</a>" * 100 + "</annotation>", "ANN-XML", "fatal"),
    "cut": (xml(thing())[:-30], "ANN-UNREADABLE", "error"),
    "no bytes": ("", "ANN-UNREADABLE", "error"),
    "another root": ("<annotations/>", "ANN-FIELD", "error"),
    "no name": (xml(thing("")), "ANN-FIELD", "error"),
    "no box": (xml("<object><name>dog</name></object>"), "ANN-FIELD", "error"),
    "no corner": (xml(thing().replace("<xmax>40</xmax>", "")), "ANN-FIELD", "error"),
    "a word": (xml(thing(corners="1 one 2 2")), "ANN-NUMBER", "error"),
    "nan": (xml(thing(corners="1 nan 2 2")), "ANN-NUMBER", "error"),
    "exchanged": (xml(thing(corners="20 1 5 9")), "ANN-BOX-NEGATIVE", "error"),
    "outside": (xml(thing(corners="50 1 60 9")), "ANN-BOX-OUT", "error"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_file_costs_its_image(kind, tmp_path):
    text, code, severity = DAMAGED[kind]
    data = opened(tmp_path, {"a.xml": text, "b.xml": xml(thing()), "c.xml": xml()}, "a.png", "b.png", "c.png")
    assert codes(data) == {code: severity} and [record.id for record in data.records] == ["b.png", "c.png"]
    assert data.problems[0].image == "a.png" and data.problems[0].where.startswith("a.xml")


@pytest.mark.parametrize("size", ["", "<size/>", "<size><width>0</width><height>0</height></size>", "<size><width>x</width><height>4</height></size>"])
def test_a_missing_size_is_read_from_the_image(size, tmp_path):
    data = opened(tmp_path, {"a.xml": xml(thing(corners="1 1 50 40"), size=size).encode("utf-16")}, "a.png")
    assert boxes(data, "a.png") == [[0, 0, 40, 30, 0]] and data.records[0].size == (30, 40) and codes(data) == {"ANN-BOX-CLIP": "fixed"}


def test_of_two_images_of_one_name_the_file_means_the_one_it_names(tmp_path):
    data = opened(tmp_path, {"a.xml": xml(thing(), name="a.png")}, "a.jpg", "a.png")
    assert {record.id: record.targets["boxes"] is None for record in data.records} == {"a.jpg": True, "a.png": False}


def test_label_files_without_an_image_are_told(tmp_path):
    data = opened(tmp_path, {"a.xml": xml(thing()), "b.xml": xml(thing())}, "a.png")
    assert codes(data) == {"ANN-ORPHAN": "warn"} and data.problems[0].where == "b.xml"


def test_lists_of_classes_without_label_files(tmp_path):
    files = {"ImageSets/Main/train.txt": "a\nb\n", "ImageSets/Main/cat_train.txt": "a  1\nb -1\n", "ImageSets/Main/dog_train.txt": "a 0\nb  1\n"}
    data = opened(tmp_path, files, "JPEGImages/a.png", "JPEGImages/b.png")
    assert data.format == "voc" and list(data.spaces) == ["labels"]
    values = [dict(zip(data.spaces["labels"].names, data.truth(i)["labels"].values.tolist(), strict=True)) for i in range(2)]
    assert [(v["cat"], v["dog"]) for v in values] == [(1, -1), (0, 1)] and all(v["bus"] == -1 for v in values)


def paint(path, ids):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(ids)
    image.putpalette(palette())
    image.save(path)


def test_masks_are_read_by_index(tmp_path):
    """The class mask by index, 255 ignored; objects in the order of the label file where there is one, else by their class mask."""
    classes, objects = np.zeros((30, 40), np.uint8), np.zeros((30, 40), np.uint8)
    classes[2:8, 3:9], classes[10:20, 5:15], classes[:, 39] = 12, 15, 255
    objects[2:8, 3:9], objects[10:20, 5:15], objects[:, 39] = 1, 2, 255
    for name in ("a", "b"):
        paint(tmp_path / f"SegmentationClass/{name}.png", classes)
        paint(tmp_path / f"SegmentationObject/{name}.png", objects)
    files = {"Annotations/a.xml": xml(thing("dog", "4 3 9 8"), thing("person", "6 11 15 20")), "ImageSets/Segmentation/train.txt": "a\nb\n"}
    data = opened(tmp_path, files, "JPEGImages/a.png", "JPEGImages/b.png")
    assert data.format == "voc" and data.spaces["map"].names == ("background", *CLASSES) and data.spaces["map"].background == 0
    assert [record.id for record in data.records] == ["JPEGImages/a.png", "JPEGImages/b.png"]
    for truth in (data.truth(0), data.truth(1)):
        assert np.array_equal(truth["map"].ids.numpy(), classes)
        held = truth["instances"]
        assert held.boxes.classes.tolist() == [CLASSES.index("dog"), CLASSES.index("person")]
        assert held.boxes.xyxy.tolist() == [[3, 2, 9, 8], [5, 10, 15, 20]] and np.array_equal(held.ids.numpy(), np.where(objects == 255, 0, objects))
    assert data.truth(1)["boxes"] is None


def test_masks_in_colours_and_a_list_of_them(tmp_path):
    colours = np.zeros((30, 40, 3), np.uint8)
    colours[2:8, 3:9], colours[:, 39] = (9, 8, 7), (224, 224, 192)
    root = laid_out(
        tmp_path,
        {"labelmap.txt": "# label:color_rgb:parts:actions\nbackground:0,0,0::\nbig: cat:9,8,7::\n", "ImageSets/Main/train.txt": "a"},
        "JPEGImages/a.png",
    )
    (root / "SegmentationClass").mkdir()
    Image.fromarray(colours).save(root / "SegmentationClass" / "a.png")
    data = open_dataset(root)
    ids = data.truth(0)["map"].ids.numpy()
    assert data.spaces["map"].names == ("background", "big: cat") and data.spaces["map"].colours == ("#000000", "#090807")
    assert (ids[2:8, 3:9] == 1).all() and (ids[:, 39] == 255).all() and ids[0, 0] == 0
    colours[0, 0] = 1
    Image.fromarray(colours).save(root / "SegmentationClass" / "a.png")
    with pytest.raises(DataError) as caught:
        open_dataset(root).truth(0)
    assert caught.value.code == "MAP-VALUES"


def test_object_masks_that_nothing_explains_are_refused(tmp_path):
    paint(tmp_path / "SegmentationObject/a.png", np.ones((30, 40), np.uint8))
    data = opened(tmp_path, {"ImageSets/Main/train.txt": "a"}, "JPEGImages/a.png")
    with pytest.raises(DataError) as caught:
        data.truth(0)
    assert caught.value.code == "ANN-MASK"


def test_the_palette_is_the_challenges():
    colours = np.array(palette()).reshape(-1, 3).tolist()
    assert colours[:4] == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]] and colours[20] == [0, 64, 128] and colours[255] == [224, 224, 192]


def test_blood_cells(shared_data, tmp_path):
    data = open_dataset(shared_data / "detection" / "bccd_voc")
    assert data.format == "voc" and Counter(splits(data).values()) == {"train": 205, "val": 87} and not data.problems
    counts = Counter(data.spaces["boxes"].names[k] for record in data.records for k in record.targets["boxes"].classes.tolist())
    assert sum(counts.values()) == 3943 and set(counts) == {"RBC", "WBC", "Platelets"}
    some = data.subset(range(0, len(data), 40))
    again, losses = written(some, tmp_path / "out", "voc")
    assert losses == [] and [boxes(again, r.id) for r in again.records] == [boxes(some, r.id) for r in some.records]


def test_real_layouts(shared_data):
    root = shared_data / "formats" / "annotation_formats"
    first = open_dataset(root / "voc_dataset" / "voc_dataset1")
    assert splits(first) == {"JPEGImages/2007_000001.jpg": "train", "JPEGImages/2007_000002.jpg": "test"}
    assert boxes(first, "JPEGImages/2007_000001.jpg") == [[0, 1, 3, 4, CLASSES.index("cat")], [3, 4, 6, 7, CLASSES.index("person")]]
    assert codes(open_dataset(root / "voc_dataset" / "voc_dataset2"))["IMG-MISSING"] == "error"  # its images are not there
    assert len(open_dataset(root / "voc_dataset" / "voc_dataset3")) == 1
    roboflow = open_dataset(root / "roboflow_dataset" / "voc")
    assert Counter(splits(roboflow).values()) == {"train": 2, "val": 1} and boxes(roboflow, "train/train_001.jpg") == [[2, 1, 5, 2, 0]]
