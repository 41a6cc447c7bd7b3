"""model.saccade: one safetensors file that holds the weights and a JSON card; write, read, refuse.

The metadata has two strings: `saccade`, the card, and `sha256`, the hash of the card's text; the card holds the hash of
the tensors. Reading goes from cheap to dear, and everything but the weights is checked before they are read:

    first bytes -> header -> card -> version -> architecture -> its shapes, built without memory -> bytes -> hash -> finite

No code comes out of a model file: the architecture is a name of our own literal table, its arguments are JSON values.
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import torch
from torch import nn
from torch.nn.modules import module as torch_module

from saccade.core import Inputs, LabelSpace, System
from saccade.errors import ModelError
from saccade.storage import atomic_write_parts, dump_json, finite, parse_json, serialise, sha256_of
from saccade.tensorfile import METADATA_BYTES, Entry, Header, open_safely, read_header, read_tensors

SIDE, CHANNELS, CLASSES = 65_536, 4_096, 100_000
LISTED = 5  # tensors that a message names


@dataclass(frozen=True)
class Card:
    """The JSON half of a model file: what the weights are, and how images become inputs and outputs become answers."""

    task: str
    model: str  # architecture id, a key of the literal table in `saccade.models`
    arguments: Mapping[str, Any]  # of the builder
    inputs: Inputs
    spaces: Mapping[str, LabelSpace]
    preprocess: Mapping[str, Any]  # data.preprocess.Preprocess.to_dict()
    postprocess: Mapping[str, Any] = field(default_factory=dict)  # inference.postprocess.Postprocess.to_dict()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    licence: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)
    saccade: str = ""  # the version that wrote the file
    sha256: str = ""  # of the tensors: storage.sha256_of

    format_version: ClassVar[tuple[int, int]] = (1, 0)

    def to_dict(self) -> dict[str, Any]:
        """The card as JSON values."""
        values = {
            "format": list(self.format_version),
            "saccade": self.saccade,
            "task": self.task,
            "model": self.model,
            "arguments": dict(self.arguments),
            "inputs": self.inputs._asdict(),
            "spaces": {head: space.to_dict() for head, space in self.spaces.items()},
            "preprocess": dict(self.preprocess),
            "postprocess": dict(self.postprocess),
            "metrics": dict(self.metrics),
            "fingerprint": self.fingerprint,
            "licence": self.licence,
            "extra": dict(self.extra),
            "sha256": self.sha256,
        }
        return cast(dict[str, Any], finite(values))

    @classmethod
    def from_dict(cls, stored: Any) -> Self:
        """The card of its JSON values; a name that a later 1.x release added is left out.

        Raises ValueError naming the field that is missing, of another type or out of range.
        """
        card = _table(stored, "card")
        fields: dict[str, Any] = {name: _text(card, name) for name in ("task", "model", "fingerprint", "licence", "saccade", "sha256")}
        fields |= {name: _table(card.get(name), name) for name in ("arguments", "preprocess", "postprocess", "metrics", "extra")}
        fields["spaces"] = {head: _space(space) for head, space in _table(card.get("spaces"), "spaces").items()}
        return cls(inputs=_inputs(_table(card.get("inputs"), "inputs")), **fields)


@dataclass(frozen=True)
class Bundle:
    """A model as it was read: the network in eval mode on the CPU, and its card."""

    model: System
    card: Card


def write(path: Path | str, system: nn.Module, card: Card) -> Card:
    """Writes a model file, whole or not at all, and returns its card with the version and the hash of the weights.

    Raises ValueError when the card could not be read again or is larger than 1 MB; ResourceError("RUN-DISK") when the file
    cannot be written.
    """
    state = system.state_dict()
    full = replace(card, saccade=version("saccade"), sha256=sha256_of(state))
    text = dump_json(full.to_dict())
    Card.from_dict(parse_json(text))  # what is written can be read
    if len(text) + 128 > METADATA_BYTES:
        raise ValueError(f"the card has {len(text)} characters; expected at most {METADATA_BYTES - 128}")
    atomic_write_parts(Path(path), serialise(state, {"saccade": text, "sha256": _hash(text)}))
    return full


def model_file(path: Path | str) -> Path:
    """The model file itself, or that of the run's folder."""
    return Path(path) / "model.saccade" if Path(path).is_dir() else Path(path)


def read_card(path: Path | str) -> Card:
    """The card alone; no weights are read. Raises ModelError as `read` does."""
    with open_safely(Path(path)) as stream:
        return _card(read_header(stream, str(path)), str(path))


