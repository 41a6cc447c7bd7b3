"""Labels of simulated scenes against what they mean: boxes around pixels, projected vertices, finite differences, positions in space, sentences read back."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch

from saccade.data.world import facts
from saccade.data.world.dataset import Studio
from saccade.data.world.facts import RELATIONS
from saccade.data.world.recipe import Recipe
from saccade.data.world.scene import Scene
from saccade.data.world.solids import BOX, KINDS, PLANE
from saccade.data.world.table import WORLDS
from tests.support.read_captions import read, read_region
from tests.support.slow_rays import ball_radius, outside

pytestmark = pytest.mark.oracle
SIZE = (48, 64)
SCENES = [(name, index) for name in WORLDS for index in range(5)]
"""Fifty random scenes."""
every_scene = pytest.mark.parametrize(("name", "index"), SCENES)


def studio(name: str, **more: object) -> Studio:
    return Studio(Recipe(name, size=SIZE, seed=11, **more))


@every_scene
def test_boxes_masks_maps_and_dots_agree_with_the_things_that_pixels_show(name, index):
    made = studio(name)
    world, told = made.world, made.told(index)
    shown, scene = told.view.things, told.scene
    counted = {i: int((shown == i).sum()) for i, thing in enumerate(scene.things) if not thing.stuff}
    expected = [i for i, n in counted.items() if n >= facts.LEAST]
    boxes, instances, dots = (made.truth(index, head) for head in ("boxes", "instances", "points"))
    assert boxes.ids.tolist() == expected and len(instances) == len(dots) == len(expected) == made.truth(index, "number").value
    for row, i in enumerate(expected):
        y, x = np.nonzero(shown == i)
        assert boxes.xyxy[row].tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1] and boxes.areas[row] == counted[i]
        assert world.names[boxes.classes[row]] == scene.things[i].name
        assert ((instances.ids.numpy() == row + 1) == (shown == i)).all()
        assert shown[int(dots.xy[row, 1]), int(dots.xy[row, 0])] == i
    present = {world.names[c] for c in boxes.classes.tolist()}
    assert {n for n, yes in zip(world.names, made.truth(index, "labels").values.tolist(), strict=True) if yes} == present
    named = np.array(["background", *(thing.name for thing in scene.things)], dtype=object)[shown + 1]
    assert (np.array(world.regions, dtype=object)[made.truth(index, "map").ids.numpy()] == named).all()
    assert world.classes[made.truth(index, "label").index] == scene.kind


@every_scene
def test_what_is_seen_of_a_thing_is_a_part_of_all_of_it(name, index):
    made = studio(name)
    view, full = made.told(index).view, made.truth(index, "full_boxes")
    assert (view.visible <= view.full).all()
    assert (view.boxes[:, :2] >= view.full_boxes[:, :2]).all() and (view.boxes[:, 2:] <= view.full_boxes[:, 2:]).all()
    hidden = [a["occluded"] for a in full.attributes]
    np.testing.assert_allclose(hidden, 1 - view.visible / view.full, atol=1e-4)
    assert torch.equal(full.xyxy, torch.from_numpy(view.full_boxes))


@every_scene
def test_boxes_in_space_hold_their_things_tightly_and_project_around_them(name, index):
    made = studio(name)
    told, truth = made.told(index), made.truth(index, "boxes3d")
    scene, camera = told.scene, told.scene.camera
    level = camera.level()
    for row, i in enumerate(told.view.listed.tolist()):
        yaw = float(truth.yaw[row])
        axes = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
        points = surface_points(scene, i)
        local = ((points - np.asarray(camera.place)) @ level.T - truth.centre[row].numpy()) @ axes.T
        half = truth.size[row].numpy() / 2
        assert (np.abs(local) <= half + 1e-6 + 1e-3 * half.max()).all()
        assert (np.abs(local).max(0) >= half - 0.16 * half.max() - 1e-6).all()
    around = truth.around().numpy()
    for row in range(len(truth)):
        in_front = not np.isnan(truth.project()[row].numpy()).any()
        if in_front:
            x1, y1, x2, y2 = told.view.full_boxes[row]
            assert around[row, 0] <= x1 + 1.01 and around[row, 1] <= y1 + 1.01 and around[row, 2] >= x2 - 1.01 and around[row, 3] >= y2 - 1.01


def surface_points(scene: Scene, number: int) -> np.ndarray:
    """Points of a thing's solids, on rays from their middles, found by bisection."""
    ways = np.random.default_rng(number).normal(size=(150, 3))
    ways = np.concatenate([ways, np.eye(3), -np.eye(3), [[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]])
    ways /= np.sqrt((ways**2).sum(1, keepdims=True))
    found = []
    for solid in scene.things[number].solids:
        own = ways @ solid.turn.T
        turns = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        rims = [[np.cos(t) * solid.size[0], np.sin(t) * solid.size[0], s * solid.size[2]] for t in turns for s in (-0.999, 0.999)]
        vertices = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * solid.size
        edges = (vertices if solid.kind == BOX else np.array(rims)) @ solid.turn.T
        own = np.concatenate([own, edges / np.sqrt((edges**2).sum(1, keepdims=True))])
        low, high = np.zeros(len(own)), np.full(len(own), ball_radius(solid) * 1.01)
        for _ in range(40):
            middle = (low + high) / 2
            out = outside(solid, solid.centre + middle[:, None] * own) > 0
            low, high = np.where(out, low, middle), np.where(out, middle, high)
        found.append(solid.centre + low[:, None] * own)
    return np.concatenate(found)


def test_the_box_in_space_of_a_box_has_its_vertices():
    made, checked = studio("tabletop", objects=(9, 9)), 0
    for index in range(8):
        told = made.told(index)
        truth = made.truth(index, "boxes3d")
        for row, i in enumerate(told.view.listed.tolist()):
            thing = told.scene.things[i]
            if thing.name != "box":
                continue
            block = thing.solids[0]
            signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
            xy, depth = facts.projected(told.scene.camera, block.centre + signs * block.size @ block.turn.T, SIZE)
            corners = truth.project()[row].numpy()
            assert (depth > 0).all() and all(np.abs(corners - vertex).max(1).min() < 0.3 for vertex in xy)
            checked += 1
    assert checked > 3


@pytest.mark.parametrize("name", ["clips", "gestures"])
def test_flow_is_where_points_fixed_to_their_solids_go(name):
    """Finite differences: the point that a pixel sees keeps its place on its solid; in the next frame it is somewhere else."""
    made, moved = studio(name), 0
    for index in (1, 9, 33, 36):
        told, after = made.told(index), made.scene(index, 1)
        flow = made.truth(index, "flow").vectors.numpy()
        solids = [(s, t) for t in told.scene.things for s in t.solids]
        later = [s for t in after.things for s in t.solids]
        assert len(solids) == len(later)
        solid_of = told.sight.hits.solid.reshape(SIZE).numpy()
        row = told.sight.packed.row.numpy()
        chance = np.random.default_rng(index)
        chosen = np.concatenate([chance.integers(0, SIZE, (20, 2)), chance.permutation(np.argwhere(told.view.rows > 0))[:60]])
        for y, x in chosen:
            depth = told.view.depth[y, x]
            if np.isnan(depth):
                assert np.isnan(flow[:, y, x]).all()
                continue
            now, then = solids[row[solid_of[y, x]]][0], later[row[solid_of[y, x]]]
            assert KINDS[now.kind] == KINDS[then.kind]
            k = told.scene.camera.pixels(SIZE)
            local = np.array([(x + 0.5 - k[0, 2]) / k[0, 0], (y + 0.5 - k[1, 2]) / k[1, 1], 1.0]) * depth
            point = local @ told.scene.camera.axes() + np.asarray(told.scene.camera.place)
            own = (point - now.centre) @ now.turn
            xy, ahead = facts.projected(after.camera, (then.centre + own @ then.turn.T)[None], SIZE)
            if ahead[0] > 0.05:
                expected = xy[0] - (x + 0.5, y + 0.5)
                np.testing.assert_allclose(flow[:, y, x], expected, atol=2e-3 + 1e-4 * np.abs(expected).max())
                moved += np.abs(expected).max() > 0.05
    assert moved > 5


def overlap(low: np.ndarray, high: np.ndarray, a: int, b: int) -> np.ndarray:
    """(3,) how far two things reach past one another along each axis."""
    return np.minimum(high[a] - low[b], high[b] - low[a])


@every_scene
def test_relations_follow_the_positions_in_space(name, index):
    made = studio(name, occlusion=0.8)
    told = made.told(index)
    scene, listed = told.scene, told.view.listed.tolist()
    level, place = scene.camera.level(), np.asarray(scene.camera.place)
    clouds = [(surface_points(scene, i) - place) @ level.T for i in listed]
    low, high = np.array([c.min(0) for c in clouds]).reshape(-1, 3), np.array([c.max(0) for c in clouds]).reshape(-1, 3)
    given = {(a, RELATIONS[r], b) for a, r, b in made.truth(index, "graph").relations.tolist()}
    slack = 0.12 * (high - low).max(1) if listed else np.zeros(0)
    for a in range(len(listed)):
        for b in range(len(listed)):
            s = slack[a] + slack[b]
            if (a, "left of", b) in given:
                assert a != b and high[a, 0] <= low[b, 0] + 1e-6 + s and low[a, 2] < high[b, 2] + s and low[b, 2] < high[a, 2] + s
                assert (b, "left of", a) not in given
            elif (
                a != b
                and low[b, 0] - high[a, 0] > s
                and min(high[a, 2] - low[b, 2], high[b, 2] - low[a, 2], high[a, 1] - low[b, 1], high[b, 1] - low[a, 1]) > s
            ):
                near = facts.NEIGHBOURS * ((high[a] - low[a]).mean() + (high[b] - low[b]).mean()) / 2
                assert low[b, 0] - high[a, 0] > near - 3 * s  # clearly to the left, and not told: no neighbour
            if (a, "behind", b) in given:
                assert a != b and low[a, 2] >= high[b, 2] - 1e-6 - s and low[a, 0] < high[b, 0] + s and low[b, 0] < high[a, 0] + s
            if (a, "on", b) in given:  # down is positive: the lowest of a is the highest of b
                assert abs(high[a, 1] - low[b, 1]) < 0.02 + s and low[a, 0] < high[b, 0] and low[b, 0] < high[a, 0]
            if (a, "holding", b) in given:
                hands = (scene.things[listed[a]].joints[[10, 11]] - place) @ level.T
                assert min(np.abs(clouds[b] - hand).max(1).min() for hand in hands) < 0.3


def test_some_of_each_relation_are_told():
    seen = Counter()
    for name in ("tabletop", "street"):
        made = studio(name, occlusion=0.9)
        for index in range(12):
            seen.update(RELATIONS[r] for _, r, _ in made.truth(index, "graph").relations.tolist())
    assert all(seen[r] >= 2 for r in RELATIONS), seen


@every_scene
@pytest.mark.parametrize("weather", ["clear", "mixed"])
def test_captions_read_back_to_the_scene(name, index, weather):
    made = studio(name, weather=weather)
    told = made.told(index)
    listed = [told.scene.things[i] for i in told.view.listed]
    nouns = ["person in " + thing.words[0] if thing.name == "person" else " ".join((*thing.words, thing.name)) for thing in listed]
    relations = {(nouns[a], RELATIONS[r], nouns[b]) for a, r, b in told.relations}
    texts = made.truth(index, "caption").texts
    heard = [read(text) for text in texts]
    kinds = [kind for kind, _ in heard]
    assert kinds[0] == "scene" and "number" in kinds and len(set(kinds)) == len(kinds) == (2 if not listed else 4 + bool(relations))
    for kind, says in heard:
        if kind == "scene":
            place, spoken, counts = says
            assert counts == Counter(thing.name for thing in listed)
            assert spoken == (told.scene.facts["weather"] if told.scene.facts["weather"] not in ("clear", "noise") else "")
            assert told.scene.facts.get("place", told.scene.kind) in place
        elif kind == "number":
            assert says == len(listed)
        elif kind == "relation":
            assert says in relations
        else:
            rows = told.view.visible if kind == "largest" else [-np.nanmin(told.view.depth[told.view.rows == r + 1]) for r in range(len(listed))]
            assert says == nouns[int(np.argmax(rows))]
    phrases = made.truth(index, "regions")
    assert torch.equal(phrases.xyxy, torch.from_numpy(told.view.boxes))
    for phrase, noun in zip(phrases.texts, nouns, strict=True):
        subject, more = read_region(phrase)
        assert subject == noun and (more is None or (noun, *more) in relations)


def test_a_scene_without_things_has_labels_too():
    made = studio("digits", objects=(0, 0))
    assert len(made.truth(0, "boxes")) == 0 and made.truth(0, "caption").texts[-1] == "there is nothing to be seen"
    for head in ("instances", "points", "boxes3d", "graph", "regions", "full_boxes"):
        assert len(made.truth(0, head)) == 0
    assert not made.truth(0, "instances").ids.any() and not any(s.kind == PLANE for t in made.scene(0).things if not t.stuff for s in t.solids)
    assert made.told(0).view.things.min() >= 0


def test_tracks_keep_their_number_through_a_clip():
    made = studio("clips")
    for first in (0, 8):
        names = [{int(i): int(c) for i, c in zip(b.ids, b.classes, strict=True)} for b in (made.truth(first + f, "boxes") for f in range(8))]
        shared = set.intersection(*(set(n) for n in names))
        assert shared and all(len({n[i] for n in names}) == 1 for i in shared)
        depth = [made.truth(first + f, "boxes3d").centre for f in (0, 7)]
        assert len(depth[0]) and len(depth[1])


def test_a_gesture_goes_through_its_parts_and_background_frames_can_be_left_out():
    from saccade.data.world.chance import Chance
    from saccade.data.world.dataset import world
    from saccade.data.world.worlds import gestures

    for gesture in gestures.KINDS:
        for background in (True, False):
            parts = gestures.script(Chance(1, 2), gesture, background)
            names = [part.name for part in parts]
            assert names[background] == "prepare" and "out" in names and names[-1 - background] == "back"
            assert ("rest" in names) == background and {p.label for p in parts} == ({gesture, "background"} if background else {gesture})
            assert all(a.until <= b.until for a, b in itertools.pairwise(parts))
    data = world("gestures", n=24 * 3, size=32)
    joints, tags = data.sequence(1)
    assert joints.shape == (24, 14, 2) and len(tags) == 24 and set(tags.tags.tolist()) == {0, *tags.tags.tolist()} and len(set(tags.tags.tolist())) == 2
    assert [data.truth(24 + f)["label"].index for f in range(24)] == tags.tags.tolist()
    assert np.abs(np.diff(joints, axis=0)).max() > 0.5
    assert 0 not in world("gestures", n=24, size=32, clutter=0.0).sequence(0)[1].tags.tolist()
    with pytest.raises(ValueError, match="one label for all frames"):
        world("clips", n=8, size=32).sequence(0)
