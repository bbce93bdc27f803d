# Everything runs in an own virtual environment; a fresh machine needs python3 (3.11 or later, with venv) and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
STAMP := $(VENV)/installed
WARM := $(VENV)/compiled

.PHONY: setup demo test lint types unit coverage bench-all bench-check fuzz audit validation docs notebooks planner claims kernels catalog clean

setup: $(STAMP) $(WARM)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt --editable ".[test,lint]"
	touch $@

$(WARM): $(STAMP) $(wildcard clonesim/*/*_kernel.py)
	$(BIN)/python tools/warm_kernels.py
	touch $@

demo: setup  ## the experiment under every policy, a trace on 64 clones, a pool of 500 desktops; charts in out/demo
	$(BIN)/clonesim demo

test: setup lint types unit

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tools/stamp_kernels.py --check

types: setup
	$(BIN)/mypy

unit: setup
	$(BIN)/python -m pytest -n auto --dist loadfile

coverage: setup  ## lines that the tests reach, kernels in plain Python too; some 25 minutes
	$(BIN)/python tools/line_coverage.py

bench-all: setup  ## every benchmark, on a quiet machine: figures of docs/performance.md
	$(BIN)/python tools/performance_book.py

bench-check: setup  ## after a change of speed: did a ratio of benchmarks/ratios.toml fall?
	$(BIN)/python tools/performance_book.py --check

fuzz: setup  ## nightly: 200,000 mutated inputs for every reader, some two hours
	$(BIN)/python tests/long_fuzz.py

validation: setup  ## every check against the outside world, fresh seeds; docs/validation.md
	$(BIN)/python tools/validation_book.py

audit: setup  ## pinned versions: do they satisfy pyproject.toml, and under which licences do they stand?
	$(BIN)/python tools/audit_pins.py

kernels:  ## after editing a kernel: make every cached kernel new
	$(PYTHON) tools/stamp_kernels.py

docs: setup  ## pages in docs/_build/html
	$(BIN)/python -m sphinx -W -n docs docs/_build/html

notebooks: setup  ## run all notebooks and keep their outputs
	$(BIN)/python tools/run_notebooks.py

planner: setup  ## after a change of the model: simulate the planner page's pools anew
	$(BIN)/python tools/planner_pools.py --anew

claims: setup  ## after a change of the model: compute the figures of docs/claims.md anew
	$(BIN)/python tools/claims_page.py

catalog: setup  ## after editing the catalog: write docs/catalog.md anew
	$(BIN)/python tools/catalog_tables.py

clean:
	rm -rf $(VENV) out .pytest_cache .mypy_cache .ruff_cache .hypothesis docs/_build docs/notebooks
