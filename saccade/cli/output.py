"""What a verb shows: text for people, or JSON lines for programs with the text on stderr.

Nothing that is printed can stop a job: undecodable names are escaped, and output that nobody reads any more is dropped.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from saccade.errors import SaccadeError, displayable

SCHEMA = 1  # of the JSON lines; readers must ignore fields they do not know
FLAGS = ("--json", "--quiet", "--no-color")
WIDTH = 100
COLOURS = {"fatal": "31", "error": "31", "warn": "33", "fixed": "36", "note": "2", "head": "1"}


class Output:
    """Where the words of one command go. Used as `show.line(...)`, `show.event(...)`, `show.table(...)`, `show.finish(...)`."""

    def __init__(self, *, json: bool = False, quiet: bool = False, colour: bool = True) -> None:
        self.json, self.quiet = json, quiet
        self.terminal = sys.stderr.isatty() if json else sys.stdout.isatty()
        self.colour = colour and self.terminal and not os.environ.get("NO_COLOR")

    @classmethod
    def from_tokens(cls, tokens: Sequence[str]) -> tuple[Output, list[str]]:
        """The output that the flags of every verb ask for, and the tokens without those flags (a bare -- ends the flags)."""
        end = tokens.index("--") if "--" in tokens else len(tokens)
        given = {token for token in tokens[:end] if token in FLAGS}
        rest = [token for token in tokens[:end] if token not in FLAGS] + list(tokens[end:])
        return cls(json="--json" in given, quiet="--quiet" in given, colour="--no-color" not in given), rest

    # for people ---------------------------------------------------------------------------------------------------
    def line(self, text: str = "", style: str = "") -> None:
        """One line for people, unless --quiet."""
        if not self.quiet:
            self._write(sys.stderr if self.json else sys.stdout, self._styled(text, style))

    def aside(self, text: str) -> None:
        """One line on stderr, shown even with --quiet."""
        self._write(sys.stderr, text)

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[Any]], *, style_by: int | None = None) -> None:
        """Columns under their heads; the last column takes what is left of the width and is cut there.

        style_by: the column whose word (a severity) colours the row.
        """
        cells = [[displayable(str(cell)) for cell in row] for row in rows]
        widths = [max(len(row[i]) for row in [list(heads), *cells]) for i in range(len(heads))]
        self.line(_columns(heads, widths), "head")
        for row in cells:
            self.line(_columns(row, widths), row[style_by] if style_by is not None else "")

    # for programs -------------------------------------------------------------------------------------------------
    def event(self, kind: str, **fields: Any) -> None:
        """One JSON line on stdout with --json, else nothing."""
        if self.json:
            import json

            from saccade.storage import finite

            # ASCII alone, so that the line is the same JSON whatever the encoding of stdout; paths and enums as their text
            self._write(sys.stdout, json.dumps(finite({"v": SCHEMA, "event": kind, **fields}), allow_nan=False, default=str))

    def listener(self, told: Mapping[str, Any]) -> None:
        """The same for a job that tells its events as one mapping with the key `event`."""
        self.event(str(told["event"]), **{key: value for key, value in told.items() if key != "event"})

    # endings ------------------------------------------------------------------------------------------------------
    def finish(self, path: Path | str | None, following: Sequence[str | Path] = ()) -> None:
        """The last lines: where things went, absolutely, and the next command."""
        command = shlex.join(str(part) for part in following)
        if path is not None:
            self.line(f"saved  {displayable(str(Path(path).resolve()))}")
        if command:
            self.line(f"next   {displayable(command)}")
        self.event("done", path=None if path is None else str(Path(path).resolve()), next=command or None)

    def error(self, error: SaccadeError) -> None:
        """A coded error in its shape on stderr; with --json the same as an event on stdout."""
        head, _, rest = str(error).partition("\n")
        self._write(sys.stderr, f"{self._styled(head, 'error', sys.stderr)}\n{rest}")
        self.event("error", **error.to_dict())

    def close(self) -> None:
        """Flushes what was printed; a reader who went away is no error."""
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (BrokenPipeError, ValueError):
                _drop(stream)

    def _styled(self, text: str, style: str, stream: TextIO | None = None) -> str:
        shown = self.colour and (stream is None or stream.isatty())
        return f"\x1b[{COLOURS[style]}m{text}\x1b[0m" if shown and style in COLOURS else text

    def _write(self, stream: TextIO, text: str) -> None:
        try:
            stream.write(text + "\n")
            stream.flush()
        except BrokenPipeError:
            _drop(stream)


def _columns(cells: Sequence[str], widths: Sequence[int]) -> str:
    line = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
    return line if len(line) <= WIDTH else line[: WIDTH - 1] + "…"


def _drop(stream: TextIO) -> None:
    """Sends the rest of a stream nowhere: the job goes on, and nothing is reported when Python closes it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def safe_streams() -> None:
    """Makes every text printable: what a stream's encoding has no character for is escaped (locale C, undecodable names)."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
