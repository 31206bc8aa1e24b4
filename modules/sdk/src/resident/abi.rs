//! What a resident and its node say to each other.

use std::sync::atomic::AtomicU32;

use super::Resident;
use super::field::{Field, Plain};
use super::state::State;
use crate::error::{Error, Kind};

/// What `inos_abi` of a resident returns.
pub const VERSION: i32 = 2;

#[cfg(target_arch = "wasm32")]
#[allow(dead_code, missing_docs)]
#[rustfmt::skip]
#[path = "../../../../protocols/gen/layout/rust/layout.rs"]
mod layout;

#[cfg(target_arch = "wasm32")]
#[link(wasm_import_module = "inos")]
unsafe extern "C" {
    #[link_name = "state"]
    fn inos_state(name: *const u8, length: usize, half: usize) -> u32;
    #[link_name = "reserve"]
    fn inos_reserve(size: usize) -> u32;
    #[link_name = "advance"]
    fn inos_advance(state: u32);
}

/// The memory of the arena that a resident may ask for, while it starts.
pub struct Arena {
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) heap: super::native::Heap,
}

impl Arena {
    /// The arena that the module runs in.
    pub(crate) fn of_module() -> Self {
        Self {
            #[cfg(not(target_arch = "wasm32"))]
            heap: super::native::Heap::default(),
        }
    }

    /// `len` zeroed elements that only this resident uses. They are freed with it.
    pub fn field<T: Plain>(&self, len: usize) -> Result<Field<T>, Error> {
        let bytes = bytes_of::<T>(len)?;
        #[cfg(not(target_arch = "wasm32"))]
        let first = super::native::Heap::reserve(bytes);
        #[cfg(target_arch = "wasm32")]
        // SAFETY: the node returns the address of that many zeroed, aligned bytes
        // of the arena that it gives to nobody else, or 0.
        let first = std::ptr::with_exposed_provenance_mut::<u8>(unsafe { inos_reserve(bytes) } as usize);
        if first.is_null() {
            return Err(full());
        }
        // SAFETY: as returned above: whole, aligned, zeroed, ours until the end.
        Ok(unsafe { Field::over(first.cast(), len) })
    }

