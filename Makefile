# make run             install, then the four scripts on the best data at hand
# make run DATA=DIR    the same on a Pascal VOC dataset of your own
# make test            install the test tools too, lint, test
# make fuzz            damage files in thousands of ways, for minutes
# make matrix          the tests on each Python from 3.10 to 3.13 that is here; the others are said
# make bench           time each script against the straightforward way, an hour
#                      (make bench SECTIONS=preprocess,cold for some of it)
# make page            write hematovision.html: the model in one page, opened by a double click
# make clean           remove what a run wrote

PYTHON ?= python3
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif
PY := $(BIN)/python

.PHONY: run test fuzz matrix bench page clean

.venv/installed: requirements.txt requirements-predict.txt
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/tested: .venv/installed tests/requirements.txt
	$(PY) -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	touch $@

# Without DATA: BCCD where it can be fetched, else the bundled sample.
run: .venv/installed
ifdef DATA
	$(PY) preprocess_data.py --data-dir "$(DATA)"
else
	@if [ -d data/JPEGImages ]; then $(PY) preprocess_data.py; \
	else $(PY) preprocess_data.py --download || \
	{ echo "BCCD can't be had here: going on with the bundled sample"; $(PY) preprocess_data.py; }; fi
endif
	$(PY) train_model.py
	$(PY) evaluate_model.py
	$(PY) predict.py data/examples/red_cell.png

test: .venv/tested
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(PY) -m pytest

fuzz: .venv/tested
	$(PY) -m pytest tests/test_fuzz.py --hypothesis-profile=many

# A Python that isn't here fails its row; PYTESTARGS says which tests, all by default.
matrix: .venv/tested
	$(PY) -m pip install --quiet --disable-pip-version-check "nox[uv]>=2024.4,<2027"
	$(BIN)/nox --noxfile tests/noxfile.py -- $(PYTESTARGS)

# DATA names the dataset here too.
bench: .venv/benched
	$(PY) tests/benchmarks/bench.py $(if $(DATA),--data-dir "$(DATA)") $(if $(SECTIONS),--only $(SECTIONS))

.venv/benched: .venv/installed tests/benchmarks/requirements.txt
	$(PY) -m pip install --quiet --disable-pip-version-check -r tests/benchmarks/requirements.txt
	touch $@

page: .venv/installed
	$(PY) -m hematovision.page.build

clean:
	rm -rf preprocessed_data.npz preprocessed_data-*.npz preprocessed_data.index model report demo check.html hematovision.html
