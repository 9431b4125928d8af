#!/usr/bin/env bash
# former.sh WORD PROGRAM...: the tests of e2e that concern one identity provider: all of the test program WORD, and of each other
# PROGRAM those whose names hold that word. Both run even if the first fails. `make e2e-former` and `make e2e-authentik-former`
# call it; which server is used stands in the environment.
set -uo pipefail
word=$1
shift
status=0
cargo test -p oidc-operator-e2e --no-fail-fast --test "$word" || status=1
cargo test -p oidc-operator-e2e --no-fail-fast "${@/#/--test=}" "$word" || status=1
exit "$status"
