"""Flow and normals under a geometry: against two warped pictures' points, and against a camera that rolls."""

import numpy as np
import pytest
import torch

from saccade.ops.geometry import Geometry
from saccade.targets.flow_map import FlowMap
from saccade.targets.normal_map import NormalMap
from tests.support.targets import SPACE, differences, picture, some_geometry

SIZE = (64, 80)


def flow() -> FlowMap:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] / 80
    vectors = np.stack([3 + 2 * x, -1 + y]).astype(np.float32)
    vectors[:, :5] = np.nan
    return FlowMap(torch.from_numpy(vectors))


def normals() -> NormalMap:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] / 80 - 0.5
    vectors = np.stack([x, 0.7 * y, -np.ones(SIZE)])
    return NormalMap(torch.from_numpy((vectors / np.linalg.norm(vectors, axis=0)).astype(np.float32)))


@pytest.mark.parametrize("kind", ["affine", "projective", "bent"])
@pytest.mark.parametrize("seed", range(4))
def test_a_step_leads_from_where_a_point_lands_to_where_its_end_lands(kind, seed):
    before, g = flow(), some_geometry(np.random.default_rng(seed), SIZE, kind)
    found = before.warp(g).vectors.numpy()
    assert found.dtype == np.float32 and found.shape[1:] == g.size
    rows, columns = np.nonzero(np.isfinite(found[0]))
    assert len(rows) > 200
    here = np.stack([columns, rows], 1) + 0.5
    source = g.back(here)
    column, row = np.floor(source).astype(int).T.clip(0)
    steps = before.vectors.numpy()[:, row.clip(0, 63), column.clip(0, 79)].T
    expected = g.points(source + steps) - here
    apart = np.linalg.norm(found[:, rows, columns].T - expected, axis=1)
    assert np.nanpercentile(apart, 99) < 0.08  # a pixel between two others may take either one's step


def test_normals_turn_with_the_picture_and_stay_of_length_one():
    before, angle = normals(), 0.4
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array([40.0, 32.0])
    g = Geometry(np.concatenate([1.3 * turn, (middle - 1.3 * turn @ middle)[:, None]], 1), SIZE)
    found = before.warp(g).vectors.numpy()
    centre = before.vectors.numpy()[:, 40, 50]
    x, y = np.floor(g.points(np.array([[50.5, 40.5]]))[0]).astype(int)
    np.testing.assert_allclose(found[:2, y, x], turn @ centre[:2], atol=0.02)
    np.testing.assert_allclose(found[2, y, x], centre[2], atol=0.02)
    known = np.isfinite(found[0])
    np.testing.assert_allclose(np.linalg.norm(found, axis=0)[known], 1, atol=1e-5)


@pytest.mark.parametrize("made", [flow, normals])
def test_the_same_laws_as_for_other_planes(made):
    before, flip, same = made(), Geometry.flip(SIZE), Geometry.identity(SIZE)
    assert not differences(before, before.warp(same)) and not differences(before, before.to("cpu"))
    mirrored = before.warp(flip)
    assert not differences(before, mirrored.warp(flip))
    np.testing.assert_allclose(mirrored.vectors[0].flip(1), -before.vectors[0])
    np.testing.assert_allclose(mirrored.vectors[1].flip(1), before.vectors[1])
    corners = [Geometry.crop(x, y, (40, 48)) for x in (0, 32) for y in (0, 24)]
    assert not differences(type(before).merge([before.warp(tile) for tile in corners], [tile.inverse(SIZE) for tile in corners]), before, 1e-5)
    empty, image = type(before).empty(SIZE), picture(SIZE)
    drawn = before.draw(image, SPACE)
    assert drawn.shape[1:] == (80, 3) and (drawn[:64] != image).any() and empty.draw(image, SPACE).dtype == np.uint8
    assert empty.warp(flip).vectors.isnan().all() and type(before).merge([empty], [same]).size == SIZE
    with pytest.raises(ValueError, match="at least one part"):
        type(before).merge([], [])
