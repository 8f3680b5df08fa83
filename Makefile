# make demo: train, judge and report a small model.  make test: the whole default suite.  make site: the docs, in site/.
VENV ?= .venv
BIN := $(VENV)/bin
# the first Python on the path that is new enough
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11 python,$(shell $(p) -c 'import sys; sys.version_info >= (3, 11) and print("$(p)")' 2>/dev/null)))
# On Linux, PyPI's torch brings gigabytes of CUDA; PyTorch's own index has the build for CPUs. For a GPU: make TORCH_INDEX=
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# workers of tests: more than cores, since many wait for servers, boxes and signals
export PYTEST_XDIST_AUTO_NUM_WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2) + 2)
# else each of the workers, and of their child processes, compiles the package and all tests anew
unexport PYTHONDONTWRITEBYTECODE
# whether pip is told of other indexes here, which then decide
OWN_INDEX := $(BIN)/python -m pip config list | grep -E 'index|find-links' > /dev/null

.PHONY: demo test lint site notebooks peers clean

demo: $(VENV)/.installed
	$(BIN)/arena train quickstart --resume

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(PYTEST)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

site: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "site/index.html"

notebooks: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/notebooks.py $(NOTEBOOKS)

# flow_matching is under CC BY-NC: it is measured here, and nothing that is shipped or tested imports it
peers: $(VENV)/.installed-dev
	$(PIP) --no-deps flow_matching torch_fidelity # the latter asks for torchvision; the part measured needs none
	$(BIN)/python benchmarks/peers.py $(PEERS)

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Latent Arena needs Python 3.11 or newer on the path (or make PYTHON=/path/to/python3)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing into $(VENV) (once; about a minute on a fast line)"
	@if [ "$$(uname -s)" = Linux ] && [ -n "$(TORCH_INDEX)" ] && ! $(OWN_INDEX); then \
	  $(PIP) --index-url "$(TORCH_INDEX)" "$$(grep '^torch==' constraints.txt)" \
	  || echo "no build for CPUs from $(TORCH_INDEX): taking what pip finds"; fi
	$(PIP) --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) --editable '.[site,docs,dev]'
	# they ask for torchvision, and torchcfm for all of torchdyn; the tests use parts that need neither
	$(PIP) --no-deps torchcfm timm torch_fidelity
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(PIP) --editable '.[docs]'
	@touch $@

clean:
	rm -rf $(VENV)
