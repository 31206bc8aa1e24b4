//! Reading pictures.
//!
//! JPEG goes through jpeg-decoder, whose inverse cosine transform can yield
//! 1/2, 1/4 or 1/8 of the size at a fraction of the work; PNG and WebP through
//! the image crate.

use std::io::Cursor;

use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::error::{ImageError, LimitErrorKind};
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, Limits};
use jpeg_decoder::PixelFormat;

use super::MEMORY;
use super::error::Error;
use super::picture::{Format, Picture, Size};

/// What a header tells.
pub struct Header {
    pub format: Format,
    /// As shown, which is as stored unless the orientation turns it.
    pub size: Size,
    pub orientation: Orientation,
    /// The stored channels: gray, rgb, rgba and so on.
    pub color: &'static str,
    pub bits: u8,
    pub profile: Option<Vec<u8>>,
}

/// Reads the header alone.
pub fn header(input: &[u8]) -> Result<Header, Error> {
    let format = Format::sniff(input)?;
    match format {
        Format::Jpeg => jpeg_header(&mut open_jpeg(input)?),
        Format::Png => still_header(format, &mut png(input)?),
        Format::Webp => still_header(format, &mut webp(input)?),
    }
}

/// Decodes and turns upright. With `at_least`, a JPEG may come out smaller than
/// stored, though no smaller than that in either direction.
pub fn decode(input: &[u8], at_least: Option<Size>) -> Result<Picture, Error> {
    let format = Format::sniff(input)?;
    let (mut pixels, orientation, profile) = match format {
        Format::Jpeg => jpeg(input, at_least)?,
        Format::Png => still(format, png(input)?)?,
        Format::Webp => still(format, webp(input)?)?,
    };
    pixels.apply_orientation(orientation);
    Ok(Picture { pixels, format, profile })
}

type Decoded = (DynamicImage, Orientation, Option<Vec<u8>>);

/// Whether the orientation exchanges width and height.
fn turns(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
    )
}

type Jpeg<'a> = jpeg_decoder::Decoder<&'a [u8]>;

fn open_jpeg(input: &[u8]) -> Result<Jpeg<'_>, Error> {
    let mut decoder = jpeg_decoder::Decoder::new(input);
    decoder.read_info().map_err(jpeg_error)?;
    Ok(decoder)
}

fn jpeg_header(decoder: &mut Jpeg<'_>) -> Result<Header, Error> {
    let info = decoder.info().expect("read_info succeeded");
    let stored = Size { width: info.width.into(), height: info.height.into() }.checked()?;
    let orientation = decoder.exif_data().and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms);
    let (color, bits) = match info.pixel_format {
        PixelFormat::L8 => ("gray", 8),
        PixelFormat::L16 => ("gray", 16),
        PixelFormat::RGB24 => ("rgb", 8),
        PixelFormat::CMYK32 => ("cmyk", 8),
    };
    // A profile of inks says nothing about the colours that they are turned into.
    let profile = if color == "cmyk" { None } else { decoder.icc_profile() };
    let size = stored.swapped(turns(orientation));
    Ok(Header { format: Format::Jpeg, size, orientation, color, bits, profile })
}

fn jpeg(input: &[u8], at_least: Option<Size>) -> Result<Decoded, Error> {
    let mut decoder = open_jpeg(input)?;
    let header = jpeg_header(&mut decoder)?;
    if let Some(want) = at_least {
        let want = want.swapped(turns(header.orientation));
        let side = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
        decoder.scale(side(want.width), side(want.height)).map_err(jpeg_error)?;
    }
    let data = decoder.decode().map_err(jpeg_error)?;
    let info = decoder.info().expect("decode succeeded");
    let (width, height) = (info.width.into(), info.height.into());
    let pixels = match info.pixel_format {
        PixelFormat::L8 => gray(width, height, data),
        PixelFormat::L16 => gray(width, height, data.chunks_exact(2).map(high_byte).collect()),
        PixelFormat::RGB24 => rgb(width, height, data),
        PixelFormat::CMYK32 => rgb(width, height, cmyk_to_rgb(&data)),
    };
    let pixels = pixels.ok_or_else(|| damaged(Format::Jpeg, "it has fewer pixels than it says"))?;
    Ok((pixels, header.orientation, header.profile))
}

