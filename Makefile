# Every command a developer needs; `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
BIN := .venv/bin
INPUTS := constraints.txt requirements-dev.txt $(wildcard database/pyproject.toml services/*/pyproject.toml)
STAMP := .venv/.installed

.PHONY: help setup run demo test lint types bench golden clean

help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: $(STAMP) ## Install everything into .venv; quick when nothing changed

$(STAMP): $(INPUTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "OptiInfra needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

run: setup ## Collect this machine and serve it on http://127.0.0.1:8000
	@exec $(BIN)/optiinfra standalone

demo: setup ## Serve four fake clouds, without any account
	@PYTHONPATH=tests exec $(BIN)/python -m fakes.demo

test: setup ## Run every test that needs no browser
	$(BIN)/pytest -n auto --dist loadgroup

lint: setup ## Check style, imports and the rules between packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: setup ## Check types, strictly
	$(BIN)/mypy

bench: setup ## Measure storage, writer, endpoints and memory; takes about half an hour
	PYTHONPATH=tests $(BIN)/python -m benchmarks

golden: setup ## Write the golden files anew; read the diff before you commit it
	OPTIINFRA_WRITE_GOLDEN=1 $(BIN)/pytest -q tests/golden

clean: ## Remove what setup and the tests made; collected data stays
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
