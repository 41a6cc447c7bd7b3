"""`add-class MODEL NAME IMAGES`: one more class for a trained classifier, its other rows bit for bit as they were.

Only the new row of the last layer is learnt, which is a convex problem of some features (`training.last_layer.one_more`). With `--replay`
examples of the old classes say where the new one ends, and the forgetting of every old class is measured on images kept out of it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field

from saccade import bundle
from saccade.bundle import Bundle, Card
from saccade.core import LabelSpace, Model, Record
from saccade.data.check import check
from saccade.data.dataset import ImageDataset
from saccade.data.loader import Loader
from saccade.data.open import open_dataset
from saccade.data.preprocess import Preprocess
from saccade.data.split import make_split
from saccade.errors import DataError, Problem, UsageError
from saccade.inference.sources import expand
from saccade.jobs.evaluate import fitted, placed
from saccade.jobs.prepare import with_head
from saccade.models.table import build
from saccade.targets import Label
from saccade.training.engine import set_threads
from saccade.training.last_layer import DEFAULT_PENALTY, Examples, examples_of, last_layer, one_more, recalls

HEAD = "label"
FEWEST = 2  # images of the new class


class AddClassOptions(BaseModel):
    """What a user may say of a class that is added."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    replay: Annotated[str | None, Field(description="data of the old classes: without them nothing tells where the new class ends")] = None
    keep: Annotated[float, Field(gt=0, lt=1, description="share of the replay that is kept aside to measure what is forgotten")] = 0.5
    penalty: Annotated[float, Field(gt=0, description="on the squared weights of the new row")] = DEFAULT_PENALTY
    format: Annotated[str | None, Field(description="the layout of the replay, instead of finding out")] = None
    seed: Annotated[int, Field(ge=0, description="of what is kept aside")] = 0
    device: Annotated[str, Field(description="auto, cpu, cuda, cuda:0 ...")] = "auto"
    threads: Annotated[int | None, Field(ge=1, description="of the network")] = None


@dataclass(frozen=True)
class Added:
    """The new model file, how many images it learnt from, and what became of each class.

    classes: {name: {"images", "before", "after"}}: recalls on replay images that the new row never saw; "before" is None for the new class,
    whose recall is of the images that it was learnt from. measured: whether there was a replay to measure by.
    """

    path: Path
    name: str
    images: int
    replayed: int
    classes: dict[str, dict[str, Any]]
    failed: tuple[Problem, ...] = ()

    @property
    def measured(self) -> bool:
        return self.replayed > 0

    @property
    def forgetting(self) -> float | None:
        """The mean recall that the old classes lost; None where nothing measures it."""
        losses = [row["before"] - row["after"] for row in self.classes.values() if row["before"] is not None]
        return sum(losses) / len(losses) if losses else None

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        known = {"path": str(self.path), "name": self.name, "images": self.images, "replayed": self.replayed}
        return {**known, "classes": self.classes, "forgetting": self.forgetting, "failed": [error.to_dict() for error in self.failed]}

    def text(self) -> str:
        """For people."""
        lines = [f"{self.name}: learnt from {self.images} images, {self.replayed} replayed; the other rows are as they were"]
        lines += [f"{error.code}  {error.where}: {error.got}" for error in self.failed[:10]]
        if not self.measured:
            return "\n".join([*lines, "What the old classes lost is not known: name some of their images with --replay to keep it small and have it measured."])
        lines += [f"{'class':<32}{'images':>8}{'before':>9}{'after':>9}"]
        for name, row in self.classes.items():
            before = "-" if row["before"] is None else f"{row['before']:.3f}"
            lines.append(f"{name[:31]:<32}{row['images']:>8}{before:>9}{row['after']:>9.3f}")
        return "\n".join([*lines, f"mean loss of the old classes' recall: {self.forgetting or 0:.4f}"])


def run_add_class(
    model: Path, name: str, images: str | Path | Sequence[str | Path], options: AddClassOptions | None = None, *, out: Path | None = None
) -> Added:
    """Adds a class to a classifier and writes the new model file (default: <model>_<name>.saccade beside it).

    Raises ModelError; UsageError USE-VALUE for a class that is there already, RUN-EXISTS for a file that is; DataError DATA-SMALL, DATA-MISSING.
    """
    chosen = options or AddClassOptions()
    set_threads(chosen.threads)
    file = bundle.model_file(model)
    found = bundle.read(file)
    space = found.card.spaces.get(HEAD)
    if space is None:
        raise UsageError("USE-VALUE", f"{model} is a model of {found.card.task}", where="MODEL", fix="classes can be added to classifiers")
    if not name.strip() or name in space.names:
        raise UsageError("USE-VALUE", f"{name!r}; the model knows {', '.join(space.names[:20])}", where="NAME", fix="give a new name")
    target = out or file.with_name(f"{file.parent.name if file.name == 'model.saccade' else file.stem}_{name}.saccade")
    if target.exists():
        raise UsageError("RUN-EXISTS", str(target), where="--out")
    network, autocast = placed(found, chosen.device)
    last_layer(network, HEAD)
    with autocast:
        new, failed = _features_of(found, network, images, chosen)
        learn, measure = _replay(found, network, chosen)
    row, bias = one_more(last_layer(network, HEAD).weight.cpu(), last_layer(network, HEAD).bias.cpu(), new, learn, penalty=chosen.penalty)
    grown = _grown(found, space, name, row, bias)
    bundle.write(target, grown.model, grown.card)
    return Added(target, name, len(new), 0 if learn is None else len(learn.truth), _told(network, grown, new, measure, space, name), tuple(failed))


