"""The quick recipes, run as a user runs them, and what the list of all of them says."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
QUICK = ["digits8x8", "long_lag", "fully_convolutional"]


@pytest.mark.recipe
@pytest.mark.parametrize("name", QUICK)
def test_a_quick_recipe_holds(name, saccade_environment):
    command = [sys.executable, str(RECIPES / "run_all.py"), name]
    done = subprocess.run(command, env=saccade_environment(), capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0 and f"holds       {name}" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("file", sorted(p for p in RECIPES.glob("*.py") if p.stem not in ("run_all", "claims", "tensors")), ids=lambda p: p.stem)
def test_a_recipe_states_its_command_data_and_numbers(file):
    text = ast.get_docstring(ast.parse(file.read_text()))
    for word in ("Command     ", "Data        ", "Expected    ", "Measured    "):
        assert f"\n{word}" in text
    assert "see docs" not in text and any(c.isdigit() for c in text.partition("Measured    ")[2])


def test_an_unknown_recipe_is_exit_two():
    done = subprocess.run([sys.executable, str(RECIPES / "run_all.py"), "nosuch"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "nosuch" in done.stderr
