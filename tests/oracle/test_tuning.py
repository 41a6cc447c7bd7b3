"""The study of a search: what is drawn, what is promoted, what several processes do with one file."""

import json
import multiprocessing
import sqlite3
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saccade.errors import ModelError, ResourceError, UsageError
from saccade.training import tuning
from saccade.training.search_space import Choice, Range, as_words, draw, read_space
from saccade.training.tuning import Facts, Study

SEARCH = ("lr=1e-4..1e-2", "batch=8..16", "augment=light,strong", "network.dropout=0..0.5")


def facts(method="random", trials=9, **changes):
    return Facts(**{"search": SEARCH, "method": method, "trials": trials, "epochs": 9, "monitor": "accuracy", "less": False, **changes})


def quality(values):
    """A landscape with its top at a rate of 1e-3."""
    return 1 - abs(np.log10(values["lr"]) + 3) / 2 - 0.1 * values["network.dropout"]


def work(study):
    """Trains every trial of a study at once: the score is its quality."""
    while (trial := study.ask()) is not None:
        study.tell(trial.number, quality(trial.values), seconds=0.1)


def test_a_space_is_read_and_drawn_from_within_its_ends():
    space = read_space(SEARCH)
    assert [(type(d), d.name) for d in space] == [(Range, "lr"), (Range, "batch"), (Choice, "augment"), (Range, "network.dropout")]
    assert space[0].logarithmic and not space[3].logarithmic and space[1].whole
    drawn = [draw(space, 0, i) for i in range(400)]
    rates = np.log10([d["lr"] for d in drawn])
    assert -4 <= rates.min() < -3.9 and -2.1 < rates.max() <= -2 and abs(rates.mean() + 3) < 0.1
    assert {d["batch"] for d in drawn} == set(range(8, 17)) and {d["augment"] for d in drawn} == {"light", "strong"}
    assert draw(space, 0, 3) == drawn[3] != draw(space, 1, 3)
    assert json.loads(json.dumps(drawn[0])) == drawn[0]
    assert as_words({"lr": 0.01, "network.widths": [8, 16]}) == ["--lr", "0.01", "--set", "widths=[8, 16]"]


@pytest.mark.parametrize("text", ["lr", "lr=", "=3", "lr=3..1", "lr=a..b", "lr=1..2..3", "lr=1..inf"])
def test_what_is_no_dimension_is_refused(text):
    with pytest.raises(UsageError, match="--search"):
        read_space([text])
    with pytest.raises(UsageError):
        read_space(["lr=1,2", "lr=3,4"])


@given(st.floats(1e-6, 1e3), st.floats(1.001, 1e4), st.integers(0, 10**6))
def test_every_draw_lies_in_its_range(low, factor, number):
    dimension = Range("x", low, low * factor)
    value = draw((dimension,), 1, number)["x"]
    assert low * 0.9995 <= value <= low * factor * 1.0005


def test_random_search_draws_so_many_configurations_and_knows_the_best(tmp_path):
    study = Study.open(tmp_path, facts())
    assert study.best() is None and not study.finished()
    work(study)
    trials = study.trials()
    assert [t.number for t in trials] == list(range(9)) and {t.epochs for t in trials} == {9} and study.finished()
    assert [t.values for t in trials] == [draw(facts().space, 0, i) for i in range(9)]
    assert study.best().score == max(quality(t.values) for t in trials)
    assert Study.stored(tmp_path).best() == study.best() and Study.stored(tmp_path).facts == facts()


def test_halving_trains_the_better_third_three_times_as_long(tmp_path):
    study = Study.open(tmp_path, facts("halving"))
    work(study)
    by_rung = {rung: [t for t in study.trials() if t.rung == rung] for rung in range(3)}
    assert len(by_rung[0]) == 9 and 3 <= len(by_rung[1]) <= 4 and len(by_rung[2]) == 1  # a promotion is never taken back
    assert {rung: {t.epochs for t in ts} for rung, ts in by_rung.items()} == {0: {1}, 1: {3}, 2: {9}}
    best = sorted(by_rung[0], key=lambda t: -t.score)
    assert by_rung[2][0].sample == best[0].sample and study.best().values == best[0].values
    assert best[0].sample in {t.sample for t in by_rung[1]}  # the others of the rung were the best when they were promoted


def test_a_lower_score_is_better_where_it_is_a_loss(tmp_path):
    study = Study.open(tmp_path, facts("halving", less=True, monitor="val_loss"))
    while (trial := study.ask()) is not None:
        study.tell(trial.number, -quality(trial.values))
    assert study.best().score == min(t.score for t in study.trials())


