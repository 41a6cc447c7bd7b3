"""The sections of a report, each a function of the facts that gives (anchor, heading, HTML)."""

from __future__ import annotations

import shlex
from collections import Counter
from typing import Any

from saccade.report import plots
from saccade.report.facts import Facts
from saccade.report.page import interval, paragraph, picture, table, text
from saccade.report.thumbnails import thumbnail

Section = tuple[str, str, str]
WORST, BEST, CELLS = 24, 12, 6
LARGEST_MATRIX = 30  # classes; more are shown as a list of pairs
FLOOR_NAMES = {"majority": "the most frequent class", "bayes": "naive Bayes", "nearest": "nearest neighbour", "logistic": "logistic regression"}
FLOOR_NAMES |= {"naive_bayes": "naive Bayes of black and white pixels"}
NAMES = {
    "accuracy": "accuracy",
    "accuracy_top5": "top-5 accuracy",
    "auroc": "AUROC",
    "ece": "ECE",
    "f1": "F1 (macro)",
    "coverage": "answered",
}


def verdict(f: Facts) -> Section:
    """What it is, how good it is beside the best simple model, and its largest weakness: three sentences."""
    accuracy, task, classes = f.metrics.get("accuracy"), f.run.get("task", ""), len(f.data.get("classes", []))
    what = f"A network ({f.run.get('model', 'of unknown kind')}, {task}, {classes} classes) trained on {f.data.get('name', 'the data')}."
    if not accuracy or accuracy.get("value") is None:
        return "verdict", "Verdict", paragraph(f"{what} There is no evaluation yet: the run is {f.run.get('status')}.", "lead")
    good = f"It names {100 * accuracy['value']:.1f} % of {accuracy['n']} {f.evaluated} images rightly (95 % interval {_percent(accuracy)})"
    good += _beside(accuracy["value"], f.best_floor, "accuracy", "p") + "."
    area = f.metrics.get("auroc", {})
    if f.best_auroc_floor and area.get("value") is not None:
        good += f" Its AUROC is {interval(area)}" + _beside(area["value"], f.best_auroc_floor, "auroc", "p_auroc") + "."
    return "verdict", "Verdict", paragraph(f"{what} {good} {_weakness(f)}", "lead") + _above(f) + honesty(f)


def _beside(own: float, best: tuple[str, dict[str, Any]] | None, key: str, p: str) -> str:
    """What the best simple model reaches, and whether the difference is more than chance."""
    if not best:
        return "; no simple model was measured beside it"
    name, floor = best
    value = floor[key]["value"]
    shown = f"{100 * value:.1f} %" if key == "accuracy" else f"{value:.3f}"
    told = f"; the best simple model, {FLOOR_NAMES.get(name, name)}, reaches {shown}"
    if floor.get(p) is None:
        return told
    size = "no more than chance would do" if floor[p] >= 0.05 else "more than chance would do"
    return f"{told}, a difference that is {size} (paired test, p = {floor[p]:.2g})" if value != own else f"{told} too"


def _above(f: Facts) -> str:
    """One line that says whether the network earned its place."""
    key, best = ("auroc", f.best_auroc_floor) if f.best_auroc_floor else ("accuracy", f.best_floor)
    own = f.metrics.get(key, {}).get("value")
    if not best or own is None:
        return ""
    p = best[1].get("p_auroc" if key == "auroc" else "p")
    if p is not None and p < 0.05:
        if own > best[1][key]["value"]:
            return '<p class="call ok">It is better than every simple model.</p>'
        return '<p class="call no">It is worse than a simple model: train longer, or use that.</p>'
    return '<p class="call">It is not shown to be better than a simple model: more test images, or longer training, would tell.</p>'


def _percent(value: dict[str, Any]) -> str:
    return f"{100 * value['low']:.1f} to {100 * value['high']:.1f} %" if value.get("low") is not None else "unknown"


def _weakness(f: Facts) -> str:
    rows = [r for r in f.per_class if int(r["support"]) > 0]
    pairs = Counter((r["truth"], r["answer"]) for r in f.predictions if r["correct"] is False)
    if not pairs:
        return "No image was named wrongly, which says more about the images than about the network when they are few."
    (truth, answer), n = pairs.most_common(1)[0]
    confused = f"the most frequent confusion is {truth} taken for {answer} ({n} {'time' if n == 1 else 'times'})"
    if not rows:
        return f"Its weakness: {confused}."
    worst = min(rows, key=lambda r: float(r["recall"]))
    return f"Its weakness: of {worst['class']} it finds {100 * float(worst['recall']):.0f} % ({worst['support']} images), and {confused}."


