#!/usr/bin/env bash
# Two tabs exchange blocks over WebRTC, in a network namespace of its own with one
# address: ICE finds none on loopback. Skipped, with a word, without the right to make one.
#   INOS_EXE=BINARY scripts/webrtc-test.sh
set -euo pipefail
self=$(realpath "$0")
cd "$(dirname "$self")/.."
if [ -z "${INOS_NETNS:-}" ]; then
  unshare --net true 2>/dev/null || { echo "skipped: this user may not make a network namespace"; exit 0; }
  INOS_NETNS=1 exec unshare --net "$self" "$@"
fi
# One end of the pair has the address, the other makes the link go up.
ip link set lo up
ip link add inos0 type veth peer name inos1
ip addr add 192.0.2.1/24 dev inos0
ip link set inos0 up
ip link set inos1 up
ip route add default via 192.0.2.2
cd frontend
npx --no-install vitest run -c e2e/vitest.config.ts webrtc