fn gray(width: u32, height: u32, data: Vec<u8>) -> Option<DynamicImage> {
    image::GrayImage::from_raw(width, height, data).map(Into::into)
}

fn rgb(width: u32, height: u32, data: Vec<u8>) -> Option<DynamicImage> {
    image::RgbImage::from_raw(width, height, data).map(Into::into)
}

/// The decoder writes 16-bit samples in the byte order of the machine.
fn high_byte(sample: &[u8]) -> u8 {
    (u16::from_ne_bytes([sample[0], sample[1]]) >> 8) as u8
}

fn cmyk_to_rgb(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() / 4 * 3);
    for ink in data.chunks_exact(4) {
        let light = 255 - u16::from(ink[3]);
        out.extend(ink[..3].iter().map(|&i| ((255 - u16::from(i)) * light / 255) as u8));
    }
    out
}

fn png(input: &[u8]) -> Result<PngDecoder<Cursor<&[u8]>>, Error> {
    PngDecoder::with_limits(Cursor::new(input), limits()).map_err(|e| still_error(Format::Png, e))
}

fn webp(input: &[u8]) -> Result<WebPDecoder<Cursor<&[u8]>>, Error> {
    WebPDecoder::new(Cursor::new(input)).map_err(|e| still_error(Format::Webp, e))
}

/// Bounds what compressed metadata may unfold to.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(MEMORY);
    limits
}

fn still_header(format: Format, decoder: &mut impl ImageDecoder) -> Result<Header, Error> {
    let (width, height) = decoder.dimensions();
    let stored = Size { width, height }.checked()?;
    let orientation = decoder.orientation().map_err(|e| still_error(format, e))?;
    let (color, bits) = channels(decoder.color_type());
    let profile = decoder.icc_profile().map_err(|e| still_error(format, e))?;
    let size = stored.swapped(turns(orientation));
    Ok(Header { format, size, orientation, color, bits, profile })
}

fn channels(color: ColorType) -> (&'static str, u8) {
    match color {
        ColorType::L8 => ("gray", 8),
        ColorType::La8 => ("gray-alpha", 8),
        ColorType::Rgb8 => ("rgb", 8),
        ColorType::Rgba8 => ("rgba", 8),
        ColorType::L16 => ("gray", 16),
        ColorType::La16 => ("gray-alpha", 16),
        ColorType::Rgb16 => ("rgb", 16),
        _ => ("rgba", 16),
    }
}

fn still(format: Format, mut decoder: impl ImageDecoder) -> Result<Decoded, Error> {
    let header = still_header(format, &mut decoder)?;
    let pixels = DynamicImage::from_decoder(decoder).map_err(|e| still_error(format, e))?;
    Ok((eight_bits(pixels), header.orientation, header.profile))
}

fn eight_bits(pixels: DynamicImage) -> DynamicImage {
    match pixels {
        DynamicImage::ImageLuma16(_) => pixels.into_luma8().into(),
        DynamicImage::ImageLumaA16(_) => pixels.into_luma_alpha8().into(),
        DynamicImage::ImageRgb16(_) => pixels.into_rgb8().into(),
        DynamicImage::ImageRgba16(_) => pixels.into_rgba8().into(),
        eight => eight,
    }
}

fn damaged(format: Format, problem: impl Into<String>) -> Error {
    Error::Damaged { format: format.name(), problem: problem.into() }
}

fn jpeg_error(e: jpeg_decoder::Error) -> Error {
    match e {
        jpeg_decoder::Error::Unsupported(feature) => {
            Error::Feature { format: Format::Jpeg.name(), problem: format!("{feature:?}") }
        }
        jpeg_decoder::Error::Format(problem) => damaged(Format::Jpeg, problem),
        other => damaged(Format::Jpeg, other.to_string()),
    }
}

fn still_error(format: Format, e: ImageError) -> Error {
    let problem = e.to_string();
    match e {
        ImageError::Unsupported(_) => Error::Feature { format: format.name(), problem },
        ImageError::Limits(limit) if limit.kind() == LimitErrorKind::InsufficientMemory => {
            damaged(format, "it unfolds to more memory than a picture of its size needs")
        }
        _ => damaged(format, problem),
    }
}
