"""Model files for tests: good ones, and ones whose header, card or weights were tampered with and made consistent again."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import torch

from saccade import bundle, storage
from saccade.bundle import Card
from saccade.core import Inputs, LabelSpace, Model
from saccade.data.preprocess import Preprocess
from saccade.models.table import build

SPACE = LabelSpace(("cat", "dog", "owl"))
INPUTS = Inputs(1, (16, 16), (0.5,), (0.25,))
ARGUMENTS = {"widths": [4, 8], "blocks": [1, 1]}


def tiny_model(seed: int = 0) -> Model:
    """A network of about two thousand parameters, in eval mode, whose norms have statistics that are not the initial ones."""
    state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    model = build("classify", "small", INPUTS, SPACE, ARGUMENTS)
    for _ in range(3):
        model.train().outputs(torch.rand(8, 1, 16, 16), torch.tensor([[16, 16]] * 8))
    torch.random.set_rng_state(state)
    return model.eval()


def tiny_card(**changed: Any) -> Card:
    fields: dict[str, Any] = {
        "task": "classify",
        "model": "small",
        "arguments": ARGUMENTS,
        "inputs": INPUTS,
        "spaces": {"label": SPACE},
        "preprocess": Preprocess((16, 16), 1).to_dict(),
        "postprocess": {"temperature": 1.5, "thresholds": {}},
        "metrics": {"accuracy": {"value": 0.5, "low": 0.4, "high": 0.6, "n": 90}},
        "licence": "CC0-1.0",
    }
    return Card(**{**fields, **changed})


def write_tiny(path: Path, **changed: Any) -> Path:
    bundle.write(path, tiny_model(), tiny_card(**changed))
    return path


def split_file(path: Path) -> tuple[dict[str, Any], bytes]:
    """Header and data of a safetensors file."""
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def join_file(path: Path, header: Any, data: bytes = b"") -> Path:
    """A file of any header (bytes as they are, else JSON) and data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def tamper_card(path: Path, change: Any) -> Path:
    """The file with its card changed in place by `change(card)` (or replaced by what it returns) and hashed again."""
    header, data = split_file(path)
    card = json.loads(header["__metadata__"]["saccade"])
    changed = change(card)
    text = changed if isinstance(changed, str) else json.dumps(card)
    header["__metadata__"] = {"saccade": text, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    return join_file(path, header, data)


def tamper_tensors(path: Path, change: Any) -> Path:
    """The file with its tensors changed by `change(tensors)`, and the hashes made to fit."""
    tensors = storage.load_tensors(path)
    change(tensors)
    header, _ = split_file(path)
    card = json.loads(header["__metadata__"]["saccade"]) | {"sha256": storage.sha256_of(tensors)}
    text = json.dumps(card)
    storage.save_tensors(path, tensors, {"saccade": text, "sha256": hashlib.sha256(text.encode()).hexdigest()})
    return path
