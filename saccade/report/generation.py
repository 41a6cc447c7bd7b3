"""What reports of generative models have besides: samples, the training pictures nearest to them, strips, sliders, who judged, losses, what is wrong."""

from __future__ import annotations

import base64
from typing import Any

from saccade import storage
from saccade.errors import CODES
from saccade.report import plots
from saccade.report.facts import Facts
from saccade.report.page import paragraph, text
from saccade.report.sections import Section

SHEETS = {
    "samples": ("Samples", "Pictures that the model made of noise, none of them chosen; of a model that is told classes, in the proportions of the pictures."),
    "reconstructions": ("Reconstructions", "Pictures above, and below each what the mean of its code decodes to."),
    "interpolation": ("Strips", "Each row goes from one picture's code, or one sample's noise, to another's in even steps."),
    "sliders": (
        "Sliders",
        "In each row one code goes from -3 to 3 deviations while the others stay: the codes that change the picture most, the strongest first.",
    ),
    "nearest": ("Learnt by heart?", "Samples, and below each the training picture nearest to it by the judge's features: the same picture would be a copy."),
}
PLAYERS = ("train_discriminator", "train_generator")


def wrong(f: Facts) -> Section | None:
    """What an experienced person would say of these samples, with the advice."""
    alerts = _judge(f).get("alerts", [])
    if not alerts:
        return None
    lines = [f"{CODES[a['code']].text}: {a['text']}. Advice: {CODES[a['code']].fix}." for a in alerts if a.get("code") in CODES]
    return "wrong", "What is wrong", "".join(paragraph(line[:1].upper() + line[1:]) for line in lines)


def judged(f: Facts) -> Section | None:
    """Who judged the samples: without that a FID says nothing."""
    judge = _judge(f)
    if not judge.get("name"):
        return None
    own = "whose classes are those of the pictures" if judge.get("own") else "which knows nothing of these pictures' classes"
    words = f"Distances are of the last features of {judge['name']} ({judge.get('sha256', '')[:12]}), {own}: {judge.get('samples')} samples of the seed "
    words += f"{judge.get('seed')} beside {judge.get('pictures')} {f.evaluated} pictures. FID and KID compare only between models judged by the same network "
    words += "with as many samples; precision is the share of samples that lie among pictures, recall the share of pictures that lie among samples; variety is "
    words += "the spread of the samples over that of the pictures; copied is about 0.05 where nothing is learnt by heart."
    return "judge", "How samples are judged", paragraph(words, "soft")


def sheets(f: Facts) -> Section | None:
    """Every sheet that the evaluation drew."""
    inner = ""
    for name, (heading, words) in SHEETS.items():
        file = f.folder / "eval" / "pictures" / f"{name}.png"
        if file.is_file():
            data = base64.b64encode(file.read_bytes()).decode()
            inner += f"<h3>{text(heading)}</h3>{paragraph(words, 'soft')}"
            inner += f'<img class="sheet" style="max-width:100%" src="data:image/png;base64,{data}" alt="{text(heading)}">'
    return ("samples", "What it makes", inner) if inner else None


def players(f: Facts) -> Section | None:
    """The losses of generator and discriminator over the epochs."""
    drawn = plots.curves(f.epochs, PLAYERS, f.folder / "plots", "players", "Losses of both players")
    if not drawn or not any(PLAYERS[0] in row for row in f.epochs):
        return None
    words = "Where neither wins the discriminator's loss is near 2 log 2 = 1.39; near 0 it tells every drawing from a picture, and the generator learns little."
    return "players", "Both players", f'<div class="plots">{drawn}</div>' + paragraph(words, "soft")


def _judge(f: Facts) -> dict[str, Any]:
    file = f.folder / "eval" / "judge.json"
    return dict(storage.read_json(file)) if file.is_file() else {}


SECTIONS = (wrong, sheets, judged, players)
