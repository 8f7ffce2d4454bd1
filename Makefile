# `make` alone lists what there is. uv is fetched with pip where it is missing.
.DEFAULT_GOAL := help
.PHONY: help setup install try test test-page test-vllm test-trainer test-api test-label-studio test-cvat test-fiftyone test-ray test-mcp-inspector soak soak-serve docs web web-check static check

UV = @uv=$$(.ci/uv) && set -x && "$$uv"
RUN = $(UV) run --locked
DEV = $(RUN) --extra dev --group owners --group docs
VLLM = .tools/vllm-env
TRAINER = .tools/trainer-env
RAY = .tools/ray-env
CVAT = .tools/cvat-env
FIFTYONE = .tools/fiftyone-env
LABEL_STUDIO = .tools/label-studio-env

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what is missing: uv, Python if needed, the locked packages
	$(UV) sync --locked --inexact

install: ## install what the checks need as well
	$(UV) sync --locked --inexact --extra dev --group owners --group docs

try: setup ## answer a query about the example scene
	$(RUN) sam3-agent segment examples/scene.png "the watermelons above the banana except the largest one"

test: ## run every test, docstring example and block of the documentation
	$(DEV) .ci/test

test-vllm: $(VLLM)/made ## drive a real vLLM on a CPU; see tests/vllm/README.md
	env -u PYTHONDONTWRITEBYTECODE OMP_NUM_THREADS=1 $(VLLM)/bin/python -m pytest tests/vllm

$(VLLM)/made: tests/vllm/requirements.txt tests/vllm/overrides.txt pyproject.toml
	$(UV) venv --quiet --clear --python 3.11 $(VLLM)
	$(UV) pip install --python $(VLLM) --override tests/vllm/overrides.txt -r tests/vllm/requirements.txt
	@touch $@

test-trainer: $(TRAINER)/made ## read exports with the official trainer's loaders; see tests/trainer/README.md
	env -u PYTHONDONTWRITEBYTECODE OMP_NUM_THREADS=1 $(TRAINER)/bin/python -m pytest tests/trainer

$(TRAINER)/made: tests/trainer/requirements.txt tests/trainer/overrides.txt pyproject.toml
	$(UV) venv --quiet --clear --python 3.11 $(TRAINER)
	$(UV) pip install --python $(TRAINER) --override tests/trainer/overrides.txt -r tests/trainer/requirements.txt
	@touch $@

test-label-studio: $(LABEL_STUDIO)/made ## drive a real Label Studio; see tests/label_studio/README.md
	@uv=$$(.ci/uv) && LABEL_STUDIO_PROGRAM=$(LABEL_STUDIO)/bin/label-studio "$$uv" run --locked --extra dev --group owners pytest -n0 tests/label_studio

$(LABEL_STUDIO)/made: tests/label_studio/requirements.txt
	$(UV) venv --quiet --clear --python 3.11 $(LABEL_STUDIO)
	$(UV) pip install --python $(LABEL_STUDIO) -r tests/label_studio/requirements.txt
	@touch $@

test-cvat: $(CVAT)/made ## load the functions for CVAT as its agent does; see tests/cvat/README.md
	OMP_NUM_THREADS=1 $(CVAT)/bin/python -m pytest tests/cvat

$(CVAT)/made: tests/cvat/requirements.txt pyproject.toml
	$(UV) venv --quiet --clear --python 3.11 $(CVAT)
	$(UV) pip install --python $(CVAT) -r tests/cvat/requirements.txt
	@touch $@

test-fiftyone: $(FIFTYONE)/made ## run the page on FiftyOne in a real one; see tests/fiftyone/README.md
	OMP_NUM_THREADS=1 $(FIFTYONE)/bin/python -m pytest tests/fiftyone

$(FIFTYONE)/made: tests/fiftyone/requirements.txt tests/fiftyone/overrides.txt pyproject.toml
	$(UV) venv --quiet --clear --python 3.11 $(FIFTYONE)
	$(UV) pip install --python $(FIFTYONE) --override tests/fiftyone/overrides.txt -r tests/fiftyone/requirements.txt
	@touch $@

test-ray: $(RAY)/made ## drive a real Ray, two nodes on this machine; see tests/ray/README.md
	env -u PYTHONDONTWRITEBYTECODE OMP_NUM_THREADS=1 $(RAY)/bin/python -m pytest tests/ray

$(RAY)/made: tests/ray/requirements.txt pyproject.toml
	$(UV) venv --quiet --clear --python 3.11 $(RAY)
	$(UV) pip install --python $(RAY) -r tests/ray/requirements.txt
	@touch $@

INSPECTOR = .tools/mcp-inspector
test-mcp-inspector: $(INSPECTOR)/made ## drive the MCP server with its protocol's inspector; see tests/mcp_inspector
	$(DEV) pytest tests/mcp_inspector

$(INSPECTOR)/made: tests/mcp_inspector/package.json
	mkdir -p $(INSPECTOR)
	cp tests/mcp_inspector/package.json $(INSPECTOR)
	npm install --prefix $(INSPECTOR) --no-audit --no-fund
	@touch $@

test-api: export API_CASES = 30
test-api: ## ask each operation of the HTTP interface up to thirty times
	$(DEV) pytest tests/serve/test_openapi.py

test-page: export PAGE_SHEETS = docs/assets/page
test-page: ## look at every state of the demo at every size and in every colour; writes docs/assets/page
	$(DEV) pytest -n0 tests/demo/test_axe.py

soak: ## eight conversations at a time for five minutes; fails if one of them does or memory grows
	$(RUN) --extra bench sam3-agent bench soak --seconds 300

soak-serve: ## a server under visitors for ten minutes; fails if its memory grows or a request ends badly
	$(RUN) --extra bench --extra serve sam3-agent bench serve-soak --seconds 600

docs: ## write the generated pages anew and build the site into site/
	$(DEV) python docs/generate.py
	$(DEV) zensical build --strict

web: web/node_modules/made ## build the pages' scripts from web/; their files are committed, so only changes to them need node
	npm --prefix web run --silent build

# CI has no node in every place, and a package for users needs none: without it the committed files are taken as they are.
# The inner make is not written $(MAKE): `make --dry-run` would run such a line
web-check: ## types of web/, and that the committed scripts are built from it
	@if ! command -v npm >/dev/null; then echo "web/ was not checked: there is no node here; install Node.js 20 or later to check it"; \
	elif ! env -u MAKEFLAGS make --silent web/node_modules/made; then echo "web/ was not checked: its packages cannot be fetched"; \
	else npm --prefix web run --silent check; fi

web/node_modules/made: web/package.json web/package-lock.json
	npm --prefix web ci --silent
	@touch $@

static: web-check ## ruff, import-linter, mypy --strict, hadolint, the scripts of the pages
	$(DEV) ruff check
	$(DEV) ruff format --check
	$(DEV) lint-imports
	$(DEV) mypy
	$(DEV) hadolint Containerfile

check: static test ## all that must hold before a change is accepted
