//! A flock that lives in the arena: every step moves tens of thousands of agents
//! by the rules of Reynolds ("Flocks, Herds and Schools", SIGGRAPH 1987), and
//! shows where they are and how they move as one double-buffered state.
//!
//! The state `boids` has six arrays of 32-bit floats behind one another, each with
//! one number per agent: x, y, z in 0..1, then the velocity in the same directions per
//! step. The number of agents is the half's size divided by 24.
#![forbid(unsafe_code)]

mod flock;
mod lanes;

use inos_sdk::resident::{Arena, Place, Resident, Team, start};
use inos_sdk::{Error, Module, Unit};
use schemars::JsonSchema;
use serde::Deserialize;

pub use flock::Flock;

/// What the node sees of this crate.
pub static MODULE: Module = Module {
    name: "boids",
    version: env!("CARGO_PKG_VERSION"),
    author: "INOS",
    doc: "A flock that lives in the arena, for tests of shared memory and for pages that draw from it.",
    resident: true,
    units: &[Unit { name: "flock", doc: "The flock.", methods: &[start::<Flock>()] }],
    ..Module::EMPTY
};
inos_sdk::resident!(MODULE, Flock);

/// The name of the state that shows the flock.
pub const STATE: &str = "boids";

/// Starts the flock.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How many agents; rounded up to a multiple of 4.
    #[serde(default = "ten_thousand")]
    #[schemars(range(min = 4, max = 200_000))]
    pub agents: u32,
    /// Where the agents begin; the same seed gives the same flock everywhere.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 4_294_967_295u32))]
    pub seed: u32,
}

fn ten_thousand() -> u32 {
    10_000
}

fn one() -> u32 {
    1
}

static PLACE: Place<Flock> = Place::new();

impl Resident for Flock {
    type Params = Params;

    fn start(params: Params, arena: &Arena) -> Result<Self, Error> {
        Self::new(params.agents as usize, params.seed, arena)
    }

    fn step(&self, team: &Team<'_>) {
        Flock::step(self, team);
    }

    fn place() -> &'static Place<Self> {
        &PLACE
    }
}
