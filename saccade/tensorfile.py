"""The header of a safetensors file, read by its own strict rules before a byte of the weights is touched.

Layout (https://github.com/huggingface/safetensors#format): 8 bytes N, unsigned little-endian; N bytes of JSON, padded with
spaces; the data. The JSON maps every name to its type, shape and place in the data, and `__metadata__` to strings.
Files that run code when they are opened (pickle, zip, HDF5, joblib) are known by their first bytes and refused.
"""

from __future__ import annotations

import math
import os
import re
import stat
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

from saccade.errors import ModelError
from saccade.storage import TENSOR_TYPES, parse_json

HEADER_BYTES = 4_000_000
METADATA_BYTES = 1_000_000
TENSORS = 20_000
DATA_BYTES = 64 * 2**30
AXES = 8
DTYPES: Mapping[str, torch.dtype] = {kind: getattr(torch, name) for name, kind in TENSOR_TYPES.items()}
UNSAFE_SUFFIXES = (".pth", ".pt", ".ckpt", ".pkl", ".pickle", ".joblib", ".h5", ".hdf5", ".keras", ".npy", ".npz", ".bin", ".zip")
MAGICS = {
    b"PK\x03\x04": "zip (as torch.save writes)",
    b"PK\x05\x06": "empty zip",
    b"\x89HDF\r\n\x1a\n": "HDF5",
    b"\x93NUMPY": "NumPy",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x04\x22\x4d\x18": "lz4",
    b"\x28\xb5\x2f\xfd": "zstandard",
    b"x\x01": "zlib (as joblib writes)",
    b"x^": "zlib (as joblib writes)",
    b"x\x9c": "zlib (as joblib writes)",
    b"x\xda": "zlib (as joblib writes)",
}
_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,256}")


@dataclass(frozen=True)
class Entry:
    """One tensor's type, shape and place: bytes begin..end of the data."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """What a file says of its tensors, checked: the places tile the data without a hole or an overlap."""

    entries: Mapping[str, Entry]
    metadata: Mapping[str, str]
    data: int  # place of the first data byte in the file
    size: int  # of the file, bytes


def open_safely(path: Path) -> BinaryIO:
    """The file for reading, when it is a regular file whose name and first bytes are not those of a file that runs code.

    Raises ModelError MODEL-MISSING or MODEL-UNSAFE.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would block for ever
            raise ModelError("MODEL-MISSING", "not a regular file", where=str(path))
        stream = open(path, "rb")
    except (OSError, ValueError) as error:
        raise ModelError("MODEL-MISSING", getattr(error, "strerror", None) or str(error), where=str(path)) from error
    kind = _unsafe_kind(Path(path), stream)
    if kind:
        stream.close()
        raise ModelError("MODEL-UNSAFE", kind, where=str(path))
    return stream


def _unsafe_kind(path: Path, stream: BinaryIO) -> str:
    if path.suffix.lower() in UNSAFE_SUFFIXES:
        return f"the name ends in {path.suffix}"
    start = stream.read(512)
    stream.seek(0)
    if start[4:9] == b"\0\0\0\0{":  # a length of less than 4 GB, then JSON: its low bytes may look like anything
        return ""
    for magic, kind in MAGICS.items():
        if start.startswith(magic):
            return kind
    if start[:1] == b"\x80" and start[1:2] <= b"\x08":
        return f"pickle, protocol {start[1] if len(start) > 1 else '?'}"
    if start[257:262] == b"ustar":
        return "tar"
    if start[:1] in (b"(", b"c", b"]", b"}", b"i", b"I", b"S") and start[:64].isascii():
        return "pickle, protocol 0"
    return ""


def read_header(stream: BinaryIO, where: str) -> Header:
    """The checked header. Raises ModelError MODEL-CORRUPT naming the tensor and what is wrong with it."""
    size = os.fstat(stream.fileno()).st_size
    start = stream.read(8)
    if len(start) < 8:
        raise _corrupt(where, f"the file has {len(start)} bytes, the shortest model file has more than 8")
    (length,) = struct.unpack("<Q", start)
    if not 2 <= length <= min(HEADER_BYTES, size - 8):
        raise _corrupt(where, f"the header's length is {length}; expected 2 to {min(HEADER_BYTES, size - 8)}")
    text = stream.read(length)
    if text.count(b'"dtype"') > TENSORS:
        raise _corrupt(where, f"more than {TENSORS} tensors")
    try:
        stored = parse_json(text, depth=4)
    except (ValueError, RecursionError) as error:
        raise _corrupt(where, f"the header is not strict JSON: {error}") from error
    if not isinstance(stored, dict):
        raise _corrupt(where, "the header is not a JSON object")
    metadata = _metadata(stored.pop("__metadata__", {}), where)
    if len(stored) > TENSORS:
        raise _corrupt(where, f"{len(stored)} tensors; expected at most {TENSORS}")
    entries = {name: _entry(name, value, where) for name, value in stored.items()}
    _check_tiling(entries, size - 8 - length, where)
    return Header(entries, metadata, 8 + length, size)


