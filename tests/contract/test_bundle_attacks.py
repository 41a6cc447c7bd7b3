"""Files that are no model, damaged or hostile: refused with the right code, by name, quickly and without running anything."""

import gzip
import io
import json
import os
import pickle
import struct
import time
import tracemalloc
import zipfile
import zlib
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from saccade import bundle
from saccade.errors import ModelError
from tests.support.bundle_files import join_file, split_file, tamper_card, tamper_tensors, write_tiny


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("good") / "good.saccade").read_bytes()


@pytest.fixture
def path(good, tmp_path):
    target = tmp_path / "m.saccade"
    target.write_bytes(good)
    return target


def refused(path, code, *words):
    began = time.perf_counter()
    with pytest.raises(ModelError) as caught:
        bundle.read(path)
    assert time.perf_counter() - began < 2
    assert caught.value.code == code, caught.value
    assert caught.value.exit == 4 and caught.value.where == str(path)
    for word in words:
        assert word in caught.value.got, caught.value.got
    return caught.value


class Canary:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def zipped(data):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("archive/data.pkl", data)
    return made.getvalue()


# D1: files that run code when opened ------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("wrap", [bytes, zipped, gzip.compress, zlib.compress], ids=["plain", "zip", "gzip", "zlib"])
def test_a_pickle_is_refused_and_not_run(protocol, wrap, tmp_path):
    canary, target = tmp_path / "canary", tmp_path / "m.saccade"
    target.write_bytes(wrap(pickle.dumps(Canary(canary), protocol=protocol)))
    refused(target, "MODEL-UNSAFE")
    assert not canary.exists()
    pickle.loads(pickle.dumps(Canary(canary)))
    assert canary.exists(), "the canary sings when it is unpickled"


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt", ".pkl", ".joblib", ".h5", ".PT"])
def test_the_suffix_of_a_pickle_is_refused(suffix, good, tmp_path):
    (tmp_path / f"m{suffix}").write_bytes(good)
    refused(tmp_path / f"m{suffix}", "MODEL-UNSAFE", suffix)


@pytest.mark.parametrize(
    "start", [b"\x89HDF\r\n\x1a\n", b"\x93NUMPY\x01", b"BZh9", b"\xfd7zXZ\x00", b"\x04\x22\x4d\x18", b"\x28\xb5\x2f\xfd", bytes(257) + b"ustar"], ids=repr
)
def test_other_containers_are_refused(start, tmp_path):
    (tmp_path / "m.saccade").write_bytes(start + bytes(600))
    refused(tmp_path / "m.saccade", "MODEL-UNSAFE")


def test_torch_save_is_refused(tmp_path):
    for legacy in (False, True):
        torch.save({"a": torch.ones(3)}, tmp_path / "m.saccade", _use_new_zipfile_serialization=not legacy)
        refused(tmp_path / "m.saccade", "MODEL-UNSAFE")


def test_a_header_whose_length_looks_like_a_pickle_is_read(path):
    header, data = split_file(path)
    for target in (0x0480, 0x0880, 0x2080, 0x4B50):  # pickle protocol 4; 'PK'
        text = json.dumps(header).encode()
        if len(text) <= target:
            join_file(path, text.ljust(target), data)
            assert bundle.read(path).card.model == "small"


# D2: the header ---------------------------------------------------------------------------------------------------------


def test_missing_and_special_files(tmp_path):
    refused(tmp_path / "no.saccade", "MODEL-MISSING")
    refused(tmp_path, "MODEL-MISSING", "regular")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "MODEL-MISSING", "regular")


