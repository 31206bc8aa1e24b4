#!/usr/bin/env bash
# Measures the page and the tab's node in Debian's Chromium against a mesh of three
# nodes, and records the run in bench/results.
#   scripts/page-bench.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/frontend-deps.sh
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
go build -o "$tmp/inos" ./cmd/inos
record=$(realpath -m "${1:-bench/results}")
cd frontend
INOS_EXE="$tmp/inos" INOS_RECORD="$record" npx --no-install vitest run -c e2e/bench.config.ts
