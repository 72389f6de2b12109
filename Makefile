# The two commands of the README are `make run` and `make test`. Each target sets up `.venv` by itself.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
STAMP := .venv/.triplane-installed
CONFIG ?= deploy/examples/triplane.toml
PYTEST_ARGS ?=
BENCH_ARGS ?=

.PHONY: run test test-all lint bench schemas setup compiled clients
.DEFAULT_GOAL := run

setup: compiled

# Bytecode of our own modules, where the environment keeps Python from writing it: a start without it takes a third longer.
compiled: $(STAMP)
	@$(BIN)/python -m compileall -q core adapters schemas

$(STAMP): pyproject.toml
	@echo "== setting up .venv (a minute or two the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $(STAMP)

run: compiled
	@echo "== starting a gateway with one example run of each engine (Ctrl-C stops it)"
	@exec $(BIN)/triplane demo --serve --config $(CONFIG)

# The real clients that tests drive, each in an environment of its own.
clients: $(STAMP)
	@echo "== the real clients in .interop (minutes the first time)"
	@$(BIN)/python tests/interop/clients.py

# Three at a time on two cores, for most tests wait for clients and disks; by file, as files share gateways; in the order of their
# names, which begins with the long ones.
SIDE_BY_SIDE := -n 3 --dist loadfile --no-loadscope-reorder
REDUCED := -m "not full" $(SIDE_BY_SIDE)

test: compiled clients
	@echo "== everything that fits in fifteen minutes on two cores"
	$(BIN)/python -m pytest $(REDUCED) $(PYTEST_ARGS)

# What is marked `alone` runs by itself: its figures are of a machine that does nothing else.
test-all: compiled clients
	@echo "== every proof at its stated size: first what make test runs"
	@mkdir -p build && rm -f build/reduced.xml build/full.xml build/alone.xml
	-$(BIN)/python -m pytest $(REDUCED) --junitxml build/reduced.xml $(PYTEST_ARGS)
	@echo "== then what takes longer"
	-$(BIN)/python -m pytest -m "full and not alone" $(SIDE_BY_SIDE) --junitxml build/full.xml $(PYTEST_ARGS)
	@echo "== then what has to be alone"
	-$(BIN)/python -m pytest -m "full and alone" --junitxml build/alone.xml $(PYTEST_ARGS)
	$(BIN)/python tests/results_file.py tests/RESULTS.md "make test-all" build/reduced.xml build/full.xml build/alone.xml

lint: $(STAMP)
	@echo "== ruff"
	$(BIN)/ruff check .
	@echo "== mypy --strict"
	$(BIN)/mypy --strict
	@echo "== walls"
	$(BIN)/lint-imports
	@echo "== no module over 500 lines but generated ones"
	@find core adapters schemas tests -name '*.py' ! -name '*_pb2*.py' -exec wc -l {} + \
		| awk '$$2 != "total" && $$1 > 500 { print "too long: " $$2 " (" $$1 " lines)"; bad = 1 } END { exit bad }'

bench: compiled
	@echo "== our figures beside floors, limits and peers, interleaved in one run (about fifteen minutes; peers are installed the first time)"
	$(BIN)/python tests/bench/run.py $(BENCH_ARGS)

schemas: $(STAMP)
	@echo "== the documents that are generated from the code"
	$(BIN)/python -m triplane.documents schemas/triplane_schemas/core deploy/triplane.example.toml
	$(BIN)/python -m triplane_schemas.generate
	$(BIN)/python -m triplane_durable.openapi schemas/triplane_schemas/durable/openapi.json
	$(BIN)/python -m triplane_cyclus.asyncapi schemas/triplane_schemas/cyclus/asyncapi.json
	$(BIN)/python -m triplane_cylc.subcommands adapters/triplane_cylc/COMMANDS.md
