# `make` alone lists the targets. All that a fresh machine needs is make and Python 3.11 or newer.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: help venv demo notebooks test matrix soak chaos mutants large interop browser benchmark docs lint format clean

help:
	@echo "make demo    run the demonstration (ARGS=... are passed on)"
	@echo "make test    run the tests            (ARGS=... are passed to pytest)"
	@echo "make matrix  run the long suite       (ARGS=... are passed to pytest)"
	@echo "make soak    count and search for long (ARGS=... are passed to pytest)"
	@echo "make chaos   kill, stop and starve workers while jobs run (ARGS=... are passed to pytest)"
	@echo "make mutants plant defects, and look whether the tests notice (ARGS=... are passed to pytest)"
	@echo "make large   move many bytes through little memory (ARGS=... are passed to pytest)"
	@echo "make interop let openssl, npm and a bare Python check evidence (ARGS=... are passed to pytest)"
	@echo "make browser look at pages with Chromium (ARGS=... are passed to pytest)"
	@echo "make benchmark  compare with plain Dask (ARGS=... are passed to python -m benchmarks)"
	@echo "make notebooks  run the notebooks, into build/notebooks (ARGS=... are passed to notebooks/build.py)"
	@echo "make docs    build the documentation in docs/_build/html"
	@echo "make lint    check style, types, layers and docstrings"
	@echo "make format  format the code"
	@echo "make venv    make .venv and install everything in it"
	@echo "make clean   remove what the other targets made"

venv: $(STAMP)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and "dask_verify needs Python 3.11 or newer, and $(PYTHON) is %d.%d: run make PYTHON=python3.11" % v[:2])'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

demo: $(STAMP)
	$(BIN)/dask verify demo $(ARGS)

test: $(STAMP)
	$(BIN)/python -m pytest $(ARGS)

matrix: $(STAMP)
	$(BIN)/python -m pytest -m matrix $(ARGS)

soak: $(STAMP)
	$(BIN)/python -m pytest -m soak $(ARGS)

chaos: $(STAMP)
	$(BIN)/python -m pytest -m chaos tests/chaos $(ARGS)

mutants: $(STAMP)
	$(BIN)/python -m pytest -m mutants tests/mutants $(ARGS)

large: $(STAMP)
	$(BIN)/python -m pytest -m large tests/large $(ARGS)

interop: $(STAMP)
	$(BIN)/python -m pytest -m interop tests/interop $(ARGS)

browser: $(STAMP)
	$(BIN)/python -m pytest -m browser tests/browser $(ARGS)

benchmark: $(STAMP)
	$(BIN)/python -m benchmarks $(or $(ARGS),run)

notebooks: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[notebooks]'
	$(BIN)/python notebooks/build.py $(ARGS)

.venv/.docs: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs,test]'
	@touch $@

docs: .venv/.docs
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/docstrings.py

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .coverage build dist docs/_build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
