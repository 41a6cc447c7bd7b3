"""Intervals, calibration, thresholds and paired tests against slow definitions and known answers."""

import numpy as np
import pytest
from scipy import stats

from saccade.core import LabelSpace
from saccade.errors import ModelError, UsageError
from saccade.metrics import bootstrap, paired, statistics
from saccade.metrics.calibration import fit_temperature, negative_log_likelihood, scale
from saccade.metrics.classification import Classification
from saccade.metrics.thresholds import as_array, choose, decide

TWO = LabelSpace(("no", "yes"))


def test_a_resample_is_that_many_draws_and_a_group_comes_whole() -> None:
    groups = np.array([0, 0, 1, 2, 2, 2])
    (block,) = bootstrap.weights(6, groups=groups, resamples=50, seed=3)
    assert block.shape == (6, 50)
    assert (block[0] == block[1]).all() and (block[3] == block[5]).all()
    assert ((block[0] + block[2] + block[3]) == 3).all()
    (plain,) = bootstrap.weights(6, resamples=50, seed=3)
    assert (plain.sum(0) == 6).all()


def test_blocks_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(bootstrap.weights(40, resamples=100)), 1)
    monkeypatch.setattr(bootstrap, "BLOCK", 400)
    parts = list(bootstrap.weights(40, resamples=100))
    assert len(parts) == 10
    assert (np.concatenate(parts, 1) == whole).all()


def test_the_interval_of_a_mean_is_near_the_normal_one_and_repeats() -> None:
    right = np.random.default_rng(0).random(2000) < 0.8
    drawn = bootstrap.evaluate({"a": statistics.mean(right)}, 2000)["a"]
    found = bootstrap.interval(float(drawn[0]), drawn[1], 2000)
    reach = 1.96 * np.sqrt(right.mean() * (1 - right.mean()) / 2000)
    assert (found.low, found.high) == pytest.approx((right.mean() - reach, right.mean() + reach), abs=2e-3)
    assert np.array_equal(drawn[1], bootstrap.evaluate({"a": statistics.mean(right)}, 2000)["a"][1])


def test_the_interval_covers_the_truth_about_95_times_in_100() -> None:
    rng, covered = np.random.default_rng(1), 0
    for _ in range(200):
        right = rng.random(120) < 0.7
        value, drawn = bootstrap.evaluate({"a": statistics.mean(right)}, 120, resamples=300)["a"]
        found = bootstrap.interval(float(value), drawn, 120)
        covered += found.low <= 0.7 <= found.high
    assert 178 <= covered <= 199


def test_groups_widen_the_interval() -> None:
    """Ten copies of each image say no more than one."""
    rng = np.random.default_rng(0)
    p = np.repeat(rng.dirichlet([1, 1], 60), 10, 0).astype(np.float32)
    truth = np.repeat(rng.integers(0, 2, 60), 10)
    alone, grouped = Classification(TWO), Classification(TWO)
    alone.add(truth, p)
    grouped.add(truth, p, [f"patient {i // 10}" for i in range(600)])
    for key in ("accuracy", "auroc", "f1"):
        a, b = alone.compute()[key], grouped.compute()[key]
        assert a.value == b.value
        assert 2 < (b.high - b.low) / (a.high - a.low) < 4.5


def test_all_right_still_leaves_an_interval() -> None:
    metric = Classification(TWO)
    metric.add(np.array([0, 1] * 15), np.array([[0.9, 0.1], [0.1, 0.9]] * 15, np.float32))
    found = metric.compute()
    assert found["accuracy"].low == pytest.approx(stats.beta.ppf(0.025, 30, 1))
    assert found["auroc"].low == pytest.approx(0.025 ** (1 / 15))
    assert found["accuracy"].high == 1
    assert metric.per_class()[0]["recall_low"] == pytest.approx(0.025 ** (1 / 15))