def honesty(f: Facts) -> str:
    """What must be said of images that were trained on or chosen by."""
    if f.evaluated == "val":
        return paragraph(
            "These images also chose the epoch and the calibration, so the numbers are somewhat too good; keep a test part aside with --test 0.2.", "soft"
        )
    if f.evaluated == "train":
        return paragraph("These are the images that it was trained on: the numbers say nothing about new ones.", "no")
    return ""


def data(f: Facts) -> Section:
    """Counts by part and class, and the problems of the files."""
    parts = f.data.get("counts", {})
    if not parts:
        return "data", "Data", paragraph("The data were not read to the end.")
    inner = paragraph(f"{f.private(f.data.get('reason', ''))}. Split: {f.data.get('split_reason', 'as the data say')}.")
    names = f.data["classes"]
    totals = ["all", *(sum(c.values()) for c in parts.values())]
    shown = [[name, *(counts.get(name, 0) for counts in parts.values())] for name in names[:60]]
    inner += table(
        "Images by class and part" + (f", the first 60 of {len(names)} classes" if len(names) > 60 else ""), ["class", *parts], [totals, *shown], words=[0]
    )
    total = {name: sum(c.get(name, 0) for c in parts.values()) for name in names}
    inner += f'<div class="plots">{plots.bars(total, f.folder / "plots", "classes", "Images by class")}</div>'
    return "data", "Data", inner + _problems(f)


def _problems(f: Facts) -> str:
    if not f.problems:
        return paragraph("Every file was read; no problem was found.")
    counted = Counter((p["code"], p["severity"], p["fix"]) for p in f.problems)
    first = {p["code"]: p for p in reversed(f.problems)}
    rows = [[code, severity, n, f.private(f"{first[code]['where']} {first[code]['got']}".strip()), fix] for (code, severity, fix), n in counted.most_common()]
    return table("Problems of the data; all of them are in data_problems.csv", ["code", "severity", "n", "first", "what to do"], rows, words=[3, 4])


def training(f: Facts) -> Section:
    """The curves, and what was noticed on the way."""
    if not f.epochs:
        return "training", "Training", paragraph("No epoch was finished.")
    folder, metric = f.folder / "plots", str(f.run.get("monitor") or "accuracy")
    drawn = [
        plots.curves(f.epochs, ["train_loss", "val_loss"], folder, "loss", "Loss"),
        plots.curves(f.epochs, [metric] if metric != "val_loss" else ["accuracy"], folder, "metric", f"Validation {metric}"),
        plots.curves(f.epochs, ["lr"], folder, "lr", "Learning rate"),
    ]
    last = f.epochs[-1]
    best = f.run.get("best") or {}
    words = f"{last['epoch']} epochs in {last['seconds']:.0f} s, {last['images_per_s']:.0f} images/s; "
    words += f"the weights kept are those of epoch {best.get('epoch', last['epoch'])}"
    smoothed = " (training images are changed at random, so its loss may lie above that of validation)"
    alerts = "".join(f'<li class="no">{text(a["code"])}: {text(f.private(a["text"]))}</li>' for a in f.alerts[:20])
    return (
        "training",
        "Training",
        paragraph(words + smoothed) + f'<div class="plots">{"".join(d for d in drawn if d)}</div>' + (f"<ul>{alerts}</ul>" if alerts else ""),
    )


