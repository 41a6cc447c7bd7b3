"""Every training trick changes the curve as it is said to (system A8); each claim below is one function, run alone by its name.

Command     python recipes/training_tricks.py [name ...]
Data        scikit-learn's 8x8 digits, 1,197 to learn from and 600 to watch, unless a function says otherwise; small nets, made on the spot
Expected    see the lines held; each is a ratio or a difference of two runs that differ in the trick alone, the mean of several seeds
Measured    not yet
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from claims import finish, folder, hold
from tensors import InMemory, Pictures, pictures, train, wrong

from saccade.core import LabelSpace
from saccade.data.augment import Policy
from saccade.data.whiten import Whitening
from saccade.models.table import build
from saccade.training.engine import Engine
from saccade.training.initialisations import initialise
from saccade.training.probes import find_rate
from saccade.training.settings import Settings
from saccade.training.step_search import search_rate

PLACE: list[Path] = []


@cache
def digits() -> tuple[Pictures, Pictures]:
    """To learn from, and to watch."""
    from sklearn.datasets import load_digits

    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.target))
    every = Pictures(torch.tensor(found.images[:, None] / 16, dtype=torch.float32), torch.tensor(found.target), LabelSpace(tuple("0123456789")))
    return every[order[:1197]], every[order[1197:]]


def few(n: int = 200) -> Pictures:
    """The first n to learn from."""
    return digits()[0][slice(n)]


def run(
    name: str,
    data: Pictures | None = None,
    *,
    seed: int = 0,
    model: str = "mlp",
    arguments: dict[str, Any] | None = None,
    init: str = "network",
    shift: float | None = None,
    **given: Any,
) -> tuple[Any, list[dict[str, Any]]]:
    """A net trained on digits, watched on the others; its rows. shift: the inputs are moved by so many deviations instead of centred."""
    data = digits()[0] if data is None else data
    inputs = data.inputs
    if shift is not None:
        inputs = inputs._replace(mean=(inputs.mean[0] - shift * inputs.std[0],))
    torch.manual_seed(seed)
    net = build("classify", model, inputs, data.space, arguments or {"hidden": [64]})
    initialise(net, init, seed=seed, batch=next(InMemory(data, 256).epoch(0)))
    folder = PLACE[0] / f"{name}_{seed}_{len(list(PLACE[0].iterdir()))}"
    return net, train(net, data, folder, val=digits()[1], seed=seed, **{"optimiser": "sgd", "momentum": 0.0, "rate": 0.05, "schedule": "constant", **given})


def last(key: str, *args: Any, seeds: int = 2, **given: Any) -> float:
    """The mean over seeds of the last epoch's value."""
    values = [run(*args, seed=seed, **given)[1][-1][key] for seed in range(seeds)]
    return float(np.mean([10.0 if v is None or not np.isfinite(v) else v for v in values]))


def ratio(what: str, with_it: float, without: float, low: float, high: float) -> bool:
    print(f"    {with_it:.4g} with, {without:.4g} without", flush=True)
    return hold(what, with_it / without, low, high)


# -- inputs and weights -----------------------------------------------------------------------------------------------


def centring() -> list[bool]:
    """Inputs whose mean is far from 0 slow gradient descent down (LeCun et al. 1998, section 4.3)."""
    options = {"arguments": {"hidden": [64], "activation": "tanh"}, "epochs": 5}
    plain, shifted = (last("train_loss", "centring", shift=shift, **options) for shift in (None, 4.0))
    return [ratio("centring: loss after 5 epochs over that of inputs 4 deviations off", plain, shifted, 0, 0.8)]


