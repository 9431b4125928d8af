#!/usr/bin/env bash
# `make test`: tools, lint, unit and e2e, then the targets that are named as arguments. Every step runs even if an earlier
# one failed, so that one run shows all there is to repair; any failure makes the whole fail. The last line is "N passed,
# N failed" (", N ignored tests" as skipped) over all tests of all steps. A step that fails without a failed test (it does not
# compile, clippy complains, a test program was killed) counts as one failure: the line must never say "0 failed" about a run
# that failed.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

logs=${CARGO_TARGET_DIR:-target}/test-logs
mkdir -p "$logs"
rm -f -- "$logs"/*.log

passed=0 failed=0 skipped=0 report=()

# step NAME: runs `make NAME`, shows and keeps its output, and adds up its tests.
step() {
  local name=$1 log=$logs/$1.log status=0 started=$SECONDS p f s
  echo "=== $name"
  # The make that started us must not lend its jobs or options to this one.
  MAKEFLAGS='' "${MAKE:-make}" --no-print-directory "$name" 2>&1 | tee "$log" || status=$?
  read -r p f s < <(sed 's/\x1b\[[0-9;]*m//g' "$log" | awk '
    /^test result: / {
      for (i = 2; i <= NF; i++) {
        if ($i == "passed;") p += $(i - 1)
        if ($i == "failed;") f += $(i - 1)
        if ($i == "ignored;") s += $(i - 1)
      }
    }
    END { print p + 0, f + 0, s + 0 }')
  if ((status != 0 && f == 0)); then f=1; fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  report+=("$(printf '%-20s %s, %d s, %d passed, %d failed' "$name" "$( ((status == 0)) && echo ok || echo FAILED)" $((SECONDS - started)) "$p" "$f")")
  return "$status"
}

# Without its tools e2e could only fail again, for the same reason.
if step tools; then
  step lint || true
  step unit || true
  for name in e2e "$@"; do step "$name" || true; done
else
  step unit || true
fi

# A run that tested nothing proves nothing.
if ((passed + failed == 0)); then
  report+=("no test ran")
  failed=1
fi

echo "=== summary (logs: $logs)"
printf '%s\n' "${report[@]}"
if ((skipped > 0)); then
  echo "$passed passed, $failed failed, $skipped skipped"
else
  echo "$passed passed, $failed failed"
fi
((failed == 0))
