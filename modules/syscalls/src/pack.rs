//! Packs the linked module: `syscalls-pack IN.wasm OUT.wasm`.

fn main() -> std::process::ExitCode {
    inos_sdk::pack::main(&syscalls::MODULE)
}
