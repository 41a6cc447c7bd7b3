"""The windows that a stored model answers by: its own, or those that a user asks for instead."""

from __future__ import annotations

from dataclasses import replace

from saccade.bundle import Bundle
from saccade.data.preprocess import Preprocess
from saccade.data.tiles import Tiling, square
from saccade.errors import UsageError

MODEL_TILE = "answer by windows of so many pixels a side; 0 = the whole image at once (default: as the model was trained)"
MODEL_TILE_OVERLAP = "pixels that neighbouring windows share, at most half a window (default: a quarter of --tile)"


def retiled(bundle: Bundle, tile: int | None, overlap: int | None) -> Bundle:
    """The model with these windows in its card, with none for 0, or as it is for None. Where nothing is scaled its input is as large as the windows.

    Raises UsageError USE-VALUE, also for 0 where nothing is scaled, USE-OPTION where objects are inputs; ModelError MODEL-ARGS.
    """
    tiling = square(tile, overlap)
    if tile is None:
        return bundle
    stored = Preprocess.from_dict(bundle.card.preprocess)
    if stored.crops is not None:
        raise UsageError("USE-OPTION", "this model answers one object at a time, not windows", where="--tile", fix="leave it out")
    if stored.mode == "keep":
        preprocess = replace(stored, tiling=required(tiling), size=required(tiling).size)
    else:
        preprocess = replace(stored, tiling=tiling)
    return replace(bundle, card=replace(bundle.card, preprocess=preprocess.to_dict()))


def required(tiling: Tiling | None) -> Tiling:
    """The windows of a model that scales nothing. Raises UsageError USE-VALUE where there are none: its input would have to be as large as any image."""
    if tiling is None:
        raise UsageError("USE-VALUE", "0, and this model takes pictures pixel for pixel", where="--tile", fix="give the side of its windows, 16 to 8192 pixels")
    return tiling
