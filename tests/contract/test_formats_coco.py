"""COCO files: read, checked, written, and read again by us and by pycocotools."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from saccade.core import LabelSpace
from saccade.data.formats.coco_save import save
from saccade.data.formats.pictures import Pictures
from saccade.data.open import open_dataset
from saccade.errors import DataError
from saccade.ops.masks import area, mask_of
from saccade.targets import SegmentationMap
from tests.support.coco_pages import WHERE, annotation, at, image, page
from tests.support.data_files import picture
from tests.support.random_sets import equal_sets, random_set

COMBINATIONS = [("boxes",), ("boxes", "instances"), ("instances",), ("boxes", "keypoints"), ("caption",), ("boxes", "instances", "keypoints", "caption")]
EXTRAS = ("crowd", "difficult", "areas", "ids", "attributes")


def written(made, out):
    """The problems of writing a data set into a new folder."""
    out.mkdir()
    return save(made, out, Pictures(made, out))


@pytest.mark.parametrize("block", range(8))
def test_two_hundred_random_sets_come_back_equal(block, tmp_path):
    for seed in range(25 * block, 25 * block + 25):
        heads = COMBINATIONS[seed % len(COMBINATIONS)]
        made = random_set(
            seed, tmp_path / f"{seed}", heads=heads, images=3, splits=seed % 3 > 0, extras=EXTRAS if seed % 2 else ("areas",), whole=seed % 5 == 0
        )
        assert written(made, tmp_path / f"{seed}out") == []
        back = open_dataset(tmp_path / f"{seed}out")
        assert back.format == "coco" and [p for p in back.problems if p.severity not in ("note",)] == []
        assert equal_sets(made, back, without=() if seed % 2 else ("ids",)) == [], seed


def coco(path):
    from pycocotools.coco import COCO

    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools itself
@pytest.mark.parametrize("seed", range(6))
def test_pycocotools_reads_the_same_masks_areas_and_sentences(seed, tmp_path):
    made = random_set(seed, tmp_path / "a", heads=("boxes", "instances", "keypoints", "caption"), splits=False, extras=("crowd",))
    written(made, tmp_path / "b")
    theirs = coco(tmp_path / "b" / "annotations" / "instances.json")
    names = {theirs.imgs[i]["file_name"]: i for i in theirs.imgs}
    assert [c["name"] for c in theirs.loadCats(sorted(theirs.cats))] == list(made.spaces["boxes"].names)
    seen = 0
    for record in made.records:
        instances, boxes = record.targets["instances"], record.targets["boxes"]
        own = theirs.loadAnns(theirs.getAnnIds(imgIds=names[record.id.rpartition("/")[2]]))
        for row, entry in enumerate(own):
            shape = instances.shapes[row]
            assert np.array_equal(theirs.annToMask(entry).astype(bool), mask_of(shape))
            assert entry["area"] == area(shape) and entry["iscrowd"] == boxes.crowd[row]
            x, y, w, h = entry["bbox"]
            assert np.allclose([x, y, x + w, y + h], boxes.xyxy[row]) and entry["category_id"] == boxes.classes[row] + 1
            seen += 1
        assert len(own) == len(instances)
    assert seen > 0
    points = coco(tmp_path / "b" / "annotations" / "person_keypoints.json")
    first = points.loadAnns(points.getAnnIds(imgIds=1))[0]
    keypoints = made.records[0].targets["keypoints"]
    assert np.allclose(np.reshape(first["keypoints"], (-1, 3))[:, :2], keypoints.xy[0]) and first["num_keypoints"] == int((keypoints.visible[0] > 0).sum())
    assert points.cats[1]["skeleton"] == [[1, 2], [1, 3], [2, 4], [3, 5]]
    captions = coco(tmp_path / "b" / "annotations" / "captions.json")
    assert [a["caption"] for a in captions.loadAnns(captions.getAnnIds(imgIds=1))] == list(made.records[0].targets["caption"].texts)


def test_compressed_and_plain_run_lengths_of_pycocotools_are_read(tmp_path):
    from pycocotools import mask as theirs

    plane = np.zeros((12, 12), bool)
    plane[2:7, 3:9] = plane[9, 1] = True
    packed = theirs.encode(np.asfortranarray(plane.astype(np.uint8)))
    flat, counts = plane.ravel(order="F"), [0]
    for value in flat:
        counts = [*counts[:-1], counts[-1] + 1] if value == (len(counts) % 2 == 0) else [*counts, 1]
    forms = [{"size": [12, 12], "counts": packed["counts"].decode()}, {"size": [12, 12], "counts": counts}]
    for segmentation in forms:
        data = page(annotations=[annotation(bbox=[1, 2, 8, 8], segmentation=segmentation, area=31)])
        opened = open_dataset(at(tmp_path, data))
        assert np.array_equal(mask_of(opened.records[0].targets["instances"].shapes[0]), plane)


# panoptic ---------------------------------------------------------------------------------------------------------


def test_maps_are_written_as_panoptic_segments_and_read_back(tmp_path):
    made = random_set(5, tmp_path / "a", heads=("boxes", "instances"), extras=("areas",), runs=True)
    g, names = np.random.default_rng(0), ("sky", *made.spaces["boxes"].names)
    records = []
    for record in made.records:
        ids = torch.from_numpy(g.integers(0, len(names), record.size, dtype=np.uint8))
        ids[:3] = 255
        records.append(replace(record, targets={**record.targets, "map": SegmentationMap(ids)}))
    made = replace(made, records=tuple(records), spaces={**made.spaces, "map": LabelSpace(names)})
    assert written(made, tmp_path / "b") == []
    back = open_dataset(tmp_path / "b")
    assert equal_sets(made, back, without=("ids",), heads=("boxes", "instances")) == [] and equal_sets(made, back, heads=("map",)) == []
    (tmp_path / "b" / "annotations" / "instances_train.json").unlink()
    for path in (tmp_path / "b" / "annotations").glob("instances_*.json"):
        path.unlink()
    alone = open_dataset(tmp_path / "b")
    assert alone.spaces["map"].names == names and alone.spaces["instances"].names == names[1:]
    truth = alone.truth(0)
    assert truth["instances"].ids.max() == len(truth["instances"]) and truth["instances"].boxes.crowd.any()
    whole = truth["map"].ids.numpy()
    for row, label in enumerate(truth["instances"].boxes.classes.tolist()):
        assert set(whole[truth["instances"].ids.numpy() == row + 1]) == {label + 1}


def panoptic(root, segments, pixels=((7, 0, 0), (0, 1, 0))):
    picture(root / "images" / "a.png")
    plane = np.zeros((12, 12, 3), np.uint8)
    plane[:6], plane[6:] = pixels
    (root / "panoptic").mkdir(parents=True, exist_ok=True)
    Image.fromarray(plane).save(root / "panoptic" / "a.png")
    categories = [{"id": 3, "name": "cat", "isthing": 1}, {"id": 9, "name": "sky", "isthing": 0}]
    entry = {"image_id": 1, "file_name": "a.png", "segments_info": segments}
    data = {"images": [{"id": 1, "file_name": "images/a.png", "height": 12, "width": 12}], "annotations": [entry], "categories": categories}
    (root / "panoptic.json").write_text(json.dumps(data))
    return open_dataset(root)


def test_panoptic_colours_are_numbers_of_segments(tmp_path):
    segments = [{"id": 7, "category_id": 3, "iscrowd": 0}, {"id": 256, "category_id": 9, "iscrowd": 0}]
    opened = panoptic(tmp_path / "a", segments)
    truth = opened.truth(0)
    assert opened.spaces["map"].names == ("cat", "sky") and opened.spaces["instances"].names == ("cat",) and opened.problems == ()
    assert truth["map"].ids[:6].eq(0).all() and truth["map"].ids[6:].eq(1).all()
    assert truth["instances"].boxes.xyxy.tolist() == [[0, 0, 12, 6]] and truth["instances"].boxes.ids.tolist() == [7]
    assert panoptic(tmp_path / "b", segments, ((7, 0, 0), (0, 0, 0))).truth(0)["map"].ids[6:].eq(255).all()
    with pytest.raises(DataError, match="MAP-VALUES"):
        panoptic(tmp_path / "c", segments, ((8, 0, 0), (0, 1, 0))).truth(0)


@pytest.mark.parametrize(
    ("segments", "code"),
    [
        ("x", "ANN-FIELD"),
        ([{"id": 7}], "ANN-FIELD"),
        ([{"id": 7, "category_id": 4}], "ANN-REF"),
        ([{"id": 7, "category_id": 3}] * 2, "ANN-ID"),
        ([{"id": 2**24, "category_id": 3}], "ANN-FIELD"),
    ],
)  # fmt: skip
def test_panoptic_entries_that_are_wrong(segments, code, tmp_path):
    opened = panoptic(tmp_path, segments)
    assert [(p.code, p.severity, p.where) for p in opened.problems if p.code == code] == [(code, "error", "panoptic.json:annotations[0]")] and len(opened) == 0


# faults -----------------------------------------------------------------------------------------------------------


POLYGON = [1.0, 1, 6, 1, 6, 6]
FAULTS = {  # name: (changes of the page, code, severity, where, images left)
    "image_id unknown": ({"annotations": [annotation(image_id=9)]}, "ANN-REF", "error", WHERE, 2),
    "image_id text": ({"annotations": [annotation(image_id="1")]}, "ANN-REF", "error", WHERE, 2),
    "image_id null": ({"annotations": [annotation(image_id=None)]}, "ANN-FIELD", "error", WHERE, 2),
    "image_id a list": ({"annotations": [annotation(image_id=[1])]}, "ANN-FIELD", "error", WHERE, 2),
    "image_id true": ({"annotations": [annotation(image_id=True)]}, "ANN-FIELD", "error", WHERE, 2),
    "image_id missing": ({"annotations": [annotation(image_id="missing")]}, "ANN-FIELD", "error", WHERE, 2),
    "category unknown": ({"annotations": [annotation(category_id=2)]}, "ANN-REF", "error", WHERE, 1),
    "category text": ({"annotations": [annotation(category_id="1")]}, "ANN-REF", "error", WHERE, 1),
    "category missing": ({"annotations": [annotation(category_id="missing")]}, "ANN-FIELD", "error", WHERE, 1),
    "category an object": ({"annotations": [annotation(category_id={})]}, "ANN-FIELD", "error", WHERE, 1),
    "annotation a number": ({"annotations": [3]}, "ANN-FIELD", "error", WHERE, 2),
    "annotation ids twice": ({"annotations": [annotation(), annotation(image_id=2)]}, "ANN-ID", "warn", "cells.json:annotations[1]", 2),
    "image ids twice": ({"images": [image(), image(file_name="b.png")]}, "ANN-ID", "error", "cells.json:images[0]", 0),
    "image twice": ({"images": [image(), image()]}, "ANN-DUP", "warn", "cells.json:images[1]", 1),
    "file_name twice": ({"images": [image(), image(id=2)]}, "ANN-DUP", "warn", "cells.json:images[1]", 1),
    "file_name null": ({"images": [image(), image(id=2, file_name=None)]}, "ANN-FIELD", "error", "cells.json:images[1]", 1),
    "image id null": ({"images": [image(), image(id=None)]}, "ANN-FIELD", "error", "cells.json:images[1]", 1),
    "image a text": ({"images": [image(), "b.png"]}, "ANN-FIELD", "error", "cells.json:images[1]", 1),
    "height text": ({"images": [image(), image(id=2, file_name="b.png", height="12")]}, "ANN-FIELD", "error", "cells.json:images[1]", 1),
    "height 0": ({"images": [image(), image(id=2, file_name="b.png", height=0)]}, "ANN-FIELD", "error", "cells.json:images[1]", 1),
    "width 10^12": ({"images": [image(), image(id=2, file_name="b.png", width=10**12)]}, "ANN-FIELD", "error", "cells.json:images[1]", 1),
    "file not there": ({"images": [image(), image(id=2, file_name="c.png")]}, "IMG-MISSING", "error", "c.png", 1),
    "path leaves": ({"images": [image(), image(id=2, file_name="../c.png")]}, "ANN-PATH", "error", "cells.json:images[1]", 1),
    "not listed": ({"images": [image()]}, "ANN-UNLISTED", "note", "b.png", 1),
    "bbox null": ({"annotations": [annotation(bbox=None)]}, "ANN-FIELD", "error", WHERE, 1),
    "bbox of three": ({"annotations": [annotation(bbox=[1, 2, 3])]}, "ANN-FIELD", "error", WHERE, 1),
    "bbox of text": ({"annotations": [annotation(bbox=["1", 2, 3, 4])]}, "ANN-FIELD", "error", WHERE, 1),
    "bbox of true": ({"annotations": [annotation(bbox=[True, 2, 3, 4])]}, "ANN-FIELD", "error", WHERE, 1),
    "bbox of null": ({"annotations": [annotation(bbox=[None] * 4)]}, "ANN-FIELD", "error", WHERE, 1),
    "bbox an object": ({"annotations": [annotation(bbox={"x": 1})]}, "ANN-FIELD", "error", WHERE, 1),
    "bbox huge": ({"annotations": [annotation(bbox=[1, 2, 1e300, 4])]}, "ANN-BOX-CLIP", "fixed", WHERE, 2),
    "bbox negative": ({"annotations": [annotation(bbox=[5, 5, -3, 4])]}, "ANN-BOX-NEGATIVE", "error", WHERE, 1),
    "bbox without width": ({"annotations": [annotation(bbox=[5, 5, 0, 4])]}, "ANN-BOX-SMALL", "warn", WHERE, 2),
    "bbox outside": ({"annotations": [annotation(bbox=[15, 5, 3, 4])]}, "ANN-BOX-OUT", "error", WHERE, 1),
    "object twice": ({"annotations": [annotation(), annotation(id=2)]}, "ANN-BOX-DUP", "warn", "cells.json:annotations[1]", 2),
    "area too large": ({"annotations": [annotation(area=500)]}, "ANN-AREA", "warn", WHERE, 2),
    "area text": ({"annotations": [annotation(area="20")]}, "ANN-AREA", "warn", WHERE, 2),
    "area negative": ({"annotations": [annotation(area=-1)]}, "ANN-AREA", "warn", WHERE, 2),
    "iscrowd 2": ({"annotations": [annotation(iscrowd=2)]}, "ANN-FIELD", "error", WHERE, 1),
    "iscrowd text": ({"annotations": [annotation(iscrowd="0")]}, "ANN-FIELD", "error", WHERE, 1),
    "iscrowd a list": ({"annotations": [annotation(iscrowd=[])]}, "ANN-FIELD", "error", WHERE, 1),
    "segmentation a number": ({"annotations": [annotation(segmentation=3)]}, "ANN-FIELD", "error", WHERE, 1),
    "polygon of texts": ({"annotations": [annotation(segmentation=["1", "2"])]}, "ANN-FIELD", "error", WHERE, 1),
    "polygon of 0 corners": ({"annotations": [annotation(segmentation=[[]])]}, "ANN-POLYGON", "error", WHERE, 1),
    "polygon of 1 corner": ({"annotations": [annotation(segmentation=[[1, 2]])]}, "ANN-POLYGON", "error", WHERE, 1),
    "polygon of 2 corners": ({"annotations": [annotation(segmentation=[[1, 2, 3, 4]])]}, "ANN-POLYGON", "error", WHERE, 1),
    "polygon odd": ({"annotations": [annotation(segmentation=[[*POLYGON, 3]])]}, "ANN-POLYGON", "error", WHERE, 1),
    "polygon with null": ({"annotations": [annotation(segmentation=[[*POLYGON, None, 3]])]}, "ANN-POLYGON", "error", WHERE, 1),
    "polygon far away": ({"annotations": [annotation(segmentation=[[*POLYGON, 1e12, 3]])]}, "ANN-POLYGON", "error", WHERE, 1),
    "polygon without area": ({"annotations": [annotation(segmentation=[[1, 1, 6, 6, 3, 3]])]}, "MASK-EMPTY", "warn", WHERE, 2),
    "rle short": ({"annotations": [annotation(segmentation={"size": [12, 12], "counts": [3, 4]})]}, "ANN-RLE", "error", WHERE, 1),
    "rle long": ({"annotations": [annotation(segmentation={"size": [12, 12], "counts": [100, 45]})]}, "ANN-RLE", "error", WHERE, 1),
    "rle negative": ({"annotations": [annotation(segmentation={"size": [12, 12], "counts": [150, -6]})]}, "ANN-RLE", "error", WHERE, 1),
    "rle of fractions": ({"annotations": [annotation(segmentation={"size": [12, 12], "counts": [140.5, 3.5]})]}, "ANN-RLE", "error", WHERE, 1),
    "rle of text": ({"annotations": [annotation(segmentation={"size": [12, 12], "counts": ["144"]})]}, "ANN-RLE", "error", WHERE, 1),
    "rle of another size": ({"annotations": [annotation(segmentation={"size": [12, 10], "counts": [120]})]}, "ANN-RLE", "error", WHERE, 1),
    "rle of 10^18 pixels": ({"annotations": [annotation(segmentation={"size": [10**9, 10**9], "counts": [10**18]})]}, "ANN-RLE", "error", WHERE, 1),
    "rle without size": ({"annotations": [annotation(segmentation={"counts": [144]})]}, "ANN-RLE", "error", WHERE, 1),
    "rle of negative size": ({"annotations": [annotation(segmentation={"size": [-12, -12], "counts": [144]})]}, "ANN-RLE", "error", WHERE, 1),
    "rle text cut": ({"annotations": [annotation(segmentation={"size": [12, 12], "counts": "P"})]}, "ANN-RLE", "error", WHERE, 1),
    "rle text strange": ({"annotations": [annotation(segmentation={"size": [12, 12], "counts": "é~"})]}, "ANN-RLE", "error", WHERE, 1),
    "no box, no mask": ({"annotations": [annotation(bbox="missing")]}, "ANN-FIELD", "error", WHERE, 1),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_told_with_its_place(name, tmp_path):
    changes, code, severity, where, left = FAULTS[name]
    opened = open_dataset(at(tmp_path, page(**changes)))
    found = [(p.code, p.severity, p.where) for p in opened.problems]
    assert (code, severity, where) in found, found
    assert len(opened) == left
    for record in opened.records:
        boxes = record.targets["boxes"].xyxy
        assert bool((boxes >= 0).all() and (boxes <= 12).all() and (boxes[:, 2:] - boxes[:, :2] >= 1).all())


FATAL = {  # name: (the file, code)
    "two categories of one name": (page(categories=[{"id": 1, "name": "cat"}, {"id": 2, "name": "cat"}]), "ANN-CLASS"),
    "two categories of one id": (page(categories=[{"id": 1, "name": "cat"}, {"id": 1, "name": "dog"}]), "ANN-CLASS"),
    "a category without name": (page(categories=[{"id": 1}]), "ANN-COCO"),
    "categories a number": (page(categories=3), "ANN-COCO"),
    "images an object": (page(images={"1": 1}), "ANN-COCO"),
    "images null": (page(images=None), "ANN-COCO"),
    "annotations a text": (page(annotations="none"), "ANN-COCO"),
    "nothing but images": (page(annotations=[], categories=[]), "ANN-COCO"),
    "no image is there": (page(images=[image(file_name="x.png"), image(id=2, file_name="y.png")]), "IMG-MISSING"),
    "the key points have no names": (page(categories=[{"id": 1, "name": "cat", "keypoints": [1.5]}]), "ANN-COCO"),
}


@pytest.mark.parametrize("name", FATAL)
def test_what_makes_the_whole_file_useless(name, tmp_path):
    data, code = FATAL[name]
    with pytest.raises(DataError, match=code) as caught:
        open_dataset(at(tmp_path, data))
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"images": [], "annotations": [NaN]}', "ANN-JSON"),
        ('{"images": [], "annotations": [], "images": []}', "ANN-JSON"),
        ('{"images": [], "annotations": []} x', "ANN-JSON"),
        ('{"images": [], "annotations": [' + "9" * 5000 + "]}", "ANN-JSON"),
        ('{"images": [], "annotations": [' + "[" * 100, "ANN-JSON"),
        ('[{"images": [], "annotations": []}]', "DATA-LAYOUT"),
    ],
)
def test_files_that_are_no_json_or_another_json(text, code, tmp_path):
    with pytest.raises(DataError) as caught:
        open_dataset(at(tmp_path, None, text))
    assert caught.value.code == code


def test_what_looks_odd_is_read(tmp_path):
    crossing, flat = [[0, 0, 10, 10, 10, 0, 0, 10]], [1, 1, 6, 1, 6, 6]
    rows = [
        annotation(segmentation=crossing),
        annotation(id=2, bbox="missing", segmentation=flat, area=12.5),
        annotation(id=3, segmentation=None, bbox=[0, 0, 12, 12], area="missing", category_id=5, iscrowd=True),
        annotation(id=4, image_id=2, area="missing", bbox="missing", segmentation={"size": [12, 12], "counts": [13, 2, 129]}),
    ]
    opened = open_dataset(at(tmp_path, page(annotations=rows), "\ufeff" + json.dumps(page(annotations=rows))))
    assert {p.code for p in opened.problems} == {"ANN-MIXED"}
    boxes = opened.records[0].targets["boxes"]
    assert boxes.xyxy.tolist() == [[1, 2, 6, 6], [1, 1, 6, 6], [0, 0, 12, 12]] and boxes.classes.tolist() == [0, 0, 1]
    assert boxes.crowd.tolist() == [False, False, True] and boxes.ids.tolist() == [1, 2, 3] and boxes.areas.isnan().tolist() == [False, False, True]
    assert opened.records[1].targets["boxes"].xyxy.tolist() == [[1, 1, 2, 3]]
    assert opened.spaces["boxes"] == LabelSpace(("cat", "dog")) == opened.spaces["instances"]


def test_what_is_left_out_of_objects_is_told(tmp_path):
    kinds = [{"id": 1, "name": "cat", "keypoints": ["nose", "tail"]}, {"id": 5, "name": "dog"}]
    rows = [annotation(keypoints=[3, 4, 2, 7, 8, 0], caption="a cat"), annotation(id=2, image_id=2, keypoints=[0, 0, 0, 5, 5, 1], caption="")]
    opened = open_dataset(at(tmp_path, page(annotations=rows, categories=kinds)))
    told = {problem.code: problem for problem in opened.problems}
    assert set(told) == {"KEY-VISIBLE", "ANN-IGNORED"}
    assert told["KEY-VISIBLE"].got == "1 key points in 1 objects have a place but visibility 0, first tail; they count as not labelled"
    assert told["KEY-VISIBLE"].where == WHERE and told["KEY-VISIBLE"].severity == "warn"
    assert told["ANN-IGNORED"].got.startswith("1 of 2 objects have a caption")
    points = opened.records[0].targets["keypoints"]
    assert points.visible.tolist() == [[2, 0]] and points.xy[0, 1].tolist() == [0, 0]
