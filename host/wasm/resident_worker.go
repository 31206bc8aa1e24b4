package wasm

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
	wazeroapi "github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"inos/kernel/api"
	"inos/kernel/layout"
	"inos/kernel/module"
	"inos/kernel/module/bin"
	"inos/kernel/module/guest"
	"inos/kernel/module/meter"
	"inos/kernel/wire"
)

// residentWorker is one instance over the arena. Nothing in it is locked: it
// belongs to the goroutine that calls it.
type residentWorker struct {
	r          *Resident
	index      int
	stack, tls uint64
	ctx        context.Context
	mod        wazeroapi.Module
	stepFn     wazeroapi.Function
	gas        wazeroapi.MutableGlobal
	granted    uint64
	deadline   time.Time
	starting   bool // states and memory may be asked for
	spent      atomic.Uint64
}

type workerKey struct{}

func workerOf(ctx context.Context) *residentWorker { return ctx.Value(workerKey{}).(*residentWorker) }

// residentSignatures are the exports that the ABI fixes for residents.
var residentSignatures = map[string][2][]wazeroapi.ValueType{
	"inos_abi":    {nil, {i32}},
	"inos_alloc":  {{i32}, {i32}},
	"inos_call":   {{i32, i32}, {i64}},
	"inos_region": {{i32, i32}, nil},
	"inos_step":   {{i32, i32}, {i32}},
}

// instantiate runs the start section, which fills static data once for all
// workers, and gives the worker its stack and thread-local block.
func (w *residentWorker) instantiate() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = failure("wasm.start", asError(p))
		}
	}()
	w.ctx = context.WithValue(context.Background(), workerKey{}, w)
	w.deadline = time.Now().Add(residentStart)
	cfg := wazero.NewModuleConfig().WithName("").WithStartFunctions()
	if w.mod, err = w.r.runtime.InstantiateModule(w.ctx, w.r.compiled, cfg); err != nil {
		return failure("wasm.start", err)
	}
	w.stepFn = w.mod.ExportedFunction("inos_step")
	w.gas, _ = w.mod.ExportedGlobal(meter.GasExport).(wazeroapi.MutableGlobal)
	sp, ok := w.mod.ExportedGlobal("__stack_pointer").(wazeroapi.MutableGlobal)
	if !ok || w.gas == nil {
		return api.Errorf("wasm.start", api.Invalid, "the resident does not export __stack_pointer; link it with --export=__stack_pointer")
	}
	sp.Set(w.stack)
	w.grant()
	if f := w.mod.ExportedFunction("__wasm_init_tls"); f != nil && w.r.desc.Region.TLSSize > 0 {
		return w.call(f, []uint64{w.tls})
	}
	return nil
}

// initialize gives the module its memory and runs _initialize, once for all
// workers.
func (w *residentWorker) initialize(start, end uint64) error {
	if err := w.call(w.mod.ExportedFunction("inos_region"), []uint64{start, end}); err != nil {
		return err
	}
	if f := w.mod.ExportedFunction("_initialize"); f != nil {
		if err := w.call(f, make([]uint64, 1)); err != nil {
			return err
		}
	}
	stack := []uint64{0}
	if err := w.call(w.mod.ExportedFunction("inos_abi"), stack); err != nil {
		return err
	}
	if uint32(stack[0]) != uint32(w.r.desc.Manifest.ABI) {
		return api.Errorf("wasm.initialize", api.Invalid, "the resident's inos_abi does not return the version in its manifest")
	}
	return nil
}

