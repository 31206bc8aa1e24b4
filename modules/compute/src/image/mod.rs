//! Pictures: JPEG, PNG and WebP in, the same out.
//!
//! Invariants:
//! - A picture is upright once decoded: the EXIF orientation is applied, and
//!   no metadata but the colour profile goes on.
//! - Channels have 8 bits; deeper ones are reduced.
//! - No picture has more than [`MAX_PIXELS`], and its header is checked before
//!   memory is spent on it.

mod blur;
mod decode;
mod encode;
mod error;
mod geometry;
mod gray;
mod methods;
mod picture;

pub use methods::UNIT;

/// The largest picture, in or out: 64 million pixels, more than any phone takes.
pub const MAX_PIXELS: u64 = 64_000_000;

/// What the largest progressive JPEG needs: 6 bytes a pixel of coefficients, 3 of
/// planes, 3 of pixels, and the file.
pub const MEMORY: u64 = 1 << 30;
