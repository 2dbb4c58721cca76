# Every target works on a fresh clone: it makes .venv when that is missing or its pins changed.
.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench bench-check format docs lock clean

# Test files are shared out among this many processes; each may start two more that compute.
TEST_PROCESSES ?= 2
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& echo $$p && break; done)
BIN := .venv/bin
STAMP := .venv/.installed

help: ## Say what the targets do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv with everything installed

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "tenfold needs Python 3.11, 3.12 or 3.13 on PATH" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(STAMP)

demo: $(STAMP) ## Compare every model family on the embedded digits
	$(BIN)/tenfold compare experiments/quickstart.yaml --executor prefect

check: $(STAMP) ## Format, lint, types, import floors
	$(BIN)/ruff format --check src tests benchmarks examples
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check ## The checks and the whole test suite, with coverage
	rm -f .coverage .coverage.*
	$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile \
		--cov --cov-report= $(PYTEST_ARGS)
	$(BIN)/coverage report --fail-under=90

bench: $(STAMP) ## Measure the networks on MNIST and Fashion-MNIST: about 2 hours on 2 quiet cores
	$(BIN)/python benchmarks/networks.py all $(BENCH_ARGS)

bench-check: $(STAMP) ## Prove within a minute that the measurements work, on the embedded digits
	$(BIN)/python benchmarks/networks.py all --miniature --only cnn --fresh --out build/bench-check

format: $(STAMP) ## Format the sources and mend what the linter can
	$(BIN)/ruff format src tests benchmarks examples
	$(BIN)/ruff check --fix src tests benchmarks examples

docs: $(STAMP) ## Write docs/reference.md from the schemas
	$(BIN)/python docs/generate.py

lock: $(STAMP) ## Resolve constraints.txt anew for Python 3.11 to 3.13, all platforms
	$(BIN)/uv pip compile --universal --all-extras --python-version 3.11 --upgrade \
		--no-emit-index-url --no-annotate --custom-compile-command 'make lock' \
		-o constraints.txt pyproject.toml

clean: ## Remove what the targets made, but no workspace and no data
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .coverage .coverage.* htmlcov
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
