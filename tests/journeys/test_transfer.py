"""From one model to the next: --from, --freeze, --fit, --weights, add-class, on scikit-learn's digits as a user runs them."""

from pathlib import Path

import pytest
import torch

import saccade
from saccade import bundle, storage
from saccade.cli.dispatch import main
from saccade.errors import DataError, ModelError, SaccadeError, UsageError
from saccade.jobs.demo import write_digits


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    """Five folders: the digits 0 to 3 with 30 pictures each, and 4 beside them."""
    place = tmp_path_factory.mktemp("digits")
    every = write_digits(place / "all")
    for digit in range(5):
        folder = place / ("four" if digit == 4 else f"set/{digit}")
        folder.mkdir(parents=True)
        for picture in sorted((every / str(digit)).glob("*.png"))[:30]:
            (folder / picture.name).write_bytes(picture.read_bytes())
    return place


@pytest.fixture(scope="module")
def run(digits):
    """Four digits by fixed filters and a linear layer."""
    options = {"model": "filter_bank", "fit": "linear", "floors": False, "test": 0.3, "workers": 0}
    return saccade.train(digits / "set", out=digits / "run", **options)


def test_fixed_features_and_a_linear_layer_are_a_good_first_model(run):
    assert run.metrics["accuracy"]["value"] > 0.9
    plan = storage.read_json(run.path / "run.json")["plan"]
    assert plan["start"]["fit"] == "linear" and not plan["policy"]["flip"] and (run.path / "report.html").is_file()


def test_prototypes_from_another_model(run, digits):
    few = saccade.train(digits / "set", from_=run.path, fit="prototypes", out=digits / "few", floors=False, test=0.3, workers=0)
    assert few.metrics["accuracy"]["value"] > 0.85
    card = bundle.read_card(few.model)
    assert (card.model, card.inputs.size) == ("filter_bank", bundle.read_card(run.model).inputs.size)


def test_a_class_is_added_and_the_others_stay(run, digits, capsys):
    out = digits / "five.saccade"
    words = ["add-class", str(run.path), "four", str(digits / "four"), "--replay", str(digits / "set"), "--out", str(out)]
    assert main(words) == 0 and "mean loss of the old classes' recall" in capsys.readouterr().out
    old, new = bundle.read(run.model), bundle.read(out)
    assert new.card.spaces["label"].names == (*old.card.spaces["label"].names, "four")
    for name, tensor in old.model.state_dict().items():
        grown = new.model.state_dict()[name]
        assert torch.equal(grown[: len(tensor)] if name.startswith("heads.label.output") else grown, tensor)
    again = saccade.add_class(run.model, "four", digits / "four", replay=str(digits / "set"), out=digits / "again.saccade")
    assert again.forgetting is not None and again.forgetting <= 0.1 and again.classes["four"]["after"] > 0.8


def test_without_a_replay_it_says_what_is_not_known(run, digits):
    found = saccade.add_class(run.model, "four", digits / "four", out=digits / "blind.saccade")
    assert not found.measured and found.forgetting is None and "not known" in found.text()


def test_what_cannot_be_added_is_refused(run, digits, tmp_path):
    for name, images, code in (("2", digits / "four", "USE-VALUE"), ("new", next((digits / "four").iterdir()), "DATA-SMALL")):
        with pytest.raises(SaccadeError) as caught:
            saccade.add_class(run.model, name, images, out=tmp_path / "x.saccade")
        assert caught.value.code == code and not (tmp_path / "x.saccade").exists()
    (tmp_path / "there.saccade").write_bytes(b"mine")
    with pytest.raises(UsageError) as refused:
        saccade.add_class(run.model, "new", digits / "four", out=tmp_path / "there.saccade")
    assert refused.value.code == "RUN-EXISTS" and (tmp_path / "there.saccade").read_bytes() == b"mine"


def test_frozen_stages_stay_through_a_training(digits):
    options = {"epochs": "1", "floors": False, "selftest": False, "workers": 0}
    first = saccade.train(digits / "set", model="resnet20", out=digits / "first", **options)
    second = saccade.train(digits / "set", from_=first.model, freeze="2", layer_decay=0.5, out=digits / "second", **options)
    a, b = (bundle.read(one.model).model.state_dict() for one in (first, second))
    plan = storage.read_json(second.path / "run.json")["plan"]
    stay = [k for k in a if k.startswith(tuple(f"{part}." for part in plan["start"]["freeze"]))]
    assert len(plan["start"]["freeze"]) == 2 and stay and all(torch.equal(a[k], b[k]) for k in stay)
    assert not all(torch.equal(a[k], b[k]) for k in a)
    assert 'from = "' in (second.path / "config.toml").read_text()


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"fit": "linear"}, UsageError),  # of chance
        ({"freeze": "backbone"}, UsageError),
        ({"weights": "imagenet", "from_": "run"}, UsageError),
        ({"weights": "imagenot", "model": "resnet18"}, UsageError),
        ({"weights": "imagenet", "model": "lenet5"}, UsageError),
        ({"model": "resnet20", "from_": "run"}, ModelError),
        ({"from_": "set"}, ModelError),
        ({"model": "filter_bank", "fit": "linear", "augment": "strong"}, UsageError),
    ],
)
def test_a_beginning_that_cannot_be_is_refused(options, kind, run, digits, tmp_path):
    given = {name: digits / value if name == "from_" else value for name, value in options.items()}
    with pytest.raises((kind, DataError)):
        saccade.train(digits / "set", out=tmp_path / "run", epochs="1", floors=False, workers=0, **given)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"model": "naive_bayes", "epochs": "3"}, "naive_bayes learns without epochs and gradient steps, and --epochs says nothing to it"),
        ({"model": "filter_bank", "fit": "linear", "epochs": "3", "lr": "0.1"}, "--fit linear makes no gradient steps, and --epochs, --lr say nothing"),
        ({"model": "filter_bank", "fit": "prototypes", "schedule": "cosine"}, "--fit prototypes makes no gradient steps, and --schedule says"),
    ],
)
def test_steps_are_refused_by_what_makes_none(options, text, digits, tmp_path):
    with pytest.raises(UsageError) as refused:
        saccade.train(digits / "set", out=tmp_path / "run", floors=False, test=0.3, size="16", workers=0, **options)
    assert refused.value.code == "USE-OPTION" and text in str(refused.value) and "out" in refused.value.fix
    assert storage.read_json(tmp_path / "run" / "run.json")["status"] == "failed"


def test_several_models_and_views_answer_as_one(run, digits, tmp_path, capsys):
    other = saccade.train(digits / "set", model="naive_bayes", out=digits / "other", floors=False, test=0.3, size="16", workers=0)
    alone = saccade.evaluate(run.path, digits / "set", split="all").metrics["accuracy"]["value"]
    both = saccade.evaluate(run.path, digits / "set", split="all", with_=(other.path,), combine="geometric").metrics["accuracy"]["value"]
    assert both >= alone - 0.05
    words = ["predict", str(run.path), str(digits / "four"), "--with", str(other.path), "--views", "flip", "--out", str(tmp_path / "a.jsonl")]
    assert main(words) == 0 and "30 of 30 answered" in capsys.readouterr().out
    assert len(storage.read_json(tmp_path / "a.plan.json")["model"]) > 100  # both members
    with pytest.raises(UsageError):
        saccade.predict(run.path, digits / "four", views="sideways", out=tmp_path / "b.jsonl")
