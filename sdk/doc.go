// Package sdk makes module projects and builds them: what `inos module new` and
// `inos module build` do. The binary carries templates and SDK sources, so a
// project needs the language's toolchain and neither a network nor a clone.
//
// A project is Rust (Cargo.toml), Go (go.mod) or C (module.json). Each is
// compiled by its own compiler, run as a process whose command line the caller
// sees; the manifest comes from the program itself, in C from module.json.
package sdk
