#!/usr/bin/env bash
# Proves that the linter of import arrows is awake: each wrong import below must be refused.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.tools/bin:$PATH"
export GOLANGCI_LINT_CACHE="$PWD/.tools/cache/golangci-lint"

refused() { # refused FOLDER IMPORT
  local file="$1/zz_arrow_probe.go" pkg
  pkg=$(go list -f '{{.Name}}' "./$1")
  printf 'package %s\n\nimport _ "%s"\n' "$pkg" "$2" >"$file"
  trap 'rm -f "$file"' RETURN
  if golangci-lint run --allow-parallel-runners --enable-only depguard "./$1/" >/dev/null 2>&1; then
    rm -f "$file"
    echo "arrows: $1 may import $2, but must not" >&2
    exit 1
  fi
  rm -f "$file"
}
refused kernel/api inos/kernel/layout
refused kernel/ledger inos/kernel/mesh
refused kernel/chunk os
refused kernel/mesh inos/host/disk
refused kernel/module inos/protocols/gen/go/module/v1
refused host/disk inos/host/p2p
refused host/opfs inos/host/browser
refused server inos/cmd/inos
refused node inos/kernel/sim
echo "arrows: every wrong import was refused"
