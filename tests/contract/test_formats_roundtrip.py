"""Load -> save -> load gives the same data set, for random data sets in every format that writes; what is lost is named by a code."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from saccade.data.dataset import ImageDataset
from saccade.data.formats import FORMATS
from saccade.data.formats.pictures import Pictures
from saccade.data.open import open_dataset
from tests.support.random_sets import equal_sets, random_set
from tests.support.random_targets import (
    animals,
    apart,
    apart_by_class,
    as_sequences,
    boxes_of_space,
    different_sentences,
    named_in_order,
    natural_names,
    one_class_list,
    one_list,
    one_ring_each,
    pictures_of_one_size,
    used_classes,
    with_targets,
    without_background,
    without_skeletons,
)


class Case(NamedTuple):
    """Heads that one file of a format holds together. kinds: keys of `random_targets.MAKERS`; options of `random_set`; what a random set must be
    made into so that the format can hold it; fields that need not be equal; heads of which a loss is named although all is held."""

    heads: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    options: dict[str, Any] = {}
    adapt: Callable[[ImageDataset], ImageDataset] = lambda dataset: dataset
    without: tuple[str, ...] = ()
    tolerance: float = 1e-6
    losses: frozenset[str] = frozenset()


CASES: dict[str, tuple[Case, ...]] = {
    "labelme": (
        Case(("boxes",), ("points", "labels"), {"extras": ("crowd", "difficult")}),
        Case(("boxes", "instances", "keypoints"), ("points",), {}, without_skeletons),
    ),
    "label_studio": (
        Case(("boxes", "label"), ("points", "number", "caption", "regions"), {"extras": ("crowd", "difficult", "attributes")}),
        Case(("boxes", "instances", "keypoints"), ("points", "labels"), {}, without_skeletons),
    ),
    "createml": (Case(("boxes",), (), {}, natural_names),),
    "voc": (
        Case(("boxes",), ("map",), {"extras": ("difficult", "attributes")}, one_class_list),
        Case(("boxes", "instances"), (), {"runs": True}, apart, (), 1e-6, frozenset({"instances"})),
    ),
    "yolo": (
        Case(("boxes",)),
        Case(("boxes", "instances"), (), {"runs": False}, one_ring_each),
        Case(("boxes", "keypoints")),
    ),
    "cvat": (
        Case(("boxes", "label"), ("points",), {"extras": ("crowd", "difficult", "attributes")}, one_list),
        Case(("boxes", "instances", "keypoints"), ("points", "labels"), {}, one_list),
    ),
    "kitti": (
        Case(("boxes",), (), {}, natural_names),
        Case((), ("boxes3d",), {}, boxes_of_space),
    ),
    "deeplabcut": (Case(("keypoints",), (), {"splits": False}, animals, ("attributes",)),),
    "coco": (
        Case(("boxes", "instances", "keypoints", "caption"), (), {"extras": ("crowd", "areas", "ids", "attributes")}),
        Case(("boxes",), (), {"extras": ("attributes",)}, without=("ids",)),
        Case((), ("map",), {}, without_background),
    ),
    "table": (
        Case(("label",), ("number",), {}, used_classes),
        Case(("boxes",), (), {}, natural_names),
        Case((), ("labels",)),
        Case(("caption",), (), {}, different_sentences),
        Case((), ("points",)),
    ),
    "flickr": (Case(("caption",)),),
    "karpathy": (Case(("caption",)),),
    "graphs": (Case((), ("graph", "regions", "caption")),),
    "sequences": (Case(("label",), ("tags",), {}, as_sequences),),
    "idx": (Case(("label",), (), {}, pictures_of_one_size),),
    "folder": (Case(("label",), (), {}, used_classes),),
    "pairs": (Case((), ("image",)),),
    "masks": (Case((), ("map",)), Case(("instances",), (), {"runs": True}, apart_by_class)),
    "dots": (Case((), ("whole points",)),),
    "depth": (Case((), ("depth",)),),
}


def made(seed: int, case: Case, root) -> ImageDataset:
    dataset = random_set(seed, root, heads=case.heads, images=3, **case.options)
    return case.adapt(with_targets(dataset, seed, case.kinds))


def frames(dataset: ImageDataset, record) -> np.ndarray:
    return dataset.arrays[record.path.name][record.index]


def lost(format: str, case: Case, seed: int, root) -> list[str]:
    """What differs after a round trip; a loss that was named although nothing differs is a difference too."""
    dataset = made(seed, case, root / "in")
    out = root / "out"
    out.mkdir()
    losses = FORMATS[format].save(dataset, out, Pictures(dataset, out))
    again = open_dataset(out)
    again = named_in_order(again, dataset) if all(record.index is not None for record in again.records) else again
    said = [f"opened as {again.format}: {again.reason}"] if again.format != format else []
    said += [f"{p.code} {p.where} {p.got}" for p in again.problems if p.severity in ("fatal", "error")]
    said += [f"a loss is named: {p.code} {p.where} {p.got}" for p in losses if p.where not in case.losses]
    if dataset.records[0].index is not None:
        named = {record.id: record for record in again.records}
        said += [f"{r.id}: other frames" for r in dataset.records if not np.allclose(frames(dataset, r), frames(again, named[r.id]))]
    return said + equal_sets(dataset, again, case.tolerance, without=case.without)


ROWS = [(name, case) for name, cases in CASES.items() for case in cases]
NAMED = [f"{name}-{'+'.join((*case.heads, *case.kinds)).replace(' ', '_')}" for name, case in ROWS]


def run(rows: range, name: str, case: Case, tmp_path) -> None:
    for seed in rows:
        root = tmp_path / str(seed)
        root.mkdir()
        assert lost(name, case, seed, root) == [], f"seed {seed}"


@pytest.mark.parametrize(("name", "case"), ROWS, ids=NAMED)
def test_round_trip(name, case, tmp_path):
    run(range(6), name, case, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "case"), ROWS, ids=NAMED)
def test_round_trip_of_200(name, case, tmp_path):
    run(range(6, 206), name, case, tmp_path)


OBJECTS = ("boxes", "instances", "keypoints")
EXTRAS = ("crowd", "difficult", "areas", "ids", "attributes")
HEAD = re.compile(r"^(?:img\d+\.)?(?:head )?(\w+)")


@pytest.mark.parametrize("name", [name for name, layout in FORMATS.items() if layout.save and layout.holds & set(OBJECTS)])
def test_what_is_lost_is_named(name, tmp_path):
    """Objects with all that can be said of them: where they differ after a round trip, a loss names them."""
    heads = tuple(head for head in OBJECTS if head in FORMATS[name].holds)
    for seed in range(4):
        root = tmp_path / str(seed)
        root.mkdir()
        dataset = random_set(seed, root / "in", heads=heads, images=3, extras=EXTRAS)
        (root / "out").mkdir()
        losses = FORMATS[name].save(dataset, root / "out", Pictures(dataset, root / "out"))
        assert all(p.code in ("LOSS-FIELD", "LOSS-HEAD") and p.severity == "warn" and p.where in heads for p in losses)
        again = open_dataset(root / "out")
        assert again.format == name and not [p for p in again.problems if p.severity in ("fatal", "error")]
        said = equal_sets(dataset, again, without=("size",))
        if any(HEAD.match(text)[1] in heads for text in said):
            assert losses, said


def test_every_format_that_writes_has_every_head_in_a_case():
    for name, layout in FORMATS.items():
        if layout.save is not None:
            held = {head for case in CASES.get(name, ()) for head in (*case.heads, *(kind.split()[-1] for kind in case.kinds))}
            assert held == layout.holds, name
    assert set(CASES) == {name for name, layout in FORMATS.items() if layout.save is not None}
