//! The same on the build machine, for tests: threads instead of workers, leaked
//! memory instead of the arena.

use std::sync::Mutex;
use std::sync::atomic::AtomicU32;

use super::abi::Arena;
use super::barrier::Barrier;
use super::{Resident, Team};
use crate::error::Error;

/// Memory that a test's resident took, by name for its states.
#[derive(Default)]
pub(crate) struct Heap {
    states: Mutex<Vec<Shown>>,
}

struct Shown {
    name: String,
    halves: [(usize, usize); 2], // address and length
    epoch: &'static AtomicU32,
}

impl Heap {
    pub(crate) fn reserve(bytes: usize) -> *mut u8 {
        Vec::leak(vec![0u64; bytes.div_ceil(8)]).as_mut_ptr().cast()
    }

    pub(crate) fn state(&self, name: &str, half: usize) -> ([*mut u8; 2], &'static AtomicU32) {
        let halves = [Self::reserve(half), Self::reserve(half)];
        let epoch: &'static AtomicU32 = Box::leak(Box::new(AtomicU32::new(0)));
        let shown = Shown { name: name.into(), halves: halves.map(|p| (p.expose_provenance(), half)), epoch };
        self.states.lock().expect("no test panics with it").push(shown);
        (halves, epoch)
    }
}

/// Starts a resident, has `workers` threads make `steps`, and returns its epoch
/// and the bytes of the state called `name` that readers would see.
pub fn run<R: Resident + Send>(
    params: R::Params,
    workers: usize,
    steps: usize,
    name: &str,
) -> Result<(u32, Vec<u8>), Error> {
    let arena = Arena { heap: Heap::default() };
    let resident = R::start(params, &arena)?;
    let barrier = Box::leak(Box::new(Barrier::new()));
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let team = Team { worker, workers, barrier };
            let resident = &resident;
            scope.spawn(move || (0..steps).for_each(|_| resident.step(&team)));
        }
    });
    let states = arena.heap.states.lock().expect("no test panics with it");
    let shown = states.iter().find(|s| s.name == name).ok_or_else(|| Error::invalid("no such state"))?;
    let epoch = shown.epoch.load(std::sync::atomic::Ordering::Acquire);
    let (at, len) = shown.halves[(epoch & 1) as usize];
    // SAFETY: leaked and initialised, and the threads that wrote it have ended.
    let bytes = unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance::<u8>(at), len) };
    Ok((epoch, bytes.to_vec()))
}
