.DEFAULT_GOAL := help
.PHONY: help up demo test test-faults lint bench screenshots wheel clean
ARGS ?=

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: ## Set up and start everything (ARGS="--port 9000" to pass options)
	@bin/setup
	@exec .venv/bin/opsconsole up $(ARGS)

demo: ## Set up and start with 20 real SSH hosts of its own on loopback (SIMULATED=5000: that many played ones instead)
	@bin/setup
	@exec .venv/bin/opsconsole up $(if $(SIMULATED),--simulate $(SIMULATED),--demo 20) $(ARGS)

test: ## Run all tests (ARGS="tests/unit -k fold" for some)
	@bin/test $(ARGS)

test-faults: ## Run the fault suite with its long forms, one test at a time
	@bin/test -n 0 -m "" tests/faults $(ARGS)

lint: ## Run all linters and static checks
	@bin/lint

bench: ## Measure the fan-out over SSH (ARGS="--hosts 1000")
	@bin/setup --dev
	@exec .venv/bin/opsconsole bench fanout $(ARGS)

screenshots: ## Shoot every page into docs/screenshots (ARGS="job run" for some)
	@bin/screenshots $(ARGS)

wheel: ## Build the wheel and the source archive into dist/
	@bin/setup --dev
	@.venv/bin/python -m build --no-isolation

clean: ## Remove what builds, tests and linters leave behind (.venv stays)
	@rm -rf build dist *.egg-info .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache test-results
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
