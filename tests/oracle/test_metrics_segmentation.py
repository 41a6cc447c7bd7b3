"""The numbers of a segmentation against counting by hand, scikit-learn, and merged parts."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, f1_score, jaccard_score

from saccade.core import LabelSpace
from saccade.errors import ModelError
from saccade.metrics.segmentation import Segmentation, boundary
from saccade.targets import SegmentationMap

pytestmark = pytest.mark.oracle
SPACE = LabelSpace(("ground", "tree", "house"), background=0)
TWO = LabelSpace(("ground", "cell"), background=0)


def pair(seed, classes=3, size=(17, 23)):
    chance = np.random.default_rng(seed)
    truth = np.kron(chance.integers(0, classes, (size[0] // 4 + 1, size[1] // 4 + 1)), np.ones((4, 4))).astype(np.uint8)[: size[0], : size[1]]
    answer = np.where(chance.random(size) < 0.2, chance.integers(0, classes, size), truth).astype(np.uint8)
    truth = np.where(chance.random(size) < 0.1, 255, truth).astype(np.uint8)
    return SegmentationMap(torch.from_numpy(answer)), SegmentationMap(torch.from_numpy(truth))


def known(pairs):
    t, a = (np.concatenate([m.ids.numpy().ravel() for m in maps]) for maps in ([t for _, t in pairs], [a for a, _ in pairs]))
    return t[t != 255], a[t != 255]


def test_overall_numbers_are_scikit_learns():
    pairs = [pair(seed) for seed in range(4)]
    metric = Segmentation(SPACE)
    for answer, truth in pairs:
        metric.update(answer, truth)
    t, a = known(pairs)
    found = metric.compute()
    assert found["mean_iou"].value == pytest.approx(jaccard_score(t, a, average="macro"))
    assert found["dice"].value == pytest.approx(f1_score(t, a, average="macro"))
    assert found["pixel_accuracy"].value == pytest.approx((t == a).mean())
    assert found["foreground_iou"].value == pytest.approx(jaccard_score(t > 0, a > 0) if (t == a)[t > 0].all() else _front(t, a))
    np.testing.assert_array_equal(metric.confusion()[:, :3], confusion_matrix(t, a))
    assert all(v.low <= v.value <= v.high and v.n == 4 for v in found.values())
    assert metric.points() == pytest.approx({key: v.value for key, v in found.items()})
    images = [jaccard_score(*known([p]), average="macro") for p in pairs]
    assert found["image_iou"].value == pytest.approx(np.mean(images))
    rows = metric.per_class()
    assert [row["iou"] for row in rows] == pytest.approx(jaccard_score(t, a, average=None).tolist())
    assert [row["tpr"] for row in rows] == pytest.approx([((t == k) & (a == k)).sum() / (t == k).sum() for k in range(3)])
    assert [row["tnr"] for row in rows] == pytest.approx([((t != k) & (a != k)).sum() / (t != k).sum() for k in range(3)])
    assert [row["ppv"] for row in rows] == pytest.approx([((t == k) & (a == k)).sum() / (a == k).sum() for k in range(3)])


def _front(t, a):
    """Foreground is right where the class is not the background in both, whichever class it is."""
    return ((t > 0) & (a > 0)).sum() / ((t > 0) | (a > 0)).sum()


def test_two_classes_have_the_rates_of_the_foreground():
    metric = Segmentation(TWO)
    answer, truth = pair(1, 2)
    metric.update(answer, truth)
    t, a = known([(answer, truth)])
    found = metric.points()
    assert found["tpr"] == pytest.approx(a[t == 1].mean()) and found["tnr"] == pytest.approx(1 - a[t == 0].mean())
    assert found["ppv"] == pytest.approx(t[a == 1].mean()) and found["foreground_iou"] == pytest.approx(jaccard_score(t, a))


def test_parts_add_up_and_ignored_truths_do_not_count():
    first, second, whole = Segmentation(SPACE), Segmentation(SPACE), Segmentation(SPACE)
    for seed in range(6):
        (first if seed < 2 else second).update(*pair(seed))
        whole.update(*pair(seed))
    whole.update(pair(0)[0], None)
    whole.update(pair(0)[0], SegmentationMap.empty((17, 23)))
    assert len(whole) == 6 and (first + second).points() == whole.points()
    with pytest.raises(ValueError, match="same classes"):
        first + Segmentation(TWO)
    empty = Segmentation(SPACE)
    assert all(v.n == 0 and math.isnan(v.value) for v in empty.compute().values()) and empty.per_class() == []


def test_an_answer_that_says_nothing_is_wrong():
    truth = torch.zeros(4, 4, dtype=torch.uint8)
    truth[:2] = 1
    metric = Segmentation(TWO)
    metric.update(SegmentationMap(torch.full((4, 4), 255, dtype=torch.uint8)), SegmentationMap(truth))
    assert metric.points()["pixel_accuracy"] == 0 and metric.points()["mean_iou"] == 0 and metric.confusion()[:, 2].tolist() == [8, 8]
    with pytest.raises(ModelError, match="MODEL-CLASSES"):
        metric.update(SegmentationMap(truth + 1), SegmentationMap(truth))
    with pytest.raises(ValueError, match="an answer of"):
        metric.update(SegmentationMap(truth[:2]), SegmentationMap(truth))


def test_boundary_iou_is_the_overlap_of_bands():
    truth, answer = np.zeros((60, 80), bool), np.zeros((60, 80), bool)
    truth[10:50, 10:50], answer[10:50, 12:52] = True, True  # a diagonal of 100: bands of two pixels

    def band(mask):
        inner = mask.copy()
        for _ in range(2):
            grown = np.pad(inner, 1)
            inner = np.array([[grown[y : y + 3, x : x + 3].all() for x in range(80)] for y in range(60)])
        return mask & ~inner

    a, b = band(truth), band(answer)
    assert boundary(truth, answer) == ((a & b).sum(), (a | b).sum())
    assert boundary(truth, truth)[0] == boundary(truth, truth)[1]
    full = np.ones((60, 80), bool)
    assert boundary(full, full)[0] == 60 * 80 - 56 * 76  # the image's border is a boundary


def test_the_finer_of_two_equal_overlaps_has_the_better_boundary():
    truth = torch.zeros(100, 100, dtype=torch.uint8)
    truth[20:80, 20:80] = 1
    spotted, shrunk = truth.clone(), truth.clone()
    spotted[45:55, 40:60] = 0  # a hole inside
    shrunk[20:22], shrunk[:, 20:22] = 0, 0
    values = []
    for answer in (spotted, shrunk):
        metric = Segmentation(TWO)
        metric.update(SegmentationMap(answer), SegmentationMap(truth))
        values.append(metric.points())
    assert abs(values[0]["foreground_iou"] - values[1]["foreground_iou"]) < 0.02
    assert values[0]["boundary_iou"] > values[1]["boundary_iou"] + 0.1


def test_objects_are_matched_with_the_truths_own():
    truth = torch.zeros(20, 40, dtype=torch.uint8)
    truth[5:15, 5:35] = 1
    objects = torch.zeros(20, 40, dtype=torch.int32)
    objects[5:15, 5:20], objects[5:15, 20:35] = 1, 2
    told = SegmentationMap(truth, objects=objects)
    joined, apart = SegmentationMap(truth), SegmentationMap(truth, edges=torch.zeros(20, 40).index_fill(1, torch.tensor([19, 20]), 1.0))
    values = []
    for answer, target in ((joined, told), (apart, told), (joined, SegmentationMap(truth))):
        metric = Segmentation(TWO)
        metric.update(answer, target)
        values.append(metric.points()["object_f1"])
    assert values == [0.0, 1.0, 1.0]
    metric = Segmentation(TWO)
    facts = metric.of_image(apart, told)
    assert next(iter(facts)) == "mean_iou" and facts["objects"] == facts["objects_answered"] == 2


def test_the_interval_covers_the_value_of_the_population():
    """Of images drawn from a population, 95 % intervals hold its value about as often."""
    chance, hits = np.random.default_rng(0), 0
    quality = chance.uniform(0.5, 1.0, 400)

    def answered(share):
        truth = torch.zeros(10, 10, dtype=torch.uint8)
        truth[:5] = 1
        answer = truth.clone()
        answer[:5][:, round(10 * share) :] = 0
        return SegmentationMap(answer), SegmentationMap(truth)

    population = [answered(q) for q in quality]
    value = np.mean([round(10 * q) / 10 for q in quality])  # the foreground IoU of all: pixels answered over 50 an image
    for _ in range(40):
        metric = Segmentation(TWO, resamples=200)
        for i in chance.integers(0, 400, 30):
            metric.update(*population[i])
        found = metric.compute()["foreground_iou"]
        hits += found.low <= value <= found.high
    assert hits >= 32
