"""Probabilistic baselines over binary pixels, each inference against enumeration of every configuration."""

import itertools

import numpy as np
import pytest

from saccade.classic.bernoulli import Beta, ProductOfBernoullis, estimate
from saccade.classic.floors import floors
from saccade.classic.logistic import LogisticRegression
from saccade.classic.naive_bayes import BernoulliNaiveBayes
from saccade.classic.tabular import Table

pytestmark = pytest.mark.oracle
D = 4
ALL = np.array(list(itertools.product((0, 1), repeat=D)))
EVIDENCE = [np.array(e) for e in itertools.product((0, 1, -1), repeat=D)]


def joint(model) -> np.ndarray:
    """(2^d,): the probability of every configuration."""
    if isinstance(model, Table):
        return model.probability(ALL)
    logs = model.log_joint(ALL) if isinstance(model, BernoulliNaiveBayes) else model.log_probability(ALL)[:, None]
    return np.exp(logs).sum(1)


def models() -> list:
    rng = np.random.default_rng(0)
    table = rng.random((2,) * D)
    return [
        ProductOfBernoullis(rng.uniform(0.05, 0.95, D)),
        Table(table / table.sum()),
        BernoulliNaiveBayes(np.array([0.2, 0.5, 0.3]), rng.uniform(0.05, 0.95, (3, D))),
    ]


each = pytest.mark.parametrize("model", models(), ids=lambda m: type(m).__name__)


@each
def test_marginals_and_conditionals_are_those_of_enumeration(model):
    p = joint(model)
    assert p.sum() == pytest.approx(1)
    assert model.marginal() == pytest.approx(p @ ALL)
    for evidence in EVIDENCE:
        fits = ((evidence < 0) | (evidence == ALL)).all(1)
        assert model.conditional(evidence) == pytest.approx((p * fits) @ ALL / (p @ fits))


@each
def test_the_most_probable_completion_is_that_of_enumeration(model):
    for evidence in EVIDENCE:
        fits = ((evidence < 0) | (evidence == ALL)).all(1)
        if isinstance(model, BernoulliNaiveBayes):
            together = np.where(fits[:, None], model.log_joint(ALL), -np.inf)
            row, k = np.unravel_index(int(together.argmax()), together.shape)
            found, pixels = model.decode(evidence)
            assert found == k and (pixels == ALL[row]).all()
        else:
            assert (model.decode(evidence) == ALL[np.where(fits, joint(model), -1).argmax()]).all()


@each
def test_samples_follow_the_distribution_and_the_evidence(model):
    def drawn(evidence: np.ndarray | None) -> np.ndarray:
        found = model.sample(20_000, np.random.default_rng(1), evidence)
        return found[1] if isinstance(found, tuple) else found

    evidence = np.array([1, -1, 0, -1])
    free, given = drawn(None), drawn(evidence)
    shares = (free[:, None] == ALL).all(2).mean(0)
    assert shares == pytest.approx(joint(model), abs=0.012)
    assert (given[:, 0] == 1).all() and (given[:, 2] == 0).all()
    assert given.mean(0) == pytest.approx(model.conditional(evidence), abs=0.012)


def test_a_beta_prior_gives_a_beta_posterior():
    """Prior times likelihood, normalised numerically over a grid, is the density of the posterior that counting gives."""
    prior, grid = Beta(2.5, 1.5), np.linspace(1e-4, 1 - 1e-4, 20_001)
    product = np.exp(prior.log_density(grid)) * grid**7 * (1 - grid) ** 3
    product /= np.trapezoid(product, grid)
    after = prior.posterior(ones=7, zeros=3)
    assert np.exp(after.log_density(grid)) == pytest.approx(product, rel=1e-6, abs=1e-9)
    assert after.mean == pytest.approx(np.trapezoid(product * grid, grid), abs=1e-6)
    assert after.variance == pytest.approx(np.trapezoid(product * (grid - after.mean) ** 2, grid), abs=1e-6)
    assert after.mode == pytest.approx(grid[product.argmax()], abs=1e-4)


def test_mle_map_and_mean_and_what_they_have_in_common():
    x = np.array([[1, 0], [1, 0], [1, 1], [0, 0]])
    assert ProductOfBernoullis.fit(x, how="mle").p.tolist() == [0.75, 0.25]
    assert ProductOfBernoullis.fit(x, how="map").p.tolist() == [0.75, 0.25]  # a flat prior's mode is the likelihood's
    assert ProductOfBernoullis.fit(x).p == pytest.approx([4 / 6, 2 / 6])  # Laplace's rule of succession
    grid = np.linspace(0.001, 0.999, 999)
    best = grid[(3 * np.log(grid) + np.log(1 - grid)).argmax()]
    assert estimate(np.array([3]), 4, how="mle")[0] == pytest.approx(best, abs=1e-3)
    many = (np.random.default_rng(0).random((50_000, 1)) < 0.3).astype(int)
    ways = [ProductOfBernoullis.fit(many, prior=Beta(5, 2), how=how).p[0] for how in ("mle", "map", "mean")]
    assert max(ways) - min(ways) < 1e-3 and ways[0] == pytest.approx(0.3, abs=0.01)
    assert [Beta(1, 2).mode, Beta(2, 1).mode] == [0.0, 1.0]


def test_how_many_numbers_each_needs():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 2, (200, 6)), rng.integers(0, 2, 200)
    assert Table.fit(x).parameters == 2**6
    assert LogisticRegression.fit(x, y).parameters == 6 + 1
    assert ProductOfBernoullis.fit(x).parameters == 6
    assert BernoulliNaiveBayes.fit(x, y, 2).parameters == 1 + 2 * 6


