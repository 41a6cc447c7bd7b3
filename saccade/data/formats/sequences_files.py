"""Frames of a sequence in a file of their own: NumPy (.npy), MATLAB (.mat up to version 7), numbers with commas (.csv), sound (.wav), a folder of pictures."""

from __future__ import annotations

import io
import math
import os
import posixpath
from typing import Any

import numpy as np

from saccade.data.formats.sounds import sound_frames
from saccade.data.formats.source import Source, natural
from saccade.data.formats.stored import Clip
from saccade.errors import DataError

VARIABLE = "frames"  # of a MATLAB file that has several
NUMBERS = (".npy", ".mat", ".csv", ".wav")


def frames_at(source: Source, near: str, path: str) -> np.ndarray | Clip:
    """The frames that a line names: numbers (T, D) float64, a row a frame, or a clip; relative to the folder of the file `near`.

    Raises DataError ANN-SEQ for what is not there, leaves the data folder, or holds no frames; ANN-UNREADABLE.
    """
    relative = posixpath.normpath(posixpath.join(posixpath.dirname(near), path.replace("\\", "/")))
    place, root = os.path.realpath(source.root / relative), os.path.realpath(source.root)
    if relative.startswith(("/", "../")) or (not source.wishes.follow and not place.startswith(root + os.sep)):
        raise DataError("ANN-SEQ", f"{path[:200]} leaves the data folder")
    if os.path.isdir(place):
        images = sorted((name for name in source.listing.files if posixpath.dirname(name) == relative), key=natural)
        if not images:
            raise DataError("ANN-SEQ", f"there is no picture in {path[:200]}")
        return Clip(tuple(source.root / image for image in images), source.wishes.max_pixels)
    suffix = posixpath.splitext(relative)[1].lower()
    if suffix not in NUMBERS or not os.path.isfile(place):
        raise DataError("ANN-SEQ", f"{path[:200]} is neither a folder of pictures nor a file ({', '.join(NUMBERS)})")
    return numbers_of(source.content(relative), path)


def numbers_of(content: bytes, path: str) -> np.ndarray:
    """(T, D) float64, a row a frame, of the content of a file of numbers, told by its suffix. Raises DataError ANN-SEQ."""
    return _as_rows({".npy": npy, ".mat": mat, ".csv": csv, ".wav": sound_frames}[posixpath.splitext(path)[1].lower()](content), path)


def narrow(wide: np.ndarray) -> np.ndarray:
    """As float32. Raises DataError ANN-SEQ for a number beyond it."""
    if np.abs(wide).max() > np.finfo(np.float32).max:
        raise DataError("ANN-SEQ", f"{wide.flat[int(np.abs(wide).argmax())]:g} is beyond what is kept (float32)")
    return wide.astype(np.float32)


def _as_rows(values: np.ndarray, path: str) -> np.ndarray:
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or not values.size or values.dtype.kind not in "biuf":
        raise DataError("ANN-SEQ", f"{path[:200]} holds {values.dtype} {values.shape}, expected numbers (frames, features)")
    rows = values.astype(np.float64)
    if not np.isfinite(rows).all():
        raise DataError("ANN-SEQ", f"{path[:200]}: frame {int(np.argwhere(~np.isfinite(rows))[0, 0])} holds something that is not a number")
    return rows


def npy(content: bytes) -> np.ndarray:
    """An array of numbers as NumPy writes it; objects are refused, and a size that the file does not have. Raises DataError ANN-SEQ."""
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
    except Exception as error:  # a header is a Python literal, and a damaged one fails in many ways
        raise DataError("ANN-SEQ", f"no NumPy file: {error}"[:200]) from error
    body = content[stream.tell() :]
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(body):
        raise DataError("ANN-SEQ", f"a NumPy file of {dtype} {shape} with {len(body):,} bytes")
    return np.frombuffer(body, dtype).reshape(shape, order="F" if fortran else "C")


def mat(content: bytes) -> np.ndarray:
    """The variable `frames` of a MATLAB file, or its only matrix of numbers. Raises DataError ANN-SEQ."""
    from scipy.io import loadmat

    try:
        held: dict[str, Any] = loadmat(io.BytesIO(content))
    except Exception as error:  # its reader raises whatever a damaged file leads it to
        raise DataError("ANN-SEQ", f"no MATLAB file of version 4 to 7: {error}"[:200], fix="save it with -v7") from error
    numbers = {name: value for name, value in held.items() if not name.startswith("__") and isinstance(value, np.ndarray) and value.dtype.kind in "biuf"}
    if VARIABLE in numbers:
        return numbers[VARIABLE]
    if len(numbers) != 1:
        raise DataError("ANN-SEQ", f"the variables {', '.join(numbers) or 'none'}; expected one matrix, or one called {VARIABLE}")
    return next(iter(numbers.values()))


def csv(content: bytes) -> np.ndarray:
    """Numbers with commas, semicolons, tabs or blanks between them, a line a frame; a first line of names is left out. Raises DataError ANN-SEQ."""
    try:
        lines = [line for line in content.decode("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise DataError("ANN-SEQ", "the numbers are no UTF-8 text") from error
    mark = next((sign for sign in ("\t", ";", ",") if lines and sign in lines[0]), None)
    rows = []
    for place, line in enumerate(lines):
        try:
            rows.append([float(part) for part in line.split(mark)])
        except ValueError:
            if place:
                raise DataError("ANN-SEQ", f"line {place + 1} holds something that is not a number") from None
    if len({len(row) for row in rows}) > 1:
        raise DataError("ANN-SEQ", f"lines of {sorted({len(row) for row in rows})} numbers")
    return np.array(rows, np.float64)