def whitening() -> list[bool]:
    """ZCA takes the correlations out, which makes the valley round: fewer steps, each with the rate that suits it."""
    both = []
    for white in (True, False):
        learn, _ = digits()
        if white:
            whitened = Whitening.fit(learn.images.permute(0, 2, 3, 1).numpy(), epsilon=1e-2).apply(learn.images.permute(0, 2, 3, 1).numpy())
            learn = replace(learn, images=torch.from_numpy(whitened).permute(0, 3, 1, 2).contiguous())
        torch.manual_seed(0)
        net = build("classify", "mlp", learn.inputs, learn.space, {"hidden": [64], "activation": "linear"})
        settings = Settings(epochs=1, rate=0.05, optimiser="sgd", momentum=0.0, weight_decay=0.0)
        rate = search_rate(net, InMemory(learn, 64), settings=settings, engine=Engine("cpu")).rate
        both.append(last("train_loss", "whitening", learn, arguments={"hidden": [64], "activation": "linear"}, epochs=2, rate=rate))
    return [ratio("whitening: loss of a linear net after 2 epochs over that of scaled inputs, each at Bottou's rate", *both, 0, 0.9)]


def initialisations() -> list[bool]:
    """A net of nine layers learns from weights that keep the variance, and stands still from weights that are too small, or all alike."""
    options = {"arguments": {"hidden": [64] * 8}, "epochs": 6, "rate": 0.03}
    found = {name: last("train_loss", "init", init=name, **options) for name in ("he_normal", "orthogonal", "lsuv", "gaussian", "zeros")}
    print("    " + ", ".join(f"{name} {loss:.3f}" for name, loss in found.items()), flush=True)
    tanh = {"arguments": {"hidden": [64] * 8, "activation": "tanh"}, "epochs": 2, "rate": 0.02}
    xavier, common = (last("train_loss", "init", init=name, **tanh) for name in ("xavier_uniform", "fan_in_uniform"))
    return [
        hold("He's and kin: the worst loss after 6 epochs", max(found["he_normal"], found["orthogonal"], found["lsuv"]), 0, 0.6),
        hold("weights of 0.01, and of 0: the better loss (log 10 is 2.303)", min(found["gaussian"], found["zeros"]), 2.25, 2.35),
        ratio("Glorot's weights of a tanh net: loss after 2 epochs over that of the common heuristic", xavier, common, 0, 0.8),
    ]


def activations() -> list[bool]:
    """Sigmoids in every layer let nothing through; ReLU does, and so does a sigmoid in the last layer alone."""
    options = {"epochs": 6, "rate": 0.1}
    relu, sigmoid = (last("train_loss", "kind", arguments={"hidden": [64] * 5, "activation": kind}, **options) for kind in ("relu", "sigmoid"))
    mixed = last("train_loss", "kind", arguments={"hidden": [64] * 5, "activation": [*["relu"] * 4, "sigmoid"]}, **options)
    return [
        ratio("ReLU: loss over that of five layers of sigmoids", relu, sigmoid, 0, 0.3),
        ratio("a sigmoid in the last layer alone, likewise", mixed, sigmoid, 0, 0.6),
    ]


def batch_norm() -> list[bool]:
    """With batch norm a net learns at a rate that breaks the one without (Ioffe and Szegedy 2015, section 4.2.1)."""
    arguments = {"widths": [8, 16], "blocks": [1, 1]}
    options = {"model": "small", "epochs": 4, "rate": 1.0}
    with_it, without = (last("train_loss", "norm", arguments={**arguments, "norm": norm}, **options) for norm in ("batch", "none"))
    return [hold("batch norm: loss after 4 epochs at a rate of 1", with_it, 0, 1.2), hold("without it: loss", without, 2.0, 1e9)]


# -- steps ------------------------------------------------------------------------------------------------------------


def momentum() -> list[bool]:
    """Heavy ball and Nesterov go ten times as far at the same rate while the valley is straight; both end lower."""
    plain, heavy, nesterov = (
        last("train_loss", "momentum", epochs=4, rate=0.01, optimiser=name, momentum=0.0 if name == "sgd" else 0.9)
        for name in ("sgd", "heavy_ball", "nesterov")
    )
    return [
        ratio("heavy ball: loss after 4 epochs over that of plain descent", heavy, plain, 0, 0.4),
        ratio("Nesterov: likewise", nesterov, plain, 0, 0.4),
        hold("Nesterov over heavy ball", nesterov / heavy, 0.5, 1.05),
    ]


