//! Packs the linked module: `boids-pack IN.wasm OUT.wasm`.

fn main() -> std::process::ExitCode {
    inos_sdk::pack::main(&boids::MODULE)
}
