"""Prediction over files: one result an input, in order, the same whatever the threads, and what becomes of bad ones."""

import csv
import hashlib
import json
import os

import numpy as np
import pytest
import torch
from PIL import Image

from saccade import bundle
from saccade.errors import DataError, ModelError, ResourceError, UsageError
from saccade.inference import predict as predicting
from saccade.inference.fold import folded
from saccade.inference.predict import Predictor
from saccade.inference.sources import expand
from saccade.inference.tables import guarded
from saccade.jobs.predict import PredictOptions, run_predict
from saccade.models.table import MODELS, build
from tests.support.bundle_files import SPACE, tiny_card, tiny_model, write_tiny

N = 23


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny(tmp_path_factory.mktemp("model") / "m.saccade")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """23 files in natural order, of which two cannot be read: number 5 is text, number 12 is cut short."""
    folder, chance = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for k in range(N):
        Image.fromarray(chance.integers(0, 255, (20 + k, 30, 3), np.uint8)).save(folder / f"{k}.png")
    (folder / "5.png").write_text("no image")
    (folder / "12.png").write_bytes((folder / "12.png").read_bytes()[:200])
    return folder


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def options(**given):
    return PredictOptions(**{"batch": 4, "threads": 1, "precision": "fp32", **given})


def test_one_row_an_input_in_order_failures_among_them(model, pictures, tmp_path):
    before = {path: path.read_bytes() for path in pictures.iterdir()}
    told = []
    summary = run_predict(model, pictures, options(), out=tmp_path / "out", progress=lambda *state: told.append(state))
    assert (summary.n, summary.ok, summary.failed, summary.exit) == (N, N - 2, 2, 7) and summary.rate > 0
    rows = rows_of(summary.path)
    assert [row["id"] for row in rows] == [f"{k}.png" for k in range(N)]
    for k, row in enumerate(rows):
        if k in (5, 12):
            assert row["status"] == "failed" and row["answer"] is None and row["code"].startswith("IMG-") and row["fix"] and row["what"]
            assert row["where"] == str(pictures / f"{k}.png")
        else:
            assert row["status"] == "ok" and row["answer"] == row["top"][0][0] and row["score"] == row["top"][0][1]
            assert [name for name, _ in row["top"]] != [] and abs(sum(p for _, p in row["top"]) - 1) < 1e-5
    assert [row["id"] for row in rows_of(summary.failed_path)] == ["5.png", "12.png"]
    assert told[-1] == (N, 2, N) and len(told) == 6
    assert summary.error().code == "PRED-FAILED" and summary.error().exit == 7 and str(summary.failed_path) in summary.error().fix
    assert json.loads(json.dumps(summary.to_dict()))["failed"] == 2
    assert before == {path: path.read_bytes() for path in pictures.iterdir()}, "the user's files are never touched"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("done", [1, 4, 6, 13, 22, 23])
def test_where_it_goes_on_changes_no_byte(done, precision, model, pictures, tmp_path, monkeypatch):
    whole = run_predict(model, pictures, options(precision=precision), out=tmp_path / "whole").path.read_bytes()
    again = tmp_path / "again"
    run_predict(model, pictures, options(precision=precision), out=again)
    lines = whole.splitlines(keepends=True)
    (again / "predictions.jsonl").write_bytes(b"".join(lines[:done]) + (lines[done][:17] if done < N else b""))
    (again / "failed.jsonl").unlink()
    read, real = [], predicting.read_image
    monkeypatch.setattr(predicting, "read_image", lambda path, **wish: (read.append(path.name), real(path, **wish))[1])
    summary = run_predict(model, pictures, PredictOptions(resume=True), out=again)
    assert summary.path.read_bytes() == whole and summary.n == N
    assert sorted(read) == sorted(f"{k}.png" for k in range(done, N)), "only what is missing is decoded, once"
    assert (again / "failed.jsonl").read_bytes() == (tmp_path / "whole" / "failed.jsonl").read_bytes()


def test_reading_threads_change_no_byte(model, pictures):
    predictor, items = Predictor(bundle.read(model), precision="fp32"), predicting_items(pictures)
    results = [[r for batch in predicting.predict(predictor, items, batch=4, workers=workers) for r in batch] for workers in (1, 3)]
    for one, other in zip(*results, strict=True):
        assert one.input == other.input and (one.answer is None) == (other.answer is None)
        assert one.answer is None or torch.equal(one.answer.probabilities, other.answer.probabilities)


