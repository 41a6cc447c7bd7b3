"""FID, KID, precision and recall, modes, copies: against scipy, closed forms and loops; the metric and its judge."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from saccade import bundle, storage
from saccade.bundle import Bundle
from saccade.errors import UsageError
from saccade.generative.base import Seen
from saccade.inference.generated import wrong
from saccade.inference.judge import GLYPHS, Judge, glyphs
from saccade.metrics.generation import copied, fid, frechet, kid, modes, moments, nearest, overlap, variety
from saccade.metrics.samples import Samples
from saccade.report.facts import Facts
from saccade.report.generation import wrong as report

pytestmark = pytest.mark.oracle
CHANCE = np.random.default_rng(0)


def test_fid_is_the_closed_form_with_scipys_root():
    a, b = CHANCE.normal(size=(200, 6)) @ CHANCE.normal(size=(6, 6)), CHANCE.normal(size=(150, 6)) * 2 + 1
    (m1, c1), (m2, c2) = (moments(x) for x in (a, b))
    expected = ((m1 - m2) ** 2).sum() + np.trace(c1 + c2 - 2 * np.real(sqrtm(c1 @ c2)))
    assert fid(a, b) == pytest.approx(expected, rel=1e-8) == fid(b, a)
    assert fid(a, a) == pytest.approx(0.0, abs=1e-8)
    d1, d2 = np.array([1.0, 4.0]), np.array([9.0, 0.0])  # independent axes, one of them without any spread
    known = ((np.sqrt(d1) - np.sqrt(d2)) ** 2).sum() + 5.0
    assert frechet((np.zeros(2), np.diag(d1)), (np.array([1.0, 2.0]), np.diag(d2))) == pytest.approx(known)
    assert fid(a[:3], b[:3]) > 0  # covariances without full rank


def test_kid_is_the_unbiased_estimator_by_loops():
    a, b = CHANCE.normal(size=(9, 4)), CHANCE.normal(size=(7, 4)) + 0.5

    def k(x, y):
        return (float(x @ y) / 4 + 1) ** 3

    same = sum(k(a[i], a[j]) for i in range(9) for j in range(9) if i != j) / 72 + sum(k(b[i], b[j]) for i in range(7) for j in range(7) if i != j) / 42
    assert kid(a, b) == pytest.approx(same - 2 * sum(k(x, y) for x in a for y in b) / 63)
    values = [kid(CHANCE.normal(size=(40, 3)), CHANCE.normal(size=(30, 3))) for _ in range(200)]
    assert abs(np.mean(values)) < 3 * np.std(values) / math.sqrt(200)  # unbiased: around 0, on both sides of it
    with pytest.raises(ValueError, match="1 and 30 rows"):
        kid(a[:1], CHANCE.normal(size=(30, 4)))


def test_precision_and_recall_by_loops():
    real, drawn = CHANCE.normal(size=(30, 2)), CHANCE.normal(size=(25, 2)) * 0.5 + 0.7

    def reach(rows, i):
        return sorted(float(np.linalg.norm(rows[i] - rows[j])) for j in range(len(rows)) if j != i)[2]

    def inside(row, rows):
        return any(np.linalg.norm(row - rows[i]) <= reach(rows, i) + 1e-12 for i in range(len(rows)))

    found = overlap(real, drawn, 3)
    assert found.precision == pytest.approx(np.mean([inside(row, real) for row in drawn]))
    assert found.recall == pytest.approx(np.mean([inside(row, drawn) for row in real]))
    assert overlap(real, real + 100) == (0.0, 0.0)
    with pytest.raises(ValueError, match="more than 3"):
        overlap(real[:3], drawn)


def test_modes_copies_and_variety():
    assert modes(np.array([5, 5, 5, 5]), np.array([8, 8, 1, 0])).covered == 0.75
    p, q = np.array([0.5, 0.25, 0.25]), np.array([0.7, 0.1, 0.2])
    assert modes(p * 100, q * 50).divergence == pytest.approx(float((q * np.log(q / p)).sum()))
    assert modes(np.array([1, 0]), np.array([1, 1])).divergence == math.inf
    training, held_out = CHANCE.normal(size=(300, 5)), CHANCE.normal(size=(300, 5))
    assert copied(training[:50], training, held_out) == 1.0
    assert copied(CHANCE.normal(size=(300, 5)), training, held_out) < 0.15
    assert math.isnan(copied(training, training, held_out[:0]))
    found = nearest(training[[7, 3]], training)
    assert found.places.tolist() == [7, 3] and float(found.distances.max()) < 1e-5
    assert variety(training, np.tile(training[:1], (20, 1))) == pytest.approx(0.0, abs=1e-12)
    assert variety(training, training) == pytest.approx(1.0)


class Mean:
    """A judge of two features, the means of both halves of a picture; classes by the first."""

    name, sha256, names = "mean", "0" * 64, ("dark", "light")

    def look(self, pictures):
        features = pictures.flatten(1).unflatten(1, (2, -1)).mean(2).double().numpy()
        return features, (features[:, 0] > 0.5).astype(np.int64)

    def counts(self, classes):
        return np.bincount(classes, minlength=2)


def seen(pictures):
    return [Seen(picture, {"elbo": -float(picture.sum())}) for picture in pictures]


def test_the_metric_has_the_values_of_its_functions_with_intervals_and_merges():
    real, drawn = torch.rand(60, 1, 2, 2, generator=torch.Generator().manual_seed(0)), torch.rand(50, 1, 2, 2, generator=torch.Generator().manual_seed(1)) * 0.8
    parts = [Samples(judge=Mean(), own=True, resamples=50) for _ in range(2)]
    for part, pictures in zip(parts, (real[:20], real[20:]), strict=True):
        for one in seen(pictures):
            part.update(one, None)
    metric = parts[0] + parts[1]
    assert set(metric.points()) == {"elbo"}  # no samples yet
    metric.take(drawn, real[:10])
    values = metric.compute()
    eight_bit = (real * 255).round() / 255
    features = [Mean().look(p)[0] for p in (eight_bit, drawn)]
    assert values["fid"].value == pytest.approx(fid(*features)) and values["kid"].value == pytest.approx(kid(features[0][:50], features[1]))
    assert values["elbo"].value == pytest.approx(-float(real.flatten(1).sum(1).mean()), rel=1e-5) and values["elbo"].n == 60 and values["fid"].n == 50
    assert values["fid"].low < values["fid"].value < values["fid"].high and 0 <= values["copied"].value <= 1
    assert values["modes_covered"].value == 1.0 and metric.points()["fid"] == values["fid"].value
    assert [row["class"] for row in metric.per_class()] == ["dark", "light"]


def test_the_jackknifes_interval_covers_what_it_should():
    """Of the KID of samples of one distribution, 0, about 95 of 100 intervals hold the truth."""
    hits = 0
    for i in range(40):
        metric = Samples(judge=Mean(), resamples=10)
        pictures = torch.rand(160, 1, 2, 2, generator=torch.Generator().manual_seed(i))
        for one in seen(pictures[:80]):
            metric.update(one, None)
        metric.take(pictures[80:])
        value = metric._jackknifed(metric._measures()["kid"])
        hits += value.low <= 0 <= value.high
    assert hits >= 33


def test_collapse_and_copies_are_told_in_words():
    metric = Samples(judge=Mean(), own=True)
    real = torch.rand(40, 1, 2, 2, generator=torch.Generator().manual_seed(2))
    for one in seen(real):
        metric.update(one, None)
    model = SimpleNamespace()
    metric.take(torch.full((30, 1, 2, 2), 0.3))
    assert [alert.code for alert in wrong(model, metric)] == ["GEN-COLLAPSE"]
    metric.take(real[:30] * 0.9 + 0.05, real[:30] * 0.9 + 0.05)
    assert "GEN-MEMORY" in [alert.code for alert in wrong(model, metric)]
    metric.take(torch.rand(40, 1, 2, 2, generator=torch.Generator().manual_seed(3)))
    assert list(wrong(model, metric)) == []


def test_a_class_that_no_sample_has_is_told_and_the_report_says_it_in_words(tmp_path):
    metric = Samples(judge=Mean(), own=True)
    real = torch.rand(60, 1, 2, 2, generator=torch.Generator().manual_seed(4))
    for one in seen(real):
        metric.update(one, None)
    light = real[real[:, 0, 0].mean(1) > 0.55]
    metric.take(torch.cat([light, light.flip(3)]).clamp_min(0.52))  # as different from each other as ever, and none of them dark
    (alert,) = wrong(SimpleNamespace(), metric)
    assert alert == ("GEN-COLLAPSE", "50% of the classes have samples")
    (tmp_path / "eval").mkdir()
    facts = Facts(tmp_path, {"task": "generate"})
    assert report(facts) is None
    told = [alert._asdict(), {"code": "GEN-POSTERIOR", "text": "0 of 4 codes differ between pictures"}]
    storage.write_json(tmp_path / "eval" / "judge.json", {"alerts": told})
    _, heading, words = report(facts)
    assert heading == "What is wrong" and "leave classes of the pictures out: 50% of the classes have samples. Advice: " in words
    assert "Most codes say nothing of the picture" in words and "0 of 4 codes differ" in words and "free_bits" in words


def test_codes_that_are_not_used_are_told():
    from saccade.core import Inputs, LabelSpace
    from saccade.models.generate import vae

    torch.manual_seed(0)
    model = vae(Inputs(1, (8, 8), (0.0,), (1.0,)), LabelSpace(()), codes=4, width=4, hidden=8)
    metric = Samples()
    for one in seen(torch.rand(20, 1, 8, 8)):
        metric.update(one, None)
    with torch.no_grad():
        model.encoder.head[2].weight.zero_()
    (alert,) = wrong(model, metric)
    assert alert.code == "GEN-POSTERIOR" and alert.text.startswith("0 of 4")


def test_the_judge_of_the_package_reads_glyphs_and_any_picture():
    judge = glyphs()
    assert judge.sha256 == bundle.read_card(GLYPHS).sha256 and len(judge.names) == 32 and judge.told()["name"].startswith("lenet5")
    for shape in ((3, 3, 50, 40), (2, 1, 8, 8), (0, 1, 32, 32)):
        features, classes = judge.look(torch.rand(*shape))
        assert features.shape == (shape[0], 84) and features.dtype == np.float64 and classes.shape == (shape[0],)
    pictures = torch.rand(300, 1, 32, 32)
    np.testing.assert_allclose(judge.look(pictures)[0][280:], judge.look(pictures[280:])[0], atol=1e-4)


def test_only_classifiers_judge():
    from saccade.core import Inputs, LabelSpace
    from saccade.models.table import build

    read = bundle.read(GLYPHS)
    model = build("generate", "vae", Inputs(1, (8, 8), (0.0,), (1.0,)), LabelSpace(()), {"width": 4, "hidden": 8})
    with pytest.raises(UsageError, match="USE-VALUE"):
        Judge(Bundle(model, read.card), "a vae")
