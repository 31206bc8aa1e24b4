//! From a wish ("256 wide", "cover 300 by 300") to sizes in pixels, and there.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x2, U8x3, U8x4};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};
use image::DynamicImage;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::picture::Size;

/// What happens when the picture's shape is not the wished one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// all of it, as large as fits inside
    #[default]
    Contain,
    /// fill both sides and cut evenly what hangs over
    Cover,
    /// fill both sides and distort
    Stretch,
}

/// How pixels are weighed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// sharpest
    #[default]
    Lanczos3,
    /// sharp, with fewer halos
    CatmullRom,
    /// soft and fast
    Bilinear,
    /// for pixel art
    Nearest,
}

/// The wished size; a side that is None follows from the other.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub fit: Fit,
    /// Whether a small picture may grow.
    pub enlarge: bool,
}

/// Scale to `scaled`, then cut to `cut` around the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    pub scaled: Size,
    pub cut: Size,
}

/// What to do to a picture of size `from` to meet the wish.
pub fn plan(from: Size, wish: Wish) -> Result<Plan, Error> {
    let box_ = match (wish.width, wish.height) {
        (None, None) => return Err(Error::Parameter("give a width, a height or both")),
        (Some(width), None) => Size { width, height: scale(from.height, width, from.width) },
        (None, Some(height)) => Size { width: scale(from.width, height, from.height), height },
        (Some(width), Some(height)) => Size { width, height },
    };
    let both = wish.width.is_some() && wish.height.is_some();
    let box_ = box_.checked()?;
    let plan = match wish.fit {
        Fit::Stretch => Plan { scaled: box_, cut: box_ },
        _ if !both => Plan { scaled: box_, cut: box_ },
        Fit::Contain => {
            let scaled = follow(from, box_, wider(from, box_));
            Plan { scaled, cut: scaled }
        }
        Fit::Cover => Plan { scaled: follow(from, box_, !wider(from, box_)), cut: box_ },
    };
    plan.scaled.checked()?;
    let grows = plan.scaled.width > from.width || plan.scaled.height > from.height;
    if grows && !wish.enlarge {
        let cut = Size { width: plan.cut.width.min(from.width), height: plan.cut.height.min(from.height) };
        return Ok(Plan { scaled: from, cut });
    }
    Ok(plan)
}

/// Whether `a` is wider in shape than `b`.
fn wider(a: Size, b: Size) -> bool {
    u64::from(a.width) * u64::from(b.height) > u64::from(b.width) * u64::from(a.height)
}

/// `from` scaled until its width (or else its height) is that of `box_`.
fn follow(from: Size, box_: Size, width: bool) -> Size {
    if width {
        Size { width: box_.width, height: scale(from.height, box_.width, from.width) }
    } else {
        Size { width: scale(from.width, box_.height, from.height), height: box_.height }
    }
}

/// `side * to / from`, rounded, at least 1.
fn scale(side: u32, to: u32, from: u32) -> u32 {
    let (side, to, from) = (u64::from(side), u64::from(to), u64::from(from));
    u32::try_from((side * to + from / 2) / from).unwrap_or(u32::MAX).max(1)
}

/// Carries out a plan.
pub fn apply(pixels: DynamicImage, plan: Plan, filter: Filter) -> DynamicImage {
    let scaled = resize(pixels, plan.scaled, filter);
    if plan.cut == plan.scaled {
        return scaled;
    }
    let x = (plan.scaled.width - plan.cut.width) / 2;
    let y = (plan.scaled.height - plan.cut.height) / 2;
    scaled.crop_imm(x, y, plan.cut.width, plan.cut.height)
}

