"""What a user meets before any job runs: help, misspelt words, exit codes, streams."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys

import pytest

from saccade import errors
from saccade.cli import dispatch
from saccade.cli.output import Output
from saccade.cli.verbs import VERBS, function_of, load
from saccade.errors import UsageError

pytestmark = pytest.mark.journey


def run_here(capsys, *words):
    """The command line in this process: exit code, stdout, stderr."""
    code = dispatch.main(list(words))
    shown = capsys.readouterr()
    return code, shown.out, shown.err


@pytest.mark.parametrize("verb", VERBS)
def test_help_fits_a_screen_and_ends_with_three_examples(verb, capsys):
    code, out, _ = run_here(capsys, verb, "--help")
    lines = out.splitlines()
    assert code == 0 and len(lines) <= 40 and max(map(len, lines)) <= 100
    assert lines[-4] == "examples:" and tuple(line.strip() for line in lines[-3:]) == load(verb).EXAMPLES


@pytest.mark.parametrize("example", [example for verb in VERBS for example in load(verb).EXAMPLES])
def test_examples_are_commands_that_exist(example):
    words = shlex.split(example)
    assert words[0] == "saccade"
    verb, tokens = dispatch.resolve(Output.from_tokens(words[1:])[1])
    bound = dispatch.parse(verb, function_of(verb), tokens)
    assert len(bound.arguments) == 0 or set(bound.arguments)


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_explained(verb, capsys):
    _, out, _ = run_here(capsys, verb, "--help-all")
    lines = out.splitlines()
    for place, line in enumerate(lines):
        if line.startswith("  --"):
            assert line[27:].strip() or lines[place + 1].startswith(" " * 27), f"no text: {line}"


def test_overview_lists_every_verb(capsys):
    code, out, _ = run_here(capsys, "--help")
    assert code == 0 and all(f"  {verb}" in out and known.summary in out for verb, known in VERBS.items())
    assert run_here(capsys)[0] == 2  # nothing asked for is a usage error that shows the same


def test_version(capsys):
    assert run_here(capsys, "--version") == (0, "saccade 0.1.0\n", "")


@pytest.mark.parametrize(("word", "likely"), [("trian", "train"), ("fit", "train"), ("infer", "predict"), ("eval", "evaluate")])
def test_a_misspelt_verb_names_the_likely_one(word, likely, capsys):
    code, out, err = run_here(capsys, word)
    assert code == 2 and out == ""
    assert err.startswith("error USE-VERB\n") and f"did you mean {likely}?" in err and "The options are doctor, demo" in err


@pytest.mark.parametrize(
    ("verb", "option", "likely"),
    [
        ("train", "--imgsz", "--size"),
        ("train", "--lr0", "--lr"),
        ("train", "--batch_size", "--batch"),
        ("train", "--batch-size=8", "--batch"),
        ("train", "--epoch", "--epochs"),
        ("train", "--optimizer", "--optimiser"),
        ("predict", "--conf", "--threshold"),
        ("predict", "--output", "--out"),
        ("evaluate", "--splt", "--split"),
        ("doctor", "--explian", "--explain"),
    ],
)
def test_a_foreign_option_is_a_hint_and_not_an_alias(verb, option, likely, capsys):
    code, _, err = run_here(capsys, verb, "x", "y", option, "3")
    assert code == 2
    assert err.startswith(f"error USE-OPTION  saccade {verb}\n") and f"did you mean {likely}? The options are --" in err


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("train", "x", "--batch", "many"), "USE-VALUE", "many"),
        (("train", "x", "--batch", "0"), "USE-VALUE", "greater than or equal to 1"),
        (("train", "x", "--epochs", "-3"), "USE-", "epochs"),
        (("train", "x", "y"), "USE-VALUE", "more words than the command takes: y"),
        (("train", "--out"), "USE-MISSING", "--out"),
        (("train",), "USE-VALUE", "DATA is needed"),
        (("evaluate",), "USE-MISSING", "MODEL"),
        (("doctor", "--explain", "IMG-TRUNK"), "USE-CODE", "did you mean IMG-TRUNC?"),
        (("demo", "nothing"), "USE-VALUE", "classify"),
    ],
)
def test_bad_words_are_exit_two_with_a_code(words, code, text, capsys):
    done, out, err = run_here(capsys, *words)
    assert done == 2 and out == ""
    assert err.startswith(f"error {code}") and text in err and "\n  fix: " in err


def test_errors_are_json_lines_with_json(capsys):
    code, out, err = run_here(capsys, "runs", "/no/such/folder", "--json")
    event = json.loads(out)
    assert code == event["exit"] == 2
    assert event["v"] == 1 and event["event"] == "error" and event["code"] == "RUN-MISSING" and event["fix"]
    assert err.startswith("error RUN-MISSING  /no/such/folder")


def test_a_bare_double_dash_ends_the_flags():
    show, rest = Output.from_tokens(["runs", "--quiet", "--", "--json"])
    assert show.quiet and not show.json and rest == ["runs", "--", "--json"]


@pytest.mark.parametrize(
    ("error", "code", "exit_code"),
    [
        (MemoryError("no"), "RUN-MEMORY", 6),
        (OSError(28, "No space left on device"), "RUN-DISK", 6),
        (KeyError("x"), "INTERNAL", 1),
        (KeyboardInterrupt(), "interrupted", 130),
    ],
)
def test_whatever_happens_ends_in_a_code(error, code, exit_code, capsys, monkeypatch, tmp_path):
    def broken(*_):
        raise error

    monkeypatch.setattr(dispatch, "_run", broken)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    done, _, err = run_here(capsys, "runs")
    assert done == exit_code and code in err and "Traceback" not in err


def test_the_crash_report_holds_the_traceback_and_its_path_is_printed(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(dispatch, "_run", lambda *_: {}["absent"])
    code, _, err = run_here(capsys, "runs")
    (report,) = tmp_path.rglob("crash_*.txt")
    assert code == 1 and str(report) in err.splitlines()[0]
    text = report.read_text()
    assert "Traceback" in text and "KeyError: 'absent'" in text and "stays on this machine" in text


def test_the_crash_report_goes_elsewhere_when_the_state_folder_may_not_be_written(monkeypatch, tmp_path):
    from saccade.cli import crash

    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(crash.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    assert crash.write_report(ValueError("x")).parent == tmp_path / "temporary" / "saccade"


def test_locale_c_and_undecodable_names_never_crash(saccade, tmp_path):
    name = os.fsdecode(b"bad_\xff\xc3\xa9")
    told = saccade("runs", tmp_path / name, code=2, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert "bad_\\xff" in told.err
    told = saccade("runs", tmp_path / name, "--json", code=2, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert told.event("error")["code"] == "RUN-MISSING"


def test_a_closed_stdout_is_no_error(saccade_environment, tmp_path):
    command = f"{shlex.quote(sys.executable)} -m saccade doctor --explain all"
    script = f"{command} | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=saccade_environment(), cwd=tmp_path, timeout=60)
    assert done.stdout.splitlines() == [f"{next(iter(errors.CODES.values())).severity} {next(iter(errors.CODES))}", "0"]
    assert done.stderr == ""


def test_quiet_prints_nothing_but_errors(capsys):
    assert run_here(capsys, "doctor", "--explain", "DEVICE", "--quiet") == (0, "", "")
    assert run_here(capsys, "doctor", "--explain", "DEVCE", "--quiet")[2].startswith("error USE-CODE")


def test_colour_is_for_terminals_alone(capsys, monkeypatch):
    class Terminal(type(sys.stdout)):
        def isatty(self):
            return True

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert Output()._styled("x", "error") == "\x1b[31mx\x1b[0m"
    assert Output(colour=False)._styled("x", "error") == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert Output()._styled("x", "error") == "x"


def test_unknown_option_error_lists_what_the_verb_has():
    with pytest.raises(UsageError, match=r"--nope; The options are --explain, --folder, --json, --quiet, --no-color"):
        dispatch.parse("doctor", load("doctor").doctor, ["--nope"])
