//! A place where workers wait for each other.

use std::sync::atomic::{AtomicU32, Ordering};

/// Looks before a worker sleeps: the others are usually a few microseconds away.
const SPINS: u32 = 2000;

/// A barrier for a number of workers that is the same each time. Its generation
/// counts how often all have arrived and numbers the phases between.
pub(crate) struct Barrier {
    arrived: AtomicU32,
    generation: AtomicU32,
}

impl Barrier {
    pub(crate) const fn new() -> Self {
        Self { arrived: AtomicU32::new(0), generation: AtomicU32::new(0) }
    }

    /// The number of the present phase.
    pub(crate) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    /// Returns when `workers` have arrived. What each wrote before is visible to
    /// all after.
    pub(crate) fn wait(&self, workers: u32) {
        let mine = self.generation();
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == workers {
            self.arrived.store(0, Ordering::Relaxed);
            // Sync point: releases what all workers wrote, gathered by arrived.
            self.generation.fetch_add(1, Ordering::Release);
            if workers > 1 {
                super::abi::wake_all(&self.generation);
            }
            return;
        }
        for _ in 0..SPINS {
            if self.generation() != mine {
                return;
            }
            std::hint::spin_loop();
        }
        while self.generation() == mine {
            super::abi::sleep_while(&self.generation, mine);
        }
    }
}
