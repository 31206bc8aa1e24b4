#!/usr/bin/env bash
# Runs every fuzz target for the given time (default 60s), one target a core.
set -euo pipefail
cd "$(dirname "$0")/.."
export time=${1:-60s} root=$PWD

fuzz() {
  dir=$1 target=$2 log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  for try in 1 2; do
    if go test "./$dir" -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 1x -parallel 1 >"$log" 2>&1; then
      echo "$dir $target: $(grep -oE 'execs: [0-9]+' "$log" | tail -1)"
      return
    fi
    # Go's fuzzer at times reports its own deadline as a failure; an input that fails is always written down.
    grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input' "$log" || break
  done
  echo "== $dir $target"
  cat "$log"
  return 255 # xargs starts no more
}
export -f fuzz

git grep -hoE '^func Fuzz[A-Za-z0-9_]+' -- '*_test.go' >/dev/null # at least one, or there is nothing to run
git grep -oE '^func Fuzz[A-Za-z0-9_]+' -- '*_test.go' | sed -E 's#^(.*)/[^/]+:func (.*)$#\1 \2#' | sort -u |
  xargs -P "$(nproc)" -L1 bash -c 'fuzz "$1" "$2"' _
