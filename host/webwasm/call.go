//go:build js

package webwasm

import (
	"context"
	"strconv"
	"syscall/js"
	"time"

	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/module/guest"
	"inos/kernel/wire"
)

const opCall = "wasm.call"

// patience is how long a worker may take to notice that a call is over before its
// thread is ended. Tests have more.
var patience = time.Second

// Call implements module.Module.
func (m *Module) Call(ctx context.Context, c module.Call) (module.Result, error) {
	if err := m.Description().Prepare(&c); err != nil {
		return module.Result{}, err
	}
	if c.Loan != nil {
		return module.Result{}, api.Errorf("wasm.lend", api.Unsupported, "this engine has no arena to lend from")
	}
	if err := m.engine.begin(); err != nil {
		return module.Result{}, err
	}
	defer m.engine.calls.Done()
	if err := m.engine.enter(ctx); err != nil {
		return module.Result{}, err
	}
	x := &exchange{m: m, c: &c, ctx: ctx}
	res, err := x.run()
	if !x.out {
		m.engine.leave()
	}
	return res, err
}

// begin counts a call, which Close waits for.
func (e *Engine) begin() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return errClosed()
	}
	e.calls.Add(1)
	return nil
}

// exchange is one call as the kernel sees it.
type exchange struct {
	m        *Module
	c        *module.Call
	ctx      context.Context // the caller's
	t        *thread
	deadline time.Time
	told     bool        // the worker was told that the call is to end
	overdue  *time.Timer // the worker does not answer
	rested   bool        // the guest had rested, as its worker last told
	out      bool        // it lost its worker's slot in a system call
	dead     bool        // the thread is of no use any more
	why      error       // what ended a system call, and with it the guest
	ended    bool        // last or lastErr is the end of the call
	last     js.Value    // what hear returned
	lastErr  error       // what hear returned

	left  uint64 // gas that the guest has, as it last told
	delta int64  // gas that system calls took since, or gave back

	sysCtx    context.Context // ends with ctx, deadline and engine; nil before the first system call
	sysCancel func()
}

// run serves the call in a thread.
func (x *exchange) run() (res module.Result, err error) {
	e := x.m.engine
	l, err := x.m.acquire(x.ctx)
	if err != nil {
		return res, err
	}
	defer x.m.release()
	if x.t, err = e.thread(l.key); err != nil {
		return res, err
	}
	if !x.t.has(l) {
		if err := x.t.load(x.ctx, l, x.m.Description()); err != nil {
			x.t.end()
			return res, module.StartDefect(err)
		}
	}
	res, clean, err := x.serve(l)
	if x.dead {
		x.t.end()
		return res, err
	}
	if x.t.post("end", map[string]any{"reuse": clean}) != nil {
		x.t.end()
		return res, err
	}
	e.rest(x.t)
	return res, err
}

// serve runs the call. clean reports that the guest kept the ABI to the end.
func (x *exchange) serve(l *live) (res module.Result, clean bool, err error) {
	if err := x.post(l); err != nil {
		return res, true, err
	}
	m, err := x.await()
	if c := x.c.Syscalls; c != nil {
		c.End(x)
	}
	if x.sysCancel != nil {
		x.sysCancel()
	}
	var gas uint64
	start := false
	if err == nil {
		gas, res.RunUS, res.RestUS = number(m, "gas"), uint64(m.Get("us").Int()), uint64(m.Get("restUS").Int())
		if kind(m) == "failed" {
			start = m.Get("start").Bool()
			err = x.failure(m)
		} else {
			res.Moved = uint64(len(x.c.Input))
			err = x.take(m, &res, &gas)
		}
	}
	gas += uint64(x.delta)
	res.Gas = min(gas, x.c.Limits.Gas)
	if err == nil && gas > x.c.Limits.Gas {
		err = guest.OutOfGas.In(opCall)
	}
	if err != nil {
		res.Output, res.MediaType = nil, ""
	}
	answered, ok := err.(guest.Answer)
	switch {
	case ok:
		return res, true, answered.Err
	case start:
		return res, false, module.StartDefect(err)
	case err != nil:
		return res, false, module.CallDefect(err)
	}
	return res, true, nil
}

// post sends the call.
func (x *exchange) post(l *live) error {
	c := x.c
	q, err := requestOf(wire.ModuleRequest{
		Unit: c.Unit, Method: c.Method, Params: c.Params, InputMediaType: c.MediaType, InputName: c.Name,
		OutputLimit: c.Limits.OutputBytes, JobSeed: c.Seed, SubmittedUnixMS: c.SubmittedMS,
	})
	if err != nil {
		return err
	}
	give := [][]byte{q.bytes, c.Seed[:]}
	if len(c.Input) > 0 {
		give = append(give, c.Input)
	}
	move, err := x.m.engine.bytesToJS(give...)
	if err != nil {
		return err
	}
	request, seed, input := move[0], move[1], any(js.Null())
	if len(c.Input) > 0 {
		input = move[2]
	}
	wall := time.Duration(c.Limits.WallMS) * time.Millisecond
	x.deadline = time.Now().Add(wall)
	x.overdue = time.NewTimer(wall + patience)
	x.left = c.Limits.Gas
	x.t.worker.Call("stop", 0)
	err = x.t.post("call", map[string]any{
		"id": x.t.id(), "hash": l.key, "request": request, "pointerAt": q.pointerAt, "lengthAt": q.lengthAt, "input": input,
		"gas": strconv.FormatUint(c.Limits.Gas, 10), "memory": float64(min(c.Limits.MemoryBytes, 4<<30)), "wallMS": c.Limits.WallMS,
		"submittedMS": strconv.FormatInt(c.SubmittedMS, 10), "seed": seed, "logs": c.Log != nil, "share": c.Share,
	}, move...)
	x.dead = err != nil
	return err
}

