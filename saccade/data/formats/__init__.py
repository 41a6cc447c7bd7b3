"""The layouts of data sets that are recognised: one file each, and the table of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from saccade.data.dataset import ImageDataset
from saccade.data.formats import (
    captions,
    coco,
    coco_save,
    createml,
    cvat,
    cvat_save,
    deeplabcut,
    deeplabcut_save,
    depth,
    detection_text,
    documents,
    dots,
    folder,
    folder_write,
    graphs,
    graphs_write,
    idx,
    idx_write,
    images,
    kitti,
    kitti_save,
    label_studio,
    label_studio_write,
    labelme,
    labelme_write,
    labelme_xml,
    masks,
    masks_write,
    pairs,
    pairs_write,
    sequences,
    sequences_write,
    sounds,
    table,
    table_write,
    vectors,
    voc,
    voc_save,
    yolo,
    yolo_save,
)
from saccade.data.formats.pictures import Pictures
from saccade.data.formats.source import Found, Source
from saccade.errors import Problem


class Format(NamedTuple):
    """One layout: `detect` gives what it recognised, or None; `load` makes the records of that; `wants` says what was looked for.

    asked: it fits nearly anything, and is tried only when it is asked for. save: writes a data set in this layout, None when it is
    only read: (dataset, folder, pictures) -> what the layout could not hold, as problems LOSS-*. holds: the heads it can hold.
    """

    detect: Callable[[Source], Any]
    load: Callable[[Source, Any], Found]
    wants: str
    asked: bool = False
    save: Callable[[ImageDataset, Path, Pictures], list[Problem]] | None = None
    holds: frozenset[str] = frozenset()


FORMATS: Mapping[str, Format] = MappingProxyType(
    {  # in the order they are tried: with two layouts in one folder the table wins
        "deeplabcut": Format(deeplabcut.detect, deeplabcut.load, "DeepLabCut's CollectedData_*.csv", save=deeplabcut_save.save, holds=deeplabcut_save.HOLDS),
        "flickr": Format(
            captions.detect_flickr,
            captions.load_flickr,
            "sentences as text (name.jpg#0, a tab, a sentence)",
            save=captions.save_flickr,
            holds=captions.HOLDS,
        ),
        "vectors": Format(vectors.detect, vectors.load, "vectors (a CSV with columns of numbers alone but label, id, split; a .npy of n x d numbers)"),
        "documents": Format(
            documents.detect, documents.load, "documents to be counted as words (.txt files in class folders or not, a table with a column text)"
        ),
        "table": Format(
            table.detect,
            table.load,
            "a .csv, .tsv or .txt table with a path column and labels (classes, lists, numbers, points, boxes, captions)",
            save=table_write.save,
            holds=table_write.HOLDS,
        ),
        "karpathy": Format(
            captions.detect_karpathy,
            captions.load_karpathy,
            "Karpathy's JSON (images with sentences)",
            save=captions.save_karpathy,
            holds=captions.HOLDS,
        ),
        "coco": Format(coco.detect, coco.load, "COCO JSON (images, annotations, categories)", save=coco_save.save, holds=coco_save.HOLDS),
        "label_studio": Format(
            label_studio.detect, label_studio.load, "a JSON export of Label Studio", save=label_studio_write.save, holds=label_studio_write.HOLDS
        ),
        "createml": Format(createml.detect, createml.load, "CreateML's JSON", save=createml.save, holds=createml.HOLDS),
        "labelme_xml": Format(labelme_xml.detect, labelme_xml.load, "LabelMe XML files"),
        "detection_text": Format(detection_text.detect, detection_text.load, "boxes as text in ground-truth/, without images"),
        "labelme": Format(labelme.detect, labelme.load, "LabelMe JSON files beside the images", save=labelme_write.save, holds=labelme_write.HOLDS),
        "cvat": Format(cvat.detect, cvat.load, "CVAT XML for images or videos", save=cvat_save.save, holds=cvat_save.HOLDS),
        "kitti": Format(kitti.detect, kitti.load, "KITTI object files in label_2", save=kitti_save.save, holds=kitti_save.HOLDS),
        "voc": Format(
            voc.detect,
            voc.load,
            "Pascal VOC (Annotations/*.xml or XML files beside the images, ImageSets, SegmentationClass)",
            save=voc_save.save,
            holds=voc_save.HOLDS,
        ),
        "yolo": Format(
            yolo.detect, yolo.load, "YOLO text files (images/ and labels/, data.yaml, obj.names, classes.txt)", save=yolo_save.save, holds=yolo_save.HOLDS
        ),
        "sequences": Format(
            sequences.detect, sequences.load, "sequences as JSON lines (id, frames, tags)", save=sequences_write.save, holds=sequences_write.HOLDS
        ),
        "sounds": Format(sounds.detect, sounds.load, "one folder of .wav files a class, perhaps inside train, val and test"),
        "graphs": Format(
            graphs.detect, graphs.load, "scene graphs, regions or captions as JSON lines (image, objects)", save=graphs_write.save, holds=graphs_write.HOLDS
        ),
        "idx": Format(
            idx.detect, idx.load, "IDX files in pairs (train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz)", save=idx_write.save, holds=idx_write.HOLDS
        ),
        "pairs": Format(
            pairs.detect, pairs.load, "pairs of pictures (input/ and target/, A/ and B/, lr/ and hr/)", save=pairs_write.save_images, holds=frozenset({"image"})
        ),
        "masks": Format(
            masks.detect,
            masks.load,
            "images with masks beside them (images/ and masks/, x.png and x_mask.png, a mask file an object)",
            save=masks_write.save,
            holds=masks_write.HOLDS,
        ),
        "dots": Format(dots.detect, dots.load, "images with dots as pixels (x.png and x_dots.png)", save=pairs_write.save_dots, holds=frozenset({"points"})),
        "depth": Format(depth.detect, depth.load, "colour and depth (color/ and depth/)", save=pairs_write.save_depth, holds=frozenset({"depth"})),
        "folder": Format(
            folder.detect, folder.load, "one folder of images a class, perhaps inside train, val and test", save=folder_write.save, holds=folder_write.HOLDS
        ),
        "images": Format(images.detect, images.load, "images without labels", asked=True),
    }
)
