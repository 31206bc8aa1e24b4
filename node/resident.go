package node

import (
	"context"
	"sync"
	"time"

	"inos/kernel/api"
	"inos/kernel/module"
	"inos/kernel/module/supervise"
)

// States of a resident, as people see them.
const (
	residentStarting    = "starting"
	residentRunning     = "running"
	residentRestarting  = "restarting" // it failed and waits for its next start
	residentStopped     = "stopped"
	residentFailed      = "failed" // for a reason that starting it again does not mend
	residentQuarantined = "quarantined"
)

// leastRestart bounds how often a restart is tried when the supervisor names no
// time for it.
const leastRestart = 50 * time.Millisecond

// resident is a resident module from its start until it is stopped or given up.
// For the supervisor each of its runs is a call of the module by this node.
//
// Invariants:
//   - done is closed exactly when it will not run again; then nothing of it is
//     in the arena.
//   - At most one run is in progress.
type resident struct {
	n      *Node
	engine module.ResidentEngine
	desc   *module.Description
	link   api.Link
	req    api.ResidentStart
	since  time.Time

	ctx    context.Context // ends when it is to stop
	cancel context.CancelFunc
	done   chan struct{}

	mu sync.Mutex
	// guarded by mu
	state      string
	last       module.Resident // the run in progress, or the last one; nil before the first
	err        error           // of the last run
	steps, gas uint64          // of the runs before
}

func newResident(n *Node, engine module.ResidentEngine, d *module.Description, link api.Link, req api.ResidentStart) *resident {
	it := &resident{n: n, engine: engine, desc: d, link: link, req: req, since: time.Now(), state: residentStarting, done: make(chan struct{})}
	it.ctx, it.cancel = context.WithCancel(n.ctx)
	return it
}

// begin starts a run if the supervisor lets it. Who gets one attends to it.
func (it *resident) begin(ctx context.Context) (*visit, module.Resident, error) {
	v, err := it.n.worker.supervisors.arrive(it.desc.Hash, it.n.id.ID(), api.Hash{})
	if err != nil {
		return nil, nil, err
	}
	it.n.worker.supervisors.introduce(it.desc)
	if err := v.begin(); err != nil {
		return nil, nil, err
	}
	r, err := it.launch(ctx)
	if err != nil {
		if isCrash(err) {
			v.outcome, v.reason = supervise.StartCrash, messageOf(err)
		}
		v.ended()
		return nil, nil, err
	}
	it.mu.Lock()
	if it.last != nil {
		it.steps, it.gas = it.steps+it.last.Steps(), it.gas+it.last.Gas()
	}
	it.last, it.state, it.err = r, residentRunning, nil
	it.mu.Unlock()
	return v, r, nil
}

func (it *resident) launch(ctx context.Context) (module.Resident, error) {
	file, err := it.n.modules.file(ctx, it.desc.Hash, it.link)
	if err != nil {
		return nil, err
	}
	return it.engine.StartResident(ctx, it.n.memory.arena, file, module.ResidentConfig{
		Params: it.req.Params, Workers: it.req.Workers, Rate: it.req.Rate,
		Log: func(level module.LogLevel, line []byte) {
			it.n.cfg.Log("%s: %s: %s", it.desc.Manifest.Name, level, line)
		},
	})
}

// isCrash tells a defect of the module from what starting it elsewhere, or
// later, or with other parameters would mend.
func isCrash(err error) bool {
	k := api.KindOf(err)
	return k == api.Trapped || k == api.Timeout
}

// run attends to the resident until it is stopped or given up.
func (it *resident) run(v *visit, r module.Resident) {
	name := it.desc.Manifest.Name
	for {
		err := it.attend(v, r)
		if err == nil {
			it.finish(residentStopped, nil)
			it.n.emit("module:resident:v1:stopped", it.desc.Hash.String(), map[string]string{"name": name})
			return
		}
		it.n.cfg.Log("resident %s failed: %v", name, err)
		it.n.emit("module:resident:v1:failed", it.desc.Hash.String(), map[string]string{"name": name, "error": err.Error()})
		if v, r = it.restart(err); r == nil {
			return
		}
	}
}

// attend waits for the end of a run and tells the supervisor about it. The error
// is the run's; nil when it was stopped.
func (it *resident) attend(v *visit, r module.Resident) error {
	sound := time.NewTimer(it.n.residents.sound)
	defer sound.Stop()
	for stop := it.ctx.Done(); ; {
		select {
		case <-sound.C:
			v.lasted()
		case <-stop:
			r.Stop()
			stop = nil
		case <-r.Done():
			err := r.Err()
			v.gas = r.Gas()
			if err != nil {
				v.outcome, v.reason = supervise.StartCrash, messageOf(err)
			}
			v.ended()
			return err
		}
	}
}

// restart starts the next run when its time has come; it returns nil when there
// is none.
func (it *resident) restart(err error) (*visit, module.Resident) {
	for {
		view := it.n.worker.supervisors.view(it.desc.Hash)
		if view.State == supervise.Quarantined {
			it.finish(residentQuarantined, err)
			return nil, nil
		}
		it.set(residentRestarting, err)
		wait := time.NewTimer(max(time.Until(time.UnixMilli(view.Retry)), leastRestart))
		select {
		case <-wait.C:
		case <-it.ctx.Done():
			wait.Stop()
			it.finish(residentStopped, nil)
			return nil, nil
		}
		v, r, again := it.begin(it.ctx)
		switch {
		case again == nil:
			return v, r
		case it.ctx.Err() != nil, isCrash(again), api.KindOf(again) == api.Unavailable, api.KindOf(again) == api.Denied:
			if isCrash(again) {
				err = again
			}
		default:
			it.finish(residentFailed, again)
			return nil, nil
		}
	}
}

func (it *resident) set(state string, err error) {
	it.mu.Lock()
	it.state, it.err = state, err
	it.mu.Unlock()
}

// finish says that it will not run again, and why.
func (it *resident) finish(state string, err error) {
	it.set(state, err)
	it.cancel()
	close(it.done)
}

// alive reports whether it runs or may run again by itself.
func (it *resident) alive() bool {
	select {
	case <-it.done:
		return false
	default:
		return true
	}
}

func (it *resident) info() api.Resident {
	m := &it.desc.Manifest
	it.mu.Lock()
	defer it.mu.Unlock()
	out := api.Resident{
		Name: m.Name, Version: m.Version, Hash: it.desc.Hash, State: it.state, Workers: max(it.req.Workers, 1),
		Started: it.since.UnixMilli(), Steps: it.steps, Gas: it.gas, Region: it.desc.Region.Base,
	}
	if it.last != nil {
		out.Steps, out.Gas, out.States = out.Steps+it.last.Steps(), out.Gas+it.last.Gas(), it.last.States()
	}
	if it.err != nil {
		out.Error = it.err.Error()
	}
	return out
}
