"""Files that survive a kill and a full disk: atomic writes, strict JSON, tensors with their hash.

Every file that saccade writes and reads again goes through here. A file is there whole or not at all: it is written
beside its place, flushed to the disk and renamed, and the folder's entry is flushed too.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saccade.errors import ResourceError, UsageError

if TYPE_CHECKING:
    import torch

JSON_DEPTH = 64
DISK_ERRORS = frozenset({errno.ENOSPC, errno.EFBIG, errno.EROFS, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EIO})
TENSOR_TYPES: Mapping[str, str] = {  # torch's names and the format's
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64",
    "int32": "I32", "int16": "I16", "int8": "I8", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)  # possessive: an open string must not cost quadratic time
_BRACKETS = re.compile(r"[\[\]{}]")


def refuse_occupied(folder: Path) -> None:
    """Raises UsageError RUN-EXISTS for a place to write to that is a file, or a folder that holds anything."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError("RUN-EXISTS", "it is there and not empty", where=str(folder), fix="choose another --out")


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns the system's errors of a full or read-only disk into `ResourceError("RUN-DISK")`; others pass."""
    try:
        yield
    except OSError as error:
        if error.errno in DISK_ERRORS:
            raise ResourceError("RUN-DISK", os.strerror(error.errno or 0), where=str(path)) from error
        raise


def fsync_dir(folder: Path) -> None:
    """Flushes a folder's entries, so that a file just renamed into it is found after a power loss."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def atomic_write(path: Path, data: bytes | memoryview) -> None:
    """Writes a file whole or not at all; the old content stays until the new one is on the disk.

    Raises ResourceError("RUN-DISK") when the disk is full, read-only or not permitted; no temporary file is left then.
    """
    atomic_write_parts(path, [data])


def atomic_write_parts(path: Path, parts: list[bytes | memoryview]) -> None:
    """`atomic_write` of several pieces one after another, without joining them in memory first."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with disk_errors(path):
        try:
            with open(temporary, "wb") as stream:
                for part in parts:
                    stream.write(part)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, path)
            fsync_dir(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise


def sweep(path: Path) -> None:
    """Removes what processes that are gone left of writing this file."""
    path = Path(path)
    for temporary in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with contextlib.suppress(OSError, ValueError):
            if not _alive(int(temporary.name.split(".")[-2])):
                temporary.unlink()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)  # signal 0 asks, and sends nothing
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def append_line(path: Path, text: str, *, sync: bool = False) -> None:
    """Adds one line by a single write, so that a kill can tear the last line of a file but no other.

    Raises ResourceError("RUN-DISK") when the disk is full, read-only or not permitted.
    """
    with disk_errors(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            line = (text + "\n").encode("utf-8", "backslashreplace")
            written = os.write(descriptor, line)
            while written < len(line):  # a signal or the last free block cut the write short: the rest, or the reason why not
                written += os.write(descriptor, line[written:])
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


def finite(value: Any) -> Any:
    """The same JSON value with null in place of every number that JSON has no word for.

    >>> finite({"loss": float("nan"), "lr": (0.1, float("inf"))})
    {'loss': None, 'lr': [0.1, None]}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def dump_json(value: Any, *, indent: int | None = None) -> str:
    """JSON text in the order given; numbers that are not finite become null, undecodable file names stay escaped."""
    return json.dumps(finite(value), indent=indent, allow_nan=False, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()


def parse_json(text: str | bytes, *, depth: int = JSON_DEPTH) -> Any:
    """Strict JSON: a key twice, NaN, Infinity, a number beyond a float, and nesting below `depth` are refused.

    Raises ValueError saying what was met.

    >>> parse_json('{"a": 1, "a": 2}')
    Traceback (most recent call last):
    ...
    ValueError: the key 'a' is there twice
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")  # UnicodeDecodeError is a ValueError
    if _deeper(text, depth):
        raise ValueError(f"nested deeper than {depth}")
    return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite_float)


def _deeper(text: str, depth: int) -> bool:
    """Whether brackets outside strings are nested below `depth`, found without recursion and no further than need be."""
    level = 0
    for bracket in _BRACKETS.finditer(_STRINGS.sub("", text)):
        level += 1 if bracket[0] in "[{" else -1
        if level > depth:
            return True
    return False


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise ValueError(f"the key {key[:80]!r} is there twice")
        made[key] = value
    return made


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:20]} is out of range")
    return value


def write_json(path: Path, value: Any) -> None:
    """A JSON file, atomically, keys in the order given; numbers that are not finite become null."""
    atomic_write(path, (dump_json(value, indent=1) + "\n").encode())


def read_json(path: Path) -> Any:
    """A JSON file, strictly. Raises ValueError naming the file, and OSError when it cannot be read."""
    try:
        return parse_json(Path(path).read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def sha256_of(tensors: Mapping[str, torch.Tensor]) -> str:
    """Hex SHA-256 over names, types, shapes and bytes in the order of the names: equal weights, equal hash."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}\0{str(tensor.dtype).removeprefix('torch.')}\0{tuple(tensor.shape)}\0".encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def _bytes(tensor: torch.Tensor) -> memoryview:
    """The values as they lie in memory, little-endian, row by row."""
    import torch

    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data if flat.numel() else memoryview(b"")


def serialise(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None) -> list[bytes | memoryview]:
    """The pieces of a safetensors file: equal tensors and metadata give equal bytes, which the format's own library does not promise.

    Layout: 8 bytes, the header's length; the header as JSON, padded with spaces to a multiple of 8; the values, widest type
    first and by name, so that each is aligned. Storage that two names share is written twice.
    Raises ValueError for a type that the format does not have.
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    parts: list[bytes | memoryview] = [b""]
    place = 0
    for name in sorted(tensors, key=lambda name: (-tensors[name].element_size(), name)):
        tensor, kind = tensors[name], str(tensors[name].dtype).removeprefix("torch.")
        if kind not in TENSOR_TYPES:
            raise ValueError(f"{name} is of the type {kind}; expected one of {', '.join(TENSOR_TYPES)}")
        values = _bytes(tensor)
        header[name] = {"dtype": TENSOR_TYPES[kind], "shape": list(tensor.shape), "data_offsets": [place, place + values.nbytes]}
        parts.append(values)
        place += values.nbytes
    text = dump_json(header).encode()
    text += b" " * (-len(text) % 8)
    parts[0] = len(text).to_bytes(8, "little") + text
    return parts


def save_tensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None) -> str:
    """Writes a safetensors file atomically and returns the hex SHA-256 of the file's bytes.

    Raises ResourceError("RUN-DISK") when it cannot be written, ValueError for a type that the format does not have.
    """
    parts, digest = serialise(tensors, metadata), hashlib.sha256()
    for part in parts:
        digest.update(part)
    atomic_write_parts(path, parts)
    return digest.hexdigest()


def load_tensors(path: Path, *, sha256: str = "") -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file; with `sha256`, only when the file's bytes have that hash.

    Raises ValueError when the file is damaged or another one, and OSError when it cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    data = Path(path).read_bytes()
    got = hashlib.sha256(data).hexdigest()
    if sha256 and got != sha256:
        raise ValueError(f"{path}: the SHA-256 is {got[:12]}..., expected {sha256[:12]}...")
    try:
        return load(data)
    except SafetensorError as error:
        raise ValueError(f"{path}: {error}") from error
