#!/usr/bin/env bash
# Tests of the web page: types, units, and a browser against real nodes.
#   INOS_SCREENS=FOLDER scripts/frontend-test.sh   also takes a picture of every view
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/frontend-deps.sh
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd frontend
npx --no-install tsc --noEmit -p .
npx --no-install openapi-typescript ../docs/openapi.json -o "$tmp/api.ts" >/dev/null
cmp -s "$tmp/api.ts" src/gen/api.ts || { echo "frontend/src/gen/api.ts is stale: run npm run types in frontend" >&2; exit 1; }
npx --no-install vitest run
(cd .. && scripts/kernel-js.sh && go build -o "$tmp/inos" ./cmd/inos)
INOS_EXE="$tmp/inos" npx --no-install vitest run -c e2e/vitest.config.ts
INOS_EXE="$tmp/inos" ../scripts/webrtc-test.sh
