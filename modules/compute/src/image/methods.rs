//! The methods of the image unit.

use image::metadata::Orientation;
use inos_sdk::{Call, Error, Method, Output, Unit, method};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::blur::{self, MAX_SIGMA};
use super::decode::{Header, decode, header};
use super::encode::encode;
use super::geometry::{self, Filter, Fit, Wish};
use super::gray;
use super::picture::{Format, Picture, Size};

/// The unit's table.
pub const UNIT: Unit = Unit {
    name: "image",
    doc: "Pictures: JPEG, PNG and WebP in and out, turned upright, up to 64 million pixels.",
    methods: &[
        method::<Info>(),
        method::<Convert>(),
        method::<Resize>(),
        method::<Thumbnail>(),
        method::<Grayscale>(),
        method::<Blur>(),
    ],
};

const PICTURES: &[&str] = &["image/jpeg", "image/png", "image/webp"];

/// The format to write.
#[derive(Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Target {
    /// the input's
    #[default]
    Same,
    Jpeg,
    Png,
    Webp,
}

impl Target {
    fn of(self, input: Format) -> Format {
        match self {
            Self::Same => input,
            Self::Jpeg => Format::Jpeg,
            Self::Png => Format::Png,
            Self::Webp => Format::Webp,
        }
    }
}

const fn default_quality() -> u8 {
    85
}

fn write<'a>(picture: Picture, target: Target, quality: u8) -> Result<Output<'a>, Error> {
    let format = target.of(picture.format);
    Ok(Output::typed(format.media_type(), encode(picture, format, quality)?))
}

/// What the picture is: format, width and height as shown, color, bits, orientation and whether it has a color profile.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Info {}

#[derive(Serialize)]
struct Report {
    format: Format,
    width: u32,
    height: u32,
    color: &'static str,
    bits: u8,
    orientation: u8,
    profile: bool,
}

impl Method for Info {
    const NAME: &'static str = "info";
    const READS: &'static [&'static str] = PICTURES;
    const WRITES: &'static str = "application/json";

    fn run<'a>(self, call: &Call<'a>) -> Result<Output<'a>, Error> {
        let Header { format, size, orientation, color, bits, profile } = header(call.input())?;
        Ok(crate::json(&Report {
            format,
            width: size.width,
            height: size.height,
            color,
            bits,
            orientation: Orientation::to_exif(orientation),
            profile: profile.is_some(),
        }))
    }
}

/// The picture in another format. Transparency becomes white in a JPEG.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Convert {
    /// The format to write.
    format: Format,
    /// Quality of a JPEG; PNG and WebP are written without loss.
    #[serde(default = "default_quality")]
    #[schemars(range(min = 1, max = 100))]
    quality: u8,
}

impl Method for Convert {
    const NAME: &'static str = "convert";
    const READS: &'static [&'static str] = PICTURES;

    fn run<'a>(self, call: &Call<'a>) -> Result<Output<'a>, Error> {
        let picture = decode(call.input(), None)?;
        Ok(Output::typed(self.format.media_type(), encode(picture, self.format, self.quality)?))
    }
}

/// The picture at another size. Give a width, a height or both.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Resize {
    /// Pixels; follows from the height when absent.
    #[schemars(range(min = 1, max = 16384))]
    width: Option<u32>,
    /// Pixels; follows from the width when absent.
    #[schemars(range(min = 1, max = 16384))]
    height: Option<u32>,
    /// What happens when width and height have another shape than the picture.
    #[serde(default)]
    fit: Fit,
    /// How pixels are weighed.
    #[serde(default)]
    filter: Filter,
    /// The format to write.
    #[serde(default)]
    format: Target,
    /// Quality of a JPEG; PNG and WebP are written without loss.
    #[serde(default = "default_quality")]
    #[schemars(range(min = 1, max = 100))]
    quality: u8,
}

impl Method for Resize {
    const NAME: &'static str = "resize";
    const READS: &'static [&'static str] = PICTURES;
    const WRITES: &'static str = "image/*";

    fn run<'a>(self, call: &Call<'a>) -> Result<Output<'a>, Error> {
        let wish = Wish { width: self.width, height: self.height, fit: self.fit, enlarge: true };
        let picture = scaled(call.input(), wish, self.filter)?;
        write(picture, self.format, self.quality)
    }
}

