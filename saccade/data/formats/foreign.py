"""Layouts that are known and not read, so that one can say which it is and what to do: a table of signatures, looked up when no format fits.

A signature looks at names first and at the first bytes of a few files; nothing is parsed, and no pickle is opened. Most are looked for before
the folder of classes is tried, which nearly any layout with images would pass for; a few before all formats, whose parts would pass for
something else; and signs that may lie about in any folder (an array, a film) when nothing fits.
"""

from __future__ import annotations

import os
import re
from typing import Literal, NamedTuple

from saccade.data.formats.source import Source
from saccade.errors import DataError

MOST = 50_000
"""Files whose names are looked at."""
_HEADS = 3  # files of a name whose beginning is looked at

_DATUMARO = "pip install 'saccade[formats]' and open it with --format datumaro:{0}"
_EXPORT = "export it from the tool as COCO, CVAT or Pascal VOC"
_PICTURES = "write its pictures as PNG, and the labels as a CSV with path,label or as masks beside them"


When = Literal["first", "before folder", "last"]


class Foreign(NamedTuple):
    """One layout: `files` must match a path (relative, with /), `head` the beginning of one of those, `needs` another path; `when`: see above."""

    name: str
    files: str
    advice: str
    head: bytes = b""
    needs: str = ""
    when: When = "before folder"


# fmt: off
FOREIGN: tuple[Foreign, ...] = (
    # data sets
    Foreign("ADE20K (2017)", r"_atr\.txt$", _DATUMARO.format("ade20k2017"), rb"^\d+ # \d+ # ", r"_seg\.png$", "first"),
    Foreign("ADE20K (2020)", r"\.json$", _DATUMARO.format("ade20k2020"), rb'^\s*\{\s*"annotation"\s*:', r"_seg\.png$", "first"),
    Foreign("AVA actions", r"(^|/)ava_[^/]*\.csv$", "cut the people out of the frames into one folder a class, or write a CSV with path,label"),
    Foreign("BraTS volumes", r"BRATS[^/]*\.nii(\.gz)?$", "write the slices of the volumes as PNG, with masks of the same names in masks/"),
    Foreign("CelebA", r"list_attr_(celeba|celebA)\.(txt|csv)$", _DATUMARO.format("celeba") + ", or write a CSV with path and one column an attribute (1, 0)"),
    Foreign("CelebA", r"(identity_CelebA|list_(bbox|landmarks)[a-z_]*celeba)\.(txt|csv)$", "write it as a CSV with path,label"),
    Foreign("CIFAR in Python pickles", r"(^|/)(data_batch_\d|test_batch|batches\.meta|train|test|meta)$",
            "pickles can run code and are not opened; save the pictures as PNG in one folder a class", rb"^\x80[\x02-\x05]"),
    Foreign("DOTA oriented boxes", r"(^|/)(labelTxt[^/]*|[^/]*)/[^/]+\.txt$", _DATUMARO.format("dota"),
            rb"(^|\n)[ \t]*(-?[\d.]+ +){8}[^\d\s]\S* +\d+\s*(\r?\n|$)"),
    Foreign("ICDAR text localization", r"(^|/)gt_[^/]*\.txt$", _DATUMARO.format("icdar_text_localization"),
            rb'^(\xef\xbb\xbf)?\s*-?\d+[, ]+-?\d+[, ]+-?\d+[, ]+-?\d+[, ]'),
    Foreign("ICDAR text segmentation", r"_GT\.txt$", _DATUMARO.format("icdar_text_segmentation"), b"", r"_GT\.(bmp|png)$", "first"),
    Foreign("ICDAR word recognition", r"(^|/)gt\.txt$", 'write a CSV with the columns path and caption', rb'^(\xef\xbb\xbf)?[^,\n]+\.(png|jpg), *"'),
    Foreign("Labeled Faces in the Wild", r"(^|/)(pairs|people)(Dev\w+)?\.txt$", "open its folder of images: one folder a person", rb"^\d+\s"),
    Foreign("Mapillary Vistas", r"(^|/)config(_v[\d.]+)?\.json$", _DATUMARO.format("mapillary_vistas"), rb'"labels"[\s\S]*"readable"|"mapping"', when="first"),
    Foreign("MARS or Market-1501", r"(^|/)bounding_box_(train|test)/|(^|/)bbox_(train|test)/", "put the pictures into one folder a person"),
    Foreign("MOT tracks", r"(^|/)(gt|det)/(gt|det)\.txt$", _DATUMARO.format("mot_seq"), rb"^\d+,-?\d+,"),
    Foreign("MPII human pose", r"mpii_[^/]*\.mat$|mpii_annotations\.json$", _DATUMARO.format("mpii") + ", or take the COCO conversion of MPII"),
    Foreign("Open Images", r"-annotations-(bbox|human-imagelabels|object-segmentation)\.csv$|(^|/)(oidv6-)?class-descriptions[^/]*\.csv$",
            _DATUMARO.format("open_images")),
    Foreign("Open Images", r"images-with-(labels-with-)?rotation\.csv$", _DATUMARO.format("open_images")),
    Foreign("Segment Anything", r"\.json$", _DATUMARO.format("segment_anything"),
            rb'^\s*\{\s*"image"\s*:\s*\{[\s\S]*"(predicted_iou|stability_score|crop_box)"'),
    Foreign("Supervisely", r"(^|/)meta\.json$", _EXPORT, rb'"classes"\s*:', r"(^|/)ann/[^/]+\.json$"),
    Foreign("TF detection records", r"\.tfrecords?(-\d+-of-\d+)?$", _DATUMARO.format("tf_detection_api"), b"", r"label_map\.pbtxt$", when="last"),
    Foreign("TFRecord", r"\.tfrecords?(-\d+-of-\d+)?$", _PICTURES, when="last"),
    Foreign("VGGFace2", r"(^|/)bb_landmark/", "open its train or test folder alone: one folder a person"),
    Foreign("VoTT JSON", r"-export\.json$", _DATUMARO.format("vott_json"), rb'"(videoSettings|activeLearningSettings|securityToken|vottVersion|tags)"\s*:'),
    Foreign("WIDER FACE", r"wider_face_[^/]*_bbx_gt\.txt$", _DATUMARO.format("wider_face")),
    # tools and containers
    Foreign("Datumaro JSON", r"\.json$", _DATUMARO.format("datumaro"),
            rb'^\s*\{[\s\S]*"categories"\s*:\s*\{\s*("label"|"mask"|"points"|\})'),
    Foreign("JSON in UTF-16", r"\.json$", "save it as UTF-8", rb"^(\xff\xfe|\xfe\xff)", when="last"),
    Foreign("pixels in a CSV", r"\.csv$", "write each row as a picture in one folder a class, or as IDX", rb"^\d+(,\d+){100}", when="last"),
    Foreign("WebDataset", r"\.tar$", "unpack the shards, and write the labels as a CSV with path,label", when="last"),
    Foreign("HDF5", r"\.(h5|hdf5|hdf)$", _PICTURES, rb"^\x89HDF\r\n", when="last"),
    Foreign("Parquet", r"\.(parquet|arrow|feather)$", _PICTURES, rb"^(PAR1|ARROW1|FEA1)", when="last"),
    Foreign("DICOM", r"\.dcm$|(^|/)DICOMDIR$", "write the pictures as 16-bit PNG, and the labels as a CSV with path,label"),
    Foreign("NIfTI volumes", r"\.nii(\.gz)?$", "write the slices of the volumes as PNG, with masks of the same names in masks/", when="last"),
    Foreign("MATLAB", r"\.mat$", _PICTURES, when="last"),
    Foreign("NumPy arrays", r"\.np[yz]$", _PICTURES, when="last"),
    Foreign("pickles", r"\.(p|pkl|pickle|pt|pth)$", "pickles can run code and are not opened; save what is in them as PNG and CSV", when="last"),
    Foreign("films", r"\.(mp4|avi|mov|mkv|webm|m4v)$", "take the frames out as pictures", when="last"),
    Foreign("archives", r"\.(zip|tar\.gz|tgz|tar\.bz2|tar\.xz|7z|rar)$", "name the .zip itself as DATA, or unpack the archives", when="last"),
    Foreign("pen strokes", r"(^|/)\d+_\d+\.txt$", "open the pictures of the same drawings", rb"^(START|-?\d+(\.\d+)?,-?\d+(\.\d+)?,-?\d)", when="last"),
)
# fmt: on


