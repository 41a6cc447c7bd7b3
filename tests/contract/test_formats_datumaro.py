"""Layouts read through datumaro: refused by name where it is not installed, else its annotations as ours."""

import importlib.util

import pytest

from saccade.data.open import open_dataset
from saccade.errors import DataError, UsageError
from tests.support.json_files import pictures, write

THERE = importlib.util.find_spec("datumaro") is not None
needs = pytest.mark.skipif(not THERE, reason="the extra `formats` (datumaro) is not installed")


@pytest.mark.skipif(THERE, reason="datumaro is installed")
def test_without_it_the_extra_is_named(tmp_path):
    with pytest.raises(UsageError, match="datumaro") as caught:
        open_dataset(tmp_path, format="datumaro:dota")
    assert caught.value.code == "USE-MISSING" and "saccade[formats]" in caught.value.fix


@needs
def test_names_that_it_does_not_have_and_folders_that_it_cannot_read(tmp_path):
    with pytest.raises(UsageError, match="nothing") as caught:
        open_dataset(tmp_path, format="datumaro:nothing")
    assert "wider_face" in caught.value.fix
    with pytest.raises(DataError, match="cannot read") as refused:
        open_dataset(tmp_path, format="datumaro:wider_face")
    assert refused.value.code == "DATA-FORMAT"


@needs
def test_faces_of_an_event(tmp_path):
    pictures(tmp_path, "WIDER_train/images/0--Parade/0_Parade_1.jpg")
    write(tmp_path / "wider_face_split/wider_face_train_bbx_gt.txt", "0--Parade/0_Parade_1.jpg\n1\n3 4 10 12 0 0 0 0 0 0\n")
    dataset = open_dataset(tmp_path, format="datumaro:wider_face")
    assert dataset.records[0].targets["boxes"].xyxy.tolist() == [[3, 4, 13, 16]] and dataset.splits == ("train",)
    assert "Parade" in dataset.spaces["boxes"].names


@needs
def test_text_without_a_class_is_an_object(shared_data):
    dataset = open_dataset(shared_data / "formats/annotation_formats/icdar_dataset/text_localization", format="datumaro:icdar_text_localization")
    assert dataset.spaces["boxes"].names == ("object",) and dataset.records[0].targets["boxes"].attributes[0]["text"] == "FOOD"


LONG_TAIL = {
    "datumaro_dataset/legacy": ("datumaro", 4, "labels"),
    "dota_dataset": ("dota", 3, "boxes"),
    "mot_dataset/mot_seq": ("mot_seq", 1, "boxes"),
    "coco_dataset/coco_person_keypoints": ("coco_person_keypoints", 2, "keypoints"),
    "open_images_dataset/v6": ("open_images", 4, "instances"),
    "vgg_face2_dataset": ("vgg_face2", 4, "points"),
    "ade20k2017_dataset/dataset": ("ade20k2017", 2, "instances"),
    "icdar_dataset/text_localization": ("icdar_text_localization", 2, "instances"),
    "coco_dataset/coco_captions": ("coco_captions", 2, "caption"),
    "mapillary_vistas_dataset": ("mapillary_vistas", 3, "instances"),
}


@needs
@pytest.mark.parametrize("layout", LONG_TAIL)
def test_the_long_tail(layout, shared_data):
    name, images, head = LONG_TAIL[layout]
    dataset = open_dataset(shared_data / "formats/annotation_formats" / layout, format=f"datumaro:{name}")
    assert len(dataset) == images and dataset.format == f"datumaro:{name}"
    assert any(target is not None for target in dataset.targets(head))