def entry(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


HEADERS = {
    "empty": (b"", "length is 0"),
    "not JSON": (b"{]", "JSON"),
    "array": (b"[]", "object"),
    "not UTF-8": (b'{"\xff": 1}', "JSON"),
    "deep": (b'{"a":' + b"[" * 60_000 + b"]" * 60_000 + b"}", "deeper"),
    "duplicate": (b'{"a": {"dtype":"F32","shape":[1],"data_offsets":[0,4]}, "a": {"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', "'a' is there twice"),
    "NaN": (b'{"a": NaN}', "NaN"),
    "huge integer": (b'{"a": {"dtype":"F32","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,4]}}', "JSON"),
    "no table": ({"weight": 3}, "weight"),
    "field missing": ({"weight": {"dtype": "F32", "shape": [1]}}, "weight"),
    "field extra": ({"weight": {**entry([1], 0, 4), "more": 1}}, "weight"),
    "dtype unknown": ({"weight": entry([1], 0, 4, "F128")}, "F128"),
    "dtype no text": ({"weight": entry([1], 0, 4, [])}, "weight"),
    "shape no list": ({"weight": entry("1", 0, 4)}, "weight"),
    "shape negative": ({"weight": entry([-1, -1], 0, 4)}, "weight"),
    "shape float": ({"weight": entry([1.0], 0, 4)}, "weight"),
    "shape bool": ({"weight": entry([True], 0, 4)}, "weight"),
    "shape long": ({"weight": entry([1] * 9, 0, 4)}, "weight"),
    "shape overflow": ({"weight": entry([2**32, 2**32], 0, 4)}, "weight"),
    "shape wraps to the right size": ({"weight": entry([2**61, 2**3 + 1], 0, 4)}, "weight"),
    "offsets negative": ({"weight": entry([1], -4, 0)}, "weight"),
    "offsets backwards": ({"weight": entry([1], 8, 4)}, "weight"),
    "offsets one": ({"weight": {"dtype": "F32", "shape": [1], "data_offsets": [4]}}, "weight"),
    "hole at the start": ({"weight": entry([1], 4, 8)}, "weight: begins at 4"),
    "hole": ({"a": entry([1], 0, 4), "weight": entry([1], 8, 12)}, "weight: begins at 8"),
    "overlap": ({"a": entry([2], 0, 8), "weight": entry([2], 4, 12)}, "weight: begins at 4"),
    "too short": ({"weight": entry([100], 0, 400)}, "weight"),
    "too long": ({"weight": entry([1], 0, 4)}, "weight"),
    "path-like": ({"../../etc/passwd": entry([1], 0, 4)}, "etc"),
    "dots": ({"a..b": entry([1], 0, 4)}, "a..b"),
    "NUL": ({"a\0b": entry([1], 0, 4)}, "name"),
    "no name": ({"": entry([1], 0, 4)}, "name"),
    "long name": ({"a" * 300: entry([1], 0, 4)}, "name"),
    "metadata no strings": ({"__metadata__": {"saccade": 1}}, "strings"),
    "metadata no table": ({"__metadata__": []}, "strings"),
    "metadata large": ({"__metadata__": {"x": "y" * 1_000_001}}, "1000002 characters"),
    "many tensors": (json.dumps({f"t{i}": entry([0], 0, 0) for i in range(30_000)}).encode(), "20000"),
}


@pytest.mark.parametrize("kind", HEADERS)
def test_damaged_headers_name_the_tensor(kind, tmp_path):
    header, word = HEADERS[kind]
    refused(join_file(tmp_path / "m.saccade", header, bytes(12)), "MODEL-CORRUPT", word)


@pytest.mark.parametrize("raw", [b"", b"1234567", struct.pack("<Q", 2**63 - 1), struct.pack("<Q", 2**64 - 1) + b"{}", struct.pack("<Q", 99_000_000) + b"{}"])
def test_lengths_that_are_no_lengths(raw, tmp_path):
    (tmp_path / "m.saccade").write_bytes(raw)
    refused(tmp_path / "m.saccade", "MODEL-CORRUPT")


@pytest.mark.parametrize("length", [99_000_000, 3_999_999])
def test_a_large_header_costs_neither_time_nor_memory(length, tmp_path):
    with open(tmp_path / "m.saccade", "wb") as stream:
        stream.write(struct.pack("<Q", length) + b"{")
        stream.truncate(length + 8)
    tracemalloc.start()
    refused(tmp_path / "m.saccade", "MODEL-CORRUPT")
    assert tracemalloc.get_traced_memory()[1] < 60e6
    tracemalloc.stop()


@pytest.mark.parametrize("declared", [True, False])
def test_a_sparse_terabyte_is_not_read(declared, good, tmp_path):
    target = tmp_path / "m.saccade"
    if declared:
        join_file(target, {"weight": entry([2**38], 0, 2**40)})
    else:
        target.write_bytes(good)
    try:
        os.truncate(target, 2**40 + target.stat().st_size)
    except OSError:
        pytest.skip("this file system has no sparse files of a terabyte")
    refused(target, "MODEL-CORRUPT", "bytes")


@pytest.mark.parametrize("cut", [1, 100, -1])
def test_short_and_long_data(cut, path, good):
    path.write_bytes(good[:-cut] if cut > 0 else good + b"\0")
    refused(path, "MODEL-CORRUPT", "tensor")


def test_a_safetensors_file_of_others_has_no_card(tmp_path):
    refused(join_file(tmp_path / "m.safetensors", {"weight": entry([1], 0, 4)}, bytes(4)), "MODEL-CORRUPT", "card")


# D3: the card and the weights ---------------------------------------------------------------------------------------------


def change(**values):
    return lambda card: card.update(values)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"task": 3}, "task"),
        ({"arguments": []}, "arguments"),
        ({"licence": None}, "licence"),
        ({"spaces": {"label": {"names": ["a", "a", "b"]}}}, "differ"),
        ({"spaces": {"label": {"names": ["a", "b\0", "c"]}}}, "class names"),
        ({"spaces": {"label": {"names": ["a", "b", "c"], "background": 7}}}, "background"),
        ({"inputs": {"channels": 10**9, "size": [16, 16], "mean": [0], "std": [1]}}, "inputs.channels"),
        ({"inputs": {"channels": 1, "size": [16, 10**9], "mean": [0], "std": [1]}}, "inputs.size"),
        ({"inputs": {"channels": 1, "size": [16, 16], "mean": [0, 0], "std": [1]}}, "inputs.mean"),
        ({"inputs": {"channels": 1, "size": [16, 16], "mean": [0], "std": [0]}}, "inputs.std"),
        ({"format": "1"}, "format"),
        ({"format": [0, 1]}, "format"),
    ],
)
def test_a_card_of_another_shape(values, word, path):
    refused(tamper_card(path, change(**values)), "MODEL-CORRUPT", word)


