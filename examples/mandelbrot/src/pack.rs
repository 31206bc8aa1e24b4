//! Writes the manifest into the module.

fn main() -> std::process::ExitCode {
    inos_sdk::pack::main(&mandelbrot::MODULE)
}
