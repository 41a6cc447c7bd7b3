"""Sounds as sequences: one folder of .wav files a class, perhaps inside train, val and test; a frame every 10 ms (`ops.sound`).

Files that lie in no class folder have no label. Several channels are averaged.
"""

from __future__ import annotations

import io
import os
import posixpath
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from saccade.core import LabelSpace, Record
from saccade.data.formats.source import SPLITS, Found, Source, natural
from saccade.data.image import content_hash
from saccade.errors import DataError, Problem
from saccade.ops.sound import BANDS, frames_of_sound, log_mel
from saccade.targets import Label

SUFFIX = ".wav"
LONGEST_S = 4 * 3600


class Form(NamedTuple):
    """Channels, bytes a sample, samples a second, and samples a channel of a file."""

    channels: int
    width: int
    rate: int
    samples: int

    @property
    def shape(self) -> tuple[int, int]:
        """(T, 40) of the frames."""
        return frames_of_sound(self.samples, self.rate), BANDS


@dataclass(frozen=True)
class Sound:
    """A file of sound; stands where the array of a sequence does. `load` gives (T, 40) float32."""

    path: Path
    form: Form

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.path,)

    @property
    def shape(self) -> tuple[int, int]:
        return self.form.shape

    def load(self) -> np.ndarray:
        """Raises DataError ANN-SEQ, ANN-UNREADABLE, IMG-CHANGED."""
        found = sound_frames(Source(self.path.parent, self.path.name).content(self.path.name))
        if found.shape != self.shape:
            raise DataError("IMG-CHANGED", f"{len(found)} frames, {self.shape[0]} when it was listed", where=str(self.path))
        return found

    def tobytes(self) -> bytes:
        """What the content is known by."""
        return content_hash(self.path).encode()


def form_of(stream: wave.Wave_read) -> Form:
    """Raises DataError ANN-SEQ for a form that is not read."""
    form = Form(stream.getnchannels(), stream.getsampwidth(), stream.getframerate(), stream.getnframes())
    if not (1 <= form.channels <= 64 and form.width in (1, 2, 3, 4) and 100 <= form.rate <= 1_000_000):
        raise DataError("ANN-SEQ", f"{form.channels} channels of {8 * form.width} bits at {form.rate} Hz", fix="write it as 16-bit PCM")
    if not 1 <= form.samples <= LONGEST_S * form.rate:
        raise DataError("ANN-SEQ", f"{form.samples:,} samples at {form.rate} Hz; 1 to {LONGEST_S // 3600} hours are taken")
    return form


def opened(content: bytes) -> wave.Wave_read:
    """A file's reader. Raises DataError ANN-SEQ for what is no wave file of plain numbers."""
    try:
        return wave.open(io.BytesIO(content))
    except (wave.Error, EOFError, RuntimeError) as error:
        raise DataError("ANN-SEQ", f"no wave file of plain numbers (PCM): {error or 'it ends too early'}"[:200], fix="write it as 16-bit PCM") from error


def sound_frames(content: bytes) -> np.ndarray:
    """(T, 40) float32 of the content of a .wav file of 8 to 32 bits PCM. Raises DataError ANN-SEQ."""
    with opened(content) as stream:
        form = form_of(stream)
        data = stream.readframes(form.samples)
    each = form.channels * form.width
    if len(data) < each * form.samples:
        raise DataError("ANN-SEQ", f"the sound ends after {len(data) // each:,} of {form.samples:,} samples")
    return log_mel(_samples(data, form), form.rate)


def _samples(data: bytes, form: Form) -> np.ndarray:
    """(n,) in [-1, 1], the mean of the channels. One byte is unsigned, more are signed, the lowest first."""
    if form.width == 1:
        values = np.frombuffer(data, np.uint8).astype(np.float64) - 128
    elif form.width == 3:
        parts = np.frombuffer(data, np.uint8).reshape(-1, 3)
        values = np.pad(parts, ((0, 0), (1, 0))).reshape(-1, 4).copy().view("<i4")[:, 0].astype(np.float64) / 256
    else:
        values = np.frombuffer(data, f"<i{form.width}").astype(np.float64)
    return np.asarray(values.reshape(-1, form.channels).mean(1) / 2.0 ** (8 * form.width - 1))


def listed(source: Source) -> Iterator[str]:
    """The .wav files of the folder at any depth, hidden ones and links left out."""
    for folder in ("", *source.listing.folders):
        with os.scandir(source.root / folder) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.name.lower().endswith(SUFFIX) and entry.is_file(follow_symlinks=False):
                    yield posixpath.join(folder, entry.name)


def detect(source: Source) -> list[str] | None:
    """The sounds of a folder that has no pictures, of which some lie in class folders."""
    if source.only or source.listing.files:
        return None
    names = sorted(listed(source), key=natural)
    return names if any(place_of(name)[1] for name in names) else None


def place_of(name: str) -> tuple[str | None, str | None]:
    """The split and the class that a file's folders say.

    >>> place_of("train/dog/1.wav"), place_of("dog/old/1.wav"), place_of("test/1.wav"), place_of("1.wav")
    (('train', 'dog'), (None, 'dog'), ('test', None), (None, None))
    """
    folders = name.split("/")[:-1]
    split = SPLITS.get(folders[0].lower()) if folders else None
    rest = folders[1:] if split else folders
    return split, rest[0] if rest else None


def load(source: Source, plan: list[str]) -> Found:
    """A record a file; those that are no readable sound are problems ANN-SEQ. Their numbers are read when they are needed."""
    classes = sorted({found for name in plan if (found := place_of(name)[1])}, key=natural)
    space, problems, records = LabelSpace(tuple(classes)), list[Problem](), list[Record]()
    arrays: dict[str, list[Sound]] = {}
    seconds = 0.0
    for name in plan:
        try:
            form = _form(source, name)
        except DataError as error:
            problems.append(Problem(error.code, name, error.got))
            continue
        held, (split, label) = arrays.setdefault(posixpath.basename(name), []), place_of(name)
        target = Label(space.index(label)) if label else None
        records.append(Record(name, source.root / name, len(held), {"label": target}, split))
        held.append(Sound(source.root / name, form))
        seconds += form.samples / form.rate
    reason = f"{len(records):,} sounds (.wav) in {len(classes)} class folders, {seconds:,.0f} s"
    return Found(records, {"label": space}, reason, problems + source.listing.problems, dict(arrays))


def _form(source: Source, name: str) -> Form:
    """By the beginning of the file, which is not read as a whole."""
    try:
        with open(source.root / name, "rb") as stream:
            try:
                with wave.open(stream) as sound:
                    return form_of(sound)
            except (wave.Error, EOFError, RuntimeError) as error:
                raise DataError("ANN-SEQ", f"no wave file of plain numbers (PCM): {error or 'it ends too early'}"[:200]) from error
    except OSError as error:
        raise DataError("ANN-UNREADABLE", error.strerror or str(error)) from error
