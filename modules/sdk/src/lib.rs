//! Write INOS modules in Rust.
//!
//! A module is a table of units, a unit a table of methods, and a method a
//! struct of parameters that knows how to run. From that table alone come the
//! exports that a node calls ([`module!`]), and the manifest that a node reads
//! before it does ([`pack`]). Nothing is declared twice.
//!
//! ```
//! use inos_sdk::{Call, Error, Method, Module, Output, SEED_BYTES, Unit, method};
//! use schemars::JsonSchema;
//! use serde::Deserialize;
//!
//! /// Repeats the input.
//! #[derive(Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Repeat {
//!     /// How often.
//!     #[schemars(range(min = 1, max = 100))]
//!     times: usize,
//! }
//!
//! impl Method for Repeat {
//!     const NAME: &'static str = "repeat";
//!
//!     fn run<'a>(self, call: &Call<'a>) -> Result<Output<'a>, Error> {
//!         Ok(Output::bytes(call.input().repeat(self.times)))
//!     }
//! }
//!
//! static MODULE: Module = Module {
//!     name: "parrot",
//!     version: "1.0.0",
//!     doc: "Says it again.",
//!     units: &[Unit { name: "text", doc: "Text.", methods: &[method::<Repeat>()] }],
//!     ..Module::EMPTY
//! };
//! inos_sdk::module!(MODULE);
//!
//! let said = MODULE.run("text", "repeat", br#"{"times":2}"#, b"ho").unwrap();
//! assert_eq!(said.body(), b"hoho");
//! ```
//!
//! Invariants:
//! - A method's output depends on its parameters, the input, the job's seed and
//!   the job's submit time. The target has no clock, entropy, files or sockets
//!   to break that with.
//! - Every `unsafe` block of a module is in this crate; modules forbid it.
//! - A call leaves nothing behind: the node restores the memory afterwards, so
//!   leaking is free and caches across calls are useless.
//!
//! The exchange itself is specified in `docs/abi.md`; how to write, pack and
//! try a module is in `docs/modules.md`.

// Waiting on shared memory is not stable yet; Debian's compiler and nightly have it.
#![cfg_attr(all(feature = "resident", target_arch = "wasm32"), feature(stdarch_wasm_atomic_wait))]

#[doc(hidden)]
pub mod abi;
#[cfg(any(test, target_arch = "wasm32"))]
mod codec;
mod error;
mod log;
mod method;
#[cfg(not(target_arch = "wasm32"))]
pub mod pack;
#[cfg(feature = "resident")]
pub mod resident;
#[cfg(not(target_arch = "wasm32"))]
mod schema;
mod short;
mod stream;
pub mod syscall;

// Generated from protocols/schemas/module/v1; the generator names both modules
// from the crate's root. Not formatted here: they are compared with what the
// generator writes.
#[rustfmt::skip]
#[allow(missing_docs, clippy::all, clippy::undocumented_unsafe_blocks)]
#[cfg(any(test, target_arch = "wasm32"))]
#[path = "../../../protocols/gen/rust/src/module/v1/call_capnp.rs"]
mod call_capnp;
#[cfg(not(target_arch = "wasm32"))]
#[rustfmt::skip]
#[allow(missing_docs, clippy::all, clippy::undocumented_unsafe_blocks)]
#[path = "../../../protocols/gen/rust/src/module/v1/manifest_capnp.rs"]
mod manifest_capnp;

#[rustfmt::skip]
#[allow(missing_docs, clippy::all, clippy::undocumented_unsafe_blocks)]
#[path = "../../../protocols/gen/rust/src/syscall/v1/syscall_capnp.rs"]
mod syscall_capnp;

pub use error::{Error, Kind};
pub use log::{Level, log};
pub use method::{Call, Entry, InPlace, Limits, Method, Module, Output, SEED_BYTES, Unit, in_place, method};
pub use rand_core;
pub use rand_xoshiro::Xoshiro256PlusPlus;
pub use stream::Writer;