def test_a_table_is_the_shares_and_can_be_asked_for_any_variables():
    x = np.random.default_rng(0).integers(0, 2, (300, 3))
    table = Table.fit(x)
    assert table.p[1, 0, 1] == (x == [1, 0, 1]).all(1).mean()
    assert table.marginal((2, 0))[1, 0] == pytest.approx(((x[:, 2] == 1) & (x[:, 0] == 0)).mean())
    assert Table.fit(np.zeros((0, 2), int), pseudo=1).p.tolist() == [[0.25, 0.25], [0.25, 0.25]]


def test_the_posterior_of_naive_bayes_is_a_logistic_regression_and_scikit_learns():
    from sklearn.naive_bayes import BernoulliNB

    rng = np.random.default_rng(0)
    x, truth = rng.integers(0, 2, (300, 12)), rng.integers(0, 3, 300)
    model = BernoulliNaiveBayes.fit(x, truth, 3)
    p = model.classify(x)
    assert p == pytest.approx(BernoulliNB(alpha=1.0).fit(x, truth).predict_proba(x))
    weights, offsets = model.as_logistic()
    powers = np.exp(x @ weights + offsets)
    assert p == pytest.approx(powers / powers.sum(1, keepdims=True))


def test_logistic_regression_is_scikit_learns():
    from sklearn.linear_model import LogisticRegression as Theirs

    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 5))
    y = (x @ rng.normal(size=5) + rng.logistic(size=150) > 0).astype(int)
    for penalty in (0.5, 1e-6):
        own, other = LogisticRegression.fit(x, y, penalty=penalty), Theirs(C=1 / penalty, tol=1e-9, max_iter=5000).fit(x, y)
        assert own.weights == pytest.approx(other.coef_[0], abs=1e-3) and own.offset == pytest.approx(other.intercept_[0], abs=1e-3)
        assert own.probability(x) == pytest.approx(other.predict_proba(x)[:, 1], abs=1e-3)


def test_the_generative_model_learns_from_fewer_and_the_discriminative_one_ends_lower():
    """Ng and Jordan 2002, on data where pixels come in equal pairs, so that naive Bayes counts each twice; mean error of 20 draws."""
    rng = np.random.default_rng(0)

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        y = rng.integers(0, 2, n)
        single = (rng.random((n, 12)) < np.where(y[:, None] == 1, 0.62, 0.38)).astype(int)
        strong = (rng.random((n, 1)) < np.where(y[:, None] == 1, 0.75, 0.25)).astype(int)
        return np.concatenate([single, strong.repeat(9, 1)], 1), y

    errors = {}
    test, truth = draw(4000)
    for n in (16, 2000):
        both = []
        for _ in range(20 if n == 16 else 3):
            x, y = draw(n)
            if len(set(y.tolist())) < 2:
                continue
            generative = BernoulliNaiveBayes.fit(x, y, 2).classify(test)[:, 1]
            discriminative = LogisticRegression.fit(x, y, penalty=1e-3).probability(test)
            both.append([((p > 0.5) != truth).mean() for p in (generative, discriminative)])
        errors[n] = np.mean(both, 0)
    assert errors[16][0] < errors[16][1]
    assert errors[2000][1] < errors[2000][0] - 0.01


def test_naive_bayes_is_a_floor():
    from sklearn.datasets import load_digits

    data = load_digits()
    x = (data.data / 16).astype(np.float32)
    floor = floors(x[:900], data.target[:900], x[900:1300], 10)["naive_bayes"]
    assert floor.probabilities.sum(1) == pytest.approx(1)
    assert (floor.probabilities.argmax(1) == data.target[900:1300]).mean() > 0.75


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Beta(0, 1), "must be above 0"),
        (lambda: Beta(1, 1).mode, "no single mode"),
        (lambda: estimate(np.array([0]), 0, how="mle"), "at least one sample"),
        (lambda: estimate(np.array([0]), 1, how="best"), "mle, map or mean"),
        (lambda: ProductOfBernoullis(np.array([1.5])), "one probability a variable"),
        (lambda: ProductOfBernoullis.fit(np.array([[0.5]])), "of 0 and 1"),
        (lambda: ProductOfBernoullis(np.array([0.5])).decode(np.array([2])), "0, 1 or -1"),
        (lambda: Table(np.array([0.5, 0.6])), "sum to 1"),
        (lambda: Table.fit(np.zeros((3, 40), int)), "2\\^40 numbers"),
        (lambda: Table.fit(np.zeros((0, 2), int)), "needs a sample"),
        (lambda: Table(np.array([1.0, 0.0])).conditional(np.array([1])), "probability 0"),
        (lambda: BernoulliNaiveBayes.fit(np.zeros((2, 1), int), np.array([0, 2]), 2), "0..1 a sample"),
        (lambda: BernoulliNaiveBayes.fit(np.zeros((2, 1), int), np.array([0, 1]), 2, how="mle").classify(np.array([[1]])), "under every class"),
        (lambda: BernoulliNaiveBayes.fit(np.zeros((2, 1), int), np.array([0, 1]), 2, how="mle").as_logistic(), "no finite weight"),
        (lambda: LogisticRegression.fit(np.array([[0.0], [1.0]]), np.array([0, 1])), "divided by a plane"),
        (lambda: LogisticRegression.fit(np.array([[0.0], [1.0]]), np.array([1, 1])), "both seen"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
