# Two commands do everything on a fresh machine:  make run   ·   make test
# Each sets up what it needs (a virtual environment in .venv, exact versions from constraints.txt) and says so.

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
ARGS   ?=

.DEFAULT_GOAL := help
.PHONY: help run test check nightly bench setup setup-dev clean

help:  ## show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup:
	@$(PYTHON) scripts/bootstrap.py

setup-dev:
	@$(PYTHON) scripts/bootstrap.py --dev

run: setup  ## set up, then serve the page on http://127.0.0.1:7860 (ARGS="--port 8000", SHARE=1: a public link)
	@$(PY) -m app serve $(if $(SHARE),--share) $(ARGS)

test: setup-dev  ## set up, then lint, types, import contracts and all tests but the nightly ones
	@$(PY) scripts/checks.py --all

check: setup-dev  ## the quick loop: lint, types, contracts, tests without the slow ones
	@$(PY) scripts/checks.py

nightly: setup-dev  ## the long tests, and those that measure what a busy machine blurs
	@$(PY) scripts/checks.py --nightly

bench: setup-dev  ## python -m benchmarks NAME (make bench NAME=paint ARGS="--minutes 1")
	@test -n "$(NAME)" || { echo "say which: make bench NAME=paint"; $(PY) -m benchmarks --list; exit 2; }
	@$(PY) -m benchmarks $(NAME) $(ARGS)

clean:  ## remove the environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