class Signs:
    """What is looked for in one folder (or file), whose names are listed once."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.paths = _paths(source)

    def refuse(self, when: When) -> None:
        """Raises DataError DATA-FORMAT when there is the signature of a layout that is not read, of those looked for now."""
        for foreign in FOREIGN:
            if foreign.when == when and (path := _fits(foreign, self.paths, self.source)) is not None:
                where = self.source.root / self.source.only if self.source.only else self.source.root
                raise DataError("DATA-FORMAT", f"this is {foreign.name} ({path}), which is not read", where=str(where), fix=foreign.advice)


def _fits(foreign: Foreign, paths: list[str], source: Source) -> str | None:
    """The path by which a layout is known, None when it is another."""
    files = re.compile(foreign.files, re.IGNORECASE)
    named = (path for path in paths if files.search(path))
    if foreign.needs:
        needed = re.compile(foreign.needs, re.IGNORECASE)
        if not any(needed.search(path) for path in paths):
            return None
    if not foreign.head:
        return next(named, None)
    head = re.compile(foreign.head)
    for path, _ in zip(named, range(_HEADS), strict=False):
        if head.search(source.head(path)):
            return path
    return None


def _paths(source: Source) -> list[str]:
    """The files below the folder, sorted, without following links; a file of many on a large disk is not looked for beyond MOST."""
    if source.only:
        return [source.only]
    found: list[str] = []
    for folder, folders, names in os.walk(source.root):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        inside = os.path.relpath(folder, source.root).replace(os.sep, "/")
        found += [name if inside == "." else f"{inside}/{name}" for name in sorted(names) if not name.startswith(".")]
        if len(found) >= MOST:
            break
    return found[:MOST]
