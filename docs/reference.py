"""The reference pages that are written from the program: what the code says and what the page says cannot differ."""

from __future__ import annotations

from pathlib import Path

from saccade.cli.help import overview, page
from saccade.cli.verbs import VERBS, load
from saccade.data.formats import FORMATS
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


def formats_page() -> str:
    """Every layout of data: how it is recognised, which kinds of labels it holds, whether it is written too."""
    rows = ["| name | recognised by | written | labels it can hold |", "|---|---|---|---|"]
    for name, layout in FORMATS.items():
        held = ", ".join(f"`{head}`" for head in sorted(layout.holds))
        rows.append(f"| `{name}` | {layout.wants}{' (only when asked for)' if layout.asked else ''} | {'yes' if layout.save else 'no'} | {held} |")
    return "\n".join(rows) + "\n"


def write_pages(folder: Path) -> None:
    """Writes both beside the build; a page that is as it was keeps its time, so that nothing is built twice."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("errors.md", errors_page()), ("cli.md", cli_page()), ("formats.md", formats_page())):
        file = folder / name
        if not file.exists() or file.read_text() != text:
            file.write_text(text)
