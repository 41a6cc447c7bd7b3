"""Simulated scenes as a data set: the same bytes anywhere, recipes and their errors, files in every layout, a stream of a million."""

import hashlib
import itertools
import multiprocessing
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

import saccade
from saccade.core import Dataset, Stored
from saccade.data.check import check
from saccade.data.dataset import target_hash
from saccade.data.loader import Loader
from saccade.data.open import open_dataset
from saccade.data.preprocess import Preprocess
from saccade.data.split import make_split
from saccade.data.world.chance import Chance, hashed
from saccade.data.world.dataset import WorldDataset, world
from saccade.data.world.labels import HEADS, heads_of, space
from saccade.data.world.recipe import Recipe, parse
from saccade.data.world.table import WORLDS
from saccade.data.world.weather import WEATHERS
from saccade.errors import UsageError
from saccade.jobs.world import WorldOptions, run_world
from saccade.targets import TARGETS, Label

pytestmark = pytest.mark.contract


def digest(data: WorldDataset, i: int) -> str:
    """Of the pixels and of every label of image i."""
    found = hashlib.blake2b(data.read(i).tobytes(), digest_size=16)
    for head, target in sorted(data.truth(i).items()):
        found.update(f"{head}{target_hash(target)}".encode())
    return found.hexdigest()


def _worker(job: tuple[str, int]) -> str:
    torch.set_num_threads(1)
    name, i = job
    return digest(world(name, n=4, size=40, seed=9, weather="mixed", supersample=2), i)


def test_the_same_bytes_in_any_order_thread_process_and_number_of_threads():
    names = ("tabletop", "street", "clips", "cells")
    jobs = [(name, i) for name in names for i in range(3)]
    expected = {}
    for name in names:
        data = world(name, n=4, size=40, seed=9, weather="mixed", supersample=2)
        expected |= {(name, i): digest(data, i) for i in (2, 0, 1)}
    assert len(set(expected.values())) == len(jobs)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(_worker, jobs[:4]) == [expected[job] for job in jobs[:4]]
    for workers in (1, 2):
        for name in names:
            data = world(name, n=4, size=40, seed=9, weather="mixed", supersample=2)
            with ThreadPoolExecutor(workers) as pool:
                assert list(pool.map(lambda i, d=data: digest(d, i), range(3))) == [expected[name, i] for i in range(3)]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert _twice("tabletop") == [expected["tabletop", i] for i in (1, 0)]
    finally:
        torch.set_num_threads(before)


def _twice(name: str) -> list[str]:
    data = world(name, n=4, size=40, seed=9, weather="mixed", supersample=2)
    return [digest(data, i) for i in (1, 0)]


def test_the_bytes_are_those_of_this_version():
    """A drawing that changes is another version: then `recipe.VERSION` goes up, and these with it."""
    for rays, golden in enumerate(GOLDEN, 1):
        data = world("shapes", n=2, size=24, seed=1, supersample=rays)
        assert hashlib.blake2b(data.read(0).tobytes(), digest_size=8).hexdigest() == golden


GOLDEN = ("41c60f12348d4c72", "196f88d6a8aaff85")
"""With one ray a pixel and with four."""


@pytest.mark.parametrize("name", WORLDS)
def test_every_world_has_every_label_it_names(name):
    data = world(name, n=6, size=40, seed=2)
    assert isinstance(data, Dataset) and data.channels == 3 and len(data) == 6 and set(data.spaces) == set(heads_of(WORLDS[name])) - {"full_boxes"}
    for i in (0, 5):
        pixels, truth = data.read(i), data.truth(i)
        assert pixels.shape == (40, 40, 3) and pixels.dtype == np.uint8 and pixels.std() > 2 and data.size(i) == (40, 40)
        for head, target in truth.items():
            assert type(target) is TARGETS[head]
            labels = data.spaces[head]
            assert target.draw(pixels, labels).shape[0] >= 40
    record = data.records[3]
    assert record.index == 3 and record.size == (40, 40) and isinstance(record.targets["boxes"], Stored) and record.targets["boxes"].paths == ()
    assert len({r.id for r in data.records}) == 6 and data.records[-1].id == data.records[5].id
    with pytest.raises(IndexError):
        data.records[6]


