"""model.saccade: one safetensors file that holds the weights and a JSON card; write, read, refuse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from saccade.core import Inputs, LabelSpace


@dataclass(frozen=True)
class Card:
    """The JSON half of a model file: what the weights are, and how images become inputs and outputs become answers."""

    task: str
    model: str  # architecture id, a key of the literal table in `saccade.models`
    arguments: Mapping[str, Any]  # of the builder
    inputs: Inputs
    spaces: Mapping[str, LabelSpace]
    preprocess: Mapping[str, Any]  # data.preprocess.Preprocess.to_dict()
    postprocess: Mapping[str, Any] = field(default_factory=dict)  # temperature, thresholds by class name, ...
    metrics: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    licence: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    format_version: ClassVar[tuple[int, int]] = (1, 0)
