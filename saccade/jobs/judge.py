"""Who judges the samples of a run: a LeNet-5 trained on the same pictures where they have classes, else the one that comes with the package."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import torch

from saccade import bundle
from saccade.bundle import Card
from saccade.core import Feeds, Inputs, LabelSpace
from saccade.data.loader import Loader
from saccade.data.preprocess import Preprocess
from saccade.inference.judge import Judge, glyphs
from saccade.jobs.prepare import Prepared
from saccade.models.table import build
from saccade.training.engine import Engine
from saccade.training.fit import fit
from saccade.training.run_folder import RunFolder
from saccade.training.settings import Settings

if TYPE_CHECKING:
    from saccade.jobs.plan import Plan

FILE = "judge.saccade"
LOOKED_AT = 60_000  # pictures, over all epochs, that a judge learns from
LONGEST = 20  # epochs at most
FEWEST = 20  # labelled pictures without which none is trained


def judge_of(plan: Plan, prepared: Prepared, run: RunFolder) -> Judge:
    """The judge of a run: that of its folder, trained first where there is none and the pictures have two classes or more; else the package's own.

    It is the same network for every generative model that learns from the same training pictures at the same size: its seed, its steps and its order
    of pictures do not depend on the model or the run's seed (same number of threads).
    """
    path = run.path / FILE
    if path.is_file():
        judge = Judge.read(path)
        run.update(judge=judge.told())
        return judge
    train = prepared.part("train")
    known = [i for i, record in enumerate(train.records) if getattr(record.targets.get("label"), "known", False)]
    space = prepared.dataset.spaces.get("label", LabelSpace(()))
    if len(space) < 2 or len(known) < FEWEST:
        judge = glyphs()
    else:
        run.event("judge", images=len(known), classes=len(space))
        train_judge(plan, replace(prepared, dataset=train.subset(known)), space, run)
        judge = Judge.read(path)
    run.update(judge=judge.told())
    return judge


def train_judge(plan: Plan, prepared: Prepared, space: LabelSpace, run: RunFolder) -> None:
    """Trains a LeNet-5 on all pictures of `prepared.dataset` and writes it; its training is in the run's folder `judge`."""
    size, train = ((28, 28) if plan.inputs.size == (28, 28) else (32, 32)), prepared.dataset
    inputs = Inputs(plan.inputs.channels, size, plan.inputs.mean, plan.inputs.std)
    preprocess = replace(Preprocess.from_dict(plan.preprocess), size=size)
    epochs = max(2, min(LONGEST, round(LOOKED_AT / len(train))))
    settings = Settings(epochs=epochs, rate=2e-3, weight_decay=0.05, schedule="cosine", warmup=0.05, ema=0.99, keep="last", seed=0)
    folder = run.path / "judge"
    folder.mkdir(exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = build("classify", "lenet5", inputs, space, {})
        loader = Loader(train, preprocess, batch_size=min(64, len(train)), shuffle=True, seed=0, threads=plan.workers, cache_bytes=plan.cache_bytes)
        engine = Engine(plan.device, "fp32")
        fit(model, Feeds(loader), settings=settings, run=RunFolder(folder), engine=engine, monitor="train_loss")
    model.to("cpu").eval()
    card = Card(
        task="classify",
        model="lenet5",
        arguments={},
        inputs=inputs,
        spaces={"label": space},
        preprocess=preprocess.to_dict(),
        fingerprint=train.fingerprint,
        extra={"settings": asdict(settings), "data": prepared.dataset.name},
    )
    bundle.write(run.path / FILE, model, card)
