# `make book` and `make test` need Python 3.11 or newer and nothing else: whatever they use is
# installed into .venv first, once. Written for GNU make 3.81 (macOS ships no newer one) and later.

# A name may be on the PATH without working (pyenv's shims), so every candidate is tried.
PYTHON ?= $(shell for name in python3.13 python3.12 python3.11 python3; do \
  "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$name" && break; \
done)

# Programs are found as in an activated environment. Quoted: the checkout's path may have spaces.
RUN := PATH="$(CURDIR)/.venv/bin:$$PATH"
STAMP := .venv/installed
# An index may serve builds of its own, of torch for one, which are other files. So the files that
# were locked are asked for only where somebody wants them: `make env VERIFIED=1`.
PINS := $(if $(VERIFIED),--require-hashes --requirement requirements.hashes,--requirement requirements.lock)
# The chapters take one processor for some minutes; all other tests run beside them.
TWO := --numprocesses 2 --dist loadfile --no-loadscope-reorder
# Notebooks are left out: they are recorded from the scripts of book/.
CODE := src tests tools benchmarks book/*.py book/_ext

.PHONY: help env book test coverage lint screenshots lock demo-detector clean

help:  ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

env: $(STAMP)  ## Install the pinned packages and layerfusion into .venv (once, about 6 GB).

book: $(STAMP)  ## Execute the chapters on the demo profile and build the site from them.
	$(RUN) layerfusion book

test: $(STAMP)  ## Run the unit tests and, beside them, the recorded chapters again, and compare.
	$(RUN) pytest --nbval $(TWO)

coverage: $(STAMP)  ## Say which lines no unit test reaches.
	$(RUN) pytest tests --cov=layerfusion

lint: $(STAMP)  ## Check style, types and that no room imports from a room above it.
	$(RUN) ruff check $(CODE)
	$(RUN) ruff format --check $(CODE)
	$(RUN) mypy
	$(RUN) lint-imports

screenshots: $(STAMP)  ## Keep a picture of every page, light, dark and small, in _build/pages.
	$(RUN) LAYERFUSION_BROWSER=required LAYERFUSION_SCREENSHOTS=_build/pages pytest tests/book/test_site.py

# Pins stay where they still fit; `make lock UPGRADE=--upgrade` moves all of them.
lock: $(STAMP)  ## Write requirements.lock and requirements.hashes anew from pyproject.toml.
	$(RUN) uv pip compile --quiet --universal --python-version 3.11 --all-extras --no-header \
	  --no-annotate --no-strip-extras --generate-hashes $(UPGRADE) \
	  --output-file requirements.hashes pyproject.toml
	sed -e '/^    --hash=/d' -e 's/ \\$$//' requirements.hashes > requirements.lock

# The record's path is the last word that `layerfusion train` prints; the detector lies beside it.
demo-detector: $(STAMP)  ## Train the detector that comes with the package anew.
	$(RUN); export PATH; record=$$(layerfusion train --profile demo --run open | awk 'END {print $$2}') && \
	  rm -rf src/layerfusion/scoring/demo_detector && \
	  cp -R "$${record%/record.json}/detector" src/layerfusion/scoring/demo_detector && \
	  python -c 'import sys, pathlib; from layerfusion import files; files.write_checksums(pathlib.Path(sys.argv[1]))' \
	    src/layerfusion/scoring/demo_detector

# Runs and the environment stay: they are too dear to lose by a slip.
clean:  ## Remove built sites and caches.
	rm -rf _build book/_build runs/*/book .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

# An environment without a working pip (an interrupted or foreign one) is made anew. The stamp is
# written last, so that an interrupted installation goes on at the next call.
$(STAMP): requirements.lock pyproject.toml
	@python="$(PYTHON)"; \
	if [ -z "$$python" ]; then \
	  echo "layerfusion needs Python 3.11 or newer and finds none; install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; \
	elif ! "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
	  echo "PYTHON=$$python is not a working Python 3.11 or newer" >&2; exit 1; \
	elif .venv/bin/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	  :; \
	elif ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	  echo "$$python cannot make an environment: its modules venv and ensurepip are missing (on Debian and Ubuntu they are in the package python3-venv)" >&2; exit 1; \
	else \
	  "$$python" -m venv --clear .venv; \
	fi
	.venv/bin/python -m pip install --disable-pip-version-check $(PINS)
	.venv/bin/python -m pip install --disable-pip-version-check --no-deps -e .
	@touch $(STAMP)
