#!/usr/bin/env bash
# Installs, when missing, what `make test` needs beyond Go: Debian packages, the
# Go tools (into .tools/bin, at pinned versions) and npm packages. Quick when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/.tools/bin
mkdir -p "$bin"

sudo=
[ "$(id -u)" = 0 ] || sudo=sudo

packages=()
need() { # need COMMAND-OR-FILE PACKAGE
  command -v "$1" >/dev/null || [ -e "$1" ] || packages+=("$2")
}
need capnp capnproto
need /usr/include/capnp/c++.capnp libcapnp-dev
need /usr/bin/cargo cargo-web
need /usr/bin/rustc rustc-web
need /usr/src/rustc-1.96.0/library rust-web-src
need wasm-ld-22 lld-22
need wat2wasm wabt
need git git
need ip iproute2
need chromium chromium
need nginx nginx-light
need /usr/lib/nginx/modules/ngx_http_brotli_filter_module.so libnginx-mod-http-brotli-filter
need /usr/lib/nginx/modules/ngx_http_brotli_static_module.so libnginx-mod-http-brotli-static
if [ ${#packages[@]} -gt 0 ]; then
  echo "setup: installing ${packages[*]}"
  $sudo apt-get update -qq
  # In runlevel 1 packages start no services.
  $sudo env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi

tool() { # tool NAME MODULE@VERSION
  [ -x "$bin/$1" ] && [ "$(cat "$bin/.$1.version" 2>/dev/null)" = "$2" ] && return
  echo "setup: building $1"
  GOFLAGS=-mod=mod GOBIN="$bin" go install "$2"
  echo "$2" >"$bin/.$1.version"
}
tool capnpc-go capnproto.org/go/capnp/v3/capnpc-go@v3.1.0-alpha.2
tool staticcheck honnef.co/go/tools/cmd/staticcheck@v0.7.0
tool golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.12.2
tool gofumpt mvdan.cc/gofumpt@v0.9.2

if [ "$("$bin/capnpc-rust" --version 2>/dev/null || cat "$bin/.capnpc-rust.version" 2>/dev/null)" != 0.21.4 ]; then
  echo "setup: building capnpc-rust"
  PATH=/usr/bin:$PATH RUSTC=/usr/bin/rustc /usr/bin/cargo install -q capnpc --version 0.21.4 --locked --root "$PWD/.tools/capnpc"
  cp "$PWD/.tools/capnpc/bin/capnpc-rust" "$bin/"
  echo 0.21.4 >"$bin/.capnpc-rust.version"
fi

if [ ! -d protocols/node_modules ] || [ protocols/package-lock.json -nt protocols/node_modules/.package-lock.json ]; then
  (cd protocols && npm ci --no-audit --no-fund --loglevel=error)
fi
scripts/frontend-deps.sh
