# Two commands do all their own set-up: `make lifecycle` and `make test`.
PYTHON ?= python3
STAMP := .venv/.installed-$(shell cat requirements.lock pyproject.toml | sha256sum | cut -c1-16)
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export BENTOML_HOME := $(CURDIR)/.cache/bentoml
export BENTOML_DO_NOT_TRACK := True

.PHONY: setup lifecycle test prove lint lock

setup: $(STAMP)            ## the environment, as the lock says; under a second when it has not changed

$(STAMP): requirements.lock pyproject.toml
	test -d .venv || $(PYTHON) -m venv .venv
	pip install --quiet --upgrade pip
	pip install --quiet "$$(grep '^torch==' requirements.lock)"
	pip install --quiet --requirement requirements.lock
	pip install --quiet --no-deps --no-build-isolation --editable .
	mkdir -p .cache/bentoml && rm -f .venv/.installed-* && touch $(STAMP)

lifecycle: setup           ## raw documents to a packaged model; only what is stale runs; exit 3 where the gate refuses
	@pgrep -f 'dvc (repro|exp)' >/dev/null || rm -f .dvc/tmp/rwlock .dvc/tmp/rwlock.lock
	dvc repro
	fmcycle gate artifacts/package

test: setup                ## every test but the slow proofs
	pytest -q

prove: setup               ## the slow proofs: kills, staleness, two processes, the whole loop
	pytest -q -m prove

lint: setup
	ruff check . && ruff format --check . && mypy

lock:                      ## after a change of pyproject.toml: install, try, then write what is installed
	(head -1 requirements.lock; pip freeze --exclude-editable | grep -viE '^(pip|setuptools|wheel|fmcycle)==' | sed 's/+cpu//') > .lock && mv .lock requirements.lock
