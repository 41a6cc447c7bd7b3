"""Sequences in, answers out: one result for each input, in their order, whatever the threads do and wherever it was begun.

Batch k holds inputs k B to (k + 1) B - 1 without those that cannot be read, and is as long as its longest sequence; a job that goes on after a kill reads all
of the batch that it stopped in once more, so that every sequence meets the same neighbours again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from saccade.core import EMPTY, Batch, LabelSpace, Model, Record
from saccade.data.loader import Loader
from saccade.errors import DataError
from saccade.inference.predict import Predictor, Result
from saccade.inference.ribbons import drawn_sequence
from saccade.inference.sequence_files import SequenceReader
from saccade.inference.sources import Input


class SequencePredictor(Predictor):
    """A model file of sequences made ready to answer. Raises as `Predictor`."""

    CHANNELS = None

    @property
    def pictures(self) -> bool:
        """Whether its frames are pictures."""
        return self.preprocess.size[1] > 1

    def reader(self) -> SequenceReader:
        """Reads what the model takes."""
        return SequenceReader(self.channels, self.preprocess.size[1], self.preprocess.size[0])

    def of_batch(self, batch: Batch, drawn: bool) -> Iterator[tuple[str, Any, np.ndarray | None]]:
        """(id, answer, picture or None) of every sequence of a batch."""
        inputs, sizes = batch.inputs.to(self.mode.device), batch.sizes.to(self.mode.device)
        with torch.inference_mode(), self.mode.autocast():
            if not drawn or not isinstance(self.model, Model):  # several that answer as one have no hidden states in common
                answers, states = self.model.predict(inputs, sizes, batch.meta)[self.head], None
            else:
                network: Any = self.model.heads[self.head]
                out = self.model.outputs(inputs, sizes)[self.head]
                answers = network.decode(out, batch.meta)
                states = network.hidden_states(out) if getattr(network, "states", 1) > 1 and hasattr(network, "hidden_states") else None
        finished = self.postprocess.apply(answers, self.space)
        for i, (meta, answer) in enumerate(zip(batch.meta, finished, strict=True)):
            picture = None
            if drawn:
                h, w = batch.sizes[i].tolist()
                column = batch.inputs[i, :, :h, :w].permute(1, 2, 0).numpy()
                picture = drawn_sequence(column, answer, None if states is None else states[i], self.space)
            yield meta.id, answer, picture


class _Files:
    """The inputs as a `core.Dataset` without truths; why an input cannot be read is kept."""

    name, fingerprint = "sequences", ""
    spaces: Mapping[str, LabelSpace] = EMPTY

    def __init__(self, inputs: Sequence[Input], reader: SequenceReader) -> None:
        self.inputs, self.reader, self.channels = inputs, reader, reader.channels
        self.records = [Record(item.id, item.path) for item in inputs]
        self.errors: dict[int, DataError] = {}

    def __len__(self) -> int:
        return len(self.inputs)

    def read(self, i: int, size: tuple[int, int] | None = None) -> np.ndarray:
        try:
            return self.reader.read(self.inputs[i])
        except DataError as error:
            self.errors[i] = error
            raise

    def size(self, i: int) -> tuple[int, int]:
        h, w = self.read(i).shape[:2]
        return h, w

    def truth(self, i: int) -> dict[str, Any]:
        return {}

    def subset(self, indices: Sequence[int]) -> _Files:
        return _Files([self.inputs[i] for i in indices], self.reader)


def predict_sequences(
    predictor: SequencePredictor, inputs: Sequence[Input], *, batch: int = 32, workers: int = 2, done: int = 0, drawn: bool = False
) -> Iterator[list[Result]]:
    """The results of the inputs from number `done` on, in order, a batch at a time; with `drawn` each with its picture.

    What is given does not depend on `workers` (threads that read), nor on `done`; `batch` may change the last digits. Raises UsageError USE-VALUE.
    """
    files = _Files(inputs, predictor.reader())
    places = {item.id: place for place, item in enumerate(inputs)}
    loader = Loader(files, predictor.preprocess, batch_size=batch, threads=workers, cache_bytes=0)
    told = done

    def until(stop: int, found: Mapping[int, tuple[Any, np.ndarray | None]]) -> Iterator[list[Result]]:
        """The results up to an input, a batch at a time; those that nothing was found for could not be read."""
        nonlocal told
        while told < stop:
            end = min(told // batch * batch + batch, stop)
            yield [Result(inputs[p], found[p][0], picture=found[p][1]) if p in found else Result(inputs[p], None, files.errors[p]) for p in range(told, end)]
            told = end

    for part in loader.epoch(0, start=done // batch) if done < len(inputs) else ():
        first = places[part.meta[0].id] // batch * batch
        yield from until(first, {})  # batches of which nothing could be read are not among those of the loader
        yield from until(min(first + batch, len(inputs)), {places[name]: (answer, picture) for name, answer, picture in predictor.of_batch(part, drawn)})
    yield from until(len(inputs), {})
