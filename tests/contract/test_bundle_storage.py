"""Files that survive: whole or not at all, strict JSON, tensors with their hash."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saccade import storage
from saccade.errors import ResourceError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_json_comes_back(value):
    assert storage.parse_json(storage.dump_json(value)) == value
    assert storage.parse_json(storage.dump_json(value, indent=1).encode()) == value


@given(st.text(alphabet='{}[]",:\\ 0a', max_size=60))
def test_strict_json_takes_nothing_that_json_refuses(text):
    try:
        got = storage.parse_json(text)
    except ValueError:
        return
    assert got == json.loads(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "'c' is there twice"),
        ("[NaN]", "NaN"),
        ("[-Infinity]", "-Infinity"),
        ("[1e999]", "1e999"),
        ("[" * 65 + "]" * 65, "deeper than 64"),
        ("[" * 100_000, "deeper"),
        ('{"a":' * 70 + "1" + "}" * 70, "deeper"),
        ("[1] 2", "Extra data"),
        ("9" * 5000, "4300"),
        (b"[\xff]", "utf-8"),
        ("", "Expecting"),
    ],
)
def test_json_that_is_refused(text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        storage.parse_json(text)
    (tmp_path / "a.json").write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ValueError, match=r"a\.json"):
        storage.read_json(tmp_path / "a.json")


def test_json_that_is_taken():
    assert storage.parse_json("\ufeff[1]".encode()) == [1]
    assert storage.parse_json('["' + "[" * 1000 + '\\"]"]') == ["[" * 1000 + '"]']
    assert storage.parse_json("[" * 64 + "]" * 64)


def test_quotes_that_never_close_cost_no_time():
    began = time.perf_counter()
    with pytest.raises(ValueError):
        storage.parse_json('"' + '\\"' * 500_000)
    assert time.perf_counter() - began < 2


def test_undecodable_names_survive(tmp_path):
    storage.write_json(tmp_path / "a.json", {"path": "bad_\udcff.png", "loss": float("inf")})
    assert storage.read_json(tmp_path / "a.json") == {"path": "bad_\udcff.png", "loss": None}
    storage.append_line(tmp_path / "l", "bad_\udcff")
    storage.append_line(tmp_path / "l", "next", sync=True)
    assert (tmp_path / "l").read_bytes() == b"bad_\\udcff\nnext\n"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EROFS, errno.EDQUOT, errno.EACCES])
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failing_disk_leaves_the_old_file(number, step, tmp_path, monkeypatch):
    storage.atomic_write(tmp_path / "a", b"old")

    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(ResourceError) as caught:
        storage.atomic_write(tmp_path / "a", b"new")
    assert caught.value.code == "RUN-DISK" and caught.value.where == str(tmp_path / "a") and os.strerror(number) in caught.value.got
    assert (tmp_path / "a").read_bytes() == b"old" and os.listdir(tmp_path) == ["a"]


def test_what_the_dead_left_is_swept(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for name in (f".a.{gone.pid}.tmp", f".a.{os.getpid()}.tmp", f".b.{gone.pid}.tmp", ".a.x.tmp", "a"):
        (tmp_path / name).write_bytes(b"")
    storage.sweep(tmp_path / "a")
    assert sorted(os.listdir(tmp_path)) == sorted([f".a.{os.getpid()}.tmp", f".b.{gone.pid}.tmp", ".a.x.tmp", "a"])


def test_other_errors_pass_as_they_are(tmp_path):
    with pytest.raises(FileNotFoundError):
        storage.atomic_write(tmp_path / "none" / "a", b"")


def test_a_full_device_is_named():
    with pytest.raises(ResourceError) as caught:
        storage.append_line("/dev/full", "x")
    assert caught.value.code == "RUN-DISK"


def test_the_file_and_then_the_folder_are_flushed(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, real=real, name=name: (calls.append(name), real(*a))[1])
    storage.atomic_write(tmp_path / "a", b"x")
    assert calls == ["fsync", "replace", "fsync"]


@pytest.mark.parametrize("seed", range(4))
def test_a_kill_leaves_one_whole_file(seed, tmp_path):
    script = (
        "import sys; sys.modules['torch'] = None\nfrom pathlib import Path; from saccade.storage import atomic_write\n"
        "k = 0\nwhile True:\n    k += 1\n    atomic_write(Path(sys.argv[1]), bytes([k % 256]) * 400_000)\n    print(k, flush=True)"
    )
    child = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "a")], stdout=subprocess.PIPE)
    for _ in range(3 + seed):
        child.stdout.readline()
    time.sleep(0.0007 * seed)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    data = (tmp_path / "a").read_bytes()
    assert len(data) == 400_000 and len(set(data)) == 1


TENSORS = {
    "a": torch.arange(6.0).reshape(2, 3),
    "b": torch.arange(6.0).reshape(2, 3).t(),
    "half": torch.ones(3, dtype=torch.bfloat16),
    "none": torch.zeros(0, 4),
    "one": torch.tensor(7),
    "flag": torch.tensor([True, False]),
}


def test_tensors_come_back_with_their_hash(tmp_path):
    shared = torch.ones(4)
    given = {**TENSORS, "s": shared, "t": shared[:2]}
    digest = storage.save_tensors(tmp_path / "a", given, {"note": "x"})
    read = storage.load_tensors(tmp_path / "a", sha256=digest)
    assert read.keys() == given.keys() and all(read[k].dtype == v.dtype and torch.equal(read[k], v) for k, v in given.items())
    assert storage.sha256_of(read) == storage.sha256_of(given)
    with pytest.raises(ValueError, match="SHA-256"):
        storage.load_tensors(tmp_path / "a", sha256="0" * 64)
    (tmp_path / "a").write_bytes((tmp_path / "a").read_bytes()[:-1])
    with pytest.raises(ValueError, match="a: "):
        storage.load_tensors(tmp_path / "a")


def test_a_type_that_the_format_lacks_is_named(tmp_path):
    with pytest.raises(ValueError, match="z is of the type complex64"):
        storage.save_tensors(tmp_path / "a", {"z": torch.ones(2, dtype=torch.complex64)})
    assert not os.listdir(tmp_path)


def test_equal_tensors_are_equal_files_with_aligned_values(tmp_path):
    metadata = {str(k): "x" for k in range(20)}
    first = storage.save_tensors(tmp_path / "a", TENSORS, metadata)
    assert first == storage.save_tensors(tmp_path / "b", dict(reversed(TENSORS.items())), metadata)
    raw = (tmp_path / "a").read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    assert length % 8 == 0 and header.pop("__metadata__") == metadata
    assert all(entry["data_offsets"][0] % TENSORS[name].element_size() == 0 for name, entry in header.items())


@pytest.mark.parametrize(
    "other",
    [
        {"b": torch.ones(2)},
        {"a": torch.ones(2, 1)},
        {"a": torch.ones(2, dtype=torch.float64)},
        {"a": torch.tensor([1.0, 1.0000001])},
        {"a": torch.ones(2), "b": torch.ones(0)},
    ],
)
def test_the_hash_tells_names_types_shapes_and_values(other):
    assert storage.sha256_of(other) != storage.sha256_of({"a": torch.ones(2)})
    assert storage.sha256_of({"x": torch.ones(1), "y": torch.zeros(1)}) == storage.sha256_of({"y": torch.zeros(1), "x": torch.ones(1)})
