# All tasks of this repository. `make help` lists them.
#
#   .venv/            the release build, installed, and all tools
#   build/release/    its build directory, kept so that a build compiles only what has changed
#   build/debug/      a build with -Dengine_checks=true; its package is in build/debug/site
#   build/sanitize/   a build with the address and undefined-behaviour sanitizers

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Arguments for pytest: make test ARGS="-k chunked -x"
ARGS ?=
# Number of tests that run at the same time. JOBS=0: one at a time, in one process
JOBS ?= $(shell nproc)
PARALLEL := -n $(JOBS) --dist worksteal

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# One target at a time. ninja runs the build in parallel.
.NOTPARALLEL:

SOURCES := meson.build meson.options pyproject.toml README.md $(shell find src -type f ! -name '*.pyc')
# Use meson, ninja and cython of the virtual environment.
WITH_TOOLS := PATH="$(CURDIR)/$(BIN):$$PATH"
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help build demo test test-epoll test-kernel bench-kernel bench-tls check budget debug mutate sanitize bench format docs clean clean-all

help: ## list all tasks (this text)
	@echo "Ringway. Start with: make demo"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | awk -F'|' '{printf "  make %-12s %s\n", $$1, $$2}'

# ------------------------------------------------------------------------------------------------------ building

build: $(VENV)/.built ## build Ringway into .venv; .venv/bin/ringway runs it

$(VENV)/.venv:
	@tools/need.sh build "$(PYTHON)"
	$(PYTHON) -m venv $(VENV)
	@touch $@

# Requirements to build and run, from pyproject.toml.
$(VENV)/.tools: $(VENV)/.venv pyproject.toml tools/requirements.py
	@tools/need.sh build $(BIN)/python
	@echo "installing the requirements of the build ..."
	$(BIN)/python -m pip install --quiet $$($(BIN)/python tools/requirements.py build run)
	@touch $@

$(VENV)/.built: $(VENV)/.tools $(SOURCES)
	@echo "building (the first build takes some minutes) ..."
	@$(WITH_TOOLS) $(BIN)/python tools/progress.py \
	  $(BIN)/python -m pip install --verbose --no-build-isolation --no-deps --no-index --force-reinstall \
	  --config-settings=build-dir=build/release .
	@touch $@
	@echo "built: $(BIN)/ringway"

# ------------------------------------------------------------------------------------------------------- running

demo: build ## run the demo: a small site and an application over HTTPS (Ctrl-C ends it)
	@$(BIN)/ringway demo

# ------------------------------------------------------------------------------------------------------- testing

# Requirements of tests and checks, from pyproject.toml.
$(VENV)/.extras: $(VENV)/.tools pyproject.toml tools/requirements.py
	$(BIN)/python -m pip install --quiet $$($(BIN)/python tools/requirements.py test check)
	@touch $@

# A TLS scanner of another project, with its own virtual environment: docs/decisions/0012.
$(VENV)/.scanner: $(VENV)/.tools pyproject.toml tools/requirements.py
	$(BIN)/python -m venv $(VENV)/scanner
	$(VENV)/scanner/bin/python -m pip install --quiet $$($(BIN)/python tools/requirements.py scan)
	@touch $@

test: build $(VENV)/.extras $(VENV)/.scanner ## run all tests (ARGS="-k name": some of them)
	@tools/need.sh test $(BIN)/python
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

# The other tests do not depend on the driver.
test-epoll: build $(VENV)/.extras $(VENV)/.scanner ## run the protocol and end-to-end tests on the epoll driver
	@tools/need.sh test $(BIN)/python
	RINGWAY_TEST_DRIVER=epoll $(BIN)/python -m pytest $(PARALLEL) $(or $(ARGS),tests/protocol tests/e2e)

# ONLY=kernel: only the tests of kernel TLS (three minutes). ONLY=core: also the end-to-end tests that depend on the kernel,
# as in CI. ARGS: some end-to-end tests. KERNEL=new: Debian's newest kernel.
test-kernel: build $(VENV)/.extras $(VENV)/.scanner ## test kernel TLS in a virtual machine, and run the end-to-end tests there (half an hour)
	@tools/need.sh kernel $(BIN)/python
	@mkdir -p build/kernel && printf '%s\n' 'only="$(ONLY)"' 'arguments="$(ARGS)"' >build/kernel/wanted
	@# Let pytest compile the tests here. In the machine that takes minutes.
	@$(BIN)/python -m pytest --collect-only --quiet tests >/dev/null
	KERNEL_VM_SECONDS=$${KERNEL_VM_SECONDS:-5400} tools/kernel_vm.sh tests/kernel/guest.sh