def numbers(f: Facts) -> Section:
    """Metrics with intervals, the floors beside them, and the classes."""
    if not f.metrics:
        return "metrics", "Metrics", paragraph("There is no evaluation yet.")
    keys = list(f.metrics)
    rows = [_with_p("this network", [interval(f.metrics[k]) for k in keys], "", "")]
    for name, floor in f.floors.items():
        if "unfinished" in floor:
            rows.append(_with_p(FLOOR_NAMES.get(name, name), ["–"] * len(keys), "", f"unfinished: {floor['unfinished']}"))
        else:
            p = f"{floor['p']:.2g}" if floor.get("p") is not None else ""
            cells = [interval(floor[k]) if k in floor else "–" for k in keys]
            rows.append(_with_p(FLOOR_NAMES.get(name, name), cells, p, floor.get("note", "")))
    heads = _with_p("", [NAMES.get(k, k) for k in keys], "p", "")
    if all(not row[-1] for row in rows):
        heads, rows = heads[:-1], [row[:-1] for row in rows]
    tested = "the accuracies of the folds, paired" if f.folds else "paired test of the accuracies on the same images"
    caption = f"On the {f.evaluated} images, with 95 % bootstrap intervals; p: {tested}"
    caption += "; ECE: calibration error"
    inner = table(caption, heads, rows, words=[len(keys) + 2])
    if not f.floors and not f.folds:
        inner += paragraph("No simple models were measured beside it (--floors).", "soft")
    if f.per_class:
        ranges = ("precision", "recall", "f1")
        shown = [[r["class"], r["support"], *(_range(r, k) for k in ranges), _number(r["auroc"]), _number(r.get("threshold", ""))] for r in f.per_class]
        heads = ["class", "images", "precision", "recall", "F1", "AUROC", "threshold"]
        if all(float(r.get("threshold") or 0) == 0 for r in f.per_class):
            heads, shown = heads[:-1], [row[:-1] for row in shown]
        stated = "the most probable class is the answer" if len(heads) == 6 else "below its threshold a class is not answered"
        inner += table(f"By class, with 95 % intervals; {stated}", heads, shown, words=[0])
    return "metrics", "Metrics", inner


def _with_p(name: str, cells: list[str], p: str, note: str) -> list[str]:
    """A row of the table of metrics: the p-value stands behind the accuracy, which it is of."""
    return [name, *cells[:1], p, *cells[1:], note]


def _number(value: str) -> str:
    return "–" if value in ("", "nan") else f"{float(value):.3f}"


def _range(row: dict[str, str], key: str) -> str:
    """A value of per_class.csv with its interval."""
    low, high = row.get(f"{key}_low", ""), row.get(f"{key}_high", "")
    return _number(row[key]) if "" in (low, high) else f"{_number(row[key])} [{_number(low)}, {_number(high)}]"


def folds(f: Facts) -> Section | None:
    """Cross-validation: a row a fold, the means, and the paired tests against the simple models."""
    if not f.folds:
        return None
    keys = list(f.folds["metrics"])
    rows: list[list[Any]] = [[f"fold {i}", *(interval(fold["metrics"][k]) for k in keys)] for i, fold in enumerate(f.folds["folds"])]
    rows.append(["mean ± sd", *(f"{m['mean']:.3f} ± {m['std']:.3f}" for m in (f.folds["means"][k] for k in keys))])
    rows.append(["pooled", *(interval(f.folds["metrics"][k]) for k in keys)])
    inner = table("Every image is predicted once, by a network that saw neither it nor its group", ["", *(NAMES.get(k, k) for k in keys)], rows)
    floors = [[name, *(f"{v[k]['mean']:.3f} ± {v[k]['std']:.3f}" if k in v else "–" for k in keys)] for name, v in f.folds.get("floors", {}).items()]
    if floors:
        inner += table("Simple models on the same folds (mean ± sd)", ["", *(NAMES.get(k, k) for k in keys)], floors)
    tests = [[name, f"{p['difference']:+.4f}", f"{p['low']:+.4f} to {p['high']:+.4f}", f"{p['p']:.2g}"] for name, p in f.folds.get("paired", {}).items()]
    if tests:
        caption = "Network minus simple model: corrected resampled t-test over the folds (Nadeau and Bengio 2003); .images: paired test of the images, combined"
        inner += table(caption, ["against", "difference", "95 % interval", "p"], tests)
    return "folds", "Cross-validation", inner


def confusion(f: Facts) -> Section:
    """The matrix as a heat map, or the most frequent pairs; and pictures from the worst cells."""
    if not f.confusion:
        return "confusion", "Confusions", paragraph("There is no evaluation yet.")
    names, counts = f.confusion[0][1:], [[int(c) for c in row[1:]] for row in f.confusion[1:]]
    truths = [row[0] for row in f.confusion[1:]]
    keep = [j for j, name in enumerate(names) if name != "unknown" or any(row[j] for row in counts)]
    inner = _matrix(truths, names, counts, keep) if len(truths) <= LARGEST_MATRIX else ""
    pairs = Counter((r["truth"], r["answer"]) for r in f.predictions if r["correct"] is False)
    if not pairs:
        return "confusion", "Confusions", inner + paragraph("Nothing was confused.")
    rows = [[truth, answer, n] for (truth, answer), n in pairs.most_common(12)]
    inner += table("The most frequent confusions", ["is", "was taken for", "images"], rows, words=[0, 1])
    inner += '<div class="cells">'
    for (truth, answer), _ in pairs.most_common(CELLS):
        cell = sorted((r for r in f.predictions if (r["truth"], r["answer"]) == (truth, answer)), key=lambda r: -r["loss"])[:4]
        inner += f"<div><h3>{text(truth)} taken for {text(answer)}</h3>{_grid(f, cell)}</div>"
    return "confusion", "Confusions", inner + "</div>"


