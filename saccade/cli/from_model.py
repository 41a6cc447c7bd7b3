"""A verb's signature from a pydantic model, so that each option is declared once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated

from cyclopts import Parameter
from pydantic import BaseModel


def flag(name: str) -> str:
    """The option of a field; a name that Python keeps for itself ends in an underscore there.

    >>> flag("from_"), flag("weight_decay")
    ('--from', '--weight-decay')
    """
    return f"--{name.rstrip('_').replace('_', '-')}"


def options_of(model: type[BaseModel], positional: tuple[str, ...] = ()) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """A decorator that gives a function the model's fields as its options; only those that were given reach it.

    The values are checked by the model, not by the parser, so that the command line and Python refuse the same things in the same words.
    """

    def decorate(function: Callable[..., int]) -> Callable[..., int]:
        parameters = []
        for name, field in sorted(model.model_fields.items(), key=lambda item: item[0] not in positional):
            kind = inspect.Parameter.POSITIONAL_OR_KEYWORD if name in positional else inspect.Parameter.KEYWORD_ONLY
            described = Parameter(help=field.description, name=None if name in positional else flag(name))
            annotation = Annotated[field.annotation, described]  # type: ignore[name-defined]  # a value here, not an alias
            parameters.append(inspect.Parameter(name, kind, default=field.get_default(), annotation=annotation))
        function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return function

    return decorate
