"""Real data sets and the small sets of some fifty layouts: they open without options, with the counts that their sources give, or name why not."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from saccade.data.open import open_dataset
from saccade.errors import CODES, DataError


class Real(NamedTuple):
    """A data set: its format, its images, for each head (images with a truth, objects), its classes by head."""

    folder: str
    format: str
    images: int
    heads: dict[str, tuple[int, int]]
    classes: dict[str, int]
    options: dict[str, Any] = {}
    splits: dict[str, int] = {}


REAL = (
    Real("classification/mnist_idx", "idx", 60_000, {"label": (60_000, 60_000)}, {"label": 10}, {}, {"train": 60_000}),
    Real("classification/mnist_png", "folder", 600, {"label": (600, 600)}, {"label": 10}),
    Real("classification/fashion_mnist_idx", "idx", 450, {"label": (450, 450)}, {"label": 10}),
    Real("classification/sign_digits", "folder", 1333, {"label": (1333, 1333)}, {"label": 10}),
    Real("classification/caltech7", "folder", 337, {"label": (337, 337)}, {"label": 7}),
    Real("fewshot/omniglot/images_background_small1.zip", "folder", 2720, {"label": (2720, 2720)}, {"label": 5}),
    Real("fewshot/omniglot/images_background_small1.zip", "folder", 2720, {"label": (2720, 2720)}, {"label": 136}, {"label": "path"}),
    Real("medical/cxr_nih", "table", 480, {"label": (480, 480)}, {"label": 2}),
    Real("detection/bccd_voc", "voc", 292, {"boxes": (292, 3943)}, {"boxes": 3}, {}, {"train": 205, "val": 87}),
    Real("detection/chess_coco", "coco", 202, {"boxes": (202, 2107)}, {"boxes": 14}, {}, {"train": 202}),  # one of its 2,108 boxes is there twice
    Real("detection/map_reference", "detection_text", 85, {"boxes": (85, 686)}, {"boxes": 30}),
    Real("segmentation/dsb2018", "table", 171, {"points": (171, 5228), "number": (171, 171)}, {"instances": 1, "points": 1}),
    Real("segmentation/dsb2018", "masks", 171, {"instances": (171, 5228)}, {"instances": 1}, {"format": "masks"}),
    Real("segmentation/stardist_tiff", "masks", 3, {"instances": (2, 2)}, {"instances": 1}),
    Real("pose/dlc_openfield", "deeplabcut", 86, {"keypoints": (86, 86)}, {"keypoints": 1}),
    Real("depth/open3d_rgbd", "depth", 5, {"depth": (5, 5)}, {}),
    Real("det3d/kitti", "kitti", 3, {"boxes": (3, 10), "boxes3d": (3, 6)}, {"boxes": 5, "boxes3d": 5}),
    Real("language/nlvr_dev", "coco", 1978, {"boxes": (1978, 17_752), "caption": (1094, 1094)}, {"boxes": 9}),
    Real("language/nlvr_dev", "table", 1978, {"labels": (1978, 9 * 1978)}, {"labels": 9}, {"format": "table"}),
    Real("language/nlvr_dev", "masks", 1978, {"map": (989, 989)}, {"map": 10}, {"format": "masks"}),
    Real("language/nlvr_dev", "graphs", 1978, {"graph": (1978, 17_752)}, {"graph": 9}, {"format": "graphs"}),
)


def objects(row: Real, target: Any) -> int:
    """The objects of a truth; 1 of a whole image."""
    if row.folder.endswith(("stardist_tiff", "nlvr_dev")) and hasattr(target, "load"):
        return 1  # a stack that is refused when it is read, a thousand masks
    held = target.load() if hasattr(target, "load") else target
    return len(held) if hasattr(held, "__len__") else 1


@pytest.mark.parametrize("row", REAL, ids=[f"{row.folder}-{row.format}" for row in REAL])
def test_a_real_data_set_opens_with_its_counts(row, shared_data, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    dataset = open_dataset(shared_data / row.folder, **row.options)
    assert (dataset.format, len(dataset)) == (row.format, row.images)
    for head, (images, count) in row.heads.items():
        held = [target for target in dataset.targets(head) if target is not None]
        assert (len(held), sum(objects(row, target) for target in held)) == (images, count), head
    assert {head: len(dataset.spaces[head]) for head in row.classes} == row.classes
    assert not [p for p in dataset.problems if p.severity in ("fatal", "error")]
    for split, n in row.splits.items():
        assert len(dataset.places(split)) == n


# a layout of the small sets -> the format that reads it, or the code that refuses it (with the name that it is refused by)
LAYOUTS: dict[str, str] = {
    "ade20k2017_dataset/dataset": "DATA-FORMAT ADE20K (2017)",
    "ade20k2020_dataset/dataset": "DATA-FORMAT ADE20K (2020)",
    "align_celeba_dataset/dataset": "DATA-FORMAT CelebA",
    "ava_dataset": "DATA-FORMAT AVA",
    "brats_dataset": "DATA-FORMAT BraTS",
    "brats_numpy_dataset": "DATA-FORMAT NumPy",
    "camvid_dataset": "masks",
    "celeba_dataset/dataset": "DATA-FORMAT CelebA",
    "celeba_dataset/dataset_with_meta_file": "DATA-FORMAT CelebA",
    "cifar100_dataset": "DATA-FORMAT CIFAR",
    "cifar10_dataset": "DATA-FORMAT CIFAR",
    "cityscapes_dataset/dataset": "masks",
    "cityscapes_dataset/train_dataset": "masks",
    "coco_dataset/coco": "coco",
    "coco_dataset/coco_captions": "coco",
    "coco_dataset/coco_image_info": "ANN-COCO",
    "coco_dataset/coco_instances": "coco",
    "coco_dataset/coco_labels": "coco",
    "coco_dataset/coco_panoptic": "coco",
    "coco_dataset/coco_person_keypoints": "coco",
    "coco_dataset/coco_roboflow": "coco",
    "coco_dataset/coco_stuff": "coco",
    "coco_dataset/mmdet_coco": "coco",
    "common_semantic_segmentation_dataset/dataset": "masks",
    "common_semantic_segmentation_dataset/non_standard_dataset": "masks",
    "common_super_resolution_dataset": "pairs",
    "cvat_dataset/for_images": "cvat",
    "cvat_dataset/for_video": "cvat",
    "datumaro_dataset/legacy": "DATA-FORMAT Datumaro",
    "dota_dataset": "DATA-FORMAT DOTA",
    "icdar_dataset/text_localization": "DATA-FORMAT ICDAR text localization",
    "icdar_dataset/text_segmentation": "DATA-FORMAT ICDAR text segmentation",
    "icdar_dataset/word_recognition": "DATA-FORMAT ICDAR word recognition",
    "image_dir_dataset": "DATA-LAYOUT",
    "image_zip_dataset": "DATA-FORMAT archives",
    "image_zip_dataset/1.zip": "DATA-LAYOUT",
    "imagenet_dataset": "folder",
    "imagenet_subsets_dataset": "folder",
    "imagenet_txt_dataset/basic": "table",
    "imagenet_txt_dataset/no_labels": "DATA-LAYOUT",
    "kaggle_dataset/image_csv": "table",
    "kaggle_dataset/image_csv_det": "table",
    "kaggle_dataset/image_csv_multi_label": "table",
    "kaggle_dataset/image_mask": "masks",
    "kaggle_dataset/image_mask_with_labelmap": "masks",
    "kaggle_dataset/image_txt": "table",
    "kaggle_dataset/image_txt_det": "table",
    "kaggle_dataset/relaxed_coco": "coco",
    "kaggle_dataset/relaxed_voc1": "voc",
    "kaggle_dataset/relaxed_voc2": "voc",
    "kaggle_dataset/relaxed_yolo": "yolo",
    "labelme_dataset": "labelme_xml",
    "lfw_dataset": "DATA-FORMAT Labeled Faces in the Wild",
    "mapillary_vistas_dataset": "DATA-FORMAT Mapillary Vistas",
    "market1501_dataset": "DATA-FORMAT MARS or Market-1501",
    "mars_dataset": "DATA-FORMAT MARS or Market-1501",
    "mnist_csv_dataset": "DATA-FORMAT pixels in a CSV",
    "mnist_dataset": "ANN-IDX",
    "mot_dataset/mot_seq": "DATA-FORMAT MOT",
    "mots_dataset": "masks",
    "mpii_dataset": "DATA-FORMAT MPII",
    "mpii_json_dataset": "DATA-FORMAT MPII",
    "mvtec_dataset": "masks",
    "nyu_depth_v2_dataset": "DATA-FORMAT HDF5",
    "open_images_dataset/v5": "DATA-FORMAT Open Images",
    "open_images_dataset/v6": "DATA-FORMAT Open Images",
    "roboflow_dataset/coco": "coco",
    "roboflow_dataset/createml": "createml",
    "roboflow_dataset/multiclass": "table",
    "roboflow_dataset/tfrecord": "DATA-FORMAT TF detection records",
    "roboflow_dataset/voc": "voc",
    "roboflow_dataset/yolo": "yolo",
    "roboflow_dataset/yolo_obb": "DATA-FORMAT DOTA",
    "segment_anything_dataset": "DATA-FORMAT Segment Anything",
    "sly_pointcloud_dataset": "DATA-FORMAT Supervisely",
    "synthetic_dataset": "folder",
    "synthia_dataset/rand": "masks",
    "synthia_dataset/rand_custom_labelmap": "masks",
    "tf_detection_api_dataset": "DATA-FORMAT TF detection records",
    "vgg_face2_dataset": "DATA-FORMAT VGGFace2",
    "voc_dataset/voc_dataset1": "voc",
    "voc_dataset/voc_dataset2": "voc",
    "voc_dataset/voc_dataset3": "voc",
    "vott_csv_dataset/dataset": "table",
    "vott_json_dataset/dataset": "DATA-FORMAT VoTT JSON",
    "widerface_dataset": "DATA-FORMAT WIDER FACE",
    "yolo_dataset/annotations": "yolo",
    "yolo_dataset/labels": "yolo",
    "yolo_dataset/strict": "yolo",
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_opens_or_is_named(layout, shared_data, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    code, _, name = LAYOUTS[layout].partition(" ")
    path = shared_data / "formats/annotation_formats" / layout
    if code in CODES:
        with pytest.raises(DataError) as caught:
            open_dataset(path)
        assert caught.value.code == code and name in caught.value.got and caught.value.fix
    else:
        dataset = open_dataset(path)
        assert dataset.format == code and dataset.reason
        assert not [p for p in dataset.problems if p.severity == "fatal"]


def test_every_small_set_is_in_the_table(shared_data):
    folders = {path.name for path in (shared_data / "formats/annotation_formats").iterdir() if path.is_dir()}
    assert folders == {layout.partition("/")[0] for layout in LAYOUTS}


def test_no_label_of_any_real_set_is_missed(shared_data):
    """Every folder of the shared data with labels has a row above; the others have none."""
    without = {"fonts", "formats/annotation_formats", "formats/exif_orientation", "formats/pillow"}
    folders = {f"{a.name}/{b.name}" for a in shared_data.iterdir() if a.is_dir() and a.name != "fonts" for b in a.iterdir() if b.is_dir()} | {"fonts"}
    assert folders - without == {"/".join(row.folder.split("/")[:2]) for row in REAL}
