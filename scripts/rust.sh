#!/usr/bin/env bash
# Tests the Rust workspace on this machine's own target, and runs rustfmt and clippy where a rustup
# toolchain has them.
set -euo pipefail
cd "$(dirname "$0")/../modules"

# A flock's steps take minutes without the optimizer.
optimized=(--config profile.dev.package.boids.opt-level=2 --config profile.dev.package.inos-sdk.opt-level=2)

# Debian's toolchain, as for the modules themselves; a second compiler never shares its target folder.
if [ -x /usr/bin/cargo ] && [ -x /usr/bin/rustc ]; then
  docs=(--lib --bins --tests) # without rustdoc of the same compiler, everything but the examples in comments
  [ -x /usr/bin/rustdoc ] && docs=()
  RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc /usr/bin/cargo test -q --locked "${optimized[@]}" --workspace "${docs[@]}"
else
  cargo test -q --locked "${optimized[@]}" --workspace
fi

rustup=${CARGO_HOME:-$HOME/.cargo}/bin
if [ -x "$rustup/cargo-clippy" ] && "$rustup/cargo" clippy --version >/dev/null 2>&1; then
  export PATH="$rustup:$PATH" CARGO_TARGET_DIR=target/clippy
  cargo fmt --all --check
  cargo clippy -q --locked --workspace --all-targets -- -D warnings
fi
