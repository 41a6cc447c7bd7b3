"""`saccade summary`: the layer table of a model file, a run, or a network by name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from saccade import bundle, storage
from saccade.core import Inputs, LabelSpace, System
from saccade.errors import UsageError, nearest
from saccade.jobs.options import network_settings
from saccade.models.summary import Summary, summarise
from saccade.models.table import MODELS, build
from saccade.tasks import find_task

PHOTOGRAPH = (480, 640)


class SummaryOptions(BaseModel):
    """What a user may say of a summary."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Annotated[str | None, Field(description="channels,height,width of the input; default that of the model")] = None
    classes: Annotated[int, Field(ge=1, description="classes of a network by name")] = 1000
    set: Annotated[tuple[str, ...], Field(description="an argument of a network by name, such as width=0.5")] = ()


def run_summary(model: str | Path, options: SummaryOptions | None = None, *, csv: Path | None = None) -> Summary:
    """The layers of a model file, of a run's model, or of a network by its name with fresh weights; written as a table to `csv` where given.

    Raises ModelError for a file that is no sound model, UsageError USE-VALUE for a name or an input that is not possible, RUN-DISK.
    """
    chosen = options or SummaryOptions()
    network, inputs = _by_name(str(model), chosen) if _is_name(model) else _from_file(Path(model), chosen)
    try:
        found = summarise(network, inputs)
    except (ValueError, RuntimeError) as error:
        raise UsageError("USE-VALUE", f"{inputs.size[0]}x{inputs.size[1]}: {error}", where="--input", fix="choose the size the network was made for") from error
    if csv is not None:
        with storage.disk_errors(csv):
            csv.parent.mkdir(parents=True, exist_ok=True)
        storage.atomic_write(csv, found.to_csv().encode())
    return found


def _is_name(model: str | Path) -> bool:
    """Whether a network is meant rather than a path; what is neither is an error that lists the networks."""
    if Path(model).exists():
        return False
    names = {name for models in MODELS.values() for name in models}
    if str(model) in names:
        return True
    raise UsageError("USE-VALUE", f"{model} is no file, no run and no network", where="MODEL", fix=nearest(str(model), sorted(names)))


def _by_name(name: str, options: SummaryOptions) -> tuple[System, Inputs]:
    task = next(task for task, models in MODELS.items() if name in models)
    channels, size = _shape(options.input) if options.input else (3, find_task(task).size(name, PHOTOGRAPH))
    inputs = Inputs(channels, size, (0.5,) * channels, (0.25,) * channels)
    space = LabelSpace(tuple(str(i) for i in range(options.classes)))
    return build(task, name, inputs, space, network_settings(options.set)), inputs


def _from_file(path: Path, options: SummaryOptions) -> tuple[System, Inputs]:
    found = bundle.read(bundle.model_file(path))
    if options.set:
        raise UsageError("USE-VALUE", f"set={', '.join(options.set)}", where="--set", fix="a model file has its arguments already; give a network by name")
    inputs = found.card.inputs
    if options.input:
        channels, size = _shape(options.input)
        if channels != inputs.channels:
            raise UsageError("USE-VALUE", f"{channels} channels, the model takes {inputs.channels}", where="--input")
        inputs = inputs._replace(size=size)
    return found.model, inputs


def _shape(text: str) -> tuple[int, tuple[int, int]]:
    """Channels and (h, w) of "3,224,224". Raises UsageError USE-VALUE."""
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise UsageError("USE-VALUE", text, where="--input", fix="give channels,height,width, such as 3,224,224")
    channels, height, width = (int(part) for part in parts)
    return channels, (height, width)
