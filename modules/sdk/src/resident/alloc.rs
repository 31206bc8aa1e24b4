//! The allocator of a resident: its memory is the rest of its place in the arena
//! and nothing else, where the standard one would grow the memory of everybody.

use std::alloc::{GlobalAlloc, Layout};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, Ordering};

const SMALLEST: usize = 4; // 16 bytes
const CLASSES: usize = 24; // up to 128 MiB

/// Powers of two from a region that the node names, each size with a list of
/// freed cells.
pub struct Allocator {
    lock: AtomicBool,
    region: UnsafeCell<Region>, // guarded by lock
}

struct Region {
    next: usize,
    end: usize,
    free: [usize; CLASSES], // first freed cell by class, 0 ends the list
}

// SAFETY: the region is touched under the lock only.
unsafe impl Sync for Allocator {}

impl Allocator {
    /// One without memory: every allocation fails before [`Allocator::own`].
    #[allow(clippy::new_without_default)] // a static needs a const function
    pub const fn new() -> Self {
        Self { lock: AtomicBool::new(false), region: UnsafeCell::new(Region { next: 0, end: 0, free: [0; CLASSES] }) }
    }

    /// Takes the bytes from `start` to `end`, once.
    ///
    /// # Safety
    ///
    /// Nothing else uses them.
    pub unsafe fn own(&self, start: usize, end: usize) {
        self.with(|region| {
            if region.end == 0 {
                (region.next, region.end) = (start, end);
            }
        });
    }

    fn with<R>(&self, work: impl FnOnce(&mut Region) -> R) -> R {
        while self.lock.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            std::hint::spin_loop();
        }
        // SAFETY: the lock is held.
        let done = work(unsafe { &mut *self.region.get() });
        self.lock.store(false, Ordering::Release);
        done
    }
}

fn class_of(layout: Layout) -> Option<usize> {
    let size = layout.size().max(layout.align()).max(1 << SMALLEST).checked_next_power_of_two()?;
    let class = size.trailing_zeros() as usize - SMALLEST;
    (class < CLASSES).then_some(class)
}

// SAFETY: a cell is at least as large and as aligned as its layout asks, lies in the
// region, and is on no free list and in no other cell while it is handed out.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = class_of(layout) else { return std::ptr::null_mut() };
        let at = self.with(|region| {
            let cell = region.free[class];
            if cell != 0 {
                // SAFETY: a freed cell begins with the address of the next one.
                region.free[class] = unsafe { *std::ptr::with_exposed_provenance::<usize>(cell) };
                return cell;
            }
            let size = 1usize << (class + SMALLEST);
            let Some(start) = region.next.checked_next_multiple_of(size) else { return 0 };
            match start.checked_add(size) {
                Some(end) if end <= region.end => region.next = end,
                _ => return 0,
            }
            start
        });
        std::ptr::with_exposed_provenance_mut(at)
    }

    unsafe fn dealloc(&self, cell: *mut u8, layout: Layout) {
        let Some(class) = class_of(layout) else { return };
        self.with(|region| {
            // SAFETY: the cell has at least 16 aligned bytes and its owner is done with it.
            unsafe { *cell.cast::<usize>() = region.free[class] };
            region.free[class] = cell.expose_provenance();
        });
    }
}
