"""Documents: texts to be counted as words, a .txt file each, perhaps in class folders and inside train, val and test; or the rows of a table.

A table is a CSV or TSV with a column named text (document, body, content, sentence, review, abstract, message); label, id, split and group are named
as in tables of vectors, other columns are not looked at. How texts become numbers: `data.words`.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping
from typing import Any

from saccade.core import LabelSpace, Record
from saccade.data.formats.rows import Rows, parse_rows, read_rows
from saccade.data.formats.sounds import place_of
from saccade.data.formats.source import READ, SPLITS, Found, Source, natural
from saccade.data.formats.vectors import HEAD, NAMES, TABLES
from saccade.data.words import Document
from saccade.errors import DataError, Problem
from saccade.targets import Label

TEXT = ".txt"
TEXTS = ("text", "document", "body", "content", "sentence", "review", "abstract", "message")
LOOKED = 5  # files that are looked at
FEWEST, PLAIN = 5, 0.6  # words at their beginning, on average, and the share of what stands between blanks that are words
_ABOUT = re.compile(r"(readme|licen[cs]e|notice|copying|classes|labels|citation)\b", re.IGNORECASE)  # files that are about the data
_WORD = re.compile(r"[\"'(\[]*[^\W\d_]+(?:['’-][^\W\d_]+)*[\"')\].,;:!?]*")


def detect(source: Source) -> list[str] | None:
    """The tables, or the files, of a folder without pictures; or the table that was given. Never raises."""
    if source.only:
        return [source.only] if source.only.lower().endswith(TABLES) and _table_fits(source, source.only) else None
    if source.listing.files or not source.listing.labels:
        return None
    names = [name for name in source.listing.labels if not (name.lower().endswith(TEXT) and _ABOUT.match(posixpath.basename(name)))]
    if not names or _others(source, names):
        return None
    if all(name.lower().endswith(TABLES) and "/" not in name for name in names):
        return names if all(_table_fits(source, name) for name in names) else None
    if len(names) < 2 or not all(name.lower().endswith(TEXT) for name in names):
        return None
    return names if _prose(source, names) else None


def load(source: Source, plan: list[str]) -> Found:
    """A record a file or a row. Raises DataError ANN-UNREADABLE, ANN-COLUMNS."""
    return _of_tables(source, plan) if plan[0].lower().endswith(TABLES) else _of_files(source, plan)


def _of_files(source: Source, plan: list[str]) -> Found:
    told = [place_of(name) for name in plan]
    names = tuple(sorted({label for _, label in told if label}, key=natural))
    arrays: dict[str, list[Document]] = {}
    records = []
    for name, (split, label) in zip(plan, told, strict=True):
        held = arrays.setdefault(posixpath.basename(name), [])
        path = source.root / name
        records.append(Record(name, path, len(held), _truth(label, names), split))
        held.append(Document(path))
    reason = f"{len(records):,} documents (.txt)" + (f" in {len(names)} class folders" if names else "")
    return Found(records, {"label": LabelSpace(names)} if names else {}, reason, source.listing.problems, dict(arrays))


def _of_tables(source: Source, plan: list[str]) -> Found:
    problems, arrays = list[Problem](), dict[str, list[Document]]()
    made: list[tuple[Record, str]] = []
    seen: set[str] = set()
    for name in plan:
        rows = read_rows(source.root / name, name)
        problems += rows.problems
        roles = _roles(rows, source)
        if roles is None:
            raise DataError("ANN-COLUMNS", f"no column of texts; the first row is {rows.cells[:1]}", where=name, fix=f"name one {', '.join(TEXTS[:3])}")
        key, split = posixpath.basename(name), SPLITS.get(posixpath.splitext(posixpath.basename(name))[0].lower())
        held = arrays.setdefault(key, [])
        ids = [row[roles["id"]].strip() for row in rows.cells[1:]] if "id" in roles else []
        unique = len(set(ids)) == len(rows.cells) - 1 and not seen & set(ids) and all(ids)
        for i, row in enumerate(rows.cells[1:]):
            own = {role: row[place].strip() for role, place in roles.items()}
            called = ids[i] if unique else f"{key}#{i}"
            seen.add(called)
            part = SPLITS.get(own.get("split", "").lower(), split)
            made.append((Record(called, source.root / name, i, {}, part, own.get("group") or None), own.get("label", "")))
            held.append(Document(source.root / name, own["text"]))
    names = tuple(sorted({label for _, label in made if label}, key=natural))
    records = [Record(r.id, r.path, r.index, _truth(label, names), r.split, r.group) for r, label in made]
    reason = f"{len(records):,} documents in {', '.join(plan[:3])}{' and more' if len(plan) > 3 else ''}"
    grouped = source.wishes.group is not None and any(record.group for record in records)
    return Found(records, {"label": LabelSpace(names)} if names else {}, reason, problems, dict(arrays), grouped=grouped)


def _truth(label: str | None, names: tuple[str, ...]) -> Mapping[str, Any]:
    return {} if not names else {"label": Label(names.index(label)) if label else None}


def _others(source: Source, names: list[str]) -> bool:
    """Whether a tenth of the files or more are no texts, which then are notes beside something else."""
    found = 0
    for _, folders, files in os.walk(source.root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += sum(not name.startswith(".") and not _ABOUT.match(name) and not name.lower().endswith((TEXT, *TABLES)) for name in files)
        if 10 * found >= len(names):
            return found > 0
    return False


def _table_fits(source: Source, name: str) -> bool:
    """Whether a table has a column of texts, and none of pictures' names."""
    try:
        content = source.head(name, HEAD)
        rows = parse_rows(content[: content.rfind(b"\n") + 1] if len(content) == HEAD else content, name)
    except DataError:
        return False
    roles = _roles(rows, source)
    if roles is None:
        return False
    body = rows.cells[1 : 1 + LOOKED]
    others = [cell.strip() for row in body for i, cell in enumerate(row) if i != roles["text"] and cell.strip()]
    pictured = any(posixpath.splitext(cell)[1].lower() in READ or source.lookup.find(cell) is not None for cell in others)
    return bool(body) and not pictured and _plain([row[roles["text"]] for row in body], fewest=1)


def _roles(rows: Rows, source: Source) -> dict[str, int] | None:
    """The columns by what they are; None without one of texts."""
    heads = [cell.strip().lower() for cell in rows.cells[0]] if rows.cells else []
    wished = {"label": source.wishes.label, "group": source.wishes.group}
    found: dict[str, int] = {}
    for role, known in {"text": TEXTS, **NAMES}.items():
        wish = (wished.get(role) or "").strip().lower()
        among = (wish,) if wish and wish in heads else known
        place = next((heads.index(word) for word in among if word in heads and heads.index(word) not in found.values()), None)
        if place is not None:
            found[role] = place
    return found if "text" in found else None


def _prose(source: Source, names: list[str]) -> bool:
    """Whether files spread over the folder begin with words, and not with numbers or paths."""
    return _plain([source.head(name).decode("utf-8", "replace") for name in names[:: max(1, len(names) // LOOKED)]], fewest=FEWEST)


def _plain(texts: list[str], *, fewest: int) -> bool:
    parts = [text.split() for text in texts]
    total, words = sum(map(len, parts)), sum(_WORD.fullmatch(part) is not None for each in parts for part in each)
    return total > 0 and words >= fewest * len(texts) and words >= PLAIN * total
