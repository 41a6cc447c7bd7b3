"""saccade train"""

from __future__ import annotations

from typing import Any

from saccade.cli.from_model import options_of
from saccade.cli.output import Output
from saccade.cli.progress import show_events, show_result
from saccade.jobs.options import TrainOptions

EXAMPLES = (
    "saccade train photos/ --budget 10m",
    "saccade train labels.csv --group patient --folds 5 --model resnet18",
    "saccade train --resume runs/2026-11-20_1904_resnet18_photos --epochs +20",
)
# The options that --help explains; the others it lists.
MAIN = (
    "--model",
    "--out",
    "--budget",
    "--epochs",
    "--batch",
    "--size",
    "--lr",
    "--augment",
    "--test",
    "--split",
    "--group",
    "--folds",
    "--seed",
    "--device",
    "--threads",
    "--resume",
)


@options_of(TrainOptions, positional=("data",))
def train(*, show: Output, **given: Any) -> int:
    """Trains a model on a folder of images, a CSV or IDX files; evaluates it with intervals beside simple models, and writes report.html.

    Ctrl-C finishes the step, saves, and prints the command that goes on with the run.
    """
    from saccade import api
    from saccade.jobs.options import make_options

    make_options(**given)  # refused in a moment, before anything heavy is imported
    return show_result(api.train(**given, listeners=show_events(show)), show)
