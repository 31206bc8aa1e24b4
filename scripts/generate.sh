#!/usr/bin/env bash
# Regenerates everything that comes from protocols/schemas: Go, Rust and
# TypeScript under protocols/gen, and the arena offsets in kernel/layout.
# With --check it changes nothing and fails when committed files are stale.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
export PATH="$PATH:$(go env GOPATH)/bin:$root/.tools/bin"

check=
[ "${1:-}" = --check ] && check=1
exec 9>"${TMPDIR:-/tmp}/inos-generate.lock"
flock 9

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
mkdir -p "$out/go" "$out/rust/src" "$out/ts"

go mod download capnproto.org/go/capnp/v3
std="$(go list -m -f '{{.Dir}}' capnproto.org/go/capnp/v3)/std"
cd protocols/schemas
mapfile -t schemas < <(find . -name '*.capnp' | sed 's|^\./||' | LC_ALL=C sort)
compile() { capnp compile --no-standard-import -I"$std" -I. -I/usr/include --src-prefix=. "$@"; }
# Without embedded schemas, text forms and promises, which nothing uses: they are
# a tenth of what a browser tab loads of the messages.
printf '#!/bin/sh\nexec capnpc-go -promises=false -schemas=false -structstrings=false\n' >"$out/capnpc-go-lean"
chmod +x "$out/capnpc-go-lean"
# One Go package per directory, so files of a directory compile together.
for dir in $(printf '%s\n' "${schemas[@]}" | xargs -n1 dirname | LC_ALL=C sort -u); do
  compile -o"$out/capnpc-go-lean:$out/go" "$dir"/*.capnp
done
compile -orust:"$out/rust/src" "${schemas[@]}"
PATH="$root/protocols/node_modules/.bin:$PATH" compile -ots:"$out/ts" "${schemas[@]}" >/dev/null
cd "$root"
gofmt -w "$out/go"

if [ -n "$check" ]; then
  for part in go rust/src ts; do
    diff -r -q "$out/$part" "protocols/gen/$part" || { echo "protocols/gen is stale: run make generate and commit the result" >&2; exit 1; }
  done
else
  for part in go rust/src ts; do
    mkdir -p "protocols/gen/$part"
    # Only changed files are written, so builds that depend on them stay fresh.
    (cd "$out/$part" && find . -type f) | while read -r f; do
      mkdir -p "protocols/gen/$part/$(dirname "$f")"
      cmp -s "$out/$part/$f" "protocols/gen/$part/$f" || cp "$out/$part/$f" "protocols/gen/$part/$f"
    done
    (cd "protocols/gen/$part" && find . -type f) | while read -r f; do
      [ -f "$out/$part/$f" ] || rm "protocols/gen/$part/$f"
    done
  done
fi
if [ -d protocols/cmd/layoutgen ]; then go run ./protocols/cmd/layoutgen ${check:+-check}; fi
