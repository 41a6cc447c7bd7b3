"""From the words of a command line to the verb's function, and from its end to an exit code."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from typing import Any

from saccade.cli.output import Output, safe_streams
from saccade.cli.verbs import ALIASES, VERB_HINTS, VERBS, function_of, load
from saccade.errors import SaccadeError, UsageError, nearest

HELP = ("--help", "-h")
UNDER_RUNS = {"ls": "runs", "compare": "compare", "report": "report"}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code: 0 ok, 1 internal, 2 usage, 3 data, 4 model file, 5 diverged, 6 resource, 7 partial, 8 gate, 130/143."""
    safe_streams()
    show, tokens = Output.from_tokens(list(sys.argv[1:] if arguments is None else arguments))
    try:
        code = _run(tokens, show)
    except SaccadeError as error:
        show.error(error)
        code = error.exit
    except KeyboardInterrupt:
        show.aside("interrupted")
        show.event("interrupted")
        code = 130
    except Exception as error:
        from saccade.cli.crash import coded

        known = coded(error)
        show.error(known)
        code = known.exit
    show.close()
    return code


def _run(tokens: Sequence[str], show: Output) -> int:
    if not tokens or tokens[0] in (*HELP, "--help-all", "help"):
        from saccade.cli.help import overview

        show.line(overview())
        return 0 if tokens else 2
    if tokens[0] in ("--version", "version"):
        from importlib.metadata import version

        show.line(f"saccade {version('saccade')}")
        show.event("version", saccade=version("saccade"))
        return 0
    verb, rest = resolve(tokens)
    module = load(verb)
    if asked := {"--help-all", *HELP} & set(rest):
        from saccade.cli.help import page

        show.line(page(verb, module, everything="--help-all" in asked))
        return 0
    return call(verb, function_of(verb), rest, show)


def resolve(tokens: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The verb that is meant and the words after it: `val` is evaluate, `runs compare` is compare. Raises UsageError USE-VERB."""
    verb = ALIASES.get(tokens[0], tokens[0])
    if verb not in VERBS:
        raise UsageError("USE-VERB", f"{tokens[0]}; {nearest(tokens[0], VERBS, VERB_HINTS)}")
    if verb == "runs" and len(tokens) > 1 and tokens[1] in UNDER_RUNS:
        return UNDER_RUNS[tokens[1]], tokens[2:]
    return verb, tokens[1:]


def parse(verb: str, function: Callable[..., int], tokens: Sequence[str]) -> inspect.BoundArguments:
    """The arguments of a verb's function. Raises UsageError USE-OPTION, USE-MISSING or USE-VALUE."""
    from cyclopts import CycloptsError

    from saccade.cli.usage import as_usage_error

    try:
        _, bound, _ = application(verb, function).parse_args(list(tokens), print_error=False, exit_on_error=False)
    except CycloptsError as problem:
        raise as_usage_error(verb, problem) from None
    return bound


def call(verb: str, function: Callable[..., int], tokens: Sequence[str], show: Output) -> int:
    """Parses and runs one verb."""
    bound = parse(verb, function, tokens)
    return function(**bound.arguments, show=show)


def application(verb: str, function: Callable[..., int]) -> Any:
    """The parser of one verb: the parameters of its function, `show` apart; what can be given by its place is given so alone."""
    from cyclopts import App, Parameter

    declared = [p for p in inspect.signature(function, eval_str=True).parameters.values() if p.name != "show"]
    parameters = [p.replace(kind=p.POSITIONAL_ONLY) if p.kind is p.POSITIONAL_OR_KEYWORD else p for p in declared]

    def options(**given: Any) -> dict[str, Any]:
        return given

    options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    options.__annotations__ = {p.name: p.annotation for p in parameters}
    app = App(name=f"saccade {verb}", help_flags=[], version_flags=[], default_parameter=Parameter(negative_iterable=()))
    app.default(options)
    return app
