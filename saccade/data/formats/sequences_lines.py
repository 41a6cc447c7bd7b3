"""JSON Lines as label files: the objects of a file one after another, with the place of each; the header line that names classes in order."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from saccade.data.formats.source import SPLITS, Source
from saccade.data.formats.strict_json import lines
from saccade.errors import DataError, Problem

SUFFIXES = (".jsonl", ".ndjson")
HEADER = "classes"
"""The key of a first line that is no sample: {"classes": {"tags": [names]}}."""


class Line(NamedTuple):
    """One object of a file, and its place as `file:line`."""

    where: str
    content: Mapping[str, Any]


def files_with(source: Source, *keys: str) -> list[str]:
    """The files of JSON lines whose beginning has one of these keys."""
    pattern = re.compile(rb"|".join(rb'"%s"\s*:' % key.encode() for key in keys))
    return [
        name for name in source.labels(*SUFFIXES) if (head := source.head(name, 1 << 16)).lstrip(b"\xef\xbb\xbf \r\n").startswith(b"{") and pattern.search(head)
    ]


def read_lines(source: Source, name: str, problems: list[Problem]) -> Iterator[Line]:
    """The objects of a file; a line that is something else is a problem ANN-FIELD. Raises DataError ANN-JSON, ANN-UNREADABLE."""
    for number, value in lines(source.content(name), name):
        where = f"{name}:{number}"
        if isinstance(value, dict):
            yield Line(where, value)
        else:
            problems.append(Problem("ANN-FIELD", where, f"{type(value).__name__}, where an object is expected"))


def header_of(content: Mapping[str, Any], where: str) -> dict[str, list[str]] | None:
    """The lists of names of a header line, None for any other line. Raises DataError ANN-CLASS for a name that is there twice."""
    named = content.get(HEADER)
    if not isinstance(named, dict):
        return None
    found = {key: [str(each) for each in names] for key, names in named.items() if isinstance(names, list)}
    for key, names in found.items():
        if len(set(names)) < len(names):
            raise DataError("ANN-CLASS", f"a name is there twice in {key}", where=where)
    return found


def split_of_line(content: Mapping[str, Any], name: str) -> str | None:
    """The split that a line says, else the file's name. Raises DataError ANN-SPLIT for a name that is none."""
    said = content.get("split")
    if said is None:
        words = re.split(r"[^a-z0-9]+", posixpath.splitext(posixpath.basename(name))[0].lower())
        return next((SPLITS[word] for word in words if word in SPLITS), None)
    if not isinstance(said, str) or said.lower() not in SPLITS:
        raise DataError("ANN-SPLIT", str(said)[:80])
    return SPLITS[said.lower()]


def group_of_line(content: Mapping[str, Any]) -> str | None:
    """The group that a line says, as text."""
    said = content.get("group")
    return str(said) if isinstance(said, str | int) and not isinstance(said, bool) and said != "" else None


def line_of(content: Mapping[str, Any]) -> str:
    """One line of a file."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n"
