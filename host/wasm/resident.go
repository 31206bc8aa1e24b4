package wasm

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero"
	wazeroapi "github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"inos/kernel/api"
	"inos/kernel/arena"
	"inos/kernel/layout"
	"inos/kernel/module"
	"inos/kernel/module/meter"
)

// Bounds of a resident.
const (
	MaxResidentWorkers = 8
	residentStart      = 5 * time.Second  // what instantiation and start may take
	residentStep       = 10 * time.Second // what one step may take
	residentStates     = 16               // states it may have
	residentSpans      = 1024             // spans of the heap it may have
	leastRegion        = 64 << 10         // bytes its allocator has
)

// ResidentConfig says how a resident runs.
type ResidentConfig = module.ResidentConfig

// Resident is a module that runs inside the arena: its linear memory is the
// arena, in which it has one place of its own, and heap spans and states that it
// asked for. It is trusted with all of the arena: who loads one has checked
// whose it is.
//
// Workers make each step together. They are metered as guests are, so that they
// can be stopped in the middle of a step; a step has 10 s.
//
// Invariants:
//   - A place holds one resident at a time, and is zeroed before it starts.
//   - When Done is closed no worker runs, and the arena has back all that the
//     resident had.
type Resident struct {
	engine *Engine
	arena  *arena.Arena
	mem    []byte
	desc   *module.Description
	cfg    ResidentConfig
	owner  arena.Owner

	ctx      context.Context // ends when it is to stop
	cancel   context.CancelFunc
	cache    *codeCache
	files    wazero.CompilationCache // nil without a cache
	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	workers  []*residentWorker
	states   map[uint32]*residentState // by address; not changed once start has returned
	spans    []uint64                  // reserved; not changed once start has returned
	logging  sync.Mutex

	steps atomic.Uint64
	done  chan struct{}
	err   error // set before done is closed
}

type residentState struct {
	name   string
	writer *arena.StateWriter
	most   int
}

// StartResident starts the resident in wasm in the engine's arena, which a is
// open over, and returns once its first state is made. It runs until Stop, a
// failure, or the engine's end.
//
// Errors: Invalid for a file that is no acceptable resident or parameters that
// it does not take; Conflict when its place is taken; Exhausted when the arena
// has no memory for it; Trapped; Closed.
func (e *Engine) StartResident(ctx context.Context, a *arena.Arena, wasm []byte, cfg ResidentConfig) (module.Resident, error) {
	const op = "wasm.resident"
	desc, err := module.Parse(wasm)
	if err != nil {
		return nil, err
	}
	if cfg.Workers == 0 {
		cfg.Workers = 1
	}
	switch {
	case !desc.Manifest.Resident:
		return nil, api.Errorf(op, api.Invalid, "the module is a guest; run it as a job with inos run")
	case e.cfg.Arena == nil:
		return nil, api.Errorf(op, api.Unsupported, "this engine has no arena for residents")
	case cfg.Workers < 1 || cfg.Workers > MaxResidentWorkers:
		return nil, api.Errorf(op, api.Invalid, "a resident has 1 to 8 workers")
	case cfg.Rate < 0 || cfg.Rate > 10_000:
		return nil, api.Errorf(op, api.Invalid, "a resident makes at most 10,000 steps a second; 0 means as many as it can")
	}
	call := module.Call{Unit: desc.Manifest.Units[0].Name, Method: "start", Params: cfg.Params}
	if err := desc.Prepare(&call); err != nil {
		return nil, err
	}
	place := desc.Region.Place()
	if err := e.takePlace(place); err != nil {
		return nil, err
	}
	r := &Resident{
		engine: e, arena: a, mem: e.cfg.Arena.Bytes(), desc: desc, cfg: cfg, owner: a.NewOwner(),
		states: map[uint32]*residentState{}, done: make(chan struct{}),
	}
	r.ctx, r.cancel = context.WithCancel(e.ctx)
	stop := context.AfterFunc(ctx, r.cancel) // while it starts
	err = r.begin(wasm, &call)
	if !stop() && err == nil {
		err = api.E(op, api.KindOf(ctx.Err()), ctx.Err())
	}
	if err != nil {
		r.free()
		return nil, err
	}
	go r.run()
	return r, nil
}

