//! What can be wrong with a picture, and who has to act.

use inos_sdk::Kind;

use super::MAX_PIXELS;

/// Why a picture could not be read, changed or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the input is not a picture; give a JPEG, PNG or WebP file")]
    NotAPicture,
    #[error("the input is {0}, which this module does not read; convert it to JPEG, PNG or WebP first")]
    OtherFormat(&'static str),
    #[error("the {format} picture is damaged: {problem}")]
    Damaged { format: &'static str, problem: String },
    #[error("the {format} picture uses a feature that this module does not do: {problem}")]
    Feature { format: &'static str, problem: String },
    #[error("{width} x {height} pixels are too many; the limit is {MAX_PIXELS} in all")]
    TooLarge { width: u64, height: u64 },
    #[error("{0} pixels on a side are too many for {1}; the limit is {2}")]
    TooLong(u32, &'static str, u32),
    #[error("{0}")]
    Parameter(&'static str),
}

impl From<Error> for inos_sdk::Error {
    fn from(e: Error) -> Self {
        let kind = match e {
            Error::NotAPicture | Error::Damaged { .. } | Error::Parameter(_) => Kind::Invalid,
            Error::OtherFormat(_) | Error::Feature { .. } | Error::TooLong(..) => Kind::Unsupported,
            Error::TooLarge { .. } => Kind::Exhausted,
        };
        Self::new(kind, e.to_string())
    }
}