@pytest.mark.parametrize("weather", WEATHERS)
def test_weather_changes_the_picture_and_nothing_else(weather):
    clear, other = world("street", n=2, size=48, seed=5), world("street", n=2, size=48, seed=5, weather=weather)
    for head in ("boxes", "instances", "depth", "keypoints", "boxes3d"):
        assert target_hash(clear.truth(1)[head]) == target_hash(other.truth(1)[head])
    assert (weather == "clear") == bool((clear.read(1) == other.read(1)).all()) or weather == "mixed"


def test_knobs_do_what_they_say():
    few, many = world("tabletop", n=6, size=48, seed=1, objects="2"), world("tabletop", n=6, size=48, seed=1, objects="12-14")
    counted = [np.mean([d.truth(i)["number"].value for i in range(6)]) for d in (few, many)]
    assert counted[0] <= 2 and counted[1] > 6

    def occluded(**knobs: object) -> float:
        data = world("tabletop", n=8, size=48, seed=1, objects=(8, 8), **knobs)
        return float(np.mean([a["occluded"] for i in range(8) for a in data.truth(i)["boxes"].attributes]))

    assert occluded(occlusion=1.0) > occluded(occlusion=0.0)
    assert world("wildlife", n=2, size=48, difficulty="hard").truth(0).keys() == world("wildlife", n=2, size=48, difficulty="easy").truth(0).keys()


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("world:tabeltop", "did you mean tabletop"),
        ("world:tabletop?wether=fog", "did you mean weather"),
        ("world:tabletop?weather=snow", "clear, fog, rain"),
        ("world:tabletop?n=0", "at least 1"),
        ("world:tabletop?n=many", "n=many"),
        ("world:tabletop?size=4", "8 to 2048"),
        ("world:tabletop?labels=boxes,keypoints", "has no keypoints"),
        ("world:tabletop?labels=bxes", "did you mean boxes"),
        ("world:tabletop?objects=9-2", "3-8"),
        ("world:tabletop?clutter=2", "0 to 1"),
        ("world:tabletop?difficulty=brutal", "easy, medium, hard"),
        ("world:tabletop?n", "name=value"),
    ],
)
def test_a_wrong_recipe_says_what_is_right(path, says):
    with pytest.raises(UsageError, match="USE-") as error:
        open_dataset(path)
    assert says in str(error.value) and error.value.exit == 2


def test_a_recipe_is_a_path_and_back():
    recipe = Recipe("street", 20, (64, 96), 7, ("boxes", "masks"), "fog", "hard", 2, (2, 5), 0.25, 0.5)
    assert parse(recipe.text) == recipe and parse("world:shapes") == Recipe("shapes")
    assert recipe.labels == ("boxes", "instances") and recipe.text.startswith("world:street?n=20&size=64x96")
    for other in itertools.product((1, 2), ("clear", "fog")):
        assert parse(Recipe("shapes", seed=other[0], weather=other[1]).text).digest == Recipe("shapes", seed=other[0], weather=other[1]).digest
    assert len({Recipe("shapes", seed=s, weather=w).digest for s in (1, 2) for w in ("clear", "fog")}) == 4


def test_files_options_are_refused():
    for option in ("format", "group", "label", "path_column"):
        with pytest.raises(UsageError, match="USE-OPTION"):
            open_dataset("world:shapes", **{option: "voc" if option == "format" else "x"})


