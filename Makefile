# What people and CI call. `make` alone lists it.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help install run demo test lint format lock manifest budgets package benchmark clean

help:            ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

install: $(VENV)/.installed   ## make .venv from requirements.txt, which names everything: hashes checked, nothing else taken

$(VENV)/.installed: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement requirements.txt
	@$(BIN)/python -m pip check
	@touch $@

run: install     ## start everything, play a payment, stay up (Ctrl-C stops)
	@$(BIN)/python -m tools.demo --stay

demo: install    ## the same, checked step by step; exits 0, or non-zero naming the step that failed
	@$(BIN)/python -m tools.demo

test: install    ## all tests, a process per core, with coverage; what they draw goes to build/
	@mkdir -p build
	@ARTEFACTS=build $(BIN)/python -m pytest --numprocesses auto --dist loadfile --cov --cov-report=term $(ARGS)

lint: install    ## ruff, mypy, and whether functions.json is current
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m tools.manifest --check

format: install  ## let ruff rewrite
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

COMPILE = $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make lock" --quiet

lock: install    ## compile requirements.txt from pyproject.toml's groups, with hashes, and those of the benchmark's peers
	@$(COMPILE) --output-file requirements.txt pyproject.toml \
		$(addprefix --group ,$(shell $(BIN)/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['dependency-groups'])"))
	@for peer in scripts/benchmarks/sides/*.in; do $(COMPILE) --output-file $${peer%.in}.txt $$peer || exit 1; done

manifest: install ## write functions.json from the code
	@$(BIN)/python -m tools.manifest

budgets: install ## write tests/performance/budgets.json: what each function weighs now
	@$(BIN)/python -m tests.performance.budgets

package: install ## build/<function>.zip and build/artifacts.json: what is deployed
	@$(BIN)/python -m tools.package $(ARGS)

benchmark: install ## side by side with what it is compared with; ARGS="--only P8"
	@$(BIN)/python -m scripts.benchmark $(ARGS)

clean:           ## stop the local cloud and remove everything that is not in git
	@[ ! -x $(BIN)/python ] || $(BIN)/python -m tools.local down
	rm -rf .local build $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
