#!/usr/bin/env bash
# Builds the web page into frontend/dist: every file compressed with Brotli as
# NAME.br, embedded by package frontend, and SOURCES.sum, which says what they
# were built from. Does nothing when they are up to date.
#   scripts/frontend.sh           build when something changed
#   scripts/frontend.sh --force   build all the same
#   scripts/frontend.sh --check   fail when frontend/dist is stale; needs no Node
set -euo pipefail
cd "$(dirname "$0")/.."
dist=frontend/dist

# One hash over everything that reaches the page's bytes.
sources() {
  { find frontend/src frontend/public -type f ! -name '*.test.ts'
    printf '%s\n' modules/dist/boids.wasm.br protocols/gen/layout/ts/layout.ts protocols/gen/ts/module/v1/call.ts frontend/index.html frontend/package.json frontend/package-lock.json frontend/vite.config.ts scripts/frontend.sh
  } | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -d' ' -f1
}

fresh() {
  [ -f $dist/SOURCES.sum ] && [ -f $dist/index.html.br ] && [ "$(sed -n 's/^sources //p' $dist/SOURCES.sum)" = "$(sources)" ]
}

case "${1:-}" in
  --check)
    fresh || { echo "frontend/dist is stale: run scripts/frontend.sh and commit the result" >&2; exit 1; }
    exit ;;
  --force) ;;
  "") if fresh; then echo "frontend/dist is up to date"; exit; fi ;;
  *) echo "usage: scripts/frontend.sh [--force|--check]" >&2; exit 2 ;;
esac

scripts/frontend-deps.sh
from=$(sources) # before building, so that an edit meanwhile shows as stale
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
(cd frontend && npx --no-install tsc --noEmit -p . && INOS_PAGE_OUT="$tmp/out" npx --no-install vite build --logLevel warn)
go build -o "$tmp/compress" ./modules/cmd/compress
rm -rf $dist
(cd "$tmp/out" && find . -type f | LC_ALL=C sort) | while read -r f; do
  mkdir -p "$dist/$(dirname "$f")"
  "$tmp/compress" <"$tmp/out/$f" >"$dist/$f.br"
done
echo "sources $from" >$dist/SOURCES.sum
find $dist -type f -exec ls -l {} + | awk '{print $5, $9}'
