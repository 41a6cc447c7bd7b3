"""Key points: heat maps there and back, losses and metrics against loops, mirrors, padding."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.core import Features, Geometry, Inputs, LabelSpace, Level, Meta
from saccade.metrics.detection import Detection
from saccade.metrics.pose import CURVE, Pose, ends_of
from saccade.models.table import build
from saccade.nn.heads.coordinates import NEAR, SMOOTH, WEIGHT, Coordinates, CoordinatesOut
from saccade.nn.heads.heat_maps import NOWHERE, HeatMaps, HeatMapsOut
from saccade.nn.heads.pose import largest
from saccade.ops import heat_maps
from saccade.targets import Boxes, Keypoints

pytestmark = pytest.mark.oracle
PAIRS = ((0, 1), (2, 3))
SPACE = LabelSpace(("person",), keypoints=("left shoulder", "right shoulder", "left hip", "right hip", "neck", "head top"), pairs=PAIRS)
Share = st.floats(0, 1)


def truth(xy, visible=None, box=None, scores=None, crowd=None):
    points = torch.tensor(xy, dtype=torch.float64).reshape(-1, len(xy[0]), 2)
    seen = torch.full(points.shape[:2], 2, dtype=torch.uint8) if visible is None else torch.tensor(visible, dtype=torch.uint8)
    sides = torch.cat([points.amin(1), points.amax(1)], 1) if box is None else torch.tensor(box, dtype=torch.float64)
    given_scores = None if scores is None else torch.tensor(scores)
    boxes = Boxes(sides, torch.zeros(len(points), dtype=torch.int64), given_scores, None if crowd is None else torch.tensor(crowd))
    return Keypoints(points, seen, boxes, None if scores is None else torch.ones(points.shape[:2]), PAIRS if points.shape[1] > 3 else ())


# -- heat maps there and back ------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(Share, Share), min_size=1, max_size=6),
    st.sampled_from([0.7, 1.5, 3.0]),
    st.sampled_from([2, 4, 8]),
    st.integers(3, 24),
    st.integers(3, 24),
)
def test_an_ideal_map_gives_its_point_back(places, sigma, stride, h, w):
    """To a tenth of a pixel of the input, anywhere: also on the border and in the corners."""
    xy = torch.tensor([[(x * w, y * h) for x, y in places]])
    found = heat_maps.peaks(heat_maps.gaussians(xy, sigma, (h, w)).clamp_min(1e-37).log())
    assert float((found - xy).abs().max()) * stride < 0.1


def test_corners_and_middles_of_cells_are_found_exactly():
    xy = torch.tensor([[(0.0, 0.0), (16.0, 12.0), (0.0, 12.0), (16.0, 0.0), (3.5, 4.5), (3.0, 4.0)]], dtype=torch.float64)
    found = heat_maps.peaks(heat_maps.gaussians(xy, 1.5, (12, 16)).log())
    assert torch.allclose(found, xy, atol=1e-9)


def test_beyond_the_extent_nothing_is_looked_at():
    xy = torch.tensor([[(4.0, 4.9), (0.2, 0.1)], [(7.7, 2.2), (8.0, 3.0)]])
    logs = heat_maps.gaussians(xy, 1.0, (9, 12)).log()
    extent = torch.tensor([[5, 5], [4, 9]])
    for row, (h, w) in enumerate(extent.tolist()):
        logs[row, :, h:], logs[row, :, :, w:] = NOWHERE, NOWHERE
    assert torch.allclose(heat_maps.peaks(logs, extent), xy, atol=1e-4)


def test_a_map_without_a_peak_answers_with_the_middle_of_its_largest_cell():
    flat = torch.zeros(1, 2, 5, 5)
    flat[0, 1, :, 2] = 1.0  # a ridge: no peak along it
    assert heat_maps.peaks(flat)[0].tolist() == [[0.5, 0.5], [2.5, 0.5]]
    assert heat_maps.peaks(torch.arange(4.0).view(1, 1, 2, 2))[0, 0].tolist() == [1.5, 1.5]  # too small for differences


def test_agreement_is_one_for_the_ideal_and_small_for_others():
    xy = torch.tensor([[(5.3, 4.2)]])
    logs = heat_maps.gaussians(xy, 1.5, (12, 16)).log()
    assert heat_maps.agreement(logs, xy, 1.5).item() == pytest.approx(1.0, abs=1e-5)
    assert heat_maps.agreement(torch.zeros(1, 1, 12, 16), xy, 1.5).item() < 0.3
    assert heat_maps.agreement(logs, xy + 8, 1.5).item() < 0.05


# -- heads -------------------------------------------------------------------------------------------------------------


def maps_head(points=2, **options):
    return HeatMaps(Level(8, 4), points, 1, last=Level(8, 4), **options)


def ideal(head, targets, size, spread=1.5):
    """The output whose maps are the true Gaussians."""
    found = head.truths(targets, torch.device("cpu"))
    logs = heat_maps.gaussians(found.xy / head.level.stride, spread, size).clamp_min(1e-30).log()
    flags = torch.full((len(targets), head.points, 2), 20.0)
    return HeatMapsOut(logs, flags, torch.zeros(len(targets), 0), torch.tensor([size] * len(targets)))


def test_the_loss_of_heat_maps_is_that_of_a_loop():
    torch.manual_seed(0)
    head = maps_head(points=3)
    targets = [truth([[(5.0, 3.0), (30.0, 20.0), (0.0, 24.0)]], [[2, 1, 0]]), truth([[(12.0, 0.0), (40.0, 8.0), (7.0, 7.0)]], [[0, 2, 2]])]
    out = HeatMapsOut(torch.randn(2, 3, 6, 10), torch.randn(2, 3, 2), torch.zeros(2, 0), torch.tensor([[6, 10], [4, 9]]))
    place, flags, labelled = 0.0, 0.0, 0
    for n, target in enumerate(targets):
        h, w = out.extent[n].tolist()
        for k in range(3):
            if not int(target.visible[0, k]):
                continue
            labelled += 1
            u, v = (target.xy[0, k] / 4).tolist()
            cells = [(i, j) for i in range(h) for j in range(w)]
            goal = np.array([math.exp(-((j + 0.5 - u) ** 2 + (i + 0.5 - v) ** 2) / (2 * 1.5**2)) for i, j in cells])
            goal /= goal.sum()
            whole = torch.log_softmax(out.maps[n, k].flatten(), 0).view(6, 10)
            place += sum(g * (math.log(g) - float(whole[i, j])) for g, (i, j) in zip(goal, cells, strict=True))
            p = 1 / (1 + math.exp(-float(out.flags[n, k, 1])))
            flags -= math.log(p if int(target.visible[0, k]) == 2 else 1 - p)
    found = head.loss(out, targets)
    assert found["place_loss"].item() == pytest.approx(place / labelled, rel=1e-4)
    assert found["flag_loss"].item() == pytest.approx(0.1 * flags / labelled, rel=1e-4)


def test_points_that_are_absent_are_taught_only_where_that_is_asked_for():
    target = [truth([[(5.0, 3.0), (0.0, 0.0)]], [[2, 0]])]
    for absent in (False, True):
        head = maps_head(absent=absent)
        flags = torch.zeros(1, 2, 2, requires_grad=True)
        out = HeatMapsOut(torch.zeros(1, 2, 6, 8), flags, torch.zeros(1, 0), torch.tensor([[6, 8]]))
        sum(head.loss(out, target).values()).backward()
        assert bool((flags.grad[0, :, 0] != 0).all()) == absent
        assert flags.grad[0, 0, 1] != 0 and flags.grad[0, 1, 1] == 0


def test_the_ideal_map_costs_nothing_and_decodes_to_the_target():
    head = maps_head(points=6, pairs=PAIRS)
    source = truth([[(20.0, 30.0), (60.0, 31.0), (25.0, 90.0), (55.0, 88.0), (40.0, 20.0), (41.0, 2.0)]])
    geometry = Geometry.letterbox((100, 80), (64, 96))
    target = source.warp(geometry)
    out = ideal(head, [target], (16, 24))
    assert head.loss(out, [target])["place_loss"].item() == pytest.approx(0.0, abs=1e-4)
    found = head.decode(out, [Meta("a", (100, 80), geometry)])[0]
    assert torch.allclose(found.xy[0].double(), source.xy[0], atol=0.05)
    assert bool((found.scores > 0.99).all()) and found.pairs == PAIRS and found.visible.tolist() == [[2] * 6]
    assert torch.allclose(found.boxes.xyxy[0].double(), source.boxes.xyxy[0], atol=0.1)


def test_a_mirrored_view_is_answered_like_the_plain_one():
    """A flip exchanges left and right, once on the way in and once on the way out; and twice is the identity."""
    head = maps_head(points=6, pairs=PAIRS)
    source = truth([[(10.0, 12.0), (30.0, 12.0), (12.0, 40.0), (28.0, 41.0), (20.0, 8.0), (20.0, 1.0)]])
    flip = Geometry.flip((48, 64))
    mirrored = source.warp(flip)
    assert mirrored.xy[0, 0].tolist() == [34.0, 12.0] and torch.equal(mirrored.warp(flip).xy.double(), source.xy)
    found = head.decode(ideal(head, [mirrored], (12, 16)), [Meta("a", (48, 64), flip)])[0]
    assert torch.allclose(found.xy[0].double(), source.xy[0], atol=0.05)


def test_of_several_objects_the_largest_that_is_no_crowd_and_has_a_point_is_learnt():
    target = truth([[(0.0, 0.0), (4.0, 4.0)], [(10.0, 10.0), (40.0, 40.0)], [(0.0, 0.0), (90.0, 90.0)], [(0.0, 0.0), (99.0, 99.0)]],
                   [[2, 2], [2, 0], [2, 2], [0, 0]], crowd=[False, False, True, False])  # fmt: skip
    assert largest(target) == 1
    assert largest(Keypoints.empty(2)) is None
    with pytest.raises(ValueError, match="2 key points, the head has 3"):
        maps_head(points=3).truths([target], torch.device("cpu"))


def test_the_loss_of_coordinates_is_that_of_a_loop():
    torch.manual_seed(0)
    head = Coordinates(Level(8, 4), 3, 1)
    targets = [truth([[(5.0, 3.0), (30.0, 20.0), (0.0, 24.0)]], [[2, 1, 0]]), truth([[(12.0, 0.0), (40.0, 8.0), (7.0, 7.0)]], [[0, 2, 2]])]
    out = CoordinatesOut(torch.rand(2, 3, 2), torch.randn(2, 3, 2), torch.randn(2, 3), torch.zeros(2, 0), torch.tensor([[24, 40], [24, 40]]))
    place, quality, labelled = 0.0, 0.0, 0
    for n, target in enumerate(targets):
        for k in range(3):
            if not int(target.visible[0, k]):
                continue
            labelled += 1
            off = [abs(float(out.places[n, k, a]) - float(target.xy[0, k, a]) / (40, 24)[a]) for a in (0, 1)]
            place += sum(0.5 * d**2 / SMOOTH if d < SMOOTH else d - SMOOTH / 2 for d in off)
            goal = math.exp(-math.hypot(off[0] * 40, off[1] * 24) / 40 / NEAR)
            p = 1 / (1 + math.exp(-float(out.quality[n, k])))
            quality -= goal * math.log(p) + (1 - goal) * math.log(1 - p)
    found = head.loss(out, targets)
    assert found["place_loss"].item() == pytest.approx(WEIGHT * place / labelled, rel=1e-4)
    assert found["quality_loss"].item() == pytest.approx(0.1 * quality / labelled, rel=1e-4)


def test_ideal_coordinates_decode_to_the_target():
    head = Coordinates(Level(8, 4), 2, 1)
    target = truth([[(5.0, 3.0), (30.0, 20.0)]], [[2, 1]])
    flags = torch.tensor([[[9.0, 9.0], [9.0, -9.0]]])
    out = CoordinatesOut((target.xy / torch.tensor([40.0, 24.0])).float(), flags, torch.full((1, 2), 9.0), torch.zeros(1, 0), torch.tensor([[24, 40]]))
    found = head.decode(out, [Meta("a", (24, 40), Geometry.identity((24, 40)))])[0]
    assert torch.allclose(found.xy.double(), target.xy, atol=1e-4) and found.visible.tolist() == [[2, 1]]


@pytest.mark.parametrize("make", [maps_head, lambda: Coordinates(Level(8, 4), 2, 1)])
def test_a_batch_without_objects_has_a_loss_of_nought_with_gradients(make):
    head = make()
    maps = [torch.randn(2, 3, 16, 24), torch.randn(2, 8, 4, 6, requires_grad=True)]
    out = head(Features(maps, torch.tensor([[16, 24]] * 2)))
    total = sum(head.loss(out, [Keypoints.empty(2), Keypoints.empty(2)]).values())
    total.backward()
    assert total.item() == 0.0 and not bool(maps[1].grad.any())


@pytest.mark.parametrize("name", ["heat_maps", "regression"])
def test_padding_changes_no_answer(name):
    torch.manual_seed(0)
    narrow = {"widths": (8, 8, 8, 8, 16), **({"decoder": (8, 8, 8, 8)} if name == "heat_maps" else {})}
    model = build("keypoints", name, Inputs(3, (96, 96), (0.5,) * 3, (0.25,) * 3), SPACE, narrow).eval()
    for part in model.modules():
        if isinstance(part, torch.nn.Conv2d | torch.nn.Conv1d | torch.nn.Linear):
            torch.nn.init.normal_(part.weight, 0.0, 0.2)
    picture, meta = torch.rand(1, 3, 64, 96), Meta("a", (64, 96), Geometry.identity((64, 96)))
    whole = torch.zeros(2, 3, 96, 96)
    whole[0, :, :64], whole[1] = picture[0], torch.rand(3, 96, 96)
    with torch.inference_mode():
        alone = model.predict(picture, torch.tensor([[64, 96]]), [meta])["keypoints"][0]
        padded = model.predict(whole, torch.tensor([[64, 96], [96, 96]]), [meta, Meta("b", (96, 96), Geometry.identity((96, 96)))])["keypoints"][0]
    assert torch.allclose(alone.xy, padded.xy, atol=1e-2) and torch.allclose(alone.scores, padded.scores, atol=1e-4)


# -- metrics -----------------------------------------------------------------------------------------------------------


def random_image(rng, count, answers):
    xy = rng.uniform(0, 100, (count, 6, 2))
    visible = rng.integers(0, 3, (count, 6))
    visible[:, 0] = 2
    goal = truth(xy.tolist(), visible.tolist()) if count else Keypoints.empty(6, PAIRS)
    moved = xy[np.arange(answers) % max(1, count)] + rng.normal(0, 6, (answers, 6, 2)) if count and answers else rng.uniform(0, 100, (answers, 6, 2))
    found = truth(moved.tolist(), scores=rng.uniform(0.3, 1, answers).tolist()) if answers else Keypoints.empty(6, PAIRS)
    return found, goal


def by_loops(images):
    """error, rmse, pck, pck_torso, pck_head and found, one object and one point at a time."""
    far, right, torso, head, objects, answered = [], [], [], [], 0, 0
    for found, goal in images:
        taken, pairs = set(), {}
        options = []
        for j in range(len(goal)):
            box = max(1.0, float((goal.boxes.xyxy[j, 2:] - goal.boxes.xyxy[j, :2]).max()))
            for i in range(len(found)):
                apart = [math.dist(found.xy[i, k].tolist(), goal.xy[j, k].tolist()) for k in range(6) if goal.visible[j, k]]
                options.append((sum(apart) / len(apart) / box, i, j))
        for _, i, j in sorted(options):
            if i not in taken and j not in pairs:
                taken.add(i)
                pairs[j] = i
        for j in range(len(goal)):
            objects, answered = objects + 1, answered + (j in pairs)
            box = max(1.0, float((goal.boxes.xyxy[j, 2:] - goal.boxes.xyxy[j, :2]).max()))
            ends = [
                (math.dist(goal.xy[j, a].tolist(), goal.xy[j, b].tolist()) if goal.visible[j, a] and goal.visible[j, b] else None) for a, b in ((0, 3), (4, 5))
            ]
            for k in range(6):
                if not goal.visible[j, k]:
                    continue
                d = math.dist(found.xy[pairs[j], k].tolist(), goal.xy[j, k].tolist()) if j in pairs else math.inf
                far += [d] if j in pairs else []
                right.append(d <= 0.1 * box)
                torso += [d <= 0.2 * ends[0]] if ends[0] is not None else []
                head += [d <= 0.5 * ends[1]] if ends[1] is not None else []
    mean = [float(np.mean(values)) if values else math.nan for values in (far, right, torso, head)]
    return mean[0], math.sqrt(float(np.mean(np.square(far)))), *mean[1:], answered / objects


def test_pck_and_errors_are_those_of_loops():
    rng = np.random.default_rng(0)
    images = [random_image(rng, int(rng.integers(0, 4)), int(rng.integers(0, 5))) for _ in range(40)]
    metric, first, second = Pose(SPACE, resamples=50), Pose(SPACE, resamples=50), Pose(SPACE, resamples=50)
    for i, (found, goal) in enumerate(images):
        metric.update(found, goal)
        (first if i < 15 else second).update(found, goal)
    values = metric.compute()
    expected = dict(zip(("error", "rmse", "pck", "pck_torso", "pck_head", "found"), by_loops(images), strict=True))
    for key, number in expected.items():
        assert values[key].value == pytest.approx(number, rel=1e-9), key
        assert values[key].low <= values[key].value <= values[key].high and values[key].n == 40
    assert {key: value.value for key, value in (first + second).compute().items()} == pytest.approx({k: v.value for k, v in values.items()}, nan_ok=True)
    assert metric.points() == pytest.approx({key: value.value for key, value in values.items()}, nan_ok=True)


def test_oks_is_that_of_the_detection_metric_which_is_the_coco_tools():
    rng = np.random.default_rng(1)
    images = [random_image(rng, int(rng.integers(0, 4)), int(rng.integers(0, 5))) for _ in range(20)]
    pose, detection = Pose(SPACE, resamples=20), Detection(SPACE, kind="keypoints", resamples=20)
    for found, goal in images:
        pose.update(found, goal)
        detection.update(found, goal)
    own = pose.compute()
    assert 0 < own["keypoint_map"].value < 1
    assert {key: repr(value) for key, value in detection.compute().items()} == {key: repr(value) for key, value in own.items() if key.startswith("keypoint_")}
    assert pose.best_thresholds() == detection.best_thresholds() and repr(pose.per_class()) == repr(detection.per_class())


def test_crowds_difficult_objects_and_those_without_points_do_not_count():
    xy = [[(0.0, 0.0), (10.0, 10.0)], [(50.0, 50.0), (60.0, 60.0)], [(80.0, 80.0), (90.0, 90.0)]]
    goal = truth(xy, [[2, 2], [0, 0], [2, 2]], crowd=[False, False, True])
    metric = Pose(LabelSpace(("fly",), keypoints=("a", "b")), pixels=3.0)
    metric.update(truth([xy[0]], scores=[0.9]), goal)
    metric.update(Keypoints.empty(2), None)
    values = metric.points()
    assert values["error"] == 0.0 and values["found"] == 1.0 and values["pck_pixels"] == 1.0 and len(metric) == 1


def test_what_is_not_answered_is_wrong_but_not_far():
    goal = truth([[(0.0, 0.0), (10.0, 10.0)], [(50.0, 50.0), (60.0, 60.0)]])
    metric = Pose(LabelSpace(("fly",), keypoints=("a", "b")))
    metric.update(truth([[(1.0, 0.0), (10.0, 10.0)]], scores=[0.9]), goal)
    assert metric.points()["error"] == 0.5 and metric.points()["pck"] == 0.5 and metric.points()["found"] == 0.5
    told = metric.of_image(Keypoints.empty(2), goal)
    assert told == {"missed": 1.0, "pck": 0.0, "found": 0.0, "objects": 2.0}
    assert metric.of_image(truth([[(0.0, 0.0), (10.0, 10.0)], [(50.0, 50.0), (60.0, 60.0)]], scores=[0.9, 0.8]), goal)["missed"] == 0.0


def test_tables_of_points_and_distances():
    metric = Pose(LabelSpace(("fly",), keypoints=("a", "b")), resamples=20)
    metric.update(truth([[(3.0, 0.0), (100.0, 100.0)]], scores=[0.9]), truth([[(0.0, 0.0), (100.0, 100.0)]]))
    tables = metric.tables()
    assert [(row["point"], row["labelled"], row["error"]) for row in tables["joints"]] == [("a", 1, 3.0), ("b", 1, 0.0)]
    shares = {row["distance"]: row["share"] for row in tables["pck_curve"] if row["unit"] == "box"}
    assert list(shares) == list(CURVE) and shares[0.02] == 0.5 and shares[0.03] == 1.0
    pixels = {row["distance"]: row["share"] for row in tables["pck_curve"] if row["unit"] == "px"}
    assert pixels[2.0] == 0.5 and pixels[3.0] == 1.0


def test_torso_and_head_by_their_usual_names():
    assert ends_of(SPACE.keypoints) == ((0, 3), (4, 5))
    assert ends_of(("left_shoulder", "right_hip", "nose")) == ((0, 1), None)
    empty = Pose(SPACE).compute()
    assert {"pck_torso", "pck_head"} <= set(empty) and math.isnan(empty["pck"].value) and "pck_head" not in Pose(LabelSpace(("a",), keypoints=("b",))).compute()


def test_views_of_one_object_are_averaged_by_their_scores():
    from saccade.inference.ensemble import mean_pose

    one, other = truth([[(10.0, 10.0), (20.0, 20.0)]], scores=[0.75]), truth([[(14.0, 10.0), (20.0, 24.0)]], [[2, 1]], scores=[0.25])
    one.scores[0, 1], other.scores[0, 1] = 0.25, 0.75
    found = mean_pose([one, other], [1.0, 1.0])
    assert found.xy[0].tolist() == [[12.0, 10.0], [20.0, 23.0]] and found.visible.tolist() == [[2, 1]]
    assert found.scores[0].tolist() == [1.0, 0.5] and found.boxes.scores.item() == 0.5


def test_key_points_of_another_order_are_matched_by_name():
    from saccade.targets.renamed import reordered

    own = truth([[(1.0, 2.0), (3.0, 4.0), (5.0, 6.0)]], [[2, 1, 2]])
    found = reordered(own, [2, -1, 0, 1], ((0, 3),))
    assert found.xy[0].tolist() == [[5, 6], [0, 0], [1, 2], [3, 4]] and found.visible.tolist() == [[2, 0, 2, 1]] and found.pairs == ((0, 3),)
    assert reordered(None, [0], ()) is None
