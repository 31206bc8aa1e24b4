// Package protocols carries the generated Rust that the Rust SDK includes, for
// projects that are made without a clone of the sources.
package protocols

import "embed"

// Rust holds what modules/sdk includes; a test of package sdk compares.
//
//go:embed gen/rust/src/module gen/rust/src/syscall
var Rust embed.FS
