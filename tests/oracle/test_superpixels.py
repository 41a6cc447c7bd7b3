"""Superpixels: the slow definition of an assignment, pieces, another library at boundaries; features by loops; the fit as scikit-learn's; the floors."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.classic import superpixel_classes
from saccade.classic.floors import Clock, OutOfTime
from saccade.classic.superpixel_classes import counted, described, feature_count, fitted, neighbours, perceived
from saccade.classic.superpixels import assigned, joined, laid_out, means, parts, seeded, slic
from saccade.core import LabelSpace
from saccade.inference import segment_floors as module
from saccade.inference.segment_floors import segment_floors
from saccade.metrics.segmentation import Segmentation
from saccade.targets import SegmentationMap

pytestmark = pytest.mark.oracle
SPACE = LabelSpace(("ground", "thing", "rare"), background=0)


def slow_distances(image, centres, reach, weight):
    """(h, w, n) float64: each pixel's distance to each centre, infinite beyond the centre's window."""
    h, w, _ = image.shape
    found = np.full((h, w, len(centres)), np.inf)
    for y in range(h):
        for x in range(w):
            for k, centre in enumerate(centres.astype(np.float64)):
                dy, dx = y - centre[-2], x - centre[-1]
                if abs(dy) <= reach and abs(dx) <= reach:
                    found[y, x, k] = ((image[y, x] - centre[:-2]) ** 2).sum() + weight * (dy * dy + dx * dx)
    return found


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 13), st.integers(1, 13), st.integers(1, 3), st.integers(1, 30), st.integers(1, 5), st.integers(0, 1000))
def test_every_pixel_is_of_the_nearest_centre_that_sees_it(h, w, channels, count, reach, seed):
    chance = np.random.default_rng(seed)
    image = chance.uniform(0, 100, (h, w, channels)).astype(np.float32)
    centres = np.column_stack([chance.uniform(0, 100, (count, channels)), chance.uniform(0, h - 1, count), chance.uniform(0, w - 1, count)]).astype(np.float32)
    found, slow = assigned(image, centres, reach, 1.7), slow_distances(image, centres, reach, 1.7)
    everywhere = slow_distances(image, centres, 10**6, 1.7)
    slow = np.where(np.isfinite(slow).any(2, keepdims=True), slow, everywhere)  # whom no centre sees
    own = np.take_along_axis(slow, found[..., None].astype(int), 2)[..., 0]
    assert own == pytest.approx(slow.min(2), rel=1e-4, abs=1e-3)


def test_of_equally_near_centres_the_first_is_taken_and_none_is_seen_from_afar():
    image = np.zeros((1, 9, 1), np.float32)
    centres = np.array([[0, 0, 2], [0, 0, 4], [50, 0, 8]], np.float32)
    assert assigned(image, centres, 2, 1.0).tolist() == [[0, 0, 0, 0, 1, 1, 1, 2, 2]]  # 6 and more are in the last one's window; 7 and 8 in that one's alone


def test_the_last_assignment_is_the_best_one_of_its_centres():
    chance = np.random.default_rng(3)
    image = chance.uniform(0, 100, (21, 17, 3)).astype(np.float32)
    grid = laid_out((21, 17), 12)
    weight = (10 / grid.step) ** 2
    centres = seeded(image, grid)
    for _ in range(3):
        centres = means(image, assigned(image, centres, grid.reach, weight), centres)
    found = slic(image, 12, rounds=4, connected=False)
    expected = slow_distances(image, centres, grid.reach, weight).argmin(2)
    same = (found.ravel()[:, None] == found.ravel()) == (expected.ravel()[:, None] == expected.ravel())
    assert same.mean() > 0.999  # but for ties of rounding


def test_means_are_those_of_the_pixels_and_a_centre_without_any_stays():
    image = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    ids = np.array([[0, 0, 2], [0, 2, 2]])
    found = means(image, ids, np.full((3, 4), -7.0))
    for k in (0, 2):
        y, x = np.nonzero(ids == k)
        assert found[k].tolist() == pytest.approx([*image[y, x].mean(0), y.mean(), x.mean()])
    assert found[1].tolist() == [-7.0] * 4


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 60), st.sampled_from(["noise", "flat", "halves"]), st.integers(0, 99))
def test_superpixels_hang_together_and_none_is_tiny(h, w, count, kind, seed):
    from scipy.ndimage import label

    image = np.zeros((h, w, 3), np.float32)
    if kind == "noise":
        image = np.random.default_rng(seed).uniform(0, 100, (h, w, 3)).astype(np.float32)
    if kind == "halves":
        image[:, w // 2 :] = 80
    ids, grid = slic(image, count), laid_out((h, w), count)
    assert ids.shape == (h, w) and ids.dtype == np.int32
    _, first = np.unique(ids, return_index=True)
    assert sorted(first) == list(first) and ids.max() + 1 == len(first)
    assert grid.rows <= h and grid.columns <= w and grid.rows * grid.columns <= 1.5 * count
    least = max(1, round(grid.step**2 / 4))
    for k in range(len(first)):
        assert label(ids == k)[1] == 1
        assert (ids == k).sum() >= least or len(first) == 1
    if kind == "flat":
        assert len(first) == grid.rows * grid.columns


def test_loose_parts_are_found_and_join_whom_they_resemble():
    from scipy.ndimage import label

    ids = np.random.default_rng(0).integers(0, 3, (13, 19))
    found, slow, total = parts(ids), np.zeros(ids.shape, int), 0
    for k in range(3):
        numbers, n = label(ids == k)
        slow[numbers > 0] = numbers[numbers > 0] + total
        total += n
    assert found.max() + 1 == total and len(set(zip(found.ravel().tolist(), slow.ravel().tolist(), strict=True))) == total
    image = np.array([[0, 0, 0, 8, 9, 9, 9]], np.float32)[:, :, None]
    assert joined(image, np.array([[0, 0, 0, 1, 2, 2, 2]]), least=2).tolist() == [[0, 0, 0, 1, 1, 1, 1]]


def tiles(chance, size=120, count=14):
    """Differently coloured cells of a Voronoi diagram with noise: sRGB in [0, 1], and the cells."""
    sites = chance.uniform(0, size, (count, 2))
    y, x = np.mgrid[:size, :size]
    cells = np.square(np.stack([y, x], 2)[:, :, None] - sites).sum(3).argmin(2)
    return np.clip(chance.uniform(0.1, 0.9, (count, 3))[cells] + chance.normal(0, 0.02, (size, size, 3)), 0, 1).astype(np.float32), cells


def edges_of(ids):
    found = np.zeros(ids.shape, bool)
    found[:, :-1] |= ids[:, :-1] != ids[:, 1:]
    found[:-1] |= ids[:-1] != ids[1:]
    return found


def quality(ids, cells):
    """Boundary recall within 2 px, and the share of pixels that lie outside of their superpixel's main cell."""
    from scipy.ndimage import binary_dilation

    recall = binary_dilation(edges_of(ids), np.ones((5, 5)))[edges_of(cells)].mean()
    return recall, 1 - counted(ids, cells, int(cells.max()) + 1).max(1).sum() / ids.size


