# Two commands do all their own set-up: `make lifecycle` and `make test`.
PYTHON ?= python3
STAMP := .venv/.installed-$(shell cat requirements.lock pyproject.toml | sha256sum | cut -c1-16)
TOOLS := .cache/tools/.installed-$(shell sha256sum <.ci/tools.lock | cut -c1-16)
AUDIT := $(PYTHON) -I -S .ci/audit.py
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export BENTOML_HOME := $(CURDIR)/.cache/bentoml
export BENTOML_DO_NOT_TRACK := True

.PHONY: setup lifecycle test prove lint audit lock wheel

setup: $(STAMP)            ## the environment, as the lock says; under a second when it has not changed

$(STAMP):
	$(AUDIT) --lock requirements.lock
	test -d .venv || $(PYTHON) -m venv .venv
	sed -n '/^pip==/,/[^\\]$$/p; /^setuptools==/,/[^\\]$$/p' requirements.lock | .ci/install .venv
	grep -v '^torch==' requirements.lock | .ci/install .venv
	.ci/torch
	pip install --quiet --no-deps --no-build-isolation --editable .
	mkdir -p .cache/bentoml && rm -f .venv/.installed-* && touch $(STAMP)

$(TOOLS):
	$(AUDIT) --lock .ci/tools.lock
	rm -rf .cache/tools && $(PYTHON) -m venv .cache/tools
	.ci/install .cache/tools <.ci/tools.lock
	touch $(TOOLS)

lifecycle: setup           ## raw documents to a packaged model; only what is stale runs; exit 3 where the gate refuses
	@pgrep -f 'dvc (repro|exp)' >/dev/null || rm -f .dvc/tmp/rwlock .dvc/tmp/rwlock.lock
	dvc repro
	fmcycle report
	fmcycle gate artifacts/package

test: setup                ## every test but the slow proofs
	OMP_NUM_THREADS=1 pytest -q -n logical --maxprocesses 8 --dist loadfile

prove: setup               ## the slow proofs: kills, staleness, two processes, the whole loop
	pytest -q -m prove

lint: setup
	ruff check . && ruff format --check . && mypy

wheel: setup               ## dist/fmcycle-VERSION-py3-none-any.whl, which is all that a project needs
	pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

audit: setup $(TOOLS)      ## what is installed: known-bad versions, files that run when Python starts; then .cache/sbom.json
	$(AUDIT) --lock requirements.lock --lock .ci/tools.lock --environment .venv --environment .cache/tools
	pip check
	.cache/tools/bin/cyclonedx-py environment .venv --pyproject pyproject.toml --output-reproducible --validate -o .cache/sbom.json
	$(AUDIT) --environment .venv --sbom .cache/sbom.json
	@echo "audit: nothing found; .cache/sbom.json lists what is installed"

lock: $(TOOLS)             ## after a change of pyproject.toml, or with UPGRADE=NAME; holds back what is younger than seven days
	.ci/lock
	$(AUDIT) --lock requirements.lock --lock .ci/tools.lock
