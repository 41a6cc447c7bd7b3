"""Scene graphs, captions of regions and of images written as JSON lines: `graphs.jsonl`, `regions.jsonl`, `captions.jsonl`, the pictures in `images/`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from saccade.core import LabelSpace
from saccade.data.dataset import ImageDataset
from saccade.data.formats.drawn_out import Losses
from saccade.data.formats.pictures import Pictures
from saccade.data.formats.sequences_lines import HEADER, line_of
from saccade.errors import Problem

HOLDS = frozenset({"graph", "regions", "caption"})


def save(dataset: ImageDataset, out: Path, pictures: Pictures) -> list[Problem]:
    """Writes a file for each head. What it cannot hold: images without a truth, scores, flags, areas and numbers of objects, colours of classes."""
    losses = Losses()
    paths = [pictures.put(i, "images" + (f"/{record.split}" if record.split else "")) for i, record in enumerate(dataset.records)]
    for head, name in (("graph", "graphs.jsonl"), ("regions", "regions.jsonl"), ("caption", "captions.jsonl")):
        if head not in dataset.spaces:
            continue
        space = dataset.spaces[head]
        with open(out / name, "w", encoding="utf-8", newline="\n") as stream:
            if head == "graph":
                stream.write(line_of({HEADER: {"names": list(space.names), "relations": list(space.relations)}}))
                losses.add(head, "colours of the classes", bool(space.colours))
            for i, record in enumerate(dataset.records):
                truth = dataset.truth(i).get(head)
                losses.add(head, "images without a truth", truth is None)
                if truth is not None:
                    more = {key: value for key in ("split", "group") if (value := getattr(record, key))}
                    stream.write(line_of({"image": paths[i], **_CONTENTS[head](truth, space, losses), **more}))
    return losses.problems()


def _xywh(box: list[float]) -> list[float]:
    x1, y1, x2, y2 = box
    return [x1, y1, x2 - x1, y2 - y1]


def _graph(truth: Any, space: LabelSpace, losses: Losses) -> dict[str, Any]:
    boxes = truth.boxes
    for name in ("scores", "areas", "ids", "attributes"):
        losses.add("graph", name, len(boxes) if getattr(boxes, name) is not None else 0)
    for name in ("crowd", "difficult"):
        losses.add("graph", f"the flag {name}", 0 if getattr(boxes, name) is None else int(getattr(boxes, name).sum()))
    losses.add("graph", "scores of relations", truth.scores is not None)
    objects = []
    for box, k, words in zip(boxes.xyxy.double().tolist(), boxes.classes.tolist(), truth.attributes, strict=True):
        objects.append({"name": space.names[k], "bbox": _xywh(box), **({"attributes": list(words)} if words else {})})
    return {"objects": objects, "relations": [[a, space.relations[verb], b] for a, verb, b in truth.relations.tolist()]}


def _regions(truth: Any, space: LabelSpace, losses: Losses) -> dict[str, Any]:
    losses.add("regions", "scores", truth.scores is not None)
    boxes = truth.xyxy.double().tolist()
    return {"regions": [{"bbox": _xywh(box), "text": text} for box, text in zip(boxes, truth.texts, strict=True)]}


def _caption(truth: Any, space: LabelSpace, losses: Losses) -> dict[str, Any]:
    losses.add("caption", "scores", truth.scores is not None)
    losses.add("caption", "empty sentences", sum(not text.strip() for text in truth.texts))
    return {"captions": list(truth.texts)}


_CONTENTS: dict[str, Callable[[Any, LabelSpace, Losses], dict[str, Any]]] = {"graph": _graph, "regions": _regions, "caption": _caption}
