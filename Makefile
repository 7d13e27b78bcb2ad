# Two commands matter: `make preview` plans every shipped stack, `make test` runs everything CI runs.
# Both set up all they need: a virtual environment in .venv and a cached Pulumi engine.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
export PULUMI_SKIP_UPDATE_CHECK := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help preview test test-unit check format golden schema pictures engine clean

help: ## List the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

preview: $(STAMPS)/runtime engine ## Plan every shipped stack on the real engine, no cloud account needed.
	@$(BIN)/slipway plan

test: check engine ## Lint, types and every test tier; what CI runs.
	@tests/packages
	@$(BIN)/pytest

test-unit: $(STAMPS)/dev ## The inner loop: pure tests, seconds.
	@$(BIN)/pytest -m unit

check: $(STAMPS)/dev ## Ruff and pyright.
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/pyright --warnings

format: $(STAMPS)/dev ## Format the code.
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

golden: $(STAMPS)/dev ## Renew the golden files; read the diff before you commit it.
	@$(BIN)/pytest -q -m unit --update-golden
	@$(BIN)/python -m slipway.settings.reference

schema: $(STAMPS)/runtime ## Renew the editors' JSON Schema of a stack file.
	@$(BIN)/slipway schema --write

pictures: $(STAMPS)/runtime engine ## Renew the README's pictures.
	@$(BIN)/python -m slipway.reports.picture

engine: $(STAMPS)/runtime
	@$(BIN)/python -m slipway.engine

clean: ## Remove what make made in this folder; the engine stays in the user's cache.
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis build *.egg-info

$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Slipway needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.11"; exit 1; }
	@echo "Creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/runtime: $(STAMPS)/venv requirements.txt pyproject.toml
	@echo "Installing requirements.txt (about a minute the first time)"
	@$(BIN)/pip install --quiet --editable .
	@touch $@

$(STAMPS)/dev: $(STAMPS)/runtime requirements-dev.txt
	@echo "Installing requirements-dev.txt"
	@$(BIN)/pip install --quiet --requirement requirements-dev.txt
	@touch $@
