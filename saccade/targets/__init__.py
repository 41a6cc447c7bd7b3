"""One file for each target type: the record, how it warps, draws and merges."""

from saccade.targets.label import Label

__all__ = ["Label"]
