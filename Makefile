# Everything on a fresh machine with Python 3.11 and make:  `make demo` shows it, `make test` proves it.
PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# One thread a process: the tests run side by side, and the same number of threads gives the same bytes.
TESTENV := OMP_NUM_THREADS=1

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs recipes slow bench install clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

demo: $(VENV)/.core ## install, train on real handwritten digits, print the report's path
	$(BIN)/saccade demo

test: lint docs ## install all that the tests need, then lint, types, import order, docs, tests
	$(TESTENV) $(BIN)/python -m pytest -q -n $(WORKERS)

lint: $(VENV)/.dev ## style, types, the order of the rooms
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.dev ## build the documentation, warnings being errors
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

recipes: $(VENV)/.dev ## run every recipe and hold its number against the stated range
	$(BIN)/python recipes/run_all.py

slow: $(VENV)/.dev ## the tests that take minutes
	$(TESTENV) $(BIN)/python -m pytest -q -m slow --timeout 3600

bench: $(VENV)/.dev ## ratios against peers, each measured in the same run
	$(BIN)/python benchmarks/classification.py
	$(BIN)/python benchmarks/data.py

install: $(VENV)/.core ## saccade alone, in .venv

clean: ## remove what was built, but not .venv
	rm -rf docs/_build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

# Stamps: a second `make` installs nothing. `-c constraints.txt` keeps the torch build that is pinned there.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name it with PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q -U pip

$(VENV)/.core: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install -q -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) install -q -c constraints.txt -e . --group dev
	@touch $@ $(VENV)/.core
