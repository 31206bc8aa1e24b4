// Package wasmtime executes guests with Wasmtime, whose code runs about as fast
// as native code, for binaries that were built with the tag wasmtime and cgo on
// Linux. All that guests may do and pay is host/wasm's, as on wazero; this
// package gives it machines.
//
// Invariants:
//   - Memory is host/wasm's: reserved in full with a guard behind it, so that code
//     checks no bounds, and mapped back to its image between calls.
//   - No panic crosses C. What a host function or the memory panics with is kept
//     and becomes the error of the call.
//   - A guest that memory.grow ends cannot be stopped inside that instruction: it
//     runs on with -1 until it calls the host or returns, at latest at the end of
//     its slice of gas. Nobody learns what it did: its globals are put back, and
//     host functions are not called.
//   - C holds no Go pointer but during a call.
//
// Code on disk is Wasmtime's own serialization. It is trusted like code: host/wasm
// keeps it in a folder that is the node's alone, under a name with this package's
// version of Wasmtime and the CPU's features, and checks its sum.
package wasmtime
