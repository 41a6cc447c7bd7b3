"""What is tried before a training: can the network learn at all, at which rate, how fast is it, and how many epochs does that allow?"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import torch

from saccade.core import Batch, Feeds, System
from saccade.data.loader import Loader
from saccade.data.preprocess import Preprocess
from saccade.jobs import finish as finishing
from saccade.jobs.defaults import enough_epochs
from saccade.jobs.options import TrainOptions, seconds
from saccade.jobs.plan import Plan
from saccade.jobs.prepare import Prepared
from saccade.jobs.steps import learns_by_steps
from saccade.tasks import find_task
from saccade.training.engine import Engine, set_threads
from saccade.training.probes import PARTS, Speed, epochs_in, find_rate, measure_speed, overfits, part_in
from saccade.training.recipe import is_brief
from saccade.training.run_folder import RunFolder
from saccade.training.step_search import search_rate

DEFAULT_BUDGET = "10m"
SELFTEST_IMAGES = 8
SELFTEST_SHARE = 0.04  # of a budget
FLOOR_PIXEL_S = 4e-6  # of a pixel's superpixel and its features
PROBE_S = 4.0  # of steps that are timed, at most a fortieth of a budget


def shortened(plan: Plan, options: TrainOptions, prepared: Prepared) -> bool:
    """Whether the budget allows so few passes that the task's brief recipe serves better."""
    if options.epochs is not None or options.lr in ("find", "search") or prepared.task.recipe(plan.model).brief is None:
        return False
    n = len(Preprocess.from_dict(plan.preprocess).parts(prepared.part("train")))
    return is_brief(plan.settings.epochs, plan.settings.epochs * n // plan.batch)


def with_rate(plan: Plan, options: TrainOptions, model: System, feeds: Feeds, run: RunFolder, engine: Engine) -> Plan:
    """The plan with the learning rate of the range test, or of Bottou's search, where it was asked for."""
    if options.lr not in ("find", "search"):
        return plan
    find, why = (find_rate, "the range test") if options.lr == "find" else (search_rate, "Bottou's search")
    curve = find(model, feeds.train, settings=plan.settings, engine=engine)
    lines = ["rate,loss", *(f"{r:.6g},{v:.6g}" for r, v in zip(curve.rates, curve.losses, strict=True))]
    (run.path / "lr_finder.csv").write_text("\n".join(lines) + "\n")
    run.event("rate", rate=curve.rate, by=why)
    return replace(plan, settings=replace(plan.settings, rate=curve.rate), origins={**plan.origins, "lr": f"auto: {why}, see lr_finder.csv"})


def allowed_s(options: TrainOptions) -> float:
    """Seconds for the whole command; infinite where the user says how many epochs."""
    return math.inf if options.epochs is not None else seconds(options.budget or DEFAULT_BUDGET)


def selftest(model: System, plan: Plan, prepared: Prepared, run: RunFolder, engine: Engine, *, seconds: float = math.inf) -> None:
    """Can a copy of the network fit eight images? An alert when it cannot. Not asked of networks that begin with their input as the answer, and whose
    loss is of what noise or a loss of pixels has left unknown."""
    if not prepared.task.needs_labels:
        return
    batch = few_images(plan, prepared)
    found = overfits(model, batch, settings=plan.settings, engine=engine, seconds=seconds)
    run.event("selftest", **found._asdict())
    if found.passed is False:
        run.alert("RUN-SELFTEST", f"the loss went from {found.first:.3g} to {found.last:.3g} in {found.steps} steps")


def few_images(plan: Plan, prepared: Prepared) -> Batch:
    """Eight training images with a truth, of as many classes as there are."""
    preprocess, task = Preprocess.from_dict(plan.preprocess), prepared.task
    train = preprocess.parts(prepared.part("train"))
    chosen: list[int] = []
    seen: dict[Any, list[int]] = {}
    for place, record in enumerate(train.records):
        target = record.targets.get(task.head)
        if not task.needs_labels or (target is not None and getattr(target, "known", True)):
            seen.setdefault(getattr(target, "index", None), []).append(place)
    while len(chosen) < SELFTEST_IMAGES and any(seen.values()):
        for places in seen.values():
            if places and len(chosen) < SELFTEST_IMAGES:
                chosen.append(places.pop(0))
    degrade = task.degrading(plan.model, plan.arguments)
    loader = Loader(train.subset(chosen), preprocess, batch_size=len(chosen), degrade=degrade, threads=0)
    return next(iter(loader.epoch(0)))


def with_epochs(plan: Plan, options: TrainOptions, prepared: Prepared, model: System, feeds: Feeds, run: RunFolder, engine: Engine, began: float) -> Plan:
    """The plan with its epochs: the user's, or what the budget allows at the speed measured, but never more than help."""
    preprocess = Preprocess.from_dict(plan.preprocess)
    n, val, test = (len(preprocess.parts(prepared.part(name))) for name in ("train", "val", finishing.evaluated_part(prepared)))
    if not learns_by_steps(model, plan.start.get("fit", "loop")):
        return replace(plan, origins={**plan.origins, "epochs": "auto: it learns without epochs"})
    if options.epochs is not None:
        return replace(plan, settings=replace(plan.settings, epochs=int(options.epochs)), origins={**plan.origins, "epochs": "user"})
    budget = options.budget or DEFAULT_BUDGET
    speed = measured(model, plan, options, feeds, run, engine)
    after = 5 + floors_time(plan, options, n, n + test) + 2 * (speed.first_s - speed.later_s + speed.validate_s) * (test + val)
    after += finishing.REFINE_SECONDS if finishing.tunable(model) is not None else 0.0
    left = seconds(budget) - (time.monotonic() - began) - after
    most = round(enough_epochs(n) * prepared.task.recipe(plan.model).epochs * (2 if options.budget else 1))  # who grants the time may use it
    fits = epochs_in(left, speed, train_images=n, val_images=val)
    run.event("speed", images_per_s=round(1 / speed.later_s, 1), budget=budget, epochs=fits, most=most)
    why = f"auto: {1 / speed.later_s:.0f} images/s in a budget of {budget}" if fits < most else f"auto: enough for {n} {preprocess.kind}"
    plan = replace(plan, settings=replace(plan.settings, epochs=min(fits, most)), origins={**plan.origins, "epochs": why})
    if fits > 1 or left > n * speed.first_s:
        return plan
    part = part_in(left, speed, batch=plan.batch, val_images=val)
    run.alert("RUN-BUDGET", f"one epoch takes {n * speed.first_s:.0f} s, {max(0, left):.0f} s are left of {budget}")
    if part >= n or plan.sampling == "balanced":
        return plan
    why = f"auto: {PARTS} parts of an epoch in a budget of {budget}"
    return replace(plan, settings=replace(plan.settings, epochs=PARTS), epoch_images=part, origins={**plan.origins, "epochs": why, "epoch_images": why})


def floors_time(plan: Plan, options: TrainOptions, train: int, images: int) -> float:
    """Seconds that simple models are likely to take: all they may from 2,000 training images on; of maps by the pixels of all images (or windows)."""
    if find_task(plan.task).head != "map":
        return options.floors_s * min(1.0, train / 2000)
    return min(options.floors_s, images * math.prod(Preprocess.from_dict(plan.preprocess).size) * FLOOR_PIXEL_S)


def measured(model: System, plan: Plan, options: TrainOptions, feeds: Feeds, run: RunFolder, engine: Engine) -> Speed:
    """The speed at the number of threads that is used from now on: one, where that is faster because other programs hold the cores.

    Threads that wait for each other stand still when one of them must wait for its core, so that beside a busy program several
    can be far slower than one; what was measured is told.
    """
    threads = torch.get_num_threads()
    probe_s = min(PROBE_S, allowed_s(options) / 40)
    speed = measure_speed(model, feeds.train, settings=plan.settings, engine=engine, seconds=probe_s)
    if options.threads is not None or threads == 1 or engine.device.type != "cpu":
        return speed
    set_threads(1)
    alone = measure_speed(model, feeds.train, settings=plan.settings, engine=engine, seconds=probe_s * 3 / 8)
    if alone.later_s < 0.75 * speed.later_s:
        run.alert("RUN-CROWDED", f"{1 / alone.later_s:.0f} images/s with one thread, {1 / speed.later_s:.0f} with {threads}: one is used")
        run.update(threads=1)
        return alone
    set_threads(threads)
    return speed
