// Package meter rewrites a WebAssembly module so that it counts its own work.
//
// The rewritten module computes what the original computes and, beside it,
// keeps gas (the price of compute) and the logical depth of its call stack. When
// a slice of gas is used up, the guest calls the imported function
// "inos:meter" "slice"; the host then grants the next slice, or stops the guest
// by panicking there. One mechanism gives a price that is the same on every
// host, bounded execution, prompt cancellation, and regular returns to Go, so
// that the collector can stop the world while a guest loops.
//
// How a function is rewritten:
//
//   - Straight-line runs of instructions are charged at once, where they begin.
//     A run ends where control may leave or join.
//   - The counter lives in a local while the function runs. It is stored to the
//     global before a call, an unreachable and the return, and loaded after a
//     call. Loop heads and functions that call others check it.
//   - Instructions whose work depends on an operand (bulk memory, tables,
//     memory.grow) are charged by it, and copies and fills above BulkChunk go
//     through an added function that returns to the host between chunks.
//   - A function that calls others counts its frame against StackUnits.
//
// Invariants:
//   - Added code leaves the operand stack as it found it, and every index of the
//     original is checked against the original's index spaces, so an invalid
//     module stays invalid and cannot name what was added.
//   - Names beginning with "inos:" belong to the host; a module that uses one is
//     refused.
//   - Gas depends on the module and its inputs alone.
//
// The rewritten module must still be validated by the engine: this package
// checks structure and indices, not types.
//
// Source for basic-block metering: P. Kothapalli et al., "wasm-instrument"
// (Parity, 2022), and NEAR's finite-wasm for stack depth.
package meter

import (
	"strings"

	"inos/kernel/api"
	"inos/kernel/module/bin"
)

// Names that the rewritten module and its host share.
const (
	Reserved     = "inos:"      // prefix of every reserved name
	ImportModule = "inos:meter" // of the import "slice"
	ImportSlice  = "slice"      // (gas left: i64, reason: i32) -> (gas left: i64)
	ImportGrow   = "grow"       // (pages: i32) -> (pages before, or -1: i32); only with Options.Browser
	GasExport    = "inos:gas"   // mutable i64: gas left in the slice
	StartExport  = "inos:start" // function: the start function, which nothing calls by itself; only with Options.Browser
	DepthExport  = "inos:depth" // mutable i32: stack units in use, 0 between calls unless one trapped
	globalPrefix = "inos:g"     // + index: the original's mutable globals
)

// Reasons that the guest passes to slice.
const (
	ReasonSlice = 0 // the slice is used up, or a chunk of a bulk operation is done
	ReasonStack = 1 // StackUnits is passed; the host must stop the guest
	ReasonTable = 2 // a table would pass MaxTable; the host must stop the guest
)

// Bounds on what Instrument accepts.
const (
	MaxModule    = 64 << 20 // bytes of the file
	maxBody      = 2 << 20  // bytes of one function
	maxLocals    = 50_000   // of one function, parameters included
	maxAllLocals = 8 << 20  // of all functions: an engine keeps a byte or more for each
	maxFunctions = 1 << 20  // imported and defined
	maxTypes     = 1 << 16
	maxGlobals   = 1 << 16
	maxTables    = 64
	maxSegments  = 100_000 // of data
	maxParams    = 1000    // parameters or results of a type
	maxNesting   = 4096    // blocks inside blocks
	maxOutput    = 256 << 20
)

// MaxWait is the longest that a rewritten memory.atomic.wait sleeps, in
// nanoseconds, whatever it asks for, so that a waiting worker can be stopped. Code
// that waits must allow for waking early in any case.
const MaxWait = 20_000_000

// Import is one import of the original.
type Import struct {
	Module, Name string
	Kind         byte   // bin.KindFunc, ...
	Type         string // of a function, as in Info.Types
}

// Info is what the host needs to know about a rewritten module.
type Info struct {
	Imports []Import        // of the original
	Exports map[string]byte // of the original: name to kind

	// Types are those of the exported functions, in letters: parameters, a colon,
	// results. i, I, f and F are i32, i64, f32 and f64; ? is any other.
	Types map[string]string

	MemMin   uint32 // pages of 64 KiB
	MemMax   uint32 // pages; 65,536 when the module names no maximum
	Shared   bool   // the memory is shared
	TableMin uint64 // elements of all tables together
	HasStart bool

	// Globals are the export names of the original's mutable globals. Together
	// with the memory they are all state that a call can change, unless Sticky.
	Globals []string

	// Sticky reports that the module may change state that the host cannot put
	// back: tables, dropped segments, or globals that hold references or vectors.
	// Such a module needs a new instance for each call.
	Sticky bool
}

// Options change what is added, never what a call costs.
type Options struct {
	// Browser is for a host that is JavaScript. memory.grow asks it, through
	// ImportGrow, because a browser grows memories without asking anybody; it
	// returns what the instruction would, or stops the guest. And it calls the start
	// function, StartExport, once it has the memory that the function's imports use.
	Browser bool
}

// added is how many imports stand before the defined functions.
func (o Options) added() uint32 {
	if o.Browser {
		return 2
	}
	return 1
}

// Instrument rewrites wasm without options.
func Instrument(wasm []byte) ([]byte, Info, error) { return InstrumentWith(wasm, Options{}) }

// InstrumentWith rewrites wasm. It never panics, and uses memory in proportion to
// its input. It returns api.Invalid when the module is malformed, uses
// what WebAssembly 2.0 lacks, or touches a reserved name.
func InstrumentWith(wasm []byte, o Options) ([]byte, Info, error) {
	if len(wasm) > MaxModule {
		return nil, Info{}, invalid("the module is larger than 64 MiB")
	}
	sections, err := bin.Sections(wasm)
	if err != nil {
		return nil, Info{}, err
	}
	m, err := parse(sections)
	if err != nil {
		return nil, Info{}, err
	}
	m.options = o
	out, err := m.rewrite(len(wasm))
	if err != nil {
		return nil, Info{}, err
	}
	return out, m.info, nil
}

// Inspect reads what Instrument would report of a module's structure, without
// looking into its functions; Sticky is therefore not final.
func Inspect(wasm []byte) (Info, error) {
	sections, err := bin.Sections(wasm)
	if err != nil {
		return Info{}, err
	}
	m, err := parse(sections)
	if err != nil {
		return Info{}, err
	}
	return m.info, nil
}

func invalid(msg string) error { return api.Errorf("meter.instrument", api.Invalid, msg) }

func reserved(name string) bool { return strings.HasPrefix(name, Reserved) }
