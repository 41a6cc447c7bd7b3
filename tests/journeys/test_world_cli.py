"""Simulated scenes as a user asks for them: listed, written, checked, refused."""

import pytest

from saccade import api

pytestmark = pytest.mark.journey


def test_the_worlds_are_listed(saccade):
    told = saccade("world", "--list", "--json")
    names = [event["name"] for event in told.events if event["event"] == "world"]
    assert len(names) >= 8 and {"digits", "shapes", "tabletop", "street", "cells", "xray", "glyphs", "wildlife"} <= set(names)


def test_scenes_are_written_and_pass_the_check(saccade, tmp_path):
    told = saccade("world", "tabletop", "--labels", "boxes,masks", "--n", "6", "--size", "64", "--seed", "5", "--weather", "fog", "--out", tmp_path / "scenes")
    assert "boxes" in told.out and "instances" in told.out and "saccade check" in told.out
    saccade("check", tmp_path / "scenes")
    assert "4 images" in saccade("check", "world:clips?n=4&size=32").out


def test_what_is_wrong_is_said(saccade, tmp_path):
    assert "--list" in saccade("world", code=2).err
    assert "did you mean tabletop" in saccade("world", "tabeltop", "--out", tmp_path / "x", code=2).err
    assert "weather=snow" in saccade("world", "street", "--weather", "snow", "--out", tmp_path / "x", code=2).err
    assert not (tmp_path / "x").exists()


def test_a_run_on_a_world_is_extended_from_any_folder(tmp_path, monkeypatch):
    first = api.train("world:digits?n=40&size=16&difficulty=easy&labels=label", epochs="1", out=str(tmp_path / "run"), threads=1, selftest=False, floors=False)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = api.train(resume=str(first.path), epochs="+1")
    assert again.path == first.path and len((first.path / "metrics.jsonl").read_text().splitlines()) == 2
