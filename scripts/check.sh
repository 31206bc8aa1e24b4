#!/usr/bin/env bash
# Linters, arrows, generated files, builds for other systems. Exits non-zero on any finding.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.tools/bin:$PATH"
# Findings are cached with their paths: another checkout's must not leak in.
export GOLANGCI_LINT_CACHE="$PWD/.tools/cache/golangci-lint" STATICCHECK_CACHE="$PWD/.tools/cache/staticcheck"

step() { printf '== %s\n' "$*"; }

step gofumpt
bad=$(gofumpt -l $(git ls-files '*.go' | grep -v /gen/))
[ -z "$bad" ] || { echo "not formatted: $bad; run make fmt" >&2; exit 1; }

step golangci-lint
golangci-lint run --allow-parallel-runners ./...
scripts/arrows.sh

step staticcheck
staticcheck ./...

step generated files
scripts/generate.sh --check
scripts/modules.sh --check
scripts/frontend.sh --check
scripts/kernel-js.sh --check

step builds for the browser, macOS and Windows
GOOS=js GOARCH=wasm go vet ./kernel/... ./host/opfs ./host/browser ./host/webwasm ./node ./cmd/inos-kernel-js ./server/tab
GOOS=darwin GOARCH=arm64 go vet ./kernel/... ./host/shm/...
GOOS=windows GOARCH=amd64 go vet ./kernel/... ./host/shm/...
