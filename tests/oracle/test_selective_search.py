"""Graph segmentation and selective search: the plain loops, another library, similarities by hand, and what is found of plain objects."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.classic.graph_segmentation import Edges, absorbed, ascending, joined, numbered, pixel_edges, segment, smoothed
from saccade.classic.region_grouping import Grouping, Segments, boxes_around, colour_histograms, texture_histograms, touching
from saccade.classic.selective_search import MODES, SPACES, Strategies, best_overlaps, in_space, recall, selective_search

pytestmark = pytest.mark.oracle


def plain_union(edges, count, takes):
    """The loop of the paper over edges in ascending order: `takes(members a, members b, weight, heaviest a, heaviest b)`."""
    members, heaviest, own = {i: [i] for i in range(count)}, dict.fromkeys(range(count), 0.0), list(range(count))
    for a, b, w in zip(edges.a.tolist(), edges.b.tolist(), edges.weight.tolist(), strict=True):
        a, b = own[a], own[b]
        if a != b and takes(members[a], members[b], w, heaviest[a], heaviest[b]):
            for i in members[b]:
                own[i] = a
            members[a] += members.pop(b)
            heaviest[a] = w
    return own


def slow_joined(edges, count, scale):
    return plain_union(edges, count, lambda a, b, w, p, q: w <= min(p + scale / len(a), q + scale / len(b)))


def slow_absorbed(edges, component, smallest):
    """The second loop over all edges, beginning with the components."""
    own, members = list(component), {}
    for i, c in enumerate(own):
        members.setdefault(c, []).append(i)
    for a, b in zip(edges.a.tolist(), edges.b.tolist(), strict=True):
        a, b = own[a], own[b]
        if a != b and min(len(members[a]), len(members[b])) < smallest:
            for i in members[b]:
                own[i] = a
            members[a] += members.pop(b)
    return own


def blocks(seed=0, size=(37, 29), noise=6.0):
    """Rectangles of one colour over one another, with noise: (h, w, 3) uint8."""
    chance = np.random.default_rng(seed)
    image = np.full((*size, 3), chance.integers(0, 255, 3), np.float64)
    for _ in range(5):
        y, x = chance.integers(0, size[0] - 8), chance.integers(0, size[1] - 8)
        image[y : y + chance.integers(6, 20), x : x + chance.integers(6, 20)] = chance.integers(0, 255, 3)
    return np.clip(image + chance.normal(0, noise, image.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("scale", [0.0, 3.0, 40.0, 300.0])
@pytest.mark.parametrize("noise", [0.0, 6.0, 60.0])
def test_components_are_those_of_the_loop_in_the_paper(scale, noise):
    for seed in range(4):
        image = blocks(seed, noise=noise)
        edges, count = ascending(pixel_edges(smoothed(image, 0.8))), image.shape[0] * image.shape[1]
        got = joined(edges, count, scale)
        assert numbered(got).tolist() == numbered(np.array(slow_joined(edges, count, scale))).tolist()
        for smallest in (2, 15, 400):
            theirs = slow_absorbed(edges, got.tolist(), smallest)
            assert numbered(absorbed(edges, got, smallest)).tolist() == numbered(np.array(theirs)).tolist()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11), st.integers(0, 6)), max_size=60), st.floats(0, 20), st.integers(1, 12))
def test_any_graph_with_many_equal_weights(rows, scale, smallest):
    rows = [row for row in rows if row[0] != row[1]]
    columns = np.array(rows, np.float32).reshape(-1, 3)
    edges = ascending(Edges(columns[:, 0].astype(np.int32), columns[:, 1].astype(np.int32), columns[:, 2]))
    assert edges.weight.tolist() == sorted(edges.weight.tolist())
    got = joined(edges, 12, scale)
    assert numbered(got).tolist() == numbered(np.array(slow_joined(edges, 12, scale))).tolist()
    assert numbered(absorbed(edges, got, smallest)).tolist() == numbered(np.array(slow_absorbed(edges, got.tolist(), smallest))).tolist()


def test_equal_weights_stay_in_order():
    weight = np.array([2.0, 1.0, 2.0, 0.0, 1.0], np.float32)
    assert ascending(Edges(np.arange(5), np.arange(5), weight)).a.tolist() == [3, 1, 4, 0, 2]


@pytest.mark.parametrize("scale", [5.0, 20.0, 100.0, 400.0])
def test_segments_are_those_of_scikit_image(scale):
    """Without weights that are equal, whose order is another there, and without its other border of the Gaussian."""
    skimage = pytest.importorskip("skimage.segmentation")
    image = blocks(3, (60, 50)) + np.random.default_rng(1).random((60, 50, 3))
    mine = segment(image, scale=scale, sigma=0, smallest=20)
    theirs = skimage.felzenszwalb(image / 255.0, scale=scale, sigma=0, min_size=20)  # it divides the scale by 255 itself
    assert mine.max() > 2 and np.array_equal(mine.ravel(), numbered(theirs.ravel()))


def test_segments_of_a_flat_image_of_one_pixel_and_what_is_refused():
    assert segment(np.zeros((5, 4, 3), np.uint8), scale=1.0).tolist() == np.zeros((5, 4), int).tolist()
    assert segment(np.zeros((1, 1, 1), np.uint8), scale=1.0).tolist() == [[0]]
    halves = np.zeros((6, 8, 3), np.uint8)
    halves[:, 4:] = 200
    assert segment(halves, scale=10, sigma=0, smallest=1).tolist() == [[0] * 4 + [1] * 4] * 6
    for bad in (np.zeros((0, 4, 3)), np.zeros((4, 4))):
        with pytest.raises(ValueError, match="expected an image"):
            segment(bad, scale=1.0)
    with pytest.raises(ValueError, match="from 0 on"):
        segment(halves, scale=-1.0)


# grouping --------------------------------------------------------------------------------------------------------


def slow_similarity(members, a, b, histograms, area, kinds):
    """Eq. 2 to 6 from the pixels of two regions."""
    total = 0.0
    for letter, own in histograms.items():
        if letter in kinds:
            total += sum(min(float(p), float(q)) for p, q in zip(own(members[a]), own(members[b]), strict=True))
    size = len(members[a]) + len(members[b])
    ys, xs = zip(*members[a], *members[b], strict=True)
    common = (max(ys) - min(ys) + 1) * (max(xs) - min(xs) + 1)
    return total + ("s" in kinds) * (1 - size / area) + ("f" in kinds) * (1 - (common - size) / area)


@pytest.mark.parametrize("kinds", ["ctsf", "tsf", "f", "s", "c"])
def test_the_hierarchy_is_that_of_the_slow_definition(kinds):
    image = blocks(1, (24, 26))
    labels = segment(image, scale=30, smallest=12)
    count = int(labels.max()) + 1
    assert count > 4
    first = Segments.of(labels, image)
    got = Grouping(first, kinds).run()
    members = {i: [(int(y), int(x)) for y, x in zip(*np.where(labels == i), strict=True)] for i in range(count)}
    near = {i: set() for i in range(count)}
    for (y, x), own in np.ndenumerate(labels):
        for other in (labels[y + 1, x] if y + 1 < labels.shape[0] else own, labels[y, x + 1] if x + 1 < labels.shape[1] else own):
            if other != own:
                near[int(own)].add(int(other))
                near[int(other)].add(int(own))
    whole = {"c": colour_histograms(image, labels, count), "t": texture_histograms(image, labels, count)}

    def histogram(letter):
        return lambda pixels: sum(whole[letter][labels[y, x]] for y, x in pixels) / len(pixels)

    histograms = {letter: histogram(letter) for letter in "ct"}
    boxes = [box(members[i]) for i in range(count)]
    while len(members) > 1:
        pairs = [(a, b) for a in members for b in near[a] if a < b]
        a, b = max(pairs, key=lambda pair: slow_similarity(members, *pair, histograms, labels.size, kinds))
        new = len(boxes)
        members[new] = members.pop(a) + members.pop(b)
        near[new] = (near.pop(a) | near.pop(b)) - {a, b}
        for other in near[new]:
            near[other] = (near[other] - {a, b}) | {new}
        boxes.append(box(members[new]))
    assert got.tolist() == boxes and boxes[-1] == [0, 0, 26, 24]


def box(pixels):
    ys, xs = zip(*pixels, strict=True)
    return [min(xs), min(ys), max(xs) + 1, max(ys) + 1]


def test_histograms_and_neighbours_by_hand():
    labels = np.array([[0, 0, 1], [2, 2, 1]])
    image = np.array([[[0], [255], [100]], [[9], [10], [110]]], np.uint8)
    colours = colour_histograms(image, labels, 3)
    assert colours.shape == (3, 25) and colours.sum(1).tolist() == [1, 1, 1]
    assert colours[0, [0, 24]].tolist() == [0.5, 0.5] and colours[2, 0] == 1.0  # bins are 10.24 wide
    assert colours[1, [9, 10]].tolist() == [0.5, 0.5]
    assert touching(labels).tolist() == [[0, 1], [0, 2], [1, 2]]
    assert boxes_around(labels, 3).tolist() == [[0, 0, 2, 1], [2, 0, 3, 2], [0, 1, 2, 2]]
    ramp = np.tile(np.arange(0, 200, 10, dtype=np.uint8)[None, :, None], (20, 1, 1))
    texture = texture_histograms(ramp, np.zeros((20, 20), int), 1)[0].reshape(8, 10)
    assert texture[[2, 3, 4, 5, 6], 0].round(3).tolist() == [0.125] * 5  # nothing rises downwards or to the left
    assert texture[0, 9] > 0.08 and texture[1, 7] > 0.08 and texture[7, 7] > 0.08  # cos 45 degrees of the most is in the eighth bin
    assert np.isfinite(texture_histograms(np.zeros((3, 3, 1), np.uint8), np.zeros((3, 3), int), 1)).all()


def test_a_similarity_has_known_letters():
    found = Segments.of(np.zeros((2, 2), int), np.zeros((2, 2, 3), np.uint8))
    assert Grouping(found, "ctsf").run().tolist() == [[0, 0, 2, 2]]
    with pytest.raises(ValueError, match="letters ctsf"):
        Grouping(found, "cx")


# proposals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_plain_objects_are_proposed_whatever_the_channels(channels):
    image = np.full((80, 100, channels), 30, np.uint8)
    truths = np.array([[10.0, 10, 40, 50], [55, 20, 95, 70]])
    for shade, (x1, y1, x2, y2) in zip((120, 220), truths.astype(int), strict=True):
        image[y1:y2, x1:x2] = shade
    found = selective_search(image)
    assert found.dtype == np.float32 and recall([found], [truths], overlap=0.8).share == 1.0
    assert (found[:, :2] >= 0).all() and (found[:, 2:] <= [100, 80]).all() and (found[:, 2:] > found[:, :2]).all()
    assert len(np.unique(found, axis=0)) == len(found) and [0, 0, 100, 80] in found.tolist()
    assert np.array_equal(found, selective_search(image)) and len(selective_search(image, most=3)) == 3


def test_quality_finds_more_than_fast_and_modes_are_the_papers():
    image = blocks(5, (60, 70), noise=25)
    assert len(selective_search(image, mode="quality", most=None)) > len(selective_search(image, most=None))
    assert len(selective_search(image, mode=Strategies(("grey",), (50,), ("s",)))) > 1
    assert {name: len(m.spaces) * len(m.scales) * len(m.similarities) for name, m in MODES.items()} == {"fast": 8, "quality": 80}


def test_spaces_have_their_values_and_unknown_ones_are_refused():
    image = blocks(2)
    for space in SPACES:
        plane = in_space(image, space)
        assert plane.shape[:2] == image.shape[:2] and plane.min() >= 0 and plane.max() <= 255
    red = np.array([[[255, 0, 0]]], np.uint8)
    assert in_space(red, "rgi")[0, 0].tolist() == [255.0, 0.0, 85.0] and in_space(red, "grey")[0, 0, 0] == 76
    with pytest.raises(ValueError, match="the spaces are"):
        in_space(image, "cmyk")
    with pytest.raises(ValueError, match="of 1 channels"):
        in_space(image[..., :1], "hsv")
    with pytest.raises(ValueError, match="fast or quality"):
        selective_search(image, mode="slow")
    with pytest.raises(ValueError, match="uint8"):
        selective_search(image.astype(np.float32))


def test_recall_by_loops():
    chance = np.random.default_rng(0)
    start = chance.uniform(0, 50, (2, 30, 2))
    a, b = (np.concatenate([s, s + chance.uniform(5, 40, s.shape)], 1) for s in start)

    def overlap(p, q):
        w, h = min(p[2], q[2]) - max(p[0], q[0]), min(p[3], q[3]) - max(p[1], q[1])
        shared = max(0, w) * max(0, h)
        return shared / ((p[2] - p[0]) * (p[3] - p[1]) + (q[2] - q[0]) * (q[3] - q[1]) - shared)

    best = [max(overlap(p, q) for p in a) for q in b]
    np.testing.assert_allclose(best_overlaps(a, b), best)
    got = recall([a, a[:0]], [b, b], overlap=0.5)
    assert got.found == sum(v >= 0.5 for v in best) and got.objects == 60 and got.boxes == 15
    assert np.isnan(recall([a], [b[:0]]).share)
