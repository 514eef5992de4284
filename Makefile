# Each target sets up what it needs, in .venv; nothing is installed outside it.
#   make demo    convert the CREPE pitch tracker from PyTorch to MindSpore and prove it
#   make test    every test
#   make test-jax    the JAX plug-in of examples/ts_jax, in an environment of its own: NumPy 2, no other framework
#   make mutations   the map of a thousand drawn networks against what was really done (NETWORKS=1000)
#   make lint    ruff and mypy --strict
#   make fuzz    changed files for every reader, SECONDS=60 of them; fuzzing/README.md
#   make bench   speed and memory, as ratios against a baseline of the same run
#   make clean   remove the environment and what was built

PYTHON ?= python3
TORCH ?= torch==2.13.0
MINDSPORE ?= mindspore==2.10.0
# MindSpore's wheels fail at run time with NumPy 2. Every install repeats the bound, so that no package lifts it.
NUMPY := "numpy<2"

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --disable-pip-version-check --no-warn-script-location
export GLOG_v ?= 3

.PHONY: demo test test-jax mutations lint fuzz bench clean
.DELETE_ON_ERROR:

demo: $(VENV)/packages.done
	$(PY) examples/crepe/demo.py

test: $(VENV)/tools.done
	$(PY) -m pytest -n logical --dist loadfile

test-jax: $(VENV)-jax/packages.done
	cd examples/ts_jax && $(CURDIR)/$(VENV)-jax/bin/python -m pytest

NETWORKS ?= 1000
mutations: $(VENV)/tools.done
	TS_NETWORKS=$(NETWORKS) $(PY) -m pytest tests/mapping/test_mutations.py

lint: $(VENV)/tools.done
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

fuzz: $(VENV)/tools.done
	$(PY) -m fuzzing --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED))

bench: $(VENV)/tools.done
	$(PY) -m benchmarks $(ONLY)

clean:
	rm -rf .venv* dist build

$(VENV)/frameworks.done:
	@echo "==> creating $(VENV) and installing the frameworks (a minute or two with a warm pip cache)"
	$(PYTHON) -m venv $(VENV)
	$(PIP) --quiet --upgrade "pip>=25.1"
	$(PIP) $(TORCH) $(NUMPY)
	$(PIP) $(MINDSPORE) $(NUMPY)
	@touch $@

$(VENV)/packages.done: $(VENV)/frameworks.done ts_core/pyproject.toml ts_torch/pyproject.toml ts_mindspore/pyproject.toml
	@echo "==> installing ts-core, ts-torch and ts-mindspore"
	$(PIP) --quiet --editable ts_core --editable ts_torch --editable ts_mindspore $(NUMPY)
	@touch $@

$(VENV)/tools.done: $(VENV)/packages.done pyproject.toml
	@echo "==> installing the development tools"
	$(PIP) --quiet --group test --group lint --group build $(NUMPY)
	@touch $@

$(VENV)-jax/packages.done: examples/ts_jax/pyproject.toml ts_core/pyproject.toml ts_torch/pyproject.toml
	@echo "==> creating $(VENV)-jax and installing JAX and Flax"
	$(PYTHON) -m venv $(VENV)-jax
	$(VENV)-jax/bin/pip --quiet install --disable-pip-version-check --editable ts_core --editable ts_torch \
		--editable "examples/ts_jax[framework]" "pytest>=8"
	@touch $@
