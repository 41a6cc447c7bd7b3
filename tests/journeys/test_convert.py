"""`saccade convert` as a user runs it, links out of a folder, and data that a task cannot learn from."""

import hashlib
import json

import numpy as np
import pytest
from PIL import Image

import saccade
from saccade.cli import main
from saccade.data.formats import FORMATS
from saccade.data.open import open_dataset
from saccade.errors import DataError, UsageError

pytestmark = pytest.mark.journey


@pytest.fixture
def cells(tmp_path):
    """Four pictures of 40x30 px with boxes of two classes as COCO, some of them crowds, one with an outline."""
    folder, chance = tmp_path / "cells", np.random.default_rng(0)
    folder.mkdir()
    images, annotations = [], []
    for i in range(4):
        Image.fromarray(chance.integers(0, 255, (30, 40, 3), np.uint8)).save(folder / f"{i}.png")
        images.append({"id": i + 1, "file_name": f"{i}.png", "width": 40, "height": 30})
        for k in range(i):
            annotations.append(
                {"id": len(annotations) + 1, "image_id": i + 1, "category_id": 1 + k % 2, "bbox": [2 + 9 * k, 3, 8, 10.5], "area": 84, "iscrowd": 0}
            )
    annotations[-1]["iscrowd"] = 1
    described = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "red"}, {"id": 2, "name": "white"}]}
    (folder / "cells.json").write_text(json.dumps(described))
    return folder


def tree_hash(folder):
    return {str(path.relative_to(folder)): hashlib.sha1(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def run(capsys, *arguments):
    code = main([str(a) for a in arguments])
    return code, *capsys.readouterr()


@pytest.mark.parametrize("to", [name for name, layout in FORMATS.items() if layout.save and "boxes" in layout.holds])
def test_boxes_are_written_in_every_layout_that_holds_them(cells, tmp_path, capsys, to):
    before = tree_hash(cells)
    code, out, err = run(capsys, "convert", cells, "--to", to, "--out", tmp_path / "new")
    assert code == 0, err
    assert "boxes" in out and "read back the same" in out and "not read back" not in out and str(tmp_path / "new") in out.splitlines()[-2]
    assert tree_hash(cells) == before and not list(tmp_path.glob(".*partial"))
    back = open_dataset(tmp_path / "new", format=to)
    assert sorted(len(record.targets["boxes"] or ()) for record in back.records) in ([0, 1, 2, 3], [1, 2, 3])


def test_what_a_layout_cannot_hold_is_listed(cells, tmp_path, capsys):
    code, out, _ = run(capsys, "convert", cells, "--to", "yolo", "--out", tmp_path / "new", "--json")
    told = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and any(e["event"] == "problem" and e["code"] == "LOSS-FIELD" for e in told)
    assert told[-2]["to"] == "yolo" and told[-2]["images"] == 4


def test_classes_are_chosen_and_renumbered(cells, tmp_path):
    done = saccade.convert(cells, tmp_path / "new", to="coco", classes="white")
    back = open_dataset(done.path)
    assert back.spaces["boxes"].names == ("white",) and sum(len(r.targets["boxes"]) for r in back.records) == 2
    assert [(p.code, p.got) for p in done.losses if p.code == "LOSS-FIELD"] == [("LOSS-FIELD", "4 objects of other classes")]


def test_pictures_may_be_linked_or_left(cells, tmp_path):
    linked = saccade.convert(cells, tmp_path / "linked", to="coco", images="link")
    assert all(path.is_symlink() for path in (tmp_path / "linked").rglob("*.png")) and linked.written == linked.read_back
    assert len(open_dataset(tmp_path / "linked", follow=True)) == 4
    with pytest.raises(DataError):
        saccade.check(tmp_path / "linked")
    assert saccade.check(tmp_path / "linked", follow=True).bad == 0
    left = saccade.convert(cells, tmp_path / "left", to="coco", images="none")
    assert left.read_back is None and "not read back" in left.text() and "read back the same" not in left.text()
    assert not list((tmp_path / "left").rglob("*.png"))


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({}, "USE-MISSING", "give --to with one of"),
        ({"to": "yollo"}, "USE-VALUE", "did you mean yolo"),
        ({"to": "images"}, "USE-VALUE", "images is read but not written"),
        ({"to": "folder"}, "USE-VALUE", "choose among"),
        ({"to": "coco", "heads": "masks"}, "USE-VALUE", "the data have no such labels"),
        ({"to": "coco", "classes": "whit"}, "USE-VALUE", "did you mean white"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything_is(cells, tmp_path, options, code, words):
    with pytest.raises(UsageError) as refused:
        saccade.convert(cells, tmp_path / "new", **options)
    assert refused.value.code == code and words in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["cells"]


def test_nothing_is_written_into_the_data_or_over_a_folder(cells, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("x")
    for out, code in ((cells / "new", "USE-VALUE"), (tmp_path / "full", "RUN-EXISTS")):
        with pytest.raises(UsageError) as refused:
            saccade.convert(cells, out, to="voc")
        assert refused.value.code == code
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["mine.txt"]


def test_what_does_not_read_back_is_not_left_behind(cells, tmp_path, monkeypatch):
    honest = FORMATS["coco"]

    def forgetful(dataset, out, pictures):
        return honest.save(dataset.subset(range(len(dataset) - 1)), out, pictures)

    monkeypatch.setattr("saccade.jobs.convert.FORMATS", {**FORMATS, "coco": honest._replace(save=forgetful)})
    with pytest.raises(DataError) as refused:
        saccade.convert(cells, tmp_path / "new", to="coco")
    assert refused.value.code == "CONVERT-BACK" and "boxes: 4 images, 6 objects" in refused.value.got
    assert [path.name for path in tmp_path.iterdir()] == ["cells"]


def test_unusable_labels_are_not_converted(cells, tmp_path):
    described = json.loads((cells / "cells.json").read_text())
    for annotation in described["annotations"]:
        annotation["bbox"][0] += 4000
    (cells / "cells.json").write_text(json.dumps(described))
    with pytest.raises(DataError) as refused:
        saccade.convert(cells, tmp_path / "new", to="voc")
    assert refused.value.code == "DATA-BAD"


def test_a_task_refuses_data_without_its_labels(cells, tmp_path):
    with pytest.raises(DataError) as refused:
        saccade.train(cells, out=tmp_path / "run", epochs="1", task="classify")
    assert refused.value.code == "DATA-TASK" and "it needs label; the data (coco) have boxes" in refused.value.got
    with pytest.raises(DataError, match="DATA-TASK"):
        saccade.train(cells, out=tmp_path / "run", folds=3, task="classify")
    assert not (tmp_path / "run").exists()  # nothing was begun


def test_links_out_of_a_folder_are_followed_only_when_asked_and_loops_end(tmp_path):
    real, data = tmp_path / "real", tmp_path / "data"
    for name in ("a", "b"):
        (real / name).mkdir(parents=True)
        for i in range(2):
            Image.fromarray(np.full((9, 9), 40 * i + ord(name), np.uint8)).save(real / name / f"{i}.png")
    data.mkdir()
    (data / "a").symlink_to(real / "a")
    (data / "b").symlink_to(real / "b")
    (real / "a" / "again").symlink_to(data)
    with pytest.raises(DataError):
        open_dataset(data)
    assert open_dataset(data, follow=True).class_counts() == {"a": 2, "b": 2}


def test_the_list_names_every_layout(capsys):
    code, out, _ = run(capsys, "convert", "--list", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and {row["name"] for row in rows} == set(FORMATS) and sum(row["written"] for row in rows) > 12
