"""A study of many short trainings: which values have been tried, how well each did, and which to try next. One SQLite file, many processes.

Every process asks for a trial, trains it and tells its score; asking and telling are transactions, so that several may share one file. A trial
whose process is gone (no sign of life for `STALE_S`) is marked lost, and its values are given out again.

method: random draws (Bergstra and Bengio 2012); asynchronous successive halving (Li et al. 2020, algorithm 2), in which the better of every
`eta` configurations is trained again with eta times the epochs; or optuna's tree of Parzen estimators (Bergstra et al. 2011), an extra.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, get_args

from saccade.errors import ModelError, ResourceError, UsageError
from saccade.training.search_space import Range, Space, draw, read_space

Method = Literal["random", "halving", "optuna"]
METHODS: tuple[Method, ...] = get_args(Method)
NAME, STALE_S, WAIT_S = "study.sqlite", 120.0, 60.0
TABLES = """
CREATE TABLE study (facts TEXT NOT NULL);
CREATE TABLE trials (
  number INTEGER PRIMARY KEY, sample INTEGER NOT NULL, chosen TEXT NOT NULL, rung INTEGER NOT NULL, epochs INTEGER NOT NULL,
  state TEXT NOT NULL, score REAL, note TEXT NOT NULL DEFAULT '', process TEXT NOT NULL, beat REAL NOT NULL, seconds REAL
);
"""


@dataclass(frozen=True)
class Facts:
    """What a study is of; every process that joins must mean the same. trials: configurations; epochs: of the longest training; less: whether
    a lower score is better; settled: all else that must agree, such as the data's fingerprint and the options that are not searched."""

    search: tuple[str, ...]
    method: Method
    trials: int
    epochs: int
    monitor: str
    less: bool
    seed: int = 0
    eta: int = 3
    rungs: int = 3
    settled: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError("USE-VALUE", f"{self.method}; the options are {', '.join(METHODS)}", where="--method")
        if self.trials < 1 or self.epochs < 1 or not 2 <= self.eta <= 10 or not 1 <= self.rungs <= 8:
            raise UsageError("USE-VALUE", f"{self.trials} trials of {self.epochs} epochs, eta {self.eta}, {self.rungs} rungs", where="--trials")

    @property
    def space(self) -> Space:
        return read_space(self.search)

    def epochs_of(self, rung: int) -> int:
        """Epochs of a training at a rung: eta times as many at each, the last having all.

        >>> [Facts((), "halving", 9, 27, "accuracy", False).epochs_of(rung) for rung in range(3)]
        [3, 9, 27]
        """
        return self.epochs if self.method != "halving" else max(1, math.ceil(self.epochs / self.eta ** (self.rungs - 1 - rung)))


class Trial(NamedTuple):
    """One training. number: its own; sample: that of its configuration, the same at every rung; state: running, done, failed or lost."""

    number: int
    sample: int
    values: dict[str, Any]
    rung: int
    epochs: int
    state: str = "running"
    score: float | None = None
    note: str = ""
    seconds: float | None = None


