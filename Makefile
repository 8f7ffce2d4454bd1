# `make` alone lists what there is. uv is fetched with pip where it is missing.
.DEFAULT_GOAL := help
.PHONY: help setup try test check

UV = @uv=$$(.ci/uv) && set -x && "$$uv"
RUN = $(UV) run --locked
DEV = $(RUN) --extra dev

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what is missing: uv, Python if needed, the locked packages
	$(UV) sync --locked --inexact

try: setup ## answer a query about the example scene
	$(RUN) sam3-agent segment examples/scene.png "the watermelons above the banana except the largest one"

test: ## run every test, docstring example and README block
	$(DEV) pytest

check: ## ruff, mypy --strict, then the tests
	$(DEV) ruff check
	$(DEV) ruff format --check
	$(DEV) mypy
	$(DEV) pytest
