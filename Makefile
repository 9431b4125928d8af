# The project's commands. `make` alone lists them. Versions of the programs used: hack/tools/versions.env.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := help
# Every step starts cargo, which uses all cores by itself; side by side they would only wait for each other's lock.
.NOTPARALLEL:

# The identity provider that `demo` and `bench` run against: dex or keycloak; `demo` also with Dex by its Kubernetes storage
# (dex-crd), authentik's stand-in, and a client made by hand (static).
PROVIDER ?= dex
# More arguments of `bench`, for example: make bench BENCH_ARGS=--beside-hung-keycloak
BENCH_ARGS ?=
# Tests of e2e that run at once. They wait more than they compute.
E2E_THREADS ?= 4
# Runs a command with one Keycloak for all test programs.
WITH_KEYCLOAK = $${CARGO_TARGET_DIR:-target}/debug/with-keycloak
# More targets for `full`, for example: make full FULL_EXTRA="something"
FULL_EXTRA ?=

TOOLS := hack/tools/tools.sh

.PHONY: help tools demo test full unit e2e e2e-crash e2e-rotations e2e-former e2e-authentik-former e2e-authentik crds lint bench fmt clean

help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z0-9-]+:.*## / { printf "  %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

tools: ## Build the pinned tools (etcd, kube-apiserver, Dex, ...) into the cache folder
	@$(TOOLS) install

demo: tools ## Run the operator against a real API server and provider (PROVIDER=dex, dex-crd, dex-config, keycloak, authentik, dcr or static)
	cargo build --workspace --bins
	cargo run --quiet -p oidc-operator-e2e --bin demo -- --provider $(PROVIDER)

test: ## Everything a change must pass: tools, lint, unit, e2e; ends with "N passed, N failed"
	@hack/test.sh

full: ## test with e2e-crash, e2e-rotations, e2e-former and e2e-authentik-former, then bench with each provider, then what FULL_EXTRA names
	hack/test.sh e2e-crash e2e-rotations e2e-former e2e-authentik-former
	$(MAKE) bench PROVIDER=dex
	$(MAKE) bench PROVIDER=keycloak
	$(foreach target,$(FULL_EXTRA),$(MAKE) $(target) &&) true

unit: ## Tests that need nothing but cargo
	cargo test --workspace --exclude oidc-operator-e2e --no-fail-fast

e2e: tools ## Tests against a real API server and real providers
	cargo build --workspace --bins
	RUST_TEST_THREADS=$(E2E_THREADS) $(WITH_KEYCLOAK) cargo test -p oidc-operator-e2e --no-fail-fast

e2e-crash: tools ## The crash loops of e2e, whole: after each step with the status as it was and without
	cargo build --workspace --bins
	OIDC_OPERATOR_E2E_CRASH=whole RUST_TEST_THREADS=$(E2E_THREADS) $(WITH_KEYCLOAK) \
	cargo test -p oidc-operator-e2e --no-fail-fast --test crash

# One after the other, so that each has the machine for itself.
e2e-rotations: tools ## 50 rotations under a stream of logins at each provider: failed logins and gaps, in target/bench
	cargo build --workspace --bins
	OIDC_OPERATOR_E2E_ROTATIONS=50 RUST_TEST_THREADS=1 $(WITH_KEYCLOAK) \
	cargo test -p oidc-operator-e2e --no-fail-fast --test applications -- rotations

# Tests are chosen by their name: what concerns Keycloak is in a module, program or test that says so.
e2e-former: tools ## The tests of e2e that concern Keycloak, against the oldest Keycloak that is supported
	@$(TOOLS) install keycloak-former
	cargo build --workspace --bins
	export OIDC_OPERATOR_E2E_KEYCLOAK=former RUST_TEST_THREADS=$(E2E_THREADS); \
	$(WITH_KEYCLOAK) hack/former.sh keycloak contract crash harness applications

e2e-authentik-former: tools ## The tests of e2e that concern authentik, with the stand-in for its older release
	cargo build --workspace --bins
	AUTHENTIK=2026.2 RUST_TEST_THREADS=$(E2E_THREADS) hack/former.sh authentik contract crash harness

# AUTHENTIK_URL and the others reach the program through the environment. Asked first: the tools take minutes.
e2e-authentik: ## Try it against your own authentik: AUTHENTIK_URL=... AUTHENTIK_TOKEN=... [AUTHENTIK_CA=file]; cleans up
	@if [[ -z $${AUTHENTIK_URL:-} || -z $${AUTHENTIK_TOKEN:-} ]]; then \
	  echo "Say which server: make e2e-authentik AUTHENTIK_URL=https://auth.example.com AUTHENTIK_TOKEN=... [AUTHENTIK_CA=ca.pem]" >&2; \
	  echo "The token is an API token of an account with the rights of docs/authentik.md." >&2; \
	  exit 2; \
	fi
	@$(TOOLS) install
	cargo build --workspace --bins
	@$${CARGO_TARGET_DIR:-target}/debug/own-authentik

crds: ## Write what is generated from the code: crds/, and docs/backends.md
	cargo run --quiet --bin oidc-operator -- crds --output crds
	cargo run --quiet --bin oidc-operator -- comparison --output docs/backends.md

# cargo-deny leaves advisories out: they need a database that CI cannot reach. --offline: it would otherwise try.
# The fetch is for crates of other platforms: a build leaves them out, cargo-deny reads the whole lock file.
lint: ## Formatting, clippy, dependency rules
	@$(TOOLS) install cargo-deny
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo fetch --quiet --locked
	PATH="$$($(TOOLS) bin):$$PATH" cargo deny --offline check --hide-inclusion-graph bans licenses sources

bench: tools ## Measure the operator against a real API server and provider (PROVIDER=dex or keycloak)
	cargo build --release --workspace --bins
	cargo run --release -p oidc-operator-e2e --bin bench -- --provider $(PROVIDER) $(BENCH_ARGS)

fmt: ## Format the code
	cargo fmt --all

clean: ## Remove what cargo built (the tools stay in the cache folder)
	cargo clean
