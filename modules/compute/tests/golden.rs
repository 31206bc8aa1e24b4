//! What comes out, to the byte. Package modules' test runs the same table against
//! the WebAssembly, so native and sandboxed results agree; what depends on the
//! JPEG decoder's rounding is in golden-wasm.txt and is run there alone.
//!
//! After a deliberate change: `GOLDEN=write cargo test -p compute --test golden`,
//! `scripts/modules.sh`, `GOLDEN=write go test ./modules`.

mod common;

use common::fixture;
use compute::MODULE;

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden.txt");

/// A line is `unit.method PARAMS FIXTURE DIGEST`.
#[test]
fn outputs_are_pinned() {
    let table = std::fs::read_to_string(TABLE).unwrap();
    let mut now = String::new();
    for line in table.lines() {
        if line.starts_with('#') {
            now += &format!("{line}\n");
            continue;
        }
        let columns: Vec<&str> = line.split(' ').collect();
        let (unit, method) = columns[0].split_once('.').unwrap();
        let input = fixture(columns[2]);
        let output = MODULE.run(unit, method, columns[1].as_bytes(), &input).unwrap();
        let digest = blake3::hash(output.body());
        now += &format!("{} {} {} {digest}\n", columns[0], columns[1], columns[2]);
    }
    if std::env::var_os("GOLDEN").is_some() {
        std::fs::write(TABLE, now).unwrap();
        return;
    }
    assert_eq!(now, table, "outputs changed");
}
