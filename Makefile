# `make demo` and `make test` do all the set-up themselves, in .venv, with plain pip.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo docs test test-wheel test-apps test-slow fuzz soak lint

setup: .venv/.installed

.venv/.installed: pyproject.toml setup.py
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed: make PYTHON=python3.12 ..."'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[export,web,dev,docs]"
	touch $@

demo: setup
	$(BIN)/edge-scs demo --out demo

docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow and not fuzz"

test-wheel: setup
	.ci/wheel $(BIN)/python

test-apps: setup
	$(BIN)/python apps/test.py

test-slow: setup
	$(BIN)/python -m pytest -m slow

fuzz: setup
	$(BIN)/python -m pytest -m fuzz tests/fuzz

soak: setup
	$(BIN)/python benchmarks/soak.py --count 500
	$(BIN)/python benchmarks/kill_training.py --kills 20

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
