"""Sequences written as JSON lines: `sequences.jsonl`, the names of the tags in its first line; frames that are pictures go into `frames/`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from saccade.core import IGNORE
from saccade.data.dataset import ImageDataset
from saccade.data.formats.drawn_out import Losses
from saccade.data.formats.pictures import Pictures
from saccade.data.formats.sequences_lines import HEADER, line_of
from saccade.data.formats.stored import Clip
from saccade.errors import Problem, UsageError

HOLDS = frozenset({"tags", "label"})


def save(dataset: ImageDataset, out: Path, pictures: Pictures) -> list[Problem]:
    """Writes one line a sequence. What it cannot hold: scores. Raises UsageError USE-VALUE for a data set of single pictures."""
    losses = Losses()
    names = {head: list(space.names) for head, space in dataset.spaces.items() if head in HOLDS}
    with open(out / "sequences.jsonl", "w", encoding="utf-8", newline="\n") as stream:
        stream.write(line_of({HEADER: names}))
        for i, record in enumerate(dataset.records):
            held = dataset.arrays[record.path.name][record.index] if record.index is not None else None
            if held is None or (not isinstance(held, Clip) and held.ndim != 2):
                raise UsageError("USE-VALUE", "to=sequences: the data are single pictures", where="--to", fix="write a folder or a table")
            frames = _copied(held, out, i) if isinstance(held, Clip) else [[float(v) for v in row] for row in held.tolist()]
            content: dict[str, Any] = {"id": record.id, "frames": frames}
            truth = dataset.truth(i)
            if (tags := truth.get("tags")) is not None and "tags" in names:
                content["tags"] = [None if tag == IGNORE else names["tags"][tag] for tag in tags.tags.tolist()]
                losses.add("tags", "scores", tags.scores is not None)
            if (label := truth.get("label")) is not None and label.known and "label" in names:
                content["label"] = names["label"][label.index]
            content |= {name: value for name in ("split", "group") if (value := getattr(record, name))}
            stream.write(line_of(content))
    return losses.problems()


def _copied(clip: Clip, out: Path, number: int) -> list[str]:
    """The frames of a clip copied, and their names."""
    names = []
    for place, path in enumerate(clip.files):
        name = f"frames/{number:05d}/{place:05d}{path.suffix}"
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, out / name)
        names.append(name)
    return names
