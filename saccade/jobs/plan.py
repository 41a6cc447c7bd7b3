"""Every choice of a run, made once before the first step: by the user, from the data, or by default, and why.

A resumed run does not choose again: it reads the plan that is stored in run.json.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import numpy as np
import torch

from saccade.core import Dataset, Inputs, LabelSpace, System
from saccade.data.augment import Policy
from saccade.data.crops import Crops, typical_crop
from saccade.data.loader import heads_of
from saccade.data.preprocess import Preprocess
from saccade.data.tiles import Tiling, square
from saccade.data.told import Told
from saccade.data.words import Vocabulary
from saccade.errors import UsageError
from saccade.inference.device import multiply_adds
from saccade.jobs.defaults import batch_size
from saccade.jobs.options import TrainOptions, memory, network_settings
from saccade.jobs.prepare import Prepared
from saccade.jobs.start import source_of
from saccade.jobs.tiling import required
from saccade.jobs.tricks import class_weights, initialisation, mean_of_weights, penalties
from saccade.models.arguments import schema
from saccade.models.table import build, find, settled
from saccade.tasks import Task
from saccade.training.engine import auto_precision, pick_device
from saccade.training.initialisations import initialise
from saccade.training.optimisers import Start, start_of
from saccade.training.recipe import Recipe
from saccade.training.settings import Settings

SAMPLES = 200  # images that the constants of a data set are estimated from


@dataclass(frozen=True)
class Plan:
    """What a run will do, as JSON values; `origins` says of each choice where it came from."""

    task: str
    model: str
    arguments: dict[str, Any]
    inputs: Inputs
    preprocess: dict[str, Any]
    policy: dict[str, Any]
    mix: dict[str, float]
    batch: int
    settings: Settings
    monitor: str
    device: str = "auto"
    workers: int = 2
    cache_bytes: int | None = None
    min_precision: float | None = None
    start: dict[str, Any] = field(default_factory=dict)  # jobs.start.Start.to_dict()
    origins: dict[str, str] = field(default_factory=dict)
    init: str = "network"  # training.initialisations.NAMES
    sampling: str = "plain"
    epoch_images: int | None = None  # of an epoch, where a budget allows no whole one

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "inputs": self.inputs._asdict()}

    @property
    def vocabulary(self) -> Vocabulary | None:
        """The words that documents are counted in."""
        held = self.preprocess.get("vocabulary")
        return None if held is None else Vocabulary.from_dict(held)

    @property
    def told(self) -> Told | None:
        """The columns that generated pictures are told."""
        held = self.preprocess.get("told")
        return None if held is None else Told.from_dict(held)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        given = dict(stored["inputs"])
        inputs = Inputs(given["channels"], tuple(given["size"]), tuple(given["mean"]), tuple(given["std"]))
        return cls(**{**stored, "inputs": inputs, "settings": Settings.from_dict(stored["settings"])})

    def flat(self) -> dict[str, Any]:
        """Every value under one name, for config.toml and the table on the screen."""
        tiling = self.preprocess.get("tiling") or {}
        nested = {f"network.{k}": v for k, v in self.arguments.items()} | {f"augment.{k}": v for k, v in self.policy.items()}
        own = {"task": self.task, "model": self.model, "size": list(self.inputs.size), "channels": self.inputs.channels, "batch": self.batch}
        own |= {"tile": tiling.get("size"), "tile_overlap": tiling.get("overlap")}
        words = self.preprocess.get("vocabulary")
        own |= {} if words is None else {"words": len(words["words"]), "word_scale": words["scale"]}
        own |= {
            "monitor": self.monitor,
            "device": self.device,
            "workers": self.workers,
            "cache_bytes": self.cache_bytes,
            "min_precision": self.min_precision,
            "init": self.init,
            "sampling": self.sampling,
            "epoch_images": self.epoch_images,
            **self.mix,
        }
        own |= {k: ",".join(v) if isinstance(v, list) else v for k, v in self.start.items() if k != "rates"}
        own |= {_OPTION_OF.get(k, k): v for k, v in asdict(self.settings).items()}
        return own | {f"preprocess.{k}": v for k, v in self.preprocess.items() if k not in ("size", "tiling", "crops", "vocabulary", "told")} | nested

    def build(self, space: LabelSpace) -> System:
        """The network with its first weights, which follow from the seed alone."""
        torch.manual_seed(self.settings.seed)
        model = build(self.task, self.model, self.inputs, space, self.arguments)
        if self.init not in ("network", "lsuv"):  # which needs pictures: see `jobs.train`
            initialise(model, self.init, seed=self.settings.seed)
        model.rates = dict(self.start.get("rates", {}))
        model.freeze(self.start.get("freeze", ()))
        return model


_OPTION_OF = {"rate": "lr", "save_every_s": "save_every"}


class Chooser:
    """Takes the user's value where there is one, else ours, and remembers which."""

    def __init__(self, options: TrainOptions) -> None:
        self.options = options
        self.origins: dict[str, str] = {}

    def __call__(self, name: str, ours: Any, why: str = "") -> Any:
        given = getattr(self.options, name)
        if name in self.options.given and given is not None:
            self.origins[name] = "user"
            return given
        self.origins[name] = f"auto: {why}" if why else "default"
        return ours


