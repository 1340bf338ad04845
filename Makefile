# `make demo` shows what napari-icmoe does, `make test` checks all of it.
# Both set themselves up first, in .venv, and install nothing a second time.

SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help demo test setup system clean

PYTHON ?=
export PYTHON

# The installation links the manifest into the package; where the link is gone, install again.
MISSING := $(if $(wildcard napari_icmoe/napari.yaml),,missing)
.PHONY: missing

help:
	@echo "make demo    outline a tumour on the sample scan: in napari, or in files without a screen"
	@echo "make test    run every check: style, types, tests, and the wheel in an empty environment"
	@echo "make setup   only create .venv and install into it"
	@echo "make clean   remove .venv and everything that was built"

demo: setup
	.venv/bin/icmoe demo

test: setup
	.ci/check

setup: system .venv/.installed

missing:

system:
	@.ci/system-packages

.venv/.installed: pyproject.toml .ci/hatch_build.py .ci/setup $(MISSING) | system
	@.ci/setup

clean:
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
