# Every target makes .venv first when it is missing or stale. Another Python: make test PYTHON=python3.13
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A file's tests share what they prepare, so they stay in one process; tests/conftest.py says which files come first.
PYTEST_ARGS ?= -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

# The stamp's name holds the Python and the folder it was installed for, so that another of either makes .venv anew.
STAMP := $(VENV)/.installed-$(shell $(PYTHON) -c 'import os, sys, zlib; print("%d.%d.%d-%08x" % \
	(sys.version_info[:3] + (zlib.crc32(os.getcwd().encode()) & 0xFFFFFFFF,)))')

.PHONY: help demo test lint types clean
.DELETE_ON_ERROR:

help:
	@echo 'make demo    train every baseline on generated sample data, and compare it with the trivial run'
	@echo 'make test    lint, types and tests'
	@echo 'make lint    format and lint checks, and the import contracts'
	@echo 'make types   mypy'
	@echo 'make clean   remove .venv, caches and build products; runs/ and data/ stay'

demo: $(STAMP)
	$(BIN)/python scripts/demo.py

test: lint types
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache --no-logo

types: $(STAMP)
	$(BIN)/mypy

$(STAMP): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'imageclef-baselines needs Python 3.11 or newer: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11'; exit 1; }
	@test -e $@ || $(PYTHON) -m venv --clear $(VENV)
	@echo 'installing into $(VENV); PyTorch is large, this takes some minutes'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[train,slurm,search,trackers,dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find baselines scripts tests -name __pycache__ -prune -exec rm -rf {} +
