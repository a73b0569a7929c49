# Set-up, run and tests. Every recipe uses the project's own .venv; the first target that needs it makes it.
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3 python; do \
	$$python -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$python && break; done)
PY := .venv/bin/python
RUNTIME := .venv/.runtime
INSTALLED := .venv/.installed

# Compiled modules are kept: without them every process that a test starts compiles the project anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup run demo test test-fast lint lock sbom audit bench bench-quick bench-long scaling campaign campaign-quick versitygw package clean archive

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | while IFS='|' read -r name text; do \
		printf '%-18s %s\n' "$$name" "$$text"; done

NEEDS_PYTHON := test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, with its venv module." \
	"Debian: apt-get install -y python3 python3-venv. macOS: brew install python." \
	"Or name one: make setup PYTHON=/path/to/python3.11" >&2; exit 1; }

# What a run needs, and no more: the packages of requirements.lock, a Java, the JARs.
$(RUNTIME): requirements-build.lock requirements.lock jars.lock
	@$(NEEDS_PYTHON)
	@$(PYTHON) -m lakehouse.setup.install
	@touch $@

# The packages of tests and checks; those of a run are among them.
$(INSTALLED): requirements-build.lock requirements-dev.lock
	@$(NEEDS_PYTHON)
	@$(PYTHON) -m lakehouse.setup.install --development
	@touch $@

setup: $(RUNTIME) ## Make .venv, install the packages of a run, get Java and the JARs

run: $(RUNTIME) ## Set up, then run the whole pipeline; Ctrl-C stops it cleanly
	@exec $(PY) setup_utils.py run

demo: $(RUNTIME) ## A bounded run: two weeks of sales and 500 messages, checked against the generator's own truth
	@$(PY) -m lakehouse.setup.demo

archive: $(INSTALLED) $(RUNTIME)
	@$(PY) setup_utils.py archive

test: archive ## Every test (about 20 minutes on 2 cores)
	@$(PY) -m pytest -n 3 --dist loadfile --no-loadscope-reorder

test-fast: $(INSTALLED) ## The unit tests: no Java, no processes (15 s at most)
	@$(PY) -m pytest tests/unit -q -n 2 --dist loadfile

lint: $(INSTALLED) ## Format, rules, docstrings, types and forbidden words
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@$(PY) -m pytest -q tests/unit/test_words.py

versitygw: .cache/bin/versitygw ## The S3 server of the tests, built with Go (1 to 3 minutes, once)

.cache/bin/versitygw:
	@command -v go >/dev/null || { echo "Go is needed: apt-get install -y golang-go, or https://go.dev" >&2; exit 1; }
	@GOBIN=$(CURDIR)/.cache/bin go install github.com/versity/versitygw/cmd/versitygw@v1.8.0

lock: $(INSTALLED) ## requirements*.txt → requirements*.lock, with the hash of every file
	@$(PY) -m lakehouse.setup.supply_chain lock

sbom: $(INSTALLED) ## The bill of materials (CycloneDX): artifacts/sbom.cdx.json
	@$(PY) -m lakehouse.setup.supply_chain sbom artifacts/sbom.cdx.json

audit: $(INSTALLED) ## Known weaknesses of the locked packages (pip-audit; needs the network)
	@$(PY) -m lakehouse.setup.supply_chain audit

bench: archive ## Beside what a user would pick instead, into docs/BENCHMARKS.md (30 minutes on 2 cores)
	@$(PY) -m benchmarks.run --write

bench-quick: archive ## The same with fewer sales and one turn, into artifacts/bench.json (5 minutes)
	@$(PY) -m benchmarks.run --quick

bench-long: archive ## Half an hour of latency, Silver over 50 million sales, an hour of memory (3 hours)
	@$(PY) -m benchmarks.run --long --write

scaling: archive ## Partitions, workers, state and Silver, measured into docs/scaling.json on a quiet machine
	@$(PY) -m benchmarks.scaling --write
	@$(PY) docs/generate.py

READER := .cache/campaign-reader/bin/python

$(READER): campaign/reader/requirements.lock
	@$(PYTHON) -m venv .cache/campaign-reader && $@ -m pip install --quiet --require-hashes --only-binary :all: -r $<

campaign: export CAMPAIGN_READER := $(CURDIR)/$(READER)
campaign: setup $(READER) ## Faults, crash points and planted bugs for hours, into docs/FAULT_REPORT.md (HOURS=8, FIRST=1)
	-@$(PY) -m campaign --sweep bronze --minutes 60
	-@$(PY) -m campaign --sweep verbs --first 2 --minutes 90
	-@$(PY) -m campaign --planted silver --planted bronze --minutes 120
	-@$(PY) -m campaign --without-jvm --seeds 100000 --first $(or $(FIRST),1) --minutes $$(( $(or $(HOURS),8) * 10 ))
	-@$(PY) -m campaign --seeds 100000 --first $(or $(FIRST),1) --minutes $$(( $(or $(HOURS),8) * 50 ))
	@$(PY) -m campaign --report

campaign-quick: setup ## A few histories with faults, in ten minutes
	@$(PY) -m campaign --without-jvm --seeds 20 --first $$(date +%j) --minutes 3
	@$(PY) -m campaign --seeds 8 --first $$(date +%j) --minutes 5 --rounds 2 --messages 80

package: $(INSTALLED) ## Build what a Spark cluster needs, into dist/
	@$(PY) setup_utils.py package

clean: ## Remove caches; never data/, .venv or the JARs
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis spark-warehouse metastore_db derby.log dist
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
