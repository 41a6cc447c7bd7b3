"""saccade tune"""

from __future__ import annotations

import shlex
from typing import Any

from saccade.cli.from_model import options_of
from saccade.cli.output import Output
from saccade.cli.progress import show_events
from saccade.jobs.tune_options import TuneOptions

EXAMPLES = (
    "saccade tune photos/ --trials 30 --budget 30m",
    "saccade tune photos/ --method halving --search lr=1e-4..1e-2 --search augment=light,default,strong",
    "saccade tune photos/ --out study/ --budget 1h",
)
MAIN = ("--search", "--trials", "--budget", "--method", "--epochs", "--folds", "--monitor", "--model", "--out", "--seed")


@options_of(TuneOptions, positional=("data",))
def tune(*, show: Output, **given: Any) -> int:
    """Searches settings by many short trainings on the training images, judged on validation images or folds, and prints the command for the best.

    The same command with the same --out goes on with a study; several of them at once share it. The test images are never looked at.
    """
    from saccade import api
    from saccade.jobs.tune_options import make_tune_options

    make_tune_options(**given)  # refused in a moment, before anything heavy is imported
    found = api.tune(**given, listeners=show_events(show))
    done = sum(t.state == "done" for t in found.trials)
    show.line(f"best   trial {found.best.number} of {done}: {found.monitor} {found.best.score:.4f}")
    for name, value in found.best.values.items():
        show.line(f"       {name:<22} {value}")
    show.line(f"report {found.report}")
    show.event("result", best=found.best.values, score=found.best.score, monitor=found.monitor, trials=done, report=str(found.report), command=found.command)
    show.finish(found.path, shlex.split(found.command))
    return 0
