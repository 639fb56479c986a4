# WattQuorum. Every target sets up .venv by itself when it is missing or stale (scripts/set_up.py).

PYTHON ?= python3
ARGS ?=
SEEDS ?= 2000
BIN := .venv/bin
CHECKED := src tests scripts torture $(wildcard benchmarks)

.PHONY: help run test soak torture bench bench-peers mutants lint clean venv

help:
	@echo "make run     trade the demo week on five nodes and write out/week  (ARGS='--days 2 --seed 7' is passed on)"
	@echo "make test    lint, then every test, with branch coverage  (ARGS='-k apportion' is passed on)"
	@echo "make soak    worlds in which everything fails, 2000 of them  (SEEDS=100000 for more)"
	@echo "make torture kill, stop, fill and cut off real nodes for a minute  (ARGS='--kills 500 --drops' for more)"
	@echo "make bench   measure throughput, settlement, audit, memory, power flow  (ARGS is passed on)"
	@echo "make bench-peers  nodes beside etcd and PySyncObj, half an hour  (ARGS=--setup says what is needed)"
	@echo "make mutants  break each rule of the protocol in turn and look what notices; up to 20 minutes"
	@echo "make lint    ruff, mypy, the layers and the exact floors"
	@echo "make clean   remove .venv, out and every cache"
	@echo "Needed: Python 3.11 or later with venv (python3, python3-venv). Another one: make PYTHON=python3.12 run"

venv:
	@$(PYTHON) scripts/set_up.py

run: venv
	@$(BIN)/wattquorum week --live $(ARGS)

test: lint
	@$(BIN)/python -m pytest --numprocesses=4 --dist=loadfile --no-loadscope-reorder --cov $(ARGS)

soak: venv
	@$(BIN)/wattquorum chaos --seeds 0:$(SEEDS)

torture: venv
	@$(BIN)/python -m torture.run $(ARGS)

bench: venv
	@$(BIN)/python -m benchmarks $(ARGS)

bench-peers: venv
	@$(BIN)/python -m benchmarks.peers $(ARGS)

mutants: venv
	@$(BIN)/python scripts/mutants.py $(ARGS)

lint: venv
	@$(BIN)/ruff check --quiet $(CHECKED)
	@$(BIN)/ruff format --check --quiet $(CHECKED)
	@$(BIN)/mypy --no-error-summary $(CHECKED)
	@told=$$($(BIN)/lint-imports --no-logo 2>&1) || { echo "$$told"; exit 1; }
	@$(BIN)/python -m tests.lint_exact
	@echo "lint: clean"

clean:
	@rm -rf .venv out build dist .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache .schemathesis
	@find src tests scripts benchmarks torture -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
