# Needs Python 3.11 or newer, make, and nothing else; everything is installed into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FUZZ_S ?= 60
RUN := $(VENV)/installed-run
DEV := $(VENV)/installed-dev

PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCK := CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/pip-compile --quiet --upgrade --generate-hashes --allow-unsafe \
	--strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options \
	--constraint requirements/constraints.in

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test faults containers kubernetes mutants fuzz bench bench-quick bench-gateway lint types lock clean

help: ## Show what can be made.
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST)

demo: $(RUN) ## Sell a thousand tickets on a real Kafka and a real Redis, and audit it.
	$(BIN)/boxoffice demo

test: lint types $(DEV) ## Lint, types, import rules and every test; what CI runs.
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile

faults: $(DEV) ## The long tests: everything that dies, and 10,000 simulated schedules.
	$(BIN)/python -m pytest -m long tests/faults tests/simulation

containers: $(DEV) ## Build the image, and sell through Compose while containers are killed; as root without Docker.
	$(BIN)/python -m tests.deployment.containers

kubernetes: $(DEV) ## Run the manifests in a real cluster on this machine; as root, on Debian.
	$(BIN)/python -m tests.deployment.cluster

mutants: $(DEV) ## Plant each deliberate defect, and see that the tests notice it.
	$(BIN)/python -m tests.mutants

fuzz: $(DEV) ## Let a fuzzer choose HTTP bodies, for FUZZ_S seconds (60).
	$(PIP_INSTALL) 'atheris==3.*' || { echo "atheris has no wheel for this system or Python."; exit 1; }
	$(BIN)/python -m tests.fuzz -max_total_time=$(FUZZ_S)

bench: $(DEV) ## Measure everything, half an hour, and write docs/performance.md.
	$(BIN)/python -m benchmarks

bench-quick: $(DEV) ## Measure the decisions, in less than two minutes.
	$(BIN)/python -m benchmarks --quick

bench-gateway: $(DEV) ## Measure purchases over HTTP, in less than five minutes.
	$(BIN)/python -m benchmarks gateway --quick

lint: $(DEV) ## Check the style.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/hadolint docker/Dockerfile

types: $(DEV) ## Check the types.
	$(BIN)/mypy

lock: $(DEV) ## Choose the newest versions that fit and write the lock files.
	$(LOCK) --only-build-deps --build-deps-for editable --output-file requirements/build.txt pyproject.toml
	$(LOCK) --extra embedded --output-file requirements/run.txt pyproject.toml
	$(LOCK) --extra tracing --constraint requirements/run.txt --output-file requirements/image.txt pyproject.toml
	$(LOCK) --extra embedded --extra dev --constraint requirements/build.txt --constraint requirements/run.txt \
		--output-file requirements/dev.txt pyproject.toml
	$(BIN)/python -c 'from boxoffice.embedded.jars import write_lock; write_lock()'

clean: ## Remove what was installed and built; the user's cache stays.
	rm -rf $(VENV) dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are older than a lock file or pyproject.toml that has changed: then it is installed again.
$(RUN): requirements/run.txt requirements/build.txt pyproject.toml | $(VENV)
	$(PIP_INSTALL) --require-hashes -r requirements/build.txt -r requirements/run.txt
	$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): requirements/dev.txt requirements/build.txt pyproject.toml | $(VENV)
	$(PIP_INSTALL) --require-hashes -r requirements/build.txt -r requirements/dev.txt
	$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV):
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON): install Python 3.11 or newer, or name one with PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is `$(PYTHON) -V`, but 3.11 or newer is needed: name one with PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $@