    /// A state called `name` whose halves have `len` elements each, all zero.
    pub fn state<T: Plain>(&self, name: &str, len: usize) -> Result<State<T>, Error> {
        let bytes = bytes_of::<T>(len)?;
        let (halves, epoch, handle) = self.open(name, bytes)?;
        // SAFETY: the node gave both halves to this state alone; no two fields share memory.
        let halves = halves.map(|first| unsafe { Field::over(first.cast(), len) });
        Ok(State::new(halves, epoch, handle))
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn open(&self, name: &str, bytes: usize) -> Result<([*mut u8; 2], &'static AtomicU32, u32), Error> {
        let (halves, epoch) = self.heap.state(name, bytes);
        Ok((halves, epoch, 0))
    }

    #[cfg(target_arch = "wasm32")]
    fn open(&self, name: &str, bytes: usize) -> Result<([*mut u8; 2], &'static AtomicU32, u32), Error> {
        // SAFETY: the node reads the name during the call and keeps nothing of it.
        let control = unsafe { inos_state(name.as_ptr(), name.len(), bytes) } as usize;
        if control == 0 {
            return Err(full());
        }
        let epoch = control + (layout::STATE_CONTROL_AT_CELL + layout::EPOCH_CELL_AT_VALUE) as usize;
        // SAFETY: the cell lies in the state's control, which stays as long as the
        // resident; it is aligned and only touched atomically.
        let epoch = unsafe { AtomicU32::from_ptr(std::ptr::with_exposed_provenance_mut(epoch)) };
        let first = control + layout::STATE_CONTROL_SIZE as usize;
        let second = first + bytes.next_multiple_of(layout::LINE as usize);
        let halves = [first, second].map(std::ptr::with_exposed_provenance_mut);
        Ok((halves, epoch, control as u32))
    }
}

fn full() -> Error {
    Error::new(Kind::Exhausted, "the arena has no memory left; ask for less or run the node with a larger arena")
}

/// Bytes of a field, a multiple of what every number is aligned to.
fn bytes_of<T>(len: usize) -> Result<usize, Error> {
    let bytes = len.checked_mul(size_of::<T>()).filter(|&b| b > 0 && b <= 1 << 30);
    bytes.ok_or_else(|| Error::invalid("a field has at least one element and at most 1 GiB"))
}

/// Raises a state's epoch; the node wakes its readers.
pub(crate) fn advance(state: u32, epoch: &AtomicU32) {
    #[cfg(target_arch = "wasm32")]
    {
        let _ = epoch;
        // SAFETY: the node checks that it is a state of this resident.
        unsafe { inos_advance(state) }
    }
    #[cfg(not(target_arch = "wasm32"))]
    {
        let _ = state;
        epoch.fetch_add(1, std::sync::atomic::Ordering::Release);
    }
}

/// Sleeps while `word` is `seen`, perhaps less long.
pub(crate) fn sleep_while(word: &AtomicU32, seen: u32) {
    #[cfg(target_arch = "wasm32")]
    // SAFETY: the word is aligned and in shared memory.
    unsafe {
        core::arch::wasm32::memory_atomic_wait32(word.as_ptr().cast(), seen as i32, -1);
    }
    #[cfg(not(target_arch = "wasm32"))]
    {
        let _ = (word, seen);
        std::thread::yield_now();
    }
}

/// Wakes everybody who sleeps on `word`.
pub(crate) fn wake_all(word: &AtomicU32) {
    #[cfg(target_arch = "wasm32")]
    // SAFETY: the word is aligned and in shared memory.
    unsafe {
        core::arch::wasm32::memory_atomic_notify(word.as_ptr().cast(), u32::MAX);
    }
    #[cfg(not(target_arch = "wasm32"))]
    let _ = word;
}

/// Serves `inos_step`: 0 when the step is done, 1 when nothing was started.
pub fn step<R: Resident>(worker: i32, workers: i32) -> i32 {
    let (worker, workers) = (worker as usize, workers as usize);
    if workers == 0 || workers > super::MAX_WORKERS || worker >= workers {
        return 1;
    }
    i32::from(!R::place().step(worker, workers))
}

/// Makes a [`Module`](crate::Module) with a [`Resident`] loadable: generates the
/// exports of `docs/abi.md` when the target is WebAssembly, and nothing
/// elsewhere. Takes the path of a `static` and the resident's type, once per crate.
#[macro_export]
macro_rules! resident {
    ($module:path, $resident:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            #[global_allocator]
            static ALLOCATOR: $crate::resident::Allocator = $crate::resident::Allocator::new();

            #[unsafe(no_mangle)]
            extern "C" fn inos_region(start: i32, end: i32) {
                // SAFETY: the node calls this first, with memory of the resident's own place.
                unsafe { ALLOCATOR.own(start as u32 as usize, end as u32 as usize) }
            }

            #[unsafe(no_mangle)]
            extern "C" fn _initialize() {
                $crate::abi::initialize()
            }

            #[unsafe(no_mangle)]
            extern "C" fn inos_abi() -> i32 {
                $crate::resident::abi::VERSION
            }

            #[unsafe(no_mangle)]
            extern "C" fn inos_alloc(size: i32) -> i32 {
                $crate::abi::alloc(size)
            }

            #[unsafe(no_mangle)]
            extern "C" fn inos_call(pointer: i32, length: i32) -> i64 {
                // SAFETY: only the node calls this, with what it got from inos_alloc.
                unsafe { $crate::abi::call(&$module, pointer, length) }
            }

            #[unsafe(no_mangle)]
            extern "C" fn inos_step(worker: i32, workers: i32) -> i32 {
                $crate::resident::abi::step::<$resident>(worker, workers)
            }
        };
    };
}
