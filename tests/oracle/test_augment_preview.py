"""The preview sheet: a row an image, the truths where the picture shows them; and mixed batches of several labels."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch

from saccade import api
from saccade.core import Batch, LabelSpace
from saccade.data.augment import Policy
from saccade.data.augment_mix import Mix
from saccade.data.degrade import Degrade
from saccade.data.loader import Loader
from saccade.data.preprocess import Preprocess
from saccade.data.preview import GAP, drawn, preview, sheet, shown
from saccade.data.whiten import Whitening
from saccade.errors import DataError, UsageError
from saccade.targets import Label, Labels
from tests.oracle.test_augment_targets import ALL, Discs
from tests.oracle.test_loader_batches import Arrays


class Subset(Arrays):
    """Random pictures that can be chosen from."""

    def subset(self, indices):
        part = Subset(n=self.n, channels=self.channels, broken=self.broken)
        part.records = [self.records[i] for i in indices]
        part.n, part.places = len(indices), list(indices)
        return part

    def read(self, i, size=None):
        return super().read(getattr(self, "places", range(self.n))[i])


def test_a_row_shows_the_input_and_three_changed_ones():
    policy = Policy(flip=True, rotate_deg=20, brightness=0.3)
    found = preview(Discs(n=9, heads=("boxes",)), Preprocess((128, 128), 3, "letterbox"), policy, n=4, seed=1)
    assert found.dtype == np.uint8 and found.shape[2] == 3
    side = 256 + GAP
    assert found.shape[:2] == (2 * side, 8 * side)  # two rows of four beside each other
    colour = LabelSpace(("disc",)).rgb(0)
    tiles = [found[y : y + 256, x : x + 256] for y in (0, side) for x in range(0, 8 * side, side)]
    assert all((np.abs(t.astype(int) - colour).sum(2) < 12).sum() > 100 for t in tiles)  # a box is drawn in each
    assert len({t.tobytes() for t in tiles}) == 16
    np.testing.assert_array_equal(found, preview(Discs(n=9, heads=("boxes",)), Preprocess((128, 128), 3, "letterbox"), policy, n=4, seed=1))


def test_all_truths_are_drawn_and_lines_below_stay_below():
    data = Discs(n=2, heads=ALL)
    picture = data.read(0)
    whole = drawn(picture, data.truth(0), data.spaces)
    assert whole.shape[0] > picture.shape[0] and whole.shape[1] == picture.shape[1]
    preview(data, Preprocess((64, 64), 3, "pad"), Policy(mosaic=1.0), n=2)


def test_without_a_policy_a_row_is_one_tile_and_degraded_pictures_stand_beside_their_answers():
    data = Discs(n=2, heads=())
    assert preview(data, Preprocess((64, 64), 3), n=2).shape[1] == 10 * (256 + GAP)
    pair = preview(data, Preprocess((256, 256), 3), degrade=Degrade(shrink=4, enlarge=False, grey=True), n=1)
    assert pair.shape[1] == 10 * (400 + GAP)


def test_whitening_is_shown_before_and_after():
    data = Subset(n=6)
    inputs = np.concatenate([b.inputs.permute(0, 2, 3, 1).numpy() for b in Loader(data, Preprocess((12, 10), 3), batch_size=6, threads=0).epoch(0)])
    preprocess = Preprocess((12, 10), 3, whitening=Whitening.fit(inputs, patch=3))
    found = preview(data, preprocess, n=1)
    before = preview(data, Preprocess((12, 10), 3), n=1)
    np.testing.assert_array_equal(found[:250, :200], before[:250, :200])
    assert not np.array_equal(found[:250, 224:424], found[:250, :200])


@pytest.mark.parametrize("depth", [1, 2, 3, 7])
def test_values_of_any_channels_are_shown(depth):
    assert shown(np.random.default_rng(0).normal(size=(9, 8, depth))).shape == (9, 8, 3)
    plain = np.random.default_rng(0).random((9, 8, depth)).astype(np.float32)
    expected = plain if depth == 3 else np.repeat(plain[..., :1] if depth < 3 else plain.mean(2, keepdims=True), 3, 2)
    np.testing.assert_array_equal(shown(plain), np.round(expected * 255).astype(np.uint8))


def test_unreadable_images_are_left_out_and_none_at_all_is_an_error():
    rows = preview(Subset(n=4, broken=(1,)), Preprocess((12, 10), 3), n=4)
    assert (rows[:, 3 * (220 + GAP) :] == 255).all() and (rows[:, 2 * (220 + GAP) :] != 255).any()
    with pytest.raises(DataError, match="none of 4 images"):
        preview(Subset(n=4, broken=(0, 1, 2, 3)), Preprocess((12, 10), 3), n=4)


def test_tiles_of_different_sizes_fit():
    found = sheet([[np.zeros((5, 9, 3), np.uint8)], [np.zeros((8, 3, 3), np.uint8)]])
    assert found.shape == (8 + GAP, 10 * (9 + GAP), 3) and (found[:5, :9] == 0).all() and (found[5:8, :9] == 255).all()


def labelled(targets, head="labels"):
    inputs = torch.arange(len(targets) * 12.0).reshape(len(targets), 1, 3, 4)
    return Batch(inputs, torch.full((len(targets), 2), 4), {head: targets}, [])


def test_several_labels_are_mixed_answer_by_answer():
    targets = [Labels(torch.tensor(v, dtype=torch.int8)) for v in ([1, 0, -1, 1], [0, 0, 1, 1], [1, 1, 0, -1])]
    batch, spaces = labelled(targets), {"labels": LabelSpace(("a", "b", "c", "d"))}
    mixed = Mix(mixup=0.5)(batch, spaces, (0, 0, 3))
    for i, target in enumerate(mixed.targets["labels"]):
        share, partner = _share(batch.inputs, mixed.inputs[i], i)
        own, other = targets[i].values, targets[partner].values
        known = (own >= 0) & (other >= 0)
        assert ((target.values >= 0) == known).all()
        torch.testing.assert_close(target.scores[known], (share * own + (1 - share) * other).float()[known], atol=1e-4, rtol=0)
        assert torch.equal(target.values[known] == 1, target.scores[known] >= 0.5)


def _share(inputs, mixed, i):
    """The share and the partner that a mixed input was made of."""
    for partner in range(len(inputs)):
        difference = inputs[i] - inputs[partner]
        if partner != i:
            share = float(((mixed - inputs[partner]) / difference).mean())
            if 0 <= share <= 1:
                return share, partner
    return 1.0, i


def test_heads_whose_truths_cannot_be_mixed_are_refused():
    with pytest.raises(UsageError, match="cutmix mixes labels of whole images, and the data have boxes"):
        Loader(Discs(n=4, heads=("boxes",)), Preprocess((8, 8), 3), batch_size=2, mix=Mix(cutmix=1.0))
    with pytest.raises(UsageError, match="mixup mixes labels"):
        Mix(mixup=1.0)(labelled([None, None], "map"), {}, (0, 0, 0))
    assert not Mix() and Mix(cutmix=0.1)
    plain = labelled([Label(0), Label(1)], "label")
    assert Mix()(plain, {"label": LabelSpace(("a", "b"))}, (0, 0, 0)) is plain


def test_the_command_writes_the_sheet(tmp_path):
    for i, name in enumerate(("cat", "dog") * 3):
        (tmp_path / "data" / name).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / "data" / name / f"{i}.png"), np.random.default_rng(i).integers(0, 256, (40, 40, 3)).astype(np.uint8))

    file = tmp_path / "seen" / "sheet.png"
    line = [sys.executable, "-m", "saccade", "check", str(tmp_path / "data"), "--preview", str(file), "--augment", "cells", "--size", "64", "--whiten", "3"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and f"preview: {file}" in done.stdout, done.stderr
    assert cv2.imread(str(file)).shape[1] == 10 * (256 + GAP)
    for options, text in (
        ({"size": 64}, "none is asked for"),
        ({"preview": file, "augment": "cell"}, "did you mean cells"),
        ({"preview": file, "size": 5}, "expected 16 to 4096"),
        ({"preview": tmp_path / "a.jpg"}, "ends in .png"),
        ({"preview": file, "augment": "mosaic"}, "mosaic puts boxes"),
    ):
        with pytest.raises(UsageError, match=text):
            api.check(tmp_path / "data", near=False, **options)
