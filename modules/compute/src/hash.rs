//! Digests of any bytes.

use inos_sdk::{Call, Error, Method, Output, Unit, method};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::Digest;

/// The unit's table.
pub const UNIT: Unit =
    Unit { name: "hash", doc: "Digests of any bytes.", methods: &[method::<Blake3>(), method::<Sha256>()] };

/// How a digest is written down.
#[derive(Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Form {
    /// an object with algorithm, bytes (hashed) and hex
    #[default]
    Json,
    /// the hexadecimal digest and a newline
    Text,
    /// the 32 bytes of the digest
    Raw,
}

#[derive(Serialize)]
struct Report<'a> {
    algorithm: &'a str,
    bytes: usize,
    hex: &'a str,
}

/// The BLAKE3-256 digest of the input.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Blake3 {
    /// How the digest is written down.
    #[serde(default)]
    form: Form,
}

impl Method for Blake3 {
    const NAME: &'static str = "blake3";
    const WRITES: &'static str = "application/json";

    fn run<'a>(self, call: &Call<'a>) -> Result<Output<'a>, Error> {
        Ok(write("blake3", call, *blake3::hash(call.input()).as_bytes(), self.form))
    }
}

/// The SHA-256 digest of the input.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sha256 {
    /// How the digest is written down.
    #[serde(default)]
    form: Form,
}

impl Method for Sha256 {
    const NAME: &'static str = "sha256";
    const WRITES: &'static str = "application/json";

    fn run<'a>(self, call: &Call<'a>) -> Result<Output<'a>, Error> {
        Ok(write("sha256", call, sha2::Sha256::digest(call.input()).into(), self.form))
    }
}

fn write<'a>(algorithm: &str, call: &Call<'_>, digest: [u8; 32], form: Form) -> Output<'a> {
    let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
    match form {
        Form::Json => super::json(&Report { algorithm, bytes: call.input().len(), hex: &hex }),
        Form::Text => Output::typed("text/plain", (hex + "\n").into_bytes()),
        Form::Raw => Output::typed("application/octet-stream", digest.to_vec()),
    }
}
