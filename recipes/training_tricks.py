"""What a trick does to the curve: inputs, first weights, steps and rates (system A8); each claim is one function, run alone by its name.

Command     python recipes/training_tricks.py [name ...]
Data        scikit-learn's 8x8 digits, 1,197 to learn from and 600 to watch; small nets, made on the spot
Expected    see the lines held: ratios and differences of runs that differ in the trick alone, the mean of two seeds
Measured    centring 0.46; whitening 0.61; first weights 0.335, 2.302, 0.74; ReLU 0.078, one sigmoid 0.41; batch norm 1.75 and 2.29; heavy ball 0.21, Nesterov
            0.21, their ratio 0.99; Adam 1.001, plain descent 4.05; Bottou's search 0.64 and 0.16; range test 0.41 and 0.05; cosine 0.40; a rate lowered 0.45;
            one to four minutes each with one thread beside twenty other programs
"""

from __future__ import annotations

from dataclasses import replace

import torch
from claims import hold
from tensors import PLACE, InMemory, digits, few, last, main_of, ratio, run, train

from saccade.data.whiten import Whitening
from saccade.models.table import build
from saccade.training.engine import Engine
from saccade.training.probes import find_rate
from saccade.training.settings import Settings
from saccade.training.step_search import search_rate

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
    return [hold("batch norm: loss after 4 epochs at a rate of 1 (chance is 2.30)", with_it, 0, 2.0), hold("without it: loss", without, 2.2, 1e9)]


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
            control.write_wish(max(PLACE[0].iterdir(), key=lambda p: p.stat().st_mtime_ns), lr=0.01)

    options = {"model": "small", "arguments": {"widths": [8, 16], "blocks": [1, 1]}, "epochs": 9, "optimiser": "heavy_ball", "momentum": 0.9, "rate": 0.3}
    Progress.end_epoch = end_epoch  # type: ignore[method-assign]
    try:
        rows = run("live", **options)[1]
    finally:
        Progress.end_epoch = original  # type: ignore[method-assign]
    before, after = min(r["train_loss"] for r in rows[3:6]), rows[-1]["train_loss"]
    return [
        ratio("rate lowered: the last loss over the best of the three epochs before", after, before, 0, 0.6),
        hold("rate of the last epoch", rows[-1]["lr"], 0.01, 0.01),
    ]


TRICKS = [centring, whitening, initialisations, activations, batch_norm, momentum, adam, step_search, rate_finder, schedules, live_rate]

if __name__ == "__main__":
    main_of(TRICKS)
