"""Images with sentences: Karpathy's JSON files (`dataset_coco.json`) and Flickr's text files (`results_20130124.token`, `results.csv`).

A. Karpathy, L. Fei-Fei, "Deep Visual-Semantic Alignments for Generating Image Descriptions", 2015, with its split of COCO and Flickr;
M. Hodosh, P. Young, J. Hockenmaier, "Framing Image Description as a Ranking Task", 2013 (Flickr8k).
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from saccade import storage
from saccade.core import LabelSpace, Record
from saccade.data.dataset import ImageDataset
from saccade.data.formats.coco_file import shown
from saccade.data.formats.coco_gallery import Places, home
from saccade.data.formats.pictures import Pictures
from saccade.data.formats.source import SPLITS, Found, Source
from saccade.data.formats.strict_json import collector_paused, parse
from saccade.errors import DataError, Problem
from saccade.targets import Caption

HOLDS = frozenset({"caption"})
_PARTS: Mapping[str, str] = {**SPLITS, "restval": "train"}  # what COCO's validation has left is trained on
_TOKEN = re.compile(r"(?P<name>[^\t]*\S)#\d+\t(?P<text>.*)")
_PIPE = re.compile(r"(?P<name>[^|]*[^|\s])\s*\|\s*\d+\s*\|(?P<text>.*)")
_PIPE_HEADER = re.compile(r"\s*image(_name)?\s*\|", re.IGNORECASE)
_PART = re.compile(r"(?:^|[._-])(train|dev|val|test)(?:[._-]?images)?\.txt$", re.IGNORECASE)


# Karpathy ---------------------------------------------------------------------------------------------------------


def detect_karpathy(source: Source) -> str | None:
    """The JSON file whose images have sentences."""
    for path in source.labels(".json"):
        head = source.head(path)
        if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{") and b'"images"' in head and b'"sent' in head:
            return path
    return None


def load_karpathy(source: Source, path: str) -> Found:
    """A record for each image, with its raw sentences. Raises DataError ANN-JSON, ANN-FIELD when the file holds no list of images, IMG-MISSING."""
    with collector_paused():
        root = parse(source.content(path), path)
        entries = root.get("images") if isinstance(root, dict) else None
        if not isinstance(entries, list):
            raise DataError("ANN-FIELD", f"images is {shown(entries)}, expected a list", where=path, fix="export the file again")
        problems: list[Problem] = []
        names, parts, texts, places = [], [], [], []
        for i, entry in enumerate(entries):
            name, part, own, wrong = _entry(entry)
            if wrong:
                problems.append(Problem("ANN-FIELD", f"{path}:images[{i}]", wrong, image=name))
            else:
                names.append(name)
                parts.append(part)
                texts.append(own)
                places.append(f"{path}:images[{i}]")
    return _found(source, path, (names, parts, texts, places), problems, "Karpathy's JSON")


def _entry(entry: Any) -> tuple[str, str | None, list[str], str]:
    """(image, split, sentences, what is wrong) of one image."""
    if not isinstance(entry, dict):
        return "", None, [], f"{shown(entry)}, expected an object"
    name, folder, part, sentences = (entry.get(key) for key in ("filename", "filepath", "split", "sentences"))
    if not isinstance(name, str) or not name or not isinstance(folder, str | None):
        return "", None, [], f"filename is {shown(name)}, filepath is {shown(folder)}, expected text"
    path = f"{folder}/{name}" if folder else name
    if part not in (None, "") and (not isinstance(part, str) or part.lower() not in _PARTS):
        return path, None, [], f"split is {shown(part)}, expected one of {', '.join(_PARTS)}"
    if not isinstance(sentences, list):
        return path, None, [], f"sentences is {shown(sentences)}, expected a list"
    texts = [_raw(sentence) for sentence in sentences]
    wrong = "" if None not in texts else f"sentence {texts.index(None)} is {shown(sentences[texts.index(None)])}, expected an object with raw"
    return path, _PARTS[part.lower()] if isinstance(part, str) and part else None, [text for text in texts if text is not None], wrong


def _raw(sentence: Any) -> str | None:
    """The text of a sentence, put together from its words when they are all there is."""
    if not isinstance(sentence, dict):
        return None
    raw, tokens = sentence.get("raw"), sentence.get("tokens")
    if isinstance(raw, str):
        return raw.strip()
    return " ".join(tokens) if isinstance(tokens, list) and tokens and set(map(type, tokens)) <= {str} else None


def save_karpathy(dataset: ImageDataset, out: Path, pictures: Pictures) -> list[Problem]:
    """Writes `dataset.json`, and the pictures into `images`."""
    entries: list[dict[str, Any]] = []
    number = 0
    for i, record in enumerate(dataset.records):
        folder, _, name = pictures.put(i, "images").rpartition("/")
        caption = dataset.truth(i).get("caption")
        own = [{"raw": text, "tokens": re.findall(r"\w+", text.lower()), "imgid": i, "sentid": number + k} for k, text in enumerate(_texts(caption))]
        number += len(own)
        entry = {"filepath": folder, "filename": name, "imgid": i, "sentids": [s["sentid"] for s in own], "sentences": own}
        entries.append(entry | ({"split": record.split} if record.split else {}))
    storage.atomic_write(out / "dataset.json", json.dumps({"images": entries, "dataset": dataset.name}, ensure_ascii=False).encode())
    return _losses(dataset, 0)


# Flickr -----------------------------------------------------------------------------------------------------------


def detect_flickr(source: Source) -> str | None:
    """The text file whose first line is an image's name with a number, and a sentence."""
    for path in source.labels(".token", ".txt", ".csv"):
        first, _, rest = source.head(path).decode("utf-8", "replace").lstrip("\ufeff").partition("\n")
        second = rest.partition("\n")[0]
        if _TOKEN.fullmatch(first.rstrip("\r")) or _PIPE.fullmatch(first.rstrip("\r")) or (_PIPE_HEADER.match(first) and _PIPE.fullmatch(second.rstrip("\r"))):
            return path
    return None


