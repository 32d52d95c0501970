# Every target makes its own environment in .venv, so a fresh clone needs nothing but Python and make.
PYTHON ?= python3
VENV ?= .venv
RUN_DIR ?= runs/demo

.PHONY: demo test test-all lint

demo: $(VENV)/.installed
	$(VENV)/bin/python train.py --flagfile=configs/demo.flags --run_dir=$(RUN_DIR)
	$(VENV)/bin/python evaluate.py --run_dir=$(RUN_DIR)

test: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest

test-all: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -m "slow or not slow"

lint: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt $(VENV)/bin/pip
	$(VENV)/bin/pip install -r requirements.txt
	touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(VENV)/bin/pip install -r requirements-dev.txt
	touch $@