def predicting_items(folder):
    return expand(folder).items


def test_the_answers_are_those_of_the_network_alone(model, pictures):
    """The slow definition: Pillow, one picture at a time, the network as it was stored, the temperature by its formula."""
    read = bundle.read(model)
    predictor = Predictor(read, precision="fp32")
    found = [r for batch in predicting.predict(predictor, predicting_items(pictures), batch=4) for r in batch]
    for k in (0, 7, 22):
        grey = np.asarray(Image.open(pictures / f"{k}.png").convert("L"))[..., None]
        inputs = predictor.preprocess.apply(grey, predictor.preprocess.geometry(grey.shape[:2]))[None]
        with torch.inference_mode():
            logits = read.model.outputs(inputs, torch.tensor([[16, 16]]))["label"].logits
        torch.testing.assert_close(found[k].answer.probabilities, torch.softmax(logits / 1.5, 1)[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["small", "resnet20", "resnet18", "resnet50", "lenet5"])
def test_folding_changes_nothing_but_rounding(name):
    assert name in MODELS["classify"]
    card = tiny_card()
    inputs = card.inputs._replace(size=(32, 32))
    model, pictures, sizes = build("classify", name, inputs, SPACE), torch.rand(4, 1, 32, 32), torch.tensor([[32, 32], [32, 32], [20, 32], [32, 24]])
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(part.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(part.running_var, 0.5, 2)
            torch.nn.init.uniform_(part.bias, -0.5, 0.5)
            torch.nn.init.uniform_(part.weight, 0.5, 1)
    own, before = folded(model.eval()), {k: v.clone() for k, v in model.state_dict().items()}
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in own.modules())
    with torch.inference_mode():
        expected, got = (torch.softmax(m.outputs(pictures, sizes)["label"].logits, 1) for m in (model, own))
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-4)
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items()), "the network given is not changed"


def test_bf16_answers_are_close(model, pictures):
    items = predicting_items(pictures)
    pair = [[r for b in predicting.predict(Predictor(bundle.read(model), precision=p), items) for r in b] for p in ("fp32", "bf16")]
    assert all(abs(a.answer.score - b.answer.score) < 0.03 for a, b in zip(*pair, strict=True) if a.answer)


def test_below_the_threshold_the_answer_is_unknown(model, pictures, tmp_path):
    rows = rows_of(run_predict(model, pictures, options(threshold=0.99), out=tmp_path / "a").path)
    assert all((row["answer"], row["score"]) == ("unknown", 0.0) and row["top"][0][1] > 0 for row in rows if row["status"] == "ok")
    known = rows_of(run_predict(model, pictures, options(), out=tmp_path / "b").path)
    name = next(row["answer"] for row in known if row["status"] == "ok")
    write_tiny(tmp_path / "m.saccade", postprocess={"temperature": 1.5, "thresholds": {name: 1.0}})
    stored = rows_of(run_predict(tmp_path / "m.saccade", pictures, options(), out=tmp_path / "c").path)
    assert [row["answer"] for row in stored] == ["unknown" if row["answer"] == name else row["answer"] for row in known]
    assert rows_of(run_predict(tmp_path / "m.saccade", pictures, options(threshold=0.0), out=tmp_path / "d").path) == known


def test_csv_is_made_of_the_rows_and_safe_for_spreadsheets(model, pictures, tmp_path):
    for name in ("=cmd().png", "+1.png", "@a.png", "-b.png", 'quote",\n.png'):
        (tmp_path / "new").mkdir(exist_ok=True)
        (tmp_path / "new" / name).write_bytes((pictures / "0.png").read_bytes())
    summary = run_predict(model, tmp_path / "new", options(top=2, probabilities=True), out=tmp_path / "answers.csv")
    assert summary.path == tmp_path / "answers.csv" and summary.exit == 0 and summary.error() is None and summary.failed_path is None
    with open(summary.path, newline="") as stream:
        table = list(csv.DictReader(stream))
    rows = rows_of(tmp_path / "answers.jsonl")
    assert list(table[0])[:9] == ["id", "path", "status", "answer", "score", "top1", "p1", "top2", "p2"] and "p(owl)" in table[0]
    assert sorted(row["id"] for row in table) == sorted(["'=cmd().png", "'+1.png", "'@a.png", "'-b.png", 'quote",\\n.png'])
    assert [float(row["p(cat)"]) for row in table] == [row["probabilities"]["cat"] for row in rows]
    assert sorted(os.listdir(tmp_path)) == ["answers.csv", "answers.jsonl", "answers.plan.json", "new"]


