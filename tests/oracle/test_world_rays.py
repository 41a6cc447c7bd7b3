"""Simulated scenes against rays cast one at a time: what is seen, how far it is, which way it faces, what is in the shade, where joints are seen."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.data.world import cast, facts, picture, render
from saccade.data.world.dataset import Studio, world
from saccade.data.world.edges import STEP, uneven
from saccade.data.world.pack import THIN, pack
from saccade.data.world.recipe import Recipe
from saccade.data.world.scene import Camera, Scene, Solid, Thing, turn_x, turn_y, turn_z
from saccade.data.world.shade import light_of, lighting
from saccade.data.world.solids import BOX, CAPSULE, CONE, CYLINDER, ELLIPSOID, KINDS, reach
from saccade.data.world.table import WORLDS
from tests.support.slow_rays import enters, first, normal_at, outside, ray

pytestmark = pytest.mark.oracle
SIZE = (24, 32)
SCENES = [(name, seed) for name in WORLDS for seed in range(5)]
"""Fifty random scenes."""


def studio(name: str, seed: int, **more: object) -> Studio:
    return Studio(Recipe(name, size=SIZE, seed=seed, **more))


def pixels_of(name: str, seed: int, n: int) -> list[tuple[int, int]]:
    chance = np.random.default_rng([seed, len(name)])
    return [(int(y), int(x)) for y, x in zip(chance.integers(0, SIZE[0], n), chance.integers(0, SIZE[1], n), strict=True)]


@pytest.mark.parametrize(("name", "seed"), SCENES)
def test_what_each_pixel_sees_is_what_a_single_ray_meets(name, seed):
    made = studio(name, seed)
    scene, seen = made.scene(seed), made.told(seed).view
    wrong = 0
    for y, x in pixels_of(name, seed, 12):
        start, way = ray(scene, x + 0.5, y + 0.5, SIZE)
        thing, solid, t, other = first(scene, start, way)
        if thing < 0:
            assert seen.things[y, x] == -1 and np.isnan(seen.depth[y, x])
            continue
        if seen.things[y, x] != thing:  # only where a ray grazes an edge, or two things are equally near
            wrong += 1
            continue
        if abs(other - t) > 1e-3 * t and abs(seen.depth[y, x] - t) > 2e-3 * t + 1e-4:
            wrong += 1
            continue
        normal = normal_at(scene.things[thing].solids[solid], start + t * way) @ scene.camera.axes().T
        if abs(seen.depth[y, x] - t) < 1e-4 * t and not np.allclose(seen.normals[:, y, x], normal, atol=0.02):
            wrong += 1
    assert wrong <= 1


@settings(max_examples=120, deadline=None)
@given(st.sampled_from([ELLIPSOID, BOX, CYLINDER, CONE, CAPSULE]), st.integers(0, 10**6))
def test_every_solid_is_met_where_the_slow_definition_says(kind, seed):
    chance = np.random.default_rng(seed)
    turn = turn_z(chance.uniform(-3, 3)) @ turn_x(chance.uniform(-3, 3)) @ turn_y(chance.uniform(-3, 3))
    solid = Solid(kind, np.array([0.0, chance.uniform(3, 30), 0.0]) + chance.uniform(-0.4, 0.4, 3), turn, chance.uniform(0.15, 1.0, 3), 0)
    distance = float(solid.centre[1])
    scene = Scene("one", [Thing("thing", [solid], solid.centre)], [], (), Camera((0.0, 0.0, 0.0), focal=0.35 * distance))
    packed = pack([scene], (16, 16))
    through = cast.rays(packed)
    hits = cast.nearest(packed, cast.meet(packed, through), through)
    depth = hits.depth.reshape(16, 16).numpy()
    for y in range(1, 16, 3):
        for x in range(1, 16, 3):
            start, way = ray(scene, x + 0.5, y + 0.5, (16, 16))
            expected = enters(solid, start, way)
            if depth[y, x] < 1e8:
                at = start + float(depth[y, x]) * way
                assert abs(outside(solid, at[None])[0]) < 2e-3 * max(1.0, 0.1 * distance)
            if np.isfinite(expected) != (depth[y, x] < 1e8):  # a graze: the deepest point of the ray is barely inside
                times = np.linspace(distance - 3, distance + 3, 4001)
                assert abs(outside(solid, start + times[:, None] * way).min()) < 5e-3
            elif np.isfinite(expected):
                assert abs(depth[y, x] - expected) < 3e-3 * expected


@pytest.mark.parametrize("kind", [ELLIPSOID, BOX, CYLINDER, CONE, CAPSULE], ids=lambda kind: KINDS[kind])
def test_how_far_a_solid_reaches_is_the_farthest_of_its_points(kind):
    chance = np.random.default_rng(kind)
    size = np.array([0.4, 0.4, 0.9]) if kind in (CYLINDER, CONE, CAPSULE) else np.array([0.4, 0.7, 0.9])
    solid = Solid(kind, np.zeros(3), np.eye(3), size, 0)
    points = chance.uniform(-1.4, 1.4, (400_000, 3))
    points = points[outside(solid, points) <= 0]
    axes = chance.normal(size=(1, 6, 3))
    low, high = reach(np.array([kind]), size[None], axes)
    spread = points @ axes[0].T
    assert (spread.max(0) <= high[0] + 1e-9).all() and (spread.min(0) >= low[0] - 1e-9).all()
    np.testing.assert_allclose(spread.max(0), high[0], atol=0.12)
    np.testing.assert_allclose(spread.min(0), low[0], atol=0.12)


def toward_things(scene: Scene, points: np.ndarray, ways: np.ndarray) -> np.ndarray:
    """(n,) whether the line through each point passes near the middle of a solid: where shadows are to be expected."""
    found = np.zeros(len(points), bool)
    for solid in [s for t in scene.things if t.casts and not t.stuff for s in t.solids]:
        gap = solid.centre - points
        along = (gap * ways).sum(1)
        found |= ((gap * gap).sum(1) - along * along < 0.5 * solid.size.max() ** 2) & (along > 0)
    return found


@pytest.mark.parametrize("name", ["tabletop", "street", "digits", "wildlife"])
def test_shadows_are_where_something_is_between_the_point_and_the_light(name):
    made, shades = studio(name, 3, weather="night" if name == "street" else "clear"), 0
    for index in range(3):
        told = made.told(index)
        scene, points, packed = told.scene, told.sight.points, told.sight.packed
        axes, place = scene.camera.axes(), np.asarray(scene.camera.place)
        lamps = lighting([scene]).lamps
        for slot, light in [(slot, light) for slot, light in enumerate(scene.lights) if light.shadow][:2]:
            p = torch.stack(points.point).double().numpy().T @ axes + place
            n = torch.stack(points.normal).double().numpy().T @ axes
            gap = np.asarray(light.at) - p if light.at is not None else np.broadcast_to(np.asarray(light.toward), p.shape)
            distance = np.sqrt((gap * gap).sum(1)) if light.at is not None else None
            way = gap / np.sqrt((gap * gap).sum(1, keepdims=True))
            rows = np.flatnonzero((n * way).sum(1) > 0)
            local = torch.from_numpy((way[rows] @ axes.T).astype(np.float32)).T
            toward = (local[0], local[1], local[2]) if light.at is not None else (local[0, :1], local[1, :1], local[2, :1])
            if not len(rows):
                continue
            far = None if distance is None else torch.from_numpy(distance[rows].astype(np.float32))
            dark = np.zeros(len(rows), bool)
            dark[cast.shaded(packed, points, torch.from_numpy(rows), lamps[slot], toward, far).numpy()] = True
            wrong = 0
            chance = np.random.default_rng(index)
            likely = np.flatnonzero(toward_things(scene, p[rows], way[rows]))
            chosen = np.concatenate([chance.permutation(likely)[:20], chance.permutation(len(rows))[:5]])
            shades += int(dark[chosen].sum())
            for k in chosen:
                start = p[rows[k]] + n[rows[k]] * points.depth[rows[k]].item() * 1e-3
                found = min((enters(s, start, way[rows[k]]) for t in scene.things if t.casts for s in t.solids if s.kind != 5), default=np.inf)
                limit = np.inf if distance is None else distance[rows[k]]
                wrong += bool(found < limit) != dark[k]
            assert wrong <= 2  # a point may lie inside of a solid that touches its own
    assert shades > 5


@pytest.mark.parametrize("name", ["street", "wildlife", "gestures"])
def test_joints_are_visible_when_nothing_is_before_them(name):
    checked = 0
    for seed in range(4):
        made = studio(name, seed)
        told = made.told(seed)
        truth = made.truth(seed, "keypoints")
        for row, number in enumerate(truth.boxes.ids.tolist()):
            thing = told.scene.things[number]
            for k, joint in enumerate(thing.joints):
                if np.isnan(joint).any():
                    assert truth.visible[row, k] == 0
                    continue
                local = told.scene.camera.axes() @ (joint - np.asarray(told.scene.camera.place))
                camera = told.scene.camera.pixels(SIZE)
                x, y = local[:2] / local[2] * camera[0, 0] + camera[:2, 2]
                if not (local[2] > 0 and 0 <= x < SIZE[1] and 0 <= y < SIZE[0]):
                    assert truth.visible[row, k] == 0
                    continue
                np.testing.assert_allclose(truth.xy[row, k], (x, y), atol=1e-3)
                start, way = ray(told.scene, x, y, SIZE)
                t = min((enters(s, start, way) for other in told.scene.things for s in other.solids), default=np.inf)
                if abs(t - (local[2] - thing.slack)) > 1e-3 * local[2]:
                    assert truth.visible[row, k] == (2 if t >= local[2] - thing.slack else 1)
                    checked += 1
    assert checked > 20


def test_a_thing_alone_fills_its_full_box():
    made = studio("tabletop", 4, occlusion=1.0, objects=(10, 10))
    for index in range(4):
        told = made.told(index)
        for row, number in enumerate(told.view.listed.tolist()):
            alone = Scene("alone", [told.scene.things[number]], told.scene.materials, (), told.scene.camera)
            seen = facts.view(render.look([alone], SIZE), alone).things == 0
            y, x = np.nonzero(seen)
            assert told.view.full_boxes[row].tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]
            assert told.view.full[row] == seen.sum()


@pytest.mark.parametrize(("name", "weather"), [("street", "clear"), ("tabletop", "mixed")])
def test_scenes_drawn_together_are_as_when_drawn_alone(name, weather):
    made = Studio(Recipe(name, size=SIZE, seed=2, weather=weather))
    scenes = [made.scene(i) for i in range(4)]
    suns = {scene.lights[0].toward is not None for scene in scenes}
    assert len(suns) == 1 + (name == "tabletop")
    keys = [(2, i) for i in range(4)]
    together = render.look(scenes, SIZE)
    for number, (scene, image) in enumerate(zip(scenes, render.pictures(together, scenes, keys, 2), strict=True)):
        alone = render.look([scene], SIZE)
        np.testing.assert_array_equal(render.pictures(alone, [scene], [keys[number]], 2)[0], image)
        one, other = facts.view(alone, scene), facts.view(together, scene, number)
        for field in ("listed", "things", "rows", "depth", "normals", "visible", "full", "boxes", "full_boxes"):
            np.testing.assert_array_equal(getattr(one, field), getattr(other, field))


def test_supersampling_changes_no_label():
    one, four = world("shapes", n=2, size=SIZE, seed=3), world("shapes", n=2, size=SIZE, seed=3, supersample=2)
    assert (one.truth(0)["instances"].ids == four.truth(0)["instances"].ids).all() and (one.read(0) != four.read(0)).any()


def develop(scene: Scene, light: torch.Tensor) -> np.ndarray:
    """Without noise and JPEG, as whole numbers that can be subtracted."""
    h, w = light.shape[1] // SHARP[1], SHARP[1]
    image = light.reshape(3, h, w).permute(1, 2, 0).numpy()
    return picture.develop(np.ascontiguousarray(image), scene.lens._replace(noise=0.0, jpeg=0), (0, 0)).astype(int)


SHARP = (64, 64)


@pytest.mark.parametrize(("name", "most"), [("tabletop", 0.06), ("street", 0.08), ("digits", 0.05), ("clips", 0.1)])
def test_supersampling_at_edges_is_nearly_that_of_every_pixel(name, most):
    """The mean of four pictures, each of one ray through another place of every pixel, against rays at the edges alone."""
    made, away, single, chosen = Studio(Recipe(name, size=SHARP, seed=2)), [], [], []
    for index in range(4):
        told = made.told(index)
        packed, light = told.sight.packed, lighting([told.scene])
        with torch.inference_mode():
            total = torch.zeros(3, packed.rays)
            for spot in render.grid(2):
                through = cast.rays(packed, None, [spot])
                hits = cast.nearest(packed, cast.meet(packed, through, None, [spot]), through)
                total += light_of(packed, light, hits, cast.surface(packed, hits, through), through)
            middle = light_of(packed, light, told.sight.hits, told.sight.points, told.sight.rays)
            some = middle.clone()
            render._again(told.sight, [told.scene], light, some, render.grid(2))
        pixels = uneven(packed, told.sight.hits, middle, torch.tensor([told.scene.lens.exposure]))
        assert torch.equal(some[:, pixels], (total / 4)[:, pixels])
        rest = np.setdiff1d(np.arange(packed.rays), pixels.numpy())
        assert torch.equal(some[:, rest], middle[:, rest])
        full = develop(told.scene, total / 4)
        away.append(np.abs(develop(told.scene, some) - full).mean())
        single.append(np.abs(develop(told.scene, middle) - full).mean())
        chosen.append(len(pixels) / packed.rays)
    assert np.mean(away) < most < 0.1 * np.mean(single) and np.mean(chosen) < 0.6


def test_uneven_pixels_are_those_of_the_definition():
    told = Studio(Recipe("street", size=SIZE, seed=4)).told(0)
    packed, light = told.sight.packed, lighting([told.scene])
    with torch.inference_mode():
        middle = light_of(packed, light, told.sight.hits, told.sight.points, told.sight.rays)
    h, w = SIZE
    exposed = middle.double().clamp(min=0) * told.scene.lens.exposure
    tone, solid = (255 * torch.sqrt(exposed / (1 + exposed))).reshape(3, h, w).numpy(), told.sight.hits.solid.reshape(h, w).numpy()
    expected = np.zeros((h, w), bool)
    for y in range(h):
        for x in range(w):
            for v, u in [(v, u) for v in (y - 1, y, y + 1) for u in (x - 1, x, x + 1) if 0 <= v < h and 0 <= u < w]:
                beside = abs(v - y) + abs(u - x) == 1
                expected[y, x] |= solid[v, u] != solid[y, x] or (beside and np.abs(tone[:, v, u] - tone[:, y, x]).max() > STEP)
    solids = [solid for thing in told.scene.things for solid in thing.solids]
    thin = 0
    for place, row in enumerate(packed.row.tolist()):
        solid_ = solids[row]
        size = np.sort([solid_.size[0], solid_.size[1] if solid_.kind in (ELLIPSOID, BOX) else solid_.size[0], solid_.size[2]])
        depth = (solid_.centre - np.asarray(told.scene.camera.place)) @ told.scene.camera.axes()[2]
        narrow = solid_.kind < 5 and depth > 0 and 2 * size[1] * told.scene.camera.focal * w / depth < THIN
        assert packed.thin[place] == narrow or solid_.kind == CAPSULE
        x0, y0, x1, y1 = packed.bounds[place] if packed.thin[place] else (0, 0, 0, 0)
        expected[y0:y1, x0:x1] = True
        thin += bool(packed.thin[place])
    found = np.zeros(h * w, bool)
    found[uneven(packed, told.sight.hits, middle, torch.tensor([told.scene.lens.exposure])).numpy()] = True
    assert thin > 3 and 0.1 < found.mean() < 0.95
    assert (found.reshape(h, w) == expected).all()


def test_supersampling_does_not_depend_on_how_many_rays_are_followed_at_once(monkeypatch):
    told = Studio(Recipe("tabletop", size=SIZE, seed=1)).told(0)
    expected = render.pictures(told.sight, [told.scene], [(1, 0)], 3)[0]
    monkeypatch.setattr(render, "RAYS", 500)
    np.testing.assert_array_equal(render.pictures(told.sight, [told.scene], [(1, 0)], 3)[0], expected)
