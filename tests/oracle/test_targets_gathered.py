"""Windows joined as they come are what they are when all are there."""

import numpy as np
import pytest
import torch

from saccade.data.tiles import Joining, Tiling, merged
from saccade.targets import Label, SegmentationMap, gathered_map

pytestmark = pytest.mark.oracle
CASES = [((100, 130), (64, 64), 16), ((64, 200), (64, 48), 0), ((90, 70), (40, 70), 15), ((97, 101), (50, 33), 8)]


def parts_of(image, tiling, edges=True, seed=0):
    generator = torch.Generator().manual_seed(seed)
    found = []
    for window in tiling.windows(image):
        soft = torch.softmax(3 * torch.randn(3, *window.size, generator=generator), 0)
        found.append(SegmentationMap(soft.argmax(0).to(torch.uint8), soft, edges=torch.rand(*window.size, generator=generator) if edges else None))
    return found


@pytest.mark.parametrize("edges", [True, False])
@pytest.mark.parametrize(
    ("image", "size", "overlap"), [((100, 130), (64, 64), 16), ((64, 200), (64, 48), 0), ((90, 70), (40, 70), 15), ((97, 101), (50, 33), 8)]
)
def test_joining_equals_merging(image, size, overlap, edges):
    tiling = Tiling(size, overlap)
    parts = parts_of(image, tiling, edges)
    joining = Joining(image, tiling)
    for part in parts:
        joining.add(part)
    found, expected = joining.finish(), merged(parts, image, tiling)
    torch.testing.assert_close(found.probabilities, expected.probabilities, rtol=1e-5, atol=1e-6)
    assert (found.ids == expected.ids).float().mean() > 0.9999
    assert (found.edges is None) == (not edges)
    if edges:
        torch.testing.assert_close(found.edges, expected.edges, rtol=1e-5, atol=1e-6)


def test_a_large_map_keeps_its_classes_alone_and_little_memory(monkeypatch):
    image, tiling = (120, 90), Tiling((40, 40), 10)
    parts = parts_of(image, tiling)
    expected = merged(parts, image, tiling)
    monkeypatch.setattr(gathered_map, "LARGEST_SOFT", 1000)
    gathered, most = gathered_map.GatheredMap(image), 0
    for part, window in zip(parts, tiling.windows(image), strict=True):
        gathered.add(part, window.y, window.x)
        most = max(most, gathered.strip.shape[1])
    found = gathered.finish()
    assert found.probabilities is None and found.edges is None and torch.equal(found.ids, expected.ids) and most == 40


def test_windows_come_row_by_row_with_probabilities():
    gathered = gathered_map.GatheredMap((20, 10))
    part = parts_of((10, 10), Tiling((10, 10), 0))[0]
    gathered.add(part, 10, 0)
    with pytest.raises(ValueError, match="row by row"):
        gathered.add(part, 0, 0)
    with pytest.raises(ValueError, match="has none"):
        gathered.add(SegmentationMap(part.ids), 10, 0)
    assert (gathered.finish().ids[:10] == 255).all()


def test_other_answers_and_single_windows_pass():
    joining = Joining(None, None)
    joining.add(Label(1))
    assert joining.finish() == Label(1)
    single = parts_of((8, 8), Tiling((8, 8), 0))[0]
    joining = Joining((8, 8), Tiling((8, 8), 0))
    joining.add(single)
    torch.testing.assert_close(joining.finish().probabilities, single.probabilities)
    plain = SegmentationMap(torch.from_numpy(np.ones((8, 8), np.uint8)))
    joining = Joining((8, 12), Tiling((8, 8), 0))
    for _ in range(2):
        joining.add(plain)
    assert joining.finish().ids.shape == (8, 12)
