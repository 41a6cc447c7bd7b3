"""What a network begins with besides chance: another model's weights, and which of them stay as they are or learn more slowly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple, cast

from torch import Tensor, nn

from saccade.core import System
from saccade.errors import ModelError, UsageError, nearest

STAGES = ("stages", "layers", "blocks")  # names of a backbone's lists of parts, from the input on
SHOWN = 5


class Taken(NamedTuple):
    """Names of the tensors that were taken over, of those that stay fresh, and of those of the source that found no place."""

    taken: tuple[str, ...]
    fresh: tuple[str, ...]
    unused: tuple[str, ...]


def take(model: System, state: Mapping[str, Tensor], *, heads: bool, where: str) -> Taken:
    """Copies another model's tensors into those of the same name and shape; a backbone under necks and one without are the same.

    heads: whether heads are taken too (of the same classes in the same order). Raises ModelError MODEL-TENSORS when any tensor of
    the backbone is missing or of another shape: a network that is partly chance is never trained silently.
    """
    own = model.state_dict()
    source = {_plain(name): (name, tensor) for name, tensor in state.items()}
    taken, fresh, wrong, body = list[str](), list[str](), list[str](), prefix_of(model)
    for name, tensor in own.items():
        given = source.get(_plain(name))
        if given is None or given[1].shape != tensor.shape or (name.startswith("heads.") and not heads):
            (wrong if name.startswith(body) else fresh).append(name)
        else:
            tensor.copy_(given[1])
            taken.append(name)
    used = {_plain(name) for name in taken}
    unused = tuple(name for plain, (name, _) in source.items() if plain not in used)
    left = [name for name in unused if _plain(name).startswith("backbone.") and not _plain(name).startswith("backbone.necks.")]
    if left and not wrong:
        got = f"{len(left)} tensors of its backbone have no place in this network: {', '.join(left[:SHOWN])}"
        raise ModelError("MODEL-TENSORS", got, where=where, fix="choose the model and arguments that it was trained with, or leave --model out")
    if wrong:
        got = f"{len(wrong)} tensors of the backbone are not in it or have other shapes: {', '.join(wrong[:SHOWN])}"
        raise ModelError("MODEL-TENSORS", got, where=where, fix="choose the model and arguments that it was trained with, or leave --model out")
    return Taken(tuple(taken), tuple(fresh), unused)


def _plain(name: str) -> str:
    """The name without the steps of a backbone inside a chain of necks.

    >>> _plain("backbone.backbone.stages.0.weight")
    'backbone.stages.0.weight'
    """
    return re.sub(r"^(backbone\.)+", "backbone.", name)


def body_of(model: System) -> tuple[str, nn.Module]:
    """The name and the module of the backbone itself, under whatever necks; of a system that has none, no name and the system."""
    if not hasattr(model, "backbone"):
        return "", model
    name, module = "backbone", cast(nn.Module, model.backbone)
    while isinstance(inner := getattr(module, "backbone", None), nn.Module):
        name, module = f"{name}.backbone", inner
    return name, module


def prefix_of(model: System) -> str:
    """What the names of the backbone's parts begin with; of a system without one, nothing: all of it is meant."""
    name = body_of(model)[0]
    return f"{name}." if name else ""


def stages_of(model: System) -> list[str]:
    """The names of the backbone's parts from the input on: the entries of its list of stages, else its children that have weights."""
    (_, module), prefix = body_of(model), prefix_of(model)
    for listed in STAGES:
        parts = getattr(module, listed, None)
        if isinstance(parts, nn.ModuleList | nn.Sequential | nn.ModuleDict):
            first = [f"{prefix}{n}" for n, child in module.named_children() if n != listed and any(True for _ in child.parameters())]
            return [*first, *(f"{prefix}{listed}.{n}" for n, _ in parts.named_children())]
    return [f"{prefix}{n}" for n, child in module.named_children() if any(True for _ in child.parameters())]


def parts_to_freeze(model: System, wanted: str) -> tuple[str, ...]:
    """The module names that "backbone", a number of stages from the input, or names with commas mean. Raises UsageError USE-VALUE."""
    if wanted == "backbone" and prefix_of(model):
        return (body_of(model)[0],)
    stages = stages_of(model)
    if wanted.isdigit():
        if not 1 <= int(wanted) <= len(stages):
            raise UsageError("USE-VALUE", f"{wanted}; the backbone has {len(stages)} stages", where="--freeze")
        return tuple(stages[: int(wanted)])
    names = tuple(part.strip() for part in wanted.split(","))
    known = {name for name, _ in model.named_modules() if name}
    for name in names:
        if name not in known:
            raise UsageError("USE-VALUE", f"{name}; {nearest(name, sorted(known))}, or backbone, or a number of stages", where="--freeze")
    return names


def rates(model: System, backbone_rate: float, layer_decay: float) -> dict[str, float]:
    """{name of a module: factor of its learning rate}: `backbone_rate` for the backbone's last stage, times `layer_decay` for each stage nearer
    the input (Howard and Ruder 2018, section 3.2)."""
    if backbone_rate == 1 and layer_decay == 1:
        return {}
    stages = stages_of(model)
    return {body_of(model)[0]: backbone_rate} | {name: backbone_rate * layer_decay ** (len(stages) - 1 - i) for i, name in enumerate(stages)}
