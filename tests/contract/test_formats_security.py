"""Attacks through label files are refused in a fifth of a second and a hundred megabytes, measured in a process of their own."""

import json
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from saccade.data.formats.label_studio_rle import encode
from tests.support.json_files import pictures
from tests.support.malformed import BOMB, ROW, changed, first, page, rectangle, shapes, thing, xml

MEASURE = """
import json, resource, sys, time
from saccade.data.open import open_dataset
from saccade.errors import SaccadeError
import saccade.data.formats.stored
open_dataset(sys.argv[1])
for path in sys.argv[2:]:
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        dataset = open_dataset(path)
        codes, used = [p.code for p in dataset.problems if p.severity in ("fatal", "error")], [r.id for r in dataset.records]
    except SaccadeError as error:
        codes, used = [error.code], []
    took, memory = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps({"path": path, "codes": codes, "used": used, "seconds": took, "megabytes": memory / 1024}))
"""
HUGE = 10**6  # a side; a plane of 10^12 pixels
LAUGHS = "<!DOCTYPE a [" + '<!ENTITY x0 "ha">' + "".join(f'<!ENTITY x{i} "{f"&x{i - 1};" * 10}">' for i in range(1, 12)) + "]>"
OUTSIDE = "../../../../etc/passwd"


def brush(height: int, width: int, rle: list[int]) -> str:
    value = {"format": "rle", "rle": rle, "brushlabels": ["x"]}
    result = {"type": "brushlabels", "original_height": height, "original_width": width, "value": value}
    return json.dumps([{"data": {"image": "a.png"}, "annotations": [{"result": [result]}]}])


def plane(counts, size=(HUGE, HUGE), image=(HUGE, HUGE)) -> str:
    def change(held):
        held["images"][0] |= {"height": image[0], "width": image[1]}
        held["annotations"][0]["segmentation"] = {"size": list(size), "counts": counts}

    return changed(change)


def labelme(**more) -> str:
    shape = {"label": "x", "points": [[0, 0], [HUGE - 1, HUGE - 1]], "shape_type": "mask", "mask": "aGVsbG8="}
    return json.dumps({"shapes": [shape], "imagePath": "a.png", "imageHeight": HUGE, "imageWidth": HUGE, **more})


def deep(held):
    held["annotations"][0]["bbox"] = json.loads("[" * 500 + "]" * 500)


def member(root, name: str) -> None:
    with zipfile.ZipFile(root / "data.zip", "w") as file:
        file.writestr(name, b"x")


# attack -> the files of a folder (or what makes them), the code that refuses it
ATTACKS = {
    "voc laughs": ({"a.xml": LAUGHS + xml(thing("1 2 9 9"))}, "ANN-XML"),
    "cvat laughs": ({"annotations.xml": LAUGHS + f"<annotations><version>1.1</version>{shapes(rectangle())}</annotations>"}, "ANN-XML"),
    "labelme laughs": ({"a.xml": LAUGHS + "<annotation><filename>a.png</filename><object><deleted>0</deleted></object></annotation>"}, "ANN-XML"),
    "label studio configuration": ({"t.json": brush(30, 40, []), "c.xml": LAUGHS + "<View></View>"}, "ANN-XML"),
    "yaml": ({"data.yaml": BOMB, "labels/a.txt": ROW, "images/a.png": True}, "ANN-YAML"),
    "yaml object": ({"data.yaml": "names: !!python/object/apply:os.system [ls]\n", "labels/a.txt": ROW, "images/a.png": True}, "ANN-YAML"),
    "pickle": ({"data_batch_1": pickle.dumps(print), "meta": pickle.dumps(print)}, "DATA-FORMAT"),
    "nested json": ({"a.json": changed(deep)}, "ANN-JSON"),
    "nested json of a million": ({"a.json": json.dumps(page())[:-1] + ',"x":' + "[" * 1_000_000}, "ANN-JSON"),
    "coco run lengths": ({"a.json": plane([0, HUGE**2])}, "ANN-RLE"),
    "coco run lengths of another image": ({"a.json": plane([0, HUGE**2], image=(30, 40))}, "ANN-RLE"),
    "coco compressed": ({"a.json": plane("0PPPPPPPPPPPPPPPPP0")}, "ANN-RLE"),
    "coco side of 10^300": ({"a.json": plane([0, 10**299], (10**150, 10**149))}, "ANN-RLE"),
    "label studio run lengths": ({"a.json": brush(HUGE, HUGE, [255] * 40)}, "ANN-MASK"),
    "label studio short stream": ({"a.json": brush(16_000, 16_000, [0x3D, 0x09, 0, 0, 0x38, 0x89, 0xBF, 0x80, 0, 0])}, "ANN-MASK"),
    "labelme mask": ({"a.json": labelme()}, "ANN-MASK"),
    "cvat mask": (
        {"annotations.xml": "<annotations>" + shapes(f'<mask label="x" rle="{HUGE**2}" left="0" top="0" width="{HUGE}" height="{HUGE}"/>') + "</annotations>"},
        "ANN-MASK",
    ),
    "coco path": ({"a.json": changed(lambda held: held["images"][0].update(file_name=OUTSIDE))}, "IMG-MISSING"),
    "table path": ({"t.csv": f"path,label\na.png,x\n{OUTSIDE},y\n"}, "ANN-PATH"),
    "labelme path": ({"x.json": labelme(imagePath=OUTSIDE, shapes=[])}, "ANN-PATH"),
    "label studio path": ({"t.json": brush(30, 40, encode(np.ones((30, 40), bool))).replace("a.png", OUTSIDE)}, "ANN-PATH"),
    "createml path": ({"t.json": json.dumps([{"image": OUTSIDE, "annotations": []}])}, "ANN-PATH"),
    "voc path": ({"x.xml": xml(thing("1 2 9 9"), name=OUTSIDE)}, ""),  # a label file without an image, which is a warning
    "cvat path": ({"annotations.xml": "<annotations>" + shapes(rectangle(), OUTSIDE) + "</annotations>"}, "ANN-PATH"),
    "archive path": (lambda root: member(root, OUTSIDE), "ANN-ARCHIVE"),
    "far polygon": ({"a.json": changed(first(segmentation=[[0, 0, 1e11, 0, 1e11, 1e11]]))}, "ANN-POLYGON"),
}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """What the attacks did, by name."""
    root, paths = tmp_path_factory.mktemp("attacks"), {}
    pictures(root / "sound", "cat/a.png", "dog/b.png")
    for name, (files, _) in ATTACKS.items():
        folder = root / name.replace(" ", "_")
        pictures(folder, "a.png")
        if callable(files):
            files(folder)
            paths[name] = str(folder / "data.zip")
            continue
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            if content is True:
                pictures(folder, path)
            else:
                (folder / path).write_bytes(content if isinstance(content, bytes) else content.encode())
        paths[name] = str(folder)
    done = subprocess.run([sys.executable, "-c", MEASURE, str(root / "sound"), *paths.values()], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return dict(zip(paths, rows, strict=True))


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_fast_and_small(name, measured):
    row = measured[name]
    code = ATTACKS[name][1]
    assert code in row["codes"] if code else not row["used"]
    assert "a.png" not in row["used"] or "path" in name
    assert row["seconds"] <= 0.2 and row["megabytes"] <= 100