@pytest.mark.parametrize("cell", ["=1", "+1", "-1", "@x", "\tx", "\rx"])
def test_cells_that_are_formulas(cell):
    assert guarded(cell) == f"'{cell}" and guarded(f"a{cell}") == f"a{cell}"


def test_overlays_show_every_answer(model, pictures, tmp_path):
    run_predict(model, [str(pictures / "3.png"), str(pictures / "5.png")], options(overlay=True), out=tmp_path / "o")
    (drawn,) = (tmp_path / "o" / "overlay").iterdir()
    with Image.open(drawn) as image, Image.open(pictures / "3.png") as source:
        assert drawn.name == "000000_3.png" and image.width == 30 and image.height > 23 + 8  # the answer stands below
        assert np.array_equal(np.asarray(image)[:23], np.asarray(source))


def test_nothing_is_written_over(model, pictures, tmp_path):
    for name in ("answers.jsonl", "answers.failed.jsonl", "answers.plan.json"):
        (tmp_path / name).write_text("mine")
        with pytest.raises(UsageError) as caught:
            run_predict(model, pictures, options(), out=tmp_path / "answers.jsonl")
        assert caught.value.code == "RUN-EXISTS" and (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()


def test_the_default_place_is_a_new_folder(model, pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = run_predict(model, pictures / "0.png", options())
    second = run_predict(model, pictures / "0.png", options())
    assert first.path != second.path and first.path.is_absolute() and first.path.parent.parent == tmp_path / "runs" and "_predict_0" in str(first.path)


def test_a_run_folder_stands_for_its_model(model, pictures, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.saccade").write_bytes(model.read_bytes())
    assert run_predict(tmp_path / "run", pictures / "0.png", options(), out=tmp_path / "o").ok == 1
    with pytest.raises(ModelError) as caught:
        run_predict(tmp_path, pictures, options(), out=tmp_path / "p")
    assert caught.value.code == "MODEL-MISSING" and not (tmp_path / "p").exists()


def test_on_error_stop_keeps_what_came_before(model, pictures, tmp_path):
    with pytest.raises(DataError) as caught:
        run_predict(model, pictures, options(on_error="stop"), out=tmp_path / "o")
    assert caught.value.code == "IMG-UNREADABLE" and caught.value.where == str(pictures / "5.png")
    assert len(rows_of(tmp_path / "o" / "predictions.jsonl")) == 5
    assert run_predict(model, pictures, options(resume=True), out=tmp_path / "o").n == N


@pytest.mark.parametrize("changed", [{"batch": 8}, {"top": 1}, {"probabilities": True}, {"precision": "bf16"}, {"threshold": 0.5}, {"inputs": 1}, {"model": 1}])
def test_resuming_with_something_else_is_refused(changed, model, pictures, tmp_path):
    run_predict(model, pictures, options(), out=tmp_path / "o")
    before = (tmp_path / "o" / "predictions.jsonl").read_bytes()
    source, used = pictures, model
    if changed.pop("inputs", None):
        source = pictures / "0.png"
    if changed.pop("model", None):
        used = tmp_path / "other.saccade"
        bundle.write(used, tiny_model(seed=1), tiny_card())
    with pytest.raises(UsageError) as caught:
        run_predict(used, source, options(resume=True, **changed), out=tmp_path / "o")
    assert caught.value.code == "RUN-CONFIG" and "was" in caught.value.got
    assert (tmp_path / "o" / "predictions.jsonl").read_bytes() == before


def test_resuming_needs_a_place_and_its_plan(model, pictures, tmp_path):
    with pytest.raises(UsageError) as caught:
        run_predict(model, pictures, options(resume=True))
    assert caught.value.code == "USE-MISSING"
    run_predict(model, pictures, options(), out=tmp_path / "o")
    (tmp_path / "o" / "plan.json").unlink()
    with pytest.raises(UsageError) as caught:
        run_predict(model, pictures, options(resume=True), out=tmp_path / "o")
    assert caught.value.code == "RUN-CONFIG" and "plan.json" in caught.value.got
    assert run_predict(model, pictures, options(resume=True), out=tmp_path / "fresh").n == N


def test_rows_of_other_inputs_are_not_continued(model, pictures, tmp_path):
    run_predict(model, pictures, options(), out=tmp_path / "o")
    journal = tmp_path / "o" / "predictions.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[1:]))
    with pytest.raises(UsageError) as caught:
        run_predict(model, pictures, options(resume=True), out=tmp_path / "o")
    assert caught.value.code == "RUN-CONFIG" and "row 1" in caught.value.got


@pytest.mark.parametrize(
    ("given", "code"),
    [({"device": "tpu9"}, "USE-VALUE"), ({"device": "cuda:99"}, "DEVICE"), ({"as_": "csv"}, "USE-VALUE")],
)
def test_options_that_cannot_be(given, code, model, pictures, tmp_path):
    with pytest.raises((UsageError, ResourceError)) as caught:
        run_predict(model, pictures, options(**given), out=tmp_path / "a.jsonl")
    assert caught.value.code == code and not os.listdir(tmp_path)


@pytest.mark.parametrize(("batch", "workers"), [(0, 1), (1, 0)])
def test_counts_out_of_range(batch, workers, model, pictures):
    with pytest.raises(UsageError, match="expected 1 to 4096"):
        list(predicting.predict(Predictor(bundle.read(model)), predicting_items(pictures), batch=batch, workers=workers))


def test_an_unknown_precision_lists_the_options(model):
    with pytest.raises(UsageError, match="auto, fp32, bf16"):
        Predictor(bundle.read(model), precision="fp16")


@pytest.mark.parametrize(
    "changed",
    [
        {"postprocess": {"temperature": 0}},
        {"postprocess": {"temperature": "hot"}},
        {"postprocess": {"thresholds": {"elk": 0.5}}},
        {"postprocess": {"thresholds": {"cat": 2}}},
        {"postprocess": {"thresholds": [0.5]}},
        {"postprocess": {"temprature": 1}},
        {"preprocess": {"size": [16, 16]}},
        {"preprocess": {"size": [10**6, 10**6], "channels": 1}},
        {"preprocess": {"size": ["a", 16], "channels": 1}},
        {"preprocess": {"size": [16, 16], "channels": 3}},
        {"preprocess": {"size": [16, 16], "channels": 1, "fill": 7}},
        {"preprocess": {"size": [16, 16], "channels": 1, "value_range": [1, 0]}},
        {"preprocess": {"size": [16, 16], "channels": 1, "mode": "squash"}},
        {"preprocess": {"size": [16, 16], "channels": 1, "crop": 3}},
    ],
    ids=str,
)
def test_a_card_whose_processing_is_out_of_range(changed, pictures, tmp_path):
    write_tiny(tmp_path / "m.saccade", **changed)
    with pytest.raises(ModelError) as caught:
        run_predict(tmp_path / "m.saccade", pictures, options(), out=tmp_path / "o")
    assert caught.value.code == "MODEL-ARGS"


def test_paths_that_no_file_can_have(model, pictures, tmp_path):
    (tmp_path / "list.txt").write_bytes(os.fsencode(pictures / "0.png") + b"\na\0b.png\n/no/such.png\n")
    rows = rows_of(run_predict(model, f"@{tmp_path}/list.txt", options(), out=tmp_path / "o").path)
    assert [row.get("code") for row in rows] == [None, "IMG-MISSING", "IMG-MISSING"]


def test_a_full_disk_is_named(model, pictures, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(ResourceError) as caught:
        run_predict(model, pictures, options(), out=tmp_path / "o")
    assert caught.value.code == "RUN-DISK" and caught.value.exit == 6


def test_the_plan_says_what_the_answers_depend_on(model, pictures, tmp_path):
    run_predict(model, pictures, options(), out=tmp_path / "o")
    plan = json.loads((tmp_path / "o" / "plan.json").read_text())
    assert plan["model"] == bundle.read_card(model).sha256 and (plan["batch"], plan["threads"], plan["precision"], plan["inputs"]) == (4, 1, "fp32", N)
    assert len(plan["inputs_sha256"]) == len(hashlib.sha256().hexdigest())
