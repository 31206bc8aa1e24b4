//! Packs the linked module: `compute-pack IN.wasm OUT.wasm`.

fn main() -> std::process::ExitCode {
    inos_sdk::pack::main(&compute::MODULE)
}
