"""What a trick does against learning by heart and for rare classes (system A8); each claim is one function, run alone by its name.

Command     python recipes/regularisation.py [name ...]
Data        scikit-learn's 8x8 digits, 60 to 1,197 to learn from and 600 to watch, and 200 digits of MNIST for augmentation; small nets
Expected    see the lines held: ratios and differences of runs that differ in the trick alone, the mean of one to two seeds
Measured    augmentation 0.77; dropout 2.7 and 0.86; L1 0.41, L2 0.36, of one layer 0.35 and 1.13; label smoothing 0.889 and 0.993; early stopping 0.30
            and 0.82; stochastic weight averaging 0.76; class weights 0.58, balanced sampling 0.53; random search 0.09; one to nine minutes each
            with one thread beside twenty other programs
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from claims import hold
from tensors import PLACE, InMemory, Pictures, digits, few, last, main_of, pictures, ratio, run, wrong

from saccade.core import LabelSpace
from saccade.data.augment import Policy
from saccade.models.table import build
from saccade.training.engine import Engine
from saccade.training.settings import Settings

# -- against learning by heart ----------------------------------------------------------------------------------------


def augmented(name: str, *, policy: Policy | None, balanced: bool = False, rare: bool = False, weights: Any = None, seed: int = 0, epochs: int = 25) -> Any:
    """A small convolutional net trained through the loader, and the pictures that it never saw."""
    from saccade.core import Feeds
    from saccade.data.loader import Loader
    from saccade.data.preprocess import Preprocess
    from saccade.tasks.classify import example
    from saccade.training.fit import fit
    from saccade.training.run_folder import RunFolder

    every = example(1797)
    order = np.random.default_rng(0).permutation(1797)
    chosen = order[:1197] if rare else order[:200]
    if rare:  # 8 and 9 are twenty times as rare as the others
        uncommon = [i for i in chosen if every.records[i].targets["label"].index >= 8]
        chosen = [i for i in chosen if every.records[i].targets["label"].index < 8] + uncommon[::20]
    data = every.subset([int(i) for i in chosen])
    torch.manual_seed(seed)
    arguments = {"widths": [8, 16], "blocks": [1, 1], "class_weights": weights}
    net = build("classify", "small", digits()[0].inputs, every.spaces["label"], arguments)
    loader = Loader(data, Preprocess((8, 8), 1), batch_size=32, policy=policy, shuffle=True, balanced=balanced, seed=seed, threads=0)
    path = PLACE[0] / f"{name}_{seed}_{len(list(PLACE[0].iterdir()))}"
    path.mkdir()
    settings = Settings(epochs=epochs, optimiser="adamw", rate=5e-3, keep="last", seed=seed, save_every_s=1e9)
    fit(net, Feeds(loader), settings=settings, run=RunFolder(path), engine=Engine("cpu"), monitor="train_loss")
    return net


def unseen() -> Pictures:
    """The 600 digits that `augmented` never trains on."""
    from sklearn.datasets import load_digits

    found, order = load_digits(), np.random.default_rng(0).permutation(1797)[1197:]
    pixels = (found.images * 255 / 16).astype(np.uint8)[order, None] / 255
    return Pictures(torch.tensor(pixels, dtype=torch.float32), torch.tensor(found.target[order]), LabelSpace(tuple("0123456789")))


def augmentation() -> list[bool]:
    """Digits that are shifted, turned and scaled at random are more digits than there are; 200 of MNIST at 16x16 pixels, 1,500 others as the test."""
    from claims import data

    from saccade.core import Feeds
    from saccade.data.loader import Loader
    from saccade.data.open import open_dataset
    from saccade.data.preprocess import Preprocess
    from saccade.training.fit import fit
    from saccade.training.run_folder import RunFolder

    every = open_dataset(str(data("classification/mnist_idx")))
    chosen = np.random.default_rng(1).permutation(len(every))[:200].tolist()
    test, few_digits, errors = pictures(data("classification/mnist_idx"), 1500, 16, seed=2), every.subset(chosen), []
    for policy in (Policy(rotate_deg=12, scale=0.1, translate=0.08, shear_deg=6), None):
        torch.manual_seed(0)
        net = build("classify", "small", test.inputs, test.space, {"widths": [8, 16], "blocks": [1, 1]})
        path = PLACE[0] / f"augment_{policy is not None}"
        path.mkdir()
        loader = Loader(few_digits, Preprocess((16, 16), 1), batch_size=32, policy=policy, shuffle=True, threads=0)
        settings = Settings(epochs=40, optimiser="adamw", rate=5e-3, keep="last", save_every_s=1e9)
        fit(net, Feeds(loader), settings=settings, run=RunFolder(path), engine=Engine("cpu"), monitor="train_loss")
        errors.append(wrong(net, test))
    return [ratio("augmentation: error after learning from 200 digits over that without", errors[0], errors[1], 0, 0.9)]


def dropout() -> list[bool]:
    """A fifth of the labels are wrong: a net learns them by heart, with half of its units out at random less so. (With clean labels dropout
    changed the loss of unseen digits by less than 3 % either way.)"""
    learn = few(200)
    chance = torch.Generator().manual_seed(0)
    wrongly = torch.where(torch.rand(200, generator=chance) < 0.2, torch.randint(10, (200,), generator=chance), learn.truth)
    found = {}
    for share in (0.5, 0.0):
        arguments = {"hidden": [256], "dropout": share}
        row = run("dropout", replace(learn, truth=wrongly), arguments=arguments, epochs=30, optimiser="adam", rate=4e-3)[1][-1]
        found[share] = row["train_loss"], row["val_loss"]
    return [
        ratio("dropout: training loss over that without", found[0.5][0], found[0.0][0], 1.2, 1000),
        ratio("dropout: loss of unseen digits over that without", found[0.5][1], found[0.0][1], 0, 0.95),
    ]


def penalties() -> list[bool]:
    """L1 makes weights exactly 0, L2 makes them small; a strength for one layer touches no other."""
    options = {"epochs": 30, "rate": 0.2, "arguments": {"hidden": [64]}}
    nets = {name: run("penalty", few(100), **given, **options) for name, given in (("none", {}), ("l1", {"l1": (("", 1e-2),)}), ("l2", {"l2": (("", 0.1),)}))}
    first = run("penalty", few(100), l2=(("backbone.layers.0", 0.1),), **options)[0]

    def zeros(net: Any) -> float:
        return (net.backbone.layers[0].weight == 0).float().mean().item()

    def size(net: Any, head: bool = False) -> float:
        return float((net.heads["label"].output if head else net.backbone.layers[0]).weight.norm())

    plain = nets["none"][0]
    return [
        hold("L1: share of the first layer's weights that are exactly 0", zeros(nets["l1"][0]), 0.3, 0.99),
        hold("without it", zeros(plain), 0, 0),
        ratio("L2: length of the first layer's weights", size(nets["l2"][0]), size(plain), 0, 0.6),
        ratio("L2 of the first layer alone: length of its weights", size(first), size(plain), 0, 0.6),
        ratio("and of the last layer's", size(first, True), size(plain, True), 0.95, 10),
    ]


def label_smoothing() -> list[bool]:
    """The net is told to be sure to 0.91 and not to 1: that is how sure it becomes (Szegedy et al. 2016, section 7)."""
    sure = {}
    for share in (0.1, 0.0):
        net, _ = run("smooth", arguments={"hidden": [64], "label_smoothing": share}, epochs=25, optimiser="adam", rate=5e-3)
        batch = next(InMemory(digits()[0], 1197, shuffle=False).epoch(0))
        sure[share] = torch.softmax(net.eval().outputs(batch.inputs, batch.sizes)["label"].logits, 1).amax(1).mean().item()
    return [hold("label smoothing 0.1: mean highest probability on what was learnt", sure[0.1], 0.88, 0.94), hold("without it", sure[0.0], 0.98, 1)]


def early_stopping() -> list[bool]:
    """Without any other help a net of many units learns 60 digits by heart; the epoch that was best on the others is kept."""
    options = {"arguments": {"hidden": [256, 256]}, "optimiser": "adam", "rate": 3e-3, "epochs": 60}
    rows = [run("stop", few(60), patience=patience, keep="best", **options)[1] for patience in (6, 0)]
    return [
        ratio("early stopping: epochs", len(rows[0]), len(rows[1]), 0, 0.7),
        ratio(
            "loss of unseen digits at its best epoch over that at the end of the long run", min(r["val_loss"] for r in rows[0]), rows[1][-1]["val_loss"], 0, 0.9
        ),
    ]


def weight_averaging() -> list[bool]:
    """The mean of the weights at the ends of the last epochs lies in the middle of the valley whose walls the steps go up and down."""
    options = {"model": "small", "arguments": {"widths": [8, 16], "blocks": [1, 1]}, "optimiser": "heavy_ball", "momentum": 0.9, "rate": 0.3, "epochs": 12}
    mean, end = (last("val_loss", "swa", schedule="hold", swa=swa, **options) for swa in (0.5, 0.0))
    return [ratio("stochastic weight averaging: loss of unseen digits over that of the last weights", mean, end, 0, 0.8)]


def uneven_classes() -> list[bool]:
    """8 and 9 are twenty times as rare as the others: a loss weighted by class, or drawing every class alike, finds more of them."""
    from saccade.data.sampling import balanced_weights

    test = unseen()
    rare = test[test.truth >= 8]
    counts = [120] * 8 + [6] * 2
    ways = {"none": {}, "weights": {"weights": balanced_weights(counts)}, "sampling": {"balanced": True}}
    missed = {name: np.mean([wrong(augmented("rare", policy=None, rare=True, seed=s, epochs=8, **way), rare) for s in range(2)]) for name, way in ways.items()}
    return [
        ratio("class weights: share of rare digits missed", missed["weights"], missed["none"], 0, 0.9),
        ratio("balanced sampling: share of rare digits missed", missed["sampling"], missed["none"], 0, 0.9),
    ]


def random_search() -> list[bool]:
    """Twelve draws of rate, width and dropout: the best by validation is far better than a middling one."""
    from saccade.training.tuning import Facts, Study

    place = PLACE[0] / "study"
    place.mkdir()
    study = Study.open(place, Facts(("lr=1e-4..1", "hidden=8..128", "dropout=0..0.7"), "random", 12, 6, "val_loss", True))
    while (trial := study.ask()) is not None:
        arguments = {"hidden": [trial.values["hidden"]], "dropout": trial.values["dropout"]}
        study.tell(trial.number, run("study", arguments=arguments, epochs=trial.epochs, rate=trial.values["lr"])[1][-1]["val_loss"])
    scores = sorted(t.score for t in study.trials() if t.score is not None)
    return [ratio("random search: the best of 12 over the middling one", scores[0], scores[6], 0, 0.7)]


TRICKS = [augmentation, dropout, penalties, label_smoothing, early_stopping, weight_averaging, uneven_classes, random_search]

if __name__ == "__main__":
    main_of(TRICKS)