// takePlace marks a place of the arena as used.
func (e *Engine) takePlace(place int) error {
	const op = "wasm.resident"
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return errClosed()
	case e.places[place]:
		return api.Errorf(op, api.Conflict, "another resident runs in the same place of the arena; stop it first, or link this one with another --global-base")
	}
	e.places[place] = true
	e.parked.Add(1) // Close waits for it
	return nil
}

func (e *Engine) leavePlace(place int) {
	e.mu.Lock()
	e.places[place] = false
	e.mu.Unlock()
}

// begin instantiates the workers and calls start.
func (r *Resident) begin(wasm []byte, call *module.Call) error {
	metered, _, err := meter.Instrument(wasm)
	if err != nil {
		return err
	}
	if err := r.build(wasm, metered); err != nil {
		return err
	}
	region := r.desc.Region
	clear(r.mem[region.Base:region.End()])
	plan, err := divide(region, r.cfg.Workers)
	if err != nil {
		return err
	}
	for i := range r.cfg.Workers {
		w := &residentWorker{r: r, index: i, stack: plan.stacks[i], tls: plan.tls[i]}
		r.workers = append(r.workers, w)
		if err := w.instantiate(); err != nil {
			return err
		}
		if i == 0 {
			if err := w.initialize(plan.start, plan.end); err != nil {
				return err
			}
		}
	}
	return r.workers[0].start(call)
}

// features are those of guests, and threads.
const residentFeatures = wazeroapi.CoreFeaturesV2 | experimental.CoreFeaturesThreads

// build compiles, from the cache when it holds an intact entry, as a guest's
// live.build does.
func (r *Resident) build(original, metered []byte) error {
	r.cache = openCache(r.engine.cfg.CacheDir, r.desc.Hash, wazeroEngine{})
	if !r.cache.trusted() {
		if err := validateAs(original, residentFeatures); err != nil {
			return err
		}
	}
	err := r.compile(metered)
	if err != nil && r.cache.trusted() {
		r.closeRuntime()
		r.cache.discard()
		err = r.compile(metered)
	}
	if err != nil {
		return err
	}
	r.cache.seal()
	return nil
}

func (r *Resident) compile(metered []byte) (err error) {
	defer recoverAs(&err, "wasm.compile")
	ctx := context.Background()
	cfg := wazero.NewRuntimeConfig().WithCoreFeatures(residentFeatures)
	if r.cache.dir != "" {
		// A disk that cannot be written costs speed, not the start.
		if files, err := wazero.NewCompilationCacheWithDir(r.cache.dir); err == nil {
			r.files = files
			cfg = cfg.WithCompilationCache(files)
		}
	}
	r.runtime = wazero.NewRuntimeWithConfig(ctx, cfg)
	with := experimental.WithMemoryAllocator(ctx, arenaMemory(r.mem))
	if _, err := r.runtime.InstantiateWithConfig(with, envModule(len(r.mem)), wazero.NewModuleConfig().WithName("env")); err != nil {
		return api.E("wasm.resident", api.Other, err)
	}
	if err := r.provide(ctx); err != nil {
		return err
	}
	compiled, err := r.runtime.CompileModule(ctx, metered)
	if err != nil {
		return invalidModule(err)
	}
	for name, want := range residentSignatures {
		def := compiled.ExportedFunctions()[name]
		if def == nil || string(def.ParamTypes()) != string(want[0]) || string(def.ResultTypes()) != string(want[1]) {
			return api.Errorf("wasm.load", api.Invalid, "the resident exports "+name+" with other parameters or results than docs/abi.md says")
		}
	}
	for _, w := range []string{"_initialize", "__wasm_init_tls"} {
		if def := compiled.ExportedFunctions()[w]; def != nil && (len(def.ResultTypes()) > 0 || len(def.ParamTypes()) > 1) {
			return api.Errorf("wasm.load", api.Invalid, "the resident exports "+w+" with other parameters or results than docs/abi.md says")
		}
	}
	r.compiled = compiled
	return nil
}

