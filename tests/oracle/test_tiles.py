"""Windows cover every pixel, their truths put together are the truth of the whole, and an image is decoded once."""

import threading
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.core import Dataset, LabelSpace, Record
from saccade.data.loader import Loader
from saccade.data.preprocess import Preprocess
from saccade.data.tiles import Kept, StoredTile, TiledDataset, Tiling, merge_answers, merged, tile_of
from saccade.data.visible import visible_shares
from saccade.errors import UsageError
from saccade.targets import Boxes, Label, Points, SegmentationMap
from tests.oracle.test_augment_targets import ALL, Discs, _equal

sides = st.integers(1, 400)


@given(sides, sides, st.integers(1, 150), st.integers(1, 150), st.data())
@settings(max_examples=80, deadline=None)
def test_windows_cover_every_pixel_and_cores_exactly_once(h, w, th, tw, data):
    tiling = Tiling((th, tw), data.draw(st.integers(0, min(th, tw) - 1)))
    windows, cores = tiling.windows((h, w)), tiling.cores((h, w))
    covered, owned = np.zeros((h, w), int), np.zeros((h, w), int)
    y, x = np.indices((h, w)) + 0.5
    if len(windows) > 400:
        return
    for window, (x0, y0, x1, y1) in zip(windows, cores, strict=True):
        assert window.x >= 0 and window.y >= 0 and window.x + window.size[1] <= w and window.y + window.size[0] <= h
        assert window.size == (min(th, h), min(tw, w))
        covered[window.y : window.y + window.size[0], window.x : window.x + window.size[1]] += 1
        mine = (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
        owned += mine
        assert not (mine & ~((x > window.x) & (x < window.x + window.size[1]) & (y > window.y) & (y < window.y + window.size[0]))).any()
    assert covered.min() >= 1 and (owned == 1).all()


@given(st.integers(120, 400), st.integers(120, 400), st.integers(0, 30), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_boxes_no_larger_than_the_overlap_come_back_exactly(h, w, n, seed):
    chance = np.random.default_rng(seed)
    tiling, size = Tiling((100, 110), 40), chance.uniform(2, 40, (n, 2))
    corner = chance.uniform(0, 1, (n, 2)) * ([w, h] - size)
    whole = Boxes(torch.from_numpy(np.concatenate([corner, corner + size], 1)), torch.from_numpy(chance.integers(0, 3, n)), ids=torch.arange(n))
    parts = [_cut(whole, window, tiling) for window in tiling.windows((h, w))]
    found = merged(parts, (h, w), tiling)
    order = torch.argsort(found.ids)
    assert found.ids[order].tolist() == list(range(n))
    torch.testing.assert_close(found.xyxy[order].double(), whole.xyxy, atol=1e-4, rtol=0)
    answers = [replace(part, scores=torch.linspace(0.9, 0.4, len(part))) for part in parts]
    assert len(merged(answers, (h, w), tiling)) <= n


def _cut(target, window, tiling):
    return tile_of(target, window, tiling.min_visible)


@given(st.integers(30, 300), st.integers(30, 300), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_maps_and_points_come_back_exactly(h, w, seed):
    chance, tiling = np.random.default_rng(seed), Tiling((64, 48), 17)
    ids = SegmentationMap(torch.from_numpy(chance.integers(0, 5, (h, w)).astype(np.uint8)))
    xy = chance.uniform(0, 1, (25, 2)) * [w, h]
    points = Points(torch.from_numpy(xy), torch.from_numpy(chance.integers(0, 3, 25)))
    windows = tiling.windows((h, w))
    assert torch.equal(merged([_cut(ids, window, tiling) for window in windows], (h, w), tiling).ids, ids.ids)
    found = merged([_cut(points, window, tiling) for window in windows], (h, w), tiling)
    order, expected = np.lexsort(found.xy.numpy().T), np.lexsort(xy.T)
    np.testing.assert_allclose(found.xy.numpy()[order], xy[expected], atol=1e-4)
    assert found.classes[torch.from_numpy(order)].tolist() == points.classes[torch.from_numpy(expected)].tolist()


def test_a_box_is_in_a_window_that_shows_its_share_of_it():
    tiling = Tiling((50, 50), 10, min_visible=0.5)
    whole = Boxes(torch.tensor([[30.0, 10, 60, 20], [45.0, 10, 75, 20]]), torch.tensor([0, 1]))
    first, second = tiling.windows((50, 90))
    shares = [visible_shares(window.geometry, whole.xyxy.numpy()) for window in (first, second)]
    np.testing.assert_allclose(shares, [[20 / 30, 5 / 30], [20 / 30, 1]], atol=1e-12)
    assert [_cut(whole, window, tiling).classes.tolist() for window in (first, second)] == [[0], [0, 1]]
    assert _cut(whole, second, tiling).xyxy.tolist()[0] == [0, 10, 20, 20]


class Counted(Discs):
    """Discs that count how often a picture is decoded."""

    def read(self, i, size=None):
        self.reads = [*getattr(self, "reads", []), i]
        return super().read(i)


def test_a_tiled_data_set_is_a_data_set_of_windows():
    data = Counted(n=3)
    tiled = TiledDataset(data, Tiling((64, 80), 30))
    assert isinstance(tiled, Dataset) and len(tiled) == 4 + 6 + 6
    assert [r.id for r in tiled.records[:4]] == ["0.png@0,0", "0.png@40,0", "0.png@0,32", "0.png@40,32"]
    for i in range(len(tiled)):
        place, window = tiled.parts[i]
        whole = Discs.read(data, place)
        np.testing.assert_array_equal(tiled.read(i), whole[window.y : window.y + 64, window.x : window.x + 80])
        assert tiled.size(i) == (64, 80) == tiled.records[i].size
    assert data.reads == [0, 1, 2]
    part = tiled.subset([5, 0])
    assert [r.id for r in part.records] == [tiled.records[5].id, tiled.records[0].id] and part.fingerprint != tiled.fingerprint


@pytest.mark.parametrize("head", ALL)
def test_answers_of_windows_become_answers_of_images(head):
    data = Discs(n=4, heads=(head,))
    tiled = TiledDataset(data, Tiling((64, 80), 30))
    answers = {record.id: tiled.truth(i)[head] for i, record in enumerate(tiled.records)}
    found = merge_answers(answers, tiled)
    assert set(found) == {r.id for r in data.records}
    for record in data.records:
        whole, back = record.targets[head], found[record.id]
        if head == "map":
            assert torch.equal(back.ids, whole.ids)
        elif head == "instances":
            assert len(back) == len(whole)
            masks = [sum(int((whole.mask(a) & back.mask(b)).sum()) for b in range(len(back))) / whole.mask(a).sum() for a in range(len(whole))]
            assert min(masks) > 0.97
        else:
            assert len(back) == len(whole)
    incomplete = {key: value for key, value in answers.items() if not key.startswith("2.png@40")}
    assert "2.png" not in merge_answers(incomplete, tiled)
    with pytest.raises(ValueError, match="no window of this data set"):
        merge_answers({"9.png@0,0": None}, tiled)


def test_windows_are_trained_on_like_any_images():
    tiled = TiledDataset(Discs(n=4), Tiling((64, 80), 30))
    batches = list(Loader(tiled, Preprocess((64, 80), 3), batch_size=6, shuffle=True, threads=2).epoch(0))
    assert sum(map(len, batches)) == len(tiled) == 20
    for batch in batches:
        for i, meta in enumerate(batch.meta):
            lit = batch.inputs[i, 0].numpy() > 0.5
            assert (lit != (batch.targets["map"][i].ids.numpy() == 1)).mean() < 0.02
            assert meta.size == (64, 80)


@dataclass(frozen=True)
class InFile:
    """A map that is loaded when it is asked for."""

    map: SegmentationMap
    loads: list

    @property
    def paths(self):
        return (Path("map.png"),)

    def load(self):
        self.loads.append(1)
        return self.map


def test_a_mask_in_a_file_is_loaded_once_for_its_windows():
    data = Discs(n=2, heads=("map",))
    plain = TiledDataset(data, Tiling((64, 80), 30))
    expected = [plain.truth(i) for i in range(len(plain))]
    loads = []
    data.records = [replace(r, targets={"map": InFile(r.targets["map"], loads)}) for r in data.records]
    data.truth = lambda i: {"map": data.records[i].targets["map"].load()}
    tiled = TiledDataset(data, Tiling((64, 80), 30))
    assert all(isinstance(r.targets["map"], StoredTile) for r in tiled.records) and not loads
    assert all(_equal(a["map"], tiled.truth(i)["map"]) for i, a in enumerate(expected)) and len(loads) == 2
    assert _equal(tiled.records[3].targets["map"].load(), expected[3]["map"]) and tiled.records[3].targets["map"].paths == (Path("map.png"),)


def test_labels_of_whole_images_are_those_of_windows_and_numbers_are_refused():
    data = Discs(n=1, heads=())
    data.spaces = {"label": LabelSpace(("a", "b"))}
    data.records = [Record("0.png", Path("0.png"), None, {"label": Label(1)})]
    assert {TiledDataset(data, Tiling((64, 64), 8)).truth(i)["label"].index for i in range(4)} == {1}
    data.spaces = {"number": LabelSpace(())}
    with pytest.raises(UsageError, match="number is about the whole image"):
        TiledDataset(data, Tiling((64, 64), 8))


def test_what_is_kept_stays_within_its_bytes_and_is_made_once_by_many_threads():
    kept, made = Kept(100), []

    def make(key):
        made.append(key)
        return np.zeros(key, np.uint8)

    for key in (40, 50, 40, 60, 40, 150, 40):
        assert kept.get(key, lambda key=key: make(key), lambda array: array.nbytes).nbytes == key
    assert made == [40, 50, 60, 150, 40]
    started, many = threading.Barrier(4), []

    def work():
        started.wait(5)
        kept.get(7, lambda: many.append(1), lambda _: 1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert len(many) == 1


@pytest.mark.parametrize(
    "given", [{"size": (0, 5)}, {"size": 64}, {"size": (64, 64), "overlap": 64}, {"size": (64, 64), "overlap": -1}, {"size": (64, 64), "min_visible": 0.0}]
)
def test_values_out_of_range_are_refused(given):
    with pytest.raises(UsageError, match="expected"):
        Tiling(**given)


def test_stored_and_read_again():
    tiling = Tiling((64, 80), 16, 0.4)
    assert Tiling.from_dict(tiling.to_dict()) == tiling
    with pytest.raises(UsageError, match="did you mean overlap"):
        Tiling.from_dict({"size": [8, 8], "overlaps": 2})
    with pytest.raises(ValueError, match="3 answers for 4 windows"):
        merged([None] * 3, (100, 100), Tiling((64, 64), 8))
    assert merged([None] * 4, (100, 100), Tiling((64, 64), 8)) is None
