# Everything that is done with this repository. `make help` says what there is.
#
#   .venv/            the release build and every tool, as a user has it
#   build/release/    its build directory: kept, so that a build compiles only what has changed
#   build/debug/      the same with -Dengine_checks=true; its package lies in build/debug/site
#   build/sanitize/   the same under address and undefined-behaviour sanitizers

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Arguments for pytest: make test ARGS="-k chunked -x"
ARGS ?=
# How many tests at a time. JOBS=0: one after the other, in one process
JOBS ?= $(shell nproc)
PARALLEL := -n $(JOBS) --dist worksteal

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# One after the other: what runs in parallel is decided by ninja.
.NOTPARALLEL:

SOURCES := meson.build meson.options pyproject.toml README.md $(shell find src -type f ! -name '*.pyc')
# meson, ninja and cython are those of the virtual environment.
WITH_TOOLS := PATH="$(CURDIR)/$(BIN):$$PATH"
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help build demo test test-epoll test-kernel bench-kernel bench-tls check budget debug mutate sanitize bench format docs clean clean-all

help: ## what there is to do (this text)
	@echo "Ringway. Begin with: make demo"
	@echo
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | awk -F'|' '{printf "  make %-12s %s\n", $$1, $$2}'

# ------------------------------------------------------------------------------------------------------ building

build: $(VENV)/.built ## build Ringway into .venv; .venv/bin/ringway runs it

$(VENV)/.venv:
	@tools/need.sh build "$(PYTHON)"
	$(PYTHON) -m venv $(VENV)
	@touch $@

# What is needed to build and to run, from pyproject.toml.
$(VENV)/.tools: $(VENV)/.venv pyproject.toml tools/requirements.py
	@tools/need.sh build $(BIN)/python
	@echo "fetching what is needed to build ..."
	$(BIN)/python -m pip install --quiet $$($(BIN)/python tools/requirements.py build run)
	@touch $@

$(VENV)/.built: $(VENV)/.tools $(SOURCES)
	@echo "building (the first time: some minutes) ..."
	@$(WITH_TOOLS) $(BIN)/python tools/progress.py \
	  $(BIN)/python -m pip install --verbose --no-build-isolation --no-deps --no-index --force-reinstall \
	  --config-settings=build-dir=build/release .
	@touch $@
	@echo "built: $(BIN)/ringway"

# ------------------------------------------------------------------------------------------------------- running

demo: build ## show it: a small site and an application behind it, over HTTPS (Ctrl-C ends it)
	@$(BIN)/ringway demo

# ------------------------------------------------------------------------------------------------------- testing

# What is needed to test and to check, from pyproject.toml.
$(VENV)/.extras: $(VENV)/.tools pyproject.toml tools/requirements.py
	$(BIN)/python -m pip install --quiet $$($(BIN)/python tools/requirements.py test check)
	@touch $@

# An outside scanner of TLS, as a program with libraries of its own: docs/decisions/0012.
$(VENV)/.scanner: $(VENV)/.tools pyproject.toml tools/requirements.py
	$(BIN)/python -m venv $(VENV)/scanner
	$(VENV)/scanner/bin/python -m pip install --quiet $$($(BIN)/python tools/requirements.py scan)
	@touch $@

test: build $(VENV)/.extras $(VENV)/.scanner ## every test (ARGS="-k name" for some of them)
	@tools/need.sh test $(BIN)/python
	$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

# What does not depend on the driver has run with `make test`.
test-epoll: build $(VENV)/.extras $(VENV)/.scanner ## the protocol and end-to-end tests on the epoll driver
	@tools/need.sh test $(BIN)/python
	RINGWAY_TEST_DRIVER=epoll $(BIN)/python -m pytest $(PARALLEL) $(or $(ARGS),tests/protocol tests/e2e)

