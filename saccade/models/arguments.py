"""What a builder's arguments may be: JSON values with ranges, checked against the builder's own signature."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

Share = Annotated[float, Field(ge=0, lt=1)]
Width = Annotated[int, Field(ge=1, le=4096)]
Count = Annotated[int, Field(ge=1, le=64)]
Widths = Annotated[tuple[Width, ...], Field(min_length=1, max_length=8)]
Counts = Annotated[tuple[Count, ...], Field(min_length=1, max_length=8)]
WidthFactor = Annotated[float, Field(gt=0, le=16)]
OutputStride = Literal[8, 16, 32]
ClassWeights = Annotated[tuple[Annotated[float, Field(ge=0, allow_inf_nan=False)], ...] | None, Field(max_length=1_000_000)]

# what other tools call our arguments
HINTS = {"drop_rate": "dropout", "drop": "dropout", "class_weight": "class_weights", "weight": "class_weights", "smoothing": "label_smoothing"}
HINTS |= {"channels": "widths", "width": "widths", "depths": "blocks", "layers": "blocks", "norm_layer": "norm", "global_pool": "pool"}


@functools.cache
def schema(builder: Callable[..., Any]) -> type[BaseModel]:
    """The keyword-only arguments of a builder as a model; those that the table has already fixed are none."""
    fixed = builder.keywords if isinstance(builder, functools.partial) else {}
    function = builder.func if isinstance(builder, functools.partial) else builder
    hints = get_type_hints(function, include_extras=True)
    own = {n: p for n, p in inspect.signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY and n not in fixed}
    fields: dict[str, Any] = {name: (hints[name], ... if p.default is p.empty else p.default) for name, p in own.items()}
    return create_model(f"{function.__name__}_arguments", __config__=ConfigDict(extra="forbid"), **fields)


def defaults(builder: Callable[..., Any]) -> dict[str, Any]:
    """Every argument with its default."""
    return schema(builder)().model_dump()


def checked(builder: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments given, each in its own type (lists become tuples, "64" becomes 64).

    Raises ValueError that names the first argument out of range, with what was expected. Unknown names are the caller's to find.
    """
    try:
        valid = schema(builder).model_validate(dict(arguments))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"][:2])
        raise ValueError(f"{where} = {str(first['input'])[:80]}: {first['msg'][0].lower()}{first['msg'][1:]}") from error
    return {name: getattr(valid, name) for name in arguments}
