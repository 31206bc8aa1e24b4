//! The hash unit against the digests that the algorithms' authors publish.

use compute::MODULE;

fn text(method: &str, input: &[u8]) -> String {
    let out = MODULE.run("hash", method, br#"{"form":"text"}"#, input).unwrap();
    assert_eq!(out.media_type(), "text/plain");
    String::from_utf8(out.body().to_vec()).unwrap()
}

#[test]
fn known_digests() {
    assert_eq!(text("blake3", b""), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262\n");
    assert_eq!(text("blake3", b"abc"), "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85\n");
    assert_eq!(text("sha256", b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n");
    assert_eq!(text("sha256", b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n");
}

#[test]
fn long_inputs() {
    // The BLAKE3 authors' test vectors: bytes 0 to 250 over and over.
    let input: Vec<u8> = (0..102_400u32).map(|i| (i % 251) as u8).collect();
    assert_eq!(text("blake3", &input), "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085\n");
}

#[test]
fn forms() {
    let json = MODULE.run("hash", "sha256", b"{}", b"abc").unwrap();
    assert_eq!(json.media_type(), "application/json");
    let report: serde_json::Value = serde_json::from_slice(json.body()).unwrap();
    assert_eq!(report["algorithm"], "sha256");
    assert_eq!(report["bytes"], 3);
    assert!(report["hex"].as_str().unwrap().starts_with("ba7816bf"));
    let raw = MODULE.run("hash", "blake3", br#"{"form":"raw"}"#, b"abc").unwrap();
    assert_eq!(raw.body(), blake3::hash(b"abc").as_bytes());
}