def test_malformed_answers_are_refused() -> None:
    with pytest.raises(ModelError, match="3 probabilities for 2 classes") as caught:
        Classification(TWO).add(np.array([0]), np.ones((1, 3)) / 3)
    assert caught.value.code == "MODEL-CLASSES"
    with pytest.raises(ModelError, match="not finite") as caught:
        Classification(TWO).add(np.array([0]), np.array([[np.nan, 1.0]]))
    assert caught.value.code == "MODEL-NAN"


def test_the_temperature_is_the_minimum_of_the_loss_and_keeps_the_answers() -> None:
    rng = np.random.default_rng(0)
    true = rng.dirichlet(np.full(5, 0.6), 800)
    truth = np.array([rng.choice(5, p=row) for row in true])
    sharp = scale(true, 1 / 2.5)
    found = fit_temperature(sharp, truth)
    assert found == pytest.approx(2.5, rel=0.15)
    losses = [negative_log_likelihood(scale(sharp, found * factor), truth).mean() for factor in (0.98, 1, 1.02)]
    assert losses[1] == min(losses)
    assert (scale(sharp, found).argmax(1) == sharp.argmax(1)).all()
    assert scale(sharp, found).sum(1) == pytest.approx(1)


def test_temperature_without_anything_to_learn_from_is_one_and_zero_probabilities_are_fine() -> None:
    sure = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert fit_temperature(sure, np.array([0, 1])) == 1.0
    assert fit_temperature(sure, np.array([-1, -1])) == 1.0
    assert fit_temperature(sure, np.array([0, 0])) == pytest.approx(20.0, rel=0.01)


def test_thresholds_are_given_by_name_in_range() -> None:
    assert as_array({"yes": 0.7}, TWO).tolist() == [0, 0.7]
    assert as_array(0.6, TWO).tolist() == [0.6, 0.6]
    with pytest.raises(UsageError, match="did you mean yes") as caught:
        as_array({"yess": 0.5}, TWO)
    assert caught.value.code == "USE-OPTION"
    with pytest.raises(UsageError, match="expected a probability") as caught:
        as_array(1.5, TWO)
    assert caught.value.code == "USE-VALUE"
    assert decide(np.zeros((0, 2)), np.zeros(2)).tolist() == []


@pytest.mark.parametrize("goal", [0.7, 0.8, 0.9, 1.0])
def test_the_chosen_threshold_is_the_lowest_that_reaches_the_precision(goal: float) -> None:
    rng = np.random.default_rng(4)
    p = rng.dirichlet([0.7, 0.7, 0.7], 250).round(2)
    truth = np.array([rng.choice(3, p=row / row.sum()) for row in p])
    space = LabelSpace(("a", "b", "c"))
    table = choose(p, truth, space, precision=goal)
    answer = p.argmax(1)
    for k, name in enumerate(space.names):

        def precision(limit: float, k: int = k) -> float:
            given = (answer == k) & (p[:, k] >= limit)
            return float((truth[given] == k).mean()) if given.any() else 1.0

        lower = [s for s in np.unique(p[answer == k, k]) if s < table[name]]
        assert precision(table[name]) >= goal
        assert all(precision(limit) < goal for limit in lower)


def test_the_f1_threshold_beats_every_other() -> None:
    rng = np.random.default_rng(5)
    p = rng.dirichlet([0.5, 0.5], 120).round(2)
    truth = (rng.random(120) < 0.25).astype(int)
    found = choose(p, truth, TWO)["yes"]

    def f1(limit: float) -> float:
        given = (p.argmax(1) == 1) & (p[:, 1] >= limit)
        return 2 * (given & (truth == 1)).sum() / (given.sum() + (truth == 1).sum())

    assert f1(found) == max(f1(limit) for limit in [0, *np.unique(p[:, 1])])


def test_a_precision_out_of_range_is_refused_and_an_unreachable_one_gives_one() -> None:
    p = np.array([[0.2, 0.8], [0.3, 0.7]])
    assert choose(p, np.array([0, 0]), TWO, precision=0.9) == {"no": 0.0, "yes": 1.0}
    with pytest.raises(UsageError, match="precision to reach"):
        choose(p, np.array([0, 0]), TWO, precision=1.2)


