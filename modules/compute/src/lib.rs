//! Digests and pictures: one crate module per unit.
#![forbid(unsafe_code)]

mod hash;
mod image;

use inos_sdk::{Limits, Module};

/// What the node sees of this crate.
pub static MODULE: Module = Module {
    name: "compute",
    version: env!("CARGO_PKG_VERSION"),
    author: "INOS",
    doc: "Digests of any bytes, and pictures: what they are, their size, format and look.",
    limits: Limits { memory_bytes: image::MEMORY, ..NODE_DEFAULTS },
    windows: true,
    units: &[hash::UNIT, image::UNIT],
    ..Module::EMPTY
};
inos_sdk::module!(MODULE);

const NODE_DEFAULTS: Limits = Module::EMPTY.limits;

/// A report as JSON with a final newline, as files for people end.
fn json<'a>(report: &impl serde::Serialize) -> inos_sdk::Output<'a> {
    let mut text = serde_json::to_vec(report).expect("reports have string keys only");
    text.push(b'\n');
    inos_sdk::Output::typed("application/json", text)
}