bench-kernel: build $(VENV)/.extras ## measure kernel TLS and TLS in user space in that machine (emulated)
	@tools/need.sh kernel $(BIN)/python
	KERNEL_VM_SECONDS=5400 KERNEL_VM_COUNTED=1 tools/kernel_vm.sh benchmarks/kernel_guest.sh

check: build $(VENV)/.extras ## check format, lint, types, rules of the engine, generated documents, and the budget
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/python tools/check_engine.py --build build/release
	$(BIN)/python tools/check_docs.py
	$(BIN)/python -m benchmarks.budget

budget: build $(VENV)/.extras ## compare instructions and system calls per request with the budget (ARGS=--functions, --accept)
	@tools/need.sh budget $(BIN)/python
	$(BIN)/python -m benchmarks.budget $(ARGS)

format: $(VENV)/.extras ## format the code
	$(BIN)/ruff check --quiet --fix-only .
	$(BIN)/ruff format .

docs: build ## generate docs/configuration.md and docs/config.schema.json
	$(BIN)/python -m ringway.config.docs docs

DEBUG := build/debug
debug: $(VENV)/.extras $(VENV)/.scanner ## run all tests with BUG_ON() compiled in
	@tools/need.sh test $(BIN)/python
	@$(WITH_TOOLS) tools/variant.sh $(DEBUG) --buildtype=debugoptimized -Dengine_checks=true
	PYTHONPATH=$(CURDIR)/$(DEBUG)/site $(BIN)/python -m pytest -p no:cacheprovider $(PARALLEL) $(ARGS)

mutate: $(VENV)/.extras ## put faults back on purpose and check that tests notice (ARGS="word": some of them; 15 minutes)
	@tools/need.sh test $(BIN)/python
	@$(WITH_TOOLS) $(BIN)/python tools/mutate.py $(ARGS)

# The interpreter is not built with the sanitizers, so LD_PRELOAD loads their run-time libraries first. detect_leaks=0: the
# interpreter never frees everything; tests find leaks by the gauges of the workers. PYTHONMALLOC=malloc: each object of the
# interpreter is one allocation, which the address sanitizer can check.
SANITIZE := build/sanitize
sanitize: $(VENV)/.extras $(VENV)/.scanner ## run all tests with the address and undefined-behaviour sanitizers
	@tools/need.sh test $(BIN)/python
	@$(WITH_TOOLS) tools/variant.sh $(SANITIZE) --buildtype=debugoptimized -Dengine_checks=true \
	  -Db_sanitize=address,undefined -Db_lundef=false
	PYTHONPATH=$(CURDIR)/$(SANITIZE)/site PYTHONMALLOC=malloc RINGWAY_TEST_PATIENCE=5 \
	  ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:allocator_may_return_null=1 \
	  UBSAN_OPTIONS=halt_on_error=1:abort_on_error=1:print_stacktrace=1 \
	  LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)" \
	  $(BIN)/python -m pytest -p no:cacheprovider $(PARALLEL) $(ARGS)

bench: build $(VENV)/.extras ## measure Ringway, nginx and the limit, TLS handshakes and idle connections (6 minutes)
	@tools/need.sh bench $(BIN)/python
	$(BIN)/python -m benchmarks $(ARGS)
	$(BIN)/python -m benchmarks.tls

bench-tls: build $(VENV)/.extras ## only the second half of it: handshakes and the memory of idle TLS connections
	@tools/need.sh bench $(BIN)/python
	$(BIN)/python -m benchmarks.tls $(ARGS)

# ------------------------------------------------------------------------------------------------------ cleaning

clean: ## remove all builds
	rm -rf build $(VENV)/.built .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests tools fuzz -name __pycache__ -type d -prune -exec rm -rf {} +

clean-all: clean ## remove all builds and the virtual environment
	rm -rf $(VENV)
