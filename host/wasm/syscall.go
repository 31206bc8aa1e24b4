package wasm

import (
	"context"

	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/module/guest"
	"inos/kernel/wire"
)

var _ module.Guest = (*instance)(nil)

// syscall serves inos.syscall and returns where the completion lies.
//
// While the node serves, the guest is not running: its worker's slot goes to
// another, so that a guest may wait for a thread where there is one worker.
func (in *instance) syscall(at wire.Span) uint64 {
	r := &in.run
	if !r.inCall {
		panic(guest.EarlySyscall)
	}
	in.charge(guest.SyscallGas + uint64(at.Length)>>guest.IOShift)
	request, ok := in.view(at)
	if !ok {
		panic(guest.BadSyscall)
	}
	if in.Left() == 0 {
		panic(guest.OutOfGas)
	}
	r.inCall = false // inos_alloc, which Give calls, must not call back
	done, err := in.complete(request)
	if err == nil {
		var span wire.Span
		if span, err = in.hand(done); err == nil {
			r.inCall = true
			return uint64(span.Pointer)<<32 | uint64(span.Length)
		}
	}
	panic(guest.StopOf(err))
}

// complete has the request served and returns the completion.
func (in *instance) complete(request []byte) ([]byte, error) {
	s := in.run.call.Syscalls
	switch {
	case len(request) > wire.MaxSyscall:
		return failed(0, api.Invalid, "a system call's request has at most 4,096 bytes; data travels beside it")
	case s == nil:
		q, _ := wire.DecodeSyscallRequest(request)
		return failed(q.ID, api.Unsupported, "this host serves no system calls")
	}
	if err := in.park(); err != nil {
		return nil, err
	}
	done, err := s.Syscall(in.run.sysCtx, request, in)
	if back := in.unpark(); back != nil {
		return nil, back
	}
	return done, err
}

func failed(id uint64, kind api.Kind, msg string) ([]byte, error) {
	return wire.EncodeSyscallCompletion(wire.SyscallCompletion{ID: id, Result: wire.SyscallFailed{Kind: kind, Message: msg}})
}

// park gives the worker's slot back for the time of a system call.
func (in *instance) park() error {
	r, e := &in.run, in.live.engine
	if r.sysCtx == nil {
		ctx, cancel := context.WithDeadline(r.ctx, r.deadline)
		stop := context.AfterFunc(e.ctx, cancel)
		r.sysCtx, r.sysCancel = ctx, func() { stop(); cancel() }
		e.parked.Add(1) // by a guest with a slot, so before Close has them all
	}
	if err := r.sysCtx.Err(); err != nil {
		return in.stopped(err)
	}
	e.leave()
	return nil
}

// unpark waits for a slot to go on with.
func (in *instance) unpark() error {
	r := &in.run
	if err := in.live.engine.enter(r.sysCtx); err != nil {
		r.out = true
		return in.stopped(err)
	}
	if err := r.sysCtx.Err(); err != nil { // it has the slot, and nobody wants it to go on
		return in.stopped(err)
	}
	return nil
}

// stopped says why a guest in a system call cannot go on.
func (in *instance) stopped(err error) error {
	r := &in.run
	switch {
	case in.live.engine.ctx.Err() != nil:
		return api.Errorf("wasm.syscall", api.Closed, "the node is stopping")
	case r.ctx.Err() != nil:
		return api.Errorf("wasm.syscall", api.KindOf(r.ctx.Err()), "the call was canceled while the guest waited for a system call")
	case r.sysCtx.Err() != nil:
		return api.Errorf("wasm.syscall", api.Timeout, "the guest ran longer than its time limit")
	}
	return err
}

// endSyscalls ends what the guest's system calls left running.
func (in *instance) endSyscalls(c *module.Call) {
	if c.Syscalls != nil {
		c.Syscalls.End(in)
	}
	if in.run.sysCancel != nil {
		in.run.sysCancel()
	}
}

// View implements module.Guest.
func (in *instance) View(s wire.Span) ([]byte, bool) {
	b, ok := in.view(s)
	if ok {
		in.charge(uint64(len(b)) >> guest.IOShift)
	}
	return b, ok
}

// Give implements module.Guest.
func (in *instance) Give(b []byte) (wire.Span, error) { return in.hand(b) }

// Fill implements module.Guest. What is copied is charged as Give's is.
func (in *instance) Fill(at wire.Span, b []byte) {
	in.charge(uint64(len(b)) >> guest.IOShift)
	copyInPieces(in.memory.bytes(in.memory.size)[at.Pointer:][:at.Length], b)
}

// Left implements module.Guest.
func (in *instance) Left() uint64 {
	r := &in.run
	used := r.spent + uint64(int64(r.granted)-int64(in.gas.Get()))
	return r.limit - min(used, r.limit)
}

// TakeGas implements module.Guest.
func (in *instance) TakeGas(gas uint64) bool {
	if gas > in.Left() {
		return false
	}
	in.run.spent += gas
	return true
}

// GiveGas implements module.Guest.
func (in *instance) GiveGas(gas uint64) { in.run.spent -= gas }
