"""Layouts that are not read are refused by name; text boxes without images are read."""

import pickle

import pytest
import torch

from saccade.data.check import check
from saccade.data.formats.detection_text import read_detections
from saccade.data.formats.foreign import FOREIGN
from saccade.data.open import open_dataset
from saccade.errors import DataError
from tests.support.data_files import folder
from tests.support.json_files import codes, pictures, write

# name of the layout -> files that show it: path -> content (True: a picture)
SIGNS = {
    "ADE20K (2017)": {"training/street/1_atr.txt": '001 # 0 # 1 # sky # sky # ""\n', "training/street/1_seg.png": True, "training/street/1.jpg": True},
    "ADE20K (2020)": {"a/1.json": '{\n "annotation": {"filename": "1.jpg"}}', "a/1_seg.png": True},
    "AVA actions": {"annotations/ava_v2.2.csv": "video0,0,0,0,1,1,0,0\n", "frames/v/1.jpg": True, "frames/w/1.jpg": True},
    "BraTS volumes": {"imagesTr/BRATS_001.nii.gz": "x"},
    "CelebA": {"Anno/list_attr_celeba.txt": "1\nBald\n1.jpg -1\n", "Img/a/1.jpg": True},
    "CIFAR in Python pickles": {"data_batch_1": pickle.dumps({"a": 1}, 4)},
    "DOTA oriented boxes": {"train/labelTxt/1.txt": "0 0 2 2 2 2 2 0 plane 0\n", "train/images/1.jpg": True, "val/images/1.jpg": True},
    "ICDAR text localization": {"train/gt_img_1.txt": '0,0,3,1,4,6,1,7,"FOOD"\n', "train/images/img_1.png": True},
    "ICDAR text segmentation": {"train/1_GT.txt": "# x", "train/1_GT.bmp": True, "train/images/1.png": True},
    "Mapillary Vistas": {
        "config_v2.0.json": '{"labels": [{"color": [1, 2, 3], "readable": "Bird"}]}',
        "train/images/1.jpg": True,
        "train/v2.0/labels/1.png": True,
    },
    "ICDAR word recognition": {"train/gt.txt": 'word_1.png, "PROPER"\n', "train/images/word_1.png": True},
    "Labeled Faces in the Wild": {"test/annotations/pairs.txt": "2\nname0 1 2\n", "test/images/name0/1.jpg": True},
    "MARS or Market-1501": {"bounding_box_train/0002_c1s3_000151_00.jpg": True, "query/0001_c2s3_000111_00.jpg": True},
    "MOT tracks": {"seq/gt/gt.txt": "1,-1,0,4,4,8,1,3,1.0\n", "seq/img1/1.jpg": True},
    "MPII human pose": {"mpii_human_pose_v1_u12_1.mat": "x", "a/1.jpg": True},
    "Open Images": {"annotations/train-annotations-bbox.csv": "ImageID,Source\n", "images/train/a.jpg": True, "images/test/b.jpg": True},
    "Segment Anything": {"a.json": '{"image": {"image_id": 1}, "annotations": [{"predicted_iou": 0.2}]}', "a.jpg": True},
    "Supervisely": {"meta.json": '{"classes": []}', "ds0/ann/a.json": "{}", "ds0/img/a.png": True},
    "TF detection records": {"train.tfrecord": "x", "label_map.pbtxt": "item {}"},
    "TFRecord": {"train-0001-of-0002.tfrecord": "x"},
    "VGGFace2": {"bb_landmark/loose_bb_test.csv": "NAME_ID,X,Y,W,H\n", "train/n1/1.jpg": True, "train/n2/1.jpg": True},
    "VoTT JSON": {"x-export.json": '{"name": "test", "videoSettings": {}, "tags": []}', "a.jpg": True},
    "WIDER FACE": {"wider_face_split/wider_face_train_bbx_gt.txt": "0--P/1.jpg\n1\n1 2 2 2 0 0 0 0 0 0\n", "WIDER_train/images/0--P/1.jpg": True},
    "Datumaro JSON": {"annotations/a.json": '{"infos": {}, "categories": {"label": {"labels": []}}, "items": []}', "images/a.png": True},
    "WebDataset": {"shard-000.tar": "x"},
    "JSON in UTF-16": {"labels.json": '{"images": []}'.encode("utf-16"), "a.jpg": True},
    "pixels in a CSV": {"train.csv": ",".join("0" * 785) + "\n"},
    "HDF5": {"a.h5": b"\x89HDF\r\n\x1a\n"},
    "Parquet": {"a.parquet": "PAR1"},
    "DICOM": {"p/a.dcm": "x", "q/a.dcm": "x"},
    "NIfTI volumes": {"a.nii": "x"},
    "MATLAB": {"a.mat": "x"},
    "NumPy arrays": {"a.npy": "x"},
    "pickles": {"a.pkl": "x"},
    "films": {"a.mp4": "x"},
    "archives": {"a.zip": "x"},
    "pen strokes": {"a/0108_01.txt": "START\n18.9,-43.5,0\n"},
}


