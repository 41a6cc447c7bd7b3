"""From a path to a data set: the layout is recognised by its content, and the reason is kept."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

from saccade.core import Record
from saccade.data.dataset import ImageDataset
from saccade.data.formats import FORMATS, datumaro_bridge
from saccade.data.formats.archive import unpacked
from saccade.data.formats.folder import WHOLE
from saccade.data.formats.foreign import Signs
from saccade.data.formats.source import Found, Source, Wishes
from saccade.data.image import MAX_PIXELS, header
from saccade.errors import DataError, UsageError, nearest

_PEEKS = 9
_HEAD, _NAMES = 1 << 16, 20
_PICTURES = re.compile(rb"[\w./\\ -]{1,200}\.(?:png|jpe?g|tiff?|bmp|webp|gif)\b", re.IGNORECASE)
SCHEME = "world:"
"""What a path to simulated data begins with."""


def located(path: str) -> str:
    """The data as they are found from any folder: the absolute path of what lies on the disk, a world's recipe as it stands.

    >>> located("world:digits?n=20")
    'world:digits?n=20'
    """
    return path if path.startswith(SCHEME) else str(Path(path).resolve())


def open_dataset(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    group: str | None = None,
    label: str | None = None,
    path_column: str | None = None,
    max_pixels: int = MAX_PIXELS,
    follow: bool = False,
) -> ImageDataset:
    """Opens a folder, a table or an IDX file: label files are read and images listed; the headers of a few are read, no pixels.

    format: a name of `formats.FORMATS` instead of finding out, or `datumaro:NAME` for what the extra `formats` reads. group: a column
    of a table, or a regular expression whose first group (or whole match) in a record's id is its group. label, path_column: columns
    of a table; label may be several (a,b,c) or name its head (number:age, points:x,y,class). follow: links out of the folder too.

    A path such as `world:tabletop?n=2000&size=96` is a simulated data set (`data.world`), which has no files.

    Raises DataError DATA-MISSING, DATA-LAYOUT, ANN-*; UsageError USE-VALUE, USE-OPTION. Survivable findings are `problems`.
    """
    if str(path).startswith(SCHEME):
        return _simulated(str(path), format=format, group=group, label=label, path_column=path_column)
    if format is not None and format not in FORMATS and not format.startswith(datumaro_bridge.PREFIX):
        raise UsageError("USE-VALUE", f"format={format}", fix=nearest(format, FORMATS))
    source = _source(Path(path), Wishes(label, path_column, group, format, max_pixels, follow))
    chosen, found = _recognise(source, format)
    told = chosen == "table" or (chosen in ("vectors", "documents") and path_column is None)
    if not told and (label is not None or path_column is not None) and not (chosen == "folder" and label == WHOLE and path_column is None):
        option = "label" if label is not None else "path_column"
        raise UsageError("USE-OPTION", f"{option} names a column, but the data is no table ({found.reason})", where=str(path))
    records = tuple(found.records)
    if group is not None and not found.grouped:
        records = _grouped(records, group)
    root = Path(os.path.abspath(found.root or source.root))
    return ImageDataset(
        name=_name(source.root / source.only if source.only else root),
        root=root,
        format=chosen,
        reason=found.reason + (f"; its images are above it, in {source.root.name or source.root}" if source.only and "/" in source.only else ""),
        records=records,
        spaces=dict(found.spaces),
        channels=_channels(found),
        max_pixels=max_pixels,
        problems=tuple(found.problems),
        arrays=found.arrays,
    )


def _simulated(path: str, **wishes: str | None) -> ImageDataset:
    """A simulated data set. Raises UsageError USE-OPTION for what only files have."""
    for option, value in wishes.items():
        if value is not None and not (option == "format" and value == "world"):
            raise UsageError("USE-OPTION", f"{option} is for files, but {path} is simulated", fix="write knobs behind the name: world:tabletop?n=2000&size=96")
    from saccade.data.world.dataset import open_world
    from saccade.data.world.recipe import parse

    return open_world(parse(path))


def _source(path: Path, wishes: Wishes) -> Source:
    try:
        if path.is_dir():
            return Source(path, wishes=wishes)
        if path.is_file() and path.suffix.lower() == ".zip":
            return Source(unpacked(path), wishes=wishes)
        if path.is_file():
            base = base_of(path)
            return Source(base, (path if base == path.parent else path.absolute()).relative_to(base).as_posix(), wishes)
        there = path.exists()
    except (OSError, ValueError) as error:
        raise DataError("DATA-MISSING", str(error), where=str(path)) from error
    if there:
        raise DataError("DATA-LAYOUT", "neither a folder nor a regular file", where=str(path))
    parent = next((folder for folder in path.absolute().parents if folder.is_dir()), Path("/"))
    missing = path.absolute().relative_to(parent).parts[0]
    try:
        beside = sorted(name for name in os.listdir(parent) if not name.startswith("."))
    except OSError:
        beside = []
    hint = nearest(missing, beside[:20]) if beside else "it is empty"
    raise DataError("DATA-MISSING", f"there is no {missing} in {parent}", where=str(path), fix=f"check the spelling; in {parent}: {hint}")


def base_of(path: Path) -> Path:
    """The folder that the images named in a label file are relative to: its own, or the first of two above it where more of them are there.

    Judged by the first names in the file that look like those of pictures; nothing is listed for it.
    """
    try:
        with open(path, "rb") as stream:
            head = stream.read(_HEAD)
    except OSError:
        return path.parent
    names = list(dict.fromkeys(name.decode("utf-8", "replace") for name in _PICTURES.findall(head)))[:_NAMES]
    if b"\0" in head or not names:
        return path.parent
    bases = [path.parent, *path.absolute().parent.parents[:2]]
    counts = [sum((base / name).is_file() for name in names) for base in bases]
    best = max(counts)
    return path.parent if counts[0] == best else bases[counts.index(best)]


def _recognise(source: Source, wanted: str | None) -> tuple[str, Found]:
    """The first format that fits, with what it loaded. Raises DataError DATA-LAYOUT that lists what was looked for."""
    if wanted and wanted.startswith(datumaro_bridge.PREFIX):
        return wanted, datumaro_bridge.load(source, wanted.removeprefix(datumaro_bridge.PREFIX))
    tried = {wanted: FORMATS[wanted]} if wanted else {name: f for name, f in FORMATS.items() if not f.asked}
    signs = Signs(source) if not wanted else None
    if signs:
        signs.refuse("first")
    for name, candidate in tried.items():
        if name == "folder" and signs:
            signs.refuse("before folder")
        plan = candidate.detect(source)
        if plan is not None:
            return name, candidate.load(source, plan)
    if source.refusals:
        raise source.refusals[0]
    if signs:
        signs.refuse("last")
    where = str(source.root / source.only if source.only else source.root)
    files = len(source.listing.files)
    got = f"{files:,} images, but none of: " + "; ".join(f.wants for f in tried.values())
    fix = "use one of these, or check the images alone with --format images" if files else ""
    raise DataError("DATA-LAYOUT", got, where=where, fix=fix)


def _grouped(records: tuple[Record, ...], pattern: str) -> tuple[Record, ...]:
    """The records with the groups that a regular expression finds in their ids; one that it does not match is a group of its own."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UsageError("USE-VALUE", f"group={pattern}: {error}", fix="give a column of the table or a regular expression") from error
    found = [compiled.search(record.id) for record in records]
    if records and not any(found):
        got = f"group={pattern} is no column and matches no image, such as {records[0].id}"
        raise UsageError("USE-VALUE", got, fix="give a column of the table or a regular expression")
    values = [(m.group(1) if compiled.groups else m.group()) if m else None for m in found]
    return tuple(replace(record, group=value or None) for record, value in zip(records, values, strict=True))


def _channels(found: Found) -> int:
    """The most common number of channels among a few images spread over the set; 3 when none can be read."""
    seen: Counter[int] = Counter()
    for array in found.arrays.values():
        seen[array[0].shape[-1] if isinstance(array, list) else array.shape[3]] += len(array)
    for record in () if seen else found.records[:: max(1, len(found.records) // _PEEKS)][:_PEEKS]:
        try:
            seen[header(record.path).channels] += 1
        except DataError:
            continue
    return max(seen, key=lambda c: (seen[c], c), default=3)


def _name(path: Path) -> str:
    """The last part of a path that says something, without a suffix: what runs are called after."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", path.stem if path.is_file() else path.name) or "data"
