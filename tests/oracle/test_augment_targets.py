"""Pictures and truths move together: discs are drawn, moved with everything that augmentation does, and found where their boxes are."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from saccade.core import LabelSpace, Record
from saccade.data.augment import Policy, draw, uniforms
from saccade.data.augment_geometry import TRIES, perspectives, windows
from saccade.data.loader import Loader
from saccade.data.mosaic import HEADS, quadrants, side_by_side
from saccade.data.preprocess import Preprocess
from saccade.data.visible import visible_shares
from saccade.errors import UsageError
from saccade.ops.geometry import Geometry
from saccade.ops.masks import Polygons
from saccade.ops.resample import centred, sources
from saccade.targets import Boxes, Instances, Keypoints, Points, SegmentationMap
from tests.oracle.test_augment_geometry import slow_warp

RADIUS = 7.0
ALL = ("boxes", "instances", "keypoints", "points", "map")


def circle(x, y, radius=RADIUS, n=48):
    angles = np.arange(n) * 2 * np.pi / n
    return np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], 1)


@dataclass
class Discs:
    """Pictures (h, w, C) of white discs, some with a red left half, with their truths of every kind; sizes differ from picture to picture."""

    n: int = 12
    heads: tuple[str, ...] = ALL
    channels: int = 3
    count: int = 3
    name: str = "discs"
    fingerprint: str = ""
    sized: list[int] = field(default_factory=list)

    def __post_init__(self):
        names = LabelSpace(("disc", "other"), keypoints=("left", "right"), pairs=((0, 1),))
        spaces = {head: names for head in self.heads} | ({"map": LabelSpace(("ground", "disc"), background=0)} if "map" in self.heads else {})
        self.spaces = spaces
        self.records = [Record(f"{i}.png", Path(f"{i}.png"), None, {h: t for h, t in self.made(i).items() if h in self.heads}) for i in range(self.n)]

    def __len__(self):
        return self.n

    def size(self, i):
        self.sized.append(i)
        return 96 + 8 * (i % 3), 120 + 4 * (i % 2)

    def centres(self, i):
        """(count, 2), far enough from each other and the edge."""
        h, w = 96 + 8 * (i % 3), 120 + 4 * (i % 2)
        chance, found = np.random.default_rng(i), []
        while len(found) < self.count:
            xy = chance.uniform([12, 12], [w - 12, h - 12])
            if all(np.hypot(*(xy - other)) > 3 * RADIUS for other in found):
                found.append(xy)
        return np.array(found).reshape(-1, 2)

    def made(self, i):
        centres, size = self.centres(i), (96 + 8 * (i % 3), 120 + 4 * (i % 2))
        boxes = Boxes(torch.from_numpy(np.concatenate([centres - RADIUS, centres + RADIUS], 1)), torch.zeros(len(centres), dtype=torch.int64))
        points = np.stack([centres + side * np.array([RADIUS / 2, 0.0]) for side in (-1, 1)], 1)
        y, x = np.indices(size) + 0.5
        covered = np.any([np.hypot(x - cx, y - cy) < RADIUS for cx, cy in centres] or [np.zeros(size, bool)], axis=0)
        return {
            "boxes": boxes,
            "instances": Instances(boxes, size, tuple(Polygons(size, (circle(*c),)) for c in centres)),
            "keypoints": Keypoints(torch.from_numpy(points), torch.full((len(centres), 2), 2, dtype=torch.uint8), boxes, None, ((0, 1),)),
            "points": Points(torch.from_numpy(centres), boxes.classes),
            "map": SegmentationMap(torch.from_numpy(covered.astype(np.uint8))),
        }

    def read(self, i, size=None):
        h, w = 96 + 8 * (i % 3), 120 + 4 * (i % 2)
        big = np.zeros((h * 8, w * 8, 3), np.float32)
        for x, y in self.centres(i):
            cv2.circle(big, (round(x * 8), round(y * 8)), round(RADIUS * 8), (1, 1, 1), -1)
        pixels = cv2.resize(big, (w, h), interpolation=cv2.INTER_AREA)
        pixels = np.repeat(pixels[..., :1], self.channels, axis=2)
        return (255 * pixels).round().astype(np.uint8)

    def truth(self, i):
        return dict(self.records[i].targets)

    def subset(self, indices):
        part = replace(self)
        part.n, part.records = len(indices), [self.records[i] for i in indices]
        return part


GEOMETRIES = {
    "flip": Policy(flip=True),
    "turns": Policy(flip=True, flip_vertical=True, quarter_turns=True),
    "affine": Policy(flip=True, rotate_deg=25, scale=0.15, aspect=0.1, shear_deg=8, translate=0.05),
    "perspective": Policy(perspective=0.12, rotate_deg=10),
    "crop": Policy(crop=0.6, aspect=0.2, flip=True),
    "elastic": Policy(elastic=0.04),
    "everything": Policy(flip=True, rotate_deg=10, scale=0.1, perspective=0.05, crop=0.3, elastic=0.02, translate=0.03),
    "mosaic": Policy(mosaic=0.8, flip=True, scale=0.1),
}


def first_batch(data, policy, mode="letterbox", size=(128, 128), **options):
    preprocess = Preprocess(size, data.channels, mode, fill=0.0)
    return next(Loader(data, preprocess, batch_size=len(data), policy=policy, seed=5, threads=0, **options).epoch(1))


def bright(batch, i, head="boxes"):
    return batch.inputs[i, 0].numpy() > 0.5


@pytest.mark.parametrize("mode", ["letterbox", "stretch", "cover", "pad"])
@pytest.mark.parametrize("name", [None, *GEOMETRIES])
def test_discs_are_where_their_truths_are(name, mode):
    batch = first_batch(Discs(), None if name is None else GEOMETRIES[name], mode)
    h, w = batch.inputs.shape[-2:]
    seen = 0
    for i in range(len(batch)):
        lit = bright(batch, i)
        count, labels, stats, middles = cv2.connectedComponentsWithStats(lit.astype(np.uint8), connectivity=8)
        lines = _lines(batch, i, name, mode)
        whole = [k for k in range(1, count) if _whole(stats[k], *lines)]
        boxes, points = batch.targets["boxes"][i].xyxy.numpy(), batch.targets["points"][i].xy.numpy()
        for k in whole:
            if stats[k, cv2.CC_STAT_AREA] < 40:
                continue
            middle = middles[k] + 0.5
            box = boxes[np.abs((boxes[:, :2] + boxes[:, 2:]) / 2 - middle).sum(1).argmin()]
            x, y, bw, bh = stats[k, :4]
            assert (np.array([x, y, x + bw, y + bh]) - box)[[0, 1]].min() > -1.6  # the disc is inside of its box, but for half-lit pixels
            assert (box - np.array([x, y, x + bw, y + bh]))[[2, 3]].min() > -1.6
            assert np.abs(points - middle).sum(1).min() < 2.0
            row = int(batch.targets["instances"][i].ids[int(middle[1]), int(middle[0])]) - 1
            mask = batch.targets["instances"][i].mask(row)
            assert (mask & (labels == k)).sum() / (mask | (labels == k)).sum() > 0.8
            seen += 1
        ids = batch.targets["map"][i].ids.numpy()
        assert ids.shape == (h, w)
        known = ids != 255
        assert (lit[known] != (ids[known] == 1)).mean() < 0.02
    assert seen >= 12


def _lines(batch, i, name, mode):
    """Where pictures end in an input: x and y of its own edges, of what is valid, and of the quadrants of a mosaic."""
    h, w = batch.inputs.shape[-2:]
    xs, ys = [0, w, int(batch.sizes[i, 1])], [0, h, int(batch.sizes[i, 0])]
    if name == "mosaic":
        (x, y), _ = quadrants(uniforms(5, 1, np.arange(len(batch)))[i], (128, 128))[3]
        xs, ys = [*xs, x], [*ys, y]
    return xs, ys


def _whole(stat, xs, ys):
    x, y, w, h = stat[:4]
    return not any(x - 1 <= line <= x + w + 1 for line in xs) and not any(y - 1 <= line <= y + h + 1 for line in ys)


def test_left_and_right_change_places_in_a_mirror():
    batch = first_batch(Discs(heads=("keypoints",)), Policy(flip=True), "stretch")
    mirrored = [m.geometry.mirrored for m in batch.meta]
    assert 2 < sum(mirrored) < 10
    for target in batch.targets["keypoints"]:
        assert (target.xy[:, 0, 0] < target.xy[:, 1, 0]).all()  # "left" is on the left in every picture, the mirrored ones too


def test_meta_tells_of_the_whole_image_however_it_was_read():
    class Reduced(Discs):
        def read(self, i, size=None):
            return cv2.resize(super().read(i), (60, 51), interpolation=cv2.INTER_AREA)

    whole, reduced = (first_batch(kind(n=6), None, "stretch", (48, 56)) for kind in (Discs, Reduced))
    for a, b in zip(whole.meta, reduced.meta, strict=True):
        assert a.size == b.size == (96 + 8 * (int(a.id[0]) % 3), 120 + 4 * (int(a.id[0]) % 2))
        np.testing.assert_allclose(a.geometry.matrix, b.geometry.matrix, atol=1e-9)
    for a, b in zip(whole.targets["boxes"], reduced.targets["boxes"], strict=True):
        torch.testing.assert_close(a.xyxy, b.xyxy)


def test_sizes_are_asked_for_only_where_a_truth_moves_and_only_once():
    still, moving = Discs(heads=()), Discs(heads=("boxes",))
    for data, asked in ((still, 0), (moving, 12)):
        loader = Loader(data, Preprocess((32, 32), 3), batch_size=5, policy=Policy(flip=True), threads=0)
        for epoch in (0, 1):
            list(loader.epoch(epoch))
        assert len(data.sized) == asked


@pytest.mark.parametrize("seed", range(3))
def test_a_perspective_and_a_bend_equal_the_slow_mapping(seed):
    chance = np.random.default_rng(seed)
    smooth = cv2.GaussianBlur(chance.random((20, 24, 2)).astype(np.float32), (0, 0), 2)
    preprocess = Preprocess((24, 30), 2, mode="letterbox", fill=0.25)
    straight = preprocess.geometry((20, 24)).then(Geometry(perspectives(chance.uniform(-0.1, 0.1, (1, 4, 2)), (24, 30))[0], (24, 30)))
    np.testing.assert_allclose(preprocess.warp(smooth, straight), slow_warp(smooth, straight, 0.25), atol=0.02)
    bent = Geometry(straight.matrix, straight.size, chance.uniform(-2, 2, (4, 5, 2)))
    x, y = sources(bent)
    centres = np.stack(np.meshgrid(np.arange(30) + 0.5, np.arange(24) + 0.5), -1).reshape(-1, 2)
    np.testing.assert_allclose(np.stack([x.ravel(), y.ravel()], 1), bent.back(centres), atol=1e-9)
    np.testing.assert_allclose(bent.points(np.stack([x.ravel(), y.ravel()], 1)), centres, atol=1e-6)
    found = preprocess.warp(smooth, bent)
    inside = (x > 1) & (x < 23) & (y > 1) & (y < 19)
    expected = np.stack([ndimage.map_coordinates(smooth[..., k], [y - 0.5, x - 0.5], order=1) for k in (0, 1)], -1)
    np.testing.assert_allclose(found[inside], expected[inside], atol=0.02)


def test_corners_go_where_a_perspective_says():
    shares = np.random.default_rng(0).uniform(-0.2, 0.2, (5, 4, 2))
    corners = np.array([[0, 0], [30, 0], [30, 20], [0, 20]], float)
    for matrix, moved in zip(perspectives(shares, (20, 30)), shares, strict=True):
        np.testing.assert_allclose(Geometry(matrix, (20, 30)).points(corners), corners + moved * [30, 20], atol=1e-9)
    matrix = perspectives(shares, (20, 30))[0]
    on_indices = centred(matrix) @ np.array([4.0, 7.0, 1.0])
    np.testing.assert_allclose(on_indices[:2] / on_indices[2] + 0.5, Geometry(matrix, (20, 30)).points(np.array([[4.5, 7.5]]))[0])


def test_windows_have_the_areas_they_may_have_and_lie_inside():
    found = windows(0.7, 0.3, uniforms(0, 0, np.arange(400))).reshape(-1, 4)
    assert len(found) == 400 * TRIES and found.min() >= 0 and found.max() <= 1 + 1e-12
    areas = (found[:, 2] - found[:, 0]) * (found[:, 3] - found[:, 1])
    assert 0.25 < areas.min() < 0.35 and areas.max() > 0.98


@pytest.mark.parametrize("least", [0.3, 0.9])
def test_a_window_shows_something_of_an_object(least):
    policy = Policy(crop=0.9, crop_visible=least)
    loose = Policy(crop=0.9, crop_visible=0.0)
    data = Discs(n=40, count=1, heads=("boxes",))
    shown = [len(t) for t in first_batch(data, policy).targets["boxes"]]
    assert min(shown) == 1 and min(len(t) for t in first_batch(data, Policy(crop=0.9, crop_visible=0.9)).targets["boxes"]) == 1
    shares = []
    for i, meta in enumerate(first_batch(data, policy).meta):
        shares.append(visible_shares(meta.geometry, data.records[i].targets["boxes"].xyxy.numpy())[0])
    assert min(shares) >= least - 1e-9
    assert loose.crop_visible == 0.0
    changed = [
        not np.allclose(m.geometry.matrix[0, 0], m.geometry.matrix[1, 1], rtol=0.01) or m.geometry.matrix[0, 0] > 1.2 for m in first_batch(data, policy).meta
    ]
    assert sum(changed) > 10  # most are cropped all the same


def test_an_image_without_objects_is_cropped_as_well():
    batch = first_batch(Discs(n=10, count=0), GEOMETRIES["crop"])
    assert all(len(t) == 0 for t in batch.targets["boxes"]) and sum(m.geometry.matrix[0, 0] > 1.1 for m in batch.meta) >= 4


def test_objects_that_are_hardly_seen_are_left_out():
    data, policy = Discs(n=40, heads=("boxes",)), Policy(translate=0.5)
    few = first_batch(data, replace(policy, min_visible=0.8)).targets["boxes"]
    many = first_batch(data, policy).targets["boxes"]
    assert sum(map(len, few)) < sum(map(len, many))
    meta = first_batch(data, policy).meta
    expected = [(visible_shares(m.geometry, data.records[i].targets["boxes"].xyxy.numpy()) >= 0.8).sum() for i, m in enumerate(meta)]
    assert [len(t) for t in few] == expected


@given(
    st.lists(st.tuples(st.floats(0, 60), st.floats(0, 60), st.floats(0.5, 40), st.floats(0.5, 40)), min_size=1, max_size=6),
    st.floats(-40, 40),
    st.floats(-40, 40),
)
@settings(max_examples=60, deadline=None)
def test_visible_shares_are_counted_areas(boxes, dx, dy):
    xyxy = np.array([[x, y, x + w, y + h] for x, y, w, h in boxes])
    found = visible_shares(Geometry.crop(dx, dy, (50, 70)), xyxy)
    steps = (np.arange(200) + 0.5) / 200
    for (x0, y0, x1, y1), share in zip(xyxy, found, strict=True):
        inside_x = np.mean((x0 + steps * (x1 - x0) - dx > 0) & (x0 + steps * (x1 - x0) - dx < 70))
        inside_y = np.mean((y0 + steps * (y1 - y0) - dy > 0) & (y0 + steps * (y1 - y0) - dy < 50))
        assert share == pytest.approx(inside_x * inside_y, abs=0.02)


@given(st.integers(2, 90), st.integers(2, 90), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_quadrants_cover_the_input_exactly_once(h, w, place):
    covered = np.zeros((h, w), int)
    for (x, y), (qh, qw) in quadrants(uniforms(0, 0, np.array([place]))[0], (h, w)):
        covered[y : y + qh, x : x + qw] += 1
    assert (covered == 1).all()


def test_a_mosaic_counts_what_its_quadrants_show():
    data = Discs(n=8)
    batch = first_batch(data, Policy(mosaic=1.0), "stretch", (160, 160))
    for i in range(8):
        objects = len(batch.targets["boxes"][i])
        assert objects == len(batch.targets["instances"][i]) == len(batch.targets["keypoints"][i]) > 3
        assert int(batch.targets["instances"][i].ids.max()) == objects
        assert not (batch.targets["map"][i].ids == 255).any()
    missing = Discs(n=8)
    missing.records = [replace(r, targets={**r.targets, "points": None}) for r in missing.records]
    assert first_batch(missing, Policy(mosaic=1.0)).targets["points"] == [None] * 8


def test_the_last_epochs_are_those_of_the_same_policy_without_mosaics():
    data, fit = Discs(n=9), Preprocess((64, 96), 3, "pad", fill=0.0)
    with_end = Policy(mosaic=0.8, mosaic_off=0.25, flip=True, scale=0.1)
    kinds = {name: Policy(mosaic=share, flip=True, scale=0.1) for name, share in (("mosaics", 0.8), ("single", 0.0))}

    def batches(policy, epoch, **options):
        return list(Loader(data, fit, batch_size=4, policy=policy, shuffle=True, seed=2, threads=0, **options).epoch(epoch))

    for epoch, kind in ((0, "mosaics"), (5, "mosaics"), (6, "single"), (7, "single"), (8, "mosaics"), (10, "mosaics"), (11, "single"), (12, "mosaics")):
        found, expected = batches(with_end, epoch, schedules=(8, 4)), batches(kinds[kind], epoch)
        other = batches(kinds["single" if kind == "mosaics" else "mosaics"], epoch)
        assert all(_equal(a.targets, b.targets) and torch.equal(a.inputs, b.inputs) for a, b in zip(found, expected, strict=True)), epoch
        assert not all(a.inputs.shape == b.inputs.shape and torch.equal(a.inputs, b.inputs) for a, b in zip(found, other, strict=True)), epoch
    assert torch.equal(batches(with_end, 7)[0].inputs, batches(kinds["mosaics"], 7)[0].inputs)  # nobody said how many epochs there are


def test_what_cannot_stand_side_by_side_is_refused():
    from tests.oracle.test_loader_batches import Arrays

    with pytest.raises(UsageError, match=r"mosaic puts boxes.*the data have label"):
        Loader(Arrays(n=4), Preprocess((8, 8), 3), batch_size=2, policy=Policy(mosaic=0.5))
    with pytest.raises(TypeError, match="cannot be put side by side"):
        side_by_side([object()] * 4, [(0, 0)] * 4, (8, 8))
    assert set(HEADS) == set(ALL)


@pytest.mark.parametrize("mode", ["letterbox", "pad"])
@pytest.mark.parametrize("name", ["everything", "mosaic"])
def test_the_same_truths_from_any_number_of_threads_and_any_start(name, mode):
    data, policy = Discs(n=13), replace(GEOMETRIES[name], noise=0.05, jpeg=0.5, blur=1.0)

    def run(threads, start=0, cache_bytes=None):
        preprocess = Preprocess((64, 96), 3, mode)
        return list(Loader(data, preprocess, batch_size=4, policy=policy, shuffle=True, seed=2, threads=threads, cache_bytes=cache_bytes).epoch(3, start))

    expected = run(0)
    for found, skipped in ((run(1), 0), (run(2), 0), (run(2, 2), 2), (run(0, 0, 0), 0)):
        for a, b in zip(expected[skipped:], found, strict=True):
            assert torch.equal(a.inputs, b.inputs) and torch.equal(a.sizes, b.sizes)
            for head in ALL:
                for s, t in zip(a.targets[head], b.targets[head], strict=True):
                    assert _equal(s, t)


def _equal(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if hasattr(a, "__dataclass_fields__"):
        return type(a) is type(b) and all(_equal(getattr(a, name), getattr(b, name)) for name in a.__dataclass_fields__)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_equal(a[name], b[name]) for name in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(_equal(s, t) for s, t in zip(a, b, strict=True))
    return a == b


def test_padded_batches_are_as_large_as_their_largest_and_say_what_is_valid():
    data = Discs(n=6)
    batch = first_batch(data, None, "pad", (96, 200))
    assert batch.inputs.shape[-2:] == (96, 128)  # 96 x 125 at most, rounded up to 32
    for i, (h, w) in enumerate(batch.sizes.tolist()):
        source = data.size(i)
        assert (h, w) == (96, round(96 / source[0] * source[1]))
        assert (batch.inputs[i, :, :, w:] == 0).all() and batch.targets["map"][i].ids.shape == (96, 128)
        assert (batch.targets["map"][i].ids[:, w:] == 255).all()
    changed = first_batch(data, GEOMETRIES["affine"], "pad", (96, 200))
    for i, (_, w) in enumerate(changed.sizes.tolist()):
        assert (changed.inputs[i, :, :, w:] == 0).all() and float(changed.targets["boxes"][i].xyxy[:, 2].max()) <= w
        assert changed.targets["map"][i].ids.shape == changed.inputs.shape[-2:]


def test_draws_do_not_depend_on_the_rest_of_the_batch():
    policy, u = GEOMETRIES["everything"], uniforms(1, 1, np.arange(6))
    whole, alone = draw(policy, u, (32, 32), 3), draw(policy, u[4:5], (32, 32), 3)
    for a, b in zip(whole, alone, strict=True):
        np.testing.assert_array_equal(a[4:5], b)
