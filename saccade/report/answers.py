"""What reports of counting, and of answers that are pictures, have besides: answered against true counts; the gain over the picture as it was."""

from __future__ import annotations

from typing import Any

from saccade.report import plots
from saccade.report.facts import Facts
from saccade.report.page import interval, paragraph, table
from saccade.report.sections import Section

MOST = 12
"""Rows of the table of images."""

BEFORE = {"upscale": "bicubic interpolation", "denoise": "the picture as it came", "colorize": "the grey picture"}
NAMES = {
    "psnr": "PSNR on the luma (dB)", "ssim": "SSIM on the luma", "psnr_rgb": "PSNR over all channels (dB)", "delta_e": "colour difference (CIE 1976)",
    "chroma_share": "chroma, of the truth's",
}  # fmt: skip


def counts(f: Facts) -> Section | None:
    """Answered counts against true ones, an image a dot, and the images that are counted worst."""
    rows = [row for row in f.predictions if {"answered", "true"} <= set(row.get("facts") or {})]
    if not rows:
        return None
    drawn = scatter([{"id": row["id"], "true": row["facts"]["true"], "answered": row["facts"]["answered"]} for row in rows], f)
    ranked = sorted(rows, key=lambda row: -abs(row["facts"]["error"]))[:MOST]
    cells = [[row["id"], f"{row['facts']['true']:g}", f"{row['facts']['answered']:g}", f"{row['facts']['error']:g}"] for row in ranked]
    inner = table("Counted worst", ["image", "true", "answered", "error"], cells, words=[0])
    words = "On the line an image is counted rightly. Game1 to game3 add up the errors over 4, 16 and 64 parts of each image, so that what is found in the "
    return "counts", "Counts", f'<div class="plots">{drawn}</div>' + paragraph(words + "wrong place counts too.", "soft") + inner


def scatter(rows: list[dict[str, Any]], f: Facts) -> str:
    """plots/counts.svg and .csv: answered over true, with the line on which both are the same."""
    figure, axes = plots.new_figure(height=3.6)
    most = max(1.0, *(float(row[key]) for row in rows for key in ("true", "answered"))) * 1.05
    axes.plot([0, most], [0, most], color=plots.GREY, linewidth=0.8, linestyle=":")
    axes.scatter([row["true"] for row in rows], [row["answered"] for row in rows], s=18, color=plots.BLUE, alpha=0.7, linewidths=0)
    axes.set_xlim(-0.02 * most, most)
    axes.set_ylim(-0.02 * most, most)
    axes.set_xlabel("true number")
    axes.set_ylabel("answered number")
    axes.set_title("Counts (a dot an image)", loc="left")
    return plots.save(figure, rows, f.folder / "plots", "counts")


def gain(f: Facts) -> Section | None:
    """What the network adds to the picture as it was, measured on the same images."""
    keys = [key for key in NAMES if key in f.metrics and f"{key}_unchanged" in f.metrics]
    if not keys:
        return None
    before = BEFORE.get(f.task, "the input")
    cells = [[NAMES[key], interval(f.metrics[key]), interval(f.metrics[f"{key}_unchanged"])] for key in keys]
    first = keys[0]
    inner = table(f"On the {f.evaluated} images, with 95 % intervals", ["", "network", before], cells, words=[0])
    if (gained := f.metrics.get(f"{first}_gain")) and gained.get("value") is not None:
        inner = paragraph(f"Image by image the network is {interval(gained)} dB above {before}.") + inner
    return "gain", f"Beside {before}", inner


COUNT = (counts,)
PICTURES = (gain,)
