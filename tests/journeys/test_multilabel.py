"""Several labels an image from a table to answers: unknown ones left blank, thresholds chosen on validation, stored and used."""

import json

import numpy as np
import pytest
from PIL import Image

from saccade import api, bundle

pytestmark = pytest.mark.journey


SMALL = {"augment": "none", "set": ("widths=[8, 16]", "blocks=[1, 1]"), "class_weights": "auto", "selftest": False, "floors": False}


@pytest.fixture
def squares(tmp_path):
    """160 pictures of 16x16 px whose left half may be red and whose right half may be green; every seventh right half is not labelled."""
    folder, chance, rows = tmp_path / "squares", np.random.default_rng(0), ["path,red,green"]
    folder.mkdir()
    for i in range(160):
        pixels = chance.integers(0, 90, (16, 16, 3), np.uint8)
        red, green = int(i % 2), int(i // 2 % 2)
        pixels[:, :8, 0] += np.uint8(150 * red)
        pixels[:, 8:, 1] += np.uint8(150 * green)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        rows.append(f"{i}.png,{red},{'' if i % 7 == 0 else green}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.mark.parametrize("model", ["small", "independent"])
def test_labels_of_a_table_are_learnt_and_answered(squares, tmp_path, model):
    run = api.train(squares, label="red,green", model=model, task="multilabel", epochs="20", test=0.2, val=0.25, out=str(tmp_path / "run"), threads=1, **SMALL)
    assert set(run.metrics) == {"mean_average_precision", "cf1", "of1", "exact_match"} and run.metrics["mean_average_precision"]["value"] > 0.9
    card = bundle.read_card(run.model)
    limits = card.postprocess["thresholds"]
    assert card.task == "multilabel" and set(limits) == {"red", "green"} and all(0 < value <= 1 for value in limits.values())
    per_class = (run.path / "eval" / "per_class.csv").read_text().splitlines()
    assert per_class[0].startswith("class,support,known,answered,precision") and len(per_class) == 3
    assert (run.path / "report.html").stat().st_size > 10_000
    assert any(1 for line in (run.path / "eval" / "predictions.jsonl").read_text().splitlines() if json.loads(line)["answers"])
    answers = tmp_path / "answers.jsonl"
    api.predict(run.model, [squares / "3.png", squares / "4.png"], out=answers)
    rows = [json.loads(line) for line in answers.read_text().splitlines()]
    for row in rows:
        assert row["answers"] == [name for name, score in row["scores"].items() if score >= limits[name]]
