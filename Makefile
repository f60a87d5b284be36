# make demo   the whole chain on scikit-learn's digits        make test   every test
# make check  format, lint and types                          make locks  envs/*.lock from pyproject.toml
# make reference  config/README.md and its JSON schema         make web    what export.targets: [web] needs (npm)
# make dvc    dvc.yaml from config/config.yaml                make environments  envs/*.yaml from envs/*.lock
# make docs   the documentation as a site, site/index.html
PYTHON ?= python3.11
# The environment in envs/: gpu on a machine with NVIDIA GPUs.
LOCK ?= cpu
BIN := .venv/bin
# Test files that run at the same time, the slow ones first.
TESTS_AT_ONCE ?= 2
PARALLEL = -n $(TESTS_AT_ONCE) --dist loadfile --no-loadscope-reorder
COMPILE := uv pip compile -q --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make locks" \
	--extra dev --extra dvc --extra jax

# Bytecode caching turned off makes every TensorFlow import three times slower.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-fast check format reference web locks environments dvc docs clean

demo: .venv/stamp
	$(BIN)/snakemake --cores all --resources gpu=2
	@echo "Done. Open results/index.html in a browser. From now on: source .venv/bin/activate"

test: .venv/stamp
	$(BIN)/python -m pytest $(PARALLEL)

test-fast: .venv/stamp
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow"

check: .venv/stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile rules

format: .venv/stamp
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/snakefmt Snakefile rules

reference: .venv/stamp
	PYTHONPATH=scripts $(BIN)/python -m secateur.spec.reference > config/README.md
	PYTHONPATH=scripts $(BIN)/python -m secateur.spec.schema > config/spec.schema.json

docs: .venv/stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

dvc: .venv/stamp
	$(BIN)/secateur dvc > dvc.yaml.tmp && mv dvc.yaml.tmp dvc.yaml

# Packages for the tests of pages: make web NPM_OMIT=
NPM_OMIT ?= --omit=dev

web: web/node_modules/onnxruntime-web

web/node_modules/onnxruntime-web: web/package.json
	npm install --prefix web $(NPM_OMIT) --no-package-lock --no-audit --no-fund --ignore-scripts --silent
	touch $@

# One source, pyproject.toml; the second lock takes the first one's versions where they share a package.
locks:
	$(COMPILE) --extra cpu pyproject.toml -o envs/cpu.lock
	$(COMPILE) --extra gpu --constraint envs/cpu.lock pyproject.toml -o envs/gpu.lock
	$(MAKE) environments

environments: .venv/stamp
	$(BIN)/python envs/generate.py

# The stamp is newer than the lock only when the environment was built from it to the end.
.venv/stamp: envs/$(LOCK).lock
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r envs/$(LOCK).lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

clean:
	rm -rf site results work logs data/digits data/digits.csv .snakemake
