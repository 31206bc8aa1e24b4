package wasm

import (
	"context"
	"time"

	"inos/kernel/module"
	"inos/kernel/module/guest"
	"inos/kernel/wire"
)

const opCall = "wasm.call"

// Call implements module.Module.
func (m *Module) Call(ctx context.Context, c module.Call) (module.Result, error) {
	if err := m.Description().Prepare(&c); err != nil {
		return module.Result{}, err
	}
	return m.occupy(ctx, func() (*run, module.Result, error) {
		l, err := m.acquire(ctx)
		if err != nil {
			return nil, module.Result{}, err
		}
		defer m.release(l)
		in, err := l.get()
		if err != nil {
			return nil, module.Result{}, err
		}
		res, clean, err := in.serve(ctx, &c)
		r := in.run
		if clean {
			l.recycle(in)
		} else {
			in.close()
		}
		return &r, res, err
	})
}

// occupy runs fn in a worker's slot. fn returns the state of the call that it
// ran, which may have given the slot back; nil when it ran none.
func (m *Module) occupy(ctx context.Context, fn func() (*run, module.Result, error)) (module.Result, error) {
	if err := m.engine.enter(ctx); err != nil {
		return module.Result{}, err
	}
	r, res, err := fn()
	if r == nil || !r.out {
		m.engine.leave()
	}
	if r != nil && r.sysCtx != nil {
		m.engine.parked.Done()
	}
	return res, err
}

// serve runs one call. clean reports that the guest kept the ABI to the end, so
// that the instance may serve again.
func (in *instance) serve(ctx context.Context, c *module.Call) (res module.Result, clean bool, err error) {
	in.memory.limit = c.Limits.MemoryBytes
	began := in.run.begin(ctx, c.Limits.Gas, time.Duration(c.Limits.WallMS)*time.Millisecond)
	in.run.call = c
	in.refill()
	err = in.exchange(c, &res)
	in.endSyscalls(c)
	in.takeBack()
	res.Gas = in.used()
	res.RunUS = uint64(time.Since(began).Microseconds())
	in.run.call = nil
	if err == nil && in.run.spent > in.run.limit {
		err = guest.OutOfGas.In(opCall)
	}
	if err != nil {
		res.Output, res.Loaned, res.MediaType = nil, nil, ""
	}
	answered, ok := err.(guest.Answer)
	clean = err == nil || ok
	switch {
	case err == nil:
	case clean:
		err = answered.Err
	default:
		err = module.CallDefect(err)
	}
	return res, clean, err
}

// exchange hands over the request and takes the response.
func (in *instance) exchange(c *module.Call, res *module.Result) error {
	if in.memory.size > in.memory.limit {
		return guest.SmallLimit.In(opCall)
	}
	input, err := in.receive(c, res)
	if err != nil {
		return err
	}
	q, err := in.request.Encode(wire.ModuleRequest{
		Unit: c.Unit, Method: c.Method, Params: c.Params, Input: input, InputMediaType: c.MediaType,
		InputName: c.Name, OutputLimit: c.Limits.OutputBytes, JobSeed: c.Seed, SubmittedUnixMS: c.SubmittedMS,
	})
	if err != nil {
		return err
	}
	request, err := in.hand(q)
	if err != nil {
		return err
	}
	stack := [2]uint64{uint64(request.Pointer), uint64(request.Length)}
	in.run.inCall = true
	err = in.call.Call(stack[:])
	in.run.inCall = false
	if err != nil {
		return failure("wasm.call", err)
	}
	if err := in.giveBack(res); err != nil {
		return err
	}
	return in.take(c, wire.Span{Pointer: uint32(stack[0] >> 32), Length: uint32(stack[0])}, res)
}

// hand copies b into memory that the guest allocates.
func (in *instance) hand(b []byte) (wire.Span, error) {
	if len(b) == 0 {
		return wire.Span{}, nil
	}
	in.charge(uint64(len(b)) >> guest.IOShift)
	stack := [1]uint64{uint64(len(b))}
	if err := in.alloc.Call(stack[:]); err != nil {
		return wire.Span{}, failure("wasm.call", err)
	}
	p := uint32(stack[0])
	if p == 0 {
		return wire.Span{}, guest.NoRoom.In(opCall)
	}
	if p&7 != 0 || uint64(p)+uint64(len(b)) > in.memory.size {
		return wire.Span{}, guest.BadAlloc.In(opCall)
	}
	copyInPieces(in.memory.bytes(in.memory.size)[p:], b)
	return wire.Span{Pointer: p, Length: uint32(len(b))}, nil
}

// copyPiece is what is copied at once: Go cannot stop a thread inside a copy, so
// one of 256 MiB would hold up its collector, and everybody, for 100 ms.
const copyPiece = 1 << 20

func copyInPieces(dst, src []byte) {
	for len(src) > 0 {
		n := copy(dst, src[:min(len(src), copyPiece)])
		dst, src = dst[n:], src[n:]
	}
}

// view returns the guest's bytes of a span without copying.
func (in *instance) view(s wire.Span) ([]byte, bool) {
	end := uint64(s.Pointer) + uint64(s.Length)
	if end > in.memory.size {
		return nil, false
	}
	return in.memory.bytes(in.memory.size)[s.Pointer:end], true
}

// take reads the response and copies the output.
func (in *instance) take(c *module.Call, at wire.Span, res *module.Result) error {
	if at.Length > wire.MaxModuleResponse {
		return guest.LongResponse.In(opCall)
	}
	b, ok := in.view(at)
	if !ok {
		return guest.LostResponse.In(opCall)
	}
	p, err := wire.DecodeModuleResponse(b)
	if err != nil {
		return guest.NotAResponse.In(opCall)
	}
	if p.Kind != "" {
		return guest.Reported(p)
	}
	if uint64(p.Output.Length) > c.Limits.OutputBytes {
		return guest.BigOutput.In(opCall)
	}
	out, ok := in.view(p.Output)
	if !ok {
		return guest.LostOutput.In(opCall)
	}
	in.charge(uint64(len(out)) >> guest.IOShift)
	if res.Loaned = in.inLoan(p.Output); res.Loaned == nil && len(out) > 0 {
		res.Moved += uint64(len(out))
		res.Output = make([]byte, len(out))
		copyInPieces(res.Output, out)
	}
	res.MediaType = p.MediaType
	if res.MediaType == "" {
		m, _ := in.live.desc.Method(c.Unit, c.Method)
		res.MediaType = module.OutputType(m)
	}
	return nil
}
