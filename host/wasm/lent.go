package wasm

import (
	"context"
	"sync/atomic"
	"time"

	"inos/kernel/api"
	"inos/kernel/layout"
	"inos/kernel/module"
	"inos/kernel/module/guest"
	"inos/kernel/wire"
)

// lent is arena memory that an instance works on, mapped or copied.
//
// Invariants:
//   - at and size are set by the goroutine of the call, before revoke can see the
//     memory mapped or copied.
//   - Once gone, nothing of the arena shows in the instance and nothing of the
//     instance reaches the arena.
type lent struct {
	loan   module.Loan
	stands bool // stays between calls
	at     uint64
	size   uint64 // bytes from at: whole windows when mapped, else the loan's length
	copied bool
	gone   atomic.Bool // revoked; set before the memory's mu is taken
}

// receive gives the guest the call's input or loan.
func (in *instance) receive(c *module.Call, res *module.Result) (wire.Span, error) {
	if in.lent == nil && c.Loan != nil {
		in.lent = &lent{loan: *c.Loan}
	}
	size := uint64(len(c.Input))
	if in.lent != nil {
		if err := in.live.engine.checkLoan(&in.lent.loan); err != nil {
			return wire.Span{}, err
		}
		size = in.lent.loan.Len
	}
	if in.window == nil || size < module.WindowInput {
		return in.receiveCopy(c, res)
	}
	in.charge(size >> guest.IOShift)
	at, err := in.windowFor(layout.AlignUp(size, layout.Window))
	if err != nil {
		return wire.Span{}, err
	}
	span := wire.Span{Pointer: uint32(at), Length: uint32(size)}
	if in.lent == nil {
		res.Moved += size
		copyInPieces(in.memory.bytes(in.memory.size)[at:], c.Input)
		return span, nil
	}
	return span, in.memory.show(in.lent, at, in.live.engine.cfg.Arena, res)
}

// receiveCopy puts the input, or what is lent, where inos_alloc says.
func (in *instance) receiveCopy(c *module.Call, res *module.Result) (wire.Span, error) {
	input := c.Input
	t := in.lent
	if t != nil {
		input = in.live.engine.cfg.Arena.Bytes()[t.loan.Off:][:t.loan.Len]
	}
	span, err := in.hand(input)
	if err != nil {
		return span, err
	}
	res.Moved += uint64(len(input))
	if t != nil {
		in.memory.noteCopy(t, uint64(span.Pointer), t.loan.Len)
	}
	return span, nil
}

// checkLoan refuses a loan of memory that is not there.
func (e *Engine) checkLoan(l *module.Loan) error {
	if e.cfg.Arena == nil {
		return api.Errorf("wasm.lend", api.Unsupported, "this engine has no arena to lend from")
	}
	if mem := e.cfg.Arena.Bytes(); l.End() > uint64(len(mem)) {
		return api.Errorf("wasm.lend", api.Invalid, "the loan reaches beyond the arena")
	}
	return nil
}

// windowFor asks the guest for a window and checks the answer.
func (in *instance) windowFor(size uint64) (uint64, error) {
	stack := [1]uint64{size}
	if err := in.window.Call(stack[:]); err != nil {
		return 0, failure("wasm.call", err)
	}
	at := uint64(uint32(stack[0]))
	if at == 0 {
		return 0, guest.NoWindow.In(opCall)
	}
	if at%layout.Window != 0 || at+size > in.memory.size {
		return 0, guest.BadWindow.In(opCall)
	}
	return at, nil
}

// giveBack writes the copy of a loan to write back, once the guest is done.
func (in *instance) giveBack(res *module.Result) error {
	t := in.lent
	if t == nil || !t.copied || !t.loan.Write {
		return nil
	}
	m := &in.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	if t.gone.Load() {
		return nil
	}
	copyInPieces(in.live.engine.cfg.Arena.Bytes()[t.loan.Off:], m.bytes(m.size)[t.at:t.at+t.loan.Len])
	res.Moved += t.loan.Len
	return nil
}

// inLoan is the part of a loan to write that s is, nil when it is not all there.
func (in *instance) inLoan(s wire.Span) *module.Part {
	t := in.lent
	if t == nil || !t.loan.Write || s.Length == 0 || t.gone.Load() {
		return nil
	}
	off := uint64(s.Pointer) - t.at
	if uint64(s.Pointer) < t.at || off+uint64(s.Length) > t.loan.Len {
		return nil
	}
	return &module.Part{Off: off, Len: uint64(s.Length)}
}

// takeBack ends the loan of a call. One that stands stays.
func (in *instance) takeBack() {
	if t := in.lent; t != nil && !t.stands {
		_ = in.memory.hide(t) // an instance that keeps a mapping is found out by reset
		in.lent = nil
	}
}

// epochWait serves inos.epoch_wait: it returns the cell's value once it differs
// from seen, or when timeoutMS have passed. The worker's slot goes to another
// meanwhile.
func (in *instance) epochWait(index, seen, timeoutMS uint32) uint32 {
	r := &in.run
	if !r.inCall || in.lent == nil || uint64(index) >= uint64(len(in.lent.loan.Cells)) {
		panic(guest.BadEpoch)
	}
	in.charge(guest.SyscallGas)
	cell := in.lent.loan.Cells[index]
	if v := cell.Load(); v != seen || timeoutMS == 0 {
		return v
	}
	if in.Left() == 0 {
		panic(guest.OutOfGas)
	}
	if err := in.park(); err != nil {
		panic(guest.StopOf(err))
	}
	ctx, cancel := context.WithTimeout(r.sysCtx, time.Duration(timeoutMS)*time.Millisecond)
	v, err := cell.Await(ctx, seen)
	cancel()
	if back := in.unpark(); back != nil {
		panic(guest.StopOf(back))
	}
	switch {
	case err == nil || api.KindOf(err) == api.Timeout && r.sysCtx.Err() == nil:
		return v
	case r.sysCtx.Err() != nil:
		err = in.stopped(r.sysCtx.Err())
	}
	panic(guest.StopOf(err))
}

// noteCopy says that what t lends was copied to byte at.
func (g *guestMemory) noteCopy(t *lent, at, size uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t.at, t.size, t.copied = at, size, true
	if t.gone.Load() {
		clear(g.bytes(at + size)[at:])
	}
}

// hide ends the loan in this memory, also while the guest runs: it reads zeros,
// or its image where the window lay in that.
func (g *guestMemory) hide(t *lent) error {
	t.gone.Store(true)
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.copied && g.mem != nil {
		clear(g.bytes(t.at + t.size)[t.at:])
	}
	t.copied = false
	return g.unmap()
}
