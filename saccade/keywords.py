"""The keywords of the public functions: unknown ones are answered with the likely name, values are checked by the options' model."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from saccade.errors import UsageError, nearest

if TYPE_CHECKING:
    from pydantic import BaseModel

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M", bound="BaseModel")


def suggesting(model: str = "") -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator: the TypeError for an unknown keyword names the likely one.

    model: "module:name" of the options that the function takes as **options.

    >>> from saccade import doctor
    >>> doctor(foldr=".")
    Traceback (most recent call last):
    ...
    TypeError: doctor() has no keyword 'foldr'; did you mean folder? The options are folder
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        parameters = inspect.signature(function).parameters.values()
        named = [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]

        @functools.wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            if any(name not in named for name in kwargs):
                known = [*named, *(name for name in model_of(model).model_fields if name not in named)] if model else named
                _refuse_unknown(function.__name__, kwargs, known)
            return function(*args, **kwargs)

        return checked

    return decorate


def model_of(place: str) -> type[BaseModel]:
    """The model of options at "module:name"."""
    module, _, name = place.partition(":")
    found: type[BaseModel] = getattr(importlib.import_module(module), name)
    return found


def _refuse_unknown(function: str, given: Iterable[str], known: Sequence[str]) -> None:
    from saccade.jobs.options import HINTS

    for name in given:
        if name not in known:
            raise TypeError(f"{function}() has no keyword {name!r}; {nearest(name, known, HINTS)}")


def filled(model: type[M], given: Mapping[str, Any]) -> M:
    """A model of options filled in. Raises UsageError USE-VALUE for a value that it refuses."""
    from pydantic import ValidationError

    try:
        return model(**given)
    except ValidationError as problem:
        first = problem.errors()[0]
        place = "".join(f"--{str(part).replace('_', '-')}" for part in first["loc"][:1])
        raise UsageError("USE-VALUE", f"{first['msg'].removeprefix('Value error, ')}, got {first['input']!r}"[:300], where=place) from None
