"""What reports of codes have besides: reconstructions below their originals, the map coloured by label, densities of the codes and samples from them."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np

from saccade.report.facts import Facts
from saccade.report.map_drawing import svg
from saccade.report.page import interval, paragraph, table, text
from saccade.report.plots import inline
from saccade.report.sections import Section

KEY = "reconstruction_error"
NAMES = {"standard": "N(0, I)", "gaussian": "one Gaussian", "mixture": "a mixture of Gaussians", "kernel": "a kernel on every code"}


def error(f: Facts) -> Section | None:
    """The error beside those of the mean input and of PCA with as many codes."""
    own = f.metrics.get(KEY)
    beside = {name: floor for name, floor in f.floors.items() if isinstance(floor.get(KEY), dict)}
    if own is None or own.get("value") is None:
        return None
    rows = [["this model", interval(own, 5), "", ""]]
    for name, floor in beside.items():
        share = own["value"] / floor[KEY]["value"] if floor[KEY].get("value") else float("nan")
        rows.append([name, interval(floor[KEY], 5), f"{share:.2f}", f"{floor.get('trained_on', '')}"])
    heads = ["", "squared error a value", "this model's share of it", "fitted to"]
    words = "The mean squared difference between an input and its reconstruction, in squared units of the input; what the mean input leaves is the variance."
    return "error", "Reconstruction error", paragraph(words, "soft") + table(f"On the {f.evaluated} inputs, with 95 % intervals", heads, rows, words=[0])


def reconstructions(f: Facts) -> Section | None:
    """Originals above, reconstructions below: a random choice, and the worst."""
    shown = _picture(f.folder / "eval" / "pictures" / "reconstructions.png", "originals and reconstructions")
    if not shown:
        return None
    words = "Each original above its reconstruction: first a random choice, then those reconstructed worst."
    return "reconstructions", "Reconstructions", paragraph(words, "soft") + shown


def codes_map(f: Facts) -> Section | None:
    """The codes in the plane, coloured by label where there are labels."""
    rows = [row for row in f.table("map") if row.get("x") and row.get("y")]
    if len(rows) < 2:
        return None
    points = np.array([[float(row["x"]), float(row["y"])] for row in rows])
    labels = [row["label"] for row in rows]
    drawn = inline(svg(points, labels, title="Map of the codes"), "map", "Map of the codes")
    coloured = ", coloured by labels that nothing was learnt from" if any(labels) else ""
    words = f"{len(rows)} codes of {f.evaluated} inputs by {rows[0]['method']}{coloured}. A map to walk on: saccade map."
    return "map", "Map of the codes", paragraph(words, "soft") + f'<div class="plots">{drawn}</div>'


def densities(f: Facts) -> Section | None:
    """How well densities describe the codes, and what samples from them look like."""
    rows = f.table("density")
    if not rows:
        return None
    cells = [[NAMES.get(row["density"], row["density"]), f"{float(row['nats']):.2f}", row["fitted_to"], row["measured_on"]] for row in rows]
    inner = paragraph("Fitted to half of the codes and measured on the other half: -log p(code) in nats, less is better.", "soft")
    inner += table("Densities of the codes", ["", "nats a code", "fitted to", "measured on"], cells, words=[0])
    for row in rows:
        shown = _picture(f.folder / "eval" / "pictures" / f"samples_{row['density']}.png", f"samples of {row['density']}")
        inner += f"<h3>Decoded samples of {text(NAMES.get(row['density'], row['density']))}</h3>{shown}" if shown else ""
    return "densities", "Densities of the codes", inner


def _picture(path: Path, name: str) -> str:
    """A PNG of the run as a part of the page; empty where it is not there."""
    if not path.is_file():
        return ""
    return f'<p><img alt="{text(name)}" style="max-width:100%" src="data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"></p>'


SECTIONS = (error, reconstructions, codes_map, densities)