def make_plan(options: TrainOptions, prepared: Prepared, *, brief: bool = False) -> Plan:
    """All choices but the number of epochs, which a budget decides after the speed is known (see `jobs.train`). brief: by the recipe of few passes."""
    choose, task = Chooser(options), prepared.task
    given = source_of(options, task)
    typical = typical_size(prepared)
    flat = "mlp" if typical == (1, 1) and "mlp" in task.models else ""
    model = choose("model", given.model or flat or next(iter(task.models)), given.why or ("vectors have no neighbouring pixels" if flat else ""))
    usual = task.recipe(model)
    recipe = given.recipe(usual.brief or usual if brief else usual, model)
    if task.suggests is not None:
        recipe = replace(recipe, arguments={**task.suggests(prepared.dataset, model), **recipe.arguments})
    tile = choose("tile", task.tile, "pictures are answered pixel for pixel, by windows" if task.tile else "")
    tiling = square(tile, choose("tile_overlap", None, "a quarter of the window" if tile else ""))
    arguments = told_columns(choose, prepared, model, network_arguments(options, choose, recipe))
    crops = cropping(task, model, arguments, tiling)
    if tiling is not None:
        typical = min(typical[0], tiling.size[0]), min(typical[1], tiling.size[1])
    if crops is not None:
        typical = typical_crop(prepared.part("train"), crops)
    if task.mode == "keep":
        size = _windows(options, choose, tiling)
    else:
        size = _size(options, choose, given.size(model) or task.size(model, typical), typical)
    common: dict[str, Any] = {"mode": task.mode, "value_range": prepared.dataset.value_range, "tiling": tiling, "crops": crops}
    common |= words(choose, prepared) | ({"told": prepared.told} if prepared.told is not None else {})
    preprocess = Preprocess(size=size, channels=prepared.dataset.channels, **common)
    train = preprocess.parts(prepared.part("train"))
    n = len(train)
    inputs = given.inputs(prepared.dataset.channels, size, model) or Inputs(prepared.dataset.channels, size, *constants(train, preprocess))
    policy, mix = augmentation(options, choose, prepared.dataset, recipe)
    if options.fit in ("linear", "prototypes"):
        policy, mix = fixed_pictures(options, choose, prepared.dataset)
    arguments |= class_weights(options, choose, train, task.name, model, task.head)
    batch = int(choose("batch", recipe.batch or batch_size(n), recipe.why if recipe.batch else f"{n} training {preprocess.kind}"))
    settings = learning(options, choose, batch, n, recipe)
    device = pick_device(options.device)
    network = build(task.name, model, inputs, prepared.space, arguments)
    start, work = given.start(options, choose, network), multiply_adds(network, inputs)
    settings = replace(settings, precision=precision(options, choose, device, work))
    workers = int(choose("workers", 2, "threads that read while the network computes"))
    cache = memory(options.cache) if options.cache is not None else None
    choose.origins["cache_bytes"] = "user" if options.cache is not None else "auto: a quarter of the free memory, at most 2 GB"
    monitor = choose("monitor", recipe.monitor or task.monitor if prepared.split.val else "train_loss")
    stored = preprocess.to_dict(), policy.to_dict(), mix
    choose("min_precision", None)
    done = task.name, model, arguments, inputs, *stored, batch, settings, monitor
    tricks = choose.origins, initialisation(options, choose), choose("sampling", "plain")
    return Plan(*done, str(device), workers, cache, options.min_precision, start, *tricks)


def cropping(task: Task[Any], model: str, arguments: Mapping[str, Any], tiling: Tiling | None) -> Crops | None:
    """How objects are cut out for this model. Raises UsageError USE-OPTION where there are windows too."""
    crops = task.crops(settled(task.name, model, arguments)) if task.crops is not None else None
    if crops is not None and tiling is not None:
        raise UsageError("USE-OPTION", "this network sees one object at a time", where="--tile", fix="leave --tile out, or --set view=whole")
    return crops


