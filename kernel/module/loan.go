package module

import (
	"context"

	"inos/kernel/api"
	"inos/kernel/epoch"
	"inos/kernel/layout"
)

// Loan is memory of the arena that a guest works on in place of an input: whole
// windows of 64 KiB from Off, of which the guest is told Len bytes. A span that
// arena.Heap hands out for 64 KiB or more is fit to be lent.
//
// A loan to read shows what the lender writes meanwhile; what the guest writes
// there reaches nobody. In a loan to write both see one memory. Either ends with
// the call: of the loan nothing stays with the guest.
//
// A loan of less than WindowInput bytes, or to a guest that names no window, or
// where memory cannot be mapped, is one copy in and, to write, one copy out after
// a call that succeeded. The guest cannot tell, and pays the same.
type Loan struct {
	Off, Len uint64
	Write    bool

	// Sparse says that the guest will look at little of it, so that pages are
	// better mapped as they are touched than beforehand.
	Sparse bool

	// Cells are what the guest may await with inos.epoch_wait, by index. At most
	// MaxLoanCells.
	Cells []*epoch.Cell
}

// MaxLoanCells bounds Loan.Cells.
const MaxLoanCells = 8

// WindowInput is the size in bytes from which an input lies in the window that
// the guest names, on every node alike. It is where a mapping begins to beat a
// copy into warm memory (docs/rationale.md).
const WindowInput = 4 << 20

// Part is a range of a loan.
type Part struct {
	Off, Len uint64 // Off counts from the start of the loan
}

// Lender is an Engine's Module that keeps a loan mapped between calls.
type Lender interface {
	// Lend opens a standing window: an instance of the module to which the loan
	// stays lent. The caller closes it. Errors are those of Call.
	Lend(ctx context.Context, loan Loan) (Window, error)
}

// Window is a standing window. Calls through it run one at a time, each from the
// state after _initialize, and skip the work of mapping.
type Window interface {
	// Call is Module.Call with the window's loan in place of Call.Loan. Closed
	// once the loan was revoked.
	Call(ctx context.Context, c Call) (Result, error)

	// Revoke ends the loan at once, also in the middle of a call: the guest reads
	// zeros there from now on, and what it writes reaches nobody.
	Revoke() error

	// Close revokes the loan, waits for the running call and frees the instance.
	Close() error
}

// Check refuses a loan that names other than whole windows of the heap, or too much.
func (l *Loan) Check() error {
	const op = "module.prepare"
	switch {
	case l.Off%layout.Window != 0 || l.Off < layout.HeapOffset || l.Off > layout.Tiers[len(layout.Tiers)-1].Size:
		return api.Errorf(op, api.Invalid, "a loan begins at a multiple of 64 KiB in the arena's heap")
	case l.Len == 0:
		return api.Errorf(op, api.Invalid, "a loan has at least one byte")
	case l.Len > api.MaxInput:
		return api.Errorf(op, api.Exhausted, "the loan is larger than 256 MiB, the most a call takes")
	case len(l.Cells) > MaxLoanCells:
		return api.Errorf(op, api.Invalid, "a loan has at most 8 epoch cells")
	}
	return nil
}

// End is the offset behind the last window.
func (l *Loan) End() uint64 { return l.Off + layout.AlignUp(l.Len, layout.Window) }