def verify(path: Path | str) -> Card:
    """The card of a model file that passes every check of `read`."""
    return read(path).card


def read(path: Path | str, *, allow_nan: bool = False) -> Bundle:
    """The network and its card.

    Raises ModelError: MODEL-MISSING, -UNSAFE, -CORRUPT, -NEWER, -ARCH, -ARGS, -CLASSES, -TENSORS, -HASH, and -NAN
    unless `allow_nan`.
    """
    where = str(path)
    with open_safely(Path(path)) as stream:
        header = read_header(stream, where)
        card = _card(header, where)
        model = _build(card, header, where)
        _check_shapes(model, header.entries, card, where)
        tensors = read_tensors(stream, header, where)
    if sha256_of(tensors) != card.sha256:
        raise ModelError("MODEL-HASH", f"the weights' SHA-256 is {sha256_of(tensors)[:12]}..., the card's {card.sha256[:12]}...", where=where)
    if not allow_nan:
        _check_finite(tensors, where)
    return Bundle(_filled(model, tensors, card), card)


def _card(header: Header, where: str) -> Card:
    text = header.metadata.get("saccade")
    if text is None:
        raise ModelError("MODEL-CORRUPT", "a safetensors file without saccade's card", where=where)
    if header.metadata.get("sha256") != _hash(text):
        raise ModelError("MODEL-HASH", "the card's SHA-256 is not the one stored with it", where=where)
    try:
        stored = _table(parse_json(text), "card")
        _check_version(stored, where)
        return Card.from_dict(stored)
    except ValueError as error:
        raise ModelError("MODEL-CORRUPT", f"the card: {error}", where=where) from error


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _check_version(stored: Mapping[str, Any], where: str) -> None:
    made = stored.get("format")
    if not isinstance(made, list) or len(made) != 2 or not all(type(n) is int and n >= 0 for n in made) or made[0] < 1:
        raise ValueError(f"format is {str(made)[:40]}; expected [major, minor]")
    if made[0] > Card.format_version[0]:
        writer = str(stored.get("saccade", "of a later year"))[:40]
        raise ModelError("MODEL-NEWER", f"format {made[0]}.{made[1]}, needs saccade >= {writer}; this is {version('saccade')}", where=where)


def _build(card: Card, header: Header, where: str) -> System:
    """The network without memory for its weights, and never with more parameters than the file has."""
    from saccade.models.table import skeleton  # here, so that reading a card does not load every architecture

    if len(card.spaces) != 1:
        raise ModelError("MODEL-CLASSES", f"{len(card.spaces)} lists of class names; expected 1", where=where)
    space = next(iter(card.spaces.values()))
    try:
        with _parameter_budget(header.entries):
            return skeleton(card.task, card.model, card.inputs, space, card.arguments, stored=True)
    except ModelError as error:
        raise ModelError(error.code, error.got, where=where) from error
    except Exception as error:  # whatever else a builder throws at arguments that are not its own
        raise ModelError("MODEL-ARGS", f"{card.model}: {str(error)[:300] or type(error).__name__}", where=where) from error


def _filled(model: System, tensors: Mapping[str, torch.Tensor], card: Card) -> System:
    """The network with its weights. Buffers that the arguments alone determine are in no file; then it is built once more, with memory."""
    from saccade.models.table import build

    model.load_state_dict(tensors, strict=True, assign=True)
    if any(tensor.is_meta for tensor in chain(model.parameters(), model.buffers())):
        with torch.random.fork_rng(devices=[]):
            model = build(card.task, card.model, card.inputs, next(iter(card.spaces.values())), card.arguments, stored=True)
        model.load_state_dict(tensors, strict=True)
    return model.eval().requires_grad_(False)


