# Every target makes its own environment in .venv, so a fresh clone needs nothing but Python and make.
PYTHON ?= python3
VENV ?= .venv
RUN_DIR ?= runs/demo
JOBS ?= 2
TESTS ?= tests
MARKS ?=
BENCHMARKS ?= convolutions bsnet_step bsnet_epoch meta_training ausuc image_pipeline scaled_decoding cache_build inference start_up first_prediction growth

.PHONY: demo playground test test-all lint docs bench

demo: $(VENV)/.installed
	$(VENV)/bin/python train.py --flagfile=configs/demo.flags --run_dir=$(RUN_DIR)
	$(VENV)/bin/python evaluate.py --run_dir=$(RUN_DIR)

# The page on which the demo's export can be tried; trains it first where that is not done.
playground: $(RUN_DIR)/export/1 $(VENV)/.installed
	$(VENV)/bin/python -m bgsnet_tf.playground.examples --run_dir=$(RUN_DIR)
	$(VENV)/bin/python -m bgsnet_tf.playground --export_dir=$< --examples=$(RUN_DIR)/examples --browser

$(RUN_DIR)/export/1:
	$(MAKE) demo

# One thread an operation: two processes whose threads wait for each other are slower than either alone.
test: $(VENV)/.installed-dev
	TF_NUM_INTRAOP_THREADS=1 $(VENV)/bin/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(if $(MARKS),-m "$(MARKS)") $(TESTS)

test-all: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -m "slow or not slow"

lint: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/codespell bgsnet_tf tests benchmarks configs docs requirements .github *.md *.py

# The reference of every module, from its docstrings; open build/api/index.html.
docs: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pdoc --docformat google --output-directory build/api bgsnet_tf

# In an environment of its own, since it needs PyTorch; one benchmark alone: .venv-bench/bin/python -m benchmarks.NAME
bench:
	test -x $(VENV)-bench/bin/pip || $(PYTHON) -m venv $(VENV)-bench
	$(VENV)-bench/bin/pip install -r benchmarks/requirements.txt
	for name in $(BENCHMARKS); do $(VENV)-bench/bin/python -m benchmarks.$$name || exit 1; done
	$(VENV)-bench/bin/python -m benchmarks.performance_tables

$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt $(VENV)/bin/pip
	$(VENV)/bin/pip install -r requirements.txt
	touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(wildcard requirements/*.txt) $(VENV)/.installed
	$(VENV)/bin/pip install -r requirements-dev.txt
	touch $@
