//! Failures as a node understands them.

use std::fmt;

/// Who has to act on a failure. A node knows these five; anything else a module
/// does wrong (a trap, garbage) is the module's own defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The input or a parameter is wrong.
    Invalid,
    /// The input is damaged.
    Corrupt,
    /// A format or an option that this module does not do.
    Unsupported,
    /// Something the parameters name is not there.
    NotFound,
    /// A limit was reached.
    Exhausted,
}

impl Kind {
    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Corrupt => "corrupt",
            Self::Unsupported => "unsupported",
            Self::NotFound => "not-found",
            Self::Exhausted => "exhausted",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a call failed: a kind for programs, a message for people that says what
/// to do. A node keeps the first 1024 bytes of the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({kind})")]
pub struct Error {
    kind: Kind,
    message: String,
}

impl Error {
    /// An error of the given kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The input or a parameter is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    /// A format or an option that this module does not do.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Kind::Unsupported, message)
    }

    /// A limit was reached.
    pub fn exhausted(message: impl Into<String>) -> Self {
        Self::new(Kind::Exhausted, message)
    }

    /// Who has to act.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What to tell people.
    pub fn message(&self) -> &str {
        &self.message
    }
}
