"""YAML of label files: text as it is written, the same values as PyYAML's loader without types, and nothing that could do harm."""

import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.data.formats.strict_yaml import LARGEST, MOST_ALIASES, MOST_VALUES, parse
from saccade.errors import DataError

BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(b"%c: &%c [%s]\n" % (98 + i, 98 + i, b",".join([b"*%c" % (97 + i)] * 9)) for i in range(9))
REFUSED = {
    "alias bomb": BOMB,
    "many aliases": b"a: &a x\nb: [" + b"*a," * (MOST_ALIASES + 1) + b"]",
    "an anchor within itself": b"a: &a [*a]",
    "an unknown alias": b"a: *b",
    "a key twice": b"names: 1\nnames: 2",
    "a key that is a list": b"[a, b]: 1",
    "a Python object": b"a: !!python/object/apply:os.system [ls]",
    "a type": b"a: !!int 3",
    "a tag of its own": b"a: !cat tom",
    "deep": b"[" * 500_000,
    "deep mappings": b"{a: " * 100_000,
    "deep by indentation": b"".join(b" " * i + b"a:\n" for i in range(200)),
    "too many values": b"- a\n" * (MOST_VALUES + 2),
    "too large": b"#" * (LARGEST + 1),
    "two documents": b"a: 1\n---\nb: 1",
    "not closed": b"a: [1, 2",
    "two colons": b"a: b: c",
    "a control character": b"a: \x01",
    "a NUL": b"a: \0",
    "not UTF-8": b"a: \xff\xfe\xfa",
    "a tab as indentation": b"a:\n\t- b",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_could_do_harm_is_refused_at_once(kind):
    began = time.process_time()
    with pytest.raises(DataError) as caught:
        parse(REFUSED[kind], "data.yaml")
    assert caught.value.code == "ANN-YAML" and caught.value.where == "data.yaml"
    assert time.process_time() - began <= 0.5


@pytest.mark.parametrize(
    "written", ["no", "NO", "on", "yes", "y", "true", "1e3", "012", "0x1f", "1_000", "2024-01-31", "12:30:45", ".inf", "null", "~", "1.0", "=", "älg"]
)
def test_names_stay_as_they_are_written(written):
    assert parse(f"names: [{written}, 'b']".encode(), "data.yaml") == {"names": [written, "b"]}
    assert parse(f"names:\n  0: {written}\n".encode(), "data.yaml") == {"names": {"0": written}}


def test_small_documents():
    assert parse(b"", "d.yaml") == {} == parse(b"# nothing\n", "d.yaml")
    assert parse(b"names:\n", "d.yaml") == {"names": ""}
    assert parse(b"a: &x [1, 2]\nb: *x\n", "d.yaml") == {"a": ["1", "2"], "b": ["1", "2"]}
    assert parse(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", "d.yaml") == {"a": "1", "b": "2"} == parse("a: 1\nb: 2".encode("utf-16"), "d.yaml")
    assert parse(b"a: !!str 1", "d.yaml") == {"a": "1"}
    assert parse(b"word", "d.yaml") == "word"


TEXTS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), max_size=8)
VALUES = st.recursive(TEXTS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12)


@settings(max_examples=200, deadline=None)
@given(VALUES, st.booleans())
def test_values_are_those_of_the_loader_without_types(value, flow):
    text = yaml.safe_dump(value, allow_unicode=True, default_flow_style=flow)
    assert parse(text.encode(), "d.yaml") == yaml.BaseLoader(text).get_single_data() == value


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("ab:{}[]&*!|>-?,'\"#%@ \n\t1"), max_size=40))
def test_any_text_gives_a_value_or_a_coded_error(text):
    try:
        found = parse(text.encode(), "d.yaml")
    except DataError as error:
        assert error.code == "ANN-YAML"
    else:
        assert isinstance(found, str | list | dict)
