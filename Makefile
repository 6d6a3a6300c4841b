# Each target installs what is missing (scripts/install-deps), configures if needed, builds, and does its work.
#   make demo   [PAYLOAD=file]      the whole story: client behind NAT, relay, node behind NAT, web site
#               [CLUSTER=1]         the same on two servers with PostgreSQL and Redis
#   make test                       format, layering, unit, simulation and integration tests
#   make nat-matrix                 client and node behind each kind of NAT: path and time, build/nat-matrix.json
#   make fault-matrix               a cluster whose parts die one by one, build/fault-matrix.json
#   make hostile                    a tunnel under eight attacks on its server, build/hostile.json
#   make bench  [BENCH_ROUNDS=3]    build/bench/results.json and a table
#   make fuzz   [FUZZ_SECONDS=60]   every fuzz target for that long
#   make faults                     puts faults in, one at a time; the named test must turn red for each (tests/faults)
#   make reference                 man pages and shell completion, from --help, in build/reference
#   make format, make lint          rewrite to the house style; every header alone, every static check on every file
PRESET ?= release
BUILD := build/$(PRESET)
PYTHON := /usr/bin/python3
# Two compilers at once need about 3 GB; one job a core, and one less than that where memory is short.
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 60
BENCH_ROUNDS ?= 3
TEST_LABELS ?= unit|sim|integration
# The laboratory shares the machine with whatever else runs: a failure is shown, and tried once more.
TEST_REPEAT ?= until-pass:2
export HIGGS_BIN := $(CURDIR)/$(BUILD)/bin

.PHONY: all build programs deps configure demo nat-matrix fault-matrix hostile test check-style bench fuzz faults reference format lint clean

all: build

deps:
	@scripts/install-deps

configure: deps
	@test -f $(BUILD)/build.ninja || cmake --preset $(PRESET)

build: configure
	cmake --build $(BUILD) --parallel $(JOBS)

programs: configure
	cmake --build $(BUILD) --parallel $(JOBS) --target bosonserver higgsnode higgsvpn higgs-wg

demo: programs
	$(PYTHON) tests/lab/demo.py $(if $(PAYLOAD),--payload "$(PAYLOAD)") $(if $(CLUSTER),--cluster)

nat-matrix: programs
	$(PYTHON) tests/nat_matrix/run.py --out build/nat-matrix.json

fault-matrix: programs
	$(PYTHON) tests/fault_matrix/run.py --out build/fault-matrix.json

hostile: programs
	$(PYTHON) tests/hostile/run.py --out build/hostile.json

# What needs no build, cheapest first.
check-style: deps
	scripts/format --check
	$(PYTHON) cmake/check_layering.py

test: check-style build
	ctest --test-dir $(BUILD) --parallel $(JOBS) --output-on-failure --no-tests=error --repeat $(TEST_REPEAT) -L '$(TEST_LABELS)'

# Of the preset in which each file is compiled alone.
lint: check-style
	@test -f build/debug/build.ninja || cmake --preset debug
	cmake --build build/debug --parallel $(JOBS) --target all_verify_interface_header_sets
	$(PYTHON) scripts/tidy.py --build build/debug --jobs $(JOBS)

format:
	@scripts/install-deps
	scripts/format

bench: programs
	cmake --build $(BUILD) --parallel $(JOBS) --target node_load
	BENCH_ROUNDS=$(BENCH_ROUNDS) $(PYTHON) tests/bench/run.py --out build/bench/results.json

fuzz: deps
	@test -f build/fuzz/build.ninja || cmake --preset fuzz
	cmake --build build/fuzz --parallel $(JOBS) --target fuzzers
	$(PYTHON) tests/fuzz/run.py --build build/fuzz --seconds $(FUZZ_SECONDS) --jobs $(JOBS)

faults: deps
	$(PYTHON) tests/faults/run.py --jobs $(JOBS) $(FAULTS)

reference: programs
	$(PYTHON) scripts/reference.py --bin $(BUILD)/bin --out build/reference

clean:
	rm -rf build
