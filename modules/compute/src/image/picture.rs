//! A picture in memory, and the formats it comes in.

use image::DynamicImage;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::MAX_PIXELS;
use super::error::Error;

/// The formats read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Jpeg,
    Png,
    Webp,
}

impl Format {
    /// The name people know it by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::Webp => "WebP",
        }
    }

    /// Its media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
        }
    }

    /// The format that `input` begins like.
    pub fn sniff(input: &[u8]) -> Result<Self, Error> {
        use image::ImageFormat as F;
        match image::guess_format(input).map_err(|_| Error::NotAPicture)? {
            F::Jpeg => Ok(Self::Jpeg),
            F::Png => Ok(Self::Png),
            F::WebP => Ok(Self::Webp),
            F::Gif => Err(Error::OtherFormat("a GIF")),
            F::Tiff => Err(Error::OtherFormat("a TIFF")),
            F::Bmp => Err(Error::OtherFormat("a BMP")),
            F::Avif => Err(Error::OtherFormat("an AVIF")),
            F::Ico => Err(Error::OtherFormat("an icon")),
            _ => Err(Error::NotAPicture),
        }
    }
}

/// An upright picture: pixels of 8-bit channels (L8, La8, Rgb8 or Rgba8).
pub struct Picture {
    pub pixels: DynamicImage,
    /// What it was decoded from.
    pub format: Format,
    /// The ICC profile that its colours are in; None for sRGB.
    pub profile: Option<Vec<u8>>,
}

impl Picture {
    /// Width and height.
    pub fn size(&self) -> Size {
        Size { width: self.pixels.width(), height: self.pixels.height() }
    }
}

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub width: u32,
    pub height: u32,
}

impl Size {
    /// Itself, if a picture may be that large.
    pub fn checked(self) -> Result<Self, Error> {
        let (width, height) = (u64::from(self.width), u64::from(self.height));
        if width == 0 || height == 0 {
            return Err(Error::Parameter("a picture has at least one pixel"));
        }
        if width * height > MAX_PIXELS {
            return Err(Error::TooLarge { width, height });
        }
        Ok(self)
    }

    /// Width and height exchanged, if `swap`.
    pub fn swapped(self, swap: bool) -> Self {
        if swap { Self { width: self.height, height: self.width } } else { self }
    }
}
