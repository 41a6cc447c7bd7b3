"""`saccade embed`: the code of every picture or vector, as a NumPy array, a CSV table or a Parquet file."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from saccade import storage
from saccade.errors import PartialError, UsageError
from saccade.inference.embed import Embedded
from saccade.inference.evaluate import relative
from saccade.inference.tables import write_cells
from saccade.jobs.codes import CodeOptions, Progress, coded, write_failed

SUFFIXES = (".npy", ".csv", ".parquet")
DIGITS = 7  # of a code in a CSV file: more than float32 has


@dataclass(frozen=True)
class EmbedResult:
    """Where the codes are, how many of how many numbers, and the inputs that have none."""

    path: Path
    codes: np.ndarray[Any, Any]
    failed: PartialError | None = None

    def to_dict(self) -> dict[str, Any]:
        return {"path": str(self.path), "n": len(self.codes), "codes": int(self.codes.shape[1])}


def run_embed(
    model: Path | str, data: str | Path, options: CodeOptions | None = None, *, out: Path = Path("codes.npy"), progress: Progress | None = None
) -> EmbedResult:
    """Writes the codes: to a .npy file (n, K) float32 with a CSV of ids, labels and splits beside it, to a .csv or a .parquet with all in one table.

    Raises UsageError RUN-EXISTS, USE-VALUE for another suffix, USE-EXTRA for Parquet without pyarrow; ModelError, DataError. `failed` of the result
    is set where some inputs could not be read; they are in NAME.failed.csv.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise UsageError("USE-VALUE", f"{out.suffix or 'no suffix'}, expected {', '.join(SUFFIXES)}", where="--out")
    beside = out.with_suffix(".csv")
    if there := next((path for path in (out, beside) if path.exists()), None):
        raise UsageError("RUN-EXISTS", "the file is there", where=str(there), fix="choose another --out")
    if out.suffix.lower() == ".parquet":
        need_parquet()
    found = coded(model, data, options or CodeOptions(), progress=progress)
    with storage.disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    write_codes(found.embedded, out)
    write_failed(out.parent, found.embedded.problems, f"{out.stem}.failed.csv")
    return EmbedResult(out, found.embedded.codes, found.partial(out))


def need_parquet() -> None:
    """Raises UsageError USE-EXTRA without pyarrow."""
    from importlib.util import find_spec

    if find_spec("pyarrow") is None:
        raise UsageError("USE-EXTRA", "Parquet needs pyarrow", where="--out", fix="pip install 'saccade[data]', or write a .npy or .csv")


def facts_of(embedded: Embedded) -> dict[str, list[str]]:
    """{id, label, split, path} of each row; paths as seen from the data's folder."""
    records, root = embedded.dataset.records, embedded.dataset.root
    return {
        "id": embedded.ids,
        "label": embedded.labels,
        "split": [record.split or "" for record in records],
        "path": [relative(record.path, root) for record in records],
    }


def write_codes(embedded: Embedded, out: Path) -> None:
    """One file, or two where it is a .npy."""
    facts, kind = facts_of(embedded), out.suffix.lower()
    heads, rows = list(facts), [list(row) for row in zip(*facts.values(), strict=True)]
    names = [f"c{k}" for k in range(embedded.codes.shape[1])]
    if kind == ".csv":
        numbers = [[float(f"{value:.{DIGITS}g}") for value in row] for row in embedded.codes.tolist()]
        table: list[list[Any]] = [[*heads[:3], *names]]
        write_cells(out, table + [[*row[:3], *codes] for row, codes in zip(rows, numbers, strict=True)])
        return
    if kind == ".parquet":
        import pyarrow
        from pyarrow import parquet

        made = pyarrow.table({**facts, **{name: embedded.codes[:, k] for k, name in enumerate(names)}})
        buffer = pyarrow.BufferOutputStream()
        parquet.write_table(made, buffer)
        storage.atomic_write(out, buffer.getvalue().to_pybytes())
        return
    write_array(out, embedded.codes)
    write_cells(out.with_suffix(".csv"), [heads, *rows])


def write_array(path: Path, values: np.ndarray[Any, Any]) -> None:
    """A NumPy file, whole or not at all."""
    buffer = io.BytesIO()
    np.save(buffer, values)
    storage.atomic_write(path, buffer.getvalue())
