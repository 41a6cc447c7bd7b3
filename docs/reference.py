"""The reference pages that are written from the program: what the code says and what the page says cannot differ."""

from __future__ import annotations

from pathlib import Path

from saccade.cli.help import overview, page
from saccade.cli.verbs import VERBS, load
from saccade.errors import CODES


def errors_page() -> str:
    """Every error code with its severity, meaning and fix, each under an anchor of its own name."""
    blocks = [f"({code})=\n## {code}\n\n*{known.severity}*: {known.text}.\n\nWhat to do: {known.fix}.\n" for code, known in CODES.items()]
    return "\n".join(blocks)


def cli_page() -> str:
    """Every verb with all its options."""
    blocks = [f"```text\n{overview()}\n```\n"]
    blocks += [f"## {verb}\n\n```text\n{page(verb, load(verb), everything=True)}\n```\n" for verb in VERBS]
    return "\n".join(blocks)


def write_pages(folder: Path) -> None:
    """Writes both beside the build; a page that is as it was keeps its time, so that nothing is built twice."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("errors.md", errors_page()), ("cli.md", cli_page())):
        file = folder / name
        if not file.exists() or file.read_text() != text:
            file.write_text(text)