// start calls the method that starts the resident.
func (w *residentWorker) start(c *module.Call) error {
	q, err := wire.EncodeModuleRequest(wire.ModuleRequest{Unit: c.Unit, Method: c.Method, Params: c.Params, OutputLimit: c.Limits.OutputBytes})
	if err != nil {
		return err
	}
	stack := []uint64{uint64(len(q)), 0}
	if err := w.call(w.mod.ExportedFunction("inos_alloc"), stack[:1]); err != nil {
		return err
	}
	to, ok := w.view(wire.Span{Pointer: uint32(stack[0]), Length: uint32(len(q))})
	if !ok || stack[0]&7 != 0 || stack[0] < w.r.desc.Region.Base || stack[0]+uint64(len(q)) > w.r.desc.Region.End() {
		return guest.Broken("inos_alloc of the resident returned memory outside its place").In(opCall)
	}
	copy(to, q)
	stack[0], stack[1] = uint64(uint32(stack[0])), uint64(len(q))
	w.starting = true
	err = w.call(w.mod.ExportedFunction("inos_call"), stack)
	w.starting = false
	if err != nil {
		return err
	}
	b, ok := w.view(wire.Span{Pointer: uint32(stack[0] >> 32), Length: uint32(stack[0])})
	if !ok || len(b) > wire.MaxModuleResponse {
		return guest.Broken("the resident's response lies outside the arena").In(opCall)
	}
	p, err := wire.DecodeModuleResponse(append([]byte(nil), b...))
	if err != nil {
		return guest.Broken("the resident's response is not a Response message").In(opCall)
	}
	if p.Kind != "" {
		return guest.Reported(p).Err
	}
	return nil
}

// step makes the worker's part of one step.
func (w *residentWorker) step(deadline time.Time) error {
	w.deadline = deadline
	stack := [2]uint64{uint64(w.index), uint64(len(w.r.workers))}
	err := w.call(w.stepFn, stack[:])
	if err == nil && stack[0] != 0 {
		err = api.Errorf("wasm.resident", api.Trapped, "the resident's step returned a failure")
	}
	if err != nil {
		w.r.cancel() // the others wait for this one in the step's barriers
	}
	return err
}

func (w *residentWorker) call(f wazeroapi.Function, stack []uint64) error {
	w.grant()
	err := f.CallWithStack(w.ctx, stack)
	w.settle(int64(w.gas.Get()))
	if err != nil {
		return failure("wasm.resident", err)
	}
	return nil
}

func (w *residentWorker) grant() {
	w.granted = meter.Slice
	w.gas.Set(w.granted)
}

func (w *residentWorker) settle(left int64) {
	w.spent.Add(uint64(int64(w.granted) - left))
	w.granted = 0
	w.gas.Set(0)
}

// slice serves the import that metered code calls at the end of a slice.
func (w *residentWorker) slice(left int64, reason uint32) uint64 {
	if w.gas != nil {
		w.settle(left)
	}
	switch {
	case reason == meter.ReasonStack:
		panic(guest.Stop{Kind: api.Exhausted, Msg: "the resident's calls are nested too deep"})
	case reason == meter.ReasonTable:
		panic(guest.Stop{Kind: api.Exhausted, Msg: "a table of the resident grew beyond 1,000,000 elements"})
	case w.r.ctx.Err() != nil:
		panic(guest.Stop{Kind: api.Closed, Msg: "the resident is being stopped"})
	case time.Now().After(w.deadline):
		panic(guest.Stop{Kind: api.Timeout, Msg: "a step of the resident took longer than 10 s"})
	}
	w.granted = meter.Slice
	if w.gas != nil {
		w.gas.Set(w.granted)
	}
	return w.granted
}

func (w *residentWorker) view(s wire.Span) ([]byte, bool) {
	end := uint64(s.Pointer) + uint64(s.Length)
	if end > uint64(len(w.r.mem)) {
		return nil, false
	}
	return w.r.mem[s.Pointer:end], true
}

