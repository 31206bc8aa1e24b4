//! The echo unit.

use diagnostics::MODULE;
use inos_sdk::Kind;

#[test]
fn noop_returns_nothing() {
    assert!(MODULE.run("echo", "noop", b"{}", b"ignored").unwrap().body().is_empty());
}

#[test]
fn echo_returns_its_input() {
    assert_eq!(MODULE.run("echo", "echo", b"{}", b"hello").unwrap().body(), b"hello");
}

#[test]
fn unknown_methods_and_parameters_are_refused() {
    let missing = MODULE.run("echo", "shout", b"{}", b"").unwrap_err();
    assert_eq!(missing.kind(), Kind::NotFound);
    let unknown = MODULE.run("echo", "echo", br#"{"loud":true}"#, b"").unwrap_err();
    assert_eq!(unknown.kind(), Kind::Invalid);
    assert!(unknown.message().contains("loud"), "{unknown}");
}