def told_columns(choose: Chooser, prepared: Prepared, model: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The network's arguments with the columns that its pictures are told. Raises UsageError USE-OPTION for a network that is told none, and for
    columns that are set as an argument."""
    if prepared.told is None:
        if arguments.get("columns"):
            raise UsageError("USE-OPTION", "columns are named by --condition", where="--set", fix="give --condition COLUMN")
        return arguments
    if "columns" not in schema(find(prepared.task.name, model)).model_fields:
        raise UsageError("USE-OPTION", f"{model} is told no columns of numbers", where="--condition", fix="choose ddpm or latent_ddpm, or leave it out")
    choose.origins |= {"network.columns": "user: --condition", "network.conditional": "auto: columns are told in place of classes"}
    return arguments | {"columns": list(prepared.told.columns), "conditional": False}


def words(choose: Chooser, prepared: Prepared) -> dict[str, Any]:
    """{"vocabulary"} of documents, nothing for any other data."""
    if prepared.vocabulary is None:
        return {}
    choose("words", None, "the most frequent of the training part")
    choose("word_scale", None, "the logarithm of one more than the count")
    return {"vocabulary": prepared.vocabulary}


def typical_size(prepared: Prepared) -> tuple[int, int]:
    """The median height and width of a sample of the images."""
    dataset = prepared.dataset
    places = np.linspace(0, len(dataset) - 1, min(SAMPLES, len(dataset))).astype(int)
    sizes = [dataset.size(int(i)) for i in places]
    return int(statistics.median(s[0] for s in sizes)), int(statistics.median(s[1] for s in sizes))


def _size(options: TrainOptions, choose: Chooser, ours: tuple[int, int], typical: tuple[int, int]) -> tuple[int, int]:
    chosen = choose("size", ours, f"{'windows' if options.tile else 'images'} are typically {typical[0]}x{typical[1]}")
    if isinstance(chosen, str):
        parts = chosen.replace("x", ",").split(",")
        if not 1 <= len(parts) <= 2 or not all(p.strip().isdigit() and 4 <= int(p) <= 8192 for p in parts):
            raise UsageError("USE-VALUE", f"{chosen}, expected one number or height,width, each 4 to 8192", where="--size")
        return int(parts[0]), int(parts[-1])
    return ours


def _windows(options: TrainOptions, choose: Chooser, tiling: Tiling | None) -> tuple[int, int]:
    """The input of a task that scales nothing is as large as its windows. Raises UsageError USE-OPTION for a size besides, USE-VALUE without windows."""
    if "size" in options.given and options.size is not None:
        raise UsageError("USE-OPTION", "pictures of this task are not scaled to a size", where="--size", fix="give the side of the windows, --tile")
    choose.origins["size"] = "auto: as large as the windows, nothing is scaled"
    return required(tiling).size


def constants(train: Any, preprocess: Preprocess) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel over a sample of the training images, as the network will see them."""
    places = np.linspace(0, len(train) - 1, min(SAMPLES, len(train))).astype(int)
    images = []
    for i in places:
        pixels = train.read(int(i), size=preprocess.size)
        images.append(preprocess.apply(pixels, preprocess.geometry(pixels.shape[:2])).flatten(1))
    every = torch.cat(images, 1)
    mean, std = every.mean(1), every.std(1).clamp_min(1e-3)
    if preprocess.vocabulary is not None:  # of rare words the deviation is that of a few documents, or nought: one for all
        std = std.square().mean().sqrt().expand_as(std)
    return tuple(round(float(v), 5) for v in mean), tuple(round(float(v), 5) for v in std)


def augmentation(options: TrainOptions, choose: Chooser, dataset: Dataset, recipe: Recipe) -> tuple[Policy, dict[str, float]]:
    """The random changes of the training images: the policy (one matrix, one colour matrix, cut-out) and the mixing of batches."""
    policy = Policy.suited(recipe.policy if options.augment == "auto" else options.augment, dataset.spaces, heads_of(dataset))
    if options.flip is not None:
        policy = replace(policy, flip=options.flip)
    if options.mosaic_off is not None:
        if not policy.mosaic:
            raise UsageError("USE-OPTION", "no input is made of four images", where="--mosaic-off", fix="leave it out, or add --augment mosaic")
        policy = replace(policy, mosaic_off=options.mosaic_off)
    for name in policy.to_dict():
        choose.origins[f"augment.{name}"] = f"user: {options.augment}" if options.augment != "auto" else f"auto: {recipe.why}"
    if options.mosaic_off is not None:
        choose.origins["augment.mosaic_off"] = "user"
    choose.origins["augment.flip"] = "user" if options.flip is not None else "auto: digits, letters, left and right are not mirrored"
    mix = {"mixup": float(choose("mixup", 0.0)), "cutmix": float(choose("cutmix", 0.0))}
    return policy, mix


def fixed_pictures(options: TrainOptions, choose: Chooser, dataset: Dataset) -> tuple[Policy, dict[str, float]]:
    """No random changes: features are computed once. Raises UsageError USE-OPTION where changes are asked for."""
    asked = [
        name for name in ("augment", "flip", "mixup", "cutmix", "mosaic_off") if name in options.given and getattr(options, name) not in ("none", 0, False)
    ]
    if asked:
        raise UsageError("USE-OPTION", f"--{asked[0]} changes pictures at random, and --fit {options.fit} sees each once", where=f"--{asked[0]}")
    policy = Policy.suited("none", dataset.spaces, heads_of(dataset))
    for name in policy.to_dict():
        choose.origins[f"augment.{name}"] = f"auto: --fit {options.fit} sees every picture once"
    return policy, {"mixup": 0.0, "cutmix": 0.0}


def network_arguments(options: TrainOptions, choose: Chooser, recipe: Recipe) -> dict[str, Any]:
    """The network's arguments: the recipe's for the default network, and the user's `--set name=value`."""
    ours: dict[str, Any] = dict(recipe.arguments)
    for name in ours:
        choose.origins[f"network.{name}"] = f"auto: {recipe.why}"
    for name, value in network_settings(options.set).items():
        ours[name] = value
        choose.origins[f"network.{name}"] = "user"
    return ours


def learning(options: TrainOptions, choose: Chooser, batch: int, n: int, recipe: Recipe) -> Settings:
    """The numbers of `fit`, but for the epochs and the precision."""
    optimiser = choose("optimiser", "adamw")
    begun = start_of(optimiser)
    adaptive = optimiser not in ("sgd", "heavy_ball", "nesterov")
    if begun.momentum is None and "momentum" in options.given:
        raise UsageError("USE-OPTION", f"{optimiser} has no momentum of this kind", where="--momentum", fix="choose heavy_ball, nesterov, sgd or rmsprop")
    ours = (recipe.rate if begun.rate is None else begun.rate) * max(1.0, batch / (recipe.batch or 64)) ** (0.5 if adaptive else 1.0)
    given = choose("lr", None, f"for {optimiser} at batch {batch}")
    if given in (None, "find", "search"):
        rate = ours
    else:
        try:
            rate = float(given)
        except ValueError:
            raise UsageError("USE-VALUE", f"{given}, expected a number such as 0.001, search or find", where="--lr") from None
    steps = max(1, n // batch)
    return Settings(
        epochs=1,
        rate=rate,
        optimiser=optimiser,
        momentum=choose("momentum", begun.momentum or 0.0, f"that of {optimiser}"),
        weight_decay=choose("weight_decay", *_decay(options, begun, recipe)),
        **penalties(options, choose),  # type: ignore[arg-type]
        schedule=choose("schedule", *(("hold", "averaging needs a rate that stays") if options.average == "swa" else ("cosine", ""))),
        plateau_epochs=choose("plateau_epochs", 5),
        warmup=choose("warmup", 0.05),
        clip=choose("clip", recipe.clip),
        accumulate=choose("accumulate", 1),
        **mean_of_weights(options, choose, recipe, steps),  # type: ignore[arg-type]
        patience=choose("patience", 0),
        keep=choose("keep", "last", "with an averaged, annealed network the last epoch is as good as any, and choosing among noisy ones costs"),
        save_every_s=options.save_every,
        seed=choose("seed", 0),
    )


def _decay(options: TrainOptions, begun: Start, recipe: Recipe) -> tuple[float, str]:
    """The decay of the weights when nothing is said, and why."""
    if options.l2:
        return 0.0, "--l2 stands for it"
    return (recipe.weight_decay, recipe.why) if begun.weight_decay is None else (begun.weight_decay, "")


def precision(options: TrainOptions, choose: Chooser, device: torch.device, work: float) -> Any:
    """The user's precision, or bfloat16 where it pays."""
    if options.precision != "auto":
        choose.origins["precision"] = "user"
        return options.precision
    found = auto_precision(device, work)
    choose.origins["precision"] = f"auto: {work / 1e6:.0f} million multiply-adds an image on {device.type}"
    return found