// provide makes the host modules that residents import.
func (r *Resident) provide(ctx context.Context) error {
	b := r.runtime.NewHostModuleBuilder(meter.ImportModule)
	b.NewFunctionBuilder().WithGoFunction(wazeroapi.GoFunc(func(ctx context.Context, s []uint64) {
		s[0] = workerOf(ctx).slice(int64(s[0]), uint32(s[1]))
	}), []wazeroapi.ValueType{i64, i32}, []wazeroapi.ValueType{i64}).Export(meter.ImportSlice)
	if _, err := b.Instantiate(ctx); err != nil {
		return api.E("wasm.provide", api.Other, err)
	}
	b = r.runtime.NewHostModuleBuilder("inos")
	for _, f := range []struct {
		name            string
		params, results []wazeroapi.ValueType
		serve           func(w *residentWorker, s []uint64)
	}{
		{"log", []wazeroapi.ValueType{i32, i32, i32}, nil, (*residentWorker).log},
		{"state", []wazeroapi.ValueType{i32, i32, i32}, []wazeroapi.ValueType{i32}, (*residentWorker).state},
		{"reserve", []wazeroapi.ValueType{i32}, []wazeroapi.ValueType{i32}, (*residentWorker).reserve},
		{"advance", []wazeroapi.ValueType{i32}, nil, (*residentWorker).advance},
	} {
		b.NewFunctionBuilder().WithGoFunction(wazeroapi.GoFunc(func(ctx context.Context, s []uint64) {
			f.serve(workerOf(ctx), s)
		}), f.params, f.results).Export(f.name)
	}
	if _, err := b.Instantiate(ctx); err != nil {
		return api.E("wasm.provide", api.Other, err)
	}
	return nil
}

func (w *residentWorker) log(s []uint64) {
	line, ok := w.view(wire.Span{Pointer: uint32(s[1]), Length: uint32(s[2])})
	if !ok {
		panic(guest.Stop{Kind: api.Trapped, Msg: "the resident logs memory outside the arena"})
	}
	if w.r.cfg.Log == nil {
		return
	}
	w.r.logging.Lock()
	defer w.r.logging.Unlock()
	w.r.cfg.Log(module.LogLevel(min(uint32(s[0]), uint32(module.Error))), line[:min(len(line), guest.MaxLogLine)])
}

// state makes a state and returns the address of its control block, 0 when the
// arena has no room or the name is taken.
func (w *residentWorker) state(s []uint64) {
	name, ok := w.view(wire.Span{Pointer: uint32(s[0]), Length: uint32(s[1])})
	most := uint64(uint32(s[2]))
	s[0] = 0
	r := w.r
	if !ok || !w.starting || len(r.states) == residentStates {
		return
	}
	label := string(name)
	out, err := r.arena.States().Make(r.owner, label, most)
	if err != nil {
		return
	}
	for _, info := range r.arena.States().List() {
		if info.Name == label {
			s[0] = info.Offset
			r.states[uint32(info.Offset)] = &residentState{name: label, writer: out, most: int(most)}
			out.Begin()
			return
		}
	}
}

// reserve allocates zeroed memory of the arena's heap; 0 when there is none.
func (w *residentWorker) reserve(s []uint64) {
	n := uint64(uint32(s[0]))
	s[0] = 0
	if !w.starting || len(w.r.spans) == residentSpans {
		return
	}
	if span, err := w.r.arena.Heap().Alloc(w.r.owner, n); err == nil {
		s[0] = span.Off
		w.r.spans = append(w.r.spans, span.Off)
	}
}

// advance publishes a state: the half that was filled is the newest version, and
// the other one is the next to fill.
func (w *residentWorker) advance(s []uint64) {
	st := w.r.states[uint32(s[0])]
	if st == nil {
		panic(guest.Stop{Kind: api.Trapped, Msg: "the resident publishes a state that is not its own"})
	}
	st.writer.Publish(st.most)
	st.writer.Begin()
}

// arenaMemory gives wazero the arena as the memory of a module. It never grows,
// and outlives every module.
type arenaMemory []byte

func (m arenaMemory) Allocate(_, _ uint64) experimental.LinearMemory { return m }

// Reallocate implements experimental.LinearMemory.
func (m arenaMemory) Reallocate(size uint64) []byte {
	if size > uint64(len(m)) {
		return nil
	}
	return m[:size:size]
}

// Free implements experimental.LinearMemory: the arena is not the engine's.
func (m arenaMemory) Free() {}

// envModule is a module that does nothing but export a shared memory of size bytes.
func envModule(size int) []byte {
	pages := uint32(uint64(size) / layout.Window)
	memory := bin.AppendU32(bin.AppendU32([]byte{1, 3}, pages), pages)
	export := bin.AppendU32(append(bin.AppendName([]byte{1}, "memory"), bin.KindMemory), 0)
	b := bin.AppendSection([]byte(bin.Header), bin.Memory, memory)
	return bin.AppendSection(b, bin.Export, export)
}
