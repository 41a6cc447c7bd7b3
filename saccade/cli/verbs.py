"""The table of verbs: where each one is, and what it does in one line."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import NamedTuple


class Verb(NamedTuple):
    """A verb of the command line: the module that holds a function of the same name, and its line in `saccade --help`."""

    module: str
    summary: str


VERBS: dict[str, Verb] = {
    "doctor": Verb("saccade.cli.doctor", "versions, device, disk and a self-test; explains error codes"),
    "demo": Verb("saccade.cli.demo", "train on real handwritten digits, without any data of yours"),
    "world": Verb("saccade.cli.world", "simulated scenes with every kind of label, exact: written as files, or streamed"),
    "check": Verb("saccade.cli.check", "read every file of a data set and list its problems"),
    "convert": Verb("saccade.cli.convert", "write a data set in another layout: COCO, VOC, YOLO, masks, tables ..."),
    "split": Verb("saccade.cli.split", "divide a data set into train, val and test"),
    "train": Verb("saccade.cli.train", "train a model, evaluate it and write the report"),
    "tune": Verb("saccade.cli.tune", "search settings by many short trainings, judged on validation images"),
    "evaluate": Verb("saccade.cli.evaluate", "metrics with intervals of a model on a data set (alias: val)"),
    "predict": Verb("saccade.cli.predict", "one answer for each file, folder or pattern"),
    "embed": Verb("saccade.cli.embed", "the code of every picture or vector, as an array or a table"),
    "map": Verb("saccade.cli.map", "pictures or vectors in the plane by their codes: a page to walk on, and drawings"),
    "outliers": Verb("saccade.cli.outliers", "pictures or vectors ranked by how strange they are"),
    "duplicates": Verb("saccade.cli.duplicates", "groups of the same and of nearly the same pictures"),
    "sample": Verb("saccade.cli.sample", "new pictures of a generative model"),
    "interpolate": Verb("saccade.cli.interpolate", "a strip of pictures from one to another, through a generative model's codes"),
    "traverse": Verb("saccade.cli.traverse", "sliders of a generative model's codes, a row each"),
    "add-class": Verb("saccade.cli.add_class", "teach a trained classifier one more class, the others staying as they are"),
    "summary": Verb("saccade.cli.summary", "the layers of a model: shapes, parameters, cost, receptive fields"),
    "runs": Verb("saccade.cli.runs", "the runs of a folder and where they stand"),
    "compare": Verb("saccade.cli.compare", "two evaluations of the same images, as a paired test"),
    "report": Verb("saccade.cli.report", "write report.html of a run again"),
}
ALIASES = {"val": "evaluate"}

# What other tools call these verbs: hints for did-you-mean, not aliases.
VERB_HINTS = {
    "fit": "train",
    "search": "tune",
    "sweep": "tune",
    "hpo": "tune",
    "transform": "convert",
    "learn": "train",
    "test": "evaluate",
    "eval": "evaluate",
    "validate": "evaluate",
    "infer": "predict",
    "detect": "predict",
    "classify": "predict",
    "encode": "embed",
    "features": "embed",
    "tsne": "map",
    "anomalies": "outliers",
    "dedup": "duplicates",
}
VERB_HINTS |= {"ls": "runs", "list": "runs", "info": "doctor", "env": "doctor", "lint": "check", "verify": "check", "diff": "compare", "checks": "doctor"}


def load(verb: str) -> ModuleType:
    """The module of a verb: a function of the verb's name, and EXAMPLES."""
    return import_module(VERBS[verb].module)


def function_of(verb: str) -> Callable[..., int]:
    """The function of a verb: its name, with _ for -."""
    function: Callable[..., int] = getattr(load(verb), verb.replace("-", "_"))
    return function