def _matrix(truths: list[str], names: list[str], counts: list[list[int]], keep: list[int]) -> str:
    head = "".join(f'<th scope="col">{text(names[j])}</th>' for j in keep)
    body = ""
    for i, (truth, row) in enumerate(zip(truths, counts, strict=True)):
        total, cells = max(1, sum(row)), ""
        for j in keep:
            colour = "47,95,152" if names[j] == truth and i == j else "179,54,47"
            cells += f'<td class="cell" style="background:rgba({colour},{0.75 * row[j] / total:.2f})">{row[j] or ""}</td>'
        body += f'<tr><th scope="row">{text(truth)}</th>{cells}</tr>'
    caption = "<caption>Rows are the truth, columns the answer; the shade is the share of the row</caption>"
    return f'<div class="wide"><table class="matrix">{caption}<thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _grid(f: Facts, rows: list[dict[str, Any]]) -> str:
    return '<div class="grid">' + "".join(_figure(f, r) for r in rows) + "</div>"


def _figure(f: Facts, r: dict[str, Any]) -> str:
    name, _, index = r["id"].rpartition("#")
    path = f.image(r)
    data = None if path is None else thumbnail(path, int(index) if name and index.isdigit() else None)
    kind = "ok" if r["correct"] else "no"
    lines = [(f"is {r['truth']}", ""), (f"answer {r['answer']} ({r['score']:.2f})", kind), (r["id"], "soft")]
    return picture(data, r["id"], lines)


def images(f: Facts) -> Section:
    """The images with the largest loss, and some of the surest right ones."""
    known = [r for r in f.predictions if r["loss"] is not None]
    if not known:
        return "images", "Images", paragraph("There is no evaluation yet.")
    order = sorted(known, key=lambda r: -r["loss"])
    inner = "<h3>Largest loss: wrong, unsure, or wrongly labelled</h3>" + _grid(f, order[:WORST])
    return "images", "Images", inner + "<h3>Smallest loss</h3>" + _grid(f, [r for r in reversed(order) if r["correct"]][:BEST])


def calibration(f: Facts) -> Section:
    """Can the probabilities be believed, and what a threshold would cost."""
    if not f.calibration:
        return "calibration", "Calibration", paragraph("There is no evaluation yet.")
    drawn = plots.reliability(f.calibration, f.folder / "plots", "calibration")
    rows = []
    for limit in (0.0, 0.5, 0.7, 0.8, 0.9, 0.95):
        answered = [r for r in f.predictions if r["correct"] is not None and r["score"] >= limit]
        known = sum(r["correct"] is not None for r in f.predictions)
        if answered:
            rows.append([f"{limit:.2f}", f"{100 * len(answered) / max(1, known):.1f} %", f"{100 * sum(r['correct'] for r in answered) / len(answered):.1f} %"])
    advice = "With --threshold the less probable answers become unknown. What that costs and brings:"
    return (
        "calibration",
        "Calibration and thresholds",
        f'<div class="plots">{drawn}</div>' + paragraph(advice) + table("Of all images", ["threshold", "answered", "right among them"], rows),
    )


def settings(f: Facts) -> Section:
    """The effective configuration with the origin of each value."""
    if not f.config:
        return "settings", "Configuration", paragraph("See the folds." if f.folds else "The run ended before its plan was made.")
    rows = [[name, f.private(value), f.private(origin)] for name, value, origin in f.config]
    return "settings", "Configuration", table("Every value and where it came from", ["name", "value", "origin"], rows, words=[1, 2])


def repeat(f: Facts) -> Section:
    """The command, the environment, and how to go on."""
    from saccade.errors import displayable

    versions = ", ".join(f"{name} {version}" for name, version in f.run.get("versions", {}).items())
    words = f"seed {f.run.get('seed')}, {f.run.get('threads')} threads, {f.run.get('precision', '')}; {versions}. "
    words += f"Data fingerprint {f.data.get('fingerprint', 'unknown')}."
    command = displayable(f.private(shlex.join(str(word) for word in f.run.get("argv", []))))
    return "repeat", "Repeat it", f"<pre>{text(command)}</pre>" + paragraph(words, "soft")
