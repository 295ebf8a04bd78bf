# Entry points. Each target sets up what it needs; a second run starts at once.
# Variables: ARGS (passed on to the command), PYTHON (to make the environment with), CI=true (no test may skip
# that CI is to have).

PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# A uv on the machine is taken; without one, pip gets it into an environment of its own.
UV := $(or $(shell command -v uv 2>/dev/null),.cache/uv/bin/uv)
UV_VERSION := 0.13.8
# pytest-xdist workers: the tests wait more than they compute.
WORKERS ?= 4
SCRIPTS := scripts/form-diff scripts/record-picture scripts/requirements scripts/schemas scripts/image-sizes tests/images/stand-ins/build
SHELL_SCRIPTS := $(wildcard .ci/* scripts/build-images scripts/gateway-api-crds compose/ready tests/images/stand-ins/*/*.sh)

# Bytecode is kept, whatever the shell says: hundreds of short processes would each compile the same files anew.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo up preflight test test-matrix test-soak test-compose test-cluster test-cluster-all check format bench bench-cluster record-parity picture docs clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' Makefile

demo: $(READY) ## Start the three-tier mesh, send requests, draw the trace (ARGS="--once", "--form otel", ...)
	@$(BIN)/meshtrail demo $(ARGS)

up: $(READY) ## Start the mesh and leave it running (ARGS="--form backend=otel", ...)
	@$(BIN)/meshtrail up $(ARGS)

preflight: $(READY) ## Look at everything that traces on a cluster need (ARGS="--stage before-deploy", ...)
	@$(BIN)/meshtrail preflight $(ARGS)

test: $(READY) ## Run the fast tests (ARGS="tests/store -k otlp", ...)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(ARGS)

test-matrix: $(READY) ## Run every combination of application, form, language and mode, and every situation recorded on a real Istio
	$(BIN)/python -m pytest -m matrix -n $(WORKERS) --dist loadgroup $(ARGS)

test-soak: $(READY) ## Run the tests under minutes of load: 10,000 requests, 100 edits
	$(BIN)/python -m pytest -m soak $(ARGS)

test-compose: $(READY) ## Run the tests that need a Docker daemon: images, docker compose
	$(BIN)/python -m pytest -m compose $(ARGS)

test-cluster: $(READY) ## Run the tests on the cluster that kubectl points at (Istio and Jaeger installed)
	$(BIN)/python -m pytest -m cluster $(ARGS)

test-cluster-all: $(READY) ## Also every case of every exercise with its wrong turns, and the doctor on every application there: an hour
	MESHTRAIL_EVERYTHING=1 $(BIN)/python -m pytest -m cluster $(ARGS)

check: $(READY) ## Lint and type-check everything: Python, YAML, shell
	$(BIN)/ruff check . $(SCRIPTS)
	$(BIN)/ruff format --check . $(SCRIPTS)
	$(BIN)/mypy
	$(BIN)/mypy --scripts-are-modules $(SCRIPTS)
	$(BIN)/mypy exercises/*/*.py
	$(BIN)/yamllint --strict .
	$(BIN)/shellcheck $(SHELL_SCRIPTS)

format: $(READY) ## Format the Python sources
	$(BIN)/ruff check --fix . $(SCRIPTS)
	$(BIN)/ruff format . $(SCRIPTS)

bench: $(READY) ## Measure speed and memory; prints tables with ratios (ARGS="store mesh")
	@$(BIN)/python -m bench $(ARGS)

bench-cluster: $(READY) ## Measure on the cluster that kubectl points at: sidecar, tracing, start
	@$(BIN)/python -m bench $(or $(ARGS),cluster-cost cluster-start)

record-parity: $(READY) ## Record on that cluster what a real Istio makes of each situation of tests/parity (ARGS="--only weights", ...)
	$(BIN)/python -m tests.parity.record $(ARGS)

picture: $(READY) ## Record the README's picture from a real run
	@$(BIN)/meshtrail up --detach --ports auto --name picture
	@$(BIN)/python scripts/record-picture --name picture; status=$$?; \
		$(BIN)/meshtrail down --name picture && exit $$status

docs: $(READY) ## Write the generated parts of docs/ anew (a test holds them to the code)
	@$(BIN)/python scripts/form-diff --write
	@$(BIN)/python -m meshtrail.manifests.reference docs/manifests.md
	@$(BIN)/python -m meshtrail.mesh.differences docs/local-mesh-config.md
	@$(BIN)/python -m meshtrail.lint.reference docs/lint.md
	@$(BIN)/python -m meshtrail.doctor.reference docs/doctor.md

clean: ## Remove the environment and every cache
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache services/*/node/node_modules

$(READY): pyproject.toml uv.lock | $(UV)
	@echo "Setting up $(VENV) (locked versions) ..."
	@$(UV) sync --locked --quiet --compile-bytecode
	@touch $@

.cache/uv/bin/uv:
	@echo "No uv on this machine: getting it with pip into .cache/uv ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is too old: Python >= 3.11 is needed\n  mend: make ... PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -m venv .cache/uv || \
		{ echo "error: $(PYTHON) cannot make environments\n  mend: install python3-venv, or uv"; exit 2; }
	@.cache/uv/bin/python -m pip --quiet install uv==$(UV_VERSION)

