"""Drawing of truths and answers on pictures: boxes, names on coloured ground, masks, skeletons, depth, and text below the picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from saccade.label_space import PALETTE, LabelSpace

if TYPE_CHECKING:
    from saccade.targets.boxes import Boxes

Colour = tuple[int, int, int]
GREY: Colour = (136, 136, 136)
WHITE: Colour = (255, 255, 255)
MOST_LINES = 12  # of text below a picture
SMALL = 160  # pixels of the shorter side, below which names stand under the picture rather than on it
CROWDED = 0.15  # of the picture covered by names is too much
_NEAREST_FIRST = cv2.COLORMAP_VIRIDIS


class Canvas:
    """A copy of an image (H, W, 3) uint8 that is drawn on. Lines and letters grow with it: one pixel and nine pixels at least.

    On a small picture names would cover what they name: they stand below it then, on the same colours.

    Raises ValueError for an image of another shape or type.
    """

    def __init__(self, image: np.ndarray) -> None:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
            raise ValueError(f"an image of shape {image.shape} and type {image.dtype}, expected (H, W, 3) uint8 that is not empty")
        self.pixels = np.ascontiguousarray(image).copy()
        self.height, self.width = image.shape[:2]
        side = min(self.height, self.width)
        self.small = side < SMALL
        self.line = 1 if self.small else min(6, max(2, round(side / 350)))
        self.letters = min(36, max(9, round(side / 34)))
        self._named: list[tuple[Colour, str]] = []
        self._below: list[np.ndarray] = []

    def finish(self) -> np.ndarray:
        """The picture with what was written below it: (H or more, W, 3) uint8."""
        self.legend(self._named)
        self._named = []
        return np.concatenate([self.pixels, *self._below])

    def fits(self, size: Sequence[int], what: str) -> None:
        """Raises ValueError when a plane is not as large as the image."""
        if tuple(size) != (self.height, self.width):
            raise ValueError(f"{what} of size {tuple(size)} on an image of size {(self.height, self.width)}; warp one to the other")

    # shapes ------------------------------------------------------------------------------------------------------

    def polyline(self, points: np.ndarray, colour: Colour, *, closed: bool = False, dashed: bool = False) -> None:
        """Lines through (m, 2) points; those that lead to a point that is not finite are left out."""
        ends = np.concatenate([points, points[:1]]) if closed else points
        for a, b in pairwise(ends):
            if np.isfinite([a, b]).all():
                self._segment(a, b, colour, dashed)

    def _segment(self, a: np.ndarray, b: np.ndarray, colour: Colour, dashed: bool) -> None:
        seen, a_px, b_px = cv2.clipLine((-64, -64, self.width + 128, self.height + 128), _pixel(a), _pixel(b))
        if not seen:
            return
        pieces = max(1, int(np.hypot(b_px[0] - a_px[0], b_px[1] - a_px[1]) / (7 * self.line + 4))) if dashed else 1
        marks = np.linspace(a_px, b_px, 2 * pieces if dashed else 2)
        for start, end in zip(marks[0::2], marks[1::2], strict=True):
            cv2.line(self.pixels, _pixel(start), _pixel(end), colour, self.line, cv2.LINE_AA)

    def arrow(self, a: np.ndarray, b: np.ndarray, colour: Colour) -> None:
        """A line from a to b with a head at b."""
        length = max(1.0, float(np.hypot(*(b - a))))
        cv2.arrowedLine(self.pixels, _pixel(a), _pixel(b), colour, self.line, cv2.LINE_AA, tipLength=min(0.5, (6 + 4 * self.line) / length))

    def dot(self, point: np.ndarray, colour: Colour, *, filled: bool = True) -> None:
        """A disc of a colour with a white edge, or a white one with an edge of the colour."""
        radius = 2 * self.line
        cv2.circle(self.pixels, _pixel(point), radius + self.line, WHITE if filled else colour, -1, cv2.LINE_AA)
        cv2.circle(self.pixels, _pixel(point), radius, colour if filled else WHITE, -1, cv2.LINE_AA)

    def mask(self, mask: np.ndarray, colour: Colour) -> None:
        """A veil of a colour over the set pixels (H, W) bool, with its edge."""
        if not mask.any():
            return
        mixed = 0.55 * self.pixels[mask] + 0.45 * np.array(colour)
        self.pixels[mask] = np.round(mixed).astype(np.uint8)
        edges, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(self.pixels, edges, -1, colour, self.line)

    def veil(self, colours: np.ndarray, where: np.ndarray, share: float = 0.6) -> None:
        """Colours (H, W, 3) over the picture where (H, W) bool is set."""
        mixed = (1 - share) * self.pixels[where] + share * colours[where]
        self.pixels[where] = np.round(mixed).astype(np.uint8)

    def boxes(self, boxes: Boxes, labels: LabelSpace, words: Sequence[str] | None = None) -> None:
        """Boxes in the colours of their classes with name and score; crowds and difficult ones dashed. words: written instead of the names.

        Where the names would cover much of the picture, the classes are counted below it instead.
        """
        xyxy, classes = boxes.xyxy.cpu().numpy(), boxes.classes.tolist()
        dashed = [any(flag is not None and bool(flag[i]) for flag in (boxes.crowd, boxes.difficult)) for i in range(len(boxes))]
        for row, box in enumerate(xyxy):
            self.polyline(box[[0, 1, 2, 1, 2, 3, 0, 3]].reshape(4, 2), colour_of(labels, classes[row]), closed=True, dashed=dashed[row])
        if words is None and len(boxes) * 6 * self.letters**2 > CROWDED * self.height * self.width:
            self._named += [(colour_of(labels, k), f"{name_of(labels, k)} {classes.count(k)}") for k in sorted(set(classes))]
            return
        for row, box in enumerate(xyxy):
            word = name_of(labels, classes[row]) if words is None else words[row]
            score = "" if boxes.scores is None else f" {float(boxes.scores[row]):.2f}"
            self.tag(box[:2], word + score, colour_of(labels, classes[row]))

    # text --------------------------------------------------------------------------------------------------------

    def tag(self, corner: np.ndarray, text: str, colour: Colour) -> None:
        """A name on a ground of a colour, above a corner (x, y) where there is room, else below it; under the picture when that is small."""
        if self.small:
            self._named.append((colour, text))
        else:
            self.mark(corner, text, colour)

    def mark(self, corner: np.ndarray, text: str, colour: Colour) -> None:
        """The same on the picture whatever its size, always inside of it."""
        if not np.isfinite(corner).all() or not text:
            return
        patch = self._written(text, colour, self.width)[: self.height]
        h, w = patch.shape[:2]
        x, y = (int(np.clip(v, -1e6, 1e6)) for v in corner)
        top = y - h if y - h >= 0 else y
        left, top = max(0, min(x, self.width - w)), max(0, min(top, self.height - h))
        self.pixels[top : top + h, left : left + w] = patch

    def below(self, text: str, colour: Colour = WHITE) -> None:
        """Text under the picture, wrapped to its width, on a ground of a colour; the last line allowed ends in an ellipsis."""
        room = MOST_LINES - len(self._below)
        lines = self._wrapped(text, room + 1)
        for line in lines[:room]:
            last = len(lines) > room and line is lines[room - 1]
            self._below.append(self._full(self._written(line + (" …" if last else ""), colour, self.width), colour))

    def legend(self, entries: Iterable[tuple[Colour, str]]) -> None:
        """Names on their colours side by side under the picture, as many rows as they need, at most MOST_LINES."""
        rows: list[list[np.ndarray]] = [[]]
        for colour, text in entries:
            patch = self._written(text, colour, self.width)
            if rows[-1] and sum(p.shape[1] for p in rows[-1]) + patch.shape[1] > self.width:
                rows.append([])
            rows[-1].append(patch)
        for row in rows[: MOST_LINES - len(self._below)]:
            if row:
                self._below.append(self._full(np.concatenate(row, axis=1), WHITE))

    def strip(self, colours: Sequence[Colour]) -> None:
        """A row of fields of equal width under the picture, one a colour."""
        if not len(colours):
            return
        field = np.minimum(np.arange(self.width) * len(colours) // self.width, len(colours) - 1)
        row = np.array(colours, np.uint8)[field]
        self._below.append(np.repeat(row[None], self.letters, axis=0))

    def picture(self, pixels: np.ndarray) -> None:
        """Another picture (h, w, 3) uint8 under this one, scaled to its width."""
        height = max(1, round(pixels.shape[0] * self.width / pixels.shape[1]))
        how = cv2.INTER_AREA if self.width < pixels.shape[1] else cv2.INTER_NEAREST
        self._below.append(cv2.resize(pixels, (self.width, height), interpolation=how))

    def _full(self, patch: np.ndarray, colour: Colour) -> np.ndarray:
        out = np.empty((patch.shape[0], self.width, 3), np.uint8)
        out[:] = colour
        out[:, : patch.shape[1]] = patch[:, : self.width]
        return out

    def _written(self, text: str, colour: Colour, room: int) -> np.ndarray:
        """(h, w, 3) uint8: one line of text on its ground, shortened with an ellipsis to a width."""
        from PIL import Image, ImageDraw

        font, margin = _font(self.letters), max(1, self.letters // 8)
        text = _shortened(" ".join(text.split()), font, room - 2 * margin)
        ascent, descent = font.getmetrics()
        patch = Image.new("RGB", (min(room, int(np.ceil(font.getlength(text))) + 2 * margin), ascent + descent), colour)
        ImageDraw.Draw(patch).text((margin, 0), text, fill=ink_on(colour), font=font)
        return np.asarray(patch)

    def _wrapped(self, text: str, most: int) -> list[str]:
        """Lines no wider than the picture, at most so many; a word that is too long is cut."""
        font, room = _font(self.letters), self.width - 2 * max(1, self.letters // 8)
        lines = [""]
        for word in text[: 40 * self.width].split():
            while word and len(lines) <= most:
                joined = f"{lines[-1]} {word}".strip()
                if font.getlength(joined) <= room:
                    lines[-1], word = joined, ""
                elif lines[-1]:
                    lines.append("")
                else:
                    fitting = max(1, len(_shortened(word, font, room)) - 1)
                    lines[-1], word = word[:fitting], word[fitting:]
                    lines.append("")
        return [line for line in lines if line][:most] or [""]


def depth_colours(metres: np.ndarray) -> tuple[np.ndarray, float, float]:
    """(h, w) -> (h, w, 3) uint8, bright where near: the inverse depth between the 2nd and the 98th percentile; and these two in metres.

    What is not finite or not in front comes out black; without any known depth the range is (0, 0).
    """
    known = np.isfinite(metres) & (metres > 0)
    if not known.any():
        return np.zeros((*metres.shape, 3), np.uint8), 0.0, 0.0
    near, far = np.percentile(metres[known], [2, 98])
    inverse = 1 / np.where(known, metres, 1.0)
    level = np.clip((inverse - 1 / far) / max(1 / near - 1 / far, 1e-9), 0, 1)
    colours = cv2.applyColorMap(np.round(255 * level).astype(np.uint8), _NEAREST_FIRST)[..., ::-1]
    return np.where(known[..., None], colours, 0).astype(np.uint8), float(near), float(far)


def ink_on(colour: Colour) -> Colour:
    """Black or white, whichever can be read on a colour.

    >>> ink_on((0, 0, 128)), ink_on((255, 255, 0))
    ((255, 255, 255), (0, 0, 0))
    """
    return (0, 0, 0) if 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 140 else WHITE


def name_of(labels: LabelSpace, index: int) -> str:
    """The name of a class; what is ignored is "unknown", what the label space does not hold is its number."""
    if index < 0:
        return "unknown"
    return labels.names[index] if index < len(labels) else f"class {index}"


def colour_of(labels: LabelSpace, index: int) -> Colour:
    """The colour of a class, one of the palette for a number that the label space does not hold."""
    return labels.rgb(index) if index < len(labels) else of_palette(index)


def of_palette(index: int) -> Colour:
    """Colours for what has no class: rows, key points."""
    text = PALETTE[index % len(PALETTE)]
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def _pixel(point: np.ndarray) -> tuple[int, int]:
    x, y = (round(float(np.clip(v, -1e6, 1e6))) for v in point)
    return x, y


def _shortened(text: str, font: Any, room: float) -> str:
    """The text, or as much of it as fits with an ellipsis."""
    if font.getlength(text[: int(room) + 1]) <= room and len(text) <= room:
        return text
    low, high = 0, min(len(text), int(room) + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if font.getlength(text[:middle] + "…") <= room else (low, middle - 1)
    return text[:low] + "…"


@lru_cache(maxsize=64)
def _font(size: int) -> Any:
    """DejaVu Sans, which matplotlib brings: Latin, Greek, Cyrillic and many signs."""
    from pathlib import Path

    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)