def adam() -> list[bool]:
    """A loss that is a thousand times smaller is the same to Adam (Kingma and Ba 2015, section 2.1); plain descent then hardly moves."""
    changes = {}
    for name, rate in (("adam", 1e-3), ("sgd", 0.05)):
        left = {}
        for scale in (1.0, 1e-3):
            torch.manual_seed(0)
            net = build("classify", "mlp", digits()[0].inputs, digits()[0].space, {"hidden": [64]})
            net.weights["label"] = scale
            path = PLACE[0] / f"{name}_{scale}"
            left[scale] = train(net, digits()[0], path, optimiser=name, momentum=0.0, rate=rate, schedule="constant", epochs=4)[-1]["train_loss"] / scale
        print(f"    {name}: loss {left[1.0]:.4f}, and {left[1e-3]:.4f} where it is scaled", flush=True)
        changes[name] = left[1e-3] / left[1.0]
    return [
        hold("Adam: loss of the scaled run, scaled back, over that of the other", changes["adam"], 0.95, 1.05),
        hold("plain descent: likewise", changes["sgd"], 1.5, 1000),
    ]


def step_search() -> list[bool]:
    """Bottou's rate, found on 300 images, is one that suits all of them: eight times more or less ends higher."""
    torch.manual_seed(0)
    net = build("classify", "mlp", few().inputs, few().space, {"hidden": [64]})
    settings = Settings(epochs=1, rate=1e-3, optimiser="sgd", momentum=0.0, weight_decay=0.0)
    rate = search_rate(net, InMemory(digits()[0], 64), settings=settings, engine=Engine("cpu"), images=300).rate
    own, less, more = (last("train_loss", "search", epochs=2, rate=factor * rate) for factor in (1, 1 / 8, 8))
    print(f"    rate {rate:.3g}: {own:.3f}; an eighth {less:.3f}; eight times {more:.3f}", flush=True)
    return [
        hold("Bottou's search: loss after 2 epochs over that of an eighth of the rate", own / less, 0, 0.9),
        hold("over that of eight times", own / more, 0, 0.9),
    ]


def rate_finder() -> list[bool]:
    """The range test finds a rate that is neither ten times too low nor ten times too high."""
    torch.manual_seed(0)
    net = build("classify", "mlp", few().inputs, few().space, {"hidden": [64]})
    rate = find_rate(net, InMemory(digits()[0], 64), settings=Settings(epochs=1, weight_decay=0.0), engine=Engine("cpu")).rate
    own, less, more = (last("train_loss", "finder", epochs=4, optimiser="adamw", rate=factor * rate) for factor in (1, 1 / 30, 30))
    print(f"    rate {rate:.3g}: {own:.3f}; a thirtieth {less:.3f}; thirty times {more:.3f}", flush=True)
    return [
        hold("range test: loss after 4 epochs over that of a thirtieth of the rate", own / less, 0, 0.7),
        hold("over that of thirty times", own / more, 0, 0.7),
    ]


def schedules() -> list[bool]:
    """A rate that falls to nothing ends below one that stays: what is left is the noise of the steps."""
    options = {"model": "small", "arguments": {"widths": [8, 16], "blocks": [1, 1]}, "epochs": 8, "optimiser": "heavy_ball", "momentum": 0.9, "rate": 0.3}
    falling, staying = (last("train_loss", "schedule", schedule=name, **options) for name in ("cosine", "constant"))
    return [ratio("cosine: final loss over that of a constant rate", falling, staying, 0, 0.5)]


