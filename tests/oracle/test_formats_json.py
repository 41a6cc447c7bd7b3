"""Strict JSON against the standard library's parser, and everything that it lets pass and we refuse."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.data.formats.strict_json import lines, parse
from saccade.errors import DataError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=30,
)


def plain(text: str):
    """The slow definition: the standard library with its leniences taken out."""

    def refuse(word):
        raise ValueError(word)

    def once(pairs):
        if len(dict(pairs)) != len(pairs):
            raise ValueError("twice")
        return dict(pairs)

    def number(digits):
        if math.isinf(float(digits)):
            raise ValueError(digits)
        return float(digits)

    return json.loads(text, parse_constant=refuse, object_pairs_hook=once, parse_float=number)


@given(VALUES, st.sampled_from([None, 2]), st.booleans(), st.sampled_from([(",", ":"), (" , ", " : "), (",\n", "\t:")]))
def test_what_the_standard_library_writes_is_read_equally(value, indent, ascii_only, separators):
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only, separators=separators)
    try:
        data = text.encode()
    except UnicodeEncodeError:
        return
    assert parse(data, "x") == json.loads(text)


@settings(max_examples=400, deadline=None)
@given(st.text(st.sampled_from('{}[]",:\\ue 1290.-+EIN\ntf'), max_size=40))
def test_any_text_is_read_as_the_slow_definition_reads_it(text):
    try:
        wanted = plain(text)
    except (ValueError, RecursionError):
        with pytest.raises(DataError, match="ANN-JSON"):
            parse(text.encode(), "x")
    else:
        try:
            assert parse(text.encode(), "x") == wanted
        except DataError as error:
            assert "surrogate" in error.got  # json accepts lone ones


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["a", "b", '":', ":", 'q"', "é"]), st.integers(0, 3), min_size=1),
    st.integers(0, 5),
    st.sampled_from(["", " ", "\n", "\t "]),
)
def test_a_key_twice_is_found_whatever_the_strings_hold(held, extra, space):
    pairs = [f"{json.dumps(key)}{space}:{space}{json.dumps(key)}" for key in held]
    assert parse(("{" + ",".join(pairs) + "}").encode(), "x") == {key: key for key in held}
    again = [*pairs, pairs[extra % len(pairs)]]
    with pytest.raises(DataError, match="twice in one object"):
        parse(('{"x": [{' + ",".join(again) + "}]}").encode(), "x")


@pytest.mark.parametrize(
    ("data", "says", "where"),
    [
        (b"NaN", "NaN is no JSON value, column 1", "f:1"),
        (b'[1,\n {"a": Infinity}]', "Infinity is no JSON value", "f:2"),
        (b"[-Infinity]", "-Infinity is no JSON value", "f:1"),
        (b"[None]", "None is no JSON value", "f:1"),
        (b"[1, 1e999]", "larger than a float can hold", "f:[1]"),
        (b'{"a": {"b": -1.5E+400}}', "larger than a float can hold", "f:a.b"),
        (b"[" + b"9" * 400 + b".5]", "larger than a float can hold", "f:[0]"),
        (b"[" + b"9" * 400 + b"]", "larger than a float can hold", "f:[0]"),
        (b"1e1000", "larger than a float can hold", "f"),
        (b"[" + b"1" * 5000 + b"]", "an integer of more than 4,300 digits", "f:1"),
        (b'{"a": 1,\n "a": 2}', 'the key "a" is there twice in one object, column 2', "f:2"),
        (b'{"a": 1, "\\u0061": 2}', "twice", "f:1"),
        (b'{"a\n": 1}', "control character", "f:2"),
        (b"[" * 66 + b"]" * 66, "nested deeper than 64", "f"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "nested deeper than 64", "f"),
        (b"[" * 100000, "nested deeper than 64", "f:1"),
        (b"[1] x", "trailing characters, column 5", "f:1"),
        (b"[1][2]", "trailing characters", "f:1"),
        (b'"\\ud800"', "lone surrogate", "f:1"),
        (b'"\xed\xa0\x80"', "invalid unicode", "f:1"),
        (b'["\xff"]', "invalid unicode", "f:1"),
        (b"", "the file is empty", "f:1"),
        (b"\xef\xbb\xbf", "the file is empty", "f:1"),
        ('{"a": 1}'.encode("utf-16"), "UTF-16", "f:1"),
        (b"[1,]", "trailing comma", "f:1"),
        (b"{'a': 1}", "key must be a string", "f:1"),
        (b"[01]", "invalid number", "f:1"),
    ],
)  # fmt: skip
def test_what_is_refused_says_where(data, says, where):
    with pytest.raises(DataError, match="ANN-JSON") as caught:
        parse(data, "f")
    assert says in caught.value.got and caught.value.where == where


def test_what_only_looks_wrong_is_read():
    text = '\ufeff{"url": "1e999", "hash": "5_4e6223", "list": [":", " :", "\\":", "{\\"a\\":1}"], "e": [1e-999, 1E+5, 1e0005, -0.0], "nul": "\\u0000"}'
    read = parse(text.encode(), "f")
    assert read["list"] == [":", " :", '":', '{"a":1}'] and read["e"] == [0.0, 1e5, 1e5, 0.0] and read["nul"] == "\0"
    assert parse(b"[" * 64 + b"]" * 64, "f") and parse(b'"' + b"7" * 500 + b'"', "f") == "7" * 500
    assert parse(b"[1e300]", "f") == [1e300]


def test_json_lines_name_their_line():
    assert list(lines(b'\xef\xbb\xbf{"a": 1}\r\n\r\n[1, 2]', "f")) == [(1, {"a": 1}), (3, [1, 2])]
    with pytest.raises(DataError) as caught:
        list(lines(b'{"a": 1}\n{"a": 1, "a": 2}\n', "f"))
    assert caught.value.where == "f:2" and "twice" in caught.value.got
    with pytest.raises(DataError) as caught:
        list(lines(b"1\n[NaN]\n", "f"))
    assert caught.value.where == "f:2" and "NaN" in caught.value.got
