//! Memory that workers share, lent for one phase at a time.

use std::cell::UnsafeCell;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::barrier::Barrier;

/// Most parts of one field that are written in one phase.
const MAX_PARTS: usize = 64;

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for u32 {}
}

/// Numbers that any bytes are a value of.
pub trait Plain: Copy + Send + Sync + sealed::Sealed + 'static {}
impl Plain for f32 {}
impl Plain for u32 {}

/// A fixed array in the arena. A worker reaches it through a [`Phase`] alone.
pub struct Field<T> {
    first: *mut T,
    len: usize,
    lock: AtomicBool,
    claims: UnsafeCell<Claims>, // guarded by lock
}

/// Who was lent what in a phase.
struct Claims {
    barrier: *const Barrier, // whose phases; null before the first claim
    phase: u32,
    read: bool,
    count: usize,
    parts: [(usize, usize); MAX_PARTS], // written, start and end
}

// SAFETY: the elements are lent by the rules of `claim`, which let no two threads
// hold a mutable and any other reference to the same element; claims has a lock.
unsafe impl<T: Plain> Sync for Field<T> {}
// SAFETY: the memory behind `first` belongs to no thread.
unsafe impl<T: Plain> Send for Field<T> {}

impl<T: Plain> Field<T> {
    /// A field over `len` elements from `first`.
    ///
    /// # Safety
    ///
    /// The memory is aligned, initialised, never freed, and while the field is
    /// in use nothing else in this module refers to it. Another program may read
    /// it; what it sees of a half-written element is its own concern.
    pub(crate) unsafe fn over(first: *mut T, len: usize) -> Self {
        let claims = Claims { barrier: std::ptr::null(), phase: 0, read: false, count: 0, parts: [(0, 0); MAX_PARTS] };
        Self { first, len, lock: AtomicBool::new(false), claims: UnsafeCell::new(claims) }
    }

    /// How many elements there are.
    #[allow(clippy::len_without_is_empty)] // none is empty
    pub fn len(&self) -> usize {
        self.len
    }

    /// Fills a field that no worker has seen: it is owned, so nobody else has it.
    pub fn fill(&mut self, mut value: impl FnMut(usize) -> T) {
        for i in 0..self.len {
            // SAFETY: i is inside the field, and `&mut self` excludes every phase.
            unsafe { self.first.add(i).write(value(i)) };
        }
    }

    fn claim(&self, phase: &Phase<'_>, wanted: Option<&Range<usize>>) {
        while self.lock.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            std::hint::spin_loop();
        }
        // SAFETY: the lock is held.
        let verdict = unsafe { (*self.claims.get()).note(phase, wanted) };
        self.lock.store(false, Ordering::Release);
        if let Err(problem) = verdict {
            panic!("{problem}");
        }
    }
}

impl Claims {
    fn note(&mut self, phase: &Phase<'_>, wanted: Option<&Range<usize>>) -> Result<(), &'static str> {
        if self.barrier.is_null() {
            self.barrier = phase.barrier;
        }
        if !std::ptr::eq(self.barrier, phase.barrier) {
            return Err("two teams share a field");
        }
        if self.phase != phase.number {
            (self.phase, self.read, self.count) = (phase.number, false, 0);
        }
        let Some(part) = wanted else {
            self.read = true;
            return if self.count > 0 { Err("a field is read in the phase that writes it") } else { Ok(()) };
        };
        if self.read {
            return Err("a field is written in the phase that reads it");
        }
        if self.parts[..self.count].iter().any(|&(start, end)| part.start < end && start < part.end) {
            return Err("two parts of a field that are written in one phase overlap");
        }
        if self.count == MAX_PARTS {
            return Err("a field is written in more than 64 parts in one phase");
        }
        self.parts[self.count] = (part.start, part.end);
        self.count += 1;
        Ok(())
    }
}

/// The time between two barriers. What it lends ends with it.
pub struct Phase<'a> {
    barrier: &'a Barrier,
    number: u32,
}

impl<'a> Phase<'a> {
    pub(crate) fn new(barrier: &'a Barrier) -> Self {
        // Odd by one, so that no phase has the number of a field never claimed.
        Self { barrier, number: barrier.generation().wrapping_add(1) }
    }

    /// The whole field, which nobody writes in this phase.
    pub fn read<'p, T: Plain>(&'p self, field: &'p Field<T>) -> &'p [T] {
        field.claim(self, None);
        // SAFETY: the memory is as `over` demands; by the claim nobody is lent a
        // part to write before the barrier, which 'p does not outlive.
        unsafe { std::slice::from_raw_parts(field.first, field.len) }
    }

    /// A part of the field that nobody else reads or writes in this phase.
    #[allow(clippy::mut_from_ref)] // the claim stands in for the exclusive borrow
    pub fn write<'p, T: Plain>(&'p self, field: &'p Field<T>, part: Range<usize>) -> &'p mut [T] {
        assert!(part.start <= part.end && part.end <= field.len, "a part lies outside its field");
        field.claim(self, Some(&part));
        // SAFETY: the part lies inside the field; by the claim it overlaps nothing
        // that is lent before the barrier, which 'p does not outlive.
        unsafe { std::slice::from_raw_parts_mut(field.first.add(part.start), part.len()) }
    }
}
