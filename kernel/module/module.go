// Package module is what the kernel knows about WebAssembly modules: their
// manifests, the parameters that their methods take, and the interface of an
// engine that runs them. It runs nothing itself; host/wasm does, natively.
//
// A module is named by the BLAKE3 of its file. Parse reads a file and makes a
// Description; a Description prepares calls, so that every node refuses the
// same calls with the same words and hands a guest the same bytes.
//
// Invariants:
//   - A Description exists only for a file that is a core module with one valid
//     manifest, the exports of the guest ABI and no unknown import.
//   - A prepared Call has canonical parameters that satisfy the method's schema,
//     input within bounds, and limits without zeros.
//
// docs/abi.md is the contract with module authors.
package module

import (
	"context"
	"encoding/json"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// ABI is the latest version of the guest ABI; modules of earlier ones run too.
// ABI 2 adds system calls and mailboxes.
const ABI = 2

// Section is the custom section that holds the manifest.
const Section = "inos.manifest"

// Manifest is what a module says about itself.
type Manifest = wire.ModuleManifest

// Unit is a named group of methods.
type Unit = wire.ModuleUnit

// Method is one method of a unit.
type Method = wire.ModuleMethod

// Call is one call of a method.
type Call struct {
	Unit, Method string
	Params       json.RawMessage // JSON object; empty means {}
	Input        []byte          // the engine reads it during the call and keeps nothing; nil when there is none
	Loan         *Loan           // arena memory in place of Input; nil when there is none
	MediaType    string          // of the input; "" when unknown
	Name         string          // of the input, for people; "" when unknown
	Limits       api.Limits      // zero fields: the manifest's, else the node's defaults
	Seed         [32]byte        // the guest's only source of randomness
	SubmittedMS  int64           // Unix milliseconds, the guest's only clock

	// Share is the part of the time that the guest may run, above 0 and below 1:
	// it rests for the other. 0 means all of it. Only an engine of a tab can have
	// guests rest; the others ignore it.
	Share float64

	// Log receives the guest's log lines during the call, from one goroutine.
	// nil drops them. The line is valid until Log returns.
	Log func(level LogLevel, line []byte)

	// Syscalls serves the guest's system calls. nil answers each with
	// Unsupported.
	Syscalls Syscalls
}

// LogLevel grades a guest's log line.
type LogLevel uint8

// The levels.
const (
	Debug LogLevel = iota
	Info
	Warning
	Error
)

// String returns the lower-case name.
func (l LogLevel) String() string {
	return [...]string{"debug", "info", "warning", "error"}[min(l, Error)]
}

// Result is the outcome of a call. When the call failed, Gas, RunUS and RestUS tell what
// was used until then and the rest is zero.
type Result struct {
	Output    []byte // owned by the caller; nil when it lies in the loan
	Loaned    *Part  // where in a loan to write the output lies; nil when it does not
	MediaType string
	Gas       uint64 // depends on module and call alone, at most Limits.Gas
	RunUS     uint64 // microseconds inside the guest
	RestUS    uint64 // microseconds that the guest rested, and for which it was not inside: see Call.Share
	Moved     uint64 // bytes of input and output that were copied
}

// Engine runs modules. All methods are safe for concurrent use.
type Engine interface {
	// Load makes a module ready to be called: parsed, validated, compiled or
	// taken from the compiled-code cache. Loading a module twice gives the same
	// Module. hash must be the BLAKE3 of wasm; the engine may keep wasm.
	//
	// Errors: Invalid for a file that is no acceptable module, Trapped, Exhausted
	// or Timeout when its start function or _initialize fails, Closed. Those that
	// every node would meet are Defects with Start set.
	Load(ctx context.Context, hash api.Hash, wasm []byte) (Module, error)

	// Close stops all calls and frees everything. Later calls return Closed.
	Close() error
}

// Module is a loaded module. All methods are safe for concurrent use.
type Module interface {
	// Description returns what Parse found.
	Description() *Description

	// Call runs one method in an instance whose state is as after _initialize. It
	// waits while all workers are busy. It returns when the guest has answered or
	// was stopped: at latest a few milliseconds after ctx ends or Limits.WallMS
	// has passed, counted from when the guest starts, rests included.
	//
	// Errors: Invalid when the call does not fit the manifest, or the guest calls
	// its input or parameters wrong; Exhausted for gas, memory, stack, table or
	// output; Timeout, but Unavailable when the guest rested; Canceled when ctx was; Trapped for everything that is the
	// module's own defect; Closed. What cost the instance, or kept one from being
	// made, is a Defect; what the guest reports is none.
	Call(ctx context.Context, c Call) (Result, error)
}
