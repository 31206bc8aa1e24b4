// Package syscall is the kernel's side of system calls: it takes requests from
// a guest's submission ring, decides whether they may be served, has a host
// serve them, and puts completions into the completion ring. It touches no
// operating system, network or clock itself.
//
// The way of one call. The engine's import copies the request into the ring
// pair of the instance and rings the doorbell (Session.Syscall). The kernel
// reads the ring, decodes, authorizes and dispatches to Services. Who asks is
// known from the ring, that is from the session that holds it: a request that
// names another module is refused and counted.
//
// Whether a request is served depends on, in this order: its form, its source,
// the module's manifest, the node's rules for the module (allow, deny), the
// calls in flight, the rate, what the call was given (addresses, counts, sizes)
// and the budget. Every refusal has a reason, which is counted for module and
// system call, and a kind, which the guest sees.
//
// Invariants:
//   - A refused request reaches no service and costs no credits.
//   - A deterministic module sees completions that depend on its call alone. What
//     depends on the node or the hour (rates, budgets, rules, failures of the
//     mesh) ends its call instead, so that it may run elsewhere.
//   - What a request sets aside (calls in flight, credits, gas) is given back when
//     the request or its thread ends, however it ends.
//   - A call and its threads together store within one bound and wait within one
//     bound: a call that waits holds a worker's place and costs no gas.
//   - The table of modules, the ring pairs, each session's threads and stored
//     objects are bounded where they are declared.
package syscall

import (
	"context"

	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/wire"
)

// Caller is the call of a module that makes system calls. It does not change.
type Caller struct {
	Module     *module.Description
	ModuleLink api.Link // object with its file; zero for built-in ones
	Job        api.ID
	Owner      api.NodeID // who pays and owns what is stored
	Blame      api.NodeID // whose input it works on: traps count against that node

	Params      []byte // of the job, canonical JSON; links and addresses in it may be fetched
	Input       api.Link
	InputPath   string     // the input is this file of a folder object
	OutputKey   [32]byte   // seals what is stored
	Limits      api.Limits // without zeros
	Seed        [32]byte
	SubmittedMS int64
	Thread      bool // it was started by another call and starts none

	account *account // shared by a call and its threads; Kernel.Open makes it
}

// Services do what was authorized. All methods are safe for concurrent use,
// return soon after ctx ends, and report failures by kind. Data that they are
// given is the guest's memory, which may be unmapped as soon as they return: what
// outlives the method, goroutines included, works on a copy.
type Services interface {
	// Fetch returns a verified range of a block or a file and the size of the
	// whole. The bytes are the caller's.
	Fetch(ctx context.Context, c *Caller, q Fetch) (data []byte, size uint64, err error)

	// Store stores q.Data, valid until it returns, as an object or a block of
	// c.Owner and returns its link once the receipts are in. A block's has no key.
	Store(ctx context.Context, c *Caller, q Store) (api.Link, error)

	// Send puts data, valid until it returns, into the mailbox of a module and
	// returns the verified receipt. A zero node means this one.
	Send(ctx context.Context, c *Caller, to api.NodeID, module string, data []byte) (wire.MessageReceipt, error)

	// Host serves an operation of a named service. data is valid until it returns.
	Host(ctx context.Context, c *Caller, service, operation, argument string, data []byte) (HostAnswer, error)

	Threads
}

// Threads runs methods of a module beside a call of it: for guests a call in an
// instance of its own, for residents another worker over the same memory.
type Threads interface {
	// Spawn starts call of c's module. The thread ends with ctx.
	Spawn(ctx context.Context, c *Caller, call module.Call) (Thread, error)
}

// Thread is a call that runs beside the one that started it.
type Thread interface {
	Kill()                          // stops it; a second call does nothing
	Done() <-chan struct{}          // closed when it has ended
	Result() (module.Result, error) // after Done
}

// Fetch names what to read: a range of a block when Address is set, else of a
// file in an object.
type Fetch struct {
	Link    api.Link
	Address api.Address
	Path    string
	Offset  uint64
	Length  uint32 // at most this many bytes
}

// Store names what to store.
type Store struct {
	Name   string
	Public bool
	Block  bool // Data is one block, of 1 to api.MaxBlock bytes, kept as it is
	Data   []byte
}

// HostAnswer is what a service answers. The bytes are the caller's.
type HostAnswer struct {
	Code   uint32
	Detail string
	Data   []byte
}
