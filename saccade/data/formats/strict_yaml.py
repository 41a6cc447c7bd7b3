"""YAML as label files need it: mappings, lists and text as it is written; `no`, `012` and `1e3` stay what they look like."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from saccade.errors import DataError

LARGEST = 1 << 20
"""Bytes of one file."""
DEEPEST = 64
MOST_ALIASES = 64
MOST_VALUES = 50_000
"""Values in a document, each counted as often as aliases repeat it."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PLAIN_TAGS = frozenset({None, "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})
Value = str | list["Value"] | dict[str, "Value"]


def parse(data: bytes, where: str) -> Value:
    """The one document of a file; every scalar is the text as written ("" for an empty one), every key is text. An empty file is {}.

    Raises DataError ANN-YAML for anything else: tags, keys that are given twice or are no text, more than 64 aliases or 64 levels,
    anchors within themselves, several documents, more than 1 MB, text that is not UTF-8 or UTF-16.

    >>> parse(b"names: [no, 012, 1e3]", "data.yaml")
    {'names': ['no', '012', '1e3']}
    """
    return _Document(data, where).value()


class _Document:
    """The events of one file on their way to values."""

    def __init__(self, data: bytes, where: str) -> None:
        self.where = where
        if len(data) > LARGEST:
            raise self._refused(f"{len(data):,} bytes, the limit is {LARGEST:,}")
        try:
            text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
        except UnicodeDecodeError as error:
            raise self._refused("not UTF-8") from error
        self.events = self._stream(text)
        self.anchors: dict[str, tuple[Value, int]] = {}
        self.aliases = self.values = 0

    def value(self) -> Value:
        """The value of the document."""
        next(self.events)
        if isinstance(next(self.events), yaml.StreamEndEvent):
            return {}
        found = self._node(next(self.events), 0)
        next(self.events)
        if not isinstance(next(self.events), yaml.StreamEndEvent):
            raise self._refused("several documents")
        return found

    def _stream(self, text: str) -> Iterator[Any]:
        try:
            yield from yaml.parse(text, Loader=_LOADER)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            place = f"line {mark.line + 1}: " if mark is not None else ""
            raise self._refused(place + " ".join(str(getattr(error, "problem", None) or error).split())[:200]) from error

    def _node(self, event: Any, depth: int) -> Value:
        if depth > DEEPEST:
            raise self._refused(f"more than {DEEPEST} levels")
        before = self.values
        self._count(1)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if event.tag not in _PLAIN_TAGS:
            raise self._refused(f"line {event.start_mark.line + 1}: the tag {event.tag}")
        found: Value
        if isinstance(event, yaml.ScalarEvent):
            found = str(event.value)
        elif isinstance(event, yaml.SequenceStartEvent):
            found = []
            while not isinstance(inner := next(self.events), yaml.SequenceEndEvent):
                found.append(self._node(inner, depth + 1))
        else:
            found = self._mapping(depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = found, self.values - before
        return found

    def _mapping(self, depth: int) -> dict[str, Value]:
        found: dict[str, Value] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            if not isinstance(key, str):
                raise self._refused(f"line {event.start_mark.line + 1}: a key that is no text")
            if key in found:
                raise self._refused(f"line {event.start_mark.line + 1}: the key {key} a second time")
            found[key] = self._node(next(self.events), depth + 1)
        return found

    def _alias(self, event: Any) -> Value:
        self.aliases += 1
        if self.aliases > MOST_ALIASES:
            raise self._refused(f"more than {MOST_ALIASES} aliases")
        if event.anchor not in self.anchors:
            raise self._refused(f"line {event.start_mark.line + 1}: the alias {event.anchor} of nothing complete")
        found, count = self.anchors[event.anchor]
        self._count(count)
        return found

    def _count(self, n: int) -> None:
        self.values += n
        if self.values > MOST_VALUES:
            raise self._refused(f"more than {MOST_VALUES:,} values")

    def _refused(self, got: str) -> DataError:
        return DataError("ANN-YAML", got, where=self.where)
