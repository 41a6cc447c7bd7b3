"""Models that count: the same numbers as the classic definitions, by the verb that trains everything else."""

import numpy as np
import pytest
import torch

import saccade
from saccade import bundle
from saccade.classic.bernoulli import Beta
from saccade.classic.naive_bayes import BernoulliNaiveBayes
from saccade.classic.tabular import Table
from saccade.core import Feeds, Inputs, LabelSpace
from saccade.data.loader import Loader
from saccade.data.preprocess import Preprocess
from saccade.errors import UsageError
from saccade.models.table import build
from saccade.tasks.classify import example

SPACE = LabelSpace(tuple("0123456789"))
INPUTS = Inputs(1, (8, 8), (0.3,), (0.3,))


def counted(name, **arguments):
    """A model that has counted the first 60 digits, their black and white pixels (n, 64) and their classes."""
    data = example(60)
    model = build("classify", name, INPUTS, SPACE, arguments)
    loader = Loader(data, Preprocess((8, 8), 1), batch_size=16, threads=0)
    model.estimate(Feeds(loader), None)
    truth = np.array([record.targets["label"].index for record in data.records])
    return model.eval(), np.stack([data.read(i)[:, :, 0].ravel() / 255 for i in range(60)]), truth


def answers(model, pixels):
    inputs = torch.from_numpy(pixels).float().view(-1, 1, 8, 8)
    return torch.softmax(model.outputs(inputs, torch.tensor([[8, 8]] * len(inputs)))["label"].logits, 1).detach().double().numpy()


@pytest.mark.parametrize(("a", "b", "how"), [(1.0, 1.0, "mean"), (2.0, 3.0, "map"), (0.5, 0.5, "mean")])
def test_naive_bayes_is_the_classic_one(a, b, how):
    model, pixels, truth = counted("naive_bayes", a=a, b=b, how=how)
    x = (pixels.astype(np.float32) > 0.5).astype(int)
    expected = BernoulliNaiveBayes.fit(x, truth, 10, prior=Beta(a, b), how=how).classify(x)
    assert np.allclose(answers(model, pixels), expected, atol=1e-4)


def test_maximum_likelihood_without_finite_weights_is_refused():
    with pytest.raises(UsageError, match="prior instead of mle"):
        counted("naive_bayes", how="mle")


def test_the_table_is_the_joint_distribution_of_each_class():
    model, pixels, truth = counted("table", grid=2, pseudo=0.5)
    cells = (pixels.reshape(-1, 2, 4, 2, 4).mean((2, 4)).reshape(-1, 4).astype(np.float32) > 0.5).astype(int)
    shares = (np.bincount(truth, minlength=10) + 0.5 * 16) / (60 + 0.5 * 160)
    joint = np.stack([Table.fit(cells[truth == k], pseudo=0.5).probability(cells) * shares[k] for k in range(10)], 1)
    assert np.allclose(answers(model, pixels), joint / joint.sum(1, keepdims=True), atol=1e-5)


def test_frequencies_are_the_posterior_mean_of_the_shares():
    model, pixels, truth = counted("frequencies", pseudo=2.0)
    assert np.allclose(answers(model, pixels)[0], (np.bincount(truth, minlength=10) + 2) / (60 + 20), atol=1e-6)


def test_they_are_trained_by_the_same_verb(tmp_path):
    from saccade.jobs.demo import write_digits

    data = write_digits(tmp_path / "digits")
    found = {
        name: saccade.train(data, model=name, out=tmp_path / name, floors=False, test=0.3, workers=0).metrics["accuracy"]["value"]
        for name in ("frequencies", "table", "naive_bayes")
    }
    assert found["frequencies"] < 0.2 < found["table"] < found["naive_bayes"] and found["naive_bayes"] > 0.75
    assert bundle.read(tmp_path / "naive_bayes" / "model.saccade").card.model == "naive_bayes"
