"""Colour and depth: `color/` (or `rgb/`, `images/`) with `depth/`, or `x.png` with `x_depth.png`.

Whole numbers are millimetres unless a `camera.json` or `intrinsics.json` beside them has a `depth_scale` (units of one metre, or
metres of one unit when below 1); floats are metres. 0, and what is not finite, is not known.
"""

from __future__ import annotations

import posixpath
from typing import NamedTuple

from saccade.core import LabelSpace
from saccade.data.formats.masks_look import FEW, spread
from saccade.data.formats.pairs_match import Match, Words, answered, match, shown_folders
from saccade.data.formats.source import Found, Source
from saccade.data.formats.stored import DepthFile
from saccade.data.formats.strict_json import parse
from saccade.data.image import header
from saccade.errors import DataError

DEPTH = Words(frozenset("depth depths depth_map depth_maps depthmap depthmaps depth_raw depthleft sync_depth".split()), frozenset("depth depths".split()))
MILLIMETRE = 0.001
_CAMERAS = frozenset({"camera.json", "intrinsics.json", "camera_intrinsics.json", "camera_intrinsic.json"})


class Plan(NamedTuple):
    """Which depth map belongs to which image, and whether they hold floats."""

    found: Match
    floats: bool


def detect(source: Source) -> Plan | None:
    """The depth maps of more than 8 bits that are found beside images."""
    found = None if source.only else match(source.listing.files, DEPTH)
    if found is None:
        return None
    kinds = []
    for path in spread([source.root / answer for answer in found.answers.values()], FEW):
        try:
            seen = header(path, max_pixels=source.wishes.max_pixels)
        except DataError:
            continue
        kinds.append((seen.bits > 8 and seen.channels == 1, seen.mode == "F"))
    deep = [floats for is_deep, floats in kinds if is_deep]
    return Plan(found, all(deep)) if deep and len(deep) * 2 > len(kinds) else None


def load(source: Source, plan: Plan) -> Found:
    """A record for each image, its depth as a Stored truth. Raises DataError ANN-JSON for a camera file that cannot be read."""
    scale, why = (1.0, "floats, metres") if plan.floats else _scale(source)
    most = source.wishes.max_pixels
    truths = {image: DepthFile(source.root / path, scale, max_pixels=most) for image, path in plan.found.answers.items()}
    records, problems = answered(source, plan.found, "depth", truths)
    reason = f"depth in {shown_folders(plan.found)} ({len(truths):,} of {len(records):,} images), {why}"
    return Found(records, {"depth": LabelSpace(())}, reason, problems)


def _scale(source: Source) -> tuple[float, str]:
    """Metres of one unit, and where that comes from."""
    for name in source.labels(".json"):
        if posixpath.basename(name).lower() in _CAMERAS:
            content = parse(source.content(name, 1 << 20), name)
            value = content.get("depth_scale") if isinstance(content, dict) else None
            if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
                return (1 / value if value >= 1 else float(value)), f"depth_scale of {name}"
    return MILLIMETRE, "16 bits, millimetres"
