# Ants and Bees. Two commands: `make lessons` runs the course, `make test` checks it.
PYTHON ?= python3
VENV ?= .venv
PIP_FLAGS ?=
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_FOR_TESTS := $(VENV)/.ready-for-tests
READY_FOR_BOOK := $(VENV)/.ready-for-book
PIP := python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS)

.PHONY: help lessons test test-fast test-faults test-memory test-mutations test-browser browser test-colab test-widgets7 lab badges images glossary book notebooks results bench bench-cost bench-widgets bench-weights bench-lessons doctor clean

help: ## List the commands (this text)
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

lessons: $(READY) ## Run all lessons into build/lessons, with HTML pages and a table of results
	$(BIN)/python -m tutorial_utils lessons --out build

# Two tests at a time: a lesson holds up to 2 GB.
SIDE_BY_SIDE ?= -n 2 --dist worksteal

test: $(READY_FOR_TESTS) ## Run the tests: style, imports, package, all lessons by papermill and nbval
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not long"

test-faults: $(READY_FOR_TESTS) ## Inject every fault of tests/faults, the long ones too, and count them
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) tests/faults

test-fast: $(READY_FOR_TESTS) ## Run the tests that run no whole lesson
	$(BIN)/python -m pytest -m "not lessons and not long"

test-memory: $(READY_FOR_TESTS) ## Run every lesson within Binder's 2 GiB of memory (needs root on Linux)
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m memory

test-mutations: $(READY_FOR_TESTS) ## Try small mistakes in a copy and count those that the tests notice
	$(BIN)/python tests/mutations/mutate.py

test-browser: $(READY_FOR_TESTS) ## Run the tests that drive a browser (CHROMIUM=PATH names one)
	$(BIN)/python -m pytest tests/browser tests/book

# The version of Chromium that playwright expects. A bare Linux also needs system packages:
# BROWSER_FLAGS=--with-deps.
browser: $(READY_FOR_TESTS) ## Download the Chromium that the tests in a browser need, if you have none
	$(BIN)/python -m playwright install $(BROWSER_FLAGS) chromium

# Colab's versions, in their own environment.
COLAB ?= .venv-colab
COLAB_PYTHON ?= python3.13
COLAB_BIN := $(COLAB)/bin
COLAB_LESSONS ?= 04_freezing or 06_training

test-colab: $(COLAB)/.ready ## Run the unit tests and two lessons with Colab's versions
	$(COLAB_BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not lessons and not browser and not book and not long"
	$(COLAB_BIN)/python -m pytest $(SIDE_BY_SIDE) tests/notebooks/test_lessons.py -k "$(COLAB_LESSONS)"

# ipywidgets 7, which Colab and older JupyterLabs have, in its own environment.
WIDGETS7 ?= .venv-widgets7
WIDGETS7_BIN := $(WIDGETS7)/bin

test-widgets7: $(WIDGETS7)/.ready ## Run the unit tests with ipywidgets 7.7.1
	$(WIDGETS7_BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not lessons and not browser and not book and not long"

$(WIDGETS7)/.ready: requirements.txt tests/requirements.txt pyproject.toml
	$(PYTHON) -m venv $(WIDGETS7)
	sed '/^-r/d; s/^ipywidgets==.*/ipywidgets==7.7.1/' requirements.txt tests/requirements.txt \
		> $(WIDGETS7)/requirements.txt
	$(WIDGETS7_BIN)/$(PIP) -r $(WIDGETS7)/requirements.txt
	$(WIDGETS7_BIN)/$(PIP) --no-deps -e .
	touch $@

$(COLAB)/.ready: binder/colab-constraints.txt requirements.txt tests/requirements.txt binder/colab.py pyproject.toml
	$(COLAB_PYTHON) -m venv $(COLAB)
	$(COLAB_BIN)/python binder/colab.py > $(COLAB)/requirements.txt
	$(COLAB_BIN)/$(PIP) -r $(COLAB)/requirements.txt
	$(COLAB_BIN)/$(PIP) -e .[colab]
	touch $@

lab: $(READY) ## Open JupyterLab at lesson 00
	$(BIN)/python -m jupyterlab notebooks/00_start_here.ipynb

doctor: $(READY) ## Print what this machine has: versions, device, images, weights
	$(BIN)/python -m tutorial_utils doctor

badges: $(READY) ## Write the repository's address everywhere (REPO=owner/name REF=tag)
	$(BIN)/python binder/badges.py --repo "$(REPO)" --ref "$(REF)"

images: $(READY_FOR_TESTS) ## Draw the figures in images/ again
	$(BIN)/python images/make_images.py
	$(BIN)/python images/architecture.py

glossary: $(READY) ## Build docs/glossary.md from the definitions in the lessons
	$(BIN)/python docs/glossary.py

# The lessons that `make lessons` has executed, and else those with their stored outputs.
book: $(READY_FOR_BOOK) ## Build the book into build/book: the lessons and docs/ as pages with search
	rm -rf build/book
	$(BIN)/python -m sphinx -W --keep-going -E -q -c docs -d build/book-work . build/book
	@echo "open build/book/index.html"

notebooks: $(READY) ## Run the lessons in place, so that the committed outputs are fresh
	TUTORIAL_OFFLINE=1 ANTS_BEES_DIR= $(BIN)/python -m tutorial_utils lessons --in-place

results: $(READY) ## Measure what images/results.json lacks for the table in docs/results.md (long; RESULTS_FLAGS="--seeds 3")
	$(BIN)/python images/measure.py $(RESULTS_FLAGS)

bench: $(READY) ## Compare the blog post's loop with the course's (long; BENCH_FLAGS="--rounds 1")
	$(BIN)/python bench/bench.py $(BENCH_FLAGS)

DATA ?= ../shared/tiny_imagenet
bench-cost: $(READY) ## Measure what features of 400, 4,000 and 40,000 images cost (DATA=FOLDER)
	$(BIN)/python bench/cost.py --data $(DATA)

bench-widgets: $(READY) ## Measure how long the widgets take to redraw
	$(BIN)/python bench/widgets.py $(BENCH_FLAGS)

# Binder's 2 GiB as a control group, which needs root.
bench-lessons: $(READY) ## Measure time and memory of every lesson (needs root; see docs/performance.md)
	$(BIN)/python bench/lessons.py $(BENCH_FLAGS)

bench-weights: $(READY) ## Measure the demo weights: accuracy of a linear head, loading time and memory
	$(BIN)/python bench/weights.py $(BENCH_FLAGS)

$(READY): requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	@# PIP_FLAGS, or else torch's CPU wheels where that is right: see binder/torch_index.py.
	flags=$$([ -n "$(PIP_FLAGS)" ] || $(BIN)/python binder/torch_index.py) && \
	    $(BIN)/$(PIP) $$flags -r requirements.txt
	$(BIN)/$(PIP) --no-deps -e .
	touch $@

$(READY_FOR_BOOK): $(READY) docs/requirements.txt
	$(BIN)/$(PIP) -r docs/requirements.txt
	touch $@

$(READY_FOR_TESTS): $(READY) tests/requirements.txt docs/requirements.txt
	$(BIN)/$(PIP) -r tests/requirements.txt
	touch $@

clean: ## Remove what was built (not the environment)
	rm -rf build .pytest_cache .ruff_cache .hypothesis
