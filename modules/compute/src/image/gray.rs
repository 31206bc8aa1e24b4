//! Color to gray, in integers.

use image::{DynamicImage, GrayAlphaImage, GrayImage};

/// ITU-R BT.709 weights of red, green and blue, as parts of 2^16.
const WEIGHTS: [u32; 3] = [13933, 46871, 4732];

/// The luma of each pixel; opacity stays.
pub fn gray(pixels: DynamicImage) -> DynamicImage {
    let (width, height) = (pixels.width(), pixels.height());
    match pixels {
        DynamicImage::ImageRgb8(rgb) => {
            let luma = rgb.as_raw().chunks_exact(3).map(luma).collect();
            GrayImage::from_raw(width, height, luma).expect("one sample a pixel").into()
        }
        DynamicImage::ImageRgba8(rgba) => {
            let luma = rgba.as_raw().chunks_exact(4).flat_map(|p| [luma(p), p[3]]).collect();
            GrayAlphaImage::from_raw(width, height, luma).expect("two samples a pixel").into()
        }
        gray => gray,
    }
}

fn luma(pixel: &[u8]) -> u8 {
    let sum: u32 = pixel.iter().zip(WEIGHTS).map(|(&sample, weight)| u32::from(sample) * weight).sum();
    ((sum + (1 << 15)) >> 16) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_stays_white_and_green_is_brightest() {
        assert_eq!(WEIGHTS.iter().sum::<u32>(), 1 << 16);
        assert_eq!(luma(&[255, 255, 255]), 255);
        assert_eq!(luma(&[0, 0, 0]), 0);
        assert_eq!((luma(&[255, 0, 0]), luma(&[0, 255, 0]), luma(&[0, 0, 255])), (54, 182, 18));
    }
}