def _corrupt(where: str, got: str) -> ModelError:
    return ModelError("MODEL-CORRUPT", got, where=where)


def _metadata(stored: Any, where: str) -> dict[str, str]:
    if not isinstance(stored, dict) or not all(isinstance(value, str) for value in stored.values()):
        raise _corrupt(where, "__metadata__ is not a table of strings")
    total = sum(len(key) + len(value) for key, value in stored.items())
    if total > METADATA_BYTES:
        raise _corrupt(where, f"__metadata__ has {total} characters; expected at most {METADATA_BYTES}")
    return stored


def _entry(name: str, stored: Any, where: str) -> Entry:
    if not _NAME.fullmatch(name) or ".." in name:
        raise _corrupt(where, f"the tensor name {name[:80]!r} has other characters than letters, digits, _ - and single dots")
    if not isinstance(stored, dict) or set(stored) != {"dtype", "shape", "data_offsets"}:
        raise _corrupt(where, f"tensor {name}: expected dtype, shape and data_offsets")
    kind, shape, offsets = stored["dtype"], stored["shape"], stored["data_offsets"]
    if not isinstance(kind, str) or kind not in DTYPES:
        raise _corrupt(where, f"tensor {name}: the type {str(kind)[:40]!r} is not one of {', '.join(DTYPES)}")
    if not isinstance(shape, list) or len(shape) > AXES or not all(_is_size(n) for n in shape):
        raise _corrupt(where, f"tensor {name}: the shape {str(shape)[:80]} is not a list of at most {AXES} sizes")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(_is_size(n) for n in offsets):
        raise _corrupt(where, f"tensor {name}: the offsets {str(offsets)[:80]} are not two places")
    begin, end = offsets
    needed = math.prod(shape) * DTYPES[kind].itemsize  # Python's integers do not overflow
    if end - begin != needed:
        raise _corrupt(where, f"tensor {name}: {end - begin} bytes at {begin} to {end}, but {kind} {shape} needs {needed}")
    return Entry(DTYPES[kind], tuple(shape), begin, end)


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**62


def _check_tiling(entries: Mapping[str, Entry], data_bytes: int, where: str) -> None:
    place = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != place:
            raise _corrupt(where, f"tensor {name}: begins at {entry.begin}, but the one before it ends at {place}")
        place = entry.end
    if place != data_bytes:
        last = max(entries, key=lambda name: entries[name].end, default="(none)")
        raise _corrupt(where, f"tensor {last}: the data should end at {place} bytes, but the file has {data_bytes}")
    if place > DATA_BYTES:
        raise _corrupt(where, f"{place} bytes of tensors; expected at most {DATA_BYTES}")


def read_tensors(stream: BinaryIO, header: Header, where: str) -> dict[str, torch.Tensor]:
    """The tensors of a checked header. Raises ModelError MODEL-CORRUPT when the file became shorter meanwhile."""
    data = bytearray(header.size - header.data)
    stream.seek(header.data)
    got = stream.readinto(data)  # type: ignore[attr-defined]
    if got != len(data):
        raise _corrupt(where, f"{got} bytes of tensors could be read of {len(data)}")
    return {name: _tensor(data, entry) for name, entry in header.entries.items()}


def _tensor(data: bytearray, entry: Entry) -> torch.Tensor:
    if entry.begin == entry.end:
        return torch.empty(entry.shape, dtype=entry.dtype)
    own = bytearray(memoryview(data)[entry.begin : entry.end])  # its own memory: aligned, and freed with the tensor
    if entry.dtype == torch.bool:
        return torch.frombuffer(own, dtype=torch.uint8).ne(0).reshape(entry.shape)
    return torch.frombuffer(own, dtype=entry.dtype).reshape(entry.shape)