def test_subsets_and_fingerprints():
    data = open_dataset("world:digits?n=50&size=16")
    assert isinstance(data, WorldDataset) and data.fingerprint == open_dataset("world:digits?n=50&size=16").fingerprint
    part = data.subset([4, 2, 9])
    assert [r.index for r in part.records] == [4, 2, 9] and (part.read(1) == data.read(2)).all() and part.labels.tolist() == data.labels[[4, 2, 9]].tolist()
    assert len({data.fingerprint, part.fingerprint, data.subset([2, 4, 9]).fingerprint, open_dataset("world:digits?n=50&size=16&seed=1").fingerprint}) == 4
    moved = [replace(record, targets={"label": Label((record.targets["label"].index + 1) % 10)}) for record in part.records]
    again = part.with_records(moved, channels=1)  # as a model with other ids asks for them
    assert again.labels.tolist() == [(k + 1) % 10 for k in part.labels.tolist()] and again.fingerprint != part.fingerprint
    assert again.subset([1]).read(0).shape == (16, 16, 1) and again.subset([1]).truth(0)["label"].index == again.labels[1]
    only = data.with_heads(["label"])
    assert set(only.spaces) == {"label"} and set(only.truth(0)) == {"label"} and only.labels.tolist() == data.labels.tolist()
    assert [t.index for t in data.targets()] == data.labels.tolist() and sum(data.class_counts().values()) == 50
    report = check(data)
    assert report.total == 50 and not report.problems and report.dataset is data
    split = make_split(data, test=0.2, val=0.2)
    assert sorted(split.train + split.val + split.test) == list(range(50))


def test_frames_of_a_clip_stay_together():
    data = world("clips", n=80, size=16, labels=["label", "flow"])
    split = make_split(data, test=0.2, val=0.2)
    clips = [{data.records[i].group for i in part} for part in (split.train, split.val, split.test)]
    assert all(clips) and not clips[0] & clips[1] and not clips[0] & clips[2] and not clips[1] & clips[2]
    assert data.records[8].id == "clips_000001_00.png"


def test_classes_come_as_often_as_one_another():
    counts = np.bincount(world("digits", n=20_000, size=16).labels, minlength=10)
    assert counts.min() > 1800 and counts.max() < 2200
    numbers = hashed(3, np.arange(4096))
    assert len(np.unique(numbers)) == 4096 and abs(np.unpackbits(numbers.view(np.uint8)).mean() - 0.5) < 0.005
    assert (hashed(3, np.array([7])) != hashed(4, np.array([7]))).all()
    assert Chance(1, 2).within(0, 1) == Chance(1, 2).within(0, 1) != Chance(1, 3).within(0, 1)


def test_a_million_scenes_need_no_more_memory_than_a_few():
    data = world("shapes", n=1_000_000, size=16, labels=["label"])
    data.read(0)
    tracemalloc.start()
    for i in range(0, 1_000_000, 20_000):
        data.read(i)
        assert data.records[i].targets["label"] == data.truth(i)["label"]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8e6
    assert len(data.subset(range(0, 1_000_000, 2))) == 500_000
    assert len(data.labels) == 1_000_000


def test_a_loader_streams_them_the_same_with_any_number_of_threads():
    data = world("digits", n=24, size=24, labels=["label"])
    found = []
    for threads in (0, 2):
        loader = Loader(data, Preprocess((24, 24), 3), batch_size=8, shuffle=True, threads=threads)
        batches = list(loader.epoch(0))
        found.append((torch.cat([b.inputs for b in batches]), [t.index for b in batches for t in b.targets["label"]]))
    assert torch.equal(found[0][0], found[1][0]) and found[0][1] == found[1][1]


@pytest.mark.parametrize("head", ["labels", "number", "caption"])
def test_a_loader_makes_the_truths_of_whole_images_once(head):
    data = world("shapes", n=6, size=24, labels=[head])
    loader = Loader(data, Preprocess((24, 24), 3), batch_size=3, threads=0)
    found = [[target for batch in loader.epoch(epoch) for target in batch.targets[head]] for epoch in (0, 1)]
    assert all(type(target) is TARGETS[head] for target in found[0])
    assert all(a is b for a, b in zip(*found, strict=True))
    assert [target_hash(t) for t in found[0]] == [target_hash(data.truth(i)[head]) for i in range(6)]


LAYOUTS = [
    ("coco", "street", ""),
    ("coco", "shapes", "caption"),
    ("voc", "tabletop", ""),
    ("yolo", "tabletop", "boxes"),
    ("kitti", "street", ""),
    ("masks", "xray", ""),
]


