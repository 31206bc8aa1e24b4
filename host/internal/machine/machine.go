// Package machine is the seam between host/wasm, which knows what a guest may do
// and what it pays, and the engines that execute metered code. An engine
// compiles, makes machines with memory that host/wasm gives them, and calls; all
// else is the same on every engine because it is written once.
//
// Invariants, for whoever implements these interfaces:
//   - A guest stops where a host function panics with an error: nothing of it
//     runs after, and the call returns that error, as errors.As finds it.
//   - When Memory.Reallocate panics with an error, memory.grow ends the call with
//     that error, and every global is as it was when the guest called it.
//   - Globals and memory hold what the specification says also after a trap.
package machine

import (
	"errors"
	"runtime/debug"
)

// Engine compiles modules. All methods are safe for concurrent use.
type Engine interface {
	// Name is the engine's name in settings: "wazero", "wasmtime".
	Name() string

	// Key names the version of the engine and of the machine code that it makes, in
	// names of folders: code in a cache is used under the same key only.
	Key() string

	// Compile makes code of a metered module, from what it finds in dir when it
	// wrote that earlier, else writing there. dir is "" for no cache; the caller
	// vouches that nobody else wrote there. link gives the function for each
	// import, or refuses the module.
	Compile(metered []byte, dir string, link Link) (Code, error)
}

// Link resolves an import of a function.
type Link func(module, name string, t Type) (HostFunc, error)

// HostFunc serves an import. guest is what the machine was made with. stack
// holds the parameters, then the results. It may panic with an error, which ends
// the call.
type HostFunc func(guest any, stack []uint64)

// Type is the type of a function in letters, parameters, a colon and results:
// "ii:I". i, I, f and F are i32, i64, f32 and f64; ? is any other.
type Type string

// Code is a compiled module. It is closed after its last machine.
type Code interface {
	// Exports returns the types of the exported functions.
	Exports() map[string]Type

	// Machine makes an instance and runs its start section. Nothing else runs.
	// mem outlives it.
	Machine(guest any, mem Memory) (Machine, error)

	// Close frees the code.
	Close()
}

// Machine is one instance. One goroutine at a time uses it; a host function may
// use it while a call runs.
type Machine interface {
	// Func returns an exported function, nil when there is none.
	Func(name string) Func

	// Global returns an exported mutable global, nil when there is none.
	Global(name string) Global

	// Shrink makes the instance see the memory's size that Reallocate returns when
	// it is asked for one page more. It reports whether it is size then.
	Shrink(size uint64) bool

	// Close frees the instance, not its memory.
	Close()
}

// Func is an exported function.
type Func interface {
	// Call passes the parameters in stack and leaves the results there; it is
	// long enough for both. Errors are what a host function or the memory panicked
	// with, ErrStack, or the guest's trap.
	Call(stack []uint64) error
}

// Global is an exported mutable global of a number type.
type Global interface {
	Get() uint64
	Set(v uint64)
}

// Memory is the linear memory that an instance is given.
type Memory interface {
	// Reserve sets aside the addresses that the memory will have, once, before
	// Reallocate. When guard is not 0, most bytes and guard more behind them are
	// reserved in full, and what is not in use of them faults. It panics with an
	// error when there are none.
	Reserve(most, guard uint64)

	// Reallocate changes the size in use and returns all of it. It panics with an
	// error that ends the call when it must not grow.
	Reallocate(size uint64) []byte
}

// Trap is a guest's trap in the words of every engine, with the functions it
// happened in, the innermost first.
type Trap struct {
	Text   string
	Frames []string
}

// Error returns the trap's text.
func (t Trap) Error() string { return t.Text }

// ErrStack is the error of a call that used up the machine's own stack. The
// meter stops guests before that.
var ErrStack = errors.New("the stack of the machine is used up")

// Version is the version of a Go module as built in, "dev" when unknown.
func Version(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "dev"
	}
	for _, d := range info.Deps {
		if d.Path == path {
			return d.Version
		}
	}
	return "dev"
}
