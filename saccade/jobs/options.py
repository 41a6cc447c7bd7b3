"""The options of `train`: one model for the command line, Python and the run folder."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from saccade.errors import UsageError, nearest

# What other tools call these options: hints for did-you-mean, not aliases.
HINTS = {
    "from": "from_",
    "pretrained": "weights",
    "init_from": "from_",
    "imgsz": "size",
    "img_size": "size",
    "image_size": "size",
    "resolution": "size",
    "lr0": "lr",
    "learning_rate": "lr",
    "rate": "lr",
    "batch_size": "batch",
    "bs": "batch",
    "max_epochs": "epochs",
    "n_epochs": "epochs",
    "opt": "optimiser",
    "optimizer": "optimiser",
    "wd": "weight_decay",
    "lr_scheduler": "schedule",
    "scheduler": "schedule",
    "warmup_epochs": "warmup",
    "num_workers": "workers",
    "amp": "precision",
    "half": "precision",
    "project": "out",
    "output_dir": "out",
    "work_dir": "out",
    "save_dir": "out",
    "grad_accum_steps": "accumulate",
    "kfold": "folds",
    "class_weight": "class_weights",
    "sampler": "sampling",
    "swa": "average",
    "initialisation": "init",
    "initializer": "init",
    "k_folds": "folds",
    "groups": "group",
    "tile_size": "tile",
    "slice": "tile",
    "overlap": "tile_overlap",
}


TILE = "learn and answer by windows of so many pixels a side; 0 = the whole image at once"
INIT = "first weights: he_normal, xavier_uniform, lecun_normal, orthogonal, lsuv or others, which an error lists (default: the network's)"
MOSAIC_OFF = "share of the epochs, the last ones, without four images in one (default: 0.15)"
TILE_OVERLAP = "pixels that neighbouring windows share, at most half a window (default: a quarter)"


WITHOUT_CHANCE = ("filter_bank", "logistic", "naive_bayes", "table", "frequencies")  # networks whose features are no random weights


class TrainOptions(BaseModel):
    """What a user may say of a training run. An option left out is chosen from the data, and the choice is printed with its reason."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: Annotated[str, Field(description="a folder, a CSV or a pair of IDX files")] = ""
    task: Annotated[str | None, Field(description="what to learn (default: what the labels are for)")] = None
    model: Annotated[
        str | None, Field(description="the network: small, lenet5, resnet18, vgg16, densenet121, mobilenet_v2 or others, which an error lists")
    ] = None
    out: Annotated[Path | None, Field(description="the run's folder, exactly")] = None
    name: Annotated[str, Field(description="added to the folder's name")] = ""
    budget: Annotated[str | None, Field(description="time for the whole command, such as 10m, 90s or 1h")] = None
    epochs: Annotated[str | None, Field(description="passes over the training set; +20 extends a finished run")] = None
    batch: Annotated[int | None, Field(ge=1, le=65_536, description="images a step")] = None
    size: Annotated[str | None, Field(description="input size in pixels, such as 96 or 96,128 (height, width)")] = None
    tile: Annotated[int | None, Field(description=TILE)] = None
    tile_overlap: Annotated[int | None, Field(description=TILE_OVERLAP)] = None
    preset: Annotated[str | None, Field(description="a published recipe for what is not said: alexnet2012")] = None
    init: Annotated[str | None, Field(description=INIT)] = None
    lr: Annotated[str | None, Field(description="the highest learning rate, find for a range test, or search for Bottou's")] = None
    optimiser: Annotated[str | None, Field(description="adamw, adam, nadam, sgd, heavy_ball, nesterov, rmsprop or adagrad")] = None
    momentum: Annotated[float | None, Field(ge=0, lt=1, description="of sgd, heavy_ball, nesterov and rmsprop")] = None
    weight_decay: Annotated[float | None, Field(ge=0, description="L2 decay of kernels and matrices")] = None
    l1: Annotated[tuple[str, ...], Field(description="L1 penalty: a strength for all kernels and matrices, or layer=strength")] = ()
    l2: Annotated[tuple[str, ...], Field(description="L2 penalty in the loss, likewise; in place of the decay")] = ()
    schedule: Annotated[str | None, Field(description="cosine, linear, steps, constant, plateau or hold")] = None
    plateau_epochs: Annotated[int | None, Field(ge=1, description="validated epochs without progress before plateau lowers the rate")] = None
    warmup: Annotated[float | None, Field(ge=0, le=1, description="share of the steps in which the rate rises")] = None
    ema: Annotated[float | None, Field(ge=0, lt=1, description="decay of the running mean of the weights; 0 = off")] = None
    average: Annotated[Literal["ema", "swa", "none"] | None, Field(description="of the weights: of every step, or of the ends of the last epochs")] = None
    clip: Annotated[float | None, Field(ge=0, description="largest norm of the gradient; 0 = no limit")] = None
    accumulate: Annotated[int, Field(ge=1, description="batches whose gradients are added before a step")] = 1
    patience: Annotated[int, Field(ge=0, description="epochs without progress before the run ends; 0 = never")] = 0
    monitor: Annotated[str | None, Field(description="the metric that chooses the best epoch")] = None
    keep: Annotated[Literal["best", "last"] | None, Field(description="the weights the run ends with")] = None
    min_precision: Annotated[float | None, Field(gt=0, le=1, description="of every class; less sure answers become unknown")] = None
    augment: Annotated[str, Field(description="auto, none, light, symbols, default, strong, objects, mosaic, poses, cells, camera or alexnet2012")] = "auto"
    mosaic_off: Annotated[float | None, Field(ge=0, le=1, description=MOSAIC_OFF)] = None
    flip: Annotated[bool | None, Field(description="mirror images; digits and letters are not unless asked")] = None
    mixup: Annotated[float | None, Field(ge=0, description="strength of mixup; 0 = off")] = None
    cutmix: Annotated[float | None, Field(ge=0, description="strength of cutmix; 0 = off")] = None
    weights: Annotated[str | None, Field(description="published weights to begin with: imagenet, or those the task's models have")] = None
    from_: Annotated[Path | None, Field(description="a model or run of saccade whose weights to begin with")] = None
    freeze: Annotated[str | None, Field(description="what stays as it is: backbone, a number of stages from the input, or names")] = None
    backbone_rate: Annotated[float | None, Field(gt=0, le=1, description="the backbone's learning rate, as a share of the head's")] = None
    layer_decay: Annotated[float | None, Field(gt=0, le=1, description="factor of the rate for each stage nearer the input")] = None
    fit: Annotated[
        Literal["loop", "linear", "prototypes"] | None, Field(description="how the last layer learns: by steps, or alone and convex, or as class means")
    ] = None
    class_weights: Annotated[str | None, Field(description="of the loss: none, auto (rare classes count more), or cat=2,dog=0.5")] = None
    sampling: Annotated[Literal["plain", "balanced"], Field(description="balanced: every class comes equally often")] = "plain"
    set: Annotated[tuple[str, ...], Field(description="an argument of the network, such as dropout=0.3")] = ()
    words: Annotated[int | None, Field(ge=1, le=4096, description="of documents: how many words are counted, the most frequent (default: 2000)")] = None
    word_scale: Annotated[Literal["log", "tfidf"] | None, Field(description="of documents: ln(1 + count) of each word (default), or tf-idf")] = None
    condition: Annotated[tuple[str, ...], Field(description="of generation: a column of numbers that the model is told beside each picture")] = ()
    test: Annotated[float | None, Field(ge=0, description="share (or number) of images kept aside for the final numbers")] = None
    val: Annotated[float | None, Field(ge=0, description="share (or number) of images to choose by")] = None
    order: Annotated[Literal["random", "last"], Field(description="which images are kept aside")] = "random"
    split: Annotated[Path | None, Field(description="a split file, as saccade split writes it")] = None
    group: Annotated[str | None, Field(description="column or pattern whose groups are never divided")] = None
    label: Annotated[str | None, Field(description="the label's column in a table")] = None
    format: Annotated[str | None, Field(description="the layout, where it is not recognised")] = None
    follow: Annotated[bool, Field(description="follow links out of the data's folder")] = False
    folds: Annotated[int, Field(ge=0, le=100, description="cross-validate with so many folds; 0 = no")] = 0
    seed: Annotated[int, Field(ge=0, description="of every random choice")] = 0
    device: Annotated[str, Field(description="auto, cpu, cuda, cuda:0 ...")] = "auto"
    threads: Annotated[int | None, Field(ge=1, description="of the network")] = None
    workers: Annotated[int | None, Field(ge=0, description="threads that read images")] = None
    precision: Annotated[Literal["auto", "fp32", "bf16"], Field(description="of the network's arithmetic")] = "auto"
    cache: Annotated[str | None, Field(description="memory for decoded images, such as 2GB; 0 = none")] = None
    max_bad: Annotated[float, Field(ge=0, le=1, description="share of unusable images that stops the run")] = 0.05
    max_pixels: Annotated[int, Field(ge=1, description="largest image that is decoded")] = 100_000_000
    allow_leak: Annotated[bool, Field(description="go on although a picture or group is in two splits")] = False
    data_changed_ok: Annotated[bool, Field(description="resume although the data changed")] = False
    save_every: Annotated[float, Field(ge=0, description="seconds between checkpoints inside an epoch")] = 30.0
    selftest: Annotated[bool, Field(description="can the network fit eight images?")] = True
    floors: Annotated[bool, Field(description="simple models beside it")] = True
    resume: Annotated[Path | None, Field(description="the run to go on with")] = None

    @field_validator("budget")
    @classmethod
    def _budget(cls, value: str | None) -> str | None:
        if value is not None:
            seconds(value)
        return value

    @field_validator("epochs")
    @classmethod
    def _epochs(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"\+?[1-9]\d{0,5}", value):
            raise ValueError(f"epochs is a number such as 30, or +20 with --resume; got {value}")
        return value

    @model_validator(mode="after")
    def _together(self) -> TrainOptions:
        if not self.data and self.resume is None:
            raise ValueError("DATA is needed: a folder, a CSV or IDX files")
        if self.epochs and self.epochs.startswith("+") and self.resume is None:
            raise ValueError("--epochs +N extends a run: name it with --resume")
        ignored = sorted({"test", "split", "order"} & self.given)
        if self.folds and ignored:
            raise ValueError(f"--folds tests every image once, so --{' and --'.join(ignored)} would do nothing; leave one of them out")
        if self.folds == 1:
            raise ValueError("one fold is no cross-validation; give 2 or more")
        check_tile(self.tile, self.tile_overlap)
        if self.weights is not None and self.from_ is not None:
            raise ValueError("--weights and --from both say what to begin with; give one of them")
        begun = self.weights is not None or self.from_ is not None or self.model in WITHOUT_CHANCE
        if not begun and (self.freeze is not None or self.fit in ("linear", "prototypes")) and self.resume is None:
            raise ValueError("features that stay as they are must not be chance: name --from, --weights, or --model filter_bank")
        return self

    @property
    def given(self) -> frozenset[str]:
        """The options that the user gave."""
        return frozenset(self.model_fields_set)

    @property
    def floors_s(self) -> float:
        """Seconds for simple models beside the network: a tenth of the budget, at most 20; 0 where they are not wanted."""
        if not self.floors:
            return 0.0
        return 20.0 if self.budget is None else min(20.0, 0.1 * seconds(self.budget))


