//! Double-buffered states: what a resident shows to everybody.

use std::sync::atomic::{AtomicU32, Ordering};

use super::field::{Field, Plain};

/// A named state in the arena. Readers use the half that the lowest bit of its
/// epoch names; the resident fills the other one and publishes it.
pub struct State<T> {
    halves: [Field<T>; 2],
    epoch: &'static AtomicU32,
    handle: u32,
}

impl<T: Plain> State<T> {
    pub(crate) fn new(halves: [Field<T>; 2], epoch: &'static AtomicU32, handle: u32) -> Self {
        Self { halves, epoch, handle }
    }

    fn index(&self) -> usize {
        (self.epoch.load(Ordering::Acquire) & 1) as usize
    }

    /// The half that readers see.
    pub fn shown(&self) -> &Field<T> {
        &self.halves[self.index()]
    }

    /// The half to fill.
    pub fn next(&self) -> &Field<T> {
        &self.halves[1 - self.index()]
    }

    /// The half that readers see, before any worker runs.
    pub fn first(&mut self) -> &mut Field<T> {
        let index = self.index();
        &mut self.halves[index]
    }

    pub(crate) fn advance(&self) {
        super::abi::advance(self.handle, self.epoch);
    }
}