// The sizes and buffers agree by construction and alone could make these fail.
// Naming the pixel types, where the library would look them up, keeps its
// code for other types (and a table of 512 KiB) out of the module.
fn resize(pixels: DynamicImage, to: Size, filter: Filter) -> DynamicImage {
    let from = Size { width: pixels.width(), height: pixels.height() };
    if from == to {
        return pixels;
    }
    let mut out = DynamicImage::new(to.width, to.height, pixels.color());
    match (&pixels, &mut out) {
        (DynamicImage::ImageLuma8(a), DynamicImage::ImageLuma8(b)) => typed::<U8>(a, from, b, to, filter),
        (DynamicImage::ImageLumaA8(a), DynamicImage::ImageLumaA8(b)) => typed::<U8x2>(a, from, b, to, filter),
        (DynamicImage::ImageRgb8(a), DynamicImage::ImageRgb8(b)) => typed::<U8x3>(a, from, b, to, filter),
        (DynamicImage::ImageRgba8(a), DynamicImage::ImageRgba8(b)) => typed::<U8x4>(a, from, b, to, filter),
        _ => unreachable!("pictures have 8-bit channels"),
    }
    out
}

fn typed<P: PixelTrait>(pixels: &[u8], from: Size, out: &mut [u8], to: Size, filter: Filter) {
    let algorithm = match filter {
        Filter::Lanczos3 => ResizeAlg::Convolution(FilterType::Lanczos3),
        Filter::CatmullRom => ResizeAlg::Convolution(FilterType::CatmullRom),
        Filter::Bilinear => ResizeAlg::Convolution(FilterType::Bilinear),
        Filter::Nearest => ResizeAlg::Nearest,
    };
    let source = TypedImageRef::<P>::from_buffer(from.width, from.height, pixels).expect("a whole picture");
    let mut target = TypedImage::<P>::from_buffer(to.width, to.height, out).expect("a whole picture");
    Resizer::new()
        .resize_typed(&source, &mut target, &ResizeOptions::new().resize_alg(algorithm))
        .expect("no part is cut");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(width: u32, height: u32) -> Size {
        Size { width, height }
    }

    #[test]
    fn plans() {
        let wish = |width, height, fit, enlarge| Wish { width, height, fit, enlarge };
        let table = [
            // from, wish, scaled, cut
            (size(4000, 3000), wish(Some(256), None, Fit::Contain, true), size(256, 192), size(256, 192)),
            (size(4000, 3000), wish(None, Some(256), Fit::Contain, true), size(341, 256), size(341, 256)),
            (size(4000, 3000), wish(Some(100), Some(100), Fit::Contain, true), size(100, 75), size(100, 75)),
            (size(3000, 4000), wish(Some(100), Some(100), Fit::Contain, true), size(75, 100), size(75, 100)),
            (size(4000, 3000), wish(Some(100), Some(100), Fit::Cover, true), size(133, 100), size(100, 100)),
            (size(3000, 4000), wish(Some(100), Some(50), Fit::Cover, true), size(100, 133), size(100, 50)),
            (size(4000, 3000), wish(Some(9), Some(90), Fit::Stretch, true), size(9, 90), size(9, 90)),
            (size(10, 10), wish(Some(100), None, Fit::Contain, true), size(100, 100), size(100, 100)),
            (size(10, 10), wish(Some(100), None, Fit::Contain, false), size(10, 10), size(10, 10)),
            (size(10, 20), wish(Some(100), Some(15), Fit::Cover, false), size(10, 20), size(10, 15)),
            (size(60000, 1), wish(Some(3), None, Fit::Contain, true), size(3, 1), size(3, 1)),
        ];
        for (from, wish, scaled, cut) in table {
            assert_eq!(plan(from, wish).unwrap(), Plan { scaled, cut }, "{from:?} {wish:?}");
        }
    }

    #[test]
    fn impossible_wishes() {
        let wish = |width, height| Wish { width, height, fit: Fit::Cover, enlarge: true };
        assert!(matches!(plan(size(9, 9), wish(None, None)), Err(Error::Parameter(_))));
        assert!(matches!(plan(size(9, 9), wish(Some(16384), Some(16384))), Err(Error::TooLarge { .. })));
        // One row of pixels, made to cover a square, would be enormous on the way.
        assert!(matches!(plan(size(9000, 1), wish(Some(900), Some(900))), Err(Error::TooLarge { .. })));
    }
}
