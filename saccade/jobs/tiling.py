"""The windows that a stored model answers by: its own, or those that a user asks for instead."""

from __future__ import annotations

from dataclasses import replace

from saccade.bundle import Bundle
from saccade.data.preprocess import Preprocess
from saccade.data.tiles import square

MODEL_TILE = "answer by windows of so many pixels a side; 0 = the whole image at once (default: as the model was trained)"
MODEL_TILE_OVERLAP = "pixels that neighbouring windows share, at most half a window (default: a quarter of --tile)"


def retiled(bundle: Bundle, tile: int | None, overlap: int | None) -> Bundle:
    """The model with these windows in its card, with none for 0, or as it is for None. Raises UsageError USE-VALUE, ModelError MODEL-ARGS."""
    tiling = square(tile, overlap)
    if tile is None:
        return bundle
    preprocess = replace(Preprocess.from_dict(bundle.card.preprocess), tiling=tiling)
    return replace(bundle, card=replace(bundle.card, preprocess=preprocess.to_dict()))
