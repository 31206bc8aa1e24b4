//! Shared by the tests of all units.
#![allow(dead_code)] // each test file uses its part

use compute::MODULE;
use image::DynamicImage;
use inos_sdk::Error;

/// A committed picture: photo.jpg is stored on its side (EXIF orientation 6, 480 x 320
/// as shown), glow.png is 96 x 64 with transparency, lossy.webp is a 16 x 16 VP8.
pub fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Runs a method of the image unit; the output and its media type.
pub fn run(method: &str, params: &str, input: &[u8]) -> Result<(Vec<u8>, &'static str), Error> {
    let output = MODULE.run("image", method, params.as_bytes(), input)?;
    Ok((output.body().to_vec(), output.media_type()))
}

/// Decodes an output through the module itself, into PNG and from there with another decoder's help.
pub fn pixels(output: &[u8]) -> DynamicImage {
    let (png, _) = run("convert", r#"{"format":"png"}"#, output).unwrap();
    image::load_from_memory(&png).unwrap()
}

/// The report of image.info.
pub fn info(input: &[u8]) -> serde_json::Value {
    serde_json::from_slice(&run("info", "{}", input).unwrap().0).unwrap()
}
