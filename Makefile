# Needs Python 3.11 or newer, make and a C library; everything else comes into .venv.
# Which index pip asks is the environment's affair; none is named here.

VENV    := .venv
BIN     := $(VENV)/bin
READY   := $(VENV)/.installed
DEV     := $(VENV)/.installed-dev
PYTEST  := $(BIN)/pytest
DATA    ?=

export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: run demo test test-long bench lint format lock install clean-venv
.DEFAULT_GOAL := run

run: $(READY)
	@$(BIN)/tallystick up --demo --with-parent

demo: $(READY)
	@$(BIN)/tallystick demo $(if $(DATA),--data "$(DATA)")

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(PYTEST) -n 2 --dist loadfile -m "not long" --cov=tallystick --cov-report=term:skip-covered

test-long: $(DEV)
	$(PYTEST) -m long

bench: $(DEV)
	@$(BIN)/python -m benchmarks

format: $(DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

install: $(READY)

$(READY): requirements.lock requirements-redis.lock pyproject.toml scripts/bootstrap.sh
	@scripts/bootstrap.sh $(VENV) requirements.lock
	@touch $@

$(DEV): $(READY) requirements-dev.lock
	@scripts/bootstrap.sh $(VENV) requirements-dev.lock
	@touch $@

# After a change of the dependencies in pyproject.toml; needs uv.
lock:
	@scripts/lock.sh

clean-venv:
	rm -rf $(VENV)
