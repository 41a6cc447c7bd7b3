"""The help of the command line: forty lines a verb at most, real examples at the end; --help-all explains every option."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from types import ModuleType
from typing import Any

from saccade.cli.output import WIDTH
from saccade.cli.verbs import VERBS, function_of

INDENT = 27


def overview() -> str:
    """`saccade --help`: every verb in one line."""
    lines = ["usage: saccade VERB [TARGET] [--option value]", "", "A folder of labelled images becomes a trained, evaluated, explained model.", ""]
    lines += [f"  {name:<10}{verb.summary}" for name, verb in VERBS.items()]
    lines += ["", "every verb: --help, --json (JSON lines on stdout, text on stderr), --quiet, --no-color", ""]
    lines += ["examples:", "  saccade demo", "  saccade check photos/", "  saccade train photos/ --budget 10m"]
    return "\n".join(lines)


def page(verb: str, module: ModuleType, *, everything: bool = False) -> str:
    """`saccade VERB --help`. Options that the module's MAIN does not name are only listed, unless everything is asked for."""
    function: Callable[..., int] = function_of(verb)
    arguments = _arguments(verb, function)
    positional = [a for a in arguments if _positional(a)]
    options = [a for a in arguments if not _positional(a)]
    main = getattr(module, "MAIN", None)
    shown = [a for a in options if everything or main is None or _long(a) in main]
    words = " ".join(f"{_label(a)}" if a.required else f"[{_label(a)}]" for a in positional)
    lines = [" ".join(["usage: saccade", verb, words, "[options]"]).replace("  ", " "), ""]
    lines += [*textwrap.wrap(" ".join((inspect.getdoc(function) or "").split()), WIDTH), ""]
    for argument in [*positional, *shown]:
        lines += _entry(argument)
    rest = [_long(a) for a in options if a not in shown]
    if rest:
        lines += ["", *textwrap.wrap(f"more (saccade {verb} --help-all explains them): " + " ".join(rest), WIDTH, break_on_hyphens=False)]
    lines += ["", "every verb: --json --quiet --no-color", "", "examples:", *[f"  {example}" for example in module.EXAMPLES]]
    return "\n".join(lines)


def _arguments(verb: str, function: Callable[..., int]) -> list[Any]:
    from saccade.cli.dispatch import application

    return [a for a in application(verb, function).assemble_argument_collection() if a.parse]


def _positional(argument: Any) -> bool:
    return bool(argument.field_info.is_positional)


def _long(argument: Any) -> str:
    return next(name for name in argument.names if name.startswith("--"))


def _label(argument: Any) -> str:
    return str(argument.field_info.names[0]).upper().replace("_", "-")


def _entry(argument: Any) -> list[str]:
    head = _label(argument) if _positional(argument) else _option(argument)
    text = argument.parameter.help or ""
    default = argument.field_info.default
    if default not in (None, inspect.Parameter.empty, False, True, (), "") and "default" not in text:
        text += f" (default: {default})"
    first, *rest = textwrap.wrap(text, WIDTH - INDENT) or [""]
    head = f"  {head}  "
    lines = [head.ljust(INDENT) + first] if len(head) <= INDENT else [head.rstrip(), " " * INDENT + first]
    return lines + [" " * INDENT + line for line in rest]


def _option(argument: Any) -> str:
    """`--out PATH`, or `--flip / --no-flip` for what is on or off."""
    if argument.negatives and argument.field_info.default in (None, True, inspect.Parameter.empty):
        return f"{_long(argument)} / {sorted(argument.negatives)[0]}"
    return _long(argument) if argument.hint is bool else f"{_long(argument)} {argument.parameter.metavar or _metavar(argument)}"


def _metavar(argument: Any) -> str:
    """The word for a value: the choices where they are few, else the last word of the option's name."""
    choices = argument.get_choices()
    return "|".join(choices) if choices and len("|".join(choices)) < INDENT // 2 else str(argument.field_info.names[0]).split("_")[-1].upper()
