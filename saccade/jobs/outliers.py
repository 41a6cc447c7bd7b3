"""`saccade outliers`: the inputs ranked by how strange they are to a model that learnt codes, with pictures, and the AUROC where it is known which belong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from pydantic import Field
from scipy.stats import rankdata

from saccade import bundle, storage
from saccade.classic import strangeness
from saccade.core import Value
from saccade.errors import DataError, PartialError, UsageError, nearest
from saccade.inference.embed import Embedded
from saccade.inference.tables import write_csv
from saccade.jobs.codes import CodeOptions, Progress, coded_by, new_place, write_failed
from saccade.jobs.embed import facts_of
from saccade.jobs.map import pictures_of
from saccade.metrics import bootstrap, statistics
from saccade.ops.sheets import sheet

Array = np.ndarray[Any, Any]
Score = Literal["all", "reconstruction", "density", "forest", "neighbours"]
SCORES = ("reconstruction", "density", "forest", "neighbours")
ROW, SIDE = 10, 80  # pictures of a row of the sheet, and their side in pixels
TIE = 1e-3  # of the mean rank, which decides among equal largest ones
FEWEST = 20  # usual codes without which nothing can be fitted


class OutlierOptions(CodeOptions):
    """What a user may say of the search for outliers."""

    score: Annotated[Score, Field(description="by reconstruction error, density or forest of the codes, neighbours, or the largest rank by any")] = "all"
    normal: Annotated[str | None, Field(description="data known to be usual, that densities are fitted to; default: the data themselves")] = None
    inliers: Annotated[str | None, Field(description="the classes that belong, a,b,c: all others count as outliers, and the AUROC is given")] = None
    top: Annotated[int, Field(ge=1, le=10_000, description="pictures on the sheet")] = 40
    seed: Annotated[int, Field(ge=0, description="of the density and the forest")] = 0


@dataclass(frozen=True)
class OutlierResult:
    """The folder, the ranked rows (the strangest first), and the AUROC of each score where the classes that belong are known."""

    path: Path
    rows: list[dict[str, Any]]
    auroc: dict[str, Value]
    failed: PartialError | None = None

    def to_dict(self) -> dict[str, Any]:
        return {"path": str(self.path), "n": len(self.rows), "auroc": {name: value._asdict() for name, value in self.auroc.items()}}

    def text(self) -> str:
        """The five strangest, and the AUROCs with their intervals."""
        lines = [f"{row['rank']:>4}  {row['id']}" + (f"  {row['label']}" if row["label"] else "") for row in self.rows[:5]]
        lines += [f"AUROC {name:<15}{v.value:.3f}  [{v.low:.3f}, {v.high:.3f}]" for name, v in self.auroc.items()]
        return "\n".join(lines)


def run_outliers(
    model: Path | str, data: str | Path, options: OutlierOptions | None = None, *, out: Path = Path("outliers"), progress: Progress | None = None
) -> OutlierResult:
    """Writes outliers.csv (the strangest first), outliers.png (the strangest, and below them the ten most usual) and, with `inliers`, metrics.json.

    The scores: reconstruction, the mean squared error of the model's answer; density, -log p of the code in nats by a mixture fitted to the usual codes;
    forest, the isolation forest's; neighbours, the distance to the fifth nearest usual code. "all" is the largest of their ranks as shares:
    strange by any of them.
    Raises UsageError RUN-EXISTS, USE-VALUE for a score that the model does not have and unknown classes; DataError, ModelError.
    """
    chosen = options or OutlierOptions()
    found = bundle.read(bundle.model_file(model))
    new_place(out)
    plain = CodeOptions(**{name: getattr(chosen, name) for name in CodeOptions.model_fields})
    coded = coded_by(found, data, plain, progress=progress)
    embedded = coded.embedded
    belongs = _belonging(embedded, chosen.inliers)
    usual = embedded if chosen.normal is None else coded_by(found, chosen.normal, plain.model_copy(update={"split": "all"})).embedded
    scores = scored(embedded, usual, chosen)
    rows = ranked(embedded, scores)
    auroc = {} if belongs is None else {name: _auroc(~belongs, score) for name, score in scores.items()}
    write_csv(out / "outliers.csv", rows)
    picture = pictures_of(embedded.dataset, 0)
    if picture is not None:
        place = {name: i for i, name in enumerate(embedded.ids)}
        order = [place[row["id"]] for row in rows]
        shown = [p for i in order[: chosen.top] if (p := picture(i)) is not None]
        last = [p for i in order[::-1][:ROW] if (p := picture(i)) is not None]
        shown += [np.full((1, 1, 3), 255, np.uint8)] * (-len(shown) % ROW)
        made = sheet([*shown, *last], columns=ROW, side=SIDE)
        storage.atomic_write(out / "outliers.png", cv2.imencode(".png", cv2.cvtColor(made, cv2.COLOR_RGB2BGR))[1].tobytes())
    if auroc:
        storage.write_json(out / "metrics.json", {f"auroc_{name}": value._asdict() for name, value in auroc.items()})
    write_failed(out, embedded.problems)
    return OutlierResult(out, rows, auroc, coded.partial(out))


def scored(embedded: Embedded, usual: Embedded, chosen: OutlierOptions) -> dict[str, Array]:
    """{score: (n,), more is stranger}: the one asked for, or all that the model has with their mean rank first. Raises UsageError, DataError DATA-SMALL."""
    wanted = [chosen.score] if chosen.score != "all" else [name for name in SCORES if name != "reconstruction" or embedded.errors is not None]
    if wanted != ["reconstruction"] and len(usual) < FEWEST:
        raise DataError("DATA-SMALL", f"{len(usual)} usual inputs, {FEWEST} are needed", where=chosen.normal or "DATA", fix="choose --score reconstruction")
    found: dict[str, Array] = {}
    for name in wanted:
        found[name] = _one(name, embedded, usual, chosen)
    if chosen.score != "all":
        return found
    ranks = np.stack([rankdata(score) / len(score) for score in found.values()])
    return {"all": ranks.max(0) + TIE * ranks.mean(0), **found}


def _one(name: str, embedded: Embedded, usual: Embedded, chosen: OutlierOptions) -> Array:
    own, others = embedded.codes.astype(np.float64), usual.codes.astype(np.float64)
    if name == "reconstruction":
        if embedded.errors is None:
            got = "the model reconstructs nothing"
            raise UsageError("USE-VALUE", got, where="--score", fix="choose density, forest or neighbours, or a model of the task represent")
        return embedded.errors.astype(np.float64)
    if name == "density":
        return strangeness.by_density(others, own, seed=chosen.seed)
    if name == "forest":
        return strangeness.by_forest(others, own, seed=chosen.seed)
    return strangeness.by_neighbours(others, own, itself=embedded is usual)


def ranked(embedded: Embedded, scores: dict[str, Array]) -> list[dict[str, Any]]:
    """A row an input, the largest first score first; equal ones in their order."""
    facts, first = facts_of(embedded), next(iter(scores.values()))
    rows = []
    for rank, i in enumerate(np.argsort(-first, kind="stable"), 1):
        own = {name: values[i] for name, values in facts.items()}
        rows.append({"rank": rank, **own, **{name: round(float(score[i]), 6) for name, score in scores.items()}})
    return rows


def _belonging(embedded: Embedded, inliers: str | None) -> Array | None:
    """(n,) whether each input is of a class that belongs; None where nobody says. Raises UsageError USE-VALUE."""
    if inliers is None:
        return None
    wanted, known = [name.strip() for name in inliers.split(",") if name.strip()], sorted({label for label in embedded.labels if label})
    for name in wanted:
        if name not in known:
            said = nearest(name, known) if known else "the data have no classes"
            raise UsageError("USE-VALUE", f"{name}; {said}", where="--inliers")
    belongs = np.array([label in wanted for label in embedded.labels])
    if belongs.all() or not belongs.any():
        raise UsageError("USE-VALUE", f"{int(belongs.sum())} of {len(belongs)} inputs belong, so that there is nothing to tell apart", where="--inliers")
    return belongs


def _auroc(strange: Array, score: Array) -> Value:
    """The AUROC with its 95 % interval."""
    value, drawn = bootstrap.evaluate({"auroc": statistics.auroc(strange, score)}, len(score))["auroc"]
    return bootstrap.interval(float(value), drawn, len(score))._replace(n=len(score))
