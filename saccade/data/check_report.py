"""What `check` found: the problems, the usable part of the data set, and whether it may be trained on."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from saccade import storage
from saccade.data.columns import has_sequences
from saccade.data.contents import OBJECTS, amount, heads, main_head, plain, tally
from saccade.data.dataset import ImageDataset
from saccade.errors import SEVERITIES, DataError, Problem, Severity, UsageError, displayable

_NAMED = 3
_WIDTH = 100
LEAKS = frozenset({"LEAK-EXACT", "LEAK-GROUP"})
NOUNS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "label": ("label", "labels"),
        "labels": ("yes-or-no label", "yes-or-no labels"),
        "number": ("number", "numbers"),
        "boxes": ("box", "boxes"),
        "instances": ("mask", "masks"),
        "keypoints": ("skeleton", "skeletons"),
        "map": ("map", "maps"),
        "points": ("dot", "dots"),
        "depth": ("depth map", "depth maps"),
        "image": ("pair", "pairs"),
        "caption": ("captioned image", "captioned images"),
        "regions": ("described region", "described regions"),
        "graph": ("object in scene graphs", "objects in scene graphs"),
        "boxes3d": ("box in space", "boxes in space"),
        "tags": ("sequence", "sequences"),
        "normals": ("normal map", "normal maps"),
        "flow": ("flow map", "flow maps"),
    }
)
"""What one truth, or object, of each head is called, and several."""


class Count(NamedTuple):
    """One code of a report: its severity, how often, and the first example."""

    code: str
    severity: Severity
    n: int
    first: Problem


@dataclass(frozen=True)
class CheckReport:
    """The findings of `check`. `dataset` holds the usable records; `total` counts the samples that were there, `bad` those left out.

    sizes: images of each (h, w). ranges: how a `value_range` was chosen. seconds: how long it took.
    """

    problems: tuple[Problem, ...]
    dataset: ImageDataset
    total: int
    bad: int
    sizes: Mapping[tuple[int, int], int] = field(default_factory=dict)
    ranges: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def bad_ratio(self) -> float:
        """The share of the samples that cannot be used, 0 to 1."""
        return self.bad / self.total if self.total else 0.0

    def severity(self, name: Severity) -> int:
        """The number of problems of one severity."""
        return sum(problem.severity == name for problem in self.problems)

    def counts(self) -> dict[str, Count]:
        """For each code its number and first example, the most severe first, then by code."""
        first: dict[str, Problem] = {}
        for problem in self.problems:
            first.setdefault(problem.code, problem)
        numbers = Counter(problem.code for problem in self.problems)
        rows = [Count(code, problem.severity or "note", numbers[code], problem) for code, problem in first.items()]
        return {row.code: row for row in sorted(rows, key=lambda row: (SEVERITIES.index(row.severity), row.code))}

    @cached_property
    def head(self) -> str:
        """The kind of truth that the report speaks of first."""
        return main_head(self.dataset)

    def class_counts(self, head: str | None = None, *, objects: bool = False) -> dict[str, dict[str, int]]:
        """Usable images (or objects; of a map: pixels) of each class by the splits that the data gives, and in `all`; of a head, or the first."""
        wanted = head or self.head
        parts = {split: tally(self.dataset, wanted, self.dataset.places(split), objects=objects) for split in self.dataset.splits}
        return {**parts, "all": tally(self.dataset, wanted, objects=objects)}

    def objects(self) -> dict[str, int]:
        """How many objects each head of the usable records has, images for the heads that have one truth an image."""
        return {head: amount(self.dataset, head) for head in heads(self.dataset)}

    def gate(self, max_bad: float = 0.05, *, allow_leak: bool = False, learning: bool = True) -> None:
        """Raises DataError for the first fatal problem, and DATA-BAD when more than `max_bad` (0 to 1) of the samples cannot be used.

        learning: whether the data are to be learnt from; where they are only measured by, a single class will do.
        """
        if not 0 <= max_bad <= 1:
            raise UsageError("USE-VALUE", f"max_bad={max_bad}", fix="give a share from 0 to 1, such as 0.05")
        fatal = [p for p in self.problems if p.severity == "fatal" and not (allow_leak and p.code in LEAKS)]
        fatal = fatal if learning else [p for p in fatal if p.code != "CLS-ONE"]
        own = [p for p in fatal if p.code not in ("CLS-NONE", "CLS-ONE")]
        too_bad = self.bad and self.bad_ratio > max_bad
        if own or (fatal and not too_bad):
            first = (own or fatal)[0]
            rest = f" (and {len(fatal) - 1} more fatal problems)" if len(fatal) > 1 else ""
            raise DataError(first.code, first.got + rest, where=first.where)
        if too_bad:
            errors = [p for p in self.problems if p.severity == "error"]
            named = ", ".join(f"{p.where} ({p.code})" for p in errors[:_NAMED])
            got = f"{self.bad:,} of {self.total:,} ({self.bad_ratio:.1%}, allowed {max_bad:.1%}): {named}" + (" ..." if len(errors) > _NAMED else "")
            raise DataError("DATA-BAD", got, where=str(self.dataset.root))

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values, without the single problems: those are in `write_csv`."""
        data = self.dataset
        return {
            "name": data.name,
            "root": str(data.root),
            "format": data.format,
            "reason": data.reason,
            "images": len(data),
            "total": self.total,
            "bad": self.bad,
            "bad_ratio": self.bad_ratio,
            "head": self.head,
            "classes": self._names(self.head),
            "counts": self.class_counts(),
            "heads": {head: {"classes": self._names(head), "objects": n} for head, n in self.objects().items()},
            "channels": data.channels,
            "value_range": None if data.value_range is None else list(data.value_range),
            "ranges": dict(self.ranges),
            "sizes": {f"{h}x{w}": n for (h, w), n in Counter(self.sizes).most_common(20)},
            "fingerprint": data.fingerprint,
            "seconds": self.seconds,
            "problems": {
                row.code: {"severity": row.severity, "n": row.n, "where": row.first.where, "got": row.first.got, "fix": row.first.fix}
                for row in self.counts().values()
            },
        }

    def _names(self, head: str) -> list[str]:
        space = self.dataset.spaces.get(head)
        return [] if space is None else list(space.names)

    def table(self) -> list[tuple[str, str, int, str, str]]:
        """Rows to print: code, severity, number, first example, what to do."""
        return [
            (r.code, r.severity, r.n, " ".join(filter(None, [r.first.where, r.first.got and f"({r.first.got})"])), r.first.fix) for r in self.counts().values()
        ]

    def text(self, max_bad: float = 0.05) -> str:
        """The report for a reader, at most 100 columns wide."""
        data = self.dataset
        what = f"   {data.format} · {len(data):,} {self._noun()}" + self._holds()
        root = displayable(str(data.root))
        head = (root if len(root) + len(what) <= _WIDTH else "..." + root[len(what) + 3 - _WIDTH :]) + what
        lines = [head, *_wrapped(displayable(data.reason), " "), *self._statistics()]
        if self.problems:
            lines.append(f" {'code':<14} {'sev':<5} {'n':>6} first example, and what to do")
        for code, severity, n, example, fix in self.table():
            lines += [f" {code:<14} {severity:<5} {n:>6} {_cut(example, _WIDTH - 29)}", f" {'':<27} {_cut(fix, _WIDTH - 29)}"]
        numbers = [f"{self.severity(name)} {name if name != 'error' else 'errors'}" for name in SEVERITIES if self.severity(name)]
        share = f"{self.bad:,} of {self.total:,} samples left out ({self.bad_ratio:.1%}, allowed {max_bad:.1%})"
        return "\n".join([*lines, f"{' · '.join(numbers) or 'no problems'} · {share} · {self.seconds:.1f} s"])

    def _noun(self) -> str:
        """What the records are."""
        if self.dataset.format == "vectors":
            return f"vectors of {self.dataset.channels:,}"
        if self.dataset.format == "documents":
            return "documents"
        return "sequences" if has_sequences(self.dataset) else "images"

    def _holds(self) -> str:
        """The objects and classes of each head: ` · 4,120 boxes · 5 classes`, the classes told again only where they are others."""
        if plain(self.dataset):
            return f" · {len(self._names('label'))} classes"
        said, before = "", None
        for head, n in self.objects().items():
            names = self._names(head)
            said += f" · {n:,} {NOUNS[head][n != 1]}" + (f" · {len(names)} class{'es' if len(names) != 1 else ''}" if names and names != before else "")
            before = names or before
        return said

    def _statistics(self) -> list[str]:
        """Images, or objects, of each class by split, sizes, channels."""
        lines, head = [], self.head
        for split, counts in self.class_counts(objects=head in OBJECTS).items():
            shown = [f"{displayable(name)} {n:,}" for name, n in counts.items()]
            few = ", ".join(shown[:12]) + (f" and {len(shown) - 12} more classes" if len(shown) > 12 else "")
            images = len(self.dataset) if split == "all" else len(self.dataset.places(split))
            total = f"{sum(counts.values()):,}" if head == "label" else f"{images:,} images"
            lines += _wrapped(f"{split:<6} {total}" + (f": {few}" if shown or head == "label" else ""), " ")
        sizes = Counter(self.sizes).most_common()
        if sizes and self._noun() == "images":
            kind = "grey" if self.dataset.channels == 1 else "RGB"
            shown = [f"{w}x{h} ({n:,})" for (h, w), n in sizes[:3]]
            lines.append(f" sizes  {', '.join(shown)}" + (f" and {len(sizes) - 3:,} more" if len(sizes) > 3 else "") + f" · {kind}")
        return lines

    def write_csv(self, path: Path) -> None:
        """A row a problem: code, severity, where, got, fix, image (where `where` is another file); cells a spreadsheet would run begin with an apostrophe."""
        out = io.StringIO(newline="")
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["code", "severity", "where", "got", "fix", "image"])
        for p in self.problems:
            writer.writerow([harmless(cell) for cell in (p.code, p.severity or "", p.where, displayable(p.got), p.fix, p.image)])
        storage.atomic_write(Path(path), out.getvalue().encode("utf-8", "backslashreplace"))


def harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula.

    >>> harmless("=1+1"), harmless("cat.png")
    ("'=1+1", 'cat.png')
    """
    return "'" + cell if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def _cut(text: str, width: int) -> str:
    text = displayable(text)
    return text if len(text) <= width else text[: width - 3] + "..."


def _wrapped(text: str, indent: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent + "  ", break_long_words=True)
