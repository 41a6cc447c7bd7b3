"""report.html of a run: its sections in order."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from saccade import storage
from saccade.report import sections
from saccade.report.facts import Facts, read_facts
from saccade.report.page import page


def write(folder: Path) -> Path:
    """Makes report.html and plots/ from the files of the run's folder and returns its path. Raises ResourceError RUN-DISK."""
    facts = read_facts(Path(folder))
    path = Path(folder) / "report.html"
    storage.atomic_write(path, render(facts).encode("utf-8", "backslashreplace"))
    return path


def render(facts: Facts) -> str:
    """The page as text."""
    made = [
        sections.verdict(facts),
        sections.numbers(facts),
        sections.folds(facts),
        sections.confusion(facts),
        sections.images(facts),
        sections.calibration(facts),
        sections.training(facts),
        sections.data(facts),
        sections.settings(facts),
        sections.repeat(facts),
    ]
    started = datetime.fromtimestamp(facts.run.get("started", 0), UTC)
    subtitle = f"{facts.run.get('status', '')}, begun {started:%Y-%m-%d %H:%M} UTC, saccade {facts.run.get('versions', {}).get('saccade', '')}"
    title = f"{facts.data.get('name', 'run')}: {facts.run.get('model', '')}"
    return page(title, subtitle, [section for section in made if section is not None])
