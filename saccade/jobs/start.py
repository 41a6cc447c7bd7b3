"""What a training begins with: chance, another model of saccade (`--from`), or published weights (`--weights`)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saccade import bundle
from saccade.bundle import Card
from saccade.core import Estimated, Inputs, Model, System
from saccade.errors import UsageError, nearest
from saccade.models import weights
from saccade.models.arguments import defaults
from saccade.models.table import MODELS, settled
from saccade.tasks import Task
from saccade.training.recipe import Recipe
from saccade.training.run_folder import RunFolder
from saccade.training.transfer import parts_to_freeze, rates, take

if TYPE_CHECKING:
    from saccade.jobs.options import TrainOptions
    from saccade.jobs.plan import Chooser, Plan

SOURCES = {"imagenet": weights.IMAGENET, "coco": {**weights.SEGMENTATION, **weights.DETECTION}}
"""Published weights by the name of their data: {network: file}."""


@dataclass(frozen=True)
class Source:
    """Where the first weights come from. card: of the model file; model: the network that is meant where the user names none."""

    path: Path | None = None
    card: Card | None = None
    weights: str | None = None
    task: str = ""

    @property
    def same_task(self) -> bool:
        return self.card is not None and self.card.task == self.task

    @property
    def encoder(self) -> tuple[str, dict[str, Any]] | None:
        """The network of this task whose backbone is the encoder of the model file, and its arguments; None where the file learnt no codes,
        and where this task has no such network."""
        if self.card is None or self.same_task or self.card.task != "represent":
            return None
        built = settled("represent", self.card.model, self.card.arguments)
        name = "small" if built.get("kind") == "convolutional" else "mlp"
        if name not in MODELS[self.task] or not built.get("hidden"):
            return None
        return name, {key: built[key] for key in defaults(MODELS[self.task][name]) if key in built}

    @property
    def model(self) -> str | None:
        """The network of the model file, where it is one of this task, or the one with the file's encoder."""
        if self.card is None:
            return None
        return self.card.model if self.same_task else self.encoder[0] if self.encoder is not None else None

    @property
    def why(self) -> str:
        return f"the network of {self.path}" if self.same_task else f"the encoder of {self.path}" if self.encoder is not None else ""

    def size(self, model: str) -> tuple[int, int] | None:
        """The input that the weights know, where the network is that of the model file."""
        return self.card.inputs.size if self.card is not None and self.model == model else None

    def recipe(self, ours: Recipe, model: str) -> Recipe:
        """The recipe with the arguments that the model file was built with, where the network is that of the model file."""
        if self.card is not None and self.encoder is not None and self.encoder[0] == model:
            return replace(ours, arguments={**ours.arguments, **self.encoder[1]}, why=f"as {self.path} was built")
        if self.card is None or self.model != model:
            return ours
        kept = {k: v for k, v in self.card.arguments.items() if k != "class_weights"}
        return replace(ours, arguments=kept, why=f"as {self.path} was built")

    def inputs(self, channels: int, size: tuple[int, int], model: str) -> Inputs | None:
        """The inputs with the constants that the weights expect. Raises UsageError USE-VALUE for pictures of other channels."""
        if self.card is not None:
            if channels != self.card.inputs.channels:
                got = f"{self.path} takes {self.card.inputs.channels} channels, the pictures have {channels}"
                raise UsageError("USE-VALUE", got, where="--from", fix="convert the pictures, or train without --from")
            return self.card.inputs._replace(size=size)
        if self.weights is not None:
            mean, std = weights.constants(model, channels)
            return Inputs(channels, size, mean, std)
        return None

    def start(self, options: TrainOptions, choose: Chooser, model: System) -> dict[str, Any]:
        """What the plan stores: where the weights come from, what is frozen, the rates, and how the last layer is fitted."""
        factor = float(choose("backbone_rate", 1.0))
        decay = float(choose("layer_decay", 1.0))
        fit = choose("fit", "loop")
        if fit != "loop" and not isinstance(model, Model):
            raise UsageError("USE-OPTION", "this model has no last layer that could be fitted alone", where="--fit", fix="leave --fit out")
        frozen = list(parts_to_freeze(model, options.freeze)) if options.freeze is not None else []
        choose.origins["freeze"] = "user" if frozen else "default"
        found: dict[str, Any] = {"fit": fit, "freeze": frozen, "backbone_rate": factor, "layer_decay": decay, "rates": rates(model, factor, decay)}
        if self.path is not None and self.card is not None:
            found |= {"from": str(self.path), "from_sha256": self.card.sha256}
        if self.weights is not None:
            found["weights"] = self.weights
        return found


def source_of(options: TrainOptions, task: Task[Any]) -> Source:
    """What the options begin with. Raises ModelError for a file that is no sound model, UsageError USE-VALUE for unknown published weights."""
    if options.from_ is not None:
        path = bundle.model_file(options.from_)
        return Source(path.resolve(), bundle.read_card(path), task=task.name)
    if options.weights is None:
        return Source(task=task.name)
    if options.weights not in SOURCES:
        raise UsageError(
            "USE-VALUE", f"{options.weights}; {nearest(options.weights, SOURCES)}", where="--weights", fix="give a model file of saccade by --from"
        )
    name = options.model or next(iter(task.models))
    if name not in SOURCES[options.weights]:
        listed = ", ".join(sorted(set(SOURCES[options.weights]) & set(task.models)))
        got = f"there are no {options.weights} weights of {name}"
        raise UsageError("USE-VALUE", got, where="--weights", fix=f"choose --model {listed}" if listed else "no network of this task has any")
    return Source(weights=options.weights, task=task.name)


def begin_with(model: System, plan: Plan, run: RunFolder, spaces: Any) -> None:
    """Fills a fresh network with what the plan begins with, and tells what was taken. Raises ModelError, ResourceError WEIGHTS-FETCH."""
    start = plan.start
    if "from" in start:
        found = bundle.read(start["from"])
        own = next(iter(found.card.spaces.items()))
        same = found.card.task == plan.task and own[1].names == spaces.names
        taken = take(model, found.model.state_dict(), heads=same, where=start["from"])
        run.event("weights", source=start["from"], taken=len(taken.taken), fresh=list(taken.fresh), unused=len(taken.unused))
    elif "weights" in start and isinstance(model, Model):
        path = weights.fetch(plan.model)
        fresh = weights.load(model, plan.model, path, spaces.names)
        run.event("weights", source=path.name, taken=len(model.state_dict()) - len(fresh), fresh=fresh, unused=0)
    if isinstance(model, Estimated):
        model.warm = "from" in start or "weights" in start
