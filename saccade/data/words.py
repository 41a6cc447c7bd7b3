"""Documents as vectors of word counts: the tokeniser, the vocabulary that is learnt from the training part, and the numbers of a document.

A word is a run of two letters or more, in lower case (`str.casefold`); digits, signs and single letters are none, and nothing is stemmed or stopped.

>>> words_of("The cat's 2 cats sat; the CAT did not.")
['the', 'cat', 'cats', 'sat', 'the', 'cat', 'did', 'not']
>>> vocabulary = Vocabulary.learnt(["a cat and a cat", "the cat and the dog"], most=3)
>>> vocabulary.words, [round(n, 3) for n in vocabulary.numbers("cat, cat and bird").tolist()]
(('cat', 'and', 'the'), [1.099, 0.693, 0.0])
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from saccade.data.dataset import ImageDataset
from saccade.data.image import content_hash
from saccade.errors import DataError, ModelError, unknown_name

Scale = Literal["log", "tfidf"]
MOST = 2000  # words of a vocabulary where nothing is said
WIDEST = 4096  # words, as many as channels an input may have
LARGEST = 1 << 24  # bytes of a document
_WORD = re.compile(r"[^\W\d_]{2,}")


def words_of(text: str) -> list[str]:
    """The words of a text, in order."""
    return _WORD.findall(text.casefold())


@dataclass(frozen=True)
class Vocabulary:
    """The words that are counted, the most frequent first, and what becomes of their counts.

    scale: log, ln(1 + count); or tfidf, the count times ln((1 + n) / (1 + d)) + 1 of the n training documents and the d that have the word, each
    document's numbers then divided by the root of the sum of their squares (Salton and Buckley 1988; smoothed as if one more document had every word).
    weights: the factors of tfidf, none for log.
    """

    words: tuple[str, ...]
    scale: Scale = "log"
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        sound = 1 <= len(self.words) <= WIDEST and len(set(self.words)) == len(self.words) and all(isinstance(word, str) for word in self.words)
        weighed = len(self.weights) == (len(self.words) if self.scale == "tfidf" else 0)
        if not sound or not weighed or self.scale not in ("log", "tfidf") or not np.isfinite(self.weights).all():
            got = f"{len(self.words)} words, scale {self.scale}, {len(self.weights)} weights"
            raise ModelError("MODEL-ARGS", f"preprocess vocabulary: {got}; expected 1 to {WIDEST} words, each once, log, or tfidf with a weight each")

    @classmethod
    def learnt(cls, texts: Iterable[str], *, most: int = MOST, scale: Scale = "log") -> Self:
        """The most frequent words of these texts; of equally frequent ones the first of the alphabet. Raises DataError DATA-SMALL without any word."""
        counts, documents, n = Counter[str](), Counter[str](), 0
        for text in texts:
            found = words_of(text)
            counts.update(found)
            documents.update(set(found))
            n += 1
        words = tuple(sorted(counts, key=lambda word: (-counts[word], word))[:most])
        if not words:
            raise DataError("DATA-SMALL", f"{n} documents without a word", fix="give texts with words of two letters or more")
        weights = tuple(round(float(np.log((1 + n) / (1 + documents[word])) + 1), 6) for word in words)
        return cls(words, scale, weights if scale == "tfidf" else ())

    def counted(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """The places (k,) of the words that a text has, ascending, and their counts (k,) float32."""
        places = self._places
        found = Counter(place for word in words_of(text) if (place := places.get(word)) is not None)
        kept = np.array(sorted(found), np.int32)
        return kept, np.array([found[int(place)] for place in kept], np.float32)

    def scaled(self, places: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """The numbers (k,) float32 of counted words."""
        if self.scale == "log":
            return np.asarray(np.log1p(counts), np.float32)
        values = counts * np.array(self.weights, np.float32)[places]
        length = float(np.sqrt((values.astype(np.float64) ** 2).sum()))
        return np.asarray(values / length if length else values, np.float32)

    def numbers(self, text: str) -> np.ndarray:
        """(N,) float32 of a text."""
        places, counts = self.counted(text)
        found = np.zeros(len(self.words), np.float32)
        found[places] = self.scaled(places, counts)
        return found

    @property
    def _places(self) -> Mapping[str, int]:
        held: dict[str, int] | None = self.__dict__.get("_table")
        if held is None:
            held = {word: place for place, word in enumerate(self.words)}
            object.__setattr__(self, "_table", held)
        return held

    def to_dict(self) -> dict[str, Any]:
        return {"words": list(self.words), "scale": self.scale, "weights": list(self.weights)}

    @classmethod
    def from_dict(cls, stored: Any) -> Self:
        """Raises ModelError MODEL-ARGS."""
        names = ("words", "scale", "weights")
        if not isinstance(stored, Mapping) or unknown_name(stored, names) or not all(isinstance(stored.get(name), list) for name in ("words", "weights")):
            raise ModelError("MODEL-ARGS", f"preprocess vocabulary is {str(stored)[:60]}, expected a table of {', '.join(names)}")
        if not all(isinstance(weight, int | float) for weight in stored["weights"]):
            raise ModelError("MODEL-ARGS", "preprocess vocabulary: weights are numbers")
        return cls(tuple(stored["words"]), stored.get("scale", "log"), tuple(float(weight) for weight in stored["weights"]))


@dataclass(frozen=True)
class Document:
    """A text in a file of its own, or a cell of a table; stands where the array of a picture does. Before it is counted it is the number of its words."""

    path: Path
    cell: str | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        return (self.path,)

    @property
    def shape(self) -> tuple[int, int, int]:
        return 1, 1, 1

    def text(self) -> str:
        """Raises DataError ANN-UNREADABLE for a file that cannot be read, is larger than 16 MB or not in UTF-8."""
        if self.cell is not None:
            return self.cell
        try:
            with open(self.path, "rb") as stream:
                content = stream.read(LARGEST + 1)
            if len(content) > LARGEST:
                raise DataError("ANN-UNREADABLE", f"a document of more than {LARGEST:,} bytes", where=str(self.path))
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError("ANN-UNREADABLE", f"no text in UTF-8: {error.reason}", where=str(self.path), fix="save it as UTF-8") from error
        except OSError as error:
            raise DataError("ANN-UNREADABLE", error.strerror or str(error), where=str(self.path)) from error

    def load(self) -> np.ndarray:
        """(1, 1, 1) float32. Raises DataError as `text` does."""
        return np.full(self.shape, len(words_of(self.text())), np.float32)

    def tobytes(self) -> bytes:
        """What the content is known by."""
        return self.cell.encode("utf-8", "surrogateescape") if self.cell is not None else content_hash(self.path).encode()


@dataclass(frozen=True)
class WordCounts:
    """A document in the words of a vocabulary; stands where the array of a picture does. `load` gives (1, 1, N), which is nought but for a few places."""

    document: Document
    width: int
    places: np.ndarray
    values: np.ndarray

    @property
    def paths(self) -> tuple[Path, ...]:
        return self.document.paths

    @property
    def shape(self) -> tuple[int, int, int]:
        return 1, 1, self.width

    def load(self) -> np.ndarray:
        found = np.zeros(self.shape, np.float32)
        found[0, 0, self.places] = self.values
        return found

    def tobytes(self) -> bytes:
        """What the content is known by."""
        return self.document.tobytes()


def has_documents(dataset: Any) -> bool:
    """Whether the records are texts that are not counted yet."""
    held = list(getattr(dataset, "arrays", {}).values())
    return bool(held) and all(isinstance(each, list) and all(isinstance(one, Document) for one in each[:1]) for each in held)


def learnt_from(dataset: ImageDataset, *, most: int = MOST, scale: Scale = "log") -> Vocabulary:
    """The vocabulary of the records of a data set of documents: give it the training part alone. Raises DataError ANN-UNREADABLE, DATA-SMALL."""
    return Vocabulary.learnt((_document(dataset, record).text() for record in dataset.records), most=most, scale=scale)


def in_words(dataset: ImageDataset, vocabulary: Vocabulary | None, *, where: str = "") -> ImageDataset:
    """The data set with its documents as vectors of a vocabulary's words; without a vocabulary, any other data set as it is.

    Raises DataError DATA-TASK for documents without a vocabulary and for a vocabulary without documents, ANN-UNREADABLE.
    """
    documents = has_documents(dataset)
    if vocabulary is None and not documents:
        return dataset
    if vocabulary is None:
        raise DataError(
            "DATA-TASK", "the data are documents, and the model knows no words", where=where, fix="give it what it was trained on, pictures or numbers"
        )
    if not documents:
        raise DataError(
            "DATA-TASK", "the model takes documents, and the data are none", where=where, fix="give a folder of .txt files, or a table with a column text"
        )
    arrays: dict[str, list[Any]] = {name: list(held) for name, held in dataset.arrays.items()}
    for record in dataset.records:
        document = _document(dataset, record)
        places, counts = vocabulary.counted(document.text())
        arrays[record.path.name][record.index or 0] = WordCounts(document, len(vocabulary.words), places, vocabulary.scaled(places, counts))
    return replace(dataset, arrays=arrays, channels=len(vocabulary.words))


def _document(dataset: ImageDataset, record: Any) -> Document:
    held = dataset.arrays[record.path.name][record.index or 0]
    assert isinstance(held, Document), "counted already"
    return held
