# Everything runs in .venv, which is made on first use and kept; delete it (make clean) to start afresh.
#
#   PYTHON    the interpreter that makes .venv             (default: the first of python3.11, python3.12)
#   TORCH     what pip is asked for when torch is wanted   (default: torch==2.13.0)
#   WORKERS   test processes                               (default: 2)
#   ARGS      more arguments for pytest, the demo or the benchmarks
#
# A plain index gives torch's CUDA build, gigabytes of it. PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
# in front of make gives the CPU build instead.

PYTHON  ?= $(firstword $(foreach name,python3.11 python3.12,$(if $(shell $(name) --version 2>/dev/null),$(name))))
TORCH   ?= torch==2.13.0
WORKERS ?= 2
ARGS    ?=

# What a process compiles is kept for the hundreds that the tests start, and for the next run.
export PYTHONDONTWRITEBYTECODE =

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

.DEFAULT_GOAL := help
.PHONY: help demo check test lint format types backends bounds wheel bench clean

help:  ## show this page
	@echo "Usage: make TARGET [ARGS=...]"; echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | awk -F '\t' '{printf "  %-10s %s\n", $$1, $$2}'

demo: .venv/ready-demo  ## run the main job on the shipped samples: convert, fit, train, score
	$(BIN)/vaxseq demo --output demo-output $(ARGS)

# What is run after each change: no servers, no browser, nothing that trains or that takes seconds.
QUICK := not slow and not server and not browser and not backend and not bench

check: lint types  ## run what takes two minutes: style, types and the quick tests
	KERAS_BACKEND=jax $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "$(QUICK)" tests $(ARGS)

test: .venv/ready-test  ## run all tests, with the doctests, the README and the notebooks, on JAX
	KERAS_BACKEND=jax $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --doctest-modules tests vaxseq $(ARGS)

backends: backend-torch backend-tensorflow  ## run the tests that exercise Keras on torch and on tensorflow

backend-%: .venv/ready-test
	KERAS_BACKEND=$* $(BIN)/python -m pytest -n $(WORKERS) -m backend tests $(ARGS)

lint: .venv/ready-test  ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: .venv/ready-test  ## format the code, and fix what can be fixed by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: .venv/ready-test  ## check types
	$(BIN)/mypy --strict vaxseq

bounds:  ## run the tests, on JAX, on the oldest releases that pyproject.toml allows
	$(PYTHON) -m venv --clear .venv.bounds
	$(PYTHON) -c 'import re, tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	  print(*(re.sub(">=([^,]+),.*", r"==\1", one) for one in p["dependencies"] + p["optional-dependencies"]["jax"]), sep="\n")' \
	  > .venv.bounds/constraints.txt
	.venv.bounds/bin/pip install -qq --constraint .venv.bounds/constraints.txt --editable ".[jax,s3,dask,images,notebook,dev]"
	KERAS_BACKEND=jax .venv.bounds/bin/python -m pytest -n $(WORKERS) --dist worksteal tests $(ARGS)

wheel: .venv/ready-test  ## build the wheel and the source archive into dist/
	$(PIP) install -qq build
	$(BIN)/python -m build --outdir dist .

bench: .bench-venv/ready  ## run the benchmarks beside their peers, in .bench-venv (half an hour; ARGS="--only in-order")
	.bench-venv/bin/python tests/bench/run.py $(ARGS)

clean:  ## delete .venv and everything that was built
	rm -rf .venv .venv.bounds .bench-venv build dist demo-output bench-output .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is newer than pyproject.toml once what it stands for is installed, so a second run starts at once.
.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "make: needs python3.11 or python3.12 on PATH, or PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/ready-demo: pyproject.toml | .venv/bin/python
	@echo "installing into .venv (a minute or two the first time)"
	@$(PIP) install -qq --editable ".[jax]"
	@touch $@

.venv/ready-test: pyproject.toml | .venv/bin/python
	@echo "installing into .venv, with three backends (some minutes the first time)"
	@$(PIP) install -qq --editable ".[jax,torch,tensorflow,sql,s3,dask,images,notebook,dev]" "$(TORCH)"
	@touch $@
	@touch .venv/ready-demo

.bench-venv/ready: pyproject.toml
	@test -n "$(PYTHON)" || { echo "make: needs python3.11 or python3.12 on PATH, or PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv .bench-venv
	@echo "installing the peers into .bench-venv (some minutes the first time)"
	@.bench-venv/bin/python -m pip install --disable-pip-version-check --no-input -qq \
		--editable ".[jax,torch,tensorflow,notebook]" "$(TORCH)" -r tests/bench/peers.txt
	@touch $@
