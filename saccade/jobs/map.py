"""`saccade map`: the codes of pictures or vectors in the plane, drawn with thumbnails, as a page to walk on, and kept so that new ones can be placed on it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from pydantic import Field

from saccade import bundle, storage
from saccade.bundle import Bundle
from saccade.classic.flat_map import FlatMap, flat_map, placed
from saccade.data.dataset import ImageDataset
from saccade.data.formats.rows import read_rows
from saccade.data.formats.sequences_files import npy
from saccade.errors import DataError, PartialError, UsageError
from saccade.inference.embed import Embedded
from saccade.inference.evaluate import coloured
from saccade.inference.tables import write_csv
from saccade.jobs.codes import CodeOptions, Progress, coded_by, new_place, write_failed
from saccade.jobs.embed import facts_of, write_array
from saccade.metrics.representation import continuity, trustworthiness
from saccade.report import map_drawing, map_page

Array = np.ndarray[Any, Any]
MEASURED, NEIGHBOURS = 2000, 12  # points that neighbourhoods are measured on, drawn evenly; neighbours (5 below 50 points)
LEAST_SIDE = 4  # pixels of a picture below which it is a vector and has no thumbnail


class MapOptions(CodeOptions):
    """What a user may say of a map."""

    method: Annotated[Literal["tsne", "pca"], Field(description="t-SNE, or the first two principal components")] = "tsne"
    perplexity: Annotated[float, Field(ge=2, le=1000, description="of t-SNE: about how many neighbours count")] = 30.0
    thumbnails: Annotated[int, Field(ge=0, le=20_000, description="pictures in the page, drawn evenly")] = 1500
    onto: Annotated[Path | None, Field(description="a map that is there, whose points stay where they are and new ones are placed on")] = None
    seed: Annotated[int, Field(ge=0, description="of t-SNE")] = 0


@dataclass(frozen=True)
class MapResult:
    """The folder of the map, its points (n, 2), how many of them were placed on a map that was there, and how well neighbours are kept."""

    path: Path
    points: Array
    new: int
    by: str
    kept: dict[str, float]
    failed: PartialError | None = None

    def to_dict(self) -> dict[str, Any]:
        return {"path": str(self.path), "n": len(self.points), "new": self.new, "by": self.by, **self.kept}

    def text(self) -> str:
        """Two lines for people."""
        lines = [f"{len(self.points):,} points: {self.by}" + (f", {self.new:,} of them new" if self.new else "")]
        if self.kept:
            lines.append(", ".join(f"{name} {value:.4f}" for name, value in self.kept.items() if isinstance(value, float)) + " (1 is best)")
        return "\n".join(lines)


@dataclass(frozen=True)
class Saved:
    """A map that lies in a folder: its points, codes, and what is known of each row."""

    found: FlatMap
    codes: Array
    rows: list[dict[str, str]]
    model: str


def run_map(model: Path | str, data: str | Path, options: MapOptions | None = None, *, out: Path = Path("map"), progress: Progress | None = None) -> MapResult:
    """Writes map.csv, map.svg, map.png (thumbnails), map.html, codes.npy and map.json into a new folder.

    Raises UsageError RUN-EXISTS, USE-VALUE; DataError, ModelError; DataError DATA-SMALL for fewer than two inputs; UsageError RUN-CONFIG for a map
    of another model to place onto. `failed` of the result is set where some inputs could not be read.
    """
    chosen = options or MapOptions()
    found = bundle.read(bundle.model_file(model))
    before = read_map(chosen.onto) if chosen.onto is not None else None
    if before is not None and before.model != found.card.sha256:
        raise UsageError("RUN-CONFIG", f"the map is of codes of another model ({before.model[:12]}...)", where=str(chosen.onto), fix="give the model it is of")
    new_place(out)
    coded = coded_by(found, data, _plain(chosen), progress=progress)
    embedded, threads = coded.embedded, chosen.threads or os.cpu_count() or 1
    if before is None:
        if len(embedded) < 2:
            raise DataError("DATA-SMALL", f"{len(embedded)} input, a map needs two", where=str(data))
        made = flat_map(embedded.codes, method=chosen.method, perplexity=chosen.perplexity, seed=chosen.seed, threads=threads)
    else:
        made = placed(embedded.codes, before.codes, before.found, threads=threads)
    drawn = Drawn(before, embedded, made)
    kept = drawn.neighbourhoods()
    drawn.write(out, found, chosen, kept)
    write_failed(out, embedded.problems)
    return MapResult(out, drawn.points, len(embedded) if before else 0, made.by, kept, coded.partial(out))


def _plain(chosen: MapOptions) -> CodeOptions:
    return CodeOptions(**{name: getattr(chosen, name) for name in CodeOptions.model_fields})


@dataclass(frozen=True)
class Drawn:
    """The points of an old map, if there is one, and those of new codes on it."""

    before: Saved | None
    embedded: Embedded
    made: FlatMap

    @property
    def points(self) -> Array:
        return self.made.points if self.before is None else np.concatenate([self.before.found.points, self.made.points])

    @property
    def codes(self) -> Array:
        return self.embedded.codes if self.before is None else np.concatenate([self.before.codes, self.embedded.codes])

    @property
    def old(self) -> int:
        return 0 if self.before is None else len(self.before.codes)

    def neighbourhoods(self) -> dict[str, float]:
        """Trustworthiness and continuity of at most 2,000 points, drawn evenly."""
        places = np.linspace(0, len(self.points) - 1, min(MEASURED, len(self.points))).astype(int)
        k = NEIGHBOURS if len(places) >= 50 else 5
        if len(places) <= 2 * k:
            return {}
        codes, points = self.codes[places], self.points[places]
        return {"trustworthiness": trustworthiness(codes, points, k), "continuity": continuity(codes, points, k), "neighbours": k, "measured_on": len(places)}

    def rows(self) -> list[dict[str, Any]]:
        """A row a point: id, label, split, path, new, x, y."""
        facts = facts_of(self.embedded)
        own = [dict(zip(facts, row, strict=True)) for row in zip(*facts.values(), strict=True)]
        every: list[dict[str, Any]] = [*({**row, "new": ""} for row in (self.before.rows if self.before else [])), *own]
        for i, (row, (x, y)) in enumerate(zip(every, self.points, strict=True)):
            row |= {"new": "new" if self.before and i >= self.old else "", "x": round(float(x), 5), "y": round(float(y), 5)}
        return every

    def write(self, out: Path, found: Bundle, chosen: MapOptions, kept: dict[str, float]) -> None:
        rows = self.rows()
        labels, ids = [str(row["label"]) for row in rows], [str(row["id"]) for row in rows]
        new = np.array([row["new"] == "new" for row in rows])
        data = self.embedded.dataset
        title = f"{data.name}: {len(rows):,} codes of {found.card.model}"
        about = f"{self.made.by}" + (f", perplexity {self.made.perplexity:g}" if self.made.perplexity else "")
        about += f"; trustworthiness {kept['trustworthiness']:.3f}, continuity {kept['continuity']:.3f}" if kept else ""
        write_csv(out / "map.csv", rows)
        write_array(out / "codes.npy", self.codes.astype(np.float32))
        storage.atomic_write(out / "map.svg", map_drawing.svg(self.points, labels, title=title, new=new).encode())
        picture = pictures_of(data, self.old)
        if picture is not None:
            sheet = map_drawing.thumbnails(self.points, labels, picture)
            storage.atomic_write(out / "map.png", cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))[1].tobytes())
        shown = set(np.linspace(self.old, len(rows) - 1, min(chosen.thumbnails, len(rows) - self.old)).astype(int).tolist()) if picture else set()
        pictures = [picture(i) if picture and i in shown else None for i in range(len(rows))] if shown else []
        document = map_page.page(self.points, ids, labels, title=title, about=about, pictures=pictures, new=new)
        storage.atomic_write(out / "map.html", document.encode("utf-8", "backslashreplace"))
        settings = {"method": self.made.method, "by": self.made.by, "perplexity": self.made.perplexity, "seed": chosen.seed}
        told = {"version": 1, **settings, "model": found.card.sha256, "codes": _hash(self.codes), "n": len(rows), "kept": kept}
        storage.write_json(out / "map.json", told)


def pictures_of(data: ImageDataset, first: int) -> Callable[[int], Array | None] | None:
    """A function that gives the picture (h, w, 3) uint8 of a point, those before `first` being of other data; None for vectors."""
    if min(data.size(0)) < LEAST_SIDE:
        return None

    def picture(i: int) -> Array | None:
        if i < first:
            return None
        try:
            return coloured(data.read(i - first, (map_page.TILE, map_page.TILE)))
        except DataError:
            return None

    return picture


def read_map(folder: Path) -> Saved:
    """A map that `write` left. Raises DataError DATA-MISSING, ANN-UNREADABLE for one that is not whole."""
    if not (folder / "map.json").is_file():
        raise DataError("DATA-MISSING", "there is no map.json", where=str(folder), fix="give the folder that saccade map wrote")
    try:
        told = storage.read_json(folder / "map.json")
        codes = npy((folder / "codes.npy").read_bytes())
        table = read_rows(folder / "map.csv", "map.csv").cells
        rows = [dict(zip(table[0], row, strict=True)) for row in table[1:]]
        points = np.array([[float(row["x"]), float(row["y"])] for row in rows])
        sound = len(rows) == len(codes) and told["codes"] == _hash(codes) and told["method"] in ("tsne", "pca") and np.isfinite(points).all()
        saved = Saved(FlatMap(points, told["method"], str(told["by"]), float(told["perplexity"])), codes, rows, str(told["model"]))
    except (KeyError, ValueError, IndexError, OSError, TypeError, DataError) as problem:
        raise DataError("ANN-UNREADABLE", f"not a whole map: {problem}"[:200], where=str(folder), fix="make the map again") from problem
    if not sound:
        raise DataError("ANN-UNREADABLE", "its codes, points and settings are not of one map", where=str(folder), fix="make the map again")
    return replace(saved, rows=[{name: row.get(name, "") for name in ("id", "label", "split", "path")} for row in rows])


def _hash(codes: Array) -> str:
    return hashlib.sha256(np.ascontiguousarray(codes.astype("<f4")).tobytes()).hexdigest()