@pytest.mark.parametrize("name", SIGNS)
def test_a_foreign_layout_is_named_with_what_to_do(tmp_path, name):
    for path, content in SIGNS[name].items():
        if content is True:
            pictures(tmp_path, path)
        else:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        open_dataset(tmp_path)
    assert caught.value.code == "DATA-FORMAT" and f"this is {name} (" in caught.value.got
    assert caught.value.fix in {foreign.advice for foreign in FOREIGN if foreign.name == name}


def test_every_pickle_stays_shut(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (print, ("opened",))

    (tmp_path / "data_batch_1").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(DataError, match="CIFAR"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("name", ["a.npy", "notes.mat", "film.mp4", "all.zip", "model.pt", "features.h5", "shard.tar"])
def test_what_lies_about_beside_classes_does_not_matter(tmp_path, name):
    root = folder(tmp_path, "cat/1.png", "dog/2.png")
    (root / name).write_bytes(b"\x89HDF\r\n")
    assert open_dataset(root).format == "folder"


def test_an_asked_for_format_is_not_second_guessed(tmp_path):
    pictures(tmp_path, "bounding_box_train/a.jpg", "query/b.jpg")
    assert open_dataset(tmp_path, format="folder").spaces["label"].names == ("bounding_box_train", "query")


# boxes as text ------------------------------------------------------------------------------------------------------


def test_text_boxes_without_images(tmp_path):
    write(tmp_path / "ground-truth/a.txt", "big cat 2 3 10 12\ndog 0 0 4 4 difficult\n\n")
    write(tmp_path / "ground-truth/b.txt", "")
    write(tmp_path / "detection-results/a.txt", "dog 0.25 0 0 3 4\nbird 0.5 1 1 2 2\n")
    data = open_dataset(tmp_path)
    assert data.format == "detection_text" and data.spaces["boxes"].names == ("big cat", "dog") and codes(data) == {"DATA-NOIMAGES": "note"}
    first, second = (r.targets["boxes"] for r in data.records)
    assert first.xyxy.tolist() == [[2, 3, 11, 13], [0, 0, 5, 5]] and first.difficult.tolist() == [False, True] and len(second) == 0
    found = read_detections(tmp_path / "detection-results", data)
    assert found[0].xyxy.tolist() == [[0, 0, 4, 5]] and found[0].scores.tolist() == [0.25] and found[0].classes.tolist() == [1] and len(found[1]) == 0


@pytest.mark.parametrize(
    ("line", "code"), [("dog 1 2 3", "ANN-FIELD"), ("dog 1 2 3 x", "ANN-FIELD"), ("dog 1 2 nan 4", "ANN-NUMBER"), ("dog 9 2 3 4", "ANN-BOX-NEGATIVE")]
)
def test_lines_that_cannot_be_read(tmp_path, line, code):
    write(tmp_path / "ground-truth/a.txt", "dog 1 2 3 4\n")
    write(tmp_path / "ground-truth/b.txt", f"dog 1 2 3 4\n{line}\n")
    data = open_dataset(tmp_path)
    (problem,) = [p for p in data.problems if p.severity == "error"]
    assert (problem.code, problem.where) == (code, "ground-truth/b.txt:2") and len(data) == 1


def test_detections_that_cannot_be_read(tmp_path):
    write(tmp_path / "ground-truth/a.txt", "dog 1 2 3 4\n")
    data = open_dataset(tmp_path)
    write(tmp_path / "d/a.txt", "dog 1 2 3 4\n")
    with pytest.raises(DataError, match="class confidence left top") as caught:
        read_detections(tmp_path / "d", data)
    assert caught.value.where == "a.txt:1"
    with pytest.raises(DataError, match="none of its 0 text files"):
        read_detections(tmp_path / "ground-truth/none", data)


def test_the_map_reference(shared_data):
    data = open_dataset(shared_data / "detection/map_reference")
    assert len(data) == 85
    found = read_detections(shared_data / "detection/map_reference/detection-results", data)
    assert len(found) == 85 and all(boxes.scores is not None for boxes in found)
    lines = sum(len(p.read_text().split("\n")) - 1 for p in (shared_data / "detection/map_reference/ground-truth").glob("*.txt"))
    assert sum(len(r.targets["boxes"]) for r in data.records) == lines
    assert torch.cat([boxes.scores for boxes in found]).max() <= 1


def test_every_signature_has_an_example():
    assert {foreign.name for foreign in FOREIGN} == set(SIGNS)


def test_the_check_does_not_look_for_pictures_in_text(tmp_path):
    for name in "abc":
        write(tmp_path / f"ground-truth/{name}.txt", "" if name == "c" else "dog 1 2 30 40\ncat 5 6 7 8\n")
    report = check(open_dataset(tmp_path))
    assert {p.severity for p in report.problems} <= {"note", "warn"} and len(report.dataset) == 3 and report.bad == 0
    assert report.dataset.fingerprint