// run makes steps until the resident is stopped or fails.
func (r *Resident) run() {
	var err error
	var tick <-chan time.Time
	if r.cfg.Rate > 0 {
		t := time.NewTicker(time.Duration(float64(time.Second) / r.cfg.Rate))
		defer t.Stop()
		tick = t.C
	}
	for err == nil && r.ctx.Err() == nil {
		if tick != nil {
			select {
			case <-tick:
			case <-r.ctx.Done():
				continue
			}
		}
		if err = r.step(); err == nil {
			r.steps.Add(1)
		}
	}
	if r.ctx.Err() != nil && (err == nil || api.KindOf(err) == api.Closed) {
		err = nil // it was stopped
	}
	r.err = err
	r.free()
}

// step has every worker make one step.
func (r *Resident) step() error {
	deadline := time.Now().Add(residentStep)
	errs := make([]error, len(r.workers))
	var busy sync.WaitGroup
	for _, w := range r.workers[1:] {
		busy.Go(func() { errs[w.index] = w.step(deadline) })
	}
	errs[0] = r.workers[0].step(deadline)
	busy.Wait()
	for _, err := range errs { // the first cause, not those that were stopped for it
		if err != nil && api.KindOf(err) != api.Closed {
			return err
		}
	}
	return errors.Join(errs...)
}

// free ends the workers, gives back what the resident had and closes done, all
// before the engine's Close returns.
func (r *Resident) free() {
	r.cancel()
	r.closeRuntime()
	for _, off := range r.spans {
		_ = r.arena.Heap().Free(r.owner, off) // what fails here, EndOwner reports
	}
	_, _ = r.arena.EndOwner(r.owner) // states and spans; fails only with the arena itself
	r.engine.leavePlace(r.desc.Region.Place())
	close(r.done)
	r.engine.parked.Done()
}

func (r *Resident) closeRuntime() {
	if r.runtime != nil {
		_ = r.runtime.Close(context.Background())
		r.runtime = nil
	}
	if r.files != nil {
		_ = r.files.Close(context.Background())
		r.files = nil
	}
}

// Stop ends the resident and waits until it has.
func (r *Resident) Stop() {
	r.cancel()
	<-r.done
}

// Done is closed when the resident has ended.
func (r *Resident) Done() <-chan struct{} { return r.done }

// Err says why it ended: nil while it runs and after Stop.
func (r *Resident) Err() error {
	select {
	case <-r.done:
		return r.err
	default:
		return nil
	}
}

// Description is the module's.
func (r *Resident) Description() *module.Description { return r.desc }

// Owner is whose its states and memory are in the arena.
func (r *Resident) Owner() arena.Owner { return r.owner }

// Steps is how many steps were made.
func (r *Resident) Steps() uint64 { return r.steps.Load() }

// Gas is what the workers have used, up to their last return to the host.
func (r *Resident) Gas() uint64 {
	var sum uint64
	for _, w := range r.workers {
		sum += w.spent.Load()
	}
	return sum
}

// States names the states that it shows.
func (r *Resident) States() []string {
	var names []string
	for _, s := range r.states {
		names = append(names, s.name)
	}
	return names
}

// regionPlan divides what a place holds beside static data.
type regionPlan struct {
	stacks, tls []uint64 // by worker: the top of its stack, its thread-local block
	start, end  uint64   // of the allocator's memory
}

// divide gives each worker a stack and a thread-local block, and the allocator
// the rest.
func divide(g module.Region, workers int) (regionPlan, error) {
	p := regionPlan{end: g.End()}
	at := layout.AlignUp(g.HeapBase, 16)
	size := layout.AlignUp(g.StackHigh-g.StackLow, 16)
	for i := range workers {
		if i == 0 {
			p.stacks = append(p.stacks, g.StackHigh)
		} else {
			at += size
			p.stacks = append(p.stacks, at)
		}
		at = layout.AlignUp(at, max(g.TLSAlign, 16))
		p.tls = append(p.tls, at)
		at = layout.AlignUp(at+g.TLSSize, 16)
	}
	p.start = at
	if at+leastRegion > p.end {
		return p, api.Errorf("wasm.resident", api.Exhausted, "the resident's place has no room for that many workers; start it with fewer")
	}
	return p, nil
}
