//go:build js

package webwasm

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"syscall/js"
	"time"

	"inos/host/browser"
	"inos/kernel/api"
	"inos/kernel/arena"
	"inos/kernel/layout"
	"inos/kernel/module"
	"inos/kernel/module/guest"
	"inos/kernel/module/meter"
	"inos/kernel/wire"
)

// Bounds of a resident, as natively.
const (
	maxResidentWorkers = 8
	residentStart      = 5 * time.Second
	residentStepMS     = 10_000
	residentStates     = 16
	threadEnd          = 5 * meter.MaxWait * time.Nanosecond
	residentSpans      = 1024
)

// resident implements module.Resident: threads over the tab's arena
// (frontend/src/tab/residents.ts). The kernel hands out states and heap memory from
// its image, whose tables are mirrored; what the resident writes is in the shared
// arena alone.
//
// Invariants:
//   - A place holds one resident at a time, and is zeroed before it starts.
//   - When Done is closed its threads were terminated, and the arena has back all
//     that it had.
type resident struct {
	engine *Engine
	arena  *arena.Arena
	shared *browser.Shared
	desc   *module.Description
	cfg    module.ResidentConfig
	owner  arena.Owner
	js     js.Value // KernelResident
	port   *browser.Port
	heard  js.Func
	inbox  chan js.Value

	mu     sync.Mutex
	states map[string]uint64 // guarded by mu; offsets by name; at most residentStates
	spans  []uint64          // guarded by mu; at most residentSpans
	steps  uint64            // guarded by mu; at the end
	gas    uint64            // guarded by mu; at the end
	err    error             // set before done is closed

	stop context.CancelFunc
	done chan struct{}
}

var _ module.ResidentEngine = (*Engine)(nil)

// StartResident implements module.ResidentEngine.
func (e *Engine) StartResident(ctx context.Context, a *arena.Arena, wasm []byte, cfg module.ResidentConfig) (module.Resident, error) {
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
	case cfg.Workers < 1 || cfg.Workers > maxResidentWorkers:
		return nil, api.Errorf(op, api.Invalid, "a resident has 1 to 8 workers")
	case cfg.Rate < 0 || cfg.Rate > 10_000:
		return nil, api.Errorf(op, api.Invalid, "a resident makes at most 10,000 steps a second; 0 means as many as it can")
	}
	shared, err := browser.OpenShared()
	if err != nil {
		return nil, err
	}
	call := module.Call{Unit: desc.Manifest.Units[0].Name, Method: "start", Params: cfg.Params}
	if err := desc.Prepare(&call); err != nil {
		return nil, err
	}
	if err := e.takePlace(desc.Region.Place()); err != nil {
		return nil, err
	}
	r := &resident{
		engine: e, arena: a, shared: shared, desc: desc, cfg: cfg, owner: a.NewOwner(), inbox: make(chan js.Value, maxInbox),
		states: map[string]uint64{}, done: make(chan struct{}),
	}
	running, stop := context.WithCancel(e.ctx)
	r.stop = stop
	if err := r.begin(ctx, wasm, &call); err != nil {
		r.free()
		return nil, err
	}
	go r.run(running)
	return r, nil
}

// takePlace marks a place of the arena as used; free gives it back.
func (e *Engine) takePlace(place int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed:
		return errClosed()
	case e.places[place]:
		return api.Errorf("wasm.resident", api.Conflict, "another resident runs in the same place of the arena; stop it first, or link this one with another --global-base")
	}
	e.places[place] = true
	e.calls.Add(1) // Close waits for it
	return nil
}

// metered is what metered code needs of its host: Metered of resident.worker.ts.
type metered struct {
	ImportModule string `json:"importModule"`
	Gas          string `json:"gas"`
	Slice        int    `json:"slice"`
	ReasonStack  int    `json:"reasonStack"`
	ReasonTable  int    `json:"reasonTable"`
	StepMS       int    `json:"stepMS"`
}

// begin makes the threads and waits until the module has started.
func (r *resident) begin(ctx context.Context, wasm []byte, call *module.Call) error {
	out, _, err := meter.Instrument(wasm)
	if err != nil {
		return err
	}
	request, err := wire.EncodeModuleRequest(wire.ModuleRequest{Unit: call.Unit, Method: call.Method, Params: call.Params, OutputLimit: call.Limits.OutputBytes})
	if err != nil {
		return err
	}
	region := r.desc.Region
	r.shared.Zero(region.Base, region.End()-region.Base)
	r.heard = js.FuncOf(func(_ js.Value, args []js.Value) any {
		select {
		case r.inbox <- args[0]:
		default: // a flood of log lines
		}
		return nil
	})
	rules := metered{meter.ImportModule, meter.GasExport, meter.Slice, meter.ReasonStack, meter.ReasonTable, residentStepMS}
	given, err := r.engine.bytesToJS(wasm, out, request)
	if err != nil {
		return err
	}
	r.js, err = r.engine.try("start the resident", "resident", map[string]any{
		"original": given[0], "metered": given[1], "request": given[2], "workers": r.cfg.Workers,
		"placeEnd": region.End(), "rules": encode(rules),
	}, r.heard)
	if err != nil {
		return err
	}
	if r.js.IsUndefined() {
		return api.Errorf("wasm.resident", api.Unsupported, "this tab shares no memory between its threads, which residents need")
	}
	r.port = browser.NewPort(r.js.Get("port"))
	ctx, cancel := context.WithTimeout(ctx, compileTime+residentStart)
	defer cancel()
	for {
		m, err := r.hear(ctx, r.engine.ctx)
		switch {
		case err != nil:
			return err
		case kind(m) == "started":
			return r.answered(bytesToGo(m.Get("response")))
		}
	}
}

