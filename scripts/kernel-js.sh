#!/usr/bin/env bash
# Builds the kernel of a browser tab (cmd/inos-kernel-js) into frontend/kernel:
# kernel-HASH.wasm.br and the toolchain's wasm_exec-HASH.js.br, embedded by package
# frontend, and SOURCES.sum, which says what they were built from. Does nothing
# when they are up to date. docs/rationale.md says what the flags save.
#   scripts/kernel-js.sh           build when something changed
#   scripts/kernel-js.sh --force   build all the same
#   scripts/kernel-js.sh --check   fail when frontend/kernel is stale
set -euo pipefail
cd "$(dirname "$0")/.."
out=frontend/kernel
export GOOS=js GOARCH=wasm GOWORK=off
tags=purego

# One hash over every Go file of this repository that goes in, the versions of the
# rest, the toolchain, and how all is put together.
sources() {
  { go list -tags $tags -deps -f '{{$d := .Dir}}{{if .Module}}{{if .Module.Main}}{{range .GoFiles}}{{$d}}/{{.}}
{{end}}{{end}}{{end}}' ./cmd/inos-kernel-js | sed "s|^$PWD/||"
    printf '%s\n' go.mod go.sum scripts/kernel-js.sh
    find modules/cmd/compress modules/cmd/lean -name '*.go' ! -name '*_test.go'
  } | grep . | LC_ALL=C sort | xargs sha256sum | { cat; go env GOVERSION; } | sha256sum | cut -d' ' -f1
}

fresh() {
  [ -f $out/SOURCES.sum ] && ls $out/kernel-*.wasm.br $out/wasm_exec-*.js.br >/dev/null 2>&1 &&
    [ "$(sed -n 's/^sources //p' $out/SOURCES.sum)" = "$(sources)" ]
}

case "${1:-}" in
  --check)
    fresh || { echo "frontend/kernel is stale: run scripts/kernel-js.sh and commit the result" >&2; exit 1; }
    exit ;;
  --force) ;;
  "") if fresh; then echo "frontend/kernel is up to date"; exit; fi ;;
  *) echo "usage: scripts/kernel-js.sh [--force|--check]" >&2; exit 2 ;;
esac

from=$(sources) # before building, so that an edit meanwhile shows as stale
tmp=$(mktemp -d)
trap 'chmod -R u+w "$tmp"; rm -rf "$tmp"' EXIT

# Two libraries import net/http and net for what the kernel does not use: it is
# built from copies without.
lean() { # module, folder
  cp -r "$(go list -m -f '{{.Dir}}' "$1")" "$tmp/$2"
  chmod -R u+w "$tmp/$2"
  go mod edit -replace="$1=$tmp/$2" "$tmp/go.mod"
}
cp go.mod go.sum "$tmp/"
lean github.com/andybalholm/brotli brotli
rm "$tmp/brotli/http.go"
lean capnproto.org/go/capnp/v3 capnp
codec="$tmp/capnp/codec.go"
grep -q '(\*net.Buffers)(&bufs).WriteTo(e.w)' "$codec" # fails when the library has changed
sed -i -e '/^\t"net"$/d' -e 's|_, err := (\*net.Buffers)(&bufs).WriteTo(e.w)|err := writeAll(e.w, bufs)|' "$codec"
cat >>"$codec" <<'GO'

func writeAll(w io.Writer, bufs [][]byte) error {
	for _, b := range bufs {
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}
GO

# Without inlining what was inlined is there once; where bytes are worked on, and
# in the runtime, it stays.
flags=(-gcflags=all=-l)
for hot in github.com/andybalholm/... github.com/zeebo/... golang.org/x/crypto/... crypto/internal/fips140/... bytes encoding/binary runtime internal/runtime/... internal/abi sync/... \
  inos/kernel/ring inos/kernel/chunk inos/kernel/epoch inos/kernel/layout; do
  flags+=("-gcflags=$hot=")
done
go build -modfile="$tmp/go.mod" -tags $tags -trimpath -ldflags="-s -w -buildid=" "${flags[@]}" -o "$tmp/full.wasm" ./cmd/inos-kernel-js
cp "$(go env GOROOT)/lib/wasm/wasm_exec.js" "$tmp/wasm_exec.js"

env -u GOOS -u GOARCH go build -o "$tmp/" ./modules/cmd/compress ./modules/cmd/lean
"$tmp/lean" <"$tmp/full.wasm" >"$tmp/kernel.wasm"
mkdir -p "$tmp/out"
for f in kernel.wasm wasm_exec.js; do
  hash=$(sha256sum <"$tmp/$f" | cut -c1-16)
  "$tmp/compress" <"$tmp/$f" >"$tmp/out/${f%.*}-$hash.${f##*.}.br"
done
{
  echo "sources $from"
  go env GOVERSION
  (cd "$tmp" && stat -c 'plain %s %n' kernel.wasm wasm_exec.js)
} >"$tmp/out/SOURCES.sum"
mkdir -p $out
rm -f $out/*
mv "$tmp/out"/* $out/
ls -l $out
