"""Boxes in space: their corners by hand, what a geometry and a mirror do to the camera and the world, and the views they give."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.ops.geometry import Geometry
from saccade.targets import Boxes, Boxes3D
from saccade.targets.boxes3d import EDGES, wrapped
from tests.support.targets import differences, example, some_geometry

SIZE = (64, 80)
CAMERA = torch.tensor([[60.0, 0, 40, 3], [0, 60, 32, -2], [0, 0, 1, 0.1]], dtype=torch.float64)


def random_boxes(seed: int, n: int = 5) -> Boxes3D:
    chance = np.random.default_rng(seed)
    centre = chance.uniform([-4, -1, 6], [4, 2, 20], (n, 3))
    return Boxes3D(*(torch.from_numpy(v) for v in (centre, chance.uniform(0.5, 4, (n, 3)), chance.uniform(-np.pi, np.pi, n), np.arange(n))), CAMERA)


def slow_corners(centre, size, yaw):
    """Turned about the y axis by the rotation matrix of KITTI: x' = cos x + sin z, z' = -sin x + cos z."""
    length, height, width = size
    rotation = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    signs = [(a, d, b) for a in (1, -1) for d, b in ((1, 1), (1, -1), (-1, -1), (-1, 1))]
    return np.array([rotation @ (np.array([a * length, d * height, b * width]) / 2) + centre for a, d, b in signs])


@pytest.mark.parametrize("seed", range(5))
def test_corners_and_their_pixels_equal_the_rotation_by_hand(seed):
    boxes = random_boxes(seed)
    for row in range(len(boxes)):
        expected = slow_corners(boxes.centre[row].numpy(), boxes.size[row].numpy(), float(boxes.yaw[row]))
        np.testing.assert_allclose(boxes.corners()[row], expected, atol=1e-9)
        lifted = np.concatenate([expected, np.ones((8, 1))], 1) @ CAMERA.numpy().T
        np.testing.assert_allclose(boxes.project()[row], lifted[:, :2] / lifted[:, 2:], atol=1e-9)
    lengths = torch.stack([(boxes.corners()[:, a] - boxes.corners()[:, b]).norm(dim=1) for a, b in EDGES[:12]])
    for found, axis in ((lengths[[0, 2, 4, 6]], 2), (lengths[[1, 3, 5, 7]], 1), (lengths[8:12], 0)):
        assert torch.allclose(found, boxes.size[:, axis].expand(4, -1))


def test_the_names_of_the_corners():
    """A car that drives away from the viewer: its front is far, its left is on the left, its floor is below."""
    car = Boxes3D(torch.tensor([[0.0, 0, 10]]), torch.tensor([[4.0, 1.5, 2]]), torch.tensor([-torch.pi / 2]), torch.tensor([0]), CAMERA)
    floor_left, floor_right, top_right, top_left = car.corners()[0, :4]
    assert torch.allclose(floor_left, torch.tensor([-1.0, 0.75, 12], dtype=torch.float64), atol=1e-6)
    assert floor_right[0] > 0 and top_right[1] < 0 and top_left[0] < 0 and car.corners()[0, 4, 2] == pytest.approx(8)


def same_points(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two sets of points are the same in any order."""
    distance = np.linalg.norm(a[:, None] - b[None], axis=2)
    return bool((distance.min(0) < 1e-2).all() and (distance.min(1) < 1e-2).all())


@given(st.integers(0, 10**6), st.sampled_from(["affine", "projective"]))
@settings(max_examples=40, deadline=None)
def test_the_corners_of_what_was_warped_are_the_warped_corners(seed, kind):
    boxes = random_boxes(seed)
    g = some_geometry(np.random.default_rng(seed), SIZE, kind)
    found = boxes.warp(g)
    assert found.centre.dtype == found.yaw.dtype == torch.float32 and found.camera.dtype == torch.float64
    for row in range(len(found)):
        before = boxes.project()[int(found.classes[row])].numpy()
        assert same_points(found.project()[row].numpy(), g.points(before))
    assert (found.yaw > -np.pi - 1e-6).all() and (found.yaw <= np.pi + 1e-6).all()
    handed = np.sign(np.linalg.det(CAMERA[:, :3].numpy()))
    assert np.sign(np.linalg.det(found.camera[:, :3].numpy())) == handed  # right stays right


def test_a_mirror_mirrors_the_world():
    car = Boxes3D(torch.tensor([[2.0, 0.5, 10]]), torch.tensor([[4.0, 1.5, 2]]), torch.tensor([0.3]), torch.tensor([0]), CAMERA)
    found = car.warp(Geometry.flip(SIZE))
    assert found.centre.tolist() == [[-2, 0.5, 10]] and float(found.yaw[0]) == pytest.approx(np.pi - 0.3)
    heading = lambda boxes: (boxes.corners()[0, :4].mean(0) - boxes.corners()[0, 4:].mean(0)).numpy()  # noqa: E731
    np.testing.assert_allclose(heading(found), heading(car) * [-1, 1, 1], atol=1e-6)
    left = lambda boxes: (boxes.corners()[0, 0] - boxes.corners()[0, 1]).numpy()  # noqa: E731
    np.testing.assert_allclose(left(found), -left(car) * [-1, 1, 1], atol=1e-6)  # in a mirror the left side is seen as a right one
    assert not differences(found.warp(Geometry.flip(SIZE)), car.warp(Geometry.identity(SIZE)), 1e-5)


def test_what_the_camera_does_not_see_goes():
    boxes = random_boxes(0, 3)
    behind = Boxes3D(boxes.centre * torch.tensor([1.0, 1, -1]), boxes.size, boxes.yaw, boxes.classes, CAMERA)
    assert behind.project().isnan().all() and behind.around().isnan().all() and len(behind.warp(Geometry.identity(SIZE))) == 0
    aside = Geometry.crop(500, 0, SIZE)
    assert len(boxes.warp(aside)) == 0
    flat = Boxes(torch.tensor([[0.0, 0, 10, 10], [30, 30, 60, 60], [70, 50, 80, 64]], dtype=torch.float64), torch.arange(3))
    found = Boxes3D(boxes.centre, boxes.size, boxes.yaw, boxes.classes, CAMERA, flat).warp(Geometry.crop(20, 20, (30, 30)))
    assert found.classes.tolist() == [1] and found.boxes.xyxy.tolist() == [[10, 10, 30, 30]] and len(found.centre) == 1


def test_views_are_merged_in_space():
    answer = example("boxes3d", SIZE, scored=True)
    near = Boxes3D(answer.centre + 0.4, answer.size, answer.yaw, answer.classes, answer.camera, None, answer.scores - 0.1)
    identity = Geometry.identity(SIZE)
    found = Boxes3D.merge([near, answer], [identity, identity])
    assert found.scores.tolist() == pytest.approx([0.9, 0.7, 0.55]) and found.classes.tolist() == [0, 2, 1]
    far = Boxes3D(answer.centre + 2, answer.size, answer.yaw, answer.classes, answer.camera, None, answer.scores)
    assert len(Boxes3D.merge([answer, far], [identity, identity])) == 6


def test_angles_are_wrapped():
    angles = torch.linspace(-20, 20, 1001, dtype=torch.float64)
    found = wrapped(angles)
    assert (found > -torch.pi).all() and (found <= torch.pi).all()
    torch.testing.assert_close(torch.polar(torch.ones(1001, dtype=torch.float64), found), torch.polar(torch.ones(1001, dtype=torch.float64), angles))
    assert float(wrapped(torch.tensor(-np.pi, dtype=torch.float64))) == np.pi