def test_mcnemar_is_the_exact_binomial_test() -> None:
    a = np.array([1] * 50 + [1] * 9 + [0] * 2 + [0] * 10, bool)
    b = np.array([1] * 50 + [0] * 9 + [1] * 2 + [0] * 10, bool)
    found = paired.mcnemar(a, b)
    assert found.p == pytest.approx(2 * sum(stats.binom.pmf(k, 11, 0.5) for k in range(3)))
    assert found.difference == pytest.approx(7 / 71)
    assert found.low < found.difference < found.high
    assert paired.mcnemar(a, a).p == 1
    assert paired.mcnemar(a, b, groups=np.arange(71)).test == "paired bootstrap over groups"


def test_delong_has_the_published_variance_and_agrees_with_the_bootstrap() -> None:
    """The variance by its definition, S10 / m + S01 / n over the structural components (DeLong et al. 1988, eq. 5)."""
    rng = np.random.default_rng(2)
    positive = rng.random(160) < 0.4
    a, b = positive + rng.normal(0, 1, 160), positive * 0.4 + rng.normal(0, 1, 160)
    up, down = np.flatnonzero(positive), np.flatnonzero(~positive)

    def parts(score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        wins = (score[up][:, None] > score[down][None]) + 0.5 * (score[up][:, None] == score[down][None])
        return wins.mean(1), wins.mean(0)

    (a10, a01), (b10, b01) = parts(a), parts(b)
    variance = np.var(a10 - b10, ddof=1) / len(up) + np.var(a01 - b01, ddof=1) / len(down)
    found = paired.delong(positive, a, b)
    difference = a10.mean() - b10.mean()
    assert found.difference == pytest.approx(difference)
    assert found.p == pytest.approx(2 * stats.norm.sf(abs(difference) / np.sqrt(variance)))
    other = paired.paired_bootstrap(statistics.auroc(positive, a), statistics.auroc(positive, b), 160)
    assert (other.low, other.high) == pytest.approx((found.low, found.high), abs=0.03)


def test_delong_counts_the_copies_of_a_group_once() -> None:
    rng = np.random.default_rng(3)
    positive = rng.random(80) < 0.5
    a, b = positive + rng.normal(0, 1, 80), positive * 0.5 + rng.normal(0, 1, 80)
    once = paired.delong(positive, a, b)
    copies = paired.delong(np.repeat(positive, 9), np.repeat(a, 9), np.repeat(b, 9), groups=np.repeat(np.arange(80), 9))
    assert copies.difference == pytest.approx(once.difference)
    assert copies.p == pytest.approx(once.p, abs=0.01)
    assert paired.delong(np.repeat(positive, 9), np.repeat(a, 9), np.repeat(b, 9)).p < once.p / 2


def test_delong_without_both_kinds_has_no_answer() -> None:
    found = paired.delong(np.ones(4, bool), np.arange(4.0), np.arange(4.0))
    assert np.isnan(found.p)
    assert found.to_dict()["p"] is None


def test_p_values_are_even_when_nothing_differs() -> None:
    rng, small = np.random.default_rng(0), 0
    for _ in range(200):
        positive = rng.random(80) < 0.5
        small += paired.delong(positive, positive + rng.normal(0, 1.5, 80), positive + rng.normal(0, 1.5, 80)).p < 0.05
    assert 2 <= small <= 22


def test_the_fold_test_is_wider_than_the_plain_one_by_the_papers_factor() -> None:
    d = np.array([0.03, 0.05, 0.02, 0.06, 0.04])
    plain = stats.ttest_1samp(d, 0)
    t = plain.statistic * np.sqrt((1 / 5) / (1 / 5 + 1 / 4))
    found = paired.corrected_t(d.tolist(), 0.25)
    assert found.p == pytest.approx(2 * stats.t.sf(t, 4))
    assert found.low < found.difference < found.high
    with pytest.raises(ValueError, match="at least two folds"):
        paired.corrected_t([0.1], 0.25)
