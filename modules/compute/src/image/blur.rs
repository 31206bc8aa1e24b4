//! Gaussian blur over 8-bit channels, in integers.
//!
//! A standard deviation below 2 is convolved with its kernel. From 2 on, three
//! box blurs in a row stand in for it, at a cost that does not grow with the
//! radius: Filter Effects Module Level 1 (W3C), feGaussianBlur. Beyond the
//! border the nearest pixel continues.

use fast_image_resize::images::TypedImage;
use fast_image_resize::pixels::{U8x2, U8x4};
use fast_image_resize::{MulDiv, PixelTrait};
use image::DynamicImage;

/// The largest standard deviation, pixels.
pub const MAX_SIGMA: f64 = 100.0;

/// From here on box blurs stand in.
const BOX_SIGMA: f64 = 2.0;

/// Blurs by a standard deviation of `sigma` pixels, at most [`MAX_SIGMA`].
pub fn blur(mut pixels: DynamicImage, sigma: f64) -> DynamicImage {
    weigh_by_alpha(&mut pixels, true);
    let mut plane = Plane::of(&pixels);
    if sigma < BOX_SIGMA {
        plane.convolve(&kernel(sigma));
    } else {
        for window in boxes(sigma) {
            plane.average(window);
        }
    }
    plane.write(&mut pixels);
    weigh_by_alpha(&mut pixels, false);
    pixels
}

/// Colours times their opacity, so that hidden ones do not bleed; or back.
fn weigh_by_alpha(pixels: &mut DynamicImage, weigh: bool) {
    let (width, height) = (pixels.width(), pixels.height());
    match pixels {
        DynamicImage::ImageLumaA8(p) => weigh_typed::<U8x2>(p, width, height, weigh),
        DynamicImage::ImageRgba8(p) => weigh_typed::<U8x4>(p, width, height, weigh),
        _ => {}
    }
}

fn weigh_typed<P: PixelTrait>(pixels: &mut [u8], width: u32, height: u32, weigh: bool) {
    let mut image = TypedImage::<P>::from_buffer(width, height, pixels).expect("a whole picture");
    let alpha = MulDiv::new();
    if weigh { alpha.multiply_alpha_inplace_typed(&mut image) } else { alpha.divide_alpha_inplace_typed(&mut image) }
        .expect("a pixel with alpha");
}

/// Rows of interleaved channels.
struct Plane {
    samples: Vec<u8>,
    /// Samples in a row.
    stride: usize,
    /// Samples in a pixel.
    step: usize,
}

/// A window around a sample: how far it reaches back and forth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    back: usize,
    forth: usize,
}

/// The three windows for `sigma`; an even width is centred by pairing a shift
/// to the left with one to the right.
fn boxes(sigma: f64) -> [Window; 3] {
    let width = (sigma * 3.0 * (2.0 * std::f64::consts::PI).sqrt() / 4.0 + 0.5).floor() as usize;
    let half = width / 2;
    let odd = Window { back: half, forth: half };
    if width % 2 == 1 {
        return [odd; 3];
    }
    [Window { back: half, forth: half - 1 }, Window { back: half - 1, forth: half }, odd]
}

/// Weights that sum to 2^16, odd in number, the middle one at the sample.
fn kernel(sigma: f64) -> Vec<u32> {
    let reach = (sigma * 3.0).ceil() as i32;
    let bell: Vec<f64> = (-reach..=reach).map(|i| (-f64::from(i * i) / (2.0 * sigma * sigma)).exp()).collect();
    let sum: f64 = bell.iter().sum();
    let mut weights: Vec<u32> = bell.iter().map(|b| (b / sum * 65536.0).round() as u32).collect();
    let rest = 65536 - (weights.iter().sum::<u32>() - weights[reach as usize]);
    weights[reach as usize] = rest;
    weights
}

impl Plane {
    fn of(pixels: &DynamicImage) -> Self {
        let step = usize::from(pixels.color().channel_count());
        let samples = pixels.as_bytes().to_vec();
        Self { samples, stride: pixels.width() as usize * step, step }
    }

