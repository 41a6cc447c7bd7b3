"""Tables of every kind of label: what the columns are taken for, what is wrong with rows, and what is written reads the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from saccade.core import LabelSpace
from saccade.data.formats import FORMATS
from saccade.data.formats.pictures import Pictures
from saccade.data.formats.rows import plain, safe
from saccade.data.open import open_dataset
from saccade.errors import DataError, UsageError
from saccade.targets import TARGETS, Label
from tests.support.data_files import folder
from tests.support.random_answers import random_answers
from tests.support.random_sets import equal_sets

ROUND_TRIPS = 9


@pytest.mark.parametrize("head", ["label", "labels", "number", "points", "boxes", "caption"])
def test_what_a_table_says_reads_the_same(tmp_path, head):
    for seed in range(ROUND_TRIPS):
        dataset = random_answers(seed, tmp_path / f"{seed}a", head)
        out = tmp_path / f"{seed}b"
        out.mkdir()
        losses = FORMATS["table"].save(dataset, out, Pictures(dataset, out))
        back = open_dataset(out)
        assert (back.format, losses) == ("table", []), (seed, back.reason)
        assert equal_sets(dataset, back) == [], seed


@pytest.mark.parametrize(("name", "same_size"), [("folder", False), ("idx", True)])
def test_classes_as_folders_and_idx_read_the_same(tmp_path, name, same_size):
    for seed in range(ROUND_TRIPS):
        dataset = random_answers(seed, tmp_path / f"{seed}a", "label", same_size=same_size)
        out = tmp_path / f"{seed}b"
        out.mkdir()
        losses = FORMATS[name].save(dataset, out, Pictures(dataset, out))
        back = open_dataset(out)
        assert (back.format, losses, back.spaces) == (name, [], dataset.spaces)
        key = lambda data: sorted((data.read(i).tobytes(), r.targets["label"].index, r.split or "") for i, r in enumerate(data.records))  # noqa: E731
        assert key(back) == key(dataset)


def test_what_folders_and_idx_cannot_hold(tmp_path):
    dataset = random_answers(0, tmp_path / "a", "label")
    changed = dataset.with_records(
        [replace(dataset.records[0], targets={"label": None}), *dataset.records[1:]], spaces={"label": LabelSpace(("b/c", "a", "zz"))}
    )
    changed = changed.with_records([replace(r, targets={"label": Label(i % 2)} if i else r.targets) for i, r in enumerate(changed.records)])
    (tmp_path / "b").mkdir()
    losses = FORMATS["folder"].save(changed, tmp_path / "b", Pictures(changed, tmp_path / "b"))
    assert {p.code for p in losses} == {"LOSS-FIELD"} and len(losses) == 4
    assert open_dataset(tmp_path / "b").spaces["label"].names == ("a", "b_c")
    for how, pattern in (("none", "labels"), ("copy", None)):
        if how == "none":
            with pytest.raises(UsageError, match=pattern):
                FORMATS["folder"].save(changed, tmp_path / "c", Pictures(changed, tmp_path / "c", "none"))
        with pytest.raises(UsageError, match="USE-VALUE"):
            FORMATS["idx"].save(changed, tmp_path / "c", Pictures(changed, tmp_path / "c", how))


# what columns are taken for ---------------------------------------------------------------------------------------


def write(root: Path, text: str, name: str = "labels.csv") -> Path:
    (root / name).write_text(text)
    return root


@pytest.fixture
def images(tmp_path):
    return folder(tmp_path, *(f"img/{i}.png" for i in range(12)))


def rows(line: str, n: int = 12, **more) -> str:
    return "".join(line.format(i=i, odd=i % 2, big=i * 7.5, **more) + "\n" for i in range(n))


@pytest.mark.parametrize(
    ("header", "line", "reason"),
    [
        ("path,x,y", "{i}.png,{i},{odd}", "points=x, y"),
        ("file,cx,cy,class", "{i}.png,{i},{odd},c{odd}", "points=cx, cy of class class"),
        ("image,xmin,ymin,xmax,ymax,label", "{i}.png,1,2,5,9.{i},c", "boxes=xmin, ymin, xmax, ymax of class label"),
        ("filename,width,height,class,xmin,ymin,xmax,ymax", "{i}.png,12,12,c{odd},1,2,5,6", "boxes=xmin, ymin, xmax, ymax of class class"),
        ("image,x,y,w,h", "{i}.png,1,2,5,5", "boxes=x, y, w, h (x y width height)"),
        ("image_id,bbox,name", '{i}.png,"[1, 2, 5, 5]",c', "boxes=bbox of class name"),
        ("path,caption", "{i}.png,a dog sees {i} cats", "caption=caption"),
        ("path,words", "{i}.png,a dog sees {i} cats", "caption=words"),
        ("path,tags", "{i}.png,haze primary c{i}", "labels=tags separated by spaces"),
        ("Image Index,Finding Labels", "{i}.png,Mass|Nodule{odd}", "labels=Finding Labels separated by |"),
        ("path,label", "{i}.png,a;b{odd}", "labels=label separated by ;"),
        ("path,label", "{i}.png,T-shirt top", "label=label"),
        ("path,dog,cat", "{i}.png,{odd},1", "labels=dog, cat"),
        ("path,a,b,c,d,note", "{i}.png,1,0,1,{odd},n{i}", "labels=a, b, c, d"),
        ("path,dog,cat,n_objects", "{i}.png,{odd},1,{i}", "labels=dog, cat, number=n_objects"),
        ("path,age", "{i}.png,{i}", "number=age"),
        ("path,value", "{i}.png,{big}", "number=value"),
        ("path,label", "{i}.png,{big}", "number=label"),
        ("path,label", "{i}.png,{i}", "label=label"),
        ("path,kind", "{i}.png,{odd}", "label=kind"),
        ("ImageId,ClassId", "{i}.png,{odd}", "label=ClassId"),
        ("path;label;split", "{i}.png;c{odd};train", "label=label, split=split"),
        ("path\tlabel", "{i}.png\tc{odd}", "label=label"),
        ("path label", "{i}.png   c{odd}", "label=label"),
        ("", "{i}.png,c{odd}", "label=column 2"),
        ("", "{i}.png,1,2,5,6,c{odd}", "boxes=column 2, column 3, column 4, column 5 of class column 6"),
        ("", "{i}.png,c{odd},4,4,2,2", "boxes=column 3, column 4, column 5, column 6 (x y width height) of class column 2"),
        ("", "{i}.png,a dog sees {i} cats", "caption=column 2"),
    ],
)
def test_columns_are_told_by_name_and_content(images, header, line, reason):
    text = (header + "\n" if header else "") + rows(line)
    opened = open_dataset(write(images, text))
    assert f", {reason}" in opened.reason.split(";" if ";" not in reason else "; images")[0] + ",", opened.reason
    assert len(opened) == 12 and not [p for p in opened.problems if p.severity in ("error", "fatal")]
    assert {head for r in opened.records for head, t in r.targets.items() if t is not None} == set(opened.spaces)


def test_points_without_a_header_need_several_rows_an_image(images):
    opened = open_dataset(write(images, rows("{i}.png,{i},5") + rows("{i}.png,2,{i}.25")))
    assert "points=column 2, column 3" in opened.reason and opened.truth(3)["points"].xy.tolist() == [[3, 5], [2, 3.25]]


@pytest.mark.parametrize(
    ("wish", "head"),
    [("number:count", "number"), ("count", "label"), ("a,b", "labels"), ("labels:a,b,count", "labels"), ("points:a,b", "points"), ("caption:text", "caption")],
)
def test_the_user_says_the_head(images, wish, head):
    write(images, "path,a,b,count,text\n" + rows("{i}.png,{odd},1,{odd},t{odd}"))
    assert list(open_dataset(images, label=wish).spaces) == [head]
    for wrong in ("number:a,b", "points:a", "labels:a,zz"):
        with pytest.raises(UsageError, match="USE-VALUE"):
            open_dataset(images, label=wrong)


# values -----------------------------------------------------------------------------------------------------------


def test_unknown_labels_of_nih_and_no_of_celeba(images):
    write(images, "path,dog,cat\n0.png,1,-1\n1.png,0,\n2.png,,\n3.png,1.0,true\n")
    opened = open_dataset(images)
    assert [None if t is None else t.values.tolist() for t in opened.targets("labels")] == [[1, -1], [0, -1], None, [1, 1]]
    opened = open_dataset(write(images, "path,dog,cat\n0.png,1,-1\n1.png,-1,-1\n"))
    assert [t.values.tolist() for t in opened.targets("labels")] == [[1, 0], [0, 0]]


def test_boxes_shares_of_sides_empty_rows_and_faults(images):
    opened = open_dataset(write(images, "path,xmin,ymin,xmax,ymax,label\n0.png,0.25,0.5,0.75,1,c\n1.png,,,,,\n"))
    assert opened.truth(0)["boxes"].xyxy.tolist() == [[3, 6, 9, 12]] and len(opened.truth(1)["boxes"]) == 0
    text = "path,xmin,ymin,xmax,ymax,label\n0.png,1,1,5,5,c\n1.png,5,1,1,5,c\n2.png,1,1,x,5,c\n3.png,1,1,nan,5,c\n"
    text += "4.png,1,1,5,5,\n5.png,1,1,99,5,c\n6.png,30,1,40,5,c\n"
    opened = open_dataset(write(images, text))
    assert {(p.code, p.where, p.image) for p in opened.problems if p.code != "ANN-UNLISTED"} == {
        ("ANN-BOX-NEGATIVE", "labels.csv:3", "img/1.png"),
        ("ANN-NUMBER", "labels.csv:4", "img/2.png"),
        ("ANN-NUMBER", "labels.csv:5", "img/3.png"),
        ("ANN-FIELD", "labels.csv:6", "img/4.png"),
        ("ANN-BOX-CLIP", "labels.csv:7", "img/5.png"),
        ("ANN-BOX-OUT", "labels.csv:8", "img/6.png"),
    }
    assert [r.id for r in opened.records] == ["img/0.png", "img/5.png"]


def test_points_outside_numbers_that_are_none_and_captions_twice(images):
    opened = open_dataset(write(images, "path,x,y\n0.png,1,1\n0.png,12,12\n1.png,13,1\n2.png,a,1\n3.png,,\n"))
    assert {(p.code, p.where) for p in opened.problems if p.severity == "error"} == {("ANN-POINT-OUT", "labels.csv:4"), ("ANN-NUMBER", "labels.csv:5")}
    assert [len(t) for t in opened.targets("points")] == [2, 0]
    opened = open_dataset(write(images, "path,number\n0.png,1\n1.png,2\n2.png,\n"))
    assert [t and t.value for t in opened.targets("number")] == [1, 2, None]
    opened = open_dataset(write(images, "path,age\n0.png,1\n1.png,inf\n"), label="number:age")
    assert [r.id for r in opened.records] == ["img/0.png"] and "ANN-NUMBER" in {p.code for p in opened.problems}
    opened = open_dataset(write(images, "path,caption\n0.png,a dog\n0.png,a dog\n0.png,a cat\n1.png,\n"))
    assert [t and t.texts for t in opened.targets("caption")] == [("a dog", "a cat"), None]
    assert {"ANN-DUP", "ANN-EMPTY"} <= {p.code for p in opened.problems}


def test_cells_that_begin_like_formulas_come_back(images):
    for cell in ("=1+1", "-x", "@a", "+", "'=1", "''-1", "-5", "'quoted", "\tx"):
        assert plain(safe(cell)) == cell
        assert not safe(cell).startswith(("=", "+", "@", "\t")) and (not safe(cell).startswith("-") or cell == "-5")


# several tables ---------------------------------------------------------------------------------------------------


def test_a_table_a_split_are_read_together(images):
    for part, places in (("train", range(6)), ("val", range(6, 9)), ("test", range(9, 12))):
        write(images, "id,label\n" + "".join(f"{i},c{i % 2}\n" for i in places), f"{part}.csv")
    opened = open_dataset(images)
    assert [r.split for r in opened.records] == ["train"] * 6 + ["val"] * 3 + ["test"] * 3
    assert opened.reason == "train.csv: path=id, label=label; images found by file name without extension; test.csv; val.csv" and not opened.problems
    write(images, "id,label\n0,c0\n", "test.csv")
    assert "ANN-CONFLICT" in {p.code for p in open_dataset(images).problems}


def test_tables_that_say_different_things_are_joined_and_masks_too(images):
    write(images, "path,x,y\n" + rows("{i}.png,3,4") + rows("{i}.png,5,6"), "points.csv")
    write(images, "path,count\n" + rows("{i}.png,{i}"), "counts.csv")
    for i in range(12):
        Image.fromarray(np.eye(12, dtype=np.uint8) * 255).save((images / "masks").mkdir(exist_ok=True) or images / "masks" / f"{i}.png")
    opened = open_dataset(images)
    assert list(opened.spaces) == ["points", "number", "map"] and "ANN-UNLISTED" not in {p.code for p in opened.problems}
    assert opened.truth(2)["map"].ids.sum() == 12 and len(opened.truth(2)["points"]) == 2 and opened.truth(2)["number"].value == 2


def test_tables_inside_the_folders_of_splits(tmp_path):
    folder(tmp_path, "train/a.png", "train/b.png", "valid/a.png")
    write(tmp_path / "train", "filename, dog, cat\na.png, 1, 0\nb.png, 0, 1\n", "_classes.csv")
    write(tmp_path / "valid", "filename, dog, cat\na.png, 1, 1\n", "_classes.csv")
    opened = open_dataset(tmp_path)
    assert [(r.id, r.split, r.targets["labels"].values.tolist()) for r in opened.records] == [
        ("train/a.png", "train", [1, 0]),
        ("train/b.png", "train", [0, 1]),
        ("valid/a.png", "val", [1, 1]),
    ]


def test_plain_text_is_a_table_when_it_names_images(images):
    write(images, rows("img/{i}.png c{odd}"), "list.txt")
    assert open_dataset(images).reason == "list.txt: path=column 1, label=column 2"
    write(images, "notes about the images\nnothing else\n", "list.txt")
    assert open_dataset(images, format="images").format == "images"
    with pytest.raises(DataError, match="ANN-COLUMNS"):
        open_dataset(images / "list.txt")


CELLS = st.sampled_from(
    ["img/0.png", "img/1.png", "1.png", "x", "y", "path", "label", "bbox", "xmin", "1", "-1", "0.5", "nan", "1e400", "", "a;b", "[1,2,3,4]", "a b c d"]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(CELLS, min_size=2, max_size=6), min_size=1, max_size=6), st.sampled_from([",", ";", " "]))
def test_any_cells_open_or_are_a_coded_error(images, cells, mark):
    write(images, "\n".join(mark.join(row) for row in cells))
    try:
        opened = open_dataset(images / "labels.csv")
    except DataError as error:
        assert error.code in ("ANN-COLUMNS", "ANN-UNREADABLE", "DATA-LAYOUT")
    else:
        for i in range(len(opened)):
            for head, truth in opened.truth(i).items():
                assert truth is None or type(truth) is TARGETS[head]


def test_shared_tables_open_with_their_counts(shared_data):
    nuclei = open_dataset(shared_data / "segmentation/dsb2018")
    assert list(nuclei.spaces) == ["points", "number", "instances"] and len(nuclei) == 171
    assert sum(len(t) for t in nuclei.targets("points")) == 5228 == sum(t.value for t in nuclei.targets("number"))
    scenes = open_dataset(shared_data / "language/nlvr_dev", format="table")
    assert len(scenes) == 1978 and len(scenes.spaces["labels"]) == 9 and {"labels", "number"} <= set(scenes.spaces)
    kaggle = shared_data / "formats/annotation_formats/kaggle_dataset"
    for name in ("ann.csv", "ann2.csv", "ann3.csv"):
        boxes = [t.xyxy.tolist() for t in open_dataset(kaggle / "image_csv_det" / name).targets("boxes")]
        assert boxes == [[[0, 1, 1, 2], [1, 2, 3, 3]], [[0, 0, 1, 1]], [[0, 2, 2, 4], [0, 0, 1, 1], [1, 1, 2, 2]]], name
