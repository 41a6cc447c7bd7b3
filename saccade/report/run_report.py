"""report.html of a run: its sections in order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from saccade import storage
from saccade.report import answers, detection, general, generation, maps, pose, representation, sections
from saccade.report.facts import Facts, read_facts
from saccade.report.page import page
from saccade.report.sections import Section

Maker = Callable[[Facts], Section | None]
CLASSIFY: tuple[Maker, ...] = (sections.verdict, sections.numbers, sections.folds, sections.confusion, sections.images, sections.calibration)

GENERATE: tuple[Maker, ...] = (general.verdict, general.numbers, sections.folds, *generation.SECTIONS)

SECTIONS: dict[str, tuple[Maker, ...]] = {"classify": CLASSIFY, "generate": GENERATE}
"""The tasks whose reports are their own from the verdict to the images; all others have those of `report.general`."""
EXTRA: dict[str, tuple[Maker, ...]] = {
    "detect": detection.SECTIONS,
    "keypoints": pose.SECTIONS,
    "segment": maps.SECTIONS,
    "count": answers.COUNT,
    "colorize": answers.PICTURES,
    "upscale": answers.PICTURES,
    "denoise": answers.PICTURES,
    "represent": representation.SECTIONS,
}
"""What a task's report has besides: between the numbers and the images."""


def write(folder: Path) -> Path:
    """Makes report.html and plots/ from the files of the run's folder and returns its path. Raises ResourceError RUN-DISK."""
    facts = read_facts(Path(folder))
    path = Path(folder) / "report.html"
    storage.atomic_write(path, render(facts).encode("utf-8", "backslashreplace"))
    return path


def render(facts: Facts) -> str:
    """The page as text."""
    chosen = SECTIONS.get(facts.task) or (general.verdict, general.numbers, sections.folds, *EXTRA.get(facts.task, ()), general.images)
    made = [section(facts) for section in (*chosen, sections.training, sections.data, sections.settings, sections.repeat)]
    started = datetime.fromtimestamp(facts.run.get("started", 0), UTC)
    subtitle = f"{facts.run.get('status', '')}, begun {started:%Y-%m-%d %H:%M} UTC, saccade {facts.run.get('versions', {}).get('saccade', '')}"
    title = f"{facts.data.get('name', 'run')}: {facts.run.get('model', '')}"
    return page(title, subtitle, [section for section in made if section is not None])
