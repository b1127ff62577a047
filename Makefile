# Everything runs in .venv, which the first target that needs it makes.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
DATA := $(or $(FASHION_MNIST_DIR),$(wildcard ../shared/fashion-mnist))
export FASHION_MNIST_DIR := $(DATA)

.PHONY: study board test test-all check benchmark simulate chaos reference clean
.DEFAULT_GOAL := study

$(VENV)/ready: requirements.txt requirements-dev.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; give one with make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --disable-pip-version-check -r requirements.txt -r requirements-dev.txt
	touch $@

study: $(VENV)/ready  ## train what is missing of the seven experiments, then analyse
	$(RUN) grid_search_experiments.py
	$(RUN) analyze_results.py

board: $(VENV)/ready  ## show the logs in TensorBoard, on this machine only; Ctrl-C ends it
	$(RUN) -m gridstudy board

test: $(VENV)/ready  ## the fast tests, among them one short study on the data that is there
	$(RUN) -m pytest -m "not slow"

test-all: $(VENV)/ready  ## the slow tests too
	$(RUN) -m pytest

check: $(VENV)/ready  ## style, types on Linux, Windows and macOS, and tests
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/mypy --platform win32 --cache-dir .mypy_cache/win32
	$(VENV)/bin/mypy --platform darwin --cache-dir .mypy_cache/darwin
	$(RUN) -m pytest -m "not slow"

$(VENV)/benchmark: $(VENV)/ready pyproject.toml
	$(RUN) -m pip install --disable-pip-version-check --editable ".[benchmark]"
	touch $@

benchmark: $(VENV)/benchmark  ## most of an hour on a quiet machine, against Optuna and Ray, which it installs
	$(RUN) -m benchmarks.compare --headline --growth --decided
	$(RUN) -m benchmarks.table

simulate: $(VENV)/ready  ## show by simulation that the statistics keep their guarantees, about a quarter of an hour
	$(RUN) -m simulations.simulate --output docs/simulations.md

chaos: $(VENV)/ready  ## kill studies a hundred times and count what is lost, doubled or different
	$(RUN) -m benchmarks.chaos

reference: $(VENV)/ready  ## make the reference study again
	$(RUN) grid_search_experiments.py all follow-up --until-decided --seeds 100-104 --logdir modellogs_reference
	$(RUN) analyze_results.py --logdir modellogs_reference --output reference

clean:
	rm -rf $(VENV)
