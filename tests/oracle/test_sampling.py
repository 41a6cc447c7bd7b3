"""Class weights and the balanced order, against their definitions; and the loader that draws by it."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from saccade.core import LabelSpace, Record
from saccade.data.augment import Policy
from saccade.data.dataset import ImageDataset
from saccade.data.sampling import balanced_order, balanced_weights, class_counts, classes_of, median_frequency_weights, read_weights
from saccade.errors import DataError, UsageError
from saccade.targets import Label, SegmentationMap
from tests.oracle.test_loader_batches import Arrays, batches
from tests.support.made_data import boxes, made, space


def uneven(n=46):
    """Pictures of 36 of class a, 8 of b, 1 of c and one without a label."""
    data = Arrays(n)
    classes = [0] * 36 + [1] * 8 + [2]
    data.records = [Record(r.id, r.path, None, {"label": Label(classes[i]) if i < 45 else None}) for i, r in enumerate(data.records)]
    return data


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.integers(0, 2**40), st.integers(0, 500))
def test_every_class_comes_equally_often_and_no_record_twice_before_all_came_once(classes, seed, epoch):
    kinds = np.array(classes)
    places, repeats = balanced_order(kinds, seed, epoch)
    assert len(places) == len(repeats) == len(classes)
    counts = Counter(kinds[places].tolist())
    assert set(counts) == set(classes) and max(counts.values()) - min(counts.values()) <= 1
    for cls in counts:
        members = Counter({int(i): 0 for i in np.flatnonzero(kinds == cls)}) | Counter(places[kinds[places] == cls].tolist())
        times = [members[int(i)] for i in np.flatnonzero(kinds == cls)]
        assert max(times) - min(times) <= 1
    assert len(set(zip(places.tolist(), repeats.tolist(), strict=True))) == len(classes)
    again = balanced_order(kinds, seed, epoch)
    assert np.array_equal(again[0], places) and np.array_equal(again[1], repeats)


def test_over_the_epochs_every_record_of_a_class_comes_equally_often():
    kinds, times = np.array([0] * 30 + [1] * 10), np.zeros(40)
    for epoch in range(600):
        np.add.at(times, balanced_order(kinds, 7, epoch)[0], 1)
    assert abs(times[:30] - 600 * 20 / 30).max() < 60 and (times[30:] == 1200).all()  # five deviations of a binomial count


def test_a_balanced_loader_repeats_rare_images_changed_anew():
    loader, found = batches(uneven(), balanced=True, threads=2, policy=Policy.named("strong"))
    truths = [label.index for batch in found for label in batch.targets["label"]]
    assert len(truths) == 45 and Counter(truths) == {0: 15, 1: 15, 2: 15}
    rare = [image for batch in found for image, label in zip(batch.inputs, batch.targets["label"], strict=True) if label.index == 2]
    assert len(rare) == 15 and not any(torch.equal(rare[0], other) for other in rare[1:])
    _, again = batches(uneven(), balanced=True, threads=0, policy=Policy.named("strong"))
    assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(found, again, strict=True))
    assert len(loader) == len(found)
    with pytest.raises(UsageError, match="--sampling"):
        batches(uneven(), balanced=True, shuffle=False)


def test_weights_of_maps_are_the_median_frequency_over_each_ones_own():
    """By the definition, on maps that show some of the classes each, with ignored pixels; the class of no map weighs nothing."""
    chance, maps = np.random.default_rng(0), []
    for shown in ((0, 1), (0, 2), (0, 1, 2), (0,)):
        ids = chance.choice(shown, size=(9, 7)).astype(np.uint8)
        ids[0, :3] = 255
        maps.append(ids)
    records = tuple(Record(f"{i}.png", Path(f"{i}.png"), i, {"map": SegmentationMap(torch.from_numpy(ids))}) for i, ids in enumerate(maps))
    data = ImageDataset("maps", Path("."), "masks", "made", records, {"map": LabelSpace(("a", "b", "c", "d"))}, channels=3)
    shares = []
    for k in range(3):
        own = [ids[ids != 255] for ids in maps if (ids == k).any()]
        shares.append(sum((ids == k).sum() for ids in own) / sum(ids.size for ids in own))
    expected = [float(np.median(shares)) / share for share in shares]
    assert median_frequency_weights(data) == pytest.approx((*expected, 0.0), abs=1e-6)


def test_balanced_weights_make_the_classes_count_alike():
    assert balanced_weights([5, 5, 5]) == (1.0, 1.0, 1.0)
    counts = np.array([90, 9, 1, 0])
    weights = np.array(balanced_weights(counts))
    assert (weights * counts)[:3] == pytest.approx(100 / 3, rel=1e-4) and weights[3] == 0
    assert class_counts(uneven()).tolist() == [36, 8, 1]
    assert classes_of(uneven())[0].tolist() == list(range(45))


def test_tables_of_weights():
    labels = LabelSpace(("cat", "dog", "a=b"))
    assert read_weights("dog=0.5, a=b=3", labels) == (1.0, 0.5, 3.0)
    for text, code in (("dog", "USE-VALUE"), ("dog=-1", "USE-VALUE"), ("dog=x", "USE-VALUE"), ("dgo=1", "USE-OPTION")):
        with pytest.raises(UsageError) as refused:
            read_weights(text, labels)
        assert refused.value.code == code


def test_what_has_no_class_an_image_is_not_balanced():
    with pytest.raises(DataError) as refused:
        classes_of(made([{"boxes": boxes((0, 1, 1, 5, 5))}], {"boxes": space("a")}))
    assert refused.value.code == "DATA-TASK"
