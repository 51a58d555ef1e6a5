# `make demo` and `make test` do everything on a fresh machine: they set up .venv themselves, once.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.stamp
BIN := $(VENV)/bin
ARGS ?=
# Material announces its end of life at each build: what follows from it is in docs/design/0007-the-site.md
export NO_MKDOCS_2_WARNING := 1

.PHONY: demo test test-slow test-nightly lint check docs site bench screenshots clean setup browser

setup: $(STAMP)
	@echo "ready. Next: . $(BIN)/activate, then: instar run demo (or: instar init YOUR.jsonl)"

# pyproject.toml and constraints.txt are all that decides what is installed; touch neither and this does nothing
$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setting up $(VENV) (a few minutes the first time)"
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,openvino,dev]'
	@command -v bwrap >/dev/null || test "$$(id -u)" != 0 || ! command -v apt-get >/dev/null || apt-get install -y -q bubblewrap \
	  || echo "bubblewrap could not be installed: the sandbox will use plain namespaces"
	@touch $(STAMP)

demo: $(STAMP)
	@$(BIN)/instar run demo $(ARGS)

# several workers share the cores: a thread of torch that waits for another must not spin on one meanwhile
test test-slow test-nightly: export OMP_WAIT_POLICY := PASSIVE

test: $(STAMP)
	@$(BIN)/python -m pytest -m "not slow and not nightly" -n 3 --dist loadfile $(ARGS)

test-slow: $(STAMP) browser
	@$(BIN)/python -m pytest -m "slow and not nightly" -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

# what a landing does not wait for: the whole demo, the docs' pictures, the rest of the engines' contract on the real model
test-nightly: $(STAMP) browser
	@$(BIN)/python -m pytest -m nightly $(ARGS)

# the report and the live page are tested in a real browser
browser:
	@command -v chromium chromium-browser google-chrome >/dev/null || \
	if [ "$$(id -u)" != 0 ]; then \
	  echo "the slow tests need a browser: install it once with: sudo apt-get install chromium" >&2; exit 1; \
	elif command -v apt-get >/dev/null; then \
	  echo "installing chromium (Debian package), for the tests of the report and the live page"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; \
	else \
	  echo "the slow tests need a browser: install Chromium or Google Chrome" >&2; exit 1; \
	fi

# whatever reads the code and runs none of it: beside the tests it fills the seconds in which they wait
lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python docs/generate.py --check
	@$(BIN)/mkdocs build --strict --quiet

check: lint
	@$(BIN)/python -m pytest tests/laws

# the generated pages, then the whole site in site/: open site/index.html, no server and no network needed
docs: $(STAMP)
	@$(BIN)/python docs/generate.py
	@$(BIN)/mkdocs build --strict --quiet

site: $(STAMP)
	@$(BIN)/mkdocs serve

# ours and the peers in turns; it says first how long it takes. ARGS='--only KEY --pairs 5', ARGS=--list
bench: $(STAMP)
	@$(BIN)/python -m bench $(ARGS)

# the pictures in docs/img, of a real browser on runs of the scripted model
screenshots: $(STAMP) browser
	@$(BIN)/python docs/screenshots.py

clean:
	rm -rf $(VENV) build dist site .pytest_cache .mypy_cache .ruff_cache
