"""saccade: a folder of labelled images becomes a trained, evaluated, explained, exportable vision model.

Names are looked up when they are first used, so that `import saccade` costs nothing.
"""

from typing import Any

__all__ = [
    "add_class", "check", "compare", "convert", "demo", "doctor", "duplicates", "embed", "evaluate", "interpolate", "load", "map",
    "outliers", "predict", "runs", "sample", "split", "summary", "train", "traverse", "tune", "world",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in __all__:
        from saccade import api

        return getattr(api, name)
    if name == "__version__":
        from importlib.metadata import version

        return version("saccade")
    from saccade.errors import nearest

    raise AttributeError(f"saccade has no {name!r}; {nearest(name, __all__)}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
