"""Second pictures, dots as pixels and depth: told apart from masks and classes, read, and written so that they read the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from saccade.data.formats import FORMATS
from saccade.data.formats.pictures import Pictures
from saccade.data.formats.stored import Coding, DepthFile, DotFile, ImageFile
from saccade.data.open import open_dataset
from saccade.errors import DataError
from saccade.targets import DepthMap, ImageTarget, Points
from tests.support.data_files import picture
from tests.support.random_answers import random_answers
from tests.support.random_sets import equal_sets


def save(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


@pytest.mark.parametrize(("head", "name"), [("image", "pairs"), ("points", "dots"), ("depth", "depth")])
def test_what_is_written_reads_the_same(tmp_path, head, name):
    for seed in range(9):
        dataset = random_answers(seed, tmp_path / f"{seed}a", head)
        out = tmp_path / f"{seed}b"
        out.mkdir()
        losses = FORMATS[name].save(dataset, out, Pictures(dataset, out))
        back = open_dataset(out)
        assert (back.format, losses) == (name, []), (seed, back.reason)
        assert equal_sets(dataset, back) == [], seed


@pytest.mark.parametrize(
    ("image", "answer"),
    [
        ("input/{}.png", "target/{}.png"),
        ("train/lr/{}.png", "train/hr/{}.png"),
        ("noisy/{}_noisy.png", "clean/{}_clean.png"),
        ("trainA/{}.png", "trainB/{}.png"),
        ("A/{}.png", "B/{}.png"),
    ],
)
def test_pairs_as_users_have_them(tmp_path, image, answer):
    for seed, name in enumerate(("x", "y")):
        small = np.random.default_rng(seed).integers(0, 255, (16, 16), np.uint8)
        save(tmp_path / image.format(name), small)
        save(tmp_path / answer.format(name), small.repeat(2, 0).repeat(2, 1))
    opened = open_dataset(tmp_path)
    assert opened.format == "pairs" and [r.id for r in opened.records] == [image.format("x"), image.format("y")]
    found = opened.truth(0)["image"].pixels
    assert found.shape == (1, 32, 32) and 0 <= found.min() and found.max() <= 1


@pytest.mark.parametrize("names", [("A", "B"), ("blurred", "sharp"), ("dark", "bright"), ("grey", "colour")])
def test_classes_with_the_names_of_pairs_are_classes(tmp_path, names):
    for seed, name in enumerate(names):
        for i in range(3):
            picture(tmp_path / name / f"{i}.png", 10 * seed + i, 16)
    assert open_dataset(tmp_path).format == "folder"
    assert open_dataset(tmp_path, format="pairs").format == "pairs"


def test_folders_that_are_no_pairs(tmp_path):
    for name in ("A/1.png", "A/2.png", "B/1.png", "B/2.png", "C/1.png"):
        picture(tmp_path / "letters" / name)
    assert open_dataset(tmp_path / "letters").format == "folder"
    for name in ("A/1.png", "A/2.png", "B/1.png"):
        picture(tmp_path / "uneven" / name)
    assert open_dataset(tmp_path / "uneven").format == "folder"
    picture(tmp_path / "masks" / "input" / "1.png", size=20)
    save(tmp_path / "masks" / "target" / "1.png", np.eye(20, dtype=np.uint8))
    assert open_dataset(tmp_path / "masks").format == "masks"


def test_dots_are_patches_and_their_colours_classes(tmp_path):
    picture(tmp_path / "x.png", size=9)
    dots = np.zeros((9, 9, 3), np.uint8)
    dots[1:3, 1:3] = (255, 0, 0)
    dots[7, 8] = (255, 0, 0)
    dots[5, 2] = dots[6, 3] = (0, 255, 0)
    save(tmp_path / "x_dots.png", dots)
    opened = open_dataset(tmp_path)
    found = opened.truth(0)["points"]
    assert opened.format == "dots" and opened.spaces["points"].names == ("#00ff00", "#ff0000")
    assert found.xy.tolist() == [[2, 2], [3, 6], [8.5, 7.5]] and found.classes.tolist() == [1, 0, 1]
    assert DotFile(save(tmp_path / "e.png", np.zeros((4, 4), np.uint8)), Coding("index", (0, 255), (255, 0))).load().xy.shape == (0, 2)
    with pytest.raises(DataError, match=r"MAP-VALUES(.|\n)*9"):
        DotFile(save(tmp_path / "e.png", np.full((4, 4), 9, np.uint8)), Coding("index", (0, 255), (255, 0))).load()


def test_dots_on_white_ground_and_too_near_ones(tmp_path):
    picture(tmp_path / "images" / "x.png", size=9)
    dots = np.full((9, 9), 255, np.uint8)
    dots[2, 2] = dots[4, 7] = 0
    save(tmp_path / "dots" / "x.png", dots)
    opened = open_dataset(tmp_path)
    assert opened.spaces["points"].names == ("object",) and len(opened.truth(0)["points"]) == 2
    near = Points(torch.tensor([[4.5, 4.5], [4.5, 4.5], [5.2, 4.5]]), torch.zeros(3, dtype=torch.int64))
    changed = opened.with_records([replace(opened.records[0], targets={"points": near})])
    (tmp_path / "out").mkdir()
    losses = FORMATS["dots"].save(changed, tmp_path / "out", Pictures(changed, tmp_path / "out"))
    assert [p.code for p in losses] == ["LOSS-FIELD"] * 2 and len(open_dataset(tmp_path / "out").truth(0)["points"]) == 3


def test_depth_in_millimetres_by_a_stated_scale_and_in_floats(tmp_path):
    raw = np.array([[0, 1000], [2500, 65535]], np.uint16)
    picture(tmp_path / "rgb" / "x.png", size=2)
    save(tmp_path / "depth" / "x.png", raw)
    found = open_dataset(tmp_path).truth(0)["depth"].metres
    assert found.isnan().tolist() == [[True, False], [False, False]] and found[1, 0] == pytest.approx(2.5) and found.dtype == torch.float32
    (tmp_path / "camera.json").write_text('{"depth_scale": 5000}')
    opened = open_dataset(tmp_path)
    assert opened.truth(0)["depth"].metres[0, 1] == pytest.approx(0.2) and "depth_scale of camera.json" in opened.reason
    found = DepthFile(save(tmp_path / "f.tif", np.array([[1.5, np.nan, -1]], np.float32)), 1.0).load().metres
    assert found[0, 0] == 1.5 and found.isnan().tolist() == [[False, True, True]]
    (tmp_path / "depth" / "x.png").unlink()
    save(tmp_path / "depth" / "x.png", np.zeros((2, 2), np.uint8))
    with pytest.raises(DataError, match="DATA-LAYOUT"):
        open_dataset(tmp_path, format="depth")


def test_what_eight_and_sixteen_bits_cannot_hold(tmp_path):
    dataset = random_answers(0, tmp_path / "a", "depth", images=1)
    h, w = dataset.size(0)
    far = dataset.with_records([replace(dataset.records[0], targets={"depth": DepthMap(torch.full((h, w), 70.0))})])
    (tmp_path / "b").mkdir()
    assert [p.code for p in FORMATS["depth"].save(far, tmp_path / "b", Pictures(far, tmp_path / "b"))] == ["LOSS-FIELD"]
    hole = dataset.with_records([replace(dataset.records[0], targets={"image": ImageTarget(torch.full((3, h, w), float("nan")))})])
    (tmp_path / "c").mkdir()
    assert [p.code for p in FORMATS["pairs"].save(hole, tmp_path / "c", Pictures(hole, tmp_path / "c"))] == ["LOSS-FIELD"]


def test_stored_pictures_refuse_what_the_reader_refuses(tmp_path):
    (tmp_path / "x.png").write_bytes(b"")
    for kind in (ImageFile, DepthFile):
        with pytest.raises(DataError, match="IMG-EMPTY"):
            kind(tmp_path / "x.png").load()


def test_shared_pairs_open(shared_data):
    frames = open_dataset(shared_data / "depth/open3d_rgbd")
    metres = frames.truth(0)["depth"].metres
    assert (frames.format, len(frames)) == ("depth", 5) and metres.shape == (480, 640) and 1 < metres.nanmean() < 3
    small = open_dataset(shared_data / "formats/annotation_formats/common_super_resolution_dataset")
    assert (small.format, len(small), small.records[0].id) == ("pairs", 2, "LR/1.jpg")
