# The targets people know from kubebuilder. `make` alone lists them.

SHELL := /bin/bash
.DEFAULT_GOAL := help

# Tools are built once per version, outside the checkout.
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/nv-ipam
CARGO_DENY_VERSION := 0.20.2
CARGO_DENY := $(CACHE)/cargo-deny-$(CARGO_DENY_VERSION)/bin/cargo-deny
CARGO_FUZZ_VERSION := 0.13.2
CARGO_FUZZ := $(CACHE)/cargo-fuzz-$(CARGO_FUZZ_VERSION)/bin/cargo-fuzz

# No crate has examples to run in its documentation, and to find that out takes a second or two for each.
TESTS := --lib --bins --tests

# How long `make fuzz` stays with each target; TARGETS="ippool cidrpool" names some of them.
FUZZ_SECONDS ?= 60
TARGETS ?=

# The plugin's target: static, without a C library of the machine's.
MUSL := $(shell uname -m)-unknown-linux-musl

CRD := config/crd/nv-ipam.nvidia.com.yaml

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-10s %s\n", $$1, $$2 }'

.PHONY: demo
demo: ## Show it at work on a real cluster on this machine (KEEP=1 leaves the cluster running)
	@hack/prerequisites.sh e2e
	cargo run -p e2e -- demo $(if $(filter-out 0,$(KEEP)),--keep)

.PHONY: down
down: ## Remove what `make demo KEEP=1` left running
	cargo run -p e2e -- down

.PHONY: test
test: test-unit test-e2e ## Run every test, on a real cluster too

.PHONY: test-unit
test-unit: ## Run the tests that need neither root nor Go nor a network
	@hack/prerequisites.sh build
	cargo test --workspace --exclude e2e $(TESTS)

.PHONY: test-e2e
test-e2e: ## Run the tests on a real cluster on this machine
	@hack/prerequisites.sh e2e
	cargo test -p e2e $(TESTS)

.PHONY: lint
lint: prerequisites $(CARGO_DENY) ## Check format, lints, licences, sources, scripts
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	$(CARGO_DENY) --log-level error check bans licenses sources
	rustfmt --check --edition 2024 fuzz/targets/*.rs
	bash -n hack/*.sh .ci/run

.PHONY: audit
audit: prerequisites $(CARGO_DENY) ## Check dependencies for known vulnerabilities (needs the advisory database)
	$(CARGO_DENY) check advisories

.PHONY: manifests
manifests: ## Write the CRDs from the Rust types
	cargo run --quiet -p crd-gen > $(CRD).new
	mv $(CRD).new $(CRD)

.PHONY: build
build: ## Build the three binaries; the plugin, which runs in any image, is static
	@hack/prerequisites.sh build
	cargo build --release -p operator -p node
	rustup target add $(MUSL)
	cargo build --profile shim -p cni --target $(MUSL)
	@ls -l target/release/ipam-controller target/release/ipam-node target/$(MUSL)/shim/nv-ipam

.PHONY: bench
bench: ## Measure against floors and peers, for docs/benchmarks.md (SHORT=1: two minutes, prints only)
	@hack/prerequisites.sh e2e
	cargo run --release -p e2e -- bench $(if $(filter-out 0,$(SHORT)),--short)

.PHONY: fuzz
fuzz: prerequisites $(CARGO_FUZZ) ## Fuzz each target for FUZZ_SECONDS (60), with a nightly compiler
	CARGO_FUZZ=$(CARGO_FUZZ) FUZZ_SECONDS=$(FUZZ_SECONDS) hack/fuzz.sh $(TARGETS)

.PHONY: prerequisites
prerequisites:
	@hack/prerequisites.sh build

$(CARGO_DENY):
	@echo "building cargo-deny $(CARGO_DENY_VERSION) (once, about 4 minutes)..."
	cargo install --quiet --locked --root $(CACHE)/cargo-deny-$(CARGO_DENY_VERSION) cargo-deny@$(CARGO_DENY_VERSION)

$(CARGO_FUZZ):
	@echo "building cargo-fuzz $(CARGO_FUZZ_VERSION) (once, about 1 minute)..."
	cargo install --quiet --locked --root $(CACHE)/cargo-fuzz-$(CARGO_FUZZ_VERSION) cargo-fuzz@$(CARGO_FUZZ_VERSION)
