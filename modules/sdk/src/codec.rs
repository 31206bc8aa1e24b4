//! The two messages of a call. Safe code over bytes; `abi` finds those bytes.

use capnp::message::{Builder, HeapAllocator, ReaderOptions};
use capnp::serialize;

use crate::abi::Span;
use crate::call_capnp::{request, response};
use crate::error::Error;
use crate::method::SEED_BYTES;

/// What a node keeps of a failure's message.
const MESSAGE_BYTES: usize = 1024;

/// A decoded request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) unit: String,
    pub(crate) method: String,
    pub(crate) params: Vec<u8>,
    pub(crate) input: Span,
    pub(crate) input_media_type: String,
    pub(crate) input_name: String,
    pub(crate) output_limit: u64,
    pub(crate) seed: [u8; SEED_BYTES],
    pub(crate) submitted_unix_ms: i64,
}

/// Decodes a request in stream framing; `bytes` must be 8-byte aligned.
pub(crate) fn decode_request(mut bytes: &[u8]) -> capnp::Result<Request> {
    let message = serialize::read_message_from_flat_slice(&mut bytes, ReaderOptions::new())?;
    let request = message.get_root::<request::Reader>()?;
    let span = request.get_input()?;
    let mut seed = [0; SEED_BYTES];
    let sent = request.get_job_seed()?;
    if sent.len() == SEED_BYTES {
        seed.copy_from_slice(sent);
    }
    Ok(Request {
        unit: request.get_unit()?.to_string()?,
        method: request.get_method()?.to_string()?,
        params: request.get_params()?.to_vec(),
        input: Span { pointer: span.get_pointer(), length: span.get_length() },
        input_media_type: request.get_input_media_type()?.to_string()?,
        input_name: request.get_input_name()?.to_string()?,
        output_limit: request.get_output_limit(),
        seed,
        submitted_unix_ms: request.get_submitted_unix_ms(),
    })
}

/// Encodes the answer to a call, in stream framing.
pub(crate) fn encode_response(answer: Result<(Span, &str), &Error>) -> Vec<u8> {
    let mut message = Builder::new(HeapAllocator::new().first_segment_words(32));
    let response = message.init_root::<response::Builder>();
    match answer {
        Ok((span, media_type)) => {
            let mut ok = response.init_ok();
            ok.set_media_type(media_type);
            let mut output = ok.init_output();
            output.set_pointer(span.pointer);
            output.set_length(span.length);
        }
        Err(error) => {
            let mut failure = response.init_error();
            failure.set_kind(error.kind().name());
            failure.set_message(shorten(error.message()));
        }
    }
    serialize::write_message_to_words(&message)
}

/// The longest prefix of whole characters that a node keeps.
fn shorten(message: &str) -> &str {
    let mut end = message.len().min(MESSAGE_BYTES);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request_bytes(seed: &[u8]) -> Vec<u8> {
        let mut message = Builder::new_default();
        let mut r = message.init_root::<request::Builder>();
        r.set_unit("image");
        r.set_method("info");
        r.set_params(b"{}");
        r.set_job_seed(seed);
        r.set_submitted_unix_ms(-5);
        r.set_output_limit(9);
        r.set_input_name("a.png");
        let mut input = r.init_input();
        input.set_pointer(8);
        input.set_length(3);
        serialize::write_message_to_words(&message)
    }

    fn aligned(bytes: &[u8]) -> Vec<u64> {
        bytes.chunks(8).map(|c| u64::from_ne_bytes(c.try_into().unwrap())).collect()
    }

    fn decode(bytes: &[u8]) -> capnp::Result<Request> {
        let words = aligned(bytes);
        let mut back = Vec::new();
        for w in &words {
            back.extend_from_slice(&w.to_ne_bytes());
        }
        decode_request(&back)
    }

    #[test]
    fn request_survives_the_round() {
        let r = decode(&request_bytes(&[7; 32])).unwrap();
        assert_eq!((r.unit.as_str(), r.method.as_str()), ("image", "info"));
        assert_eq!(r.params, b"{}");
        assert_eq!(r.input, Span { pointer: 8, length: 3 });
        assert_eq!((r.output_limit, r.submitted_unix_ms), (9, -5));
        assert_eq!(r.seed, [7; 32]);
        assert_eq!((r.input_name.as_str(), r.input_media_type.as_str()), ("a.png", ""));
    }

    #[test]
    fn damaged_requests_are_errors() {
        let good = request_bytes(&[7; 32]);
        for cut in (0..good.len()).step_by(8) {
            assert!(decode(&good[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn failures_are_shortened_between_characters() {
        let long = "é".repeat(2000);
        let bytes = encode_response(Err(&Error::invalid(long)));
        let message = serialize::read_message(&mut bytes.as_slice(), ReaderOptions::new()).unwrap();
        let root = message.get_root::<response::Reader>().unwrap();
        let Ok(response::Which::Error(Ok(failure))) = root.which() else { panic!("not an error") };
        assert_eq!(failure.get_kind().unwrap(), "invalid");
        assert_eq!(failure.get_message().unwrap().to_str().unwrap(), "é".repeat(512));
    }
}
