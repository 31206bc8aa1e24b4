#!/usr/bin/env bash
# Packs the crates that modules in Rust depend on into sdk/rust/vendor.tar.br, which the binary carries
# so that `inos module new --lang rust` works without a network. Run it when modules/Cargo.lock changes
# for one of them; a test compares the two.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
cargo=/usr/bin/cargo
export RUSTC=/usr/bin/rustc
[ -x $cargo ] || { cargo=cargo; RUSTC=rustc; }

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp/modules/sdk/src"
sed 's/^members = .*/members = ["sdk"]/' modules/Cargo.toml >"$tmp/modules/Cargo.toml"
cp modules/Cargo.lock "$tmp/modules/"
cp modules/sdk/Cargo.toml "$tmp/modules/sdk/"
touch "$tmp/modules/sdk/src/lib.rs"
(cd "$tmp/modules" && $cargo vendor -q ../vendor >/dev/null)
cd "$tmp/vendor"
rm -rf -- */tests */benches */examples */ci */.github
find . -iname 'CHANGELOG*' -delete
# A directory source without file checksums may lack files.
for f in */.cargo-checksum.json; do sed -i -E 's/"files":\{[^}]*\}/"files":{}/' "$f"; done
cd ..
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 --format=ustar -cf vendor.tar vendor modules/Cargo.lock
cd "$root"
mkdir -p sdk/rust
go run ./modules/cmd/compress <"$tmp/vendor.tar" >"$tmp/vendor.tar.br"
mv "$tmp/vendor.tar.br" sdk/rust/
ls -l sdk/rust
