"""The sections of a report that every kind of answer has: the verdict, the numbers, the classes, the images that were drawn."""

from __future__ import annotations

from typing import Any

from saccade.report.facts import Facts
from saccade.report.page import interval, paragraph, picture, table
from saccade.report.sections import Section, honesty

DIGITS = 3
WORDS = {  # metric -> its name in sentences; others are shown as they are
    "mean_iou": "mean IoU", "iou": "IoU", "dice": "Dice", "pixel_accuracy": "pixel accuracy", "boundary_iou": "boundary IoU", "map50": "mAP at IoU 0.5",
    "map": "mAP at IoU 0.5 to 0.95", "map75": "mAP at IoU 0.75",
    "mar": "mean average recall", "map50_95": "mAP at IoU 0.5 to 0.95", "mae": "mean absolute error", "rmse": "root mean squared error", "psnr": "PSNR (dB)",
    "ssim": "SSIM", "pck": "PCK", "keypoint_map": "AP by OKS 0.5 to 0.95", "keypoint_map50": "AP at OKS 0.5",
    "elbo": "ELBO (nats)", "kl": "KL divergence (nats)", "reconstruction": "log p(x | z) (nats)",
    "log_likelihood": "log-likelihood by importance weights (nats)",
    "fid": "FID", "kid": "KID", "modes_covered": "share of the classes covered", "modes_divergence": "divergence of the classes (nats)",
    "f1": "F1", "cf1": "F1 by class", "of1": "F1 over all", "accuracy": "accuracy",
}  # fmt: skip


def verdict(f: Facts) -> Section:
    """What it is, how good it is, and which class is its weakness."""
    task, classes = f.run.get("task", ""), len(f.data.get("classes", []))
    kind = f", {classes} classes" if classes else ""
    what = f"A network ({f.run.get('model', 'of unknown kind')}, {task}{kind}) trained on {f.data.get('name', 'the data')}."
    monitor = str(f.run.get("monitor") or "")
    key = monitor if monitor in f.metrics else next(iter(f.metrics), None)
    if key is None or f.metrics[key].get("value") is None:
        return "verdict", "Verdict", paragraph(f"{what} There is no evaluation yet: the run is {f.run.get('status')}.", "lead")
    value = f.metrics[key]
    good = f"On {value['n']} {f.evaluated} images its {WORDS.get(key, key)} is {interval(value)}."
    return "verdict", "Verdict", paragraph(f"{what} {good}{_weakest(f, key)}", "lead") + honesty(f)


def _weakest(f: Facts, key: str) -> str:
    """The class with the lowest value of the decisive number, where the table of classes has it."""
    name = next((column for column in (key, key.removeprefix("mean_"), "ap", "ap50", "iou", "f1") if f.per_class and column in f.per_class[0]), None)
    rows = [row for row in f.per_class if name is not None and row[name] not in ("", "nan")]
    if name is None or len(rows) < 2:
        return ""
    worst = min(rows, key=lambda row: float(row[name]))
    return f" Its weakness is {worst['class']} ({WORDS.get(name, name)} {float(worst[name]):.3f})."


def numbers(f: Facts) -> Section:
    """Metrics with their intervals, and the classes."""
    if not f.metrics:
        return "metrics", "Metrics", paragraph("There is no evaluation yet.")
    rows = [[WORDS.get(key, key), interval(value), value.get("n")] for key, value in f.metrics.items()]
    inner = table(f"On the {f.evaluated} images, with 95 % intervals", ["", "value", "n"], rows, words=[0])
    for name, floor in f.floors.items():
        cells = [[WORDS.get(key, key), interval(floor[key])] for key in f.metrics if isinstance(floor.get(key), dict)]
        inner += table(f"Beside it: {name}", ["", "value"], cells, words=[0]) if cells else paragraph(f"{name}: {floor.get('unfinished', '')}", "soft")
        inner += paragraph(_compared(floor), "soft") if floor.get("paired") else ""
    return "metrics", "Metrics", inner + rows_table("By class", f.per_class)


def _compared(floor: dict[str, Any]) -> str:
    """What a simple model learned from, and the paired tests against it."""
    tests = [
        f"{WORDS.get(key, key)}, this network minus it on the same {test['n']} images: {test['difference']:+.3f} [{test['low']:+.3f}, {test['high']:+.3f}],"
        f" p = {test['p']:.2g}"
        for key, test in floor["paired"].items()
        if test.get("p") is not None
    ]
    return "; ".join([f"learned from {floor['trained_on']:,} images", *tests, *([floor["note"]] if floor.get("note") else [])]) + "."


def rows_table(caption: str, rows: list[dict[str, str]], most: int = 100) -> str:
    """A table of a CSV file's rows, at most so many; a value with _low and _high beside it is shown with its interval."""
    if not rows:
        return ""
    columns = [key for key in rows[0] if not key.endswith(("_low", "_high"))]
    shown = [[_cell(row, key) for key in columns] for row in rows[:most]]
    more = f", the first {most} of {len(rows)}" if len(rows) > most else ""
    return table(caption + more, columns, shown, words=[0])


def _cell(row: dict[str, str], key: str) -> str:
    text = row[key]
    try:
        value = float(text)
    except ValueError:
        return text or "–"
    if value != value:
        return "–"
    shown = text if text.lstrip("-").isdigit() else f"{value:.{DIGITS}f}"
    low, high = row.get(f"{key}_low", ""), row.get(f"{key}_high", "")
    return shown if "" in (low, high) or "nan" in (low, high) else f"{shown} [{float(low):.{DIGITS}f}, {float(high):.{DIGITS}f}]"


SHOWN = {"represent": "picture, reconstruction"}


def images(f: Facts) -> Section:
    """The worst images and a random choice, each as picture, truth and answer; where the truth is the picture itself, as picture and answer."""
    if not f.pictures:
        return "images", "Images", paragraph("There is no evaluation yet.")
    inner = ""
    for kind, heading in (("worst", "Worst: wrong, unsure, or wrongly labelled"), ("typical", "A random choice")):
        chosen = [item for item in f.pictures if item["kind"] == kind]
        if chosen:
            inner += f'<h3>{heading}</h3><div class="pairs">' + "".join(_figure(f, item) for item in chosen) + "</div>"
    return "images", f"Images: {SHOWN.get(f.task, 'picture, truth, answer')}", inner


def _figure(f: Facts, item: dict[str, Any]) -> str:
    path = f.folder / "eval" / item["picture"]
    facts = ", ".join(f"{WORDS.get(key, key)} {value:.3g}" for key, value in list(item["facts"].items())[:4] if value is not None)
    return picture(path.read_bytes() if path.is_file() else None, item["id"], [(item["id"], "soft"), (facts, "")])
