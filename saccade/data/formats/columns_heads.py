"""What the columns of a table say of an image, beside its path, split and group: by written rules, from their names and what is in them.

| found | when |
|---|---|
| boxes | columns called xmin ymin xmax ymax (x1 y1 x2 y2, left top right bottom), or x y w h; a column bbox of four numbers; without a header: four
  columns of numbers. Where the names do not say, they are corners when every third number is above the first and every fourth above the second,
  else x y width height |
| points | columns called x y (without a width); without a header: two columns of numbers, several rows an image |
| caption | a column called caption, sentence, text, ...; any column of mostly different texts of three words and more |
| label | a column called label, class, ...; else the only column, or the only one whose values come back often |
| labels | several columns of 0 and 1 (-1 and empty: not known; without any 0, -1 is no); a column whose cells hold lists: a;b or a\\|b, or
  with spaces or commas where its name is a plural (labels, tags) |
| number | a column called number; a column with fractions and at least 8 different values; whole numbers when the column is called so (count,
  age, n_objects, ...) and has at least 8 different values, or when more than 20 values and more than half of them differ; never whole
  numbers in a column called label |

With a column called label, columns of 0 and 1 and of numbers beside it are something else, and left alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from saccade.errors import DataError
from saccade.label_space import QUESTION

# fmt: off
LABEL = frozenset(
    "label labels class classes classname class_name class_id classid category category_id target label_name labelname label_id diagnosis species".split()
)
SINGLE = frozenset("class_name classname label_name labelname".split())
"""Columns of these names hold one class each, whatever their cells look like."""
_PLURAL = frozenset("labels tags classes categories attributes finding_labels findings keywords".split())
CAPTION = frozenset("caption captions sentence sentences text comment description raw title transcription transcript".split())
_NUMBER = frozenset(
    "count counts number num n age weight height length width area volume score price value temperature angle distance speed year mass depth amount "
    "percentage size cells objects total".split()
)
_X1 = "xmin x_min x1 x0 left bbox_xmin bbox_x_min bbox_x1 bbox_left box_xmin x_1 minx min_x".split()
_Y1 = "ymin y_min y1 y0 top bbox_ymin bbox_y_min bbox_y1 bbox_top box_ymin y_1 miny min_y".split()
_X2 = "xmax x_max x2 right bbox_xmax bbox_x_max bbox_x2 bbox_right box_xmax x_2 maxx max_x".split()
_Y2 = "ymax y_max y2 bottom bbox_ymax bbox_y_max bbox_y2 bbox_bottom box_ymax y_2 maxy max_y".split()
_X = ["x", "bbox_x", "box_x", *_X1]
_Y = ["y", "bbox_y", "box_y", *_Y1]
_W = "w width bbox_w bbox_width box_w box_width".split()
_H = "h height bbox_h bbox_height box_h box_height".split()
_PX = "x cx x_px px pos_x x_pos x_coord xcoord x_coordinate col column center_x centre_x x_center x_centre point_x".split()
_PY = "y cy y_px py pos_y y_pos y_coord ycoord y_coordinate row row_px center_y centre_y y_center y_centre point_y".split()
_BOX = frozenset("bbox box bounding_box boundingbox bboxes".split())
_BINARY = frozenset(["0", "1", "-1", "", "0.0", "1.0", "-1.0", "true", "false", "yes", "no", "nan"])
YES, NO = frozenset(["1", "1.0", "true", "yes"]), frozenset(["0", "0.0", "false", "no"])
# fmt: on
KINDS = ("label", "labels", "number", "points", "boxes", "caption")
QUESTIONS = QUESTION
"""The form of several columns of one class each: the labels are colour=red, shape=square."""
MANY = frozenset({"points", "boxes", "caption"})
"""Heads of which an image may have several rows."""
_DIFFERENT = 8
_SENTENCE = 3.0


class Head(NamedTuple):
    """One head and its columns. form: corners or sizes of boxes, with "text " before it when one cell holds the four numbers; the separator
    of a list of labels, "" for a column a class.

    of: the column of the classes of boxes or points, None = all are of one.
    """

    kind: str
    columns: tuple[int, ...]
    form: str = ""
    of: int | None = None

    def describe(self, names: Sequence[str]) -> str:
        """`boxes=xmin, ymin, xmax, ymax of class name`; names of the columns, or `column 3`."""
        shown = ", ".join(names[i] for i in self.columns[:4]) + (f" and {len(self.columns) - 4} more" if len(self.columns) > 4 else "")
        list_of = f" separated by {'spaces' if self.form == ' ' else self.form}" if self.kind == "labels" and self.form not in ("", QUESTIONS) else ""
        return (
            f"{self.kind}={shown}{list_of}"
            + (" (x y width height)" if self.form.endswith("sizes") else "")
            + (f" of class {names[self.of]}" if self.of is not None else "")
        )


@dataclass(frozen=True)
class Column:
    """The cells of a column, stripped, and its name in lower case, "" without a header."""

    name: str
    cells: Sequence[str]

    @cached_property
    def different(self) -> frozenset[str]:
        return frozenset(self.cells) - {""}

    @cached_property
    def numbers(self) -> tuple[float, ...] | None:
        """The different numbers, None when a cell is none."""
        try:
            found = tuple(float(cell) for cell in self.different)
        except ValueError:
            return None
        return found if found and all(map(math.isfinite, found)) else None

    @property
    def mostly_numbers(self) -> bool:
        """Whether at least half of its different cells are numbers, or all are empty: enough for a column whose name says so."""
        return 2 * sum(_is_number(cell) for cell in self.different) >= len(self.different)

    @property
    def binary(self) -> bool:
        return bool(self.different) and {cell.lower() for cell in self.different} <= _BINARY

    @cached_property
    def fours(self) -> list[tuple[float, ...]] | None:
        """The four numbers in each cell that is not empty, such as [1, 2, 30, 40]; None when a cell holds anything else."""
        found = [four(cell) for cell in self.different]
        return [numbers for numbers in found if numbers] if found and all(found) else None

    @property
    def words(self) -> frozenset[str]:
        return frozenset(self.name.split("_"))

    def is_number(self) -> bool:
        """Whether it is a number to regress, see the table above."""
        numbers = self.numbers
        if numbers is not None and self.name == "number":
            return True
        if numbers is None or len(numbers) < _DIFFERENT or self.name in SINGLE:
            return False
        if any(value != int(value) for value in numbers):
            return True
        if self.name in LABEL:
            return False
        return bool(self.words & _NUMBER) or (len(numbers) > 20 and len(numbers) * 2 > len(self.cells))

    def is_caption(self) -> bool:
        """Whether its cells are sentences: by its name, or by the number of their words."""
        if self.name in LABEL or self.numbers is not None or not self.different:
            return False
        if self.name in CAPTION:
            return True
        mean = sum(len(cell.split()) for cell in self.different) / len(self.different)
        return mean >= _SENTENCE and len(self.different) * 2 > len(self.cells) and not self.separator()

    def separator(self) -> str:
        """What separates the labels of a list in its cells; "" when they are no lists."""
        if self.name in SINGLE:
            return ""
        plural = self.name in _PLURAL or self.name.endswith(("_labels", "_tags", "_classes"))
        for mark in (";", "|", *((",", " ") if plural else ())):
            parts = {part.strip() for cell in self.different for part in cell.split(mark)}
            if any(mark in cell for cell in self.different) and all(len(part.split()) <= 5 for part in parts):
                return mark
        return ""

    def head(self, at: int, default: str = "label") -> Head:
        """The head that one column gives."""
        if mark := self.separator():
            return Head("labels", (at,), mark)
        if self.is_caption():
            return Head("caption", (at,))
        return Head("number" if self.is_number() else default, (at,))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def four(cell: str) -> tuple[float, ...] | None:
    """The four numbers of a cell such as `[1, 2, 30, 40]` or `1 2 30 40`, None when there is anything else in it."""
    parts = cell.strip("[]() ").replace(",", " ").split()
    try:
        return tuple(float(part) for part in parts) if len(parts) == 4 else None
    except ValueError:
        return None


def heads_of(columns: Mapping[int, Column], several: bool, where: str) -> tuple[Head, ...]:
    """The heads of the columns that are left. several: some images have several rows. Raises DataError ANN-COLUMNS when no head can be told."""
    headed = any(column.name for column in columns.values())
    found = _objects(columns, several) if not headed else _named_objects(columns)
    if found is not None:
        rest = {i: column for i, column in columns.items() if i not in found.columns}
        named = [i for i, column in rest.items() if column.name in LABEL or column.name in ("name", "object", "type")]
        texts = [i for i, column in rest.items() if column.numbers is None and column.different]
        plain = list(rest) if not headed else []
        of = next(iter(named or (texts if len(texts) == 1 else []) or (plain if len(plain) == 1 else [])), None)
        return (found._replace(of=of),)
    captions = [i for i, column in columns.items() if column.name in CAPTION and column.is_caption()]
    label = next((i for i, column in columns.items() if column.name in LABEL), None)
    if label is not None:
        return (columns[label].head(label), *(Head("caption", (i,)) for i in captions[:1]))
    binary = [i for i, column in columns.items() if column.binary] if headed else []
    numbers = [i for i, column in columns.items() if i not in binary and column.is_number()]
    heads = [Head("caption", (i,)) for i in captions[:1]]
    if len(binary) >= 2 and (len(binary) >= 4 or len(binary) + len(numbers) + len(captions) == len(columns)):
        heads.append(Head("labels", tuple(binary)))
    if len(numbers) == 1 and (heads or len(columns) == 1):
        heads.append(Head("number", (numbers[0],)))
    return tuple(heads) or (_by_content(columns, where),)


def _named_objects(columns: Mapping[int, Column]) -> Head | None:
    """Boxes or points by the names of columns of numbers."""
    names = {column.name: i for i, column in columns.items() if column.mostly_numbers}

    def place(options: Sequence[str]) -> int | None:
        return next((names[option] for option in options if option in names), None)

    for kind, form, wanted in (("boxes", "corners", (_X1, _Y1, _X2, _Y2)), ("boxes", "sizes", (_X, _Y, _W, _H)), ("points", "", (_PX, _PY))):
        places = [place(options) for options in wanted]
        if len({i for i in places if i is not None}) == len(wanted):
            return Head(kind, tuple(i for i in places if i is not None), form)
    texts = [(i, column.fours) for i, column in columns.items() if column.name in _BOX and column.fours]
    return Head("boxes", (texts[0][0],), f"text {_form(texts[0][1] or [])}") if texts else None


def _form(rows: Sequence[Sequence[float]]) -> str:
    """Whether rows of four numbers are corners, or a corner and sizes."""
    return "corners" if all(c > a and d > b for a, b, c, d in rows) else "sizes"


def _objects(columns: Mapping[int, Column], several: bool) -> Head | None:
    """Boxes or points of a table without a header: four columns of numbers, or two in a table with several rows an image, and at most one more column."""
    numeric = [i for i, column in columns.items() if column.numbers is not None]
    rest = [i for i in columns if i not in numeric]
    if len(rest) > 1:
        return None
    if len(numeric) == 5 and not rest:  # a number of the class stands last
        numeric = numeric[:4]
    if len(numeric) == 4:
        x1, y1, x2, y2 = (columns[i].cells for i in numeric)
        rows = [(float(a), float(b), float(c), float(d)) for a, b, c, d in zip(x1, y1, x2, y2, strict=True) if a and b and c and d]
        return Head("boxes", tuple(numeric), _form(rows))
    different = max((len(columns[i].different) for i in numeric[:2]), default=0)
    if several and (len(numeric) == 2 or (len(numeric) == 3 and not rest)) and different > max(2, len(columns[numeric[0]].cells) // 3):
        return Head("points", tuple(numeric[:2]))
    return None


def _by_content(columns: Mapping[int, Column], where: str) -> Head:
    """The one column whose values come back often enough to be classes. Raises DataError ANN-COLUMNS when it is none or several."""
    if len(columns) == 1:
        ((at, column),) = columns.items()
        return column.head(at)
    rows = max((len(column.cells) for column in columns.values()), default=0)
    few = [i for i, column in columns.items() if 2 <= len(column.different) <= max(2, rows // 3)]
    if len(few) == 1:
        return columns[few[0]].head(few[0])
    telling = [i for i, column in columns.items() if column.is_caption() or column.separator()]
    if not few and len(telling) == 1:
        return columns[telling[0]].head(telling[0])
    shown = ", ".join(f"{columns[i].name or i + 1} ({len(columns[i].different)} values)" for i in few or columns)
    got = f"several columns could be the label: {shown}" if few else f"no column could be the label{': ' + shown if shown else ''}"
    raise DataError("ANN-COLUMNS", got, where=where, fix="say which with --label COLUMN, or name it label")