# ONLY=kernel: the tests of kernel TLS alone, three minutes. ONLY=core: and those that depend on the kernel, as in CI.
# ARGS: some end-to-end tests. KERNEL=new: on Debian's newest kernel.
test-kernel: build $(VENV)/.extras $(VENV)/.scanner ## kernel TLS on Linux 6.1 in a virtual machine, and the end-to-end tests (half an hour)
	@tools/need.sh kernel $(BIN)/python
	@mkdir -p build/kernel && printf '%s\n' 'only="$(ONLY)"' 'arguments="$(ARGS)"' >build/kernel/wanted
	@# So that pytest compiles the tests here, and not in the machine, where it takes minutes.
	@$(BIN)/python -m pytest --collect-only --quiet tests >/dev/null
	KERNEL_VM_SECONDS=$${KERNEL_VM_SECONDS:-5400} tools/kernel_vm.sh tests/kernel/guest.sh

bench-kernel: build $(VENV)/.extras ## kernel TLS beside TLS in user space, in that machine (emulated)
	@tools/need.sh kernel $(BIN)/python
	KERNEL_VM_SECONDS=5400 KERNEL_VM_COUNTED=1 tools/kernel_vm.sh benchmarks/kernel_guest.sh

check: build $(VENV)/.extras ## format, lint, types, rules of the engine, freshness of what is generated
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/python tools/check_engine.py --build build/release
	$(BIN)/python tools/check_docs.py
	$(BIN)/python -m benchmarks.budget

budget: build $(VENV)/.extras ## instructions and system calls per request, against the budget (ARGS=--functions, --accept)
	@tools/need.sh budget $(BIN)/python
	$(BIN)/python -m benchmarks.budget $(ARGS)

format: $(VENV)/.extras ## put the code into its form
	$(BIN)/ruff check --quiet --fix-only .
	$(BIN)/ruff format .

docs: build ## make docs/configuration.md and docs/config.schema.json anew
	$(BIN)/python -m ringway.config.docs docs

DEBUG := build/debug
debug: $(VENV)/.extras $(VENV)/.scanner ## every test with BUG_ON() compiled in
	@tools/need.sh test $(BIN)/python
	@$(WITH_TOOLS) tools/variant.sh $(DEBUG) --buildtype=debugoptimized -Dengine_checks=true
	PYTHONPATH=$(CURDIR)/$(DEBUG)/site $(BIN)/python -m pytest -p no:cacheprovider $(PARALLEL) $(ARGS)

mutate: $(VENV)/.extras ## faults put back on purpose: does a test notice? (ARGS="word" for some of them; a quarter of an hour)
	@tools/need.sh test $(BIN)/python
	@$(WITH_TOOLS) $(BIN)/python tools/mutate.py $(ARGS)

# The interpreter is not built with the sanitizers, so their run-time libraries are loaded first. Leaks are looked for
# by the gauges that every test ends with: the interpreter itself never frees everything. PYTHONMALLOC: objects of
# the interpreter are then single allocations, which the address sanitizer can watch.
SANITIZE := build/sanitize
sanitize: $(VENV)/.extras $(VENV)/.scanner ## every test under address and undefined-behaviour sanitizers
	@tools/need.sh test $(BIN)/python
	@$(WITH_TOOLS) tools/variant.sh $(SANITIZE) --buildtype=debugoptimized -Dengine_checks=true \
	  -Db_sanitize=address,undefined -Db_lundef=false
	PYTHONPATH=$(CURDIR)/$(SANITIZE)/site PYTHONMALLOC=malloc RINGWAY_TEST_PATIENCE=5 \
	  ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:allocator_may_return_null=1 \
	  UBSAN_OPTIONS=halt_on_error=1:abort_on_error=1:print_stacktrace=1 \
	  LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)" \
	  $(BIN)/python -m pytest -p no:cacheprovider $(PARALLEL) $(ARGS)

bench: build $(VENV)/.extras ## measure it beside nginx and the limit, TLS handshakes and idle connections too (6 minutes)
	@tools/need.sh bench $(BIN)/python
	$(BIN)/python -m benchmarks $(ARGS)
	$(BIN)/python -m benchmarks.tls

bench-tls: build $(VENV)/.extras ## the second half of it: handshakes and the memory of idle TLS connections
	@tools/need.sh bench $(BIN)/python
	$(BIN)/python -m benchmarks.tls $(ARGS)

# ------------------------------------------------------------------------------------------------------ cleaning

clean: ## remove what was built
	rm -rf build $(VENV)/.built .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find src tests tools fuzz -name __pycache__ -type d -prune -exec rm -rf {} +

clean-all: clean ## and the virtual environment
	rm -rf $(VENV)
