# The two commands are `make run` and `make test`; both set everything up by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime-ready
DEVELOP := $(VENV)/.develop-ready
MODEL_SERVER := tests/llm_server/node_modules/.ready
MCP_SERVERS := tests/mcp_servers/node_modules/.ready
# One more than there are cores: many tests wait for processes of their own.
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2) + 1)

.DELETE_ON_ERROR:
.PHONY: help run setup test test-long test-again model-server mcp-servers check lint types imports format bench bench-tui bench-large lock pictures clean

help: ## what each target does
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: $(RUNTIME) ## open the app on this workspace
	@$(BIN)/rondo

setup: $(RUNTIME) ## make .venv with what the app needs

test: $(DEVELOP) $(MODEL_SERVER) check ## the checks and the tests that guard daily work
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not long" tests

test-long: $(DEVELOP) $(MODEL_SERVER) $(MCP_SERVERS) ## the full counts
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m long tests

test-again: $(DEVELOP) $(MODEL_SERVER) ## the tests that failed last, by themselves; refused where they are many
	@$(BIN)/python -c 'import json, pathlib; kept = pathlib.Path(".pytest_cache/v/cache/lastfailed"); \
	  failed = list(json.loads(kept.read_text())) if kept.exists() else []; \
	  print("rondo: failed at first, now run by themselves:", *failed, sep="\n  "); \
	  raise SystemExit(not 0 < len(failed) <= 3)'
	$(BIN)/python -m pytest --last-failed --last-failed-no-failures none tests

mcp-servers: $(MCP_SERVERS) ## two real MCP servers that the long tests talk to; needs node

model-server: $(MODEL_SERVER) ## the scripted model server that tests talk to; needs node

check: lint types imports ## ruff, mypy and import-linter

lint: $(DEVELOP)
	$(BIN)/ruff check core tui workflows tests benchmarks
	$(BIN)/ruff format --check core tui workflows tests benchmarks

types: $(DEVELOP)
	$(BIN)/mypy

imports: $(DEVELOP)
	$(BIN)/lint-imports

format: $(DEVELOP) ## let ruff rewrite what it can
	$(BIN)/ruff check --fix core tui workflows tests benchmarks
	$(BIN)/ruff format core tui workflows tests benchmarks

bench: $(DEVELOP) ## one table of ratios, every row from the same run; PEERS=1 adds the peers
	$(BIN)/python -m benchmarks $(if $(PEERS),--peers)

bench-tui: $(DEVELOP) ## what the screens cost, in a real terminal
	$(BIN)/python -m benchmarks.tui

bench-large: $(DEVELOP) ## what 100,000 runs and 1,000,000 log lines cost
	$(BIN)/python -m benchmarks.large

pictures: $(DEVELOP) ## the README's pictures, from the real app
	$(BIN)/python -m docs.make_pictures

lock: $(DEVELOP) ## pin again: runtime, development, and what is installed on demand
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet -o requirements.lock
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet -o requirements-dev.lock
	echo composio-core==0.7.22 | $(BIN)/uv pip compile - --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet -o core/tools/composio_core/requirements.lock

clean: ## remove the environment and caches, never runs
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist build

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
	  echo "rondo: no '$(PYTHON)' on this machine. Install Python 3.11 or newer, or call: make $(MAKECMDGOALS) PYTHON=/path/to/python" >&2; exit 5; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "rondo: $$($(PYTHON) --version) is too old; Rondo needs 3.11 or newer. Name another one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 5; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  v=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	  echo "rondo: this Python has no venv module. On Debian or Ubuntu install it with: apt-get install python$$v-venv" >&2; exit 5; }
	@echo "rondo: making $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)

$(RUNTIME): requirements.lock pyproject.toml | $(BIN)/python
	@echo "rondo: installing what the app needs"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@$(BIN)/rondo init . --no-example --quiet
	@touch $@

$(DEVELOP): requirements-dev.lock $(RUNTIME)
	@echo "rondo: installing what the tests need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

# Tests that need it are skipped, and say so, only where there is no node at all.
$(MODEL_SERVER): tests/llm_server/package.json tests/llm_server/package-lock.json
	@if command -v node >/dev/null 2>&1; then \
	  echo "rondo: installing the model server of the tests"; \
	  cd tests/llm_server && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error && touch node_modules/.ready; \
	else echo "rondo: no node on this machine: tests that talk to a model server are skipped"; fi

$(MCP_SERVERS): tests/mcp_servers/package.json tests/mcp_servers/package-lock.json
	@if command -v node >/dev/null 2>&1; then \
	  echo "rondo: installing the MCP servers of the long tests"; \
	  cd tests/mcp_servers && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error && touch node_modules/.ready; \
	else echo "rondo: no node on this machine: tests that talk to MCP servers from npm are skipped"; fi
