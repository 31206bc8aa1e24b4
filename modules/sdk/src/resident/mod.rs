//! Residents: modules that run inside the arena, several workers over the same
//! memory. `docs/abi.md` has the contract with the node.
//!
//! A resident is a type that implements [`Resident`]: `start` takes its
//! parameters and memory of the arena, `step` moves it on. Every worker calls
//! `step` at the same time; a [`Team`] divides the work into phases with a
//! barrier after each, and a [`Field`] lends memory to the workers for one phase.
//!
//! Invariants:
//! - The number of workers changes how fast a step is, never what it computes,
//!   as long as a resident divides its work by [`Team::part`].
//! - In one phase an element of a field is lent to readers or to one writer; a
//!   resident that asks for anything else panics.
//! - A published half of a [`State`] is not written before the next is shown.

pub mod abi;
#[cfg(target_arch = "wasm32")]
mod alloc;
mod barrier;
mod field;
#[cfg(not(target_arch = "wasm32"))]
mod native;
mod state;

use std::sync::OnceLock;

use schemars::JsonSchema;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};

pub use self::abi::Arena;
#[cfg(target_arch = "wasm32")]
pub use self::alloc::Allocator;
use self::barrier::Barrier;
pub use self::field::{Field, Phase, Plain};
#[cfg(not(target_arch = "wasm32"))]
pub use self::native::run;
pub use self::state::State;
use crate::error::Error;
use crate::method::{Call, Entry, Method, Output, method};

/// Most workers of one resident.
pub const MAX_WORKERS: usize = 8;

/// What runs in the arena.
pub trait Resident: Sized + Sync + 'static {
    /// Parameters of `start`, as [`Method`]'s: the doc comment and the fields
    /// become the schema that a node checks.
    type Params: DeserializeOwned + JsonSchema;

    /// Takes memory and makes the first state. Called once, by one worker.
    fn start(params: Self::Params, arena: &Arena) -> Result<Self, Error>;

    /// Moves on by one step. Called by all workers at once, over and over.
    fn step(&self, team: &Team<'_>);

    /// The static that holds the one resident of this module.
    fn place() -> &'static Place<Self>;
}

/// Where a module keeps its resident.
pub struct Place<R> {
    resident: OnceLock<R>,
    barrier: Barrier,
}

impl<R: Resident> Place<R> {
    /// An empty place.
    #[allow(clippy::new_without_default)] // a static needs a const function
    pub const fn new() -> Self {
        Self { resident: OnceLock::new(), barrier: Barrier::new() }
    }

    fn start(&self, params: R::Params, arena: &Arena) -> Result<(), Error> {
        let resident = R::start(params, arena)?;
        self.resident.set(resident).map_err(|_| Error::invalid("the resident has been started already"))
    }

    /// One step of one worker; false before `start`.
    fn step(&self, worker: usize, workers: usize) -> bool {
        let Some(resident) = self.resident.get() else { return false };
        resident.step(&Team { worker, workers, barrier: &self.barrier });
        true
    }
}

/// The workers that make one step together, as one of them sees it.
pub struct Team<'a> {
    worker: usize,
    workers: usize,
    barrier: &'a Barrier,
}

impl Team<'_> {
    /// This worker's number, from 0.
    pub fn worker(&self) -> usize {
        self.worker
    }

    /// How many there are.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// This worker's even share of `0..n`.
    pub fn part(&self, n: usize) -> std::ops::Range<usize> {
        n * self.worker / self.workers..n * (self.worker + 1) / self.workers
    }

    /// Does `work`, and returns when every worker has done its own.
    pub fn phase<R>(&self, work: impl for<'p> FnOnce(&'p Phase<'p>) -> R) -> R {
        let done = work(&Phase::new(self.barrier));
        self.barrier.wait(self.workers as u32);
        done
    }

    /// Shows readers the half of `state` that was written: the other one is
    /// written from now on. Every worker calls it.
    pub fn publish<T: Plain>(&self, state: &State<T>) {
        if self.worker == 0 {
            state.advance();
        }
        self.barrier.wait(self.workers as u32);
    }
}

/// The entry of `start` in a unit's table.
pub const fn start<R: Resident>() -> Entry {
    method::<Start<R>>()
}

/// The method that starts the resident of its module.
struct Start<R: Resident>(R::Params);

impl<'de, R: Resident> Deserialize<'de> for Start<R> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        R::Params::deserialize(from).map(Self)
    }
}

impl<R: Resident> JsonSchema for Start<R> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        R::Params::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        R::Params::json_schema(generator)
    }
}

impl<R: Resident> Method for Start<R> {
    const NAME: &'static str = "start";
    const NEEDS_INPUT: bool = false;

    fn run<'a>(self, _: &Call<'a>) -> Result<Output<'a>, Error> {
        R::place().start(self.0, &Arena::of_module())?;
        Ok(Output::default())
    }
}
