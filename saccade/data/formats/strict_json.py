"""JSON as the standard has it and nothing more: what other readers accept silently is refused, with its line and column.

Refused: NaN and Infinity, numbers beyond what a float holds (1e999), integers of more than 300 digits, a key twice in one object,
nesting deeper than 64, anything after the end, text that is not UTF-8, lone surrogates. A byte order mark is passed over.
"""

from __future__ import annotations

import gc
import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import numpy as np
from pydantic_core import from_json

from saccade.errors import DataError

DEEPEST = 64
"""Objects and lists inside each other."""
LONGEST = 300
"""Digits of a number, about what a float64 can hold."""

_BLOCK = 1 << 20  # bytes looked at together: they stay in the cache
_INNER = frozenset((dict, list))
_BOM = b"\xef\xbb\xbf"
_PLACE = re.compile(r"^(.*) at line (\d+) column (\d+)$", re.DOTALL)
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"(\s*+:)?|[{}]', re.DOTALL)
_DIGITS = bytes(ord("0") if chr(c) in "0123456789" else ord("e") if chr(c) in "eE" else ord("x") for c in range(256))
_EXPONENT = re.compile(rb"[eE]\+?[0-9]{3}")
_NO_BRACKETS = bytes(c for c in range(256) if c not in b"[]{}")
_STEPS = np.array([(c in b"[{") - (c in b"]}") for c in range(256)], np.int8)
_WORDS = re.compile(rb"-?(?:NaN|Infinity|nan|inf|Inf|NAN|None|True|False|undefined)")


def parse(data: bytes, where: str) -> Any:
    """The value of a JSON text. Raises DataError ANN-JSON with `where`:line and the column.

    Takes about the time the standard library needs for parsing alone; keys are counted in the text and in the result, and only
    when the numbers differ the text is gone through for the key that is there twice.

    >>> parse(b'{"a": [1, 2.5, null]}', "x.json")
    {'a': [1, 2.5, None]}
    """
    data = data[3:] if data.startswith(_BOM) else data
    with collector_paused():
        try:
            value = from_json(data, allow_inf_nan=False)
        except ValueError as error:
            raise _refusal(str(error), data, where) from None
        if _keys(value, data, where) != _colons(data):
            _without_copies(data, where)
        if type(value) is float or _may_overflow(data):
            _finite(value, where)
    return value


