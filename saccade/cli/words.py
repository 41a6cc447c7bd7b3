"""The events of a job in words: one function an event, each giving the lines for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from saccade.cli.output import WIDTH

Event = Mapping[str, Any]

# What of an epoch's row is not a metric, or is shown in a place of its own.
PLACED = {"event", "time", "epoch", "epochs", "step", "stage", "train_loss", "val_loss", "lr", "images_per_s", "seconds", "best"}
METRICS_SHOWN = 4
ALIKE = 3  # values of one origin that are listed; more are counted


def epoch_line(row: Event) -> str:
    """One epoch in one line: its number, the losses, the metrics, the speed, and whether it is the best so far.

    >>> epoch_line({"epoch": 3, "epochs": 14, "train_loss": 0.5, "val_loss": 0.4321, "accuracy": 0.9, "images_per_s": 812.0, "best": True})
    'epoch  3/14  train_loss 0.500  val_loss 0.432  accuracy 0.900  812 img/s  best'
    """
    total = str(row.get("epochs", "?"))
    words = [f"epoch  {row['epoch']:>{len(total)}}/{total}".replace("epoch   ", "epoch  ")]
    words += [f"{name} {row[name]:.3f}" for name in ("train_loss", "val_loss") if isinstance(row.get(name), float)]
    metrics = [(name, value) for name, value in row.items() if name not in PLACED and not name.startswith(("train_", "penalty_")) and isinstance(value, float)]
    words += [f"{name} {value:.3f}" for name, value in metrics[:METRICS_SHOWN]]
    if isinstance(row.get("images_per_s"), float):
        words.append(f"{row['images_per_s']:.0f} img/s")
    return "  ".join(words + (["best"] if row.get("best") else []))


def _start(told: Event) -> list[str]:
    versions = told.get("versions", {})
    return [
        f"saccade {versions.get('saccade', '')}  torch {versions.get('torch', '')}  {told.get('threads')} threads  seed {told.get('seed')}",
        f"run    {told.get('path')}",
    ]


def _opened(told: Event) -> list[str]:
    why = "named" if told.get("named") else "what the labels are for; --task to override"
    return [f"data   {told['name']}: {told['images']} images, {told['format']} ({told['reason']})", f"task   {told['task']} ({why})"]


def _check(told: Event) -> list[str]:
    problems = ", ".join(f"{code} {n}" for code, n in told["problems"].items())
    return [f"check  {told['images']} images of {told['classes']} classes are usable" + (f"; {problems}" if problems else "; no problems")]


def _split(told: Event) -> list[str]:
    return [f"split  {'  '.join(f'{name} {told[name]}' for name in ('train', 'val', 'test'))}  ({told['reason']})"]


def _plan(told: Event) -> list[str]:
    """Every value that was chosen for these data or by the user; one line for many of the same origin. The defaults are in config.toml."""
    values, chosen = told["values"], dict[str, list[str]]()
    for name, origin in told["origins"].items():
        if name in values and origin != "default":
            chosen.setdefault(origin, []).append(name)
    lines = [f"plan   {values.get('model')}, {told['parameters'] / 1e6:.2f} M parameters; every value with its origin is in config.toml"]
    for origin, names in chosen.items():
        if len(names) > ALIKE and origin != "user":
            lines.append(f"       {f'{len(names)} values':<22} {'':<10} {origin}")
        else:
            lines += [f"       {name:<22} {_short(values[name]):<10} {origin}" for name in names]
    return [line if len(line) <= WIDTH else line[: WIDTH - 1] + "…" for line in lines]


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "x".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _speed(told: Event) -> list[str]:
    return [f"speed  {told['images_per_s']:.0f} images/s: {told['epochs']} epochs fit {told['budget']}, at most {told['most']} help"]


def _selftest(told: Event) -> list[str]:
    verdict = {True: "the network can fit eight images", False: "the network CANNOT fit eight images", None: "no time to tell whether it can fit eight images"}
    return [f"test   {verdict[told['passed']]} (loss {told['first']:.3g} to {told['last']:.2g} in {told['steps']} steps)"]


def _fold(told: Event) -> list[str]:
    return [f"fold   {told['number']} of {told['folds']}, in {told['path']}"]


def _weights(told: Event) -> list[str]:
    fresh = f"{len(told['fresh'])} fresh ({', '.join(told['fresh'][:ALIKE])})" if told["fresh"] else "none fresh"
    return [f"start  {told['taken']} tensors of {told['source']}, {fresh}"]


def _fitted(told: Event) -> list[str]:
    strength = f", penalty {told['penalty']:g}" if told["penalty"] == told["penalty"] else ""
    return [f"fit    the last layer, {told['how']}{strength}, in {told['seconds']:.1f} s"]


def _refined(told: Event) -> list[str]:
    both = [f"{name.replace('_', ' ').replace('iou', 'IoU')} {told['before'][name]:.4f} to {told['after'][name]:.4f}" for name in told["before"]]
    return [f"refine {told['trials']} settings of the CRF on parts of {told['images']} validation windows: {', '.join(both)}"]


def _study(told: Event) -> list[str]:
    lines = [f"study  {told['trials']} configurations by {told['method']}, up to {told['epochs']} epochs each, judged by {told['monitor']}"]
    return lines + [f"       {dimension}" for dimension in told["search"]]


def _trial(told: Event) -> list[str]:
    values = "  ".join(f"{name} {_short(value)}" for name, value in told["values"].items())
    return [f"trial  {told['number']}: {values}  ({told['epochs']} epochs)"]


def _score(score: Any, note: str = "") -> str:
    return f"{score:.4f}" if isinstance(score, float) else f"failed: {note}" if note else "-"


WORDS: dict[str, Callable[[Event], list[str]]] = {
    "start": _start,
    "opened": _opened,
    "check": _check,
    "split": _split,
    "plan": _plan,
    "speed": _speed,
    "selftest": _selftest,
    "fold": _fold,
    "epoch": lambda told: [epoch_line(told)],
    "rate": lambda told: [f"rate   {told['rate']:.3g} by {told['by']}, see lr_finder.csv"],
    "control": lambda told: [f"told   after epoch {told['epoch']}: " + ("stop" if told["stop"] else f"learning rate {told['lr']:.3g}")],
    "plateau": lambda told: [f"rate   x {told['factor']:.3g} after epoch {told['epoch']}: no progress"],
    "study": _study,
    "trial": _trial,
    "scored": lambda told: [f"       {_score(told['score'], told['note'])}  best {_score(told['best'])}  {told['seconds']:.0f} s"],
    "budget_spent": lambda told: [f"budget spent after {told['done']} of {told['trials']} configurations"],
    "weights": _weights,
    "fitted": _fitted,
    "refined": _refined,
    "estimated": lambda told: [f"fit    without steps, in {told['seconds']:.1f} s"],
    "resume": lambda told: [f"resume after epoch {told['epoch']}, step {told['step']}"],
    "rewind": lambda told: [f"back   to step {told['step']}, learning rate x {told['factor']}"],
    "early_stop": lambda told: [f"stop   no progress since epoch {told['best_epoch']}"],
    "evaluate": lambda told: [f"eval   {told['images']} images of {told['part']}"],
    "floors": lambda told: [f"floors simple models on the same images, at most {told['seconds']:.0f} s"],
    "alert": lambda told: [f"alert  {told['code']}  {told['text']}"],
}
