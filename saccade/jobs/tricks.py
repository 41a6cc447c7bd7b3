"""Training tricks of a plan: presets, the mean of the weights, penalties by layer, class weights; each a choice with its origin."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from saccade.data.sampling import balanced_weights, class_counts, median_frequency_weights, positive_weights, read_weights
from saccade.errors import UsageError, nearest
from saccade.models.arguments import schema
from saccade.models.table import find
from saccade.training.initialisations import NAMES
from saccade.training.penalties import Table, read_table
from saccade.training.recipe import Recipe

if TYPE_CHECKING:
    from saccade.jobs.options import TrainOptions
    from saccade.jobs.plan import Chooser, Plan

AVERAGED_FROM = 0.75  # of the run: Izmailov et al. 2018, section 4.1

PRESETS: dict[str, dict[str, Any]] = {
    # Krizhevsky, Sutskever and Hinton 2012, sections 3 to 5. Deviations: the network is the one tower of today, without local response
    # normalisation; shifts by up to 16 of 224 pixels stand for their windows of 224 of 256; an epoch without progress is counted on the
    # validation images after five of them, where the paper's authors looked themselves.
    "alexnet2012": {
        "model": "alexnet",
        "init": "alexnet2012",
        "optimiser": "heavy_ball",
        "momentum": 0.9,
        "lr": "0.01",
        "weight_decay": 5e-4,
        "batch": 128,
        "schedule": "plateau",
        "plateau_epochs": 5,
        "warmup": 0.0,
        "average": "none",
        "augment": "alexnet2012",
        "epochs": "90",
    },
}


def with_preset(options: TrainOptions) -> tuple[TrainOptions, frozenset[str]]:
    """The options with what the preset says of those that the user left out, and the names of these. Raises UsageError USE-VALUE.

    A budget decides the number of epochs, whatever the preset says.
    """
    if options.preset is None:
        return options, frozenset()
    if options.preset not in PRESETS:
        raise UsageError("USE-VALUE", f"{options.preset}; {nearest(options.preset, PRESETS)}", where="--preset")
    taken = {k: v for k, v in PRESETS[options.preset].items() if k not in options.given and not (k == "epochs" and "budget" in options.given)}
    if "ema" in options.given:
        taken.pop("average", None)
    return options.model_copy(update=taken), frozenset(taken)


def credited(plan: Plan, names: frozenset[str], preset: str | None) -> Plan:
    """The plan with the preset named as the origin of what came from it."""
    words = f"preset {preset}"
    own = {
        k: words if k in names else f"{words}{v.removeprefix('user')}" if k.startswith("augment.") and "augment" in names else v
        for k, v in plan.origins.items()
    }
    return replace(plan, origins=own) if names else plan


def mean_of_weights(options: TrainOptions, choose: Chooser, recipe: Recipe, steps: int) -> dict[str, float]:
    """{"ema", "swa"}: one of them at most is not 0. Raises UsageError USE-OPTION for both at once."""
    if options.average in ("swa", "none") and options.ema:
        raise UsageError("USE-OPTION", f"--average {options.average} and --ema {options.ema}", where="--average", fix="leave one of them out")
    if options.average in ("swa", "none"):
        choose.origins |= dict.fromkeys(("ema", "swa"), "user: --average")
        return {"ema": 0.0, "swa": AVERAGED_FROM if options.average == "swa" else 0.0}
    return {"ema": choose("ema", recipe.ema if recipe.ema is not None else 0.99 if steps < 200 else 0.998), "swa": 0.0}


def penalties(options: TrainOptions, choose: Chooser) -> dict[str, Table]:
    """{"l1", "l2"}: the strengths by layer."""
    choose.origins |= {name: "user" if name in options.given else "default" for name in ("l1", "l2")}
    return {name: read_table(getattr(options, name), f"--{name}") for name in ("l1", "l2")}


def initialisation(options: TrainOptions, choose: Chooser) -> str:
    """The rule of the first weights. Raises UsageError USE-VALUE for an unknown one, USE-OPTION beside weights that are given."""
    name: str = choose("init", "network")
    if name not in NAMES:
        raise UsageError("USE-VALUE", f"{name}; {nearest(name, NAMES)}", where="--init")
    given = "--from" if options.from_ is not None else "--weights" if options.weights is not None else ""
    if name != "network" and given:
        raise UsageError("USE-OPTION", f"--init {name} draws the weights that {given} brings", where="--init", fix="leave one of them out")
    return name


def class_weights(options: TrainOptions, choose: Chooser, train: Any, task: str, model: str, head: str) -> dict[str, Any]:
    """{"class_weights"} for the network's arguments, or nothing. Raises UsageError USE-OPTION for a network without them, DataError DATA-TASK."""
    if options.class_weights in (None, "none"):
        return {}
    if "class_weights" not in schema(find(task, model)).model_fields:
        raise UsageError("USE-OPTION", f"{model} of the task {task} has no class weights", where="--class-weights", fix="leave it out")
    if options.class_weights == "auto" and head == "labels":
        choose.origins["network.class_weights"] = "user: auto, the noes over the yeses of each label in the training part"
        return {"class_weights": positive_weights(train)}
    if options.class_weights == "auto" and head == "map":
        choose.origins["network.class_weights"] = "user: auto, the median frequency of the classes' pixels over each one's own"
        return {"class_weights": median_frequency_weights(train)}
    if options.class_weights == "auto":
        choose.origins["network.class_weights"] = "user: auto, one over each class's share of the training part"
        return {"class_weights": balanced_weights(class_counts(train, head))}
    choose.origins["network.class_weights"] = "user"
    return {"class_weights": read_weights(str(options.class_weights), train.spaces[head])}
