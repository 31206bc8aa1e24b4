package guest

import (
	"errors"
	"strings"

	"inos/kernel/api"
)

const op = "wasm.call"

// Stop is why a guest was stopped, or why the host refuses what it asked. It is
// an error.
type Stop struct {
	Kind api.Kind
	Msg  string
}

// Error returns the words.
func (s Stop) Error() string { return s.Msg }

// In is the stop as the error of an operation.
func (s Stop) In(op string) error { return api.Errorf(op, s.Kind, s.Msg) }

// Why guests are stopped.
var (
	OutOfGas     = Stop{api.Exhausted, "the guest used up its gas; raise the gas limit or give it less to do"}
	TooDeep      = Stop{api.Exhausted, "the guest's calls are nested too deep"}
	TableFull    = Stop{api.Exhausted, "a table of the guest grew beyond 1,000,000 elements"}
	OverMemory   = Stop{api.Exhausted, "the guest needs more memory than its limit; raise the limit or give it less to do"}
	OverNode     = Stop{api.Unavailable, "the guest needs more memory than this node gives; run it on a larger one"}
	SmallStack   = Stop{api.Unavailable, "the guest's calls are nested deeper than this browser's stack; run it on a native node"}
	OverTime     = Stop{api.Timeout, "the guest ran longer than its time limit"}
	Rested       = Stop{api.Unavailable, "this node gives jobs of others a share of its processor only, with which this one was not done in its time; try another node"}
	Canceled     = Stop{api.Canceled, "the call was canceled while the guest ran"}
	Stopping     = Stop{api.Closed, "the node is stopping"}
	Exited       = Stop{api.Trapped, "the module exited instead of answering"}
	BadLog       = Stop{api.Trapped, "the module logs memory that it does not have"}
	BadSyscall   = Stop{api.Trapped, "the module submits a system call from memory that it does not have"}
	EarlySyscall = Stop{api.Trapped, "the module makes a system call outside inos_call"}
	BadEpoch     = Stop{api.Trapped, "the module waits for an epoch that it was not lent"}
	NoRoom       = Stop{api.Exhausted, "the module has no memory left for its input; give it a smaller one or a larger memory limit"}
	NoWindow     = Stop{api.Exhausted, "the module has no room for its input; give it a smaller one or a larger memory limit"}
	SmallLimit   = Stop{api.Exhausted, "the memory limit is smaller than what the module starts with"}
	BigOutput    = Stop{api.Exhausted, "the output is larger than its limit; raise the output limit"}
	NoSyscalls   = Stop{api.Unsupported, "this tab is not cross-origin isolated, so modules in it cannot make system calls; serve the page with COOP and COEP, or run the job on another node"}
)

// How a guest breaks the ABI.
var (
	BadAlloc      = Broken("inos_alloc returned memory that is not there or not 8-byte aligned")
	BadWindow     = Broken("inos_window returned memory that is not there or does not begin at a multiple of 64 KiB")
	LongResponse  = Broken("its response is longer than 65,536 bytes")
	LostResponse  = Broken("its response lies outside its memory")
	NotAResponse  = Broken("its response is not a Response message")
	LostOutput    = Broken("its output lies outside its memory")
	TwoBeginnings = Stop{api.Trapped, "the module's initialization does not end in the same state each time"}
	SlowStart     = Stop{api.Unavailable, "the module did not start within 5 s here; the node may be overloaded: try again, or another node"}
)

// Broken is the stop of a guest that does other than docs/abi.md says.
func Broken(what string) Stop { return Stop{api.Trapped, "the module broke the ABI: " + what} }

// Trap is the stop of a guest that trapped: what happened, in the words of every
// engine, and the functions it happened in, the innermost first.
func Trap(text string, frames []string) Stop {
	const most = 4
	if at := frames[:min(len(frames), most)]; len(at) > 0 {
		text += " in " + strings.Join(at, " < ")
	}
	if len(text) > 512 {
		text = text[:512]
	}
	return Stop{api.Trapped, "the module trapped: " + strings.ToValidUTF8(text, "?")}
}

// StopOf is the stop that an error amounts to: its kind, and its text without
// operations.
func StopOf(err error) Stop {
	var stop Stop
	if errors.As(err, &stop) {
		return stop
	}
	var e *api.Error
	if errors.As(err, &e) {
		return Stop{e.Kind, e.Message()}
	}
	return Stop{api.KindOf(err), err.Error()}
}
