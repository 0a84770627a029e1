# `make help` says what there is. Everything runs in .venv, which `make install` makes with pip.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
INSTALLED := .venv/.installed
DATA := /usr/share/datasets/fashion-mnist
RECIPE := models/fashion/recipe.yaml
PACKAGE := models/fashion/package
SPREAD := -n logical --dist loadfile # tests wait for servers more than they compute

export BENTOML_DO_NOT_TRACK := True
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# The first that runs, is new enough and can make a virtual environment (a version manager's shim may exist and fail).
define FIND_PYTHON
for python in $(PYTHON) python3.11 python3 python3.12 python3.13 /usr/bin/python3; do \
  if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$python; exit 0; fi; \
done; \
echo 'Joulebox builds with Python 3.11 or later, with venv: none was found. On Debian: apt-get install python3 python3-venv.' >&2; \
echo 'Elsewhere name one: make install PYTHON=/path/to/python3.11' >&2; exit 1
endef

# As root, or through sudo; quiet unless it fails.
define APT_INSTALL
if ! command -v apt-get >/dev/null; then echo 'this system has no apt-get' >&2; exit 1; fi; \
sudo=; if [ "$$(id -u)" != 0 ]; then sudo=sudo; fi; \
$$sudo apt-get update -qq >/dev/null || true; \
DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -qq -y --no-install-recommends
endef

.PHONY: help install data demo test test-all browser picture reference test-py310 lint format serve teacher package wheel bento bench bench-energy bench-tools clean

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## make .venv with both packages, tests and linters (a re-run does nothing)

$(INSTALLED): service/pyproject.toml build/pyproject.toml requirements-dev.txt constraints.txt
	@if [ ! -x $(BIN)/python ]; then \
	  python="$$($(FIND_PYTHON))"; echo "making .venv with $$($$python --version)"; $$python -m venv .venv; \
	fi
	@echo "installing (the first time: about 2 GB, a few minutes)"
	@$(BIN)/pip install --quiet -c constraints.txt -e './service[cpu,openvino]' -e './build[text]' -r requirements-dev.txt
	@touch $@

data: ## get Fashion-MNIST (Debian's package), unless $JOULEBOX_DATA or the package is there
	@if [ -n "$${JOULEBOX_DATA:-}" ] || [ -f $(DATA)/train-images-idx3-ubyte.gz ]; then exit 0; fi; \
	echo 'installing dataset-fashion-mnist'; \
	if ! ( $(APT_INSTALL) dataset-fashion-mnist >/dev/null ); then \
	  echo 'Fashion-MNIST could not be installed: set JOULEBOX_DATA to a folder with its four gz files' >&2; exit 1; \
	fi

demo: install data ## build a small model, pack it, serve it, ask it, show what it cost
	@$(BIN)/python deploy/demo.py

test: lint data ## lint and the fast tests
	$(BIN)/pytest -m 'not slow' $(SPREAD)

test-all: test wheel bench-tools browser ## test, then the slow ones: bento in a fresh environment, rebuild, sizes, Python 3.10
	$(BIN)/pytest -m slow $(SPREAD)
	@$(MAKE) test-py310

test-py310: ## the device's tests but the longest under Python 3.10, where there is one that runs
	@python="$$(for each in python3.10 "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.10.*/bin/python3.10; do \
	  if "$$each" -c 'import venv, ensurepip' 2>/dev/null; then echo "$$each"; break; fi; done)"; \
	if [ -z "$$python" ]; then echo 'no python3.10 that runs here: skipped'; exit 0; fi; \
	work="$$(mktemp -d)"; trap 'rm -rf "$$work"' EXIT; \
	"$$python" -m venv "$$work/venv"; cp -r service "$$work/service"; \
	"$$work/venv/bin/pip" install --quiet -c constraints-py310.txt "$$work/service[cpu]" \
	  pytest hypothesis httpx psutil grpcio-health-checking schemathesis 'tritonclient[http,grpc]'; \
	"$$work/venv/bin/pytest" -m 'not slow' tests/service tests/package --ignore=tests/service/cli \
	  --ignore=tests/service/energy/test_accuracy.py --ignore=tests/service/energy/test_histories.py

lint: install ## ruff, pyright, import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports

format: install ## let ruff format and sort
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

picture: browser ## docs/report.png: the shipped package's report in a browser
	@chromium --headless --no-sandbox --hide-scrollbars --window-size=1100,2200 --screenshot=docs/report.png \
	  'file://$(abspath $(PACKAGE)/current/report.html)' 2>&1 | grep written

# What the report is opened in by its tests and for its picture; without it the tests say so.
browser:
	@if ! command -v chromium >/dev/null; then echo 'installing chromium'; $(APT_INSTALL) chromium fonts-dejavu-core >/dev/null || true; fi

reference: install ## docs/recipe.md, each key of a recipe, from the code
	@$(BIN)/python -m joulebox_build.recipe.reference docs/recipe.md

serve: install ## serve the shipped model on 127.0.0.1:3000
	$(BIN)/joulebox serve $(PACKAGE)

teacher: install data ## train the teacher of the shipped model anew (two of them, an hour each on two cores; what was interrupted goes on)
	$(BIN)/joulebox teacher $(RECIPE)

package: install data ## build the shipped model package anew, under its full gate, and the picture of it
	$(BIN)/joulebox build $(RECIPE) --profile full --out $(PACKAGE)
	$(BIN)/python -m joulebox_build.report.picture $(PACKAGE) docs/accuracy-vs-size.png

wheel: install ## build joulebox's wheel and its exact requirements into wheels/, which `bentoml build` puts into the bento
	@$(BIN)/python -m joulebox_build.packing.wheel wheels

bento: wheel ## build the bento of the shipped model
	$(BIN)/bentoml build

bench: install bench-tools ## serving benchmarks, side by side with peers; a part of them: make bench BENCH='--only small --peers none'
	$(BIN)/python -m bench.serving $(BENCH)

bench-energy: install ## how right the energy ledger is, on simulated devices whose truth is known; draws docs/energy-accuracy.png
	$(BIN)/python -m bench.energy

# The load generator, and what makes the environment of the peer that needs Debian's own Python; without them it says so.
bench-tools:
	@missing=; if ! command -v wrk >/dev/null; then missing=wrk; fi; \
	if ! /usr/bin/python3 -c 'import ensurepip' 2>/dev/null; then missing="$$missing python3-venv"; fi; \
	if [ -n "$$missing" ]; then echo "installing $$missing"; $(APT_INSTALL) $$missing >/dev/null || true; fi

clean: ## remove .venv and everything made
	rm -rf .venv .cache wheels dist out .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	rm -rf service/build build/build service/*.egg-info build/*.egg-info
	find service build tests models deploy bench -name __pycache__ -type d -prune -exec rm -rf {} +
