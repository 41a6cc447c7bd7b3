"""`sample` of a model that learnt codes: a density p(z) fitted to the codes of pictures, drawn from, and decoded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from saccade import bundle
from saccade.classic.density import DENSITIES, Density
from saccade.data.formats.sequences_files import npy
from saccade.data.formats.source import Source
from saccade.errors import DataError, UsageError, nearest
from saccade.generative.autoencoder import Autoencoder
from saccade.inference.answers import image_file
from saccade.inference.generated import grid, write_png
from saccade.inference.tables import write_csv
from saccade.jobs.codes import new_place
from saccade.jobs.evaluate import placed
from saccade.targets import ImageTarget
from saccade.training.engine import set_threads

if TYPE_CHECKING:
    from saccade.jobs.sample import Drawn, SampleOptions

Array = np.ndarray[Any, Any]
USUAL = "mixture"  # the density where nothing is said
MEANINGLESS = ("label", "condition", "steps", "guidance", "eta")


def run_sample_codes(model: Path | str, chosen: SampleOptions, *, out: Path) -> Drawn:
    """Writes what `jobs.sample.run_sample` does, by a model of the task represent; samples.csv has seed, number and density.

    Raises UsageError USE-OPTION for options of generative models, USE-VALUE for an unknown density and a model of vectors, USE-MISSING without codes;
    DataError, ModelError.
    """
    from saccade.jobs.sample import COLUMNS, Drawn, SampleOptions

    for name in MEANINGLESS:
        if getattr(chosen, name) != SampleOptions.model_fields[name].default:
            got = f"a model of codes is told nothing and draws in one step: --{name} would change nothing"
            raise UsageError("USE-OPTION", got, where=f"--{name}", fix="leave it out")
    set_threads(chosen.threads)
    found = bundle.read(bundle.model_file(model))
    network, autocast = placed(found, chosen.device)
    assert isinstance(network, Autoencoder)
    if tuple(found.card.inputs.size) == (1, 1):
        raise UsageError("USE-VALUE", f"{found.card.model} is of vectors, which are no pictures", where=str(model), fix="give a model of pictures")
    density = fitted(chosen.density or USUAL, codes_beside(model, chosen.codes, network.codes))
    new_place(out)
    device, parts = next(network.parameters()).device, []
    with torch.inference_mode(), autocast:
        for first in range(0, chosen.number, chosen.batch):
            drawn = rows_of(density, chosen.seed, first, min(chosen.batch, chosen.number - first))
            parts.append(network.decoded(torch.from_numpy(drawn).float().to(device)).float().clamp(0, 1).cpu())
    pictures = torch.cat(parts)
    rows = []
    for i, picture in enumerate(pictures):
        file = image_file(ImageTarget(picture), out / f"{i:05d}")
        rows.append({"file": file.name, "seed": chosen.seed, "number": i, "density": chosen.density or USUAL})
    write_png(out / "sheet.png", grid(pictures[: COLUMNS * COLUMNS], columns=COLUMNS))
    write_csv(out / "samples.csv", rows)
    return Drawn(out, pictures, rows)


def fitted(name: str, codes: Array) -> Density:
    """The density of a name, fitted to codes (n, K). Raises UsageError USE-VALUE, DataError DATA-SMALL."""
    if name not in DENSITIES:
        raise UsageError("USE-VALUE", f"{name}; {nearest(name, DENSITIES)}", where="--density")
    try:
        return DENSITIES[name]().fit(codes)
    except ValueError as problem:
        raise DataError("DATA-SMALL", str(problem), where="--codes") from None


def rows_of(density: Density, seed: int, first: int, count: int) -> Array:
    """(count, K): the samples `first` and on of a seed, each by its own chance, so that it does not depend on how many are drawn."""
    return np.concatenate([density.sample(1, np.random.default_rng([seed, first + i])) for i in range(count)])


def codes_beside(model: Path | str, given: Path | None, width: int) -> Array:
    """The codes (n, width) that the density is fitted to: a file as `saccade embed` writes it, else those of the run's evaluation.

    Raises UsageError USE-MISSING where there is none, DataError ANN-SEQ, ANN-UNREADABLE for a file that holds something else.
    """
    path = given if given is not None else bundle.model_file(model).parent / "eval" / "codes.npy"
    if not path.is_file():
        fix = f"saccade embed {model} DATA --out codes.npy, then --codes codes.npy"
        raise UsageError("USE-MISSING", f"there are no codes in {path}", where="--codes", fix=fix)
    codes = npy(Source(path.parent, path.name).content(path.name))
    if codes.ndim != 2 or codes.shape[1] != width or codes.dtype.kind != "f":
        raise DataError("ANN-SEQ", f"{codes.dtype} {codes.shape}, expected codes (n, {width})", where=str(path), fix="make them with saccade embed")
    return np.asarray(codes, np.float64)
