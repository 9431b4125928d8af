#!/usr/bin/env bash
# The tests that concern Keycloak: all of the test program `keycloak`, and of the others those whose names hold that word. Both
# run even if the first fails. `make e2e-former` calls it, with a Keycloak to be used in the environment.
set -uo pipefail
status=0
cargo test -p oidc-operator-e2e --no-fail-fast --test keycloak || status=1
cargo test -p oidc-operator-e2e --no-fail-fast --test contract --test crash --test harness keycloak || status=1
exit "$status"