def load_flickr(source: Source, path: str) -> Found:
    """A record for each image, with its sentences in the order of the file; splits from lists of names beside it (`...trainImages.txt`)."""
    problems: list[Problem] = []
    texts: dict[str, list[str]] = {}
    wheres: dict[str, str] = {}
    for number, line in enumerate(_lines(source, path, problems), 1):
        match = _TOKEN.fullmatch(line) or _PIPE.fullmatch(line)
        if match is not None:
            texts.setdefault(match["name"].strip(), []).append(match["text"].strip())
            wheres.setdefault(match["name"].strip(), f"{path}:{number}")
        elif line.strip() and not (number == 1 and _PIPE_HEADER.match(line)):
            got = f"{line.strip()[:80]}, expected name#number, a tab, and a sentence; the row is left out"
            problems.append(Problem("ANN-ROW", f"{path}:{number}", got, severity="warn"))
    parts = _parts(source, path)
    names = list(texts)
    columns = (names, [parts.get(name, parts.get(posixpath.splitext(name)[0])) for name in names], list(texts.values()), [wheres[name] for name in names])
    return _found(source, path, columns, problems, "Flickr's sentences")


def _lines(source: Source, path: str, problems: list[Problem]) -> list[str]:
    data = source.content(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
        problems.append(Problem("ANN-ENCODING", path, "latin-1"))
    return [line.rstrip("\r") for line in text.split("\n")]


def _parts(source: Source, path: str) -> dict[str, str]:
    """Image name -> split, from the lists of names in the folder of the sentences."""
    found: dict[str, str] = {}
    folder = posixpath.dirname(path)
    for other in Source(source.root).labels(".txt") if source.only else source.labels(".txt"):
        match = _PART.search(other)
        if match and other != path and posixpath.dirname(other) == folder:
            for name in source.content(other).decode("utf-8", "replace").split():
                found.setdefault(name, SPLITS[match[1].lower()])
    return found


def save_flickr(dataset: ImageDataset, out: Path, pictures: Pictures) -> list[Problem]:
    """Writes `captions.token`, the names of each split in `captions.trainImages.txt` and its like, and the pictures into `images`.

    What the layout cannot hold: images without sentences, and breaks inside of a sentence.
    """
    rows: list[str] = []
    parts: dict[str, list[str]] = {}
    lost = 0
    for i, record in enumerate(dataset.records):
        name = pictures.put(i, "images") if pictures.how == "none" else posixpath.basename(pictures.put(i, "images"))
        texts = _texts(dataset.truth(i).get("caption"))
        lost += not texts
        lost += sum(text != " ".join(text.split()) for text in texts)
        rows += [f"{name}#{k}\t{' '.join(text.split())}\n" for k, text in enumerate(texts)]
        if record.split:
            parts.setdefault({"val": "dev"}.get(record.split, record.split), []).append(name)
    storage.atomic_write(out / "captions.token", "".join(rows).encode("utf-8", "surrogateescape"))
    for part, names in parts.items():
        storage.atomic_write(out / f"captions.{part}Images.txt", "".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape"))
    return _losses(dataset, lost)


# both -------------------------------------------------------------------------------------------------------------


def _texts(caption: Any) -> tuple[str, ...]:
    return caption.texts if isinstance(caption, Caption) else ()


def _losses(dataset: ImageDataset, lost: int) -> list[Problem]:
    problems = [Problem("LOSS-HEAD", head, f"a file of sentences cannot hold {head}") for head in dataset.spaces if head not in HOLDS]
    scored = sum(isinstance(target := record.targets.get("caption"), Caption) and target.scores is not None for record in dataset.records)
    said = {"images without sentences, or breaks inside of one": lost, "scores": scored, "groups": sum(r.group is not None for r in dataset.records)}
    return problems + [Problem("LOSS-FIELD", "caption", f"{what} ({n:,})") for what, n in said.items() if n]


def _found(
    source: Source, path: str, columns: tuple[Sequence[str], Sequence[str | None], Sequence[list[str]], Sequence[str]], problems: list[Problem], what: str
) -> Found:
    """Records from columns name, split, sentences, place. Raises DataError IMG-MISSING when none of the images is there."""
    names, parts, texts, wheres = columns
    base = home(source, names)
    places = Places(base)
    near = posixpath.dirname(path) if base is source else ""
    held: dict[str, tuple[str | None, list[str]]] = {}
    for name, image, part, own, where in zip(names, places.find(names, near, None), parts, texts, wheres, strict=True):
        if image is None:
            problems.append(base.lookup.missing(name, where))
        elif image in held:
            problems.append(Problem("ANN-DUP", where, f"{image} is listed twice; the sentences of both are put together", image=image))
            held[image][1].extend(own)
        else:
            held[image] = (part or places.splits([image])[0], own)
    if names and not held:
        got = f"none of the {len(names):,} images that {path} lists is there, such as {names[0][:100]}"
        raise DataError("IMG-MISSING", got, where=str(base.root), fix="give the folder that holds both the images and the sentences")
    records = []
    for image in base.listing.files:
        if image in held:
            split, own = held[image]
            records.append(Record(image, base.root / image, targets={"caption": Caption(tuple(own)) if own else None}, split=split))
    left = [image for image in base.listing.files if image not in held]
    if left:
        problems.append(Problem("ANN-UNLISTED", left[0], f"{len(left):,} of {len(base.listing.files):,} images ({len(left) / len(base.listing.files):.0%})"))
    reason = f"{what}: {sum(map(len, texts)):,} sentences in {path}" + (f"; its images are above it, in {base.root.name}" if base is not source else "")
    return Found(records, {"caption": LabelSpace(())}, reason, problems, root=base.root if base is not source else None)