def check_tile(tile: int | None, overlap: int | None) -> None:
    """Raises UsageError USE-VALUE for windows that cannot be asked for."""
    if tile is not None or overlap is not None:
        from saccade.data.tiles import square  # here, because it loads torch

        square(tile, overlap)


def seconds(text: str) -> float:
    """A duration in seconds. Raises ValueError for anything else.

    >>> seconds("10m"), seconds("90s"), seconds("1.5h"), seconds("45")
    (600.0, 90.0, 5400.0, 45.0)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|h)?", text.strip())
    if not found or float(found[1]) == 0:
        raise ValueError(f"a time such as 90s, 10m or 1h is expected, got {text}")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600, None: 1}[found[2]]


def memory(text: str) -> int:
    """An amount of memory in bytes. Raises ValueError for anything else.

    >>> memory("2GB"), memory("512 MB"), memory("0")
    (2000000000, 512000000, 0)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(kB|MB|GB|B)?", text.strip(), re.IGNORECASE)
    if not found:
        raise ValueError(f"an amount of memory such as 512MB or 2GB is expected, got {text}")
    return int(float(found[1]) * {"kb": 10**3, "mb": 10**6, "gb": 10**9}.get((found[2] or "").lower(), 1))


def network_settings(texts: Sequence[str]) -> dict[str, Any]:
    """Arguments of a network from `name=value`, the values as JSON where they are. Raises UsageError USE-VALUE.

    >>> network_settings(["dropout=0.3", "network.widths=[8, 16]", "norm=group"])
    {'dropout': 0.3, 'widths': [8, 16], 'norm': 'group'}
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.removeprefix("network.").partition("=")
        if not equals:
            raise UsageError("USE-VALUE", f"{text}, expected name=value such as dropout=0.3", where="--set")
        try:
            found[name] = json.loads(value)
        except json.JSONDecodeError:
            found[name] = value
    return found


Options = TypeVar("Options", bound=TrainOptions)


def make_options(**given: Any) -> TrainOptions:
    """Options from keywords. Raises UsageError USE-OPTION (with the likely name) or USE-VALUE."""
    return checked_options(TrainOptions, given)


def checked_options(model: type[Options], given: Mapping[str, Any]) -> Options:
    """The options of a job from keywords. Raises UsageError USE-OPTION (with the likely name) or USE-VALUE."""
    from pydantic import ValidationError

    for name in given:
        if name not in model.model_fields:
            raise UsageError("USE-OPTION", f"{name}; {nearest(name, model.model_fields, HINTS)}")
    try:
        return model(**given)
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError("USE-VALUE", f"{first['msg'].removeprefix('Value error, ')}", where=f"--{place.replace('_', '-')}" if place else "") from None