def _features_of(found: Bundle, network: Model, images: Any, chosen: AddClassOptions) -> tuple[torch.Tensor, list[Problem]]:
    """(n, d) features of the new class's images, and what was wrong with those that cannot be read. Raises DataError DATA-SMALL."""
    inputs = expand(images)
    preprocess = Preprocess.from_dict(found.card.preprocess)
    records = tuple(Record(item.id, item.path, None, {HEAD: Label(0)}) for item in inputs.items)
    root = Path(os.path.commonpath([item.path.resolve().parent for item in inputs.items]))
    spaces, shape = {HEAD: LabelSpace(("new",))}, {"channels": found.card.inputs.channels, "value_range": preprocess.value_range}
    loader = Loader(ImageDataset("new", root, "files", "named", records, spaces, **shape), preprocess, batch_size=32, cache_bytes=0)  # type: ignore[arg-type]
    new = examples_of(network, loader.epoch(0), head=HEAD).features
    if len(new) < FEWEST:
        raise DataError("DATA-SMALL", f"{len(new)} images of the new class can be read, {FEWEST} are needed", where=str(images))
    return new, [*inputs.problems, *loader.problems]


def _replay(found: Bundle, network: Model, chosen: AddClassOptions) -> tuple[Examples | None, Examples | None]:
    """Examples of the old classes to learn by, and others to measure by; none without a replay."""
    if chosen.replay is None:
        return None, None
    report = check(with_head(open_dataset(chosen.replay, format=chosen.format), HEAD), near=False)
    report.gate(0.05, allow_leak=True, learning=False)
    dataset = fitted(report.dataset, found, chosen.replay)
    split = make_split(dataset, test=None, val=chosen.keep, seed=chosen.seed)
    learn, measure = (_examples(dataset, places, found, network) for places in (split.train, split.val))
    return learn, measure


def _examples(dataset: ImageDataset, places: Sequence[int], found: Bundle, network: Model) -> Examples:
    loader = Loader(dataset.subset(places), Preprocess.from_dict(found.card.preprocess), batch_size=32, cache_bytes=0)
    return examples_of(network, loader.epoch(0), head=HEAD)


def _grown(found: Bundle, space: LabelSpace, name: str, row: torch.Tensor, bias: float) -> Bundle:
    """The model with one more class: its other rows, and all else, in the same bytes."""
    card = found.card
    classes = LabelSpace((*space.names, name), space.background)
    arguments = dict(card.arguments)
    if arguments.get("class_weights") is not None:
        arguments["class_weights"] = [*arguments["class_weights"], 1.0]
    model = build(card.task, card.model, card.inputs, classes, arguments)
    state = {key: tensor.cpu() for key, tensor in found.model.state_dict().items()}
    prefix = f"heads.{HEAD}.output."
    state[f"{prefix}weight"] = torch.cat([state[f"{prefix}weight"], row[None].to(state[f"{prefix}weight"].dtype)])
    state[f"{prefix}bias"] = torch.cat([state[f"{prefix}bias"], torch.tensor([bias], dtype=state[f"{prefix}bias"].dtype)])
    model.load_state_dict(state)
    post = {**card.postprocess, "thresholds": dict(card.postprocess.get("thresholds", {}))}
    extra = {**card.extra, "added": [*card.extra.get("added", []), name]}
    new = Card(**{**vars(card), "spaces": {HEAD: classes}, "arguments": arguments, "postprocess": post, "metrics": {}, "extra": extra, "sha256": ""})
    return Bundle(model.eval(), new)


def _told(network: Model, grown: Bundle, new: torch.Tensor, measure: Examples | None, space: LabelSpace, name: str) -> dict[str, dict[str, Any]]:
    """What became of each class, by the old layer and the new one."""
    old, after = last_layer(network, HEAD), last_layer(_network(grown), HEAD)
    k = len(space)
    own = Examples(new, torch.full((len(new),), k), ())
    right, n = recalls(own, after.weight, after.bias, [k])[k]
    rows: dict[str, dict[str, Any]] = {}
    if measure is not None:
        before = recalls(measure, old.weight.cpu(), old.bias.cpu(), range(k))
        later = recalls(measure, after.weight, after.bias, range(k))
        rows = {space.names[i]: {"images": m, "before": hit / m, "after": later[i][0] / m} for i, (hit, m) in before.items() if m}
    return rows | {name: {"images": n, "before": None, "after": right / n}}


def _network(found: Bundle) -> Model:
    assert isinstance(found.model, Model)
    return found.model
