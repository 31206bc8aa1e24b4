#!/usr/bin/env bash
# A tab's network in Debian's headless Chromium against a native node's, in a network
# namespace of its own: WebTransport, WebSocket, WebRTC-direct, and WebRTC between two
# tabs. Without the right to make a namespace it runs on loopback, where ICE finds
# no addresses, and WebRTC is skipped.
#   scripts/net-browser-test.sh [FLAG...]   with go test's flags
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${INOS_NET_INSIDE:-}" ]; then
  scripts/frontend-deps.sh
  tmp=$(mktemp -d)
  trap 'rm -rf "$tmp"' EXIT
  go build -o "$tmp/peer" ./frontend/go-browser/nettest/peer
  export INOS_NET_PEER="$tmp/peer"
  if unshare --net true 2>/dev/null; then
    INOS_NET_INSIDE=1 unshare --net "$0" "$@"
  else
    INOS_NET_INSIDE=loopback "$0" "$@"
  fi
  exit
fi
host=127.0.0.1
if [ "$INOS_NET_INSIDE" = 1 ]; then
  # One end of the pair has the address, the other makes the link go up.
  ip link set lo up
  ip link add inos0 type veth peer name inos1
  ip addr add 192.0.2.1/24 dev inos0
  ip link set inos0 up
  ip link set inos1 up
  ip route add default via 192.0.2.2
  host=192.0.2.1
  export INOS_NET_RTC=1
fi
coproc PEER { exec "$INOS_NET_PEER" "$host"; }
addrs=
while read -r line <&"${PEER[0]}" && [ -n "$line" ]; do addrs+="$line "; done
[ -n "$addrs" ] || { echo "the native peer did not start" >&2; exit 1; }
export INOS_NET_ADDRS="$addrs"
[ $# -gt 0 ] || set -- -v -timeout 4m
GOOS=js GOARCH=wasm go test -count=1 -exec "$PWD/frontend/go-browser/exec.mjs" "$@" ./frontend/go-browser/nettest
