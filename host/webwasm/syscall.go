//go:build js

package webwasm

import (
	"context"
	"encoding/binary"
	"syscall/js"

	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/module/guest"
	"inos/kernel/wire"
)

// What the kernel says to a guest that waits: frontend/src/tab/guest/messages.ts.
const (
	sayView    = 1
	sayGive    = 2
	sayDone    = 3
	sayAbandon = 4
	sayFill    = 5
)

var _ module.Guest = (*exchange)(nil)

// syscall serves one system call of the guest, which waits for it.
//
// While the node serves, the guest is not running: its worker's slot goes to
// another, so that a guest may wait for a thread where there is one worker.
func (x *exchange) syscall(m js.Value) {
	x.left, x.rested = number(m, "left"), m.Get("rested").Truthy()
	done, err := x.complete(bytesToGo(m.Get("request")))
	if x.ended {
		x.dead = true // what was said to the guest may wait in the port for another
		return
	}
	if err == nil {
		err = x.say(sayDone, binary.LittleEndian.AppendUint64(nil, uint64(x.delta)), done)
		x.delta = 0
	}
	if err != nil {
		x.why = err
		_ = x.say(sayAbandon) // a thread that is gone needs no telling
	}
}

// givePiece is the most that one message gives.
const givePiece = 1 << 20

// say tells the guest that waits.
func (x *exchange) say(what byte, parts ...[]byte) error {
	return x.sayMore(append([][]byte{{what}}, parts...)...)
}

// sayMore sends what one message has no room for.
func (x *exchange) sayMore(parts ...[]byte) error {
	switch {
	case x.t.port == nil:
		return guest.NoSyscalls.In(opCall)
	case x.ended:
		return api.Errorf(opCall, api.Unavailable, "the guest has ended")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return x.t.port.Send(ctx, parts...)
}

// complete has the request served and returns the completion.
func (x *exchange) complete(request []byte) ([]byte, error) {
	s := x.c.Syscalls
	switch {
	case len(request) > wire.MaxSyscall:
		return failed(0, api.Invalid, "a system call's request has at most 4,096 bytes; data travels beside it")
	case s == nil:
		q, _ := wire.DecodeSyscallRequest(request)
		return failed(q.ID, api.Unsupported, "this host serves no system calls")
	}
	if err := x.park(); err != nil {
		return nil, err
	}
	done, err := s.Syscall(x.sysCtx, request, x)
	if back := x.unpark(); back != nil {
		return nil, back
	}
	return done, err
}

func failed(id uint64, kind api.Kind, msg string) ([]byte, error) {
	return wire.EncodeSyscallCompletion(wire.SyscallCompletion{ID: id, Result: wire.SyscallFailed{Kind: kind, Message: msg}})
}

// park gives the worker's slot back for the time of a system call.
func (x *exchange) park() error {
	if x.sysCtx == nil {
		ctx, cancel := context.WithDeadline(x.ctx, x.deadline)
		stop := context.AfterFunc(x.m.engine.ctx, cancel)
		x.sysCtx, x.sysCancel = ctx, func() { stop(); cancel() }
	}
	if x.sysCtx.Err() != nil {
		return x.over()
	}
	x.m.engine.leave()
	return nil
}

// unpark waits for a slot to go on with.
func (x *exchange) unpark() error {
	if err := x.m.engine.enter(x.sysCtx); err != nil {
		x.out = true
		return x.over()
	}
	if x.sysCtx.Err() != nil { // it has the slot, and nobody wants it to go on
		return x.over()
	}
	return nil
}

// over says why a guest in a system call cannot go on.
func (x *exchange) over() error {
	switch {
	case x.m.engine.ctx.Err() != nil:
		return guest.Stopping.In("wasm.syscall")
	case x.ctx.Err() != nil:
		return api.Errorf("wasm.syscall", api.KindOf(x.ctx.Err()), "the call was canceled while the guest waited for a system call")
	}
	return x.late().In("wasm.syscall")
}

// reply waits for the guest's answer to something said.
func (x *exchange) reply(want string) (js.Value, error) {
	m, err := x.hear()
	if err == nil && kind(m) != want {
		err = api.Errorf(opCall, api.Unavailable, "the module worker of this tab answered with something else")
	}
	if err == nil {
		x.left = number(m, "left")
	}
	return m, err
}

// View implements module.Guest. The bytes are a copy.
func (x *exchange) View(s wire.Span) ([]byte, bool) {
	at := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, s.Pointer), s.Length)
	if x.say(sayView, at) != nil {
		return nil, false
	}
	m, err := x.reply("viewed")
	if err != nil || m.Get("bytes").IsNull() {
		return nil, false
	}
	return bytesToGo(m.Get("bytes")), true
}

// Give implements module.Guest.
func (x *exchange) Give(b []byte) (wire.Span, error) {
	if len(b) == 0 {
		return wire.Span{}, nil
	}
	if err := x.pass(sayGive, nil, b); err != nil {
		return wire.Span{}, err
	}
	m, err := x.reply("given")
	if err != nil {
		return wire.Span{}, err
	}
	if m.Get("code").String() != "" {
		return wire.Span{}, stopOf(m).In(opCall)
	}
	return wire.Span{Pointer: uint32(int64(m.Get("pointer").Float())), Length: uint32(len(b))}, nil
}

// Fill implements module.Guest. What is copied is charged as Give's is, with the
// completion. A thread that is gone is noticed by what follows.
func (x *exchange) Fill(at wire.Span, b []byte) {
	if len(b) > 0 && x.pass(sayFill, binary.LittleEndian.AppendUint32(nil, at.Pointer), b) == nil {
		x.delta += int64(len(b) >> guest.IOShift)
	}
}

// pass sends bytes in as many messages as they need: what is said about them, their
// length, and the first of them, then the others.
func (x *exchange) pass(what byte, about, b []byte) error {
	n := min(len(b), givePiece)
	err := x.say(what, about, binary.LittleEndian.AppendUint32(nil, uint32(len(b))), b[:n])
	for at := n; at < len(b) && err == nil; at += n {
		n = min(len(b)-at, givePiece)
		err = x.sayMore(b[at : at+n])
	}
	return err
}

// Left implements module.Guest.
func (x *exchange) Left() uint64 {
	left := int64(x.left) - x.delta
	return uint64(max(left, 0))
}

// TakeGas implements module.Guest.
func (x *exchange) TakeGas(gas uint64) bool {
	if gas > x.Left() {
		return false
	}
	x.delta += int64(gas)
	return true
}

// GiveGas implements module.Guest.
func (x *exchange) GiveGas(gas uint64) { x.delta -= int64(gas) }
