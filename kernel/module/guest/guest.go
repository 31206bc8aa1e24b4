// Package guest is what every engine of kernel/module makes of a guest alike:
// what it pays for the host's work, what it may import, what bounds it, and the
// words in which a call that it failed is reported. host/wasm runs guests
// natively by these rules, host/webwasm in a browser's workers; each engine adds
// only how code is executed.
//
// Invariants:
//   - Every number here is part of what a job costs or gives. A change is a new
//     version of the meter.
//   - No engine has words of its own for what a guest did: the error of a job is
//     the same on every node.
package guest

import (
	"strings"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// Prices in gas, beside those of kernel/module/meter.
const (
	IOShift    = 4    // bytes that a call or system call moves: 1 gas for 16
	SyscallGas = 2000 // a system call, or a wait for an epoch
	LogGas     = 200  // inos.log
	WASIGas    = 100  // any function of WASI
	VecGas     = 10   // a vector of fd_write
	SubGas     = 20   // a subscription of poll_oneoff
	RandomGas  = 1    // a byte of random_get
)

// Bounds of what a module declares and of what it does before its first call.
const (
	MaxInitialPages = 4096      // 256 MiB
	MaxInitialTable = 1_000_000 // elements
	InitGas         = 1 * api.Ggas
	InitWallMS      = 5_000
)

// Bounds of what a guest asks of its host.
const (
	MaxLogLine  = 4096
	MaxLogLines = 256 // a call
	MaxIOVecs   = 1024
	MaxSubs     = 1024 // subscriptions of one poll_oneoff
	MaxRandom   = 1 << 20
	ClockStepUS = 1 // microseconds per reading of the clock
)

// RandomContext names the stream that random_get reads: BLAKE3's extendable
// output, in its mode of key derivation, of the job's seed.
const RandomContext = "inos 2026 guest random_get v1"

// Answer marks an error that the guest itself reported in a well-formed
// response: its instance kept the ABI and may serve again.
type Answer struct{ Err error }

// Error returns the cause's text.
func (a Answer) Error() string { return a.Err.Error() }

// Unwrap returns the cause.
func (a Answer) Unwrap() error { return a.Err }

// Reported is the error for a failure that the guest describes. The kind that
// the guest names can be found with errors.Is; the kind of the whole is one that
// a job's outcome may have (api.GuestOutcome), because what is wrong with the
// input is wrong with it everywhere.
func Reported(p wire.ModuleResponse) Answer {
	msg := clean(p.Message)
	if msg == "" {
		msg = "the module reports: " + clean(p.Kind)
	}
	switch p.Kind {
	case "invalid", "exhausted":
		return Answer{api.Errorf(op, api.KindNamed(p.Kind), msg)}
	case "not-found", "corrupt", "unsupported":
		return Answer{api.E(op, api.Invalid, api.Errorf("module", api.KindNamed(p.Kind), msg))}
	}
	return Answer{api.Errorf(op, api.Trapped, msg)}
}

// clean makes a guest's text safe to show.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\n' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
