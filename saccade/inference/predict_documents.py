"""Classes of documents by a model that counts words: texts in, labels out, by the same passes as pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from saccade.bundle import Bundle
from saccade.core import Geometry, Meta
from saccade.data.formats.documents import TEXT
from saccade.data.formats.source import natural
from saccade.data.tiles import Kept
from saccade.data.words import Document
from saccade.errors import UsageError
from saccade.inference.predict import Part, Predictor
from saccade.inference.sources import Found


class DocumentPredictor(Predictor):
    """A model file of documents made ready to answer. Raises as `Predictor`, and UsageError USE-VALUE for a model of codes."""

    CHANNELS = None

    def __init__(self, bundle: Bundle, **options: Any) -> None:
        super().__init__(bundle, **options)
        if self.head == "image":
            raise UsageError("USE-VALUE", f"{bundle.card.model} gives codes of documents", where="MODEL", fix="ask for them: saccade embed MODEL DATA")

    def read(self, part: Part, out: np.ndarray, kept: Kept) -> Meta:
        """The numbers of one document into every pixel of `out` (h, w, N), which has one where the network is of vectors. Raises DataError ANN-UNREADABLE."""
        assert self.preprocess.vocabulary is not None
        out[:] = self.preprocess.vocabulary.numbers(Document(part.item.path).text())
        return Meta(part.item.id, (1, 1), Geometry.resize((1, 1), self.preprocess.size))


def documents_in(folder: Path) -> Found:
    """The .txt files of a folder at any depth, in natural order, hidden ones and links left out."""
    found = []
    for inside, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(inside, name) for name in names if not name.startswith(".") and name.lower().endswith(TEXT)]
    return sorted((path.relative_to(folder).as_posix() for path in found if path.is_file() and not path.is_symlink()), key=natural), []
