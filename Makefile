# Two commands do all the set-up: `make demo` and `make test`.
#
# make                      this list
# make demo                 install, then run the main job on simulated devices and show its result (OUT=folder)
# make test                 install, system libraries for Qt, then `make check`
# make check                lint + types + import contracts + tests
# make test-slow            the tests that take minutes
# make gui                  install, then the window on a simulated bench
# make screenshots          the pictures of docs/screenshots, by clicking through the window (about 6 minutes)
#
# PYTHON=python3.12         another interpreter (>= 3.11)
# TORCH_INDEX=URL           take torch from this package index (PyTorch's own has CPU-only and CUDA builds)

PYTHON ?= $(shell command -v python3.11 || command -v python3)
OUT ?= demo-out
VENV := .venv
BIN := $(VENV)/bin
# Tests run side by side; each of them with one thread, so that they do not take each other's cores.
TEST_PROCESSES ?= $(shell n=$$(nproc 2>/dev/null || echo 2); test $$n -gt 4 && echo 4 || echo $$n)
ONE_THREAD := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
INSTALLED := $(VENV)/.installed
# The virtual environment is made without ensurepip, which Debian ships apart from python3; pip fills it from outside.
PIP := $(PYTHON) -m pip --python $(BIN)/python --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help install demo test check test-slow gui system-libraries screenshots clean

help:
	@sed -n '3,13s/^# \{0,1\}//p' Makefile

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv --without-pip $(VENV)
	@if [ -n "$(TORCH_INDEX)" ]; then $(PIP) install --index-url "$(TORCH_INDEX)" torch; fi
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: install
	$(BIN)/labctl demo --out $(OUT)

gui: install system-libraries
	$(BIN)/labctl gui --simulated

test: install system-libraries
	$(MAKE) --no-print-directory check

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(ONE_THREAD) QT_QPA_PLATFORM=offscreen $(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist worksteal -m "not slow and not alone"
	$(ONE_THREAD) QT_QPA_PLATFORM=offscreen $(BIN)/python -m pytest -m "alone and not slow"

test-slow: install system-libraries
	QT_QPA_PLATFORM=offscreen $(BIN)/python -m pytest -m slow

system-libraries:
	sh scripts/system_libraries.sh

# One way through the window by clicks, then every panel once more at twice the scale; on DISPLAY if there is one.
screenshots: install system-libraries
	runs=$$(mktemp -d) && $(BIN)/python scripts/screenshots.py docs/screenshots --runs $$runs && \
	QT_SCALE_FACTOR=2 $(BIN)/python scripts/screenshots.py docs/screenshots --look-only --suffix _2x --runs $$runs && rm -r $$runs

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache
