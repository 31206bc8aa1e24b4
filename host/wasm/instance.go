package wasm

import (
	"context"
	"time"

	"inos/host/internal/machine"
	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/module/guest"
	"inos/kernel/module/meter"
	"inos/kernel/wire"
)

// instance is one instantiated module. Nothing in it is locked: it belongs to
// the pool or to one call.
type instance struct {
	live    *live
	machine machine.Machine
	memory  guestMemory
	alloc   machine.Func
	call    machine.Func
	window  machine.Func // inos_window; nil when the guest has none
	gas     machine.Global
	globals []machine.Global
	initial []uint64 // values of globals after initialization; nil when Sticky
	run     run
	request wire.RequestEncoder
	lent    *lent // what is lent to it; nil between calls, unless the loan stands
}

// run is the state of the call that an instance serves.
type run struct {
	limit    uint64 // gas
	spent    uint64 // gas, up to the start of the current slice
	granted  uint64 // gas of the current slice
	deadline time.Time
	ctx      context.Context // the caller's
	done     <-chan struct{} // of ctx; nil never ends
	call     *module.Call    // nil during initialization
	inCall   bool            // inos_call runs, and not on behalf of a system call
	out      bool            // it lost its worker's slot in a system call
	lines    int             // log lines so far
	clockUS  int64           // microseconds the guest's clock has moved
	random   *randomStream   // made on first use

	sysCtx    context.Context // ends with ctx, deadline and engine; nil before the first system call
	sysCancel func()
}

// get returns an idle instance, or a new one.
func (l *live) get() (*instance, error) {
	l.mu.Lock()
	if n := len(l.free); n > 0 {
		in := l.free[n-1]
		l.free = l.free[:n-1]
		l.mu.Unlock()
		return in, nil
	}
	l.mu.Unlock()
	return l.instantiate()
}

// put keeps a clean instance for the next call.
func (l *live) put(in *instance) {
	l.mu.Lock()
	keep := len(l.free) < l.engine.cfg.Workers+l.reserved
	if keep {
		l.free = append(l.free, in)
	}
	l.mu.Unlock()
	if !keep {
		in.close()
	}
}

// recycle makes an instance clean and keeps it, or closes it.
func (l *live) recycle(in *instance) {
	if in.reset() {
		l.put(in)
		return
	}
	in.close()
}

// instantiate makes an instance that is ready for its first call: started,
// initialized, and mapped to the image.
func (l *live) instantiate() (in *instance, err error) {
	in = &instance{live: l}
	defer func() {
		if err != nil {
			in.close()
			if api.KindOf(err) == api.Timeout {
				err = guest.SlowStart.In("wasm.start")
			}
			in, err = nil, module.StartDefect(err)
		}
	}()
	in.memory.hard = l.engine.cfg.MaxMemory
	in.memory.limit = maxReserve
	in.run.begin(l.engine.ctx, guest.InitGas, guest.InitWallMS*time.Millisecond)
	if err := in.start(); err != nil {
		return in, err
	}
	if err := in.bind(); err != nil {
		return in, err
	}
	return in, in.settle()
}

// start makes the machine, which runs the start section.
func (in *instance) start() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = failure("wasm.start", asError(r))
		}
	}()
	m, err := in.live.code.Machine(in, &in.memory)
	if err != nil {
		return failure("wasm.start", err)
	}
	in.machine = m
	return nil
}

// bind looks up what calls need and runs _initialize.
func (in *instance) bind() error {
	in.alloc = in.machine.Func("inos_alloc")
	in.call = in.machine.Func("inos_call")
	if in.live.desc.Manifest.ABI >= 2 {
		in.window = in.machine.Func("inos_window")
	}
	in.gas = in.machine.Global(meter.GasExport)
	for _, name := range in.live.info.Globals {
		in.globals = append(in.globals, in.machine.Global(name))
	}
	in.refill()
	if f := in.machine.Func("_initialize"); f != nil {
		if err := f.Call(make([]uint64, 1)); err != nil {
			return failure("wasm.initialize", err)
		}
	}
	stack := make([]uint64, 1)
	if err := in.machine.Func("inos_abi").Call(stack); err != nil {
		return failure("wasm.initialize", err)
	}
	return guest.CheckABI(uint32(stack[0]), in.live.desc.Manifest.ABI)
}

// settle takes the image, once per live, and maps this instance to it.
func (in *instance) settle() error {
	l := in.live
	if l.info.Sticky {
		return nil
	}
	in.memory.base = in.memory.size
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.img == nil {
		img, err := in.memory.capture(in.memory.size)
		if err != nil {
			return api.E("wasm.image", api.Unavailable, err)
		}
		l.img = img
	}
	if l.img.size != in.memory.size {
		return guest.TwoBeginnings.In("wasm.image")
	}
	if err := in.memory.adopt(l.img); err != nil {
		return api.E("wasm.image", api.Unavailable, err)
	}
	in.initial = make([]uint64, len(in.globals))
	for i, g := range in.globals {
		in.initial[i] = g.Get()
	}
	return nil
}

// reset brings the instance back to the image; false when it cannot.
func (in *instance) reset() bool {
	if in.initial == nil {
		return false
	}
	m := &in.memory
	used := m.size
	if m.size != m.base {
		m.back = true
		small := in.machine.Shrink(m.base)
		m.back = false
		if m.size != m.base || !small {
			return false
		}
	}
	if err := m.restoreAround(used); err != nil {
		return false
	}
	for i, g := range in.globals {
		g.Set(in.initial[i])
	}
	in.run = run{}
	return true
}

func (in *instance) close() {
	if in.machine != nil {
		in.machine.Close()
		in.machine = nil
	}
	in.memory.Free()
}
