"""What a YOLO data set says of itself: `data.yaml` (Ultralytics, Roboflow), `obj.data` and `*.names` (Darknet), `classes.txt`."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from saccade.core import LabelSpace
from saccade.data.formats import strict_yaml
from saccade.data.formats.beside import check_names, listed_names, text_of
from saccade.data.formats.skeletons import mirrored_pairs
from saccade.data.formats.source import SPLITS, Source
from saccade.errors import DataError, Problem

LISTS = ("obj.names", "classes.txt", "labels.txt", "predefined_classes.txt", "_darknet.labels")
MOST_CLASSES = 100_000
MOST_POINTS = 10_000
_KEYS = frozenset("path train val valid test nc names kpt_shape kpt_names flip_idx skeleton".split())
_CONFIG = re.compile(rb"^\s*(names|nc)\s*:", re.MULTILINE)


@dataclass
class Config:
    """names: of the classes, None when the data give none. count: their number where only that is given. dims: numbers a key point has.

    parts: for each split the folders and lists of images as written; base: what they are relative to.
    """

    where: str
    names: tuple[str, ...] | None = None
    count: int | None = None
    keypoints: tuple[str, ...] = ()
    dims: int = 3
    pairs: tuple[tuple[int, int], ...] = ()
    skeleton: tuple[tuple[int, int], ...] = ()
    parts: dict[str, list[str]] = field(default_factory=dict)
    base: str = ""
    problems: list[Problem] = field(default_factory=list)


def config_file(source: Source) -> str | None:
    """The YAML file that lists classes, or the Darknet `.data` file; None when there is neither."""
    names = [source.only] if source.only else source.names
    found = [name for name in names if name.lower().endswith((".yaml", ".yml")) and _CONFIG.search(source.head(name, 1 << 16))]
    usual = [name for name in found if name.lower() in ("data.yaml", "data.yml", "dataset.yaml")]
    darknet = [name for name in names if name.lower().endswith(".data") and b"=" in source.head(name, 400)]
    inner = (
        []
        if source.only
        else [p for p in source.listing.labels if p.lower().endswith(("/data.yaml", "/data.yml", "/dataset.yaml")) and _CONFIG.search(source.head(p))]
    )
    return next(iter(usual + found + darknet + (inner if len(inner) == 1 else [])), None)


def read_config(source: Source, name: str | None) -> Config:
    """The configuration; without a file, the list of classes alone. Raises DataError ANN-YAML, ANN-CLASS, ANN-UNREADABLE."""
    if name is None:
        return Config("", _listed(source))
    if name.lower().endswith(".data"):
        return _darknet(source, name)
    value = strict_yaml.parse(source.content(name, strict_yaml.LARGEST + 1), name)
    if not isinstance(value, dict):
        raise DataError("ANN-YAML", "no mapping", where=name)
    config = Config(name, _names(value.get("names"), name), _count(value.get("nc"), name))
    if config.names is not None and config.count is not None and len(config.names) != config.count:
        raise DataError("ANN-CLASS", f"nc is {config.count}, but {len(config.names)} names are listed", where=name)
    if config.names is None:
        config.names = _listed(source)
    _pose(value, config)
    path = value.get("path")
    config.base = path.strip() if isinstance(path, str) else ""
    for key in ("train", "val", "valid", "test"):
        given = value.get(key, "")
        entries = [given] if isinstance(given, str) else given
        if isinstance(entries, dict) or not all(isinstance(entry, str) for entry in entries):
            raise DataError("ANN-YAML", f"{key} is neither a path nor a list of paths", where=name)
        config.parts.setdefault(SPLITS[key], []).extend(entry.strip() for entry in entries if isinstance(entry, str) and entry.strip() not in ("", "~", "null"))
    if unknown := [key for key in value if key not in _KEYS]:
        config.problems.append(Problem("ANN-IGNORED", name, ", ".join(unknown)[:200]))
    return config


def _names(value: strict_yaml.Value | None, where: str) -> tuple[str, ...] | None:
    """The class names of a list, or of a mapping from 0, 1, 2 ..."""
    if value is None or value == "":
        return None
    if isinstance(value, dict):
        if sorted(value) != sorted(map(str, range(len(value)))):
            missing = next((i for i in range(len(value)) if str(i) not in value), len(value))
            raise DataError("ANN-CLASS", f"names has no {missing}, its keys should be 0 to {len(value) - 1}", where=where)
        value = [value[str(i)] for i in range(len(value))]
    if isinstance(value, str) or not all(isinstance(name, str) for name in value):
        raise DataError("ANN-CLASS", "names is neither a list of names nor a mapping of numbers to names", where=where)
    names = tuple(str(name).strip() for name in value)
    check_names(names, where)
    return names


def _count(value: strict_yaml.Value | None, where: str) -> int | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not value.isdecimal() or int(value[:9]) > MOST_CLASSES:
        raise DataError("ANN-CLASS", f"nc is {str(value)[:40]}, no number of classes", where=where)
    return int(value)


def _pose(value: dict[str, strict_yaml.Value], config: Config) -> None:
    """kpt_shape, kpt_names, flip_idx and skeleton, where they are given."""
    if "kpt_shape" not in value:
        return
    count, dims = _whole(value["kpt_shape"], "kpt_shape", config.where, lambda given: len(given) == 2 and 1 <= given[0] <= MOST_POINTS and given[1] in (2, 3))
    config.dims = dims
    given = value.get("kpt_names")
    named = next(iter(given.values()), None) if isinstance(given, dict) else given
    if isinstance(named, list) and len(named) == count and all(isinstance(name, str) for name in named):
        config.keypoints = tuple(str(name) for name in named)
        check_names(config.keypoints, config.where)
        config.pairs = mirrored_pairs(config.keypoints)
    else:
        config.keypoints = tuple(f"point{i + 1}" for i in range(count))
    if value.get("flip_idx"):
        flip = _whole(
            value["flip_idx"], "flip_idx", config.where, lambda given: sorted(given) == list(range(count)) and all(given[j] == i for i, j in enumerate(given))
        )
        config.pairs = tuple((i, j) for i, j in enumerate(flip) if i < j)
    if isinstance(lines := value.get("skeleton"), list):
        config.skeleton = tuple(
            (a, b) for a, b in (_whole(line, "skeleton", config.where, lambda given: len(given) == 2 and all(k < count for k in given)) for line in lines)
        )


def _whole(value: strict_yaml.Value, key: str, where: str, fits: Callable[[list[int]], bool]) -> list[int]:
    """A list of whole numbers from 0 that fits. Raises DataError ANN-YAML."""
    numbers = [int(item) for item in value if isinstance(item, str) and item.isdecimal() and len(item) < 9] if isinstance(value, list) else []
    if not isinstance(value, list) or len(numbers) != len(value) or not fits(numbers):
        raise DataError("ANN-YAML", f"{key}: {str(value)[:80]}", where=where)
    return numbers


def _darknet(source: Source, name: str) -> Config:
    """`obj.data`: train, valid and names as lines `key = value`."""
    pairs = (line.split("=", 1) for line in text_of(source, name, strict_yaml.LARGEST).splitlines() if "=" in line)
    values = {key.strip(): value.strip() for key, value in pairs}
    config = Config(name, count=_count(values.get("classes"), name))
    listed = posixpath.basename(values.get("names", "").replace("\\", "/"))
    config.names = tuple(listed_names(source, listed)) if listed in source.names else _listed(source)
    if config.names is not None and config.count is not None and len(config.names) != config.count:
        raise DataError("ANN-CLASS", f"classes is {config.count}, but {len(config.names)} names are listed", where=name)
    config.parts = {SPLITS[key]: [values[key]] for key in ("train", "valid", "test") if values.get(key)}
    return config


def lists(source: Source) -> list[str]:
    """The files that may list the classes: in the folder itself, and `classes.txt` among the labels."""
    inner = [path for path in source.listing.labels if posixpath.basename(path).lower() in LISTS]
    own = [] if source.only else [name for name in source.names if name.lower() in LISTS or name.lower().endswith(".names")]
    return own + [path for path in inner if path not in own]


def _listed(source: Source) -> tuple[str, ...] | None:
    found = lists(source)
    return tuple(listed_names(source, found[0])) if found else None


def resolve(source: Source, config: Config, entry: str) -> str | None:
    """The folder of images, or the list of them, that an entry of a split means; None when it is not in the data folder.

    Paths are those of the machine where the file was written: tried as they are, then by their longest tail that is there.
    """
    there = {*source.listing.folders, *source.listing.labels}
    plain = entry.replace("\\", "/").rstrip("/")
    beside, given = posixpath.dirname(config.where), config.base.replace("\\", "/")
    for base in (posixpath.join(beside, given), beside, given, ""):
        path = posixpath.normpath(posixpath.join(base, plain))
        if path in there or path == ".":
            return path
    parts: Sequence[str] = [part for part in plain.split("/") if part not in ("", ".", "..")]
    return next((tail for first in range(len(parts)) if (tail := "/".join(parts[first:])) in there), None)


def space_of(config: Config, highest: int) -> LabelSpace:
    """The classes: those named, else as many numbers as are needed for the highest id."""
    count = max(config.count or 0, highest + 1)
    names = config.names if config.names is not None else tuple(map(str, range(count)))
    return LabelSpace(names, keypoints=config.keypoints, skeleton=config.skeleton, pairs=config.pairs)
