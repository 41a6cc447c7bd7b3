"""Images without labels, in whatever folders: nothing to train on, but `check` can read them. Only on request."""

from __future__ import annotations

from saccade.core import LabelSpace, Record
from saccade.data.formats.source import Found, Source


def detect(source: Source) -> bool | None:
    """Whether there are any images."""
    return bool(source.listing.files and not source.only) or None


def load(source: Source, plan: bool) -> Found:
    """A record without a label for each image."""
    records = [Record(path, source.root / path, targets={"label": None}) for path in source.listing.files]
    return Found(records, {"label": LabelSpace(())}, "images without labels", source.leftovers)
