"""The parser's complaints as coded errors that name the likely option and list the others."""

from __future__ import annotations

from typing import Any

from cyclopts import CoercionError, CycloptsError, MissingArgumentError, UnknownOptionError, UnusedCliTokensError

from saccade.cli.output import FLAGS
from saccade.errors import UsageError, nearest

# What other tools call these options: hints for did-you-mean, not aliases. The first one that the verb has is shown.
HINTS: dict[str, tuple[str, ...]] = {
    "--conf": ("--threshold",),
    "--confidence": ("--threshold",),
    "--weights": ("--from",),
    "--pretrained": ("--from",),
    "--source": ("--split",),
    "--output": ("--out",),
    "--save-dir": ("--out",),
    "--project": ("--out",),
    "--format": ("--as",),
    "--num-workers": ("--workers", "--threads"),
    "--workers": ("--threads",),
    "--cpu": ("--device",),
    "--gpus": ("--device",),
    "--random-seed": ("--seed",),
    "--imgsz": ("--size",),
    "--batch-size": ("--batch",),
    "--silent": ("--quiet",),
    "--verbose": ("--json",),
    "--fail-on": ("--max-bad",),
}


def as_usage_error(verb: str, problem: CycloptsError) -> UsageError:
    """USE-OPTION for an unknown option, USE-MISSING for an absent argument, USE-VALUE for one that cannot be read."""
    where = f"saccade {verb}"
    if isinstance(problem, UnknownOptionError):
        return unknown_option(verb, problem.token.keyword or problem.token.value, option_names(problem.argument_collection))
    if isinstance(problem, MissingArgumentError) and problem.argument is not None:
        return UsageError("USE-MISSING", label(problem.argument), where=where, fix=f"see saccade {verb} --help")
    if isinstance(problem, UnusedCliTokensError):
        return UsageError(
            "USE-VALUE", f"more words than the command takes: {' '.join(problem.unused_tokens or ())}", where=where, fix=f"see saccade {verb} --help"
        )
    if isinstance(problem, CoercionError) and problem.argument is not None:
        where = label(problem.argument)
    problem.verbose = False
    return UsageError("USE-VALUE", str(problem), where=where, fix=f"see saccade {verb} --help")


def unknown_option(verb: str, word: str, names: list[str]) -> UsageError:
    """The error of an option that the verb does not have, with the likely one first."""
    word = word.partition("=")[0]
    return UsageError("USE-OPTION", f"{word}; {nearest(word, names, likely(word, names))}", where=f"saccade {verb}", fix=f"see saccade {verb} --help")


def likely(word: str, names: list[str]) -> dict[str, str]:
    """The hint for a word that another tool uses, when the verb has that option."""
    from saccade.jobs.options import HINTS as OF_TRAIN

    plain = word.lstrip("-").replace("-", "_")
    wanted = [f"--{OF_TRAIN[plain].replace('_', '-')}"] if plain in OF_TRAIN else []
    wanted += HINTS.get("--" + plain.replace("_", "-"), ())
    return {word: next((option for option in wanted if option in names), "")}


def option_names(arguments: Any) -> list[str]:
    """The long names of a parser's options, without the --no- forms."""
    options = [argument for argument in arguments if not argument.field_info.is_positional]
    return [name for argument in options for name in argument.names if name.startswith("--") and name not in argument.negatives] + list(FLAGS)


def label(argument: Any) -> str:
    """How an argument is called in a message: DATA for a positional one, --out for an option."""
    names = [name for name in argument.names if name.startswith("-")]
    positional = argument.field_info.is_positional
    return argument.field_info.names[0].upper() if positional or not names else names[0]
