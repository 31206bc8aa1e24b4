#!/usr/bin/env bash
# Go tests in Debian's headless Chromium, in a worker of a cross-origin isolated
# page with OPFS: what they prove natively they prove in a tab too.
#   scripts/go-browser-test.sh                       the packages of a tab's node
#   scripts/go-browser-test.sh PACKAGE... [FLAG...]  others, or with go test's flags
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/frontend-deps.sh
[ $# -gt 0 ] || set -- -short -timeout 3m ./kernel/... ./host/browser ./host/opfs ./host/webwasm ./node ./server/tab
GOOS=js GOARCH=wasm exec go test -count=1 -exec "$PWD/frontend/go-browser/exec.mjs" "$@"
