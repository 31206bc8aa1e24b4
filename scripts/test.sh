#!/usr/bin/env bash
# Every test: linters, Go (the kernel under the race detector), fuzz targets ($FUZZTIME
# each, 10s by default), Rust, TypeScript types, the kernel in a browser, and
# the demo end to end.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.tools/bin:$PATH"
step() { printf '\n== %s (%ss)\n' "$*" "$SECONDS"; }

step checks
scripts/check.sh

step example modules
scripts/examples.sh

step kernel, race detector
go test -race -timeout 20m ./kernel/...

step hosts, node, server, client, command line
go test -p 1 -timeout 25m $(go list ./... | grep -v '^inos/kernel/')

step the other engine
CGO_ENABLED=1 go vet -tags wasmtime ./host/wasmtime ./host/wasm
CGO_ENABLED=1 go test -tags wasmtime ./host/wasmtime
CGO_ENABLED=1 INOS_ENGINE=wasmtime go test -tags wasmtime -short -skip 'Resident|Flock' ./host/wasm # residents run on wazero

step "fuzz, ${FUZZTIME:=10s} each"
scripts/fuzz.sh "$FUZZTIME"

step Rust
scripts/rust.sh

step TypeScript
(cd protocols && npx --no-install tsc --noEmit -p .)
scripts/frontend-test.sh

step the kernel and the store of a tab, in a browser
scripts/go-browser-test.sh

step "a tab's network, in a browser"
scripts/net-browser-test.sh -timeout 4m

step demo
timeout 180 inos demo --exit
echo
echo "every test passed in ${SECONDS}s"