def test_a_classifier_without_classes(path):
    refused(tamper_card(path, change(spaces={"label": {"names": []}})), "MODEL-ARGS", "number of classes")


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1, "a": 2}', "[" * 5000, '{"format": [1, 0], "task": NaN}', "{"])
def test_a_card_that_is_no_strict_json(text, path):
    refused(tamper_card(path, lambda card: text), "MODEL-CORRUPT", "card")


def test_a_newer_format_says_what_it_needs(path):
    refused(tamper_card(path, change(format=[2, 0], saccade="3.1")), "MODEL-NEWER", "saccade >= 3.1")


@pytest.mark.parametrize(
    ("values", "word"), [({"task": "clasify"}, "did you mean classify"), ({"model": "smal"}, "did you mean small"), ({"model": "os.system"}, "resnet18")]
)
def test_an_unknown_architecture_lists_the_options(values, word, path):
    refused(tamper_card(path, change(**values)), "MODEL-ARCH", word)


@pytest.mark.parametrize(
    "arguments",
    [
        {"widths": [10**9]},
        {"widths": [4096] * 8, "blocks": [1] * 8},
        {"blocks": [10**9]},
        {"blocks": [64] * 8, "widths": [64] * 8},
        {"widths": "all"},
        {"colour": 1},
        {"dropout": -1},
        {"norm": "eval"},
    ],
    ids=str,
)
def test_arguments_out_of_range_build_nothing(arguments, path):
    refused(tamper_card(path, change(arguments=arguments)), "MODEL-ARGS")


def test_missing_extra_and_reshaped_tensors_are_listed(path, good):
    names = [name for name, tensor in split_file(path)[0].items() if name != "__metadata__"]
    refused(tamper_tensors(path, lambda tensors: [tensors.pop(name) for name in names[:7]]), "MODEL-TENSORS", "is missing", "and 2 more")
    path.write_bytes(good)
    refused(tamper_tensors(path, lambda tensors: tensors.update(extra=torch.ones(2))), "MODEL-TENSORS", "extra is not of this architecture")
    path.write_bytes(good)
    refused(tamper_tensors(path, lambda tensors: tensors.update({names[0]: torch.ones(7, 7)})), "MODEL-TENSORS", names[0], "[7, 7]")
    path.write_bytes(good)
    refused(tamper_tensors(path, lambda tensors: tensors.update({k: t.half() for k, t in tensors.items()})), "MODEL-TENSORS", "float16")


@pytest.mark.parametrize("names", [["cat", "dog"], ["a", "b", "c", "d"]])
def test_class_names_that_do_not_fit_the_head(names, path):
    refused(tamper_card(path, change(spaces={"label": {"names": names}})), "MODEL-CLASSES", f"{len(names)} names")


def test_two_lists_of_class_names(path):
    refused(tamper_card(path, change(spaces={"a": {"names": ["x", "y", "z"]}, "b": {"names": ["x", "y", "z"]}})), "MODEL-CLASSES", "2 lists")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite(value, path):
    def poison(tensors):
        tensors["heads.label.output.weight"][0, 0] = value

    refused(tamper_tensors(path, poison), "MODEL-NAN", "heads.label.output.weight has 1 of")
    assert bundle.read(path, allow_nan=True).card.model == "small"


def test_every_flipped_bit_is_noticed(path, good):
    step = max(1, len(good) // 150)
    for place in range(0, len(good), step):
        flipped = bytearray(good)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(ModelError):
            bundle.read(path)
    flipped = bytearray(good)
    flipped[-1] ^= 1
    path.write_bytes(flipped)
    refused(path, "MODEL-HASH", "weights")


def test_a_changed_card_is_noticed(path, good):
    path.write_bytes(good.replace(b"owl", b"elk"))
    refused(path, "MODEL-HASH", "card")


def test_the_places_of_a_good_file_tile_its_data(path):
    header, data = split_file(path)
    places = sorted(tuple(e["data_offsets"]) for name, e in header.items() if name != "__metadata__")
    assert places[0][0] == 0 and places[-1][1] == len(data) and all(a[1] == b[0] for a, b in pairwise(places))