// await serves what the guest asks for until it is at its end. An error is the
// thread's or the caller's: the thread is lost.
func (x *exchange) await() (js.Value, error) {
	for {
		m, err := x.hear()
		if err != nil {
			x.dead = true
			return m, err
		}
		switch kind(m) {
		case "syscall":
			x.syscall(m)
		case "answered", "failed":
			return m, nil
		}
	}
}

// hear returns the next message that is no log line. What ends the call, the
// guest's last message or an error, it returns from then on: whoever hears it first,
// in the midst of a system call, does not keep it from await.
func (x *exchange) hear() (js.Value, error) {
	if !x.ended {
		x.last, x.lastErr = x.next()
		x.ended = x.lastErr != nil || kind(x.last) == "answered" || kind(x.last) == "failed"
	}
	return x.last, x.lastErr
}

// next waits for a message. It passes on that the call is to end, and gives up on
// a worker that does not hear.
func (x *exchange) next() (js.Value, error) {
	for {
		canceled, closing := x.ctx.Done(), x.m.engine.ctx.Done()
		if x.told {
			canceled, closing = nil, nil
		}
		select {
		case m := <-x.t.inbox:
			switch kind(m) {
			case "log":
				if x.c.Log != nil {
					x.c.Log(module.LogLevel(m.Get("level").Int()), bytesToGo(m.Get("line")))
				}
				continue
			case "crashed":
				return m, api.Errorf(opCall, api.Unavailable, "the module worker of this tab failed: "+m.Get("text").String())
			}
			return m, nil
		case <-canceled:
			if err := x.tell(1); err != nil {
				return js.Undefined(), err
			}
		case <-closing:
			if err := x.tell(2); err != nil {
				return js.Undefined(), err
			}
		case <-x.overdue.C:
			if err := x.endOf(); err != nil {
				return js.Undefined(), err
			}
			return js.Undefined(), x.late().In(opCall)
		}
	}
}

// tell has the worker end the call at the guest's next slice: 1 for its caller, 2
// for the node. An error when it cannot be told.
func (x *exchange) tell(why int) error {
	x.told = true
	if !x.t.worker.Call("stop", why).Bool() {
		return x.endOf()
	}
	x.overdue.Reset(patience)
	return nil
}

// endOf is the error of a call that was ended from outside, nil when none was.
func (x *exchange) endOf() error {
	switch {
	case x.m.engine.ctx.Err() != nil:
		return guest.Stopping.In(opCall)
	case x.ctx.Err() != nil:
		return guest.Stop{Kind: api.KindOf(x.ctx.Err()), Msg: guest.Canceled.Msg}.In(opCall)
	}
	return nil
}

// late is why a guest whose time is over is stopped, where the worker does not say: one
// that rested might have been done in time elsewhere.
func (x *exchange) late() guest.Stop {
	if x.rested {
		return guest.Rested
	}
	return guest.OverTime
}

// failure is the error of a guest that is at its end.
func (x *exchange) failure(m js.Value) error {
	if x.why != nil {
		return guest.StopOf(x.why).In(opCall)
	}
	stop := stopOf(m)
	if stop == guest.Canceled {
		if err := x.endOf(); err != nil {
			return err
		}
	}
	return stop.In(opCall)
}

// take reads the response and fetches the output.
func (x *exchange) take(m js.Value, res *module.Result, gas *uint64) error {
	b := m.Get("response")
	switch {
	case uint64(m.Get("length").Float()) > wire.MaxModuleResponse:
		return guest.LongResponse.In(opCall)
	case b.IsNull():
		return guest.LostResponse.In(opCall)
	}
	p, err := wire.DecodeModuleResponse(bytesToGo(b))
	if err != nil {
		return guest.NotAResponse.In(opCall)
	}
	if p.Kind != "" {
		return guest.Reported(p)
	}
	if uint64(p.Output.Length) > x.c.Limits.OutputBytes {
		return guest.BigOutput.In(opCall)
	}
	if err := x.fetch(p.Output, res); err != nil {
		return err
	}
	*gas += uint64(p.Output.Length) >> guest.IOShift
	if res.MediaType = p.MediaType; res.MediaType == "" {
		f, _ := x.m.Description().Method(x.c.Unit, x.c.Method)
		res.MediaType = module.OutputType(f)
	}
	return nil
}

// fetch copies the output. An empty one may lie anywhere inside the memory, which
// the worker checks too.
func (x *exchange) fetch(at wire.Span, res *module.Result) error {
	if at == (wire.Span{}) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*patience)
	defer cancel()
	a, err := x.t.ask(ctx, "read", map[string]any{"pointer": at.Pointer, "length": at.Length})
	if err != nil {
		x.dead = true
		return api.Errorf(opCall, api.Unavailable, "the module worker of this tab did not hand over the output; try again")
	}
	b := a.Get("bytes")
	if b.IsNull() {
		return guest.LostOutput.In(opCall)
	}
	if at.Length > 0 {
		res.Output = bytesToGo(b)
		res.Moved += uint64(at.Length)
	}
	return nil
}