@pytest.mark.parametrize(("layout", "name", "labels"), LAYOUTS)
def test_written_in_a_layout_it_opens_again_with_equal_labels(layout, name, labels, tmp_path):
    options = WorldOptions(n=4, size=48, seed=3, to=layout, labels=labels)
    result = run_world(name, tmp_path / "out", options)
    assert result.read_back == result.written and result.written
    back = open_dataset(tmp_path / "out")
    source = result.source
    assert len(back) == 4
    order = [next(i for i, r in enumerate(back.records) if r.id.endswith(record.id)) for record in source.records]
    for i, j in enumerate(order):
        np.testing.assert_array_equal(source.read(i), back.read(j))
        ours, theirs = source.truth(i), back.truth(j)
        if "boxes" in ours and "boxes" in theirs:
            order_ = lambda b, s: sorted((s.names[c], *np.round(x, 2)) for c, x in zip(b.classes.tolist(), b.xyxy.tolist(), strict=True))  # noqa: E731
            one, two = order_(ours["boxes"], source.spaces["boxes"]), order_(theirs["boxes"], back.spaces["boxes"])
            assert [o[0] for o in one] == [t[0] for t in two]
            np.testing.assert_allclose([o[1:] for o in one], [t[1:] for t in two], atol=0.02)
        if "map" in ours and "map" in theirs:
            names = [np.array([*s.names, *["?"] * (256 - len(s.names))], dtype=object) for s in (source.spaces["map"], back.spaces["map"])]
            assert (names[0][ours["map"].ids.numpy()] == names[1][theirs["map"].ids.numpy()]).mean() > 0.999
        if "caption" in ours:
            assert ours["caption"].texts == theirs["caption"].texts


def test_coco_files_are_read_by_another_library(tmp_path):
    from faster_coco_eval import COCO

    run_world("street", tmp_path / "out", WorldOptions(n=3, size=64, to="coco", labels="boxes,masks"))
    found = [path for path in (tmp_path / "out").rglob("*.json") if b'"annotations"' in path.read_bytes()]
    coco = COCO(str(found[0]))
    data = world("street", n=3, size=64)
    expected = sorted(float(a) for i in range(3) for a in data.truth(i)["boxes"].areas)
    assert sorted(float(a["area"]) for a in coco.anns.values()) == pytest.approx(expected)
    for annotation in coco.anns.values():
        assert coco.annToMask(annotation).sum() == annotation["area"]


def test_the_verb_chooses_a_layout_and_refuses_what_it_cannot_hold(tmp_path):
    assert run_world("shapes", tmp_path / "a", WorldOptions(n=12, size=16, labels="label")).format == "folder"
    assert run_world("shapes", tmp_path / "b", WorldOptions(n=2, size=16, labels=("boxes3d",))).format == "kitti"
    with pytest.raises(UsageError, match="coco does not hold depth"):
        run_world("shapes", tmp_path / "c", WorldOptions(n=2, to="coco", labels="depth"))
    with pytest.raises(UsageError, match="no layout holds"):
        run_world("shapes", tmp_path / "d", WorldOptions(n=2, labels="depth,normals,caption"))
    with pytest.raises(UsageError, match="--size 128"):
        saccade.world("shapes", tmp_path / "e", size="big")
    assert not (tmp_path / "e").exists()


def test_spaces_name_what_numbers_mean():
    street = WORLDS["street"]
    assert space(street, "map").background == 0 and space(street, "map").names[1:5] == street.stuff
    assert len(space(street, "keypoints").keypoints) == 14 and space(street, "graph").relations == ("left of", "behind", "on", "holding")
    assert set(HEADS) - set(TARGETS) == {"full_boxes"}


def test_many_threads_share_the_last_scenes_safely():
    data, failures = world("tabletop", n=8, size=24, labels=["boxes"]), []
    expected = [target_hash(data.truth(i)["boxes"]) for i in range(8)]

    def look(start: int) -> None:
        for step in range(16):
            i = (start * 3 + step) % 8
            if target_hash(data.truth(i)["boxes"]) != expected[i]:
                failures.append(i)

    threads = [threading.Thread(target=look, args=(t,)) for t in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.slow
def test_training_streams_from_a_world(tmp_path):
    result = saccade.train("world:digits?n=80&size=24&difficulty=easy", epochs="2", out=str(tmp_path / "run"), threads=1)
    assert (result.path / "model.saccade").is_file() and (result.path / "report.html").is_file()
