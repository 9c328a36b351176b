# What one does with this project day by day. The work itself is done by the scripts in bin/.

MAKEFLAGS += --no-print-directory
PYTHON := .venv/bin/python
.DEFAULT_GOAL := help
# Some shells set it; each of the many processes here would then compile everything again.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help run stop reset psql manage test test-slow mutate-schema lint bench bench-races bench-soak chaos fuzz permissions lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 22

run: ## set up what is missing and run the service; Ctrl-C stops it (PORT=8067 HOST=127.0.0.1)
	@bin/setup
	@bin/run

stop: ## stop the service and the private database
	@bin/stop

reset: ## remove the private database with all its data (asks first; CONFIRM=yes does not)
	@bin/reset $(CONFIRM)

psql: ## open psql on the database (ROLE=app, owner or admin)
	@bin/psql $(or $(ROLE),app)

manage: ## run a management command: make manage CMD="check_invariants"
	@bin/setup
	@bin/manage $(CMD)

test: ## the quick tests, a few minutes (ARGS="tests/geo -x")
	@bin/setup --test
	@$(PYTHON) -m pytest -n 3 --dist worksteal -m "not slow" $(ARGS)

# pytest's exit code 5 means: there is no such test.
test-slow: ## the slow tests
	@bin/setup --test
	@$(PYTHON) -m pytest -n 3 --dist worksteal -m slow $(ARGS) || [ $$? -eq 5 ]

mutate-schema: ## drop each wall of the database in turn and see the tests that guard it fail (ARGS="--only offer")
	@bin/setup --test
	@$(PYTHON) -m tests.mutate_schema $(ARGS)

lint: ## linters, types, import rules, migrations and deployment checks
	@bin/setup --test
	@bin/lint

bench: ## measure the hot paths, results in var/bench (ARGS=--quick)
	@bin/setup --test
	@$(PYTHON) -m tests.bench $(ARGS)

bench-races: ## a million contested accepts and what became of them, some ten minutes (ARGS=--quick)
	@bin/setup --test
	@$(PYTHON) -m tests.bench.races $(ARGS)

bench-soak: ## ten minutes of 20,000 positions a second with rides meanwhile (ARGS="--door sockets", ARGS=--help)
	@bin/setup --test
	@$(PYTHON) -m tests.bench.soak $(ARGS)

chaos: ## kill parts of the service 200 times, then break 10,000 connections: is anything lost? (ARGS="--kills 20 --seed 2")
	@bin/setup --test
	@$(PYTHON) -m tests.chaos $(ARGS)
	@DROPS=$(or $(DROPS),10000) $(PYTHON) -m pytest -q -s -m slow tests/faults/test_drops.py

fuzz: ## a million hostile frames against a real server, some ten minutes (ARGS="--frames 50000 --seed 2")
	@bin/setup --test
	@$(PYTHON) -m tests.fuzz $(ARGS)

permissions: ## write docs/permissions.md anew from tests/permissions.toml
	@bin/setup --test
	@$(PYTHON) -m tests.permissions.page

lock: ## write requirements*.txt anew from requirements*.in (UPGRADE=1 takes newer versions)
	@bin/setup --test
	@for name in requirements requirements-dev docker/peers; do \
	  .venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-emit-find-links --no-header $(if $(UPGRADE),--upgrade) $$name.in -o $$name.txt || exit 1; \
	done

clean: ## remove caches, the virtual environment and the map library; keeps the database
	@rm -rf .venv node_modules .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis var/setup-unavailable var/engines-unavailable
	@find . -name __pycache__ -not -path './node_modules/*' -prune -exec rm -rf {} +