def test_boundaries_are_kept_as_well_as_by_scikit_image():
    from skimage.segmentation import slic as other

    for seed in range(2):
        pixels, cells = tiles(np.random.default_rng(seed))
        own = quality(slic(perceived(pixels), 120), cells)
        peer = quality(other(pixels, 120, compactness=10, start_label=0), cells)
        assert own[0] > max(0.9, peer[0] - 0.02) and own[1] < min(0.03, peer[1] + 0.01)


@pytest.mark.parametrize(
    ("image", "options", "words"),
    [
        (np.zeros((0, 4, 3)), {}, "an image"),
        (np.zeros((4, 4)), {}, "an image"),
        (np.zeros((4, 4, 1)), {"count": 0}, "from 1 on"),
        (np.zeros((4, 4, 1)), {"compactness": 0.0}, "above 0"),
        (np.full((4, 4, 1), np.nan), {}, "finite"),
    ],
)
def test_what_is_no_image_is_refused(image, options, words):
    with pytest.raises(ValueError, match=words):
        slic(image, **{"count": 4, **options})


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_features_are_as_counted_by_hand(channels):
    pixels = np.random.default_rng(1).uniform(0, 1, (23, 31, channels)).astype(np.float32)
    ids, found = described(pixels, step=7)
    image, half = perceived(pixels).astype(np.float64), feature_count(channels) // 2
    assert found.shape == (ids.max() + 1, 2 * half) and found[:, half:] == pytest.approx(np.square(found[:, :half]), rel=1e-4)
    for k in (0, ids.max() // 2, ids.max()):
        own = image[ids == k]
        assert found[k, :channels] == pytest.approx(own.mean(0), rel=1e-4, abs=1e-3)
        assert found[k, channels : 2 * channels] == pytest.approx(own.std(0), rel=1e-3, abs=1e-3)
        contrast = (own.mean(0) - image.mean((0, 1))) / (image.std((0, 1)) + 1)
        assert found[k, 2 * channels : 3 * channels] == pytest.approx(contrast, rel=1e-3, abs=1e-4)
        y, x = np.nonzero(ids == k)
        place = [(2 * y.mean() + 1) / 23 - 1, (2 * x.mean() + 1) / 31 - 1]
        assert found[k, half - 6 : half - 4] == pytest.approx(place, abs=1e-5) and found[k, half - 1] == pytest.approx(np.log(len(y) / 49), abs=1e-5)
        assert found[k, half - 11 : half - 6].sum() == pytest.approx(1, abs=1e-5)  # shares of pixels by strength
    assert (described(pixels, step=7, place=False).features[:, half - 6 : half - 1] == 0).all()


def test_neighbours_weigh_by_their_border():
    ids = np.array([[0, 0, 1], [0, 0, 2], [3, 3, 2]])
    values = np.array([[1.0], [10.0], [100.0], [1000.0]])
    slow = [(10 + 100 + 2 * 1000) / 4, (1 + 100) / 2, (10 + 1 + 1000) / 3, (2 * 1 + 100) / 3]
    assert neighbours(ids, values)[:, 0].tolist() == pytest.approx(slow)
    assert neighbours(np.zeros((2, 2), int), np.array([[5.0]])).tolist() == [[5.0]]


def test_a_flat_picture_and_a_single_pixel_have_finite_features():
    for shape in ((1, 1, 3), (9, 5, 1), (64, 48, 3)):
        found = described(np.full(shape, 0.5, np.float32)).features
        assert np.isfinite(found).all() and found.shape[1] == feature_count(shape[2])


def test_the_fit_is_scikit_learns_on_every_pixel():
    from sklearn.linear_model import LogisticRegression

    chance = np.random.default_rng(0)
    x, counts = chance.normal(size=(60, 3)).astype(np.float32) * (1, 5, 0.1), chance.integers(0, 9, (60, 3))
    counts[:10] = 0  # nothing is known of these, so they must not count
    found = fitted([x[:25], x[25:]], [counts[:25], counts[25:]], penalty=0.01, steps=2000)
    told = x[10:]
    standard = (told - told.mean(0)) / told.std(0)
    rows, classes = np.repeat(standard, 3, 0), np.tile(np.arange(3), 50)
    peer = LogisticRegression(C=1 / (0.01 * counts.sum()), max_iter=5000, tol=1e-8).fit(rows, classes, sample_weight=counts[10:].ravel())
    assert found.probabilities(told) == pytest.approx(peer.predict_proba(standard), abs=3e-3)


def test_a_class_that_is_nowhere_is_never_answered_and_no_pixel_at_all_is_refused():
    x = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    counts = np.zeros((20, 3), int)
    counts[:, 0], counts[x[:, 0] > 0, 2] = 3, 9
    p = fitted([x], [counts]).probabilities(x * 100)
    assert p[:, 1].max() < 1e-6 and p.sum(1) == pytest.approx(1)
    with pytest.raises(ValueError, match="no pixel"):
        fitted([x], [counts * 0])
    with pytest.raises(OutOfTime):
        fitted([x], [counts], clock=Clock(0.0))


class Scenes:
    """Bright discs on dark ground in memory; of every second one the right half is not known."""

    def __init__(self, count, size=(40, 56)):
        chance, (h, w) = np.random.default_rng(5), size
        self.pixels, self.truths = [], []
        y, x = np.mgrid[:h, :w]
        for i in range(count):
            disc = np.square(y - chance.uniform(10, h - 10)) + np.square(x - chance.uniform(10, w - 10)) < 64
            self.pixels.append(np.clip(chance.normal(60, 5, size) + 120 * disc, 0, 255).astype(np.uint8)[:, :, None])
            ids = disc.astype(np.uint8)
            ids[:, w // 2 :] = ids[:, w // 2 :] if i % 2 else 255
            self.truths.append(SegmentationMap(torch.from_numpy(ids)))
        self.records = [SimpleNamespace(id=f"{i}", group=None) for i in range(count)]

    def read(self, i, size=None):
        return self.pixels[i]

    def truth(self, i):
        return {"map": self.truths[i]}

    def evaluated(self, places):
        """The perfect answer's evaluation."""
        rows = []
        for i in places:
            one = Segmentation(SPACE)
            one.update(self.truths[i], self.truths[i])
            rows.append({"id": f"{i}", "group": None, "facts": {"mean_iou": one.points()["mean_iou"]}})
        return SimpleNamespace(rows=rows)


def test_floors_know_only_known_pixels_and_answer_the_same_images():
    scenes = Scenes(14)
    found = segment_floors(scenes, range(8), range(8, 14), space=SPACE, evaluation=scenes.evaluated(range(8, 14)), budget_s=60)
    assert list(found) == ["majority", "superpixels"]
    told = sum(int((scenes.truths[i].ids != 255).sum()) for i in range(8, 14))
    ground = sum(int((scenes.truths[i].ids == 0).sum()) for i in range(8, 14))
    assert found["majority"]["pixel_accuracy"]["value"] == pytest.approx(ground / told)
    assert found["superpixels"]["foreground_iou"]["value"] > 0.6 > found["majority"]["mean_iou"]["value"]
    for floor in found.values():
        assert floor["trained_on"] == 8 and floor["mean_iou"]["n"] == 6 and floor["note"] == ""
        assert floor["paired"]["image_iou"]["difference"] == pytest.approx(1 - floor["image_iou"]["value"])
    for i in range(0, 14, 2):  # what is shown where nothing is known says nothing
        scenes.truths[i].ids[:, 30:] = 255
    again = segment_floors(scenes, range(8), range(8, 14), space=SPACE, evaluation=scenes.evaluated(range(8, 14)), budget_s=60)
    assert again["superpixels"]["foreground_iou"] == found["superpixels"]["foreground_iou"]


def test_floors_keep_their_time_and_say_what_was_left_out(monkeypatch):
    scenes = Scenes(6)
    found = segment_floors(scenes, range(3), range(3, 6), space=SPACE, evaluation=scenes.evaluated(range(3, 6)), budget_s=0)
    assert found["majority"]["note"] == "asked 1 of 3 images in the time" and found["majority"]["trained_on"] == 1
    assert "did not end within the 0 s" in found["superpixels"]["unfinished"]
    nothing = segment_floors(scenes, (), range(3, 6), space=SPACE, evaluation=scenes.evaluated(range(3, 6)))
    assert "no training image" in nothing["majority"]["unfinished"]
    none = segment_floors(scenes, range(3), (), space=SPACE, evaluation=scenes.evaluated(()), budget_s=60)
    assert none["majority"]["unfinished"] == "none of 0 images was answered in the time"


def test_large_pictures_are_seen_small_and_answered_whole(monkeypatch):
    monkeypatch.setattr(module, "SIDE", 28)
    scenes = Scenes(6)
    found = segment_floors(scenes, range(3), range(3, 6), space=SPACE, evaluation=scenes.evaluated(range(3, 6)), budget_s=60)
    assert found["superpixels"]["mean_iou"]["n"] == 3 and superpixel_classes.STEP == 8
