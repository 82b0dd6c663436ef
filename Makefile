# make repro runs the study, make test the tests; each makes .venv first if it is missing or the lock changed.
# The newest of these Pythons that runs and can make environments; PYTHON=… takes another.
runs = $(shell python$(1) -c 'import ensurepip, venv' 2>/dev/null && echo python$(1))
ifeq ($(origin PYTHON), undefined)
PYTHON = $(firstword $(foreach version,3.13 3.12 3.11,$(call runs,$(version))))
endif
VENV := .venv
STAMP := $(VENV)/.made-from-lock
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: repro test lint ci-diff lock clean

repro: $(STAMP)
	peftir doctor --quiet
	peftir repro
	@echo "Done: open report/index.html, or read report/results.md"

test: $(STAMP)
	pytest -n 2 --no-loadscope-reorder

lint: $(STAMP)
	ruff check .
	ruff format --check .
	mypy

# make ci-diff BASE=main: what this commit changes in the metrics, as a pull request's CI says it.
ci-diff: $(STAMP)
	.ci/metrics-diff

# A changed lock makes the environment afresh, so that nothing of the old one stays behind.
$(STAMP): requirements.lock pyproject.toml
	@python=$(PYTHON); test -n "$$python" || { echo 'error: found no python3.13, python3.12 or python3.11 that runs' \
	  'and has venv; install one, or name one: make PYTHON=/path/to/python' >&2; exit 1; }; \
	echo "Environment: $$python ($$($$python --version)), packages of requirements.lock"; \
	rm -rf $(VENV) && $$python -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	LC_ALL=C.UTF-8 $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@# Python reads this file in the locale's letters: the clone's absolute path may have others.
	echo ../../../../src > $$(echo $(VENV)/lib/python3.*/site-packages/__editable__.peftir-*.pth)
	$(VENV)/bin/python -c 'from pathlib import Path; from peftir.models.backbone import link_wheels; link_wheels(Path())'
	touch $@

# Solves the dependencies of pyproject.toml anew and writes down what came out.
lock:
	rm -rf $(VENV)/lock && $(PYTHON) -m venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip install --quiet torch==2.13.0 setuptools
	$(VENV)/lock/bin/python -m pip install --quiet '.[pipeline,cluster,serve,dev]'
	{ sed -n '/^#/p' requirements.lock; \
	  $(VENV)/lock/bin/python -m pip freeze --all | grep -vE '^(pip|peftir)\b' | sed 's/+cpu$$//'; } > requirements.lock.new
	mv requirements.lock.new requirements.lock
	rm -rf $(VENV)/lock

clean:
	rm -rf data runs models .pytest_cache .mypy_cache .ruff_cache
