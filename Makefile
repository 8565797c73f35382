# Every target sets up what it needs; nothing but make and Python >= 3.11 has to be there.
# `make help` lists the targets.

SHELL := /bin/sh
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& echo "$$p" && break; done)
# None was new enough: let the set-up script say so with whatever Python there is.
PYTHON := $(or $(PYTHON),python3)
RUN := .venv/bin/python
# make record CH=02; make sync FROM=notebook
CH ?=
FROM ?=

.PHONY: help setup book test lab record sync lint clean lock
.DEFAULT_GOAL := help

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "make %-8s %s\n", $$1, $$2}' Makefile

setup:  ## create .venv with everything (done by every other target too)
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
		echo "make: no Python found; install Python 3.11 or newer" >&2; exit 1; }
	@$(PYTHON) scripts/setup_env.py

book: setup  ## run the chapters and build the HTML book
	@$(RUN) scripts/book.py build

test: setup  ## all checks: lint, types, contracts, unit tests, notebooks, book
	@$(RUN) scripts/check.py

lab: setup  ## explore the notebooks in JupyterLab
	@$(RUN) -m jupyter lab notebooks

record: setup  ## execute notebooks in place and keep the outputs (CH=02 for one)
	@$(RUN) scripts/notebooks.py record $(CH)

sync: setup  ## bring the notebooks in step with their text twins
	@$(RUN) scripts/notebooks.py sync $(if $(FROM),--from $(FROM)) $(CH)

lint: setup  ## style, types, import contracts, spelling, twins
	@$(RUN) scripts/check.py lint

clean:  ## remove built pages and caches (keeps .venv, data, runs)
	rm -rf _build .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
	find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +

lock: setup  ## refresh constraints.txt from what .venv holds
	@$(RUN) scripts/lock.py
