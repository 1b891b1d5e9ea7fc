# make demo | test | test-long | fuzz | matrix | check | bench | wheel | clean: each sets up .venv when it is missing or stale.

SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
# More words for pip, such as the index that has the CPU build of torch.
PIP_ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
# Remembers for which pyproject.toml and constraints.txt the environment was made.
STAMP := $(VENV)/.installed

# Two test processes on two cores: one thread for each. More would wait for each other.
test test-long fuzz matrix bench: export OMP_NUM_THREADS = 1
test test-long fuzz matrix bench: export JAX_PLATFORMS = cpu
PYTEST := $(BIN)/python -m pytest
WORKERS ?= 2

.PHONY: help setup demo test test-long fuzz matrix check format bench wheel clean

help:
	@echo "make demo       train a Fuse program on handwritten digits and compare the engines"
	@echo "make test       the test suite (under ten minutes on two cores)"
	@echo "make test-long  inductor, wheel in an empty environment, more seeds"
	@echo "make fuzz       20,000 random programs by every engine (FUZZ=\"--programs 500 --seed 7\" for other ones), 2,000 of rules"
	@echo "make matrix     docs/backend_matrix.md, from the tests behind it"
	@echo "make check      formatting, lint, types"
	@echo "make bench      figures against hand-written code"
	@echo "make wheel      dist/*.whl"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Fuse needs Python 3.11 or newer: no python3 found"; exit 1; }
	@"$(PYTHON)" -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"Fuse needs Python 3.11 or newer, $(PYTHON) is {v[0]}.{v[1]}: install it or pass PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e ".[dev,demo,torch,jax]"
	@touch $@

demo: $(STAMP)
	$(BIN)/fuse demo $(DEMO)

test: $(STAMP)
	$(PYTEST) -q -n $(WORKERS) --dist loadfile $(TESTS)

test-long: $(STAMP)
	$(PYTEST) -q tests/long

# Prints every disagreement as a small program; `--seed` goes on from the last seed printed.
FUZZ ?= --programs 20000 --seed 1 --jobs $(WORKERS)
LOGIC ?= --programs 2000 --seed 1 --jobs $(WORKERS)

fuzz: $(STAMP)
	$(BIN)/python -m tests.fuzz $(FUZZ)
	$(BIN)/python -m tests.logic $(LOGIC)

# Runs the tests behind the page alone.
matrix: $(STAMP)
	$(PYTEST) -q -n $(WORKERS) --dist loadfile -p tests.matrix.plugin --matrix docs/backend_matrix.json tests
	$(BIN)/python -m tests.matrix.page

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m tests.matrix.page --check

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP)
	$(BIN)/python -m benchmarks

wheel: $(STAMP)
	$(BIN)/python -m build --wheel --no-isolation

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis runs
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +
