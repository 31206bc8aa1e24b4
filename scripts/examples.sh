#!/usr/bin/env bash
# Builds the example modules from source with `inos module build` into examples/dist: NAME.wasm.br, and
# SOURCES.sum, which says what they were built from. Does nothing when they are up to date.
#   scripts/examples.sh          build when something changed
#   scripts/examples.sh --force  build all the same
#   scripts/examples.sh --check  fail when examples/dist is stale; needs no toolchain
set -euo pipefail
cd "$(dirname "$0")/.."
dist=examples/dist
examples=(wordcount mandelbrot csv-clean levenshtein)

sources() {
  { find "${examples[@]/#/examples/}" sdk/go modules/sdk protocols/gen/rust/src/module -name target -prune -o -type f ! -name '*_test.go' ! -name '*.wasm' -print
    printf '%s\n' modules/Cargo.toml sdk/build.go sdk/rust.go sdk/manifest.go
  } | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -d' ' -f1
}

fresh() {
  [ -f $dist/SOURCES.sum ] || return 1
  for e in "${examples[@]}"; do [ -f "$dist/$e.wasm.br" ] || return 1; done
  [ "$(sed -n 's/^sources //p' $dist/SOURCES.sum)" = "$(sources)" ]
}

case "${1:-}" in
  --check) fresh || { echo "examples/dist is stale: run scripts/examples.sh and commit the result" >&2; exit 1; }; exit ;;
  --force) ;;
  "") if fresh; then echo "examples/dist is up to date"; exit; fi ;;
  *) echo "usage: scripts/examples.sh [--force|--check]" >&2; exit 2 ;;
esac

packages=()
need() { command -v "$1" >/dev/null || [ -e "$1" ] || packages+=("$2"); }
if command -v apt-get >/dev/null; then
  need clang-22 clang-22
  need wasm-ld-22 lld-22
  need /usr/bin/rustc rustc-web
  need /usr/bin/cargo cargo-web
  need /usr/src/rustc-1.96.0/library rust-web-src
  if [ ${#packages[@]} -gt 0 ]; then
    sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
  fi
fi

from=$(sources) # before building, so that an edit meanwhile shows as stale
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
go build -o "$tmp/inos" ./cmd/inos
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/examples/target}
mkdir -p $dist
{
  echo "sources $from"
  go version | cut -d' ' -f3
  for e in "${examples[@]}"; do
    "$tmp/inos" --json module build "examples/$e" -o "$tmp/$e.wasm" >"$tmp/$e.json"
    go run ./modules/cmd/compress <"$tmp/$e.wasm" >"$dist/$e.wasm.br"
    echo "module $e $(sha256sum <"$tmp/$e.wasm" | cut -d' ' -f1) $(stat -c%s "$tmp/$e.wasm")"
  done
} >"$tmp/SOURCES.sum"
mv "$tmp/SOURCES.sum" $dist/
ls -l $dist
# What calls of them give and cost on every engine.
go test ./host/wasm -run TestUnits -update
