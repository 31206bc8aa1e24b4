#!/usr/bin/env bash
# Builds the Rust modules into modules/dist: NAME.wasm.br, embedded by package
# modules, and SOURCES.sum, which says what they were built from. Does nothing
# when they are up to date.
#   scripts/modules.sh           build what changed
#   scripts/modules.sh --force   build all the same
#   scripts/modules.sh --check   fail when modules/dist is stale; needs no toolchain
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
dist=modules/dist
guests=(compute diagnostics syscalls)
residents=(boids) # each has a place of the arena: the first here the first there
modules=("${guests[@]}" "${residents[@]}")
target=wasm32-unknown-unknown
stack=262144 # bytes; nothing here recurses deeply, and the node restores it after each call

# One hash over everything that reaches a module's bytes. Package modules'
# test computes the same.
sources() {
  { find modules -name target -prune -o -name tests -prune -o -type f \( -name '*.rs' -o -name '*.toml' -o -name Cargo.lock \) -print
    find protocols/schemas/module protocols/schemas/syscall protocols/gen/rust/src/module protocols/gen/rust/src/syscall protocols/gen/layout/rust -type f
    echo scripts/modules.sh
  } | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -d' ' -f1
}

fresh() {
  [ -f $dist/SOURCES.sum ] || return 1
  for m in "${modules[@]}"; do [ -f "$dist/$m.wasm.br" ] || return 1; done
  [ "$(sed -n 's/^sources //p' $dist/SOURCES.sum)" = "$(sources)" ]
}

case "${1:-}" in
  --check) fresh || { echo "modules/dist is stale: run scripts/modules.sh and commit the result" >&2; exit 1; }; exit ;;
  --force) ;;
  "") if fresh; then echo "modules/dist is up to date"; exit; fi ;;
  *) echo "usage: scripts/modules.sh [--force|--check]" >&2; exit 2 ;;
esac

from=$(sources) # before building, so that an edit meanwhile shows as stale

# The toolchain: Debian's, whose version the archive pins, with the standard
# library built from its sources; elsewhere rustup's, when it has the target.
debian=(rustc-web cargo-web rust-web-src lld-22)
std=()
if ! { [ -x /usr/bin/rustc ] && [ -x /usr/bin/wasm-ld-22 ] && [ -d "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src" ]; } &&
  command -v apt-get >/dev/null && apt-cache show "${debian[@]}" >/dev/null 2>&1; then
  sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -q --no-install-recommends "${debian[@]}"
fi
if [ -x /usr/bin/wasm-ld-22 ] && [ -d "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src" ]; then
  export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
  cargo=/usr/bin/cargo linker="-Clinker=wasm-ld-22"
  std=(-Zbuild-std=std,panic_abort)
elif [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ]; then
  export RUSTC=rustc
  cargo=cargo linker=
else
  echo "no Rust toolchain for $target: install Debian's ${debian[*]}, or run: rustup target add $target" >&2
  exit 1
fi

# No path of this machine reaches the bytes, so that the same toolchain gives
# the same module everywhere.
sysroot=$($RUSTC --print sysroot)
home=${CARGO_HOME:-$HOME/.cargo}
remap="--remap-path-prefix=$root=/inos --remap-path-prefix=$home=/cargo --remap-path-prefix=$sysroot=/rust"
src=$(readlink -f "$sysroot/lib/rustlib/src/rust" || true)
[ -n "$src" ] && remap="$remap --remap-path-prefix=$src=/rust/src"

cd modules
out=$PWD/target
export CARGO_TARGET_DIR=$out
for m in "${guests[@]}"; do
  env "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS=-Ctarget-feature=+simd128 $linker $remap" \
    $cargo rustc --locked --release --target $target ${std[@]+"${std[@]}"} -p "$m" --lib --crate-type cdylib -- -Clink-arg=-zstack-size=$stack
done

# Residents are linked to their place in the arena, which is their memory
# (docs/abi.md), against a standard library with atomics.
places=$(sed -n 's/^pub const RESIDENTS_OFFSET: u64 = \(.*\);/\1/p' "$root/protocols/gen/layout/rust/layout.rs")
place_size=$(sed -n 's/^pub const RESIDENTS_STRIDE: u64 = \(.*\);/\1/p' "$root/protocols/gen/layout/rust/layout.rs")
shared=(--shared-memory --import-memory --no-stack-first --initial-memory=33554432 --max-memory=4294967296 -zstack-size=65536)
for e in __stack_pointer __wasm_init_tls __tls_size __tls_align __tls_base __data_end __heap_base __global_base __stack_low __stack_high; do
  shared+=("--export=$e")
done
build_residents() {
  [ ${#std[@]} -gt 0 ] || std=(-Zbuild-std=std,panic_abort) # rustup: nightly with rust-src
  for i in "${!residents[@]}"; do
    m=${residents[$i]}
    args=("-Clink-arg=--global-base=$((places + i * place_size))")
    for a in "${shared[@]}"; do args+=("-Clink-arg=$a"); done
    env CARGO_TARGET_DIR="$out/resident" \
      "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS=-Ctarget-feature=+atomics,+bulk-memory,+mutable-globals,+simd128 $linker $remap" \
      $cargo rustc --locked --release --target $target "${std[@]}" -p "$m" --lib --crate-type cdylib -- "${args[@]}"
    cp "$out/resident/$target/release/$m.wasm" "$out/$target/release/$m.wasm"
  done
}
build_residents

for m in "${modules[@]}"; do
  env -u RUSTC_BOOTSTRAP $cargo run --locked -q --profile pack -p "$m" --bin "$m-pack" -- "$out/$target/release/$m.wasm" "$out/$m.wasm"
done

cd "$root"
# Fails when two lie in one place of the arena, or one reaches beyond its own.
go run ./protocols/cmd/residentcheck "${residents[@]/#/$out/}"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
{
  echo "sources $from"
  $RUSTC --version
  for m in "${modules[@]}"; do echo "module $m $(sha256sum <"$out/$m.wasm" | cut -d' ' -f1) $(stat -c%s "$out/$m.wasm")"; done
} >"$tmp/SOURCES.sum"
for m in "${modules[@]}"; do go run ./modules/cmd/compress <"$out/$m.wasm" >"$tmp/$m.wasm.br"; done
mkdir -p $dist
mv "$tmp"/* $dist/
ls -l $dist
# What calls of them give and cost on every engine.
go test ./host/wasm -run 'TestUnits|TestFlockIsTheSame' -update
