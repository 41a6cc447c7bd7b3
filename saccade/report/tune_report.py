"""The report of a search: which trial was best, all of them, and how each setting went with the score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from saccade import storage
from saccade.inference.tables import write_csv
from saccade.report import plots
from saccade.report.page import page, paragraph, table, text
from saccade.training.search_space import Range
from saccade.training.tuning import Facts, Trial

SHOWN = 100  # trials in the table


def write_study(folder: Path, facts: Facts, trials: Sequence[Trial], best: Trial, command: str) -> Path:
    """trials.csv, plots/ and report.html of a study in its folder; returns the page's path."""
    names = [d.name for d in facts.space]
    rows = [_row(trial, facts, names) for trial in trials]
    write_csv(folder / "trials.csv", rows)
    sections = [
        ("best", "Best", _best(facts, best, command)),
        ("trials", "Trials", _table(facts, trials, names)),
        ("settings", "Settings and scores", f'<div class="plots">{"".join(_plots(folder, facts, trials))}</div>'),
    ]
    done = sum(t.state == "done" for t in trials)
    title = f"{done} of {facts.trials if facts.method != 'halving' else len(trials)} trials, {facts.method}, judged by {facts.monitor} on validation images"
    path = folder / "report.html"
    storage.atomic_write(path, page(f"Search: {folder.name}", title, sections).encode())
    return path


def _row(trial: Trial, facts: Facts, names: Sequence[str]) -> dict[str, Any]:
    own: Mapping[str, Any] = {"trial": trial.number, "state": trial.state, facts.monitor: trial.score, "epochs": trial.epochs, "rung": trial.rung}
    return {**own, **{name: trial.values.get(name) for name in names}, "seconds": trial.seconds, "note": trial.note}


def _best(facts: Facts, best: Trial, command: str) -> str:
    values = ", ".join(f"{name} {value}" for name, value in best.values.items())
    told = paragraph(f"Trial {best.number}: {facts.monitor} {best.score:.4f} after {best.epochs} epochs with {values}.", "lead")
    warning = "The best of many is the luckiest too: its score on images that it was chosen by is too good. The test images were not used."
    return f"{told}<pre>{text(command)}</pre>{paragraph(warning, 'soft')}"


def _table(facts: Facts, trials: Sequence[Trial], names: Sequence[str]) -> str:
    ranked = sorted(trials, key=lambda t: (-t.rung, t.score is None, (1 if facts.less else -1) * (t.score or 0.0), t.number))
    heads = ["trial", facts.monitor, "epochs", *names, "seconds", "note"]
    rows = [
        [t.number, "–" if t.score is None else f"{t.score:.4f}", t.epochs, *(t.values.get(n) for n in names), f"{t.seconds or 0:.0f}", t.note or t.state]
        for t in ranked[:SHOWN]
    ]
    caption = "Those trained longest first, the best of them on top" + (f"; {len(ranked) - SHOWN} more are in trials.csv" if len(ranked) > SHOWN else "")
    return table(caption, heads, rows, words=(len(heads) - 1,))


def _plots(folder: Path, facts: Facts, trials: Sequence[Trial]) -> list[str]:
    """A point a trial for each setting; the longer it was trained, the darker."""
    drawn = []
    done = [t for t in trials if t.score is not None]
    for dimension in facts.space:
        figure, axes = plots.new_figure()
        shades = [0.35 + 0.65 * t.epochs / facts.epochs for t in done]
        x = [t.values[dimension.name] if isinstance(dimension, Range) else dimension.values.index(t.values[dimension.name]) for t in done]
        axes.scatter(x, [t.score for t in done], s=18, color=plots.BLUE, alpha=shades, linewidths=0)
        if isinstance(dimension, Range):
            axes.set_xscale("log" if dimension.logarithmic else "linear")
        else:
            axes.set_xticks(range(len(dimension.values)), [str(v) for v in dimension.values])
        axes.set_xlabel(dimension.name)
        axes.set_title(f"{facts.monitor} by {dimension.name}", loc="left")
        rows = [{dimension.name: t.values[dimension.name], facts.monitor: t.score, "epochs": t.epochs} for t in done]
        drawn.append(plots.save(figure, rows, folder / "plots", f"by_{dimension.name.replace('.', '_')}"))
    return drawn
