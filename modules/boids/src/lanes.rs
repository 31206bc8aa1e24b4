//! Four numbers at once: a SIMD register on WebAssembly, an array elsewhere,
//! with the same results.

#[cfg(target_arch = "wasm32")]
use core::arch::wasm32 as simd;

/// How many.
pub(crate) const LANES: usize = 4;

/// Four numbers.
#[derive(Clone, Copy)]
#[cfg(target_arch = "wasm32")]
pub(crate) struct F4(simd::v128);

/// Four numbers.
#[derive(Clone, Copy)]
#[cfg(not(target_arch = "wasm32"))]
pub(crate) struct F4([f32; LANES]);

/// LANES numbers from the place LANES - n on are a mask of n lanes.
#[cfg(target_arch = "wasm32")]
const FIRST: [f32; 2 * LANES] = {
    let set = f32::from_bits(u32::MAX);
    [set, set, set, set, 0.0, 0.0, 0.0, 0.0]
};

#[cfg(target_arch = "wasm32")]
impl F4 {
    pub(crate) fn all(v: f32) -> Self {
        Self(simd::f32x4_splat(v))
    }

    pub(crate) fn new(v: &[f32; LANES]) -> Self {
        Self(simd::f32x4(v[0], v[1], v[2], v[3]))
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self(simd::f32x4_add(self.0, other.0))
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        Self(simd::f32x4_sub(self.0, other.0))
    }

    pub(crate) fn times(self, other: Self) -> Self {
        Self(simd::f32x4_mul(self.0, other.0))
    }

    /// These where `mask` is set, zero elsewhere.
    pub(crate) fn only(self, mask: Self) -> Self {
        Self(simd::v128_and(self.0, mask.0))
    }

    /// A mask: set where this is below `other`.
    pub(crate) fn below(self, other: Self) -> Self {
        Self(simd::f32x4_lt(self.0, other.0))
    }

    /// These where `mask` is not set, zero elsewhere.
    pub(crate) fn unless(self, mask: Self) -> Self {
        Self(simd::v128_andnot(self.0, mask.0))
    }

    /// A mask: set in the first n lanes.
    pub(crate) fn first(n: usize) -> Self {
        let from = LANES.saturating_sub(n);
        Self::new(FIRST[from..from + LANES].first_chunk().expect("LANES numbers"))
    }

    /// The sums of the numbers of each of four.
    pub(crate) fn totals(of: [Self; LANES]) -> Self {
        let [a, b, c, d] = of.map(|v| v.0);
        let pairs =
            |a, b| simd::f32x4_add(simd::i32x4_shuffle::<0, 4, 2, 6>(a, b), simd::i32x4_shuffle::<1, 5, 3, 7>(a, b));
        let (ab, cd) = (pairs(a, b), pairs(c, d));
        Self(simd::f32x4_add(simd::i32x4_shuffle::<0, 1, 4, 5>(ab, cd), simd::i32x4_shuffle::<2, 3, 6, 7>(ab, cd)))
    }

    pub(crate) fn over(self, other: Self) -> Self {
        Self(simd::f32x4_div(self.0, other.0))
    }

    pub(crate) fn root(self) -> Self {
        Self(simd::f32x4_sqrt(self.0))
    }

    /// The greater ones of two, and the lesser; neither is NaN.
    pub(crate) fn greater(self, other: Self) -> Self {
        Self(simd::f32x4_pmax(self.0, other.0))
    }

    pub(crate) fn lesser(self, other: Self) -> Self {
        Self(simd::f32x4_pmin(self.0, other.0))
    }

    pub(crate) fn numbers(self) -> [f32; LANES] {
        let v = self.0;
        [
            simd::f32x4_extract_lane::<0>(v),
            simd::f32x4_extract_lane::<1>(v),
            simd::f32x4_extract_lane::<2>(v),
            simd::f32x4_extract_lane::<3>(v),
        ]
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl F4 {
    pub(crate) fn all(v: f32) -> Self {
        Self([v; LANES])
    }

    pub(crate) fn new(v: &[f32; LANES]) -> Self {
        Self(*v)
    }

    fn zip(self, other: Self, op: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|i| op(self.0[i], other.0[i])))
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    pub(crate) fn times(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    /// These where `mask` is set, zero elsewhere.
    pub(crate) fn only(self, mask: Self) -> Self {
        self.zip(mask, |a, m| f32::from_bits(a.to_bits() & m.to_bits()))
    }

    /// A mask: set where this is below `other`.
    pub(crate) fn below(self, other: Self) -> Self {
        self.zip(other, |a, b| f32::from_bits(if a < b { u32::MAX } else { 0 }))
    }

    /// These where `mask` is not set, zero elsewhere.
    pub(crate) fn unless(self, mask: Self) -> Self {
        self.zip(mask, |a, m| f32::from_bits(a.to_bits() & !m.to_bits()))
    }

    /// A mask: set in the first n lanes.
    pub(crate) fn first(n: usize) -> Self {
        Self(std::array::from_fn(|i| f32::from_bits(if i < n { u32::MAX } else { 0 })))
    }

    /// The sums of the numbers of each of four.
    pub(crate) fn totals(of: [Self; LANES]) -> Self {
        Self(of.map(|Self(v)| (v[0] + v[1]) + (v[2] + v[3])))
    }

    pub(crate) fn over(self, other: Self) -> Self {
        self.zip(other, |a, b| a / b)
    }

    pub(crate) fn root(self) -> Self {
        Self(self.0.map(f32::sqrt))
    }

    /// The greater ones of two, and the lesser; neither is NaN.
    pub(crate) fn greater(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { b } else { a })
    }

    pub(crate) fn lesser(self, other: Self) -> Self {
        self.zip(other, |a, b| if b < a { b } else { a })
    }

    pub(crate) fn numbers(self) -> [f32; LANES] {
        self.0
    }
}