class Study:
    """The study in a folder. Safe to use from several processes and threads."""

    def __init__(self, folder: Path, facts: Facts) -> None:
        self.path, self.facts = folder / NAME, facts

    @classmethod
    def open(cls, folder: Path, facts: Facts) -> Self:
        """The study of these facts, begun or joined. A study that is joined keeps the epochs that its beginner found.

        Raises UsageError RUN-CONFIG where the folder's study is of something else, ModelError RUN-CHECKPOINT where its file is damaged,
        ResourceError RUN-DISK where it cannot be written.
        """
        study = cls(folder, facts)
        told = json.loads(json.dumps(asdict(facts)))
        with study._transaction() as base:
            if not base.execute("SELECT name FROM sqlite_master WHERE name = 'study'").fetchone():
                for statement in TABLES.split(";"):
                    base.execute(statement)
                base.execute("INSERT INTO study VALUES (?)", (json.dumps(told),))
            stored = json.loads(base.execute("SELECT facts FROM study").fetchone()[0])
        different = [
            f"{name}: {stored.get(name)} -> {told.get(name)}" for name in {**stored, **told} if name != "epochs" and stored.get(name) != told.get(name)
        ]
        study.facts = replace(facts, epochs=int(stored.get("epochs", facts.epochs)))
        if different:
            raise UsageError("RUN-CONFIG", "; ".join(different)[:400], where=str(study.path), fix="give the study's own settings, or another --out")
        return study

    @classmethod
    def stored(cls, folder: Path) -> Self:
        """The study that is in a folder, as it was begun. Raises UsageError RUN-MISSING, ModelError RUN-CHECKPOINT."""
        if not (folder / NAME).is_file():
            raise UsageError("RUN-MISSING", where=str(folder))
        with closing(sqlite3.connect(folder / NAME, timeout=WAIT_S)) as base:
            try:
                told = json.loads(base.execute("SELECT facts FROM study").fetchone()[0])
                return cls(folder, Facts(**{**told, "search": tuple(told["search"])}))
            except (sqlite3.DatabaseError, ValueError, TypeError, KeyError) as problem:
                raise ModelError("RUN-CHECKPOINT", str(problem), where=str(folder / NAME)) from None

    # -- asking and telling ----------------------------------------------------------------------------------------

    def ask(self) -> Trial | None:
        """The next trial, noted as running; None when there is none now: `finished` tells whether there will be."""
        with self._transaction() as base:
            self._lose(base)
            trials = self._all(base)
            chosen = self._next(trials)
            if chosen is None:
                return None
            number = 1 + max((t.number for t in trials), default=-1)
            trial = Trial(number, chosen.sample if chosen.sample >= 0 else number, chosen.values, chosen.rung, self.facts.epochs_of(chosen.rung))
            row = (number, trial.sample, json.dumps(trial.values), trial.rung, trial.epochs, "running", _process(), time.time())
            base.execute("INSERT INTO trials (number, sample, chosen, rung, epochs, state, process, beat) VALUES (?,?,?,?,?,?,?,?)", row)
            return trial

    def tell(self, number: int, score: float | None, *, note: str = "", seconds: float = 0.0) -> None:
        """How a trial ended; without a score, or with one that is no number, it failed."""
        good = score is not None and math.isfinite(score)
        with self._transaction() as base:
            row = ("done" if good else "failed", score if good else None, note, seconds, number)
            base.execute("UPDATE trials SET state = ?, score = ?, note = ?, seconds = ? WHERE number = ?", row)

    def give_back(self, number: int) -> None:
        """A trial that was not ended, for this or another process to begin again."""
        with self._transaction() as base:
            base.execute("UPDATE trials SET state = 'lost' WHERE number = ?", (number,))

    def beat(self, number: int) -> None:
        """A sign of life of a running trial."""
        with self._transaction() as base:
            base.execute("UPDATE trials SET beat = ? WHERE number = ?", (time.time(), number))

    def trials(self) -> list[Trial]:
        """All of them, by number."""
        with self._transaction() as base:
            return self._all(base)

    def finished(self) -> bool:
        """Whether every trial that there will be has ended."""
        with self._transaction() as base:
            self._lose(base)
            trials = self._all(base)
        return not any(t.state == "running" for t in trials) and self._next(trials) is None

    def better(self, trials: Sequence[Trial]) -> list[Trial]:
        """Those that are done, the best first; of equal ones the earlier."""
        sign = 1 if self.facts.less else -1
        return sorted((t for t in trials if t.state == "done" and t.score is not None), key=lambda t: (sign * (t.score or 0.0), t.number))

    def best(self) -> Trial | None:
        """The best of those that were trained longest, None before any is done."""
        done = self.better(self.trials())
        top = max((t.rung for t in done), default=0)
        return next((t for t in done if t.rung == top), None)

    # -- which one next --------------------------------------------------------------------------------------------

    def _next(self, trials: Sequence[Trial]) -> Trial | None:
        """What to train next: what was lost, then what is worth more epochs, then something new."""
        counted = [t for t in trials if t.state != "lost"]
        taken = {(t.sample, t.rung) for t in counted}
        for lost in trials:
            if lost.state == "lost" and (lost.sample, lost.rung) not in taken:
                return lost
        promoted = self._promotion(counted) if self.facts.method == "halving" else None
        if promoted is not None:
            return promoted
        samples = {t.sample for t in counted}
        if len(samples) >= self.facts.trials:
            return None
        if self.facts.method == "optuna":
            return Trial(-1, -1, from_optuna(self.facts, counted), 0, 0)
        return Trial(-1, -1, draw(self.facts.space, self.facts.seed, 1 + max((t.number for t in trials), default=-1)), 0, 0)

    def _promotion(self, trials: Sequence[Trial]) -> Trial | None:
        """From the highest rung down: a configuration among the best 1/eta of its rung that is not yet trained further."""
        for rung in range(self.facts.rungs - 2, -1, -1):
            done = self.better([t for t in trials if t.rung == rung])
            above = {t.sample for t in trials if t.rung > rung}
            for trial in done[: len(done) // self.facts.eta]:
                if trial.sample not in above:
                    return trial._replace(rung=rung + 1)
        return None

    # -- the file --------------------------------------------------------------------------------------------------

    def _lose(self, base: sqlite3.Connection) -> None:
        base.execute("UPDATE trials SET state = 'lost' WHERE state = 'running' AND beat < ?", (time.time() - STALE_S,))

    def _all(self, base: sqlite3.Connection) -> list[Trial]:
        rows = base.execute("SELECT number, sample, chosen, rung, epochs, state, score, note, seconds FROM trials ORDER BY number").fetchall()
        return [Trial(row[0], row[1], json.loads(row[2]), *row[3:]) for row in rows]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection of this call alone, whose changes are there for all others at once or not at all."""
        try:
            with closing(sqlite3.connect(self.path, timeout=WAIT_S, isolation_level=None)) as base:
                base.execute("BEGIN IMMEDIATE")
                yield base
                base.execute("COMMIT")
        except sqlite3.OperationalError as problem:
            raise ResourceError("RUN-DISK", str(problem), where=str(self.path)) from None
        except (sqlite3.DatabaseError, json.JSONDecodeError) as problem:
            raise ModelError("RUN-CHECKPOINT", str(problem), where=str(self.path), fix="choose another --out") from None


def _process() -> str:
    return f"{os.uname().nodename}:{os.getpid()}" if hasattr(os, "uname") else str(os.getpid())


def from_optuna(facts: Facts, trials: Sequence[Trial]) -> dict[str, Any]:
    """The values that optuna's sampler proposes after these trials. Raises UsageError USE-MISSING where optuna is not installed."""
    try:
        optuna: Any = importlib.import_module("optuna")
    except ImportError:
        raise UsageError(
            "USE-MISSING", "optuna is not installed", where="--method", fix="pip install 'saccade[hpo]', or use --method random or halving"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    kinds: dict[str, Any] = {}
    for d in facts.space:
        if not isinstance(d, Range):
            kinds[d.name] = optuna.distributions.CategoricalDistribution([json.dumps(v) for v in d.values])
        elif d.whole:
            kinds[d.name] = optuna.distributions.IntDistribution(int(d.low), int(d.high), log=d.logarithmic)
        else:
            kinds[d.name] = optuna.distributions.FloatDistribution(d.low, d.high, log=d.logarithmic)
    sampler = optuna.samplers.TPESampler(seed=facts.seed + len(trials), constant_liar=True)
    study = optuna.create_study(direction="minimize" if facts.less else "maximize", sampler=sampler)
    for trial in trials:
        given = {name: json.dumps(v) if isinstance(kinds[name], optuna.distributions.CategoricalDistribution) else v for name, v in trial.values.items()}
        state = {"done": optuna.trial.TrialState.COMPLETE, "failed": optuna.trial.TrialState.FAIL}.get(trial.state, optuna.trial.TrialState.RUNNING)
        study.add_trial(optuna.trial.create_trial(params=given, distributions=kinds, value=trial.score, state=state))
    found = study.ask(kinds).params
    return {name: json.loads(v) if isinstance(kinds[name], optuna.distributions.CategoricalDistribution) else _short(v) for name, v in found.items()}


def _short(value: float | int) -> float | int:
    return value if isinstance(value, int) else float(f"{value:.4g}")