@contextmanager
def _parameter_budget(entries: Mapping[str, Entry]) -> Iterator[None]:
    """Stops a network under construction in this thread when it has more parameters than the file could fill.

    Twice the file's numbers are allowed, so that a model that is merely another one is told by its tensors.
    """
    thread, tensors = threading.get_ident(), 2 * len(entries) + 64
    values = 2 * sum(math.prod(entry.shape) for entry in entries.values()) + 1_000_000
    left = {"tensors": tensors, "values": values}

    def count(owner: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        if parameter is None or threading.get_ident() != thread:
            return
        left["tensors"] -= 1
        left["values"] -= parameter.numel()
        if min(left.values()) < 0:
            raise ValueError(f"more than {tensors} tensors or {values} numbers, and the file has half of that")

    hook = torch_module.register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


def _check_shapes(model: nn.Module, entries: Mapping[str, Entry], card: Card, where: str) -> None:
    """The file's tensors are those of the architecture, by name, type and shape."""
    expected = model.state_dict()
    classes = {len(space) for space in card.spaces.values()}
    wrong: list[str] = []
    heads: list[str] = []
    for name in [*expected, *(name for name in entries if name not in expected)]:
        if name not in entries:
            wrong.append(f"{name} is missing")
        elif name not in expected:
            wrong.append(f"{name} is not of this architecture")
        elif (got := entries[name]).shape != (want := tuple(expected[name].shape)) or got.dtype != expected[name].dtype:
            difference = f"{name} is {_described(got.dtype, got.shape)}, expected {_described(expected[name].dtype, want)}"
            only_classes = len(got.shape) == len(want) and all(a == b or b in classes for a, b in zip(got.shape, want, strict=True))
            (heads if only_classes and got.shape != want else wrong).append(difference)
    if wrong:
        listed = wrong + heads
        more = f"; and {len(listed) - LISTED} more" if len(listed) > LISTED else ""
        raise ModelError("MODEL-TENSORS", "; ".join(listed[:LISTED]) + more, where=where)
    if heads:
        raise ModelError("MODEL-CLASSES", f"{'/'.join(map(str, sorted(classes)))} names, but {heads[0]}", where=where)


def _described(kind: torch.dtype, shape: tuple[int, ...]) -> str:
    return f"{str(kind).removeprefix('torch.')} {list(shape)}"


def _check_finite(tensors: Mapping[str, torch.Tensor], where: str) -> None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ModelError("MODEL-NAN", f"{name} has {int((~torch.isfinite(tensor)).sum())} of {tensor.numel()}", where=where)


def _table(stored: Any, name: str) -> dict[str, Any]:
    if not isinstance(stored, dict):
        raise ValueError(f"{name} is {str(stored)[:40]!r}; expected a table")
    return stored


def _text(card: Mapping[str, Any], name: str) -> str:
    if not isinstance(card.get(name), str):
        raise ValueError(f"{name} is {str(card.get(name))[:40]!r}; expected text")
    return str(card[name])


def _space(stored: Any) -> LabelSpace:
    table = _table(stored, "spaces")
    names, background = table.get("names"), table.get("background")
    if not isinstance(names, list) or len(names) > CLASSES or not all(isinstance(n, str) and n and "\0" not in n for n in names):
        raise ValueError(f"class names are {str(names)[:60]}; expected at most {CLASSES} texts")
    if background is not None and not (type(background) is int and 0 <= background < len(names)):
        raise ValueError(f"background is {str(background)[:40]}; expected null or the id of a class")
    more: dict[str, Any] = {}
    for name in ("keypoints", "relations", "colours"):
        more[name] = _texts(table.get(name, []), name)
    for name in ("skeleton", "pairs"):
        more[name] = _places(table.get(name, []), name)
    return LabelSpace(tuple(names), background, **more)


def _texts(values: Any, name: str) -> tuple[str, ...]:
    if not isinstance(values, list) or len(values) > CLASSES or not all(isinstance(value, str) for value in values):
        raise ValueError(f"{name} are {str(values)[:60]}; expected texts")
    return tuple(values)


def _places(values: Any, name: str) -> tuple[tuple[int, int], ...]:
    right = isinstance(values, list) and len(values) <= CLASSES
    if not right or not all(isinstance(pair, list) and len(pair) == 2 and all(type(k) is int for k in pair) for pair in values):
        raise ValueError(f"{name} are {str(values)[:60]}; expected pairs of whole numbers")
    return tuple((a, b) for a, b in values)


def _inputs(stored: Mapping[str, Any]) -> Inputs:
    channels, size = stored.get("channels"), stored.get("size")
    if type(channels) is not int or not 1 <= channels <= CHANNELS:
        raise ValueError(f"inputs.channels is {str(channels)[:40]}; expected 1 to {CHANNELS}")
    if not isinstance(size, list) or len(size) != 2 or not all(type(n) is int and 1 <= n <= SIDE for n in size):
        raise ValueError(f"inputs.size is {str(size)[:40]}; expected two sides of 1 to {SIDE}")
    for name, least in (("mean", -math.inf), ("std", 0.0)):
        values = stored.get(name)
        if not isinstance(values, list) or len(values) != channels or not all(type(v) in (int, float) and v > least for v in values):
            raise ValueError(f"inputs.{name} is {str(values)[:40]}; expected {channels} numbers{' above 0' if name == 'std' else ''}")
    return Inputs(channels, (size[0], size[1]), tuple(map(float, stored["mean"])), tuple(map(float, stored["std"])))
