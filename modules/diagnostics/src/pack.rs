//! Packs the linked module: `diagnostics-pack IN.wasm OUT.wasm`.

fn main() -> std::process::ExitCode {
    inos_sdk::pack::main(&diagnostics::MODULE)
}
