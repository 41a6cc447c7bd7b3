"""The options of `tune`: those of `train` that all trials share, and what is searched."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from saccade.jobs.options import TrainOptions, check_tile, checked_options

FIXED = frozenset(
    {"data", "task", "out", "name", "budget", "epochs", "resume", "split", "test", "val", "order", "folds", "group", "label", "format", "follow", "monitor"}
    | {"device", "threads", "workers", "cache", "search", "trials", "method", "set", "min_precision", "seed", "save_every", "selftest", "floors", "max_bad"}
    | {"max_pixels", "allow_leak", "data_changed_ok", "keep", "from_"}
)  # options of a training that a search may not choose
SEARCHED = "what is searched: lr=1e-4..1e-2, augment=light,strong, network.dropout=0..0.5 (default: the rate, the decay and what the network has)"
METHODS = "random draws; halving, in which the better third is trained three times as long; or optuna"


class TuneOptions(TrainOptions):
    """What a user may say of a search: what is searched and how, and every option of `train` that all trials share."""

    search: Annotated[tuple[str, ...], Field(description=SEARCHED)] = ()
    trials: Annotated[int, Field(ge=1, le=100_000, description="configurations that are tried")] = 20
    method: Annotated[Literal["random", "halving", "optuna"], Field(description=METHODS)] = "random"

    @model_validator(mode="after")
    def _together(self) -> TuneOptions:
        """In place of the rules of `train`: folds here are of what is not the test part, so that both may be given."""
        if not self.data:
            raise ValueError("DATA is needed: a folder, a CSV or IDX files")
        if self.resume is not None or (self.epochs or "").startswith("+"):
            raise ValueError("a search is gone on with by the same command with the same --out")
        if self.folds == 1:
            raise ValueError("one fold is no cross-validation; give 2 or more")
        check_tile(self.tile, self.tile_overlap)
        return self


def make_tune_options(**given: Any) -> TuneOptions:
    """Options from keywords. Raises UsageError USE-OPTION (with the likely name) or USE-VALUE."""
    return checked_options(TuneOptions, given)
