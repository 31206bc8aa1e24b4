//! Writing pictures. The same picture and quality give the same bytes.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::codecs::webp::WebPEncoder;
use image::{DynamicImage, ImageEncoder, ImageError, RgbImage, RgbaImage};
use jpeg_encoder::{ColorType, EncodingError};

use super::error::Error;
use super::picture::{Format, Picture};

/// The longest side that a JPEG header can name.
const JPEG_SIDE: u32 = 65_535;
/// The longest side that a WebP header can name.
const WEBP_SIDE: u32 = 16_384;

/// Writes `picture`. Quality (1 to 100) matters to JPEG alone: PNG and WebP are
/// written without loss. JPEG has no transparency; it gets a white ground.
pub fn encode(picture: Picture, format: Format, quality: u8) -> Result<Vec<u8>, Error> {
    match format {
        Format::Jpeg => jpeg(picture, quality),
        Format::Png => png(picture),
        Format::Webp => webp(picture),
    }
}

fn jpeg(picture: Picture, quality: u8) -> Result<Vec<u8>, Error> {
    check_sides(&picture, "JPEG", JPEG_SIDE)?;
    let size = picture.size();
    let (width, height) = (size.width as u16, size.height as u16);
    let (pixels, color) = match picture.pixels {
        DynamicImage::ImageLuma8(gray) => (gray.into_raw(), ColorType::Luma),
        DynamicImage::ImageRgb8(rgb) => (rgb.into_raw(), ColorType::Rgb),
        other => (on_white(&other.into_rgba8()).into_raw(), ColorType::Rgb),
    };
    let mut out = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut out, quality);
    encoder.set_optimized_huffman_tables(true);
    if let Some(profile) = &picture.profile {
        encoder.add_icc_profile(profile).map_err(jpeg_error)?;
    }
    encoder.encode(&pixels, width, height, color).map_err(jpeg_error)?;
    Ok(out)
}

fn on_white(image: &RgbaImage) -> RgbImage {
    let mut out = RgbImage::new(image.width(), image.height());
    for (from, to) in image.pixels().zip(out.pixels_mut()) {
        let alpha = u32::from(from.0[3]);
        for (channel, &value) in to.0.iter_mut().zip(&from.0[..3]) {
            *channel = ((u32::from(value) * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
        }
    }
    out
}

/// Up to here a PNG is compressed well; beyond, 28 times faster, at 9 % more for photographs and up to 60 % for drawings.
const PNG_SMALL: u64 = 1 << 20;

fn png(picture: Picture) -> Result<Vec<u8>, Error> {
    let pixels = u64::from(picture.size().width) * u64::from(picture.size().height);
    let effort = if pixels <= PNG_SMALL { CompressionType::Default } else { CompressionType::Fast };
    let mut out = Vec::new();
    let encoder = PngEncoder::new_with_quality(&mut out, effort, FilterType::Adaptive);
    still(picture, encoder)?;
    Ok(out)
}

fn webp(picture: Picture) -> Result<Vec<u8>, Error> {
    check_sides(&picture, "WebP", WEBP_SIDE)?;
    let mut out = Vec::new();
    still(picture, WebPEncoder::new_lossless(&mut out))?;
    Ok(out)
}

fn still(picture: Picture, mut encoder: impl ImageEncoder) -> Result<(), Error> {
    let name = "output";
    if let Some(profile) = picture.profile {
        encoder.set_icc_profile(profile).map_err(|e| Error::Feature { format: name, problem: e.to_string() })?;
    }
    picture
        .pixels
        .write_with_encoder(encoder)
        .map_err(|e: ImageError| Error::Feature { format: name, problem: e.to_string() })
}

fn check_sides(picture: &Picture, format: &'static str, limit: u32) -> Result<(), Error> {
    let longest = picture.size().width.max(picture.size().height);
    if longest > limit {
        return Err(Error::TooLong(longest, format, limit));
    }
    Ok(())
}

fn jpeg_error(e: EncodingError) -> Error {
    Error::Feature { format: "JPEG", problem: e.to_string() }
}