def test_a_failed_trial_is_never_the_best_and_is_not_tried_again(tmp_path):
    study = Study.open(tmp_path, facts(trials=4))
    for score in (float("nan"), None, 0.1, 0.3):
        study.tell(study.ask().number, score, note="RUN-DIVERGED" if score is None else "")
    assert [t.state for t in study.trials()] == ["failed", "failed", "done", "done"]
    assert study.ask() is None and study.finished() and study.best().score == 0.3 and study.trials()[1].note == "RUN-DIVERGED"


def test_a_trial_whose_process_is_gone_is_given_out_again(tmp_path, monkeypatch):
    study = Study.open(tmp_path, facts(trials=2))
    first, second = study.ask(), study.ask()
    assert study.ask() is None and not study.finished()
    monkeypatch.setattr(tuning, "STALE_S", 0.2)
    time.sleep(0.3)
    study.beat(second.number)
    again = study.ask()
    assert again.values == first.values and again.sample == first.sample and again.number == 2
    study.tell(again.number, 0.5)
    study.tell(second.number, 0.4)
    assert [t.state for t in study.trials()] == ["lost", "done", "done"] and study.finished()


def _worker(folder, count):
    study, done = Study.open(folder, facts("halving", trials=18)), 0
    while (trial := study.ask()) is not None:
        time.sleep(0.002)
        study.tell(trial.number, quality(trial.values))
        done += 1
    count.put(done)


def test_four_processes_share_one_study(tmp_path):
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    count = context.Queue()
    workers = [context.Process(target=_worker, args=(tmp_path, count)) for _ in range(4)]
    for worker in workers:
        worker.start()
    done = [count.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(30)
    study = Study.open(tmp_path, facts("halving", trials=18))
    work(study)  # what became worth promoting when nobody asked any more
    trials = study.trials()
    assert len({t.number for t in trials}) == len(trials) and len({t.sample for t in trials}) == 18
    assert len({(t.sample, t.rung) for t in trials}) == len(trials) and {t.state for t in trials} == {"done"}
    assert sum(done) <= len(trials) and study.finished()
    assert study.best().score >= sorted(quality(t.values) for t in trials if t.rung == 0)[-3]


def test_another_study_in_the_same_place_is_refused(tmp_path):
    Study.open(tmp_path, facts(settled={"fingerprint": "a"}))
    Study.open(tmp_path, facts(settled={"fingerprint": "a"}))
    for other in (facts(settled={"fingerprint": "b"}), facts("halving", settled={"fingerprint": "a"}), facts(trials=3, settled={"fingerprint": "a"})):
        with pytest.raises(UsageError) as refused:
            Study.open(tmp_path, other)
        assert refused.value.code == "RUN-CONFIG"
    for wrong in ({"method": "grid"}, {"trials": 0}, {"eta": 1}):
        with pytest.raises(UsageError) as refused:
            facts(**wrong)
        assert refused.value.code == "USE-VALUE"


def test_damaged_and_missing_studies_are_told(tmp_path):
    with pytest.raises(UsageError) as refused:
        Study.stored(tmp_path)
    assert refused.value.code == "RUN-MISSING"
    (tmp_path / "study.sqlite").write_bytes(b"not a data base, but long enough to look like one" * 100)
    for call in (lambda: Study.stored(tmp_path), lambda: Study.open(tmp_path, facts())):
        with pytest.raises(ModelError) as damaged:
            call()
        assert damaged.value.code == "RUN-CHECKPOINT"
    with pytest.raises(ResourceError) as gone:
        Study.open(tmp_path / "nowhere", facts())
    assert gone.value.code == "RUN-DISK"


def test_a_file_that_is_held_by_another_is_waited_for_and_then_told(tmp_path, monkeypatch):
    study = Study.open(tmp_path, facts())
    monkeypatch.setattr(tuning, "WAIT_S", 0.2)
    held = sqlite3.connect(study.path, isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
    with pytest.raises(ResourceError, match="locked"):
        study.ask()
    held.execute("ROLLBACK")
    held.close()
    assert study.ask() is not None


def test_optuna_proposes_or_its_absence_is_told(tmp_path, monkeypatch):
    study = Study.open(tmp_path, facts("optuna", trials=3))
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError) as missing:
        study.ask()
    assert missing.value.code == "USE-MISSING" and "saccade[hpo]" in missing.value.fix


def test_optuna_finds_the_top(tmp_path):
    pytest.importorskip("optuna")
    study = Study.open(tmp_path, facts("optuna", trials=30))
    work(study)
    found = [t.values["lr"] for t in study.trials()]
    assert study.best().score > 0.9 and all(1e-4 <= r <= 1e-2 for r in found)
    late = np.abs(np.log10(found[15:]) + 3).mean()
    assert late < np.abs(np.log10(found[:10]) + 3).mean()
