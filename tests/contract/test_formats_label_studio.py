"""Label Studio's exports: every control in percent of the sides, several annotators, faults with their place, and its run lengths."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from saccade.data.formats import FORMATS
from saccade.data.formats.label_studio_rle import decode, encode
from saccade.data.formats.pictures import Pictures
from saccade.data.open import open_dataset
from saccade.ops.masks import mask_of
from tests.support.json_files import codes, pictures, write

FRAME = {"original_width": 40, "original_height": 30}


def result(kind, value, **more):
    return {"type": kind, "value": value, "from_name": kind, "to_name": "image", **FRAME, **more}


def rectangle(label, x, y, w, h, **more):
    return result("rectanglelabels", {"x": x, "y": y, "width": w, "height": h, "rotation": 0, "rectanglelabels": [label]}, **more)


def task(image, *results, **more):
    return {"id": 1, "annotations": [{"id": 1, "was_cancelled": False, "result": list(results)}], "data": {"image": image}, **more}


def opened(root, *tasks, images=("a.png",)):
    pictures(root, *images)
    write(root / "export.json", list(tasks))
    return open_dataset(root)


def test_rectangles_are_in_percent(tmp_path):
    data = opened(tmp_path, task("/data/upload/1/a.png", rectangle("dog", 25, 10, 50, 20)))
    assert data.format == "label_studio" and data.records[0].targets["boxes"].xyxy.tolist() == [[10, 3, 30, 9]]


def test_a_turned_rectangle_is_an_outline_about_its_first_corner(tmp_path):
    turned = rectangle("dog", 50, 50, 25, 10)
    turned["value"]["rotation"] = 90
    data = opened(tmp_path, task("a.png", turned))
    assert data.records[0].targets["instances"].shapes[0].rings[0] == pytest.approx(np.array([[20, 15], [20, 25], [17, 25], [17, 15]]))
    assert data.records[0].targets["boxes"].xyxy[0].tolist() == pytest.approx([17, 15, 20, 25])


def test_polygons_ellipses_and_brushes(tmp_path):
    mask = np.zeros((30, 40), bool)
    mask[3:9, 5:30] = True
    data = opened(
        tmp_path,
        task(
            "a.png",
            result("polygonlabels", {"points": [[0, 0], [50, 0], [50, 50]], "polygonlabels": ["p"]}, id="one"),
            result("polygonlabels", {"points": [[60, 60], [80, 60], [80, 80]], "polygonlabels": ["p"]}, id="two", parentID="one"),
            result("ellipselabels", {"x": 50, "y": 50, "radiusX": 10, "radiusY": 20, "rotation": 0, "ellipselabels": ["e"]}),
            result("brushlabels", {"format": "rle", "rle": encode(mask), "brushlabels": ["b"]}),
        ),
    )
    instances = data.records[0].targets["instances"]
    assert [data.spaces["instances"].names[k] for k in instances.boxes.classes.tolist()] == ["p", "e", "b"]
    assert [len(r) for r in instances.shapes[0].rings] == [3, 3]
    assert instances.boxes.xyxy.numpy() == pytest.approx(np.array([[0, 0, 32, 24], [16, 9, 24, 21], [5, 3, 30, 9]]))
    assert (mask_of(instances.shapes[2]) == mask).all()


def test_key_points_by_their_parent_and_dots(tmp_path):
    def point(label, x, y, **more):
        return result("keypointlabels", {"x": x, "y": y, "width": 0.3, "keypointlabels": [label]}, **more)

    data = opened(tmp_path, task("a.png", rectangle("mouse", 0, 0, 50, 50, id="m"), point("tail", 10, 10, parentID="m"), point("seed", 50, 50)))
    assert data.spaces["keypoints"].keypoints == ("tail",) and data.records[0].targets["keypoints"].xy.tolist() == [[[4, 3]]]
    assert data.spaces["points"].names == ("seed",) and data.records[0].targets["points"].xy.tolist() == [[20, 15]]


def test_a_label_that_is_a_result_of_its_own(tmp_path):
    box = {"x": 10, "y": 10, "width": 10, "height": 10}
    bare = [result("rectangle", box, id="r"), result("labels", {**box, "labels": ["cat"]}, id="r"), result("rectangle", box, id="q")]
    data = opened(tmp_path, task("a.png", *bare))
    assert data.spaces["boxes"].names == ("cat",) and len(data.records[0].targets["boxes"]) == 1
    assert codes(data) == {"ANN-KIND": "warn"}


def test_choices_texts_and_numbers(tmp_path):
    said = [
        result("choices", {"choices": ["wet"]}),
        result("textarea", {"text": ["a cat"]}),
        result("textarea", {"text": "again"}),
        result("number", {"number": 4}),
    ]
    said.append(result("textarea", {"text": ["its ear"], "x": 50, "y": 50, "width": 10, "height": 10}))
    data = opened(tmp_path, task("a.png", *said), task("b.png", result("choices", {"choices": ["dry"]})), images=("a.png", "b.png"))
    first = data.records[0].targets
    assert data.spaces["label"].names == ("dry", "wet") and data.labels.tolist() == [1, 0]
    assert first["caption"].texts == ("a cat", "again") and first["number"].value == 4
    assert first["regions"].texts == ("its ear",) and first["regions"].xyxy.tolist() == [[20, 15, 24, 18]]
    assert data.records[1].targets["caption"] is None and data.records[1].targets["number"] is None


def test_several_choices_are_labels(tmp_path):
    data = opened(tmp_path, task("a.png", result("choices", {"choices": ["x", "y"]})), task("b.png"), images=("a.png", "b.png"))
    assert data.records[0].targets["labels"].values.tolist() == [1, 1] and data.records[1].targets["labels"] is None


def test_the_first_labelling_that_was_not_cancelled_counts_and_predictions_do_not(tmp_path):
    both = task("a.png", rectangle("dog", 0, 0, 50, 50), predictions=[{"result": [rectangle("cat", 0, 0, 9, 9)]}])
    both["annotations"] = [{"was_cancelled": True, "result": [rectangle("bad", 0, 0, 9, 9)]}, *both["annotations"], {"result": [rectangle("late", 0, 0, 9, 9)]}]
    unlabelled = {"id": 2, "annotations": [], "data": {"image": "b.png"}}
    data = opened(tmp_path, both, unlabelled, images=("a.png", "b.png"))
    assert data.spaces["boxes"].names == ("dog",) and data.records[1].targets == {"boxes": None}
    assert codes(data) == {"ANN-PREDICTED": "note", "ANN-ANNOTATORS": "note"}


@pytest.mark.parametrize(
    "link", ["a b.png", "/data/upload/3/1a2b3c4d-a%20b.png", "s3://bucket/x/a%20b.png", "https://host/x/a%20b.png?sig=1", "/data/local-files/?d=x/a%20b.png"]
)
def test_images_are_found_by_the_links_that_it_writes(tmp_path, link):
    assert [r.id for r in opened(tmp_path, task(link, rectangle("d", 0, 0, 9, 9)), images=("x/a b.png",)).records] == ["x/a b.png"]


def test_the_short_export_and_a_labelling_configuration(tmp_path):
    write(tmp_path / "config.xml", '<View><RectangleLabels name="l" toName="i"><Label value="zebra"/><Label value="ape"/></RectangleLabels></View>')
    region = {"x": 25, "y": 10, "width": 50, "height": 20, "rotation": 0, "rectanglelabels": ["ape"], **FRAME}
    pictures(tmp_path, "a.png")
    write(tmp_path / "min.json", [{"id": 1, "image": "/data/upload/a.png", "label": [region]}])
    data = open_dataset(tmp_path)
    assert data.spaces["boxes"].names == ("zebra", "ape") and data.records[0].targets["boxes"].xyxy.tolist() == [[10, 3, 30, 9]]


BAD = {
    "text for a number": (rectangle("a", "1", 2, 3, 4), "ANN-NUMBER"),
    "a negative height": (rectangle("a", 10, 20, 3, -4), "ANN-BOX-NEGATIVE"),
    "outside": (rectangle("a", 110, 20, 3, 4), "ANN-BOX-OUT"),
    "two corners": (result("polygonlabels", {"points": [[1, 1], [2, 2]], "polygonlabels": ["a"]}), "ANN-POLYGON"),
    "a polygon of text": (result("polygonlabels", {"points": [[1, 1], [2, "2"], [3, 3]], "polygonlabels": ["a"]}), "ANN-NUMBER"),
    "a point outside": (result("keypointlabels", {"x": 200, "y": 1, "keypointlabels": ["a"]}), "ANN-POINT-OUT"),
    "run lengths of another size": (result("brushlabels", {"format": "rle", "rle": encode(np.ones((3, 3), bool)), "brushlabels": ["a"]}), "ANN-MASK"),
    "run lengths cut short": (result("brushlabels", {"format": "rle", "rle": encode(np.eye(30, 40, dtype=bool))[:-9], "brushlabels": ["a"]}), "ANN-MASK"),
    "run lengths of text": (result("brushlabels", {"format": "rle", "rle": "0110", "brushlabels": ["a"]}), "ANN-MASK"),
    "another kind of mask": (result("brushlabels", {"format": "png", "rle": [], "brushlabels": ["a"]}), "ANN-MASK"),
    "a number that is text": (result("number", {"number": "4"}), "ANN-NUMBER"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_fault_loses_its_image_and_is_named_with_its_place(tmp_path, fault):
    bad, code = BAD[fault]
    good = rectangle("a", 10, 10, 20, 20)
    data = opened(tmp_path, task("a.png", good, bad), task("b.png", good), images=("a.png", "b.png"))
    (problem,) = data.problems
    assert [r.id for r in data.records] == ["b.png"] and (problem.code, problem.severity) == (code, "error")
    assert (problem.where, problem.image) == ("export.json:tasks[0].result[1]", "a.png")


def test_tasks_that_cannot_be_used_and_kinds_that_are_not_read(tmp_path):
    video = task("a.png", result("videorectangle", {}), result("relation", {}))
    data = opened(tmp_path, video, task("lost.png"), {"id": 3, "annotations": [], "data": {"n": 4}}, 7, task("a.png"))
    assert codes(data) == {"ANN-KIND": "warn", "IMG-MISSING": "error", "ANN-FIELD": "error", "ANN-CONFLICT": "error"}


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=24)))
def test_run_lengths_come_back(mask):
    assert (decode(encode(mask), mask.shape) == mask).all()


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)), st.randoms())
def test_run_lengths_of_any_writer_are_read(alpha, random):
    """Blocks of words one by one and repeated words, in an order and with widths that this package would not choose."""
    values = np.stack([alpha // 2, alpha, alpha, alpha], -1).ravel().tolist()
    widths = [2, 5, 7, 11]
    text = f"{len(values):032b}{7:05b}" + "".join(f"{w - 1:04b}" for w in widths)
    cuts = sorted({0, len(values), *(random.randint(0, len(values)) for _ in range(6))})
    for first, last in pairwise(cuts):
        block = values[first:last]
        while block:
            kind = random.randint(0, 3)
            run = next((i for i, v in enumerate(block) if v != block[0]), len(block)) if random.random() < 0.5 else 0
            n = min(run or len(block), 1 << widths[kind])
            words = [block[0]] if run else block[:n]
            text += f"{int(bool(run))}{kind:02b}{n - 1:0{widths[kind]}b}" + "".join(f"{v:08b}" for v in words)
            block = block[n:]
    text += "0" * (-len(text) % 8)
    rle = [int(text[i : i + 8], 2) for i in range(0, len(text), 8)]
    assert (decode(rle, alpha.shape) == (alpha > 0)).all()


def test_a_stream_that_promises_more_than_it_can_hold_is_refused_before_memory_is_taken():
    size = (30_000, 30_000)
    stream = [int(f"{4 * size[0] * size[1]:032b}"[i : i + 8], 2) for i in range(0, 32, 8)] + [0x38, 0x89, 0xBF, 0x80, 0, 0]
    with pytest.raises(ValueError, match="cut short"):
        decode(stream, size)


def test_what_is_written_is_an_export(tmp_path):
    data = opened(tmp_path / "in", task("a.png", rectangle("dog", 25, 10, 50, 20)))
    (tmp_path / "out").mkdir()
    assert FORMATS["label_studio"].save(data, tmp_path / "out", Pictures(data, tmp_path / "out")) == []
    (held,) = json.loads((tmp_path / "out/tasks.json").read_text(encoding="utf-8"))
    (region,) = held["annotations"][0]["result"]
    assert held["data"]["image"] == "images/a.png" and region["type"] == "rectanglelabels" and region["original_width"] == 40
    assert region["value"] == {"x": 25, "y": 10, "width": 50, "height": 20, "rotation": 0, "rectanglelabels": ["dog"]}
    assert "<RectangleLabels" in (tmp_path / "out/label_config.xml").read_text(encoding="utf-8")