    fn write(self, pixels: &mut DynamicImage) {
        match pixels {
            DynamicImage::ImageLuma8(p) => p.copy_from_slice(&self.samples),
            DynamicImage::ImageLumaA8(p) => p.copy_from_slice(&self.samples),
            DynamicImage::ImageRgb8(p) => p.copy_from_slice(&self.samples),
            DynamicImage::ImageRgba8(p) => p.copy_from_slice(&self.samples),
            _ => unreachable!("pictures have 8-bit channels"),
        }
    }

    fn row(&self, y: usize) -> &[u8] {
        &self.samples[y * self.stride..][..self.stride]
    }

    fn rows(&self) -> usize {
        self.samples.len() / self.stride
    }

    /// Weighted sums over rows, then over columns.
    fn convolve(&mut self, weights: &[u32]) {
        let reach = weights.len() / 2;
        let mut sums = vec![0u32; self.stride];
        let mut padded = Vec::new();
        for row in self.samples.chunks_exact_mut(self.stride) {
            pad(row, self.step, Window { back: reach, forth: reach }, &mut padded);
            sums.fill(1 << 15);
            for (i, &w) in weights.iter().enumerate() {
                add_weighted(&mut sums, &padded[i * self.step..], w);
            }
            store(&sums, row);
        }
        let mut out = vec![0; self.samples.len()];
        for (y, to) in out.chunks_exact_mut(self.stride).enumerate() {
            sums.fill(1 << 15);
            for (i, &w) in weights.iter().enumerate() {
                let from = (y + i).saturating_sub(reach).min(self.rows() - 1);
                add_weighted(&mut sums, self.row(from), w);
            }
            store(&sums, to);
        }
        self.samples = out;
    }

    /// The mean over a window of rows, then of columns.
    fn average(&mut self, window: Window) {
        let scale = (1 << 24) / (window.back + window.forth + 1) as u32;
        let mut padded = Vec::new();
        for row in self.samples.chunks_exact_mut(self.stride) {
            pad(row, self.step, window, &mut padded);
            match self.step {
                1 => slide::<1>(row, &padded, window, scale),
                2 => slide::<2>(row, &padded, window, scale),
                3 => slide::<3>(row, &padded, window, scale),
                _ => slide::<4>(row, &padded, window, scale),
            }
        }
        self.average_columns(window, scale);
    }

    fn average_columns(&mut self, window: Window, scale: u32) {
        let last = self.rows() - 1;
        let mut sums = vec![0u32; self.stride];
        for i in 0..=window.back + window.forth {
            let y = i.saturating_sub(window.back).min(last);
            add_weighted(&mut sums, self.row(y), 1);
        }
        let mut out = vec![0; self.samples.len()];
        for (y, to) in out.chunks_exact_mut(self.stride).enumerate() {
            let leaves = self.row(y.saturating_sub(window.back));
            let enters = self.row((y + window.forth + 1).min(last));
            for (((to, sum), leaves), enters) in to.iter_mut().zip(&mut sums).zip(leaves).zip(enters) {
                *to = mean(*sum, scale);
                *sum = *sum + u32::from(*enters) - u32::from(*leaves);
            }
        }
        self.samples = out;
    }
}

/// `row` with its first and last pixel repeated as far as the window reaches.
fn pad(row: &[u8], step: usize, window: Window, out: &mut Vec<u8>) {
    out.clear();
    for _ in 0..window.back {
        out.extend_from_slice(&row[..step]);
    }
    out.extend_from_slice(row);
    // One pixel more than the window needs: the one that enters after the last.
    for _ in 0..=window.forth {
        out.extend_from_slice(&row[row.len() - step..]);
    }
}

fn add_weighted(sums: &mut [u32], samples: &[u8], weight: u32) {
    for (sum, &sample) in sums.iter_mut().zip(samples) {
        *sum += weight * u32::from(sample);
    }
}

