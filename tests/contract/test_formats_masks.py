"""Masks of every storage and layout are read by written rules, strictly, and written so that they read the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from saccade.data.formats import FORMATS
from saccade.data.formats.masks_classes import parse_classes
from saccade.data.formats.pictures import Pictures
from saccade.data.formats.stored import Coding, InstanceFile, InstanceFiles, MaskFile, values
from saccade.data.open import open_dataset
from saccade.errors import DataError
from tests.support.data_files import picture
from tests.support.random_answers import random_answers
from tests.support.random_sets import equal_sets

IDS = np.array([[0, 0, 1, 1], [0, 2, 2, 1], [3, 3, 2, 1]], np.uint8)


def mask(path: Path, image: np.ndarray | Image.Image, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


def palette_image(ids: np.ndarray, colours: list[int]) -> Image.Image:
    image = Image.fromarray(ids)
    image.putpalette(colours)
    return image


def set_of(root: Path, masks: dict[str, np.ndarray | Image.Image], images: tuple[str, ...] = (), **texts: str) -> Path:
    for number, name in enumerate(images or [f"images/{Path(name).stem}.png" for name in masks]):
        picture(root / name, number, size=4)
    for name, image in masks.items():
        mask(root / name, image)
    for name, text in texts.items():
        (root / name.replace("_txt", ".txt").replace("_json", ".json").replace("_csv", ".csv")).write_text(text)
    return root


def only(dataset, head: str, name: str):
    place = next(i for i, record in enumerate(dataset.records) if Path(record.id).stem == name)
    return dataset.truth(place)[head]


# how masks are stored ---------------------------------------------------------------------------------------------


def test_a_palette_is_read_by_index_even_when_its_colours_are_alike(tmp_path):
    same = palette_image(IDS, [9, 9, 9] * 4)
    opened = open_dataset(set_of(tmp_path, {"masks/a.png": same, "masks/b.png": palette_image(IDS, [0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])}))
    assert opened.spaces["map"].names == ("0", "1", "2", "3") and opened.spaces["map"].background == 0
    assert only(opened, "map", "a").ids.tolist() == IDS.tolist() == only(opened, "map", "b").ids.tolist()


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_grey_of_few_bits_counts_from_nought(tmp_path, bits):
    ids = IDS % min(2**bits, 128)
    path = tmp_path / "masks" / "a.png"
    path.parent.mkdir()
    rows = b"".join(b"\0" + _packed_row(row, bits) for row in ids)
    path.write_bytes(_png(ids.shape, bits, rows))
    assert sorted(values(path)) == sorted(set(ids.ravel().tolist()))
    coding = Coding("index", (0, 1, 2, 3), (0, 1, 2, 3))
    assert MaskFile(path, coding).load().ids.tolist() == ids.tolist()


def _packed_row(row, bits: int) -> bytes:
    text = "".join(f"{v:0{bits}b}" for v in row)
    return int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")


def _png(shape, bits: int, rows: bytes) -> bytes:
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", shape[1], shape[0], bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_colours_by_a_table_and_without_one(tmp_path):
    table = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [64, 64, 64]], np.uint8)
    root = set_of(tmp_path, {"masks/a.png": table[IDS]}, label_colors_txt="0 0 0 background\n255 0 0 cat\n0 255 0 dog\n64 64 64 Void\n")
    opened = open_dataset(root)
    space = opened.spaces["map"]
    assert (space.names, space.background, space.colours) == (("background", "cat", "dog"), 0, ("#000000", "#ff0000", "#00ff00"))
    assert only(opened, "map", "a").ids.tolist() == np.where(IDS == 3, 255, IDS).tolist() and "Void ignored" in opened.reason
    (root / "label_colors.txt").unlink()
    opened = open_dataset(root)
    assert opened.spaces["map"].names == ("#000000", "#00ff00", "#404040", "#ff0000")


def test_unknown_colours_are_listed_with_the_most_frequent_first(tmp_path):
    g = np.random.default_rng(0)
    many = g.integers(0, 256, (30, 30, 3), dtype=np.uint8)
    many[:10] = (1, 2, 3)
    root = set_of(tmp_path, {"masks/a.png": many}, label_colors_txt="0 0 0 background\n255 0 0 cat\n")
    opened = open_dataset(root)
    with pytest.raises(DataError, match="MAP-VALUES") as caught:
        opened.truth(0)
    assert caught.value.got.startswith("#010203 (33.33%)") and caught.value.got.count("%") == 10 and caught.value.got.endswith("more")
    (root / "label_colors.txt").rename(root / "classes.txt")
    (root / "classes.txt").write_text("cat\ndog\n")
    with pytest.raises(DataError, match=r"MAP-VALUES(.|\n)*gives no colours"):
        open_dataset(root)


def test_smooth_and_jpeg_masks_are_refused_not_guessed(tmp_path):
    ramp = np.repeat(np.arange(0, 240, 2, dtype=np.uint8)[None], 8, 0)
    with pytest.raises(DataError, match=r"MAP-VALUES(.|\n)*120 different values"):
        open_dataset(set_of(tmp_path / "a", {"masks/a.png": ramp}))
    noisy = np.kron(np.random.default_rng(1).integers(0, 2, (8, 8)), np.ones((5, 5))).astype(np.uint8) * 255
    root = set_of(tmp_path / "b", {}, images=("images/x.png",))
    mask(root / "masks" / "x.jpg", noisy, quality=40)
    with pytest.raises(DataError, match=r"MAP-VALUES(.|\n)*JPEG"):
        open_dataset(root)


def test_alpha_alone_is_a_mask(tmp_path):
    rgba = np.full((3, 4, 4), 255, np.uint8)
    rgba[..., 3] = (IDS > 0) * 255
    opened = open_dataset(set_of(tmp_path, {"masks/a.png": rgba}))
    assert opened.spaces["map"].names == ("background", "foreground") and only(opened, "map", "a").ids.tolist() == (IDS > 0).astype(int).tolist()


def test_ignored_empty_and_all_ignored_masks(tmp_path):
    ids = IDS.copy()
    ids[0, 0] = 255
    masks = {"masks/a.png": ids, "masks/empty.png": np.zeros((3, 4), np.uint8), "masks/void.png": np.full((3, 4), 255, np.uint8)}
    opened = open_dataset(set_of(tmp_path, masks))
    assert opened.spaces["map"].names == ("0", "1", "2", "3") and "255 ignored" in opened.reason
    assert only(opened, "map", "a").ids[0, 0] == 255 and (only(opened, "map", "void").ids == 255).all() and not only(opened, "map", "empty").ids.any()


@pytest.mark.parametrize(
    ("used", "names", "expected"),
    [
        ((0, 255), None, ("background", "foreground")),
        ((0, 1), None, ("background", "foreground")),
        ((0, 255), ("cell",), ("background", "cell")),
        ((0, 255), ("soil", "root"), ("soil", "root")),
        ((0, 1, 2), ("cat", "dog"), ("background", "cat", "dog")),
        ((0, 1, 2), ("background", "cat", "dog", "fox"), ("background", "cat", "dog", "fox")),
        ((7, 9, 30), None, ("7", "9", "30")),
    ],
)
def test_rules_of_values_and_class_lists(tmp_path, used, names, expected):
    ids = np.resize(np.array(used, np.uint8), (3, 4))
    opened = open_dataset(set_of(tmp_path, {"masks/a.png": ids}, **({"classes_txt": "\n".join(names)} if names else {})))
    assert opened.spaces["map"].names == expected
    found = only(opened, "map", "a").ids.numpy()
    assert [int(found[ids == value][0]) for value in used] == list(range(len(used)))


def test_a_value_beyond_the_class_list_is_fatal(tmp_path):
    opened = open_dataset(set_of(tmp_path, {"masks/a.png": IDS * 5}, classes_txt="a\nb\nc\n"))
    with pytest.raises(DataError, match=r"MAP-VALUES(.|\n)*5 \(33"):
        opened.truth(0)


def test_limits_of_the_reader_hold_for_masks(tmp_path):
    root = set_of(tmp_path, {"masks/a.png": np.zeros((200, 200), np.uint8)}, images=("images/a.png",))
    with pytest.raises(DataError, match="IMG-BOMB"):
        open_dataset(root, max_pixels=10_000).truth(0)
    (root / "masks" / "a.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="IMG-UNREADABLE"):
        open_dataset(root).truth(0)


# layouts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "answer"),
    [
        ("images/{}.jpg", "masks/{}.png"),
        ("train/images/{}.jpg", "train/labels/{}.png"),
        ("images/val/{}.png", "annotations/val/{}.png"),
        ("{}.png", "{}_mask.png"),
        ("{}.png", "{}-mask.png"),
        ("pics/{}.png", "pics/{}_gt.png"),
        ("train/{}.png", "trainannot/{}.png"),
        ("train/{}.jpg", "train_masks/{}_mask.gif"),
        ("test/crack/{}.png", "ground_truth/crack/{}_mask.png"),
        ("RGB/{}.png", "GT/{}.png"),
        ("imagesTr/{}.png", "labelsTr/{}.png"),
        ("img/img_{}.png", "gt/gt_{}.png"),
        ("images/{}_sat.jpg", "masks/{}_mask.png"),
    ],
)
def test_folders_and_names_as_users_have_them(tmp_path, image, answer):
    root = set_of(tmp_path, {answer.format(n): IDS for n in ("a1", "b2")}, images=tuple(image.format(n) for n in ("a1", "b2")))
    opened = open_dataset(root)
    assert opened.format == "masks" and [r.id for r in opened.records] == [image.format("a1"), image.format("b2")]
    assert all(opened.truth(i)["map"].ids.tolist() == IDS.tolist() for i in range(2)) and not opened.problems
    part = {"train": "train", "images/val": "val", "test": "test", "imagesTr": None}.get(image.split("/{")[0].split("/images")[0].split("/crack")[0])
    assert opened.records[0].split == part


def test_images_without_masks_masks_without_images_and_loose_pictures(tmp_path):
    root = set_of(
        tmp_path, {"masks/a.png": IDS, "masks/b.png": IDS, "masks/zz.png": IDS}, images=("images/a.png", "images/b.png", "images/c.png", "preview.png")
    )
    opened = open_dataset(root)
    assert [(r.id, r.targets["map"] is not None) for r in opened.records] == [("images/a.png", True), ("images/b.png", True), ("images/c.png", False)]
    assert {(p.code, p.where) for p in opened.problems} == {("MAP-ORPHAN", "masks/zz.png"), ("IMG-LOOSE", "preview.png")}


def test_class_folders_called_mask_stay_classes(tmp_path):
    for name in ("mask/1.png", "mask/2.png", "no_mask/1.png", "no_mask/2.png"):
        picture(tmp_path / name)
    assert open_dataset(tmp_path).format == "folder"


def test_split_lists_of_camvid(tmp_path):
    root = set_of(tmp_path, {"labels/a.png": IDS, "labels/b.png": IDS}, images=("images/a.png", "images/b.png"))
    (root / "train.txt").write_text("/images/a.png /labels/a.png\n")
    (root / "val.txt").write_text("b\n")
    assert [r.split for r in open_dataset(root, format="masks").records] == ["train", "val"]


def test_cityscapes(tmp_path):
    labels = np.array([[7, 8, 0, 26], [26, 24, 255 - 255, 33]], np.uint8)
    objects = np.array([[7, 8, 0, 26001], [26001, 24, 0, 33002]], np.uint16)
    root = set_of(tmp_path, {}, images=("leftImg8bit/train/bonn/bonn_0_leftImg8bit.png",))
    mask(root / "gtFine/train/bonn/bonn_0_gtFine_labelIds.png", labels)
    mask(root / "gtFine/train/bonn/bonn_0_gtFine_instanceIds.png", objects)
    opened = open_dataset(root)
    truth = opened.truth(0)
    assert len(opened.spaces["map"]) == 19 and opened.records[0].split == "train" and opened.reason.startswith("Cityscapes")
    assert truth["map"].ids.tolist() == [[0, 1, 255, 13], [13, 11, 255, 18]]
    names = [opened.spaces["instances"].names[k] for k in truth["instances"].boxes.classes.tolist()]
    assert names == ["car", "bicycle"] and truth["instances"].boxes.xyxy.tolist() == [[0, 0, 4, 2], [3, 1, 4, 2]]


# objects ----------------------------------------------------------------------------------------------------------


def test_id_maps_of_more_than_eight_bits_and_of_cellpose(tmp_path):
    ids = np.kron(np.array([[0, 300], [7, 0]], np.uint16), np.ones((3, 3), np.uint16))
    root = set_of(tmp_path / "a", {"x_masks.tif": ids}, images=("x.png",))
    opened = open_dataset(root)
    found = opened.truth(0)["instances"]
    assert opened.spaces["instances"].names == ("object",) and found.boxes.xyxy.tolist() == [[0, 3, 3, 6], [3, 0, 6, 3]]
    assert found.ids.tolist() == np.select([ids == 7, ids == 300], [1, 2]).tolist()
    small = np.arange(12, dtype=np.uint8).reshape(3, 4) % 4
    assert "instances" in open_dataset(set_of(tmp_path / "b", {"x_masks.png": small}, images=("x.png",))).spaces
    assert "map" in open_dataset(set_of(tmp_path / "c", {"masks/x.png": small})).spaces


def test_many_dense_ids_are_objects_and_many_others_are_not(tmp_path):
    dense = np.arange(60, dtype=np.uint8).reshape(6, 10)
    assert "instances" in open_dataset(set_of(tmp_path / "a", {"masks/a.png": dense, "masks/b.png": dense // 2})).spaces
    assert "map" in open_dataset(set_of(tmp_path / "b", {"masks/a.png": dense * 4})).spaces


def test_mots_ids_are_class_and_number(tmp_path):
    ids = np.array([[0, 1001, 1001, 2005], [10000, 10000, 2005, 2001]], np.uint16)
    root = set_of(tmp_path, {"instances/1.png": ids})
    (root / "instances" / "labels.txt").write_text("car\npedestrian\n")
    opened = open_dataset(root)
    assert opened.spaces["instances"].names == ("car", "pedestrian")
    assert opened.truth(0)["instances"].boxes.classes.tolist() == [0, 1, 1] and "class x 1000" in opened.reason


@pytest.mark.parametrize("layout", ["{0}/images/{0}.png {0}/masks/{1}.png", "images/{0}.png masks/{0}/{1}.png"])
def test_one_mask_file_an_object(tmp_path, layout):
    image, answer = layout.split()
    first, second = np.zeros((5, 6), np.uint8), np.zeros((5, 6), np.uint8)
    first[1:4, 1:4], second[2:5, 3:6] = 255, 255
    for name in ("p", "q"):
        picture(tmp_path / image.format(name), size=6)
        mask(tmp_path / answer.format(name, "m1"), first)
        mask(tmp_path / answer.format(name, "m2"), second)
    picture(tmp_path / image.format("r"), size=6)
    opened = open_dataset(tmp_path)
    found = [opened.truth(i)["instances"] for i in range(3)]
    assert [len(f) for f in found] == [2, 2, 0] and found[2].size == (6, 6) and "4 masks of 3 images" in opened.reason
    assert found[0].boxes.xyxy.tolist() == [[1, 1, 4, 4], [3, 2, 6, 5]]  # they overlap, and both are whole
    with pytest.raises(DataError, match="MAP-VALUES"):
        InstanceFiles((tmp_path / answer.format("p", "m1"), mask(tmp_path / "x.png", np.zeros((5, 6), np.uint8)))).load()


def test_stacks_of_pages_are_refused_by_name(tmp_path):
    pages = [Image.fromarray(IDS.astype(np.uint16)) for _ in range(3)]
    pages[0].save(tmp_path / "x.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(DataError, match=r"MAP-PAGES(.|\n)*3 pages"):
        InstanceFile(tmp_path / "x.tif").load()


# written ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", ["map", "instances"])
def test_what_is_written_reads_the_same(tmp_path, head):
    for seed in range(9):
        dataset = random_answers(seed, tmp_path / f"{seed}a", head)
        out = tmp_path / f"{seed}b"
        out.mkdir()
        losses = FORMATS["masks"].save(dataset, out, Pictures(dataset, out))
        back = open_dataset(out)
        assert (back.format, losses) == ("masks", []), (seed, back.reason)
        assert equal_sets(dataset, back) == [], seed


def test_the_palette_can_be_seen_and_the_classes_are_beside(tmp_path):
    dataset = random_answers(2, tmp_path / "a", "map")
    (tmp_path / "b").mkdir()
    FORMATS["masks"].save(dataset, tmp_path / "b", Pictures(dataset, tmp_path / "b"))
    written = Image.open(next((tmp_path / "b" / "masks").rglob("*.png")))
    colours = {written.convert("RGB").getpixel((x, y)) for x in range(written.width) for y in range(written.height)}
    assert written.mode == "P" and len(colours) == len(dataset.spaces["map"]) + 1 and max(max(c) for c in colours) > 200
    assert [entry["name"] for entry in json.loads((tmp_path / "b/masks/classes.json").read_text())] == list(dataset.spaces["map"].names)


def test_overlaps_and_flags_are_told_as_losses(tmp_path):
    from dataclasses import replace

    import torch

    from saccade.targets import Boxes, Instances

    dataset = random_answers(4, tmp_path / "a", "instances")
    held = dataset.records[0].targets["instances"]
    doubled = Instances(
        Boxes(held.boxes.xyxy[[0, 0]], torch.zeros(2, dtype=torch.int64), crowd=torch.tensor([True, False])), held.size, (held.shapes[0], held.shapes[0])
    )
    changed = dataset.with_records([replace(dataset.records[0], targets={"instances": doubled})])
    (tmp_path / "b").mkdir()
    losses = FORMATS["masks"].save(changed, tmp_path / "b", Pictures(changed, tmp_path / "b"))
    assert {p.code for p in losses} == {"LOSS-FIELD"} and {"pixels of two objects", "the flag crowd"} <= {
        p.got.split(" of ")[0] if "two" not in p.got else "pixels of two objects" for p in losses
    }


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=80) | st.text(alphabet='0123456789 ,:;#\t\n"catdog{}[]', max_size=60).map(str.encode),
    st.sampled_from(["classes.txt", "labelmap.csv", "classes.json"]),
)
def test_any_class_list_is_read_or_a_coded_error(data, name):
    try:
        found = parse_classes(data, name)
    except DataError as error:
        assert error.code in ("ANN-UNREADABLE", "ANN-JSON")
    else:
        assert found is None or (len(set(found.names)) == len(found.names) and all(found.names))


# shared sets ------------------------------------------------------------------------------------------------------


def test_shared_masks_open_with_their_counts(shared_data):
    nuclei = open_dataset(shared_data / "segmentation/dsb2018", format="masks")
    assert len(nuclei) == 171 and sum(len(r.targets["instances"].files) for r in nuclei.records) == 5228
    assert sum(len(nuclei.truth(i)["instances"]) for i in range(8)) == sum(len(r.targets["instances"].files) for r in nuclei.records[:8])
    stardist = open_dataset(shared_data / "segmentation/stardist_tiff")
    assert [r.id for r in stardist.records] == ["histo.jpg", "img2d.tif", "img3d.tif"] and len(stardist.truth(1)["instances"]) == 125
    with pytest.raises(DataError, match="MAP-PAGES"):
        stardist.truth(2)
    scenes = open_dataset(shared_data / "language/nlvr_dev", format="masks")
    assert len(scenes) == 1978 and sum(r.targets["map"] is not None for r in scenes.records) == 989 and scenes.spaces["map"].background == 0