def live_rate() -> list[bool]:
    """The rate of a run that is under way is lowered (control.json at the end of epoch 6): the loss falls at once, and the event says when."""
    from saccade.training import control
    from saccade.training.progress import Progress

    original = Progress.end_epoch

    def end_epoch(self: Progress) -> None:
        original(self)
        if self.epoch == 6:
            control.write_wish(max(PLACE[0].iterdir(), key=lambda p: p.stat().st_mtime_ns), lr=0.02)

    options = {"model": "small", "arguments": {"widths": [8, 16], "blocks": [1, 1]}, "epochs": 9, "optimiser": "heavy_ball", "momentum": 0.9, "rate": 0.6}
    Progress.end_epoch = end_epoch  # type: ignore[method-assign]
    try:
        rows = run("live", **options)[1]
    finally:
        Progress.end_epoch = original  # type: ignore[method-assign]
    before, after = min(r["train_loss"] for r in rows[3:6]), rows[-1]["train_loss"]
    return [
        ratio("rate lowered: the last loss over the best of the three epochs before", after, before, 0, 0.6),
        hold("rate of the last epoch", rows[-1]["lr"], 0.02, 0.02),
    ]


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
    """Half of the units out at random: the training loss is higher, the loss of unseen digits lower."""
    options = {"epochs": 80, "optimiser": "adam", "rate": 4e-3}
    found = {}
    for share in (0.5, 0.0):
        runs = [run("dropout", few(60), seed=s, arguments={"hidden": [256], "dropout": share}, **options)[1][-1] for s in range(2)]
        found[share] = [float(np.mean([r[key] for r in runs])) for key in ("train_loss", "val_loss")]
    return [
        ratio("dropout: training loss over that without", found[0.5][0], found[0.0][0], 1.2, 1000),
        ratio("dropout: loss of unseen digits over that without", found[0.5][1], found[0.0][1], 0, 0.98),
    ]


def penalties() -> list[bool]:
    """L1 makes weights exactly 0, L2 makes them small and helps on unseen digits; a strength for one layer touches no other."""
    options = {"epochs": 30, "rate": 0.2, "arguments": {"hidden": [64]}}
    nets = {name: run("penalty", few(100), **given, **options) for name, given in (("none", {}), ("l1", {"l1": (("", 1e-3),)}), ("l2", {"l2": (("", 2e-2),)}))}
    first = run("penalty", few(100), l2=(("backbone.layers.0", 2e-2),), **options)[0]

    def zeros(net: Any) -> float:
        return (net.backbone.layers[0].weight == 0).float().mean().item()

    def size(net: Any, head: bool = False) -> float:
        return float((net.heads["label"].output if head else net.backbone.layers[0]).weight.norm())

    plain = nets["none"][0]
    return [
        hold("L1: share of the first layer's weights that are exactly 0", zeros(nets["l1"][0]), 0.3, 0.99),
        hold("without it", zeros(plain), 0, 0),
        ratio("L2: length of the first layer's weights", size(nets["l2"][0]), size(plain), 0, 0.6),
        ratio("L2: loss of unseen digits", nets["l2"][1][-1]["val_loss"], nets["none"][1][-1]["val_loss"], 0, 0.99),
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


TRICKS = [
    *(centring, whitening, initialisations, activations, batch_norm, momentum, adam, step_search, rate_finder, schedules, live_rate),
    *(augmentation, dropout, penalties, label_smoothing, early_stopping, weight_averaging, uneven_classes, random_search),
]


def main() -> None:
    torch.set_num_threads(1)
    PLACE.append(folder())
    held = []
    for trick in TRICKS:
        if not sys.argv[1:] or trick.__name__ in sys.argv[1:]:
            began = time.monotonic()
            print(f"{trick.__name__}: {(trick.__doc__ or '').splitlines()[0]}", flush=True)
            held += trick()
            print(f"    {time.monotonic() - began:.0f} s", flush=True)
    finish(*held)


if __name__ == "__main__":
    main()