def lines(data: bytes, where: str) -> Iterator[tuple[int, Any]]:
    """(line number from 1, value) of JSON Lines; empty lines are passed over. Raises DataError ANN-JSON with `where`:line.

    >>> list(lines(b'{"a": 1}\\n\\n[2]\\n', "x.jsonl"))
    [(1, {'a': 1}), (3, [2])]
    """
    data = data[3:] if data.startswith(_BOM) else data
    for number, line in enumerate(data.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            yield number, parse(line, where)
        except DataError as error:
            raise DataError("ANN-JSON", error.got, where=f"{where}:{number}") from None


@contextmanager
def collector_paused() -> Iterator[None]:
    """The garbage collector rests meanwhile: it would go through millions of new numbers again and again, and find no cycle."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def _refusal(message: str, data: bytes, where: str) -> DataError:
    """The parser's complaint as a coded error; the words that other readers take for numbers are named."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return DataError("ANN-JSON", "the text is UTF-16, expected UTF-8", where=f"{where}:1", fix="save it as UTF-8")
    if not data.strip():
        return DataError("ANN-JSON", "the file is empty", where=f"{where}:1")
    match = _PLACE.match(message)
    if match is None:
        return DataError("ANN-JSON", message[:200], where=where)
    what, line, column = match[1], int(match[2]), int(match[3])
    row = _line(data, line)
    word = next((w[0].decode() for w in _WORDS.finditer(row) if w.start() <= column <= w.end() + 1), "")
    if word:
        what = f"{word} is no JSON value"
    elif what == "number out of range":
        what = "an integer of more than 4,300 digits"
    elif "hex escape" in what or "surrogate" in what:
        what = f"a lone surrogate or an incomplete escape ({what})"
    elif "recursion limit" in what:
        what = f"nested deeper than {DEEPEST}"
    return DataError("ANN-JSON", f"{what}, column {column}", where=f"{where}:{line}")


def _line(data: bytes, number: int) -> bytes:
    """One line of a text, numbered from 1, without splitting the whole of it; empty beyond the end."""
    start = 0
    for _ in range(number - 1):
        start = data.find(b"\n", start) + 1
        if start == 0:
            return b""
    end = data.find(b"\n", start)
    return data[start : len(data) if end < 0 else end]


def _keys(value: Any, data: bytes, where: str) -> int:
    """How many keys all objects have together. Raises DataError ANN-JSON when they are nested too deep.

    Where a file is a list of plain objects, or an object of such lists, what is inside of them need not be looked at: the text has
    no more braces. Brackets inside of strings make the text look deeper, or less deep, but never deeper than the parser goes (200).
    """
    brackets = data.translate(None, _NO_BRACKETS)
    steps = _STEPS[np.frombuffer(brackets, np.uint8)]
    if int(np.cumsum(steps, dtype=np.int32).max(initial=0)) > DEEPEST:
        return _keys_within(value, where)
    tops = list(value.values()) if type(value) is dict else [value] if type(value) is list else []
    objects = [v for top in tops if type(top) is list for v in top if type(v) is dict]
    objects += [v for v in tops if type(v) is dict] + ([value] if type(value) is dict else [])
    return sum(map(len, objects)) if len(objects) == brackets.count(b"{") else _keys_within(value, where)


def _keys_within(value: Any, where: str) -> int:
    """The same, level by level."""
    count, level = 0, [value]
    for _ in range(DEEPEST + 1):
        objects = [v for v in level if type(v) is dict]
        arrays = [v for v in level if type(v) is list]
        if not objects and not arrays:
            return count
        count += sum(map(len, objects))
        level = []
        if not _INNER.isdisjoint(map(type, chain.from_iterable(arrays))):
            level += [v for v in chain.from_iterable(arrays) if type(v) in _INNER]
        level += [v for v in chain.from_iterable(map(dict.values, objects)) if type(v) in _INNER]
    raise DataError("ANN-JSON", f"nested deeper than {DEEPEST}", where=where)


def _colons(data: bytes) -> int:
    """The colons that follow a quotation mark, perhaps after spaces: as many as keys, or more where a string begins with a colon."""
    text, count = np.frombuffer(data, np.uint8), 0
    for start in range(0, len(data), _BLOCK):
        at = np.flatnonzero(text[start : start + _BLOCK] == ord(":")) + start
        while len(at := at[at > 0] - 1):
            before = text[at]
            count += int(np.count_nonzero(before == ord('"')))
            at = at[(before == 32) | ((before >= 9) & (before <= 13))]
    return count


def _without_copies(data: bytes, where: str) -> None:
    """Raises DataError ANN-JSON naming the first key that an object has twice."""
    open_objects: list[set[str]] = []
    for token in _TOKEN.finditer(data):
        if token[0] == b"{":
            open_objects.append(set())
        elif token[0] == b"}":
            open_objects.pop()
        elif token[1] is not None:
            key = from_json(token[0][: -len(token[1])])
            if key in open_objects[-1]:
                line, column = data.count(b"\n", 0, token.start()) + 1, token.start() - data.rfind(b"\n", 0, token.start())
                raise DataError("ANN-JSON", f"the key {json.dumps(key)} is there twice in one object, column {column}", where=f"{where}:{line}")
            open_objects[-1].add(key)


def _may_overflow(data: bytes) -> bool:
    """Whether a number may be larger than a float holds: an exponent of three digits, or very many digits."""
    many = b"0" * LONGEST
    for start in range(0, len(data), _BLOCK):
        block = data[start : start + _BLOCK + LONGEST].translate(_DIGITS)  # digits as 0, e and E as e, all else as x
        if block.find(many) >= 0:
            return True
        at = block.find(b"0e", 0, _BLOCK + 1)
        while at >= 0:
            if _EXPONENT.match(data, start + at + 1) and _begins_a_number(data, start + at + 1):
                return True
            at = block.find(b"0e", at + 2, _BLOCK + 1)
    return False


def _begins_a_number(data: bytes, place: int) -> bool:
    """Whether the digits before a place are a number's, not a string's."""
    before = data[max(0, place - 2 * LONGEST) : place].rstrip(b"0123456789.").removesuffix(b"-")
    return not before or before[-1] in b"[,: \t\n\r"


def _finite(value: Any, where: str) -> None:
    """Raises DataError ANN-JSON for a number that is infinite or has too many digits, with the way to it."""
    pending: list[tuple[str, Any]] = [("", value)]
    while pending:
        path, held = pending.pop()
        if isinstance(held, dict):
            pending += [(f"{path}.{key}" if path else key, v) for key, v in held.items()]
        elif isinstance(held, list):
            pending += [(f"{path}[{i}]", v) for i, v in enumerate(held)]
        elif (type(held) is float and math.isinf(held)) or (type(held) is int and abs(held) >= 10**LONGEST):
            raise DataError("ANN-JSON", "a number larger than a float can hold", where=f"{where}:{path[:200]}" if path else where)
