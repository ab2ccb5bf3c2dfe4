# What people type. Every target installs what it needs into `.venv` and `target`; nothing else is touched.
#
#   make demo    build, install into .venv, check an example service
#   make test    all tests
#   make ready   formatting, lints, types, tests, a part of CPython's own, a short soak: what CI runs

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test ready format lint types test-rust test-python bench bench-loops bench-doctor bench-patterns metrics soak soak-quick load load-quick fuzz packages knowledge conformance conformance-quick hosts examples report-page test-report test-report-quick report-long pictures clean

# The first interpreter that is new enough. `make PYTHON=… …` chooses another.
PYTHON ?= $(shell for version in 3.11 3.12 3.13 3.14 3.15; do tests/find-python $$version 2>/dev/null && break; done)
BIN := .venv/bin

help:
	@sed -n 's/^#   //p' Makefile

.venv/made:
	@test -n "$(PYTHON)" || { echo "treadle needs Python 3.11 or newer; set PYTHON=/path/to/python"; exit 2; }
	@command -v cargo >/dev/null || { echo "treadle needs Rust 1.95 or newer: https://rustup.rs"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	touch $@

.venv/tools: .venv/made pyproject.toml
	$(BIN)/python -m pip install --quiet --group dev
	touch $@

demo: .venv/made
	@echo "Building treadle; the first time takes a few minutes."
	$(BIN)/python -m pip install --quiet .
	@echo "$$ treadle check examples/orders"
	@$(BIN)/treadle check examples/orders || test $$? -eq 1

ready: format lint types test conformance-quick soak-quick

format: .venv/tools
	@cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
	cargo fmt --all --check
	$(BIN)/ruff format --check python tests benches

lint: .venv/tools
	@cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
	cargo xtask tidy
	cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet
	$(BIN)/ruff check python tests benches

# mypy reads everything; pyright, which editors use, what users see of the package.
types: .venv/tools
	$(BIN)/mypy
	$(BIN)/python -m pip install --quiet --requirement tests/types/requirements.txt
	$(BIN)/python tests/types/public.py

test: test-rust test-python test-report-quick

# Fixed files are compiled by Python, and knowledge is held against the real standard library.
test-rust: .venv/made
	TREADLE_TEST_PYTHON="$(CURDIR)/$(BIN)/python" cargo test --workspace --locked --quiet

# One wheel serves every version; the package's tests run on those named that are here.
test-python: .venv/tools
	rm -rf target/wheels-for-tests
	TREADLE_PROFILE=dev $(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir target/wheels-for-tests .
	tests/run-python target/wheels-for-tests/*.whl 3.11 3.13 3.15
	tests/run-plugin target/wheels-for-tests/*.whl 3.11 3.13
	tests/run-metrics target/wheels-for-tests/*.whl 3.13
	tests/run-formats target/wheels-for-tests/*.whl 3.13

# Metrics beside a real Prometheus, OpenTelemetry, the dashboard, the alerts: part of `make test` too.
metrics: .venv/tools
	rm -rf target/metrics-wheel
	TREADLE_PROFILE=dev $(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir target/metrics-wheel .
	tests/run-metrics target/metrics-wheel/*.whl 3.13

# Everything a loop does, mixed and at once: memory must stay flat and no descriptor be left. `make soak SOAK=60` is shorter.
SOAK ?= 600
soak: .venv/tools
	$(BIN)/python -m pip install --quiet .
	$(BIN)/python tests/soak.py --seconds $(SOAK)

# The same for as long as CI has time.
soak-quick:
	TREADLE_PROFILE=dev $(MAKE) soak SOAK=20

# Load and faults against real servers, beside asyncio's loop: a quarter of an hour. `make load OPTIONS="--only resets"` is shorter.
load: .venv/tools
	rm -rf target/load/wheel
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir target/load/wheel .
	tests/run-load target/load/wheel/*.whl 3.11 3.13 -- $(OPTIONS)

# What of it takes a minute, on this loop alone.
load-quick: .venv/tools
	rm -rf target/load/wheel
	TREADLE_PROFILE=dev $(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir target/load/wheel .
	tests/run-load target/load/wheel/*.whl 3.13 -- --quick

# The checker beside ruff's ASYNC rules, and time against size.
bench: .venv/tools
	cargo build --release --locked --package treadle-cli
	$(BIN)/python benches/check.py --treadle target/release/treadle

# Event loops beside each other; `make bench-loops OPTIONS=--quick` takes a minute.
bench-loops: .venv/tools
	cargo build --release --locked --package treadle-load
	$(BIN)/python -m pip install --quiet --requirement benches/loops/requirements.txt .
	$(BIN)/python -m benches.loops $(OPTIONS)

# What it costs to be watched, beside what others cost; `make bench-doctor OPTIONS="--rounds 3"` is shorter.
bench-doctor: .venv/tools
	$(BIN)/python -m pip install --quiet --requirement benches/doctor/requirements.txt .
	$(BIN)/python -m benches.doctor $(OPTIONS)

# What the patterns cost, beside the libraries that people use for the same; `make bench-patterns OPTIONS="--only offload"` is shorter.
bench-patterns: .venv/tools
	$(BIN)/python -m pip install --quiet --requirement benches/patterns/requirements.txt .
	$(BIN)/python -m benches.patterns $(OPTIONS)

# Lowering against arbitrary bytes and mutated files, for as long as one has patience.
fuzz:
	TREADLE_FUZZ_ROUNDS=$${ROUNDS:-200000} cargo test --release --package treadle-program --test standard_library -- --nocapture

# Real packages from PyPI: a table of findings for each.
packages: .venv/tools
	cargo build --release --locked --package treadle-cli
	$(BIN)/python tests/packages/packages.py --treadle target/release/treadle

# The claims about libraries against the libraries themselves.
knowledge: .venv/made
	$(PYTHON) -m venv target/knowledge
	target/knowledge/bin/python -m pip install --quiet --requirement tests/knowledge/requirements.txt
	target/knowledge/bin/python tests/knowledge/verify.py

# CPython's own tests of asyncio and those of libraries that live on asyncio, on the versions that are here, beside
# asyncio and uvloop; writes docs/conformance.md and docs/suites.md. The latter takes half an hour for each version.
conformance: .venv/tools
	rm -rf target/conformance/wheel
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir target/conformance/wheel .
	status=0; \
	tests/run-conformance target/conformance/wheel/*.whl 3.11 3.12 3.13 3.14 3.15 || status=$$?; \
	tests/run-foreign target/conformance/wheel/*.whl 3.11 3.13 || status=$$?; \
	exit $$status

# The modules that take a loop most and the suites that take a minute, on this loop alone.
conformance-quick: .venv/tools
	rm -rf target/conformance/wheel
	TREADLE_PROFILE=dev $(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir target/conformance/wheel .
	tests/run-conformance --quick target/conformance/wheel/*.whl 3.11 3.13 3.15
	tests/run-foreign --quick target/conformance/wheel/*.whl 3.13

# Every command of docs/hosts.md, with the packages from PyPI, and a look at the loop that runs.
HOSTS_PYTHON ?= $(shell tests/find-python 3.13)
hosts: .venv/tools
	rm -rf target/hosts/wheel
	TREADLE_PROFILE=dev $(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir target/hosts/wheel .
	$(HOSTS_PYTHON) tests/hosts/run.py --wheel target/hosts/wheel/*.whl

# The page of `treadle report`, out of crates/treadle-view/report; needs Node. Installing treadle needs the page alone.
report-page:
	tests/run-report build

# The page is what its sources give, and in Chromium every part of it says what the report in it says.
test-report:
	tests/run-report check
	tests/run-report test $(OPTIONS)

# The same in one look instead of three, and without Node or Chromium a line that says so.
test-report-quick:
	@tests/run-report quick

# Ten minutes of a busy service are recorded; their page must be small, and usable at once. `make report-long LONG=60` is shorter.
LONG ?= 600
report-long: .venv/tools
	$(BIN)/python -m pip install --quiet .
	mkdir -p target/report
	$(BIN)/treadle run --record target/report/long.treadle tests/report/busy.py $(LONG)
	$(BIN)/treadle report target/report/long.treadle
	tests/run-report measure target/report/long.html

# The pictures in the documentation: of the page in Chromium, of `treadle top` on a terminal, of Prometheus.
pictures: .venv/tools
	tests/run-report pictures
	$(BIN)/python -m pip install --quiet . 'pyte==0.8.2'
	$(BIN)/python tests/pictures/top.py docs/pictures
	$(BIN)/python tests/pictures/metrics.py docs/pictures

# What needs packages of others: the example on loky and a local Dask cluster, NumPy's arrays in processes, rates beside nginx.
examples: .venv/tools
	rm -rf target/examples-wheel
	TREADLE_PROFILE=dev $(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir target/examples-wheel .
	tests/run-examples target/examples-wheel/*.whl 3.13

clean:
	cargo clean
	rm -rf .venv