fn store(sums: &[u32], row: &mut [u8]) {
    for (to, sum) in row.iter_mut().zip(sums) {
        *to = (sum >> 16) as u8;
    }
}

fn slide<const STEP: usize>(row: &mut [u8], padded: &[u8], window: Window, scale: u32) {
    let reach = (window.back + window.forth + 1) * STEP;
    let mut sums = [0u32; STEP];
    for pixel in padded[..reach].chunks_exact(STEP) {
        for c in 0..STEP {
            sums[c] += u32::from(pixel[c]);
        }
    }
    let leaves = padded.chunks_exact(STEP);
    let enters = padded[reach..].chunks_exact(STEP);
    for ((to, leaves), enters) in row.chunks_exact_mut(STEP).zip(leaves).zip(enters) {
        for c in 0..STEP {
            to[c] = mean(sums[c], scale);
            sums[c] = sums[c] + u32::from(enters[c]) - u32::from(leaves[c]);
        }
    }
}

/// `sum * scale / 2^24`, rounded. The sum is at most 255 times the window and
/// scale is 2^24 over the window, so the product stays below 2^32.
fn mean(sum: u32, scale: u32) -> u8 {
    ((sum * scale + (1 << 23)) >> 24) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, Luma, Rgba, RgbaImage};

    #[test]
    fn flat_pictures_stay_flat() {
        for sigma in [0.1, 0.7, 1.9, 2.0, 3.3, 17.0, MAX_SIGMA] {
            let flat = RgbaImage::from_pixel(23, 11, Rgba([255, 128, 1, 255]));
            assert_eq!(blur(flat.clone().into(), sigma).into_rgba8(), flat, "sigma {sigma}");
        }
    }

    #[test]
    fn a_point_spreads_like_a_bell() {
        for sigma in [1.0, 1.9, 2.0, 3.0, 6.5] {
            let mut point = GrayImage::new(101, 101);
            for (x, y) in [(49, 49), (50, 49), (51, 49), (49, 50), (50, 50), (51, 50), (49, 51), (50, 51), (51, 51)] {
                point.put_pixel(x, y, Luma([255]));
            }
            let out = blur(point.into(), sigma).into_luma8();
            let (mut mass, mut spread) = (0.0, 0.0);
            for (x, _, p) in out.enumerate_pixels() {
                mass += f64::from(p.0[0]);
                spread += f64::from(p.0[0]) * (f64::from(x) - 50.0).powi(2);
            }
            // The 3 x 3 point itself has a variance of 2/3.
            let deviation = (spread / mass - 2.0 / 3.0).sqrt();
            assert!((deviation - sigma).abs() < 0.12 * sigma, "sigma {sigma}: {deviation}");
        }
    }

    #[test]
    fn windows_are_centred() {
        assert_eq!(boxes(2.0)[0], Window { back: 2, forth: 1 });
        for sigma in [2.0, 2.3, 5.0, MAX_SIGMA] {
            let back: usize = boxes(sigma).iter().map(|w| w.back).sum();
            let forth: usize = boxes(sigma).iter().map(|w| w.forth).sum();
            assert_eq!(back, forth, "sigma {sigma}");
        }
    }

    #[test]
    fn hidden_colours_do_not_bleed() {
        let mut two = RgbaImage::from_pixel(20, 1, Rgba([255, 0, 0, 0]));
        two.put_pixel(10, 0, Rgba([0, 0, 255, 255]));
        for p in blur(two.into(), 1.5).into_rgba8().pixels() {
            assert!(p.0[3] == 0 || p.0[0] == 0, "{p:?}");
        }
    }

    #[test]
    fn smaller_than_the_window() {
        let dot = GrayImage::from_pixel(1, 1, Luma([9]));
        assert_eq!(blur(dot.clone().into(), 50.0).into_luma8(), dot);
        assert_eq!(blur(dot.clone().into(), 1.0).into_luma8(), dot);
    }
}
