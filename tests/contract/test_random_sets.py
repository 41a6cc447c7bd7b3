"""The random data sets of the round trips: sound by the checks of every format, and told apart where anything differs."""

from dataclasses import replace

import pytest

from saccade.data.formats.objects import Objects
from saccade.targets import Caption
from tests.support.random_sets import equal_sets, random_set

HEADS = ("boxes", "instances", "keypoints", "caption")
EXTRAS = ("crowd", "difficult", "areas", "ids", "attributes")


@pytest.mark.parametrize("seed", range(12))
def test_random_sets_are_sound_and_equal_themselves(seed, tmp_path):
    made = random_set(seed, tmp_path / "a", heads=HEADS, extras=EXTRAS, whole=seed % 2 == 1)
    assert equal_sets(made, random_set(seed, tmp_path / "b", heads=HEADS, extras=EXTRAS, whole=seed % 2 == 1)) == []
    rows = [(i, box) for i, r in enumerate(made.records) for box in zip(r.targets["boxes"].xyxy.tolist(), r.targets["boxes"].classes.tolist(), strict=True)]
    objects = Objects([i for i, _ in rows], [label for _, (_, label) in rows], [box for _, (box, _) in rows], ["here"] * len(rows))
    problems = []
    objects.finish([r.id for r in made.records], [r.size for r in made.records], problems)
    assert problems == []
    used = {int(c) for r in made.records for c in r.targets["boxes"].classes}
    assert used == set(range(len(made.spaces["boxes"])))


def test_every_difference_is_named(tmp_path):
    made = random_set(3, tmp_path, heads=HEADS, extras=EXTRAS)
    record = made.records[0]
    boxes, instances, keypoints = (record.targets[head] for head in HEADS[:3])
    other = {
        "boxes.xyxy": {"boxes": replace(boxes, xyxy=boxes.xyxy + 2e-6)},
        "boxes.crowd": {"boxes": replace(boxes, crowd=~boxes.crowd)},
        "boxes.ids": {"boxes": replace(boxes, ids=boxes.ids + 1)},
        "boxes.areas": {"boxes": replace(boxes, areas=None)},
        "boxes.attributes": {"boxes": replace(boxes, attributes=None)},
        "instances.shapes[0]": {"instances": replace(instances, shapes=instances.shapes[::-1])},
        "keypoints.visible": {"keypoints": replace(keypoints, visible=2 - keypoints.visible)},
        "caption.texts": {"caption": Caption(("no",))},
        "caption: Caption became NoneType": {"caption": None},
    }
    for place, change in other.items():
        changed = made.with_records([replace(record, targets={**record.targets, **change}), *made.records[1:]])
        assert any(place in text for text in equal_sets(made, changed)), place
    assert equal_sets(made, made.with_records(made.records[1:])) == ["records ['img000'] are only in one"]
    assert "split" in equal_sets(made, made.with_records([replace(r, split="x") for r in made.records]))[0]
    assert equal_sets(made, replace(made, spaces={}))[0] == "head boxes is missing"
