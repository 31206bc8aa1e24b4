//! Input and output as streams.

use std::io;

use crate::error::{Error, Kind};
use crate::method::{Call, Output};

impl<'a> Call<'a> {
    /// The input from its start, as a stream. It is in memory: reading neither
    /// waits nor fails.
    pub fn reader(&self) -> io::Cursor<&'a [u8]> {
        io::Cursor::new(self.input())
    }

    /// A stream that becomes the output; writing beyond the call's limit fails
    /// with [`Kind::Exhausted`].
    pub fn writer(&self) -> Writer {
        Writer { bytes: Vec::new(), limit: self.output_limit(), media_type: "" }
    }
}

/// An output under construction, made by [`Call::writer`].
#[derive(Debug)]
pub struct Writer {
    bytes: Vec<u8>,
    limit: u64,
    media_type: &'static str,
}

impl Writer {
    /// Names the output's media type when it is not the declared one.
    pub fn typed(mut self, media_type: &'static str) -> Self {
        self.media_type = media_type;
        self
    }
}

impl io::Write for Writer {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if self.bytes.len() as u64 + piece.len() as u64 > self.limit {
            let full = Error::exhausted("the output is longer than the call allows; raise its output limit");
            return Err(io::Error::other(full));
        }
        self.bytes.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl From<Writer> for Output<'_> {
    fn from(w: Writer) -> Self {
        Output::typed(w.media_type, w.bytes)
    }
}

/// A stream's failure as a node understands it: what [`Writer`] reports keeps
/// its kind, a reader's means that the input is wrong.
impl From<io::Error> for Error {
    fn from(e: io::Error) -> Self {
        let text = e.to_string();
        match e.downcast::<Error>() {
            Ok(own) => own,
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Error::new(Kind::Corrupt, "the input ends too early"),
            Err(_) => Error::invalid(text),
        }
    }
}