// answered reads what the module answered when it was started.
func (r *resident) answered(b []byte) error {
	p, err := wire.DecodeModuleResponse(b)
	if err != nil {
		return guest.Broken("the resident's response is not a Response message").In(opCall)
	}
	if p.Kind != "" {
		return guest.Reported(p).Err
	}
	return nil
}

// hear serves what the threads say until something decides about the resident.
func (r *resident) hear(ctx, engine context.Context) (js.Value, error) {
	for {
		select {
		case m := <-r.inbox:
			switch kind(m) {
			case "log":
				if r.cfg.Log != nil {
					r.cfg.Log(module.LogLevel(min(m.Get("level").Int(), int(module.Error))), []byte(m.Get("line").String()))
				}
			case "ask":
				at := binary.LittleEndian.AppendUint32(nil, uint32(r.give(m.Get("state").String(), uint64(m.Get("bytes").Float()))))
				if err := r.port.Send(ctx, at); err != nil {
					return m, err
				}
			case "failed":
				if m.Get("invalid").Bool() {
					return m, invalidModule(m.Get("text").String())
				}
				return m, residentStop(m)
			default:
				return m, nil
			}
		case <-ctx.Done():
			return js.Undefined(), api.E("wasm.resident", api.KindOf(ctx.Err()), ctx.Err())
		case <-engine.Done():
			return js.Undefined(), guest.Stopping.In("wasm.resident")
		}
	}
}

func residentStop(m js.Value) error {
	s := stopOf(m)
	if s == guest.OverTime {
		s.Msg = "a step of the resident took longer than 10 s"
	}
	return s.In("wasm.resident")
}

// give hands out a state or memory of the heap; 0 when there is none.
func (r *resident) give(state string, n uint64) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if state == "" {
		if len(r.spans) == residentSpans {
			return 0
		}
		span, err := r.arena.Heap().Alloc(r.owner, n)
		if err != nil {
			return 0
		}
		r.spans = append(r.spans, span.Off)
		return span.Off
	}
	if len(r.states) == residentStates {
		return 0
	}
	if _, err := r.arena.States().Make(r.owner, state, n); err != nil {
		return 0
	}
	for _, info := range r.arena.States().List() {
		if info.Name == state {
			r.states[state] = info.Offset
			return info.Offset
		}
	}
	return 0
}

// run attends to the threads until the resident is stopped or fails.
func (r *resident) run(ctx context.Context) {
	_, err := browser.Call(r.js, "run", r.cfg.Rate)
	err = lacking("run the resident", err)
	for {
		if err == nil {
			_, err = r.hear(ctx, r.engine.ctx)
		}
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, api.Closed) {
				r.err = err
			}
			r.free()
			return
		}
	}
}

// free ends the threads, gives back what the resident had and closes done.
func (r *resident) free() {
	r.stop()
	if !r.js.IsUndefined() {
		// Metered code hears of the end at its next slice, one that waits for others
		// at every fourth wake. A terminated thread may run on that long.
		r.js.Call("end")
		time.Sleep(threadEnd)
		r.mu.Lock()
		r.steps, r.gas = r.count(), r.spent()
		r.mu.Unlock()
	}
	if r.port != nil {
		r.port.Close()
	}
	r.heard.Release()
	r.mu.Lock()
	for _, at := range r.states {
		// Readers of the shared arena learn that the state is gone as those of the image do.
		r.shared.Store(at+layout.StateControlAtMagic, 0)
		r.shared.Advance(at + layout.StateControlAtCell)
	}
	for _, off := range r.spans {
		_ = r.arena.Heap().Free(r.owner, off) // what fails here, EndOwner reports
	}
	r.mu.Unlock()
	_, _ = r.arena.EndOwner(r.owner) // states and spans; fails only with the arena itself
	r.engine.mu.Lock()
	r.engine.places[r.desc.Region.Place()] = false
	r.engine.mu.Unlock()
	close(r.done)
	r.engine.calls.Done()
}

func (r *resident) count() uint64 { return uint64(r.js.Call("steps").Float()) }

func (r *resident) spent() uint64 { return numberOf(r.js.Call("gas").String()) }

// Stop implements module.Resident.
func (r *resident) Stop() {
	r.stop()
	<-r.done
}

// Done implements module.Resident.
func (r *resident) Done() <-chan struct{} { return r.done }

// Err implements module.Resident.
func (r *resident) Err() error {
	select {
	case <-r.done:
		return r.err
	default:
		return nil
	}
}

// Steps implements module.Resident.
func (r *resident) Steps() uint64 {
	select {
	case <-r.done:
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.steps
	default:
		return r.count()
	}
}

// Gas implements module.Resident.
func (r *resident) Gas() uint64 {
	select {
	case <-r.done:
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.gas
	default:
		return r.spent()
	}
}

// States implements module.Resident.
func (r *resident) States() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []string
	for name := range r.states {
		names = append(names, name)
	}
	return names
}

// Owner implements module.Resident.
func (r *resident) Owner() arena.Owner { return r.owner }
