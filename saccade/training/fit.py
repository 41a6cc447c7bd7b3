"""The only training loop: stages of phases of steps, validated, averaged, saved, and resumed in the same bytes.

Every random choice of a step follows from (seed, step) and every batch from (seed, epoch, place), so that a run which was
killed and resumed ends in the same weights as one that was not (same device, same number of threads).
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any, NamedTuple

import torch
from torch import Tensor

from saccade import storage
from saccade.core import EMPTY, Batch, Feeds, Phase, Stage, System
from saccade.errors import DivergedError, InterruptedRun, ResourceError, UsageError
from saccade.training import checkpoint as checkpoints
from saccade.training import control
from saccade.training.alerts import look_at
from saccade.training.averaging import make_average, refresh_norms
from saccade.training.engine import Engine
from saccade.training.messages import LayerMessage, Recorder, judge
from saccade.training.optimisers import make_optimiser
from saccade.training.penalties import Penalty
from saccade.training.progress import Progress
from saccade.training.run_folder import RunFolder
from saccade.training.schedules import rate_factor
from saccade.training.settings import Settings
from saccade.training.signals import StopRequest, stop_requests
from saccade.training.validate import Metrics, validate

BAD_STEPS, REWINDS = 3, 3  # steps in a row that may be left out; times the run may go back with half the rate
SHOW_EVERY_S = 0.5
LISTEN_EVERY = 5  # epochs, on whose first step the messages between the layers are recorded
SAVE_SHARE = 0.05  # of the time of a run, at most, goes into checkpoints at the ends of epochs


class Watch(NamedTuple):
    """What a run is watched by: metrics per head, and the one that chooses the best epoch."""

    metrics: Metrics
    monitor: str


def fit(system: System, data: Feeds, *, settings: Settings, run: RunFolder, engine: Engine, metrics: Metrics = EMPTY, monitor: str = "val_loss") -> RunFolder:
    """Trains the system in place, from the start or from the run folder's checkpoint, and leaves the weights to keep in it.

    metrics: per head a function that makes a metric; monitor: `val_loss` or a key of the metrics, by which the best epoch is chosen.
    Raises DivergedError RUN-DIVERGED, ResourceError RUN-DISK or RUN-MEMORY, InterruptedRun after saving, ModelError RUN-CHECKPOINT.
    """
    with stop_requests() as stop:
        loop = Loop(system, data, settings, run, engine, Watch(metrics, monitor), stop)
        try:
            loop.run_all()
        except (MemoryError, torch.OutOfMemoryError) as problem:
            raise ResourceError("RUN-MEMORY", str(problem)) from problem
    return run


def plan_stages(system: System, settings: Settings) -> list[tuple[Stage, int]]:
    """The stages of a run with their epochs: those of the system, then one for each time the run was extended.

    A stage's `epochs` is a share of the run's where it is at most 1. An extension repeats the last stage: a warm restart
    (Loshchilov and Hutter 2017) over the epochs added.
    """
    stages = system.stages()
    plan = [(s, max(1, round(s.epochs * settings.epochs)) if s.epochs <= 1 else round(s.epochs)) for s in stages]
    return plan + [(stages[-1]._replace(name=f"extension {i + 1}"), epochs) for i, epochs in enumerate(settings.extensions)]


class _Rewind(Exception):
    """Back to the last checkpoint, with half the rate."""


class Loop:
    """The state of `fit` while it runs."""

    def __init__(self, system: System, data: Feeds, settings: Settings, run: RunFolder, engine: Engine, watch: Watch, stop: StopRequest) -> None:
        self.system, self.data, self.settings, self.run, self.engine = engine.place(system), data, settings, run, engine
        self.metrics, self.monitor, self.stop = watch.metrics, watch.monitor, stop
        self.folder, self.progress = run.path / "checkpoints", Progress()
        self.plan = plan_stages(system, settings)
        self.average, self.penalty = make_average(system, settings), Penalty(system, settings.l1, settings.l2)
        self.optimisers: list[torch.optim.Optimizer] = []
        self.best_weights: dict[str, Tensor] | None = None  # found since the last checkpoint, not yet on the disk
        self.entered = -1
        self.told: set[str] = set()  # what was said of the messages between layers
        self.started = self.saved = self.shown = time.monotonic()
        self.save_cost = 0.0

    # -- the run ---------------------------------------------------------------------------------------------------

    def run_all(self) -> None:
        if len(self.data.train) == 0:
            raise UsageError("USE-VALUE", "the training set gives no batch", where="--batch")
        if self.settings.schedule == "plateau" and self.data.val is None:
            raise UsageError("USE-VALUE", "plateau watches the monitor, and there are no validation images", where="--schedule")
        found, damage = checkpoints.read(self.folder)
        for what in damage:
            self.run.alert("RUN-FALLBACK", what)
        if found is None:
            self.run.cut_rows(0)
            self.save()
        else:
            self.load(found)
        self.system.train()
        while self.progress.stage < len(self.plan):
            try:
                self.stage()
            except _Rewind:
                self.rewind()
        self.save()
        self.keep()

    def stage(self) -> None:
        p = self.progress
        stage, epochs = self.plan[p.stage]
        self.enter()
        while p.stage_epoch < epochs:
            self.one_epoch(stage)
            if self.settings.patience and p.worse_epochs >= self.settings.patience:
                self.run.event("early_stop", epoch=p.epoch, best_epoch=p.best_epoch)
                break
            if p.stopped:
                p.stage = len(self.plan) - 1
                break
        p.stopped = False
        p.stage, p.stage_epoch, p.stage_step, p.worse_epochs = p.stage + 1, 0, 0, 0

    @property
    def all_epochs(self) -> int:
        return sum(epochs for _, epochs in self.plan)

    @property
    def steps_an_epoch(self) -> int:
        return math.ceil(len(self.data.train) / self.settings.accumulate)

    def enter(self) -> None:
        """Makes the stage's optimisers, unless they are there."""
        if self.entered != self.progress.stage:
            self.optimisers = [
                phase.optimiser(phase.groups()) if phase.optimiser else make_optimiser(phase.groups(), self.settings)
                for phase in self.plan[self.progress.stage][0].phases
            ]
            for optimiser in self.optimisers:
                for group in optimiser.param_groups:
                    group.setdefault("initial_lr", group["lr"])
            self.entered = self.progress.stage

    # -- an epoch --------------------------------------------------------------------------------------------------

    def one_epoch(self, stage: Stage) -> None:
        p, began, images = self.progress, time.monotonic(), self.progress.images
        waiting: list[Batch] = []
        for batch in self.data.train.epoch(p.epoch, p.batch):
            waiting.append(batch)
            if len(waiting) == self.settings.accumulate or p.batch + len(waiting) == len(self.data.train):
                self.step(stage, waiting)
                waiting = []
                self.between_steps()
        self.end_epoch(time.monotonic() - began, p.images - images)

    def step(self, stage: Stage, batches: list[Batch]) -> None:
        p = self.progress
        torch.manual_seed((self.settings.seed * 0x9E3779B97F4A7C15 + p.step) % 2**63)
        factor = rate_factor(p.stage_step, self.plan[p.stage][1] * self.steps_an_epoch, schedule=self.settings.schedule, warmup=self.settings.warmup)
        placed = [self.engine.place_batch(batch) for batch in batches]
        for phase, optimiser in zip(stage.phases, self.optimisers, strict=True):
            for group in optimiser.param_groups:
                group["lr"] = group["initial_lr"] * factor * p.factor
            for _ in range(phase.repeat):
                self.update(phase, optimiser, placed)
        if self.average:
            self.average.after_step(self.system)
            p.average_steps = self.average.steps
        p.step, p.stage_step, p.batch = p.step + 1, p.stage_step + 1, p.batch + len(batches)
        p.images += sum(len(batch) for batch in batches)

    def update(self, phase: Phase, optimiser: torch.optim.Optimizer, batches: list[Batch]) -> None:
        """One step of one optimiser; left out when the loss or the gradient is not finite."""
        optimiser.zero_grad(set_to_none=True)
        buffers = [b for b in self.system.buffers() if b.is_floating_point()]
        before = [b.clone() for b in buffers]
        listening = self.progress.batch == 0 and self.progress.epoch % LISTEN_EVERY == 0
        with Recorder(self.system) if listening else nullcontext() as recorder:
            sums = self.gradients(phase.name, batches)
        self.penalty.add_gradients()
        gradients = [q.grad for group in optimiser.param_groups for q in group["params"] if q.grad is not None]
        norm = float(torch.nn.utils.get_total_norm(gradients)) if gradients else 0.0
        if not (math.isfinite(norm) and all(map(math.isfinite, sums.values()))):
            torch._foreach_copy_(buffers, before)
            self.bad_step(batches, sums, norm)
            return
        if recorder is not None:
            self.tell(phase.name, recorder.messages())
        self.progress.bad_steps = 0
        if self.settings.clip and norm > self.settings.clip:
            torch._foreach_mul_(gradients, self.settings.clip / norm)
        optimiser.step()
        self.penalty.shrink(optimiser)
        for name, value in sums.items():
            self.progress.sums[name] = self.progress.sums.get(name, 0.0) + value / phase.repeat

    def gradients(self, phase: str, batches: list[Batch]) -> dict[str, float]:
        """Forward and backward over the batches of a step; every term of the loss, times its images."""
        sums: dict[str, float] = {}
        for batch in batches:
            terms = self.engine.losses(self.system, batch, phase)
            if terms:
                loss = torch.stack([t.float() for t in terms.values()]).sum()
                self.engine.backward(loss / len(batches))
                for name, value in {**{k: v.item() for k, v in terms.items()}, "loss": loss.item()}.items():
                    sums[name] = sums.get(name, 0.0) + value * len(batch)
        return sums

    def tell(self, phase: str, messages: list[LayerMessage]) -> None:
        """Stores the messages between the layers as an event, and says once a run where they vanish or explode."""
        layers = [{k: v if isinstance(v, str) or math.isfinite(v) else None for k, v in message._asdict().items()} for message in messages]
        self.run.event("messages", epoch=self.progress.epoch + 1, phase=phase, layers=layers)
        for alert in judge(messages):
            if alert.code not in self.told:
                self.told.add(alert.code)
                self.run.alert(*alert)

    def between_steps(self) -> None:
        """Shows, saves and stops where it is time to."""
        now, p = time.monotonic(), self.progress
        if self.stop:
            self.save()
            stopped = InterruptedRun(
                "RUN-INTERRUPTED", f"epoch {p.epoch + 1}, step {p.step}", where=str(self.run.path), fix=f"saccade train --resume {self.run.path}"
            )
            stopped.exit = self.stop.exit
            raise stopped
        if now - self.shown >= SHOW_EVERY_S:
            self.shown = now
            total = self.all_epochs * self.steps_an_epoch
            self.run.event("step", n=p.step, total=total, epoch=p.epoch + 1, loss=p.means().get("loss"), seconds=round(now - self.started, 2))
        every = self.settings.save_every_steps
        if p.batch < len(self.data.train) and (now - self.saved > self.settings.save_every_s or (every and p.step % every == 0)):
            self.save()

    def end_epoch(self, seconds: float, images: int) -> None:
        p, rate = self.progress, self.optimisers[0].param_groups[0]["lr"]
        means = p.means()
        row: dict[str, Any] = {"epoch": p.epoch + 1, "step": p.step, "stage": self.plan[p.stage][0].name, "train_loss": means.pop("loss", None)}
        row |= {f"train_{name}": value for name, value in means.items() if len(means) > 1}
        row |= {f"penalty_{name}": value for name, value in self.penalty.values().items()}
        p.end_epoch()
        self.average_epoch()
        better, answers = False, None
        last = p.epoch == self.all_epochs
        if self.data.val is not None and (last or p.epoch % self.settings.validate_every == 0):
            row_values, answers, better = self.watch()
            row |= row_values
        elif self.data.val is None:
            better = True
            p.best_epoch = p.epoch
        p.seconds += seconds
        row |= {"lr": rate, "images_per_s": round(images / max(seconds, 1e-9), 1), "seconds": round(p.seconds, 3), "best": better}
        if better:
            self.best_weights = {k: v.detach().clone() for k, v in self.weights().items()}
        self.run.row(**row)
        p.rows += 1
        for alert in look_at(self.run.rows(), answers):
            self.run.alert(*alert)
        self.run.event("epoch", epochs=self.all_epochs, **row)
        told = control.adjust(self.run, p, self.settings)
        if told or last or time.monotonic() - self.saved > self.save_cost / SAVE_SHARE:
            self.save()
        if told:  # only now that it is in a checkpoint
            control.take_away(self.run.path)

    def average_epoch(self) -> None:
        """Takes the epoch's weights into the mean where that is of epochs."""
        p = self.progress
        if self.average and self.average.after_epoch(self.system, p.epoch / self.all_epochs):
            with self.average.applied(self.system):
                refresh_norms(self.system, self.data.train.epoch(p.epoch - 1), self.engine)
                self.average.take_buffers(self.system)
        if self.average:
            p.average_steps = self.average.steps

    def watch(self) -> tuple[dict[str, Any], Mapping[Any, int], bool]:
        """Validates with the weights that would be kept."""
        assert self.data.val is not None
        with self.average.applied(self.system) if self.average else nullcontext():
            found = validate(self.system, self.data.val.epoch(0), engine=self.engine, metrics=self.metrics)
        values = {"val_loss": found.loss, **found.values}
        if self.monitor not in values:
            raise UsageError("USE-VALUE", f"{self.monitor}; the options are {', '.join(values)}", where="--monitor")
        better = self.progress.improves(self.monitor, values[self.monitor], found.loss)
        return values, found.answers, better or self.settings.keep == "last"

    def weights(self) -> dict[str, Tensor]:
        """The weights that would be kept now: the moving average where it is on."""
        return self.average.state() if self.average else self.system.state_dict()

    # -- faults ----------------------------------------------------------------------------------------------------

    def bad_step(self, batches: list[Batch], sums: Mapping[str, float], norm: float) -> None:
        p = self.progress
        p.bad_steps, p.skipped = p.bad_steps + 1, p.skipped + 1
        self.run.alert("RUN-NAN", f"epoch {p.epoch + 1}, step {p.step}: loss {sums.get('loss', math.nan):.4g}, norm of the gradient {norm:.4g}")
        if p.bad_steps < BAD_STEPS:
            return
        if p.rewinds < REWINDS:
            raise _Rewind
        folder = self.run.path / "nan_batch"
        folder.mkdir(exist_ok=True)
        storage.save_tensors(folder / "inputs.safetensors", {str(i): batch.inputs for i, batch in enumerate(batches)})
        storage.write_json(folder / "samples.json", [meta.id for batch in batches for meta in batch.meta])
        raise DivergedError("RUN-DIVERGED", f"at step {p.step}, after going back {REWINDS} times with half the rate", where=str(folder))

    def rewind(self) -> None:
        """Back to the last checkpoint, with half the learning rate."""
        rewinds, skipped, factor = self.progress.rewinds + 1, self.progress.skipped, self.progress.factor / 2
        found, _ = checkpoints.read(self.folder)
        assert found is not None, "fit saves before its first step"
        self.load(found)
        self.progress.rewinds, self.progress.skipped, self.progress.factor, self.progress.bad_steps = rewinds, skipped, factor, 0
        self.run.event("rewind", step=self.progress.step, factor=factor)

    # -- checkpoints -----------------------------------------------------------------------------------------------

    def save(self) -> None:
        began = time.monotonic()
        if self.best_weights is not None:
            state = {"epoch": self.progress.best_epoch, "monitor": self.monitor, "best": self.progress.best}
            checkpoints.write_best(self.folder, state, self.best_weights)
            self.best_weights = None
        state = {"progress": self.progress.to_dict(), "settings": asdict(self.settings), "threads": torch.get_num_threads()}
        checkpoints.write(self.folder, checkpoints.Checkpoint(state, self.system.state_dict(), self.optimiser_tensors()))
        self.saved = time.monotonic()
        self.save_cost = self.saved - began
        self.run.event("checkpoint", epoch=self.progress.epoch, step=self.progress.step, seconds=round(self.save_cost, 3))

    def optimiser_tensors(self) -> dict[str, Tensor]:
        """The state of the optimisers and of the moving average, as named tensors."""
        tensors = {f"average.{k}": v for k, v in self.average.state().items()} if self.average else {}
        for number, optimiser in enumerate(self.optimisers):
            for place, state in optimiser.state_dict()["state"].items():
                tensors |= {f"optimiser.{number}.{place}.{k}": v for k, v in state.items() if isinstance(v, Tensor)}
        return tensors

    def load(self, found: checkpoints.Checkpoint) -> None:
        self.progress = Progress.from_dict(found.state["progress"])
        self.best_weights, self.entered = None, -1
        self.system.load_state_dict(found.model)
        if self.average:
            kept = {k.removeprefix("average."): v for k, v in found.optim.items() if k.startswith("average.")}
            self.average.load(kept, self.progress.average_steps)
        if self.progress.stage < len(self.plan):
            self.enter()
            for number, optimiser in enumerate(self.optimisers):
                _load_optimiser(optimiser, f"optimiser.{number}.", found.optim)
        self.run.cut_rows(self.progress.rows)
        self.run.event("resume", epoch=self.progress.epoch, step=self.progress.step)

    def keep(self) -> None:
        """Puts the weights that the run ends with into the system: those of the best epoch, or of the last."""
        best = checkpoints.read_best(self.folder)
        if best is not None:
            self.system.load_state_dict(best[1])


def _load_optimiser(optimiser: torch.optim.Optimizer, prefix: str, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith(prefix):
            place, _, name = key.removeprefix(prefix).partition(".")
            state.setdefault(int(place), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