/// A small version that keeps the shape and never grows: JPEG unless another format is asked for.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Thumbnail {
    /// Pixels at most.
    #[serde(default = "default_side")]
    #[schemars(range(min = 1, max = 4096))]
    width: u32,
    /// Pixels at most; not bounded when absent.
    #[schemars(range(min = 1, max = 4096))]
    height: Option<u32>,
    /// The format to write.
    #[serde(default = "jpeg")]
    format: Target,
    /// Quality of a JPEG; PNG and WebP are written without loss.
    #[serde(default = "default_quality")]
    #[schemars(range(min = 1, max = 100))]
    quality: u8,
}

const fn default_side() -> u32 {
    256
}

const fn jpeg() -> Target {
    Target::Jpeg
}

impl Method for Thumbnail {
    const NAME: &'static str = "thumbnail";
    const READS: &'static [&'static str] = PICTURES;
    const WRITES: &'static str = "image/jpeg";

    fn run<'a>(self, call: &Call<'a>) -> Result<Output<'a>, Error> {
        let wish = Wish { width: Some(self.width), height: self.height, fit: Fit::Contain, enlarge: false };
        let picture = scaled(call.input(), wish, Filter::Lanczos3)?;
        write(picture, self.format, self.quality)
    }
}

/// Decodes no more than the wish needs: twice its size in each direction leaves
/// the filter enough to work with.
fn scaled(input: &[u8], wish: Wish, filter: Filter) -> Result<Picture, super::error::Error> {
    let plan = geometry::plan(header(input)?.size, wish)?;
    let at_least = match filter {
        Filter::Nearest => None,
        _ => Some(Size { width: plan.scaled.width.saturating_mul(2), height: plan.scaled.height.saturating_mul(2) }),
    };
    let mut picture = decode(input, at_least)?;
    picture.pixels = geometry::apply(picture.pixels, plan, filter);
    Ok(picture)
}

/// The picture without color.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Grayscale {
    /// The format to write.
    #[serde(default)]
    format: Target,
    /// Quality of a JPEG; PNG and WebP are written without loss.
    #[serde(default = "default_quality")]
    #[schemars(range(min = 1, max = 100))]
    quality: u8,
}

impl Method for Grayscale {
    const NAME: &'static str = "grayscale";
    const READS: &'static [&'static str] = PICTURES;
    const WRITES: &'static str = "image/*";

    fn run<'a>(self, call: &Call<'a>) -> Result<Output<'a>, Error> {
        let mut picture = decode(call.input(), None)?;
        if picture.pixels.color().has_color() {
            picture.pixels = gray::gray(picture.pixels);
            // A profile of three channels does not describe one.
            picture.profile = None;
        }
        write(picture, self.format, self.quality)
    }
}

/// The picture, blurred.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Blur {
    /// Standard deviation of the blur, pixels.
    #[serde(default = "default_sigma")]
    #[schemars(range(min = 0.1, max = 100))]
    sigma: f64,
    /// The format to write.
    #[serde(default)]
    format: Target,
    /// Quality of a JPEG; PNG and WebP are written without loss.
    #[serde(default = "default_quality")]
    #[schemars(range(min = 1, max = 100))]
    quality: u8,
}

const fn default_sigma() -> f64 {
    2.0
}

impl Method for Blur {
    const NAME: &'static str = "blur";
    const READS: &'static [&'static str] = PICTURES;
    const WRITES: &'static str = "image/*";

    fn run<'a>(self, call: &Call<'a>) -> Result<Output<'a>, Error> {
        if !(0.1..=MAX_SIGMA).contains(&self.sigma) {
            return Err(Error::invalid("sigma lies between 0.1 and 100"));
        }
        let mut picture = decode(call.input(), None)?;
        picture.pixels = blur::blur(picture.pixels, self.sigma);
        write(picture, self.format, self.quality)
    }
}
