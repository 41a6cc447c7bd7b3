"""Malformed label files: each a small folder with one fault, and the code and severity by which it must be named.

Every folder has three images, two of them labelled without fault, so that one can see that the rest is still used.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.json_files import SIZE, pictures

W, H = SIZE
IMAGES = ("a.png", "b.png", "c.png")


class Fault(NamedTuple):
    """kind: the format. code "": nothing is wrong, all three images open. used: images that have a record after opening."""

    kind: str
    name: str
    files: dict[str, str | bytes]
    code: str
    severity: str = "error"
    used: int = 2


# COCO (B1, B2, B3, B4, B8, B9) -----------------------------------------------------------------------------------


def page() -> dict[str, Any]:
    boxes = [[1, 2, 10, 12], [3, 4, 20, 10], [5, 6, 15, 14]]
    return {
        "images": [{"id": i + 1, "file_name": name, "width": W, "height": H} for i, name in enumerate(IMAGES)],
        "annotations": [{"id": i + 1, "image_id": i + 1, "category_id": 1, "bbox": b, "area": b[2] * b[3], "iscrowd": 0} for i, b in enumerate(boxes)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }


def changed(change: Callable[[dict[str, Any]], Any]) -> str:
    held = page()
    change(held)
    return json.dumps(held)


def first(**fields: Any) -> Callable[[dict[str, Any]], None]:
    """Sets fields of the first annotation; ... takes one away."""

    def change(held: dict[str, Any]) -> None:
        for name, value in fields.items():
            if value is ...:
                held["annotations"][0].pop(name)
            else:
                held["annotations"][0][name] = value

    return change


def picture(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda held: held["images"][0].update(fields)


def doubled(held: dict[str, Any], table: str, **fields: Any) -> None:
    held[table].append({**copy.deepcopy(held[table][0]), **fields})


def key_points(*values: Any, names: int = 2) -> Callable[[dict[str, Any]], None]:
    def change(held: dict[str, Any]) -> None:
        for each in held["categories"]:
            each |= {"keypoints": ["nose", "tail"][:names], "skeleton": []}
        for each in held["annotations"]:
            each["keypoints"] = [6, 7, 2, 8, 9, 1][: 3 * names]
        held["annotations"][0]["keypoints"] = list(values)

    return change


RING = [1, 2, 10, 2, 10, 12]
COCO: tuple[tuple[str, Callable[[dict[str, Any]], Any], str, str, int], ...] = (
    ("an image that is not there", picture(file_name="lost.png"), "IMG-MISSING", "error", 2),
    ("an image without a file name", lambda p: p["images"][0].pop("file_name"), "ANN-FIELD", "error", 2),
    ("a path that leaves the folder", picture(file_name="../lost.png"), "ANN-PATH", "error", 2),
    ("an absolute path of nothing", picture(file_name="/nowhere/lost.png"), "ANN-PATH", "error", 2),
    ("an unknown image id", first(image_id=99), "ANN-REF", "error", 3),
    ("an unknown category", first(category_id=99), "ANN-REF", "error", 2),
    ("a category that is text", first(category_id="1"), "ANN-REF", "error", 2),
    ("an annotation id twice", lambda p: doubled(p, "annotations", bbox=[2, 2, 5, 5], area=25), "ANN-ID", "warn", 3),
    ("an image id twice", lambda p: doubled(p, "images", file_name="other.png"), "ANN-ID", "error", 2),
    ("a file name twice", lambda p: doubled(p, "images", id=9), "ANN-DUP", "warn", 3),
    ("a category id twice", lambda p: doubled(p, "categories", name="ape"), "ANN-CLASS", "fatal", 0),
    ("a category name twice", lambda p: doubled(p, "categories", id=9), "ANN-CLASS", "fatal", 0),
    ("a category without a name", lambda p: p["categories"][0].pop("name"), "ANN-COCO", "fatal", 0),
    ("no categories", lambda p: p.update(categories=[]), "ANN-REF", "error", 0),
    ("images that are an object", lambda p: p.update(images={}), "ANN-COCO", "fatal", 0),
    ("annotations that are null", lambda p: p.update(annotations=None), "ANN-COCO", "fatal", 0),
    ("an annotation that is a list", lambda p: p["annotations"].append([1]), "ANN-FIELD", "error", 3),
    ("a box of three numbers", first(bbox=[1, 2, 3]), "ANN-FIELD", "error", 2),
    ("a box of text", first(bbox=["1", 2, 3, 4]), "ANN-FIELD", "error", 2),
    ("a box of null", first(bbox=[None, 2, 3, 4]), "ANN-FIELD", "error", 2),
    ("a box of true", first(bbox=[True, 2, 3, 4]), "ANN-FIELD", "error", 2),
    ("a negative width", first(bbox=[9, 2, -3, 4]), "ANN-BOX-NEGATIVE", "error", 2),
    ("no width", first(bbox=[9, 2, 0, 4]), "ANN-BOX-SMALL", "warn", 3),
    ("a billionth of a pixel", first(bbox=[9, 2, 1e-9, 4]), "ANN-BOX-SMALL", "warn", 3),
    ("a box over the edge", first(bbox=[30, 2, 20, 4]), "ANN-BOX-CLIP", "fixed", 3),
    ("a box outside", first(bbox=[300, 2, 20, 4]), "ANN-BOX-OUT", "error", 2),
    ("a box as large as the world", first(bbox=[1, 2, 1e308, 1e308]), "ANN-BOX-CLIP", "fixed", 3),
    ("the same object twice", lambda p: doubled(p, "annotations", id=9), "ANN-BOX-DUP", "warn", 3),
    ("an area of another box", first(area=9000), "ANN-AREA", "warn", 3),
    ("run lengths too short", first(segmentation={"size": [H, W], "counts": [5, 5]}), "ANN-RLE", "error", 2),
    ("run lengths too long", first(segmentation={"size": [H, W], "counts": [5, 5, 9000]}), "ANN-RLE", "error", 2),
    ("a negative run length", first(segmentation={"size": [H, W], "counts": [-5, 1205]}), "ANN-RLE", "error", 2),
    ("a run length of text", first(segmentation={"size": [H, W], "counts": ["5", 1195]}), "ANN-RLE", "error", 2),
    ("a run length with a fraction", first(segmentation={"size": [H, W], "counts": [4.5, 1195.5]}), "ANN-RLE", "error", 2),
    ("run lengths of the other size", first(segmentation={"size": [W, H], "counts": [5, 1195]}), "ANN-RLE", "error", 2),
    ("a compressed string cut short", first(segmentation={"size": [H, W], "counts": "5b"}), "ANN-RLE", "error", 2),
    ("a compressed string of rubbish", first(segmentation={"size": [H, W], "counts": "\x01é~"}), "ANN-RLE", "error", 2),
    ("10^18 pixels of run lengths", first(segmentation={"size": [10**9, 10**9], "counts": [0, 10**18]}), "ANN-RLE", "error", 2),
    ("a polygon of two points", first(segmentation=[[1, 1, 2, 2]]), "ANN-POLYGON", "error", 2),
    ("a polygon of odd length", first(segmentation=[[1, 1, 2, 2, 3, 3, 4]]), "ANN-POLYGON", "error", 2),
    ("an empty polygon", first(segmentation=[[]]), "ANN-POLYGON", "error", 2),
    ("a polygon of text", first(segmentation=[[1, 1, "2", 2, 3, 3]]), "ANN-POLYGON", "error", 2),
    ("a polygon far away", first(segmentation=[[1, 1, 1e12, 2, 3, 3]]), "ANN-POLYGON", "error", 2),
    ("a segmentation that is a number", first(segmentation=7), "ANN-FIELD", "error", 2),
    ("three numbers for two key points", key_points(6, 7, 2), "ANN-FIELD", "error", 2),
    ("key points of text", key_points("6", 7, 2, 8, 9, 1), "ANN-FIELD", "error", 2),
    ("a visibility of 7", key_points(6, 7, 7, 8, 9, 1), "ANN-FIELD", "error", 2),
    ("an unlabelled point with a place", key_points(6, 7, 0, 8, 9, 1), "KEY-VISIBLE", "warn", 3),
)
COCO_FINE: tuple[tuple[str, Callable[[dict[str, Any]], Any]], ...] = (
    ("segmentation null", first(segmentation=None)),
    ("no area", first(area=...)),
    ("a box that is the whole image", first(bbox=[0, 0, W, H], area=W * H)),
    ("a self-crossing polygon", first(segmentation=[[1, 2, 11, 14, 11, 2, 1, 14]])),
    ("a ring the other way round", first(segmentation=[[1, 2, 1, 14, 11, 14, 11, 2]])),
)


def coco() -> Iterator[Fault]:
    for name, change, code, severity, used in COCO:
        yield Fault("coco", name, {"labels.json": changed(change)}, code, severity, used)
    for name, change in COCO_FINE:
        yield Fault("coco", name, {"labels.json": changed(change)}, "", "", 3)


# JSON (B8) -------------------------------------------------------------------------------------------------------


def json_faults() -> Iterator[Fault]:
    text = json.dumps(page())
    box = '"bbox": [1, 2, 10, 12]'
    broken: dict[str, str | bytes] = {
        "NaN": text.replace(box, '"bbox": [NaN, 2, 10, 12]'),
        "Infinity": text.replace(box, '"bbox": [1, 2, Infinity, 12]'),
        "1e999": text.replace(box, '"bbox": [1, 2, 1e999, 12]'),
        "an integer of 5000 digits": text.replace(box, f'"bbox": [{"9" * 5000}, 2, 10, 12]'),
        "a key twice": text.replace(box, f"{box}, {box}"),
        "nested too deep": text.replace(box, f'"bbox": {"[" * 100}{"]" * 100}'),
        "rubbish behind the end": text + "]",
        "cut short": text[: len(text) // 2],
        "a lone surrogate": text.replace('"cat"', '"c\\ud800t"'),
        "Latin-1": text.replace('"cat"', '"kätze"').encode("latin-1"),
        "a comma too many": text.replace("]}", ",]}"),
        "a comment": text.replace('{"images"', '{/* x */"images"'),
    }
    for name, content in broken.items():
        yield Fault("json", name, {"labels.json": content}, "ANN-JSON", "fatal", 0)
    yield Fault("json", "UTF-16", {"labels.json": text.encode("utf-16")}, "DATA-FORMAT", "fatal", 0)
    yield Fault("json", "a byte order mark", {"labels.json": b"\xef\xbb\xbf" + text.encode()}, "", "", 3)
    yield Fault("json", "NUL in a name", {"labels.json": text.replace('"a.png"', '"a\\u0000.png"')}, "IMG-MISSING", "error", 2)


# YOLO (B5) -------------------------------------------------------------------------------------------------------

ROW = "0 0.5 0.5 0.25 0.25\n"
BOMB = "".join(f"a{i}: &a{i} [{f'*a{i - 1}, ' * 9 if i else 'x'}]\n" for i in range(30)) + "names: *a29\n"
YAML = "names: [cat, dog]\nnc: 2\ntrain: images\n"


def yolo() -> Iterator[Fault]:
    def rows(text: str | bytes, yaml: str = YAML) -> dict[str, str | bytes]:
        return {"labels/a.txt": text, "labels/b.txt": ROW, "labels/c.txt": ROW, "data.yaml": yaml}

    for name, text, code, severity, used in (
        ("a class beyond the list", "2 0.5 0.5 0.25 0.25\n", "ANN-CLASS", "fatal", 2),
        ("a negative class", "-1 0.5 0.5 0.25 0.25\n", "ANN-CLASS", "fatal", 2),
        ("a class with a fraction", "0.5 0.5 0.5 0.25 0.25\n", "ANN-CLASS", "fatal", 2),
        ("a class of text", "cat 0.5 0.5 0.25 0.25\n", "ANN-ROW", "error", 2),
        ("four columns", "0 0.5 0.5 0.25\n", "ANN-ROW", "error", 2),
        ("pixels", "0 20 15 10 10\n", "ANN-SHARE", "error", 2),
        ("a comma for a point", "0 0,5 0,5 0,25 0,25\n", "ANN-ROW", "error", 2),
        ("nan", "0 nan 0.5 0.25 0.25\n", "ANN-NUMBER", "error", 2),
        ("inf", "0 0.5 0.5 inf 0.25\n", "ANN-NUMBER", "error", 2),
        ("a negative width", "0 0.5 0.5 -0.25 0.25\n", "ANN-BOX-NEGATIVE", "error", 2),
        ("boxes and outlines", ROW + "1 0.1 0.1 0.5 0.1 0.5 0.5\n", "ANN-MIXED", "note", 3),
        ("NUL bytes", "0 0.5 0.5 0.25 0.25\0\n", "ANN-ROW", "error", 2),
        ("the same row twice", ROW + ROW, "ANN-BOX-DUP", "warn", 3),
        ("tabs and CRLF", ROW.replace(" ", "\t").replace("\n", "\r\n"), "", "", 3),
        ("a byte order mark", b"\xef\xbb\xbf" + ROW.encode(), "", "", 3),
        ("no rows", "", "", "", 3),
    ):
        yield Fault("yolo", name, rows(text), code, severity, used)
    yield Fault("yolo", "no label file", {"labels/b.txt": ROW, "labels/c.txt": ROW, "data.yaml": YAML}, "ANN-NOFILE", "note", 3)
    yield Fault("yolo", "a label file without an image", {**rows(ROW), "labels/d.txt": ROW}, "ANN-ORPHAN", "warn", 3)
    yield Fault("yolo", "fewer names than nc", rows(ROW, "names: [cat, dog]\nnc: 3\n"), "ANN-CLASS", "fatal", 0)
    yield Fault("yolo", "a name twice", rows(ROW, "names: [cat, cat]\n"), "ANN-CLASS", "fatal", 0)
    yield Fault("yolo", "a path that leaves the folder", rows(ROW, YAML + "test: ../../elsewhere\n"), "ANN-PATH", "warn", 3)
    yield Fault("yolo", "a yaml object", rows(ROW, "names: !!python/object/apply:os.getcwd []\n"), "ANN-YAML", "fatal", 0)
    yield Fault("yolo", "yaml anchors that grow", rows(ROW, BOMB), "ANN-YAML", "fatal", 0)
    yield Fault("yolo", "names that look like truth", rows(ROW, "names: {0: no, 1: on}\n"), "", "", 3)


# Pascal VOC (B6) -------------------------------------------------------------------------------------------------


def xml(inner: str = "", size: str = f"<size><width>{W}</width><height>{H}</height><depth>3</depth></size>", name: str = "a.png") -> str:
    return f"<annotation><folder>x</folder><filename>{name}</filename>{size}{inner}</annotation>"


def thing(box: str, name: str = "cat") -> str:
    corners = "".join(f"<{tag}>{value}</{tag}>" for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), box.split(), strict=False))
    return f"<object><name>{name}</name><bndbox>{corners}</bndbox></object>"


def voc() -> Iterator[Fault]:
    good = {"b.xml": xml(thing("2 3 20 20"), name="b.png"), "c.xml": xml(thing("4 3 20 20", "dog"), name="c.png")}
    many = "".join(f'<!ENTITY x{i} "{f"&x{i - 1};" * 10}">' for i in range(1, 12))
    declared = {
        "a billion laughs": f'<!DOCTYPE a [<!ENTITY x0 "ha">{many}]>',
        "quadratic growth": f'<!DOCTYPE a [<!ENTITY x "{"y" * 50_000}">]>',
        "an entity of a file": '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        "an entity of the network": '<!DOCTYPE a [<!ENTITY x SYSTEM "http://127.0.0.1:9/x">]>',
        "a parameter entity": '<!DOCTYPE a [<!ENTITY % x SYSTEM "file:///etc/passwd"> %x;]>',
        "an external definition": '<!DOCTYPE a SYSTEM "file:///etc/passwd">',
    }
    for name, text in declared.items():
        yield Fault("voc", name, {**good, "a.xml": text + xml(thing("2 3 20 20"))}, "ANN-XML", "fatal")
    for name, text, code, severity, used in (
        ("nested too deep", xml("<x>" * 100 + "</x>" * 100 + thing("2 3 20 20")), "ANN-XML", "fatal", 2),
        ("not well-formed", xml(thing("2 3 20 20"))[:-5], "ANN-UNREADABLE", "error", 2),
        ("an empty file", "", "ANN-UNREADABLE", "error", 2),
        ("a number of text", xml(thing("two 3 20 20")), "ANN-NUMBER", "error", 2),
        ("nan", xml(thing("nan 3 20 20")), "ANN-NUMBER", "error", 2),
        ("three corners", xml(thing("2 3 20")), "ANN-FIELD", "error", 2),
        ("corners exchanged", xml(thing("20 3 2 20")), "ANN-BOX-NEGATIVE", "error", 2),
        ("outside", xml(thing("90 90 95 95")), "ANN-BOX-OUT", "error", 2),
        ("an object without a name", xml(thing("2 3 20 20", "")), "ANN-FIELD", "error", 2),
        ("an object without a box", xml("<object><name>cat</name></object>"), "ANN-FIELD", "error", 2),
        ("an invalid character", xml(thing("2 3 20 20", "c\x01t")), "ANN-UNREADABLE", "error", 2),
        ("no size", xml(thing("2 3 20 20"), ""), "", "", 3),
        ("numbers with a fraction", xml(thing("2.5 3.5 20.25 20.75")), "", "", 3),
        ("another file name", xml(thing("2 3 20 20"), name="renamed.png"), "", "", 3),
    ):
        yield Fault("voc", name, {**good, "a.xml": text}, code, severity, used)
    for name, encoding in (("UTF-16", "utf-16"), ("declared Latin-1", "latin-1")):
        text = f'<?xml version="1.0" encoding="{encoding}"?>' + xml(thing("2 3 20 20", "kätze"))
        yield Fault("voc", name, {**good, "a.xml": text.encode(encoding)}, "", "", 3)


# CSV (B7) --------------------------------------------------------------------------------------------------------


def table() -> Iterator[Fault]:
    text = "path,label\na.png,cat\nb.png,dog\nc.png,Mäuse\n"
    for encoding in ("utf-16", "latin-1"):
        yield Fault("table", encoding, {"t.csv": text.encode(encoding)}, "ANN-ENCODING", "note", 3)
    for name, content, code, severity, used in (
        ("UTF-8 with a mark", b"\xef\xbb\xbf" + text.encode(), "", "", 3),
        ("semicolons", text.replace(",", ";"), "", "", 3),
        ("tabs", text.replace(",", "\t"), "", "", 3),
        ("a line end in quotes", text.replace("Mäuse", '"two\nlines"'), "", "", 3),
        ("a very long cell", text.replace("Mäuse", "x" * 100_000), "", "", 3),
        ("a cell of 200 kB", text.replace("Mäuse", "x" * 200_000), "ANN-UNREADABLE", "fatal", 0),
        ("a NUL", text.replace("Mäuse", "c\0t"), "ANN-ROW", "error", 2),
        ("a short row", text.replace("c.png,Mäuse", "c.png"), "ANN-ROW", "error", 2),
        ("a long row", text.replace("c.png,Mäuse", "c.png,a,b,c"), "ANN-ROW", "error", 2),
        ("an empty label", text.replace("Mäuse", ""), "ANN-EMPTY", "warn", 3),
        ("a row twice", text + "a.png,cat\n", "ANN-DUP", "warn", 3),
        ("two labels", text + "a.png,dog\n", "ANN-CONFLICT", "error", 2),
        ("a path that leaves the folder", text + "../x.png,dog\n", "ANN-PATH", "error", 3),
        ("an image that is not there", text + "lost.png,dog\n", "IMG-MISSING", "error", 3),
        ("a quote that is never closed", text.replace("cat", '"cat'), "ANN-UNREADABLE", "fatal", 0),
        ("another split", "path,label,split\na.png,cat,train\nb.png,dog,train\nc.png,cat,exam\n", "ANN-SPLIT", "fatal", 2),
    ):
        yield Fault("table", name, {"t.csv": content}, code, severity, used)


# CVAT, KITTI, DeepLabCut ------------------------------------------------------------------------------------------


def shapes(inner: str, name: str = "a.png", number: int = 0) -> str:
    return f'<image id="{number}" name="{name}" width="{W}" height="{H}">{inner}</image>'


def rectangle(box: str = "2 3 20 20", label: str = "cat") -> str:
    sides = " ".join(f'{side}="{value}"' for side, value in zip(("xtl", "ytl", "xbr", "ybr"), box.split(), strict=False))
    return f'<box label="{label}" occluded="0" {sides}/>'


def cvat() -> Iterator[Fault]:
    rest = shapes(rectangle(), "b.png", 1) + shapes(rectangle(label="dog"), "c.png", 2)

    def file(inner: str, before: str = "") -> dict[str, str | bytes]:
        return {"annotations.xml": f"{before}<annotations><version>1.1</version>{inner}{rest}</annotations>"}

    for name, inner, code, severity, used in (
        ("a number of text", rectangle("two 3 20 20"), "ANN-NUMBER", "error", 2),
        ("a side that is missing", rectangle("2 3 20"), "ANN-FIELD", "error", 2),
        ("corners exchanged", rectangle("20 3 2 20"), "ANN-BOX-NEGATIVE", "error", 2),
        ("outside", rectangle("90 90 95 95"), "ANN-BOX-OUT", "error", 2),
        ("two corners", '<polygon label="cat" points="1,1;2,2"/>', "ANN-POLYGON", "error", 2),
        ("a polygon of text", '<polygon label="cat" points="1,1;x,2;3,3"/>', "ANN-NUMBER", "error", 2),
        ("run lengths too short", '<mask label="cat" rle="5, 5" left="0" top="0" width="9" height="9"/>', "ANN-MASK", "error", 2),
        ("10^12 pixels of run lengths", '<mask label="cat" rle="1000000000000" left="0" top="0" width="1000000" height="1000000"/>', "ANN-MASK", "error", 2),
    ):
        yield Fault("cvat", name, file(shapes(inner)), code, severity, used)
    yield Fault("cvat", "a DOCTYPE", file(shapes(rectangle()), '<!DOCTYPE a [<!ENTITY x "y">]>'), "ANN-XML", "fatal", 0)
    yield Fault("cvat", "an image that is not there", file(shapes(rectangle(), "lost.png")), "IMG-MISSING", "error", 2)


CAR = "Car 0.00 0 1.50 2.00 3.00 20.00 20.00 1.50 1.60 3.70 1.80 1.50 8.40 0.01\n"
CAMERA = "P0: 30 0 20 0 0 30 15 0 0 0 1 0\nP1: 30 0 20 0 0 30 15 0 0 0 1 0\nP2: 30 0 20 4 0 30 15 0 0 0 1 0\nP3: 30 0 20 0 0 30 15 0 0 0 1 0\n"


def kitti() -> Iterator[Fault]:
    def rows(text: str, camera: str | None = CAMERA) -> dict[str, str | bytes]:
        files: dict[str, str | bytes] = {f"label_2/{name}.txt": CAR for name in "bc"} | {f"calib/{name}.txt": CAMERA for name in "bc"}
        return {**files, "label_2/a.txt": text, **({} if camera is None else {"calib/a.txt": camera})}

    for name, text, camera, code, used in (
        ("a short row", "Car 0.00 0 1.50 2.00\n", CAMERA, "ANN-ROW", 2),
        ("a number of text", CAR.replace("20.00", "twenty", 1), CAMERA, "ANN-ROW", 2),
        ("a yaw that is nan", CAR.replace("0.01", "nan"), CAMERA, "ANN-SPACE", 2),
        ("a negative length", CAR.replace("3.70", "-3.70"), CAMERA, "ANN-SPACE", 2),
        ("no calibration", CAR, None, "ANN-CAMERA", 2),
        ("a calibration without the camera", CAR, "P0: 1 2 3\n", "ANN-CAMERA", 2),
        ("a calibration of text", CAR, CAMERA.replace("30", "x"), "ANN-CAMERA", 2),
    ):
        yield Fault("kitti", name, rows(text, camera), code, "error", used)


def deeplabcut() -> Iterator[Fault]:
    head = "scorer,x,x,x,x\nbodyparts,nose,nose,tail,tail\ncoords,x,y,x,y\n"
    rest = "b.png,1,2,3,4\nc.png,5,6,7,8\n"
    for name, text, code, severity, used in (
        ("a coordinate of text", head + "a.png,1,two,3,4\n" + rest, "ANN-NUMBER", "error", 2),
        ("half a point", head + "a.png,1,,3,4\n" + rest, "ANN-NUMBER", "error", 2),
        ("a short row", head + "a.png,1,2,3\n" + rest, "ANN-ROW", "error", 2),
        ("an image that is not there", head + "lost.png,1,2,3,4\n" + rest, "IMG-MISSING", "error", 2),
        ("a point outside", head + "a.png,100,2,3,4\n" + rest, "ANN-POINT-OUT", "error", 2),
        ("a header of two parts that do not match", head.replace("y,x,y", "x,x,y") + "a.png,1,2,3,4\n" + rest, "ANN-COLUMNS", "fatal", 0),
    ):
        yield Fault("deeplabcut", name, {"CollectedData_x.csv": text}, code, severity, used)


# captions (B9) ---------------------------------------------------------------------------------------------------


def captions() -> Iterator[Fault]:
    def file(text: Any) -> dict[str, str | bytes]:
        held = page()
        held.pop("categories")
        held["annotations"] = [{"id": i + 1, "image_id": i + 1, "caption": "a cat"} for i in range(3)]
        held["annotations"][0]["caption"] = text
        return {"captions.json": json.dumps(held)}

    for name, text, code, severity, used in (
        ("an empty sentence", "", "TEXT-EMPTY", "warn", 3),
        ("100,000 characters", "word " * 20_000, "TEXT-LONG", "warn", 3),
        ("characters that turn the direction", "a \u202ecat", "TEXT-CONTROL", "warn", 3),
        ("control characters", "a \x07cat", "TEXT-CONTROL", "warn", 3),
        ("a number for a sentence", 7, "ANN-FIELD", "error", 2),
    ):
        yield Fault("captions", name, file(text), code, severity, used)


FAULTS: tuple[Fault, ...] = (
    *coco(),
    *json_faults(),
    *yolo(),
    *voc(),
    *table(),
    *cvat(),
    *kitti(),
    *deeplabcut(),
    *captions(),
)


def write(fault: Fault, root: Path) -> Path:
    """Makes the folder of a fault."""
    folder = {"yolo": "images/", "kitti": "image_2/"}.get(fault.kind, "")
    pictures(root, *(folder + name for name in IMAGES))
    for name, content in fault.files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    return root
