# make demo and make test do all their own set-up: a machine with Python >= 3.11 and make is enough.
PYTHON ?= python3
BIN := .venv/bin
EXTRAS := tabular,serve,tracking,retrieval,demo

.PHONY: help install install-dev demo test lint format clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

install: .venv/installed  ## .venv with Mainspring, to fit, serve and track

install-dev: .venv/installed-dev  ## the same, with what the tests and linters need

demo: install  ## a table and a language model served, a year replayed, a service that renews itself
	$(BIN)/python examples/airdesk/demo.py $(ACTS)

test: install-dev  ## the whole test suite, two files at a time
	tests/with_postgresql.sh $(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST_ARGS)

lint: install-dev  ## ruff, mypy, and the layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install-dev  ## rewrite the code as the linter likes it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove the virtual environment and all that was fitted
	rm -rf .venv .benchmarks examples/*/.mainspring

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed, $(PYTHON) is older: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/installed: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@

.venv/installed-dev: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch .venv/installed $@  # it has all of the other
