package node

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"inos/kernel/api"
	"inos/kernel/arena"
	"inos/kernel/module"
	"inos/kernel/module/supervise"
)

// supervisors keep crashing modules from this node's workers. The state machine
// decides (kernel/module/supervise); this type brings it the worker's calls,
// shows its states in the arena, as metrics and as events, and remembers
// quarantine over restarts.
//
// Key in the store's metadata: sup/<hash>, a quarantine in JSON.
type supervisors struct {
	n *Node

	mu      sync.Mutex
	machine *supervise.Machine       // guarded by mu
	wards   map[api.Hash]*supervised // guarded by mu; one per supervisor of machine
	named   int                      // guarded by mu; modules with metrics of their own, at most maxNamed
}

// supervised is what the host adds to a supervisor.
type supervised struct {
	slot   int
	name   string // name@version; the hash's first digits until the file was read here
	desc   *module.Description
	turned uint64

	calls, crashes, refused *arena.Counter
}

// maxNamed bounds the modules that have metrics of their own, three each; those
// beyond it count together under module="other". Names stay until the node stops.
const maxNamed = 128

// quarantine is a record at rest.
type quarantine struct {
	Since  int64  `json:"since"`
	Reason string `json:"reason"`
	Name   string `json:"name"`
}

func openSupervisors(n *Node) (*supervisors, error) {
	m, err := supervise.New(supervise.Config{})
	if err != nil {
		return nil, err
	}
	s := &supervisors{n: n, machine: m, wards: map[api.Hash]*supervised{}}
	err = n.meta.Iterate("sup/", func(key string, value []byte) bool {
		var q quarantine
		if len(key) != len("sup/")+32 || json.Unmarshal(value, &q) != nil {
			return true
		}
		h := api.Hash([]byte(key[len("sup/"):]))
		m.Step(time.Now().UnixMilli(), supervise.Restored{Module: h, Since: q.Since, Reason: q.Reason})
		s.ward(h).name = q.Name
		s.show(h)
		return len(s.wards) < supervise.MaxModules
	})
	n.metrics.quarantined.Set(int64(len(s.wards)))
	return s, err
}

// ward returns the module's record, making it when its supervisor is new. mu is
// held, or nobody else knows s.
func (s *supervisors) ward(h api.Hash) *supervised {
	w := s.wards[h]
	if w == nil {
		w = &supervised{name: h.Short()}
		s.wards[h] = w
	}
	return w
}

// visit is one call under supervision: opened by arrive, ended by left or ended,
// each of which may be called once.
type visit struct {
	s           *supervisors
	module      api.Hash
	payer       api.NodeID
	input       api.Hash
	incarnation uint64
	outcome     supervise.Outcome
	reason      string
	gas         uint64
}

// arrive asks whether a call may wait for its turn.
func (s *supervisors) arrive(h api.Hash, payer api.NodeID, input api.Hash) (*visit, error) {
	if err := s.step(h, supervise.Arrived{Module: h, Payer: payer}); err != nil {
		return nil, err
	}
	return &visit{s: s, module: h, payer: payer, input: input}, nil
}

// left says that the call went away before its turn.
func (v *visit) left() { _ = v.s.step(v.module, supervise.Left{Module: v.module}) }

// begin asks whether the call may run, now that it is its turn.
func (v *visit) begin() error {
	v.s.mu.Lock()
	v.incarnation = v.s.machine.Incarnation(v.module)
	v.s.mu.Unlock()
	return v.s.step(v.module, supervise.Began{Module: v.module, Payer: v.payer})
}

// note keeps what a call tells about its module. What the guest reports about
// its input is an answer; a limit that it reached says nothing.
func (v *visit) note(gas uint64, err error) {
	v.gas = gas
	d := module.DefectOf(err)
	switch kind := api.KindOf(err); {
	case d != nil && d.Start:
		v.outcome, v.reason = supervise.StartCrash, messageOf(err)
	case d != nil:
		v.outcome, v.reason = supervise.Trap, messageOf(err)
	case err == nil, gas > 0 && (kind == api.Invalid || kind == api.Trapped):
		v.outcome = supervise.Success
	}
}

// lasted says that a resident's run has gone on for long enough to count as sound.
func (v *visit) lasted() {
	_ = v.s.step(v.module, supervise.Lasted{Module: v.module, Payer: v.payer})
}

// ended says what came of the call.
func (v *visit) ended() {
	id := api.RandomID()
	_ = v.s.step(v.module, supervise.Ended{
		Module: v.module, Payer: v.payer, Input: v.input, Incarnation: v.incarnation,
		Outcome: v.outcome, Gas: v.gas, Reason: v.reason, Random: binary.LittleEndian.Uint64(id[:]),
	})
}

// step feeds the machine, performs its effects and returns its refusal.
func (s *supervisors) step(h api.Hash, ev supervise.Event) (refusal error) {
	s.mu.Lock()
	now := time.Now().UnixMilli()
	effects := append([]supervise.Effect(nil), s.machine.Step(now, ev)...)
	var after []func()
	for _, e := range effects {
		switch e := e.(type) {
		case supervise.Dropped:
			delete(s.wards, e.Module)
			_ = s.n.memory.arena.Modules().Put(e.Slot, arena.ModuleEntry{})
		case supervise.Refused:
			refusal = s.refusal(h, e, now)
		case supervise.Changed:
			after = append(after, s.changed(e))
		case supervise.KeptOut:
			after = append(after, s.keptOut(e))
		}
	}
	s.show(h)
	s.count(h, ev, refusal)
	s.mu.Unlock()
	for _, fn := range after { // the disk and the event log, without the lock
		fn()
	}
	return refusal
}

// count keeps the metrics. mu is held.
func (s *supervisors) count(h api.Hash, ev supervise.Event, refusal error) {
	w := s.wards[h]
	if refusal != nil {
		s.n.metrics.jobsTurned.Add(1)
	}
	if w == nil || w.calls == nil {
		return
	}
	switch ev := ev.(type) {
	case supervise.Ended:
		w.calls.Add(1)
		if ev.Outcome >= supervise.Trap {
			w.crashes.Add(1)
		}
	default:
		if refusal != nil {
			w.refused.Add(1)
		}
	}
	if refusal != nil {
		w.turned++
	}
}

// show writes the module's supervisor into the arena. mu is held.
func (s *supervisors) show(h api.Hash) {
	v, ok := s.machine.View(h)
	if !ok {
		return
	}
	if w := s.ward(h); w.calls == nil {
		w.slot = v.Slot
		s.measure(w, "other")
		s.register(h, w, v.State)
	}
	_ = s.n.memory.arena.Modules().Supervise(v.Slot, arena.SupervisorEntry{
		State: uint8(v.State), Restarts: uint32(v.Restarts), Crashes: uint32(v.Crashes), Queued: uint32(v.Queued), Running: uint32(v.Running),
		KeptOut: uint32(len(v.KeptOut)), Calls: v.Calls, Gas: v.Gas, Heartbeat: v.Heartbeat, Since: v.Since, Retry: v.Retry,
	})
}

// measure gives the module its metrics. mu is held.
func (s *supervisors) measure(w *supervised, label string) {
	const longest = "inos_module_turned_away_total"
	label = "{module=" + strconv.Quote(label) + "}"
	if len(longest+label) > arena.MaxMetricName {
		label = `{module="other"}`
	}
	t := s.n.memory.arena.Metrics()
	w.calls = t.Counter("inos_module_calls_total" + label)
	w.crashes = t.Counter("inos_module_crashes_total" + label)
	w.refused = t.Counter(longest + label)
}

// register shows the module's entry in the arena. mu is held.
func (s *supervisors) register(h api.Hash, w *supervised, state supervise.State) {
	e := arena.ModuleEntry{State: arena.ModuleRegistered, Hash: h, Name: w.name}
	switch state {
	case supervise.Healthy, supervise.Degraded:
		e.State = arena.ModuleRunning
	case supervise.Quarantined:
		e.State = arena.ModuleQuarantined
	}
	if d := w.desc; d != nil {
		e.Resident, e.Deterministic, e.Author = d.Manifest.Resident, d.Manifest.Deterministic, d.Signature.Author
	}
	_ = s.n.memory.arena.Modules().Put(w.slot, e)
}

// introduce names a supervised module whose file was read.
func (s *supervisors) introduce(d *module.Description) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.wards[d.Hash]
	if w == nil || w.desc != nil {
		return
	}
	w.desc, w.name = d, d.Manifest.Name+"@"+d.Manifest.Version
	if s.named < maxNamed {
		s.named++
		s.measure(w, w.name)
	}
	v, _ := s.machine.View(d.Hash)
	s.register(d.Hash, w, v.State)
}

// changed shows a new state and returns what is left to do without mu, which is
// held.
func (s *supervisors) changed(e supervise.Changed) func() {
	w := s.ward(e.Module)
	if v, ok := s.machine.View(e.Module); ok {
		w.slot = v.Slot
	}
	s.register(e.Module, w, e.To)
	record := quarantine{Since: time.Now().UnixMilli(), Reason: e.Reason, Name: w.name}
	key := "sup/" + string(e.Module[:])
	return func() {
		var err error
		switch {
		case e.To == supervise.Quarantined:
			s.n.metrics.quarantined.Add(1)
			var b []byte
			if b, err = json.Marshal(record); err == nil {
				err = s.n.meta.Set(key, b)
			}
		case e.From == supervise.Quarantined:
			s.n.metrics.quarantined.Add(-1)
			err = s.n.meta.Delete(key)
		}
		if err != nil {
			s.n.cfg.Log("module %s: its quarantine is not remembered over a restart: %v", record.Name, err)
		}
		s.n.emit("module:supervise:v1:"+e.To.String(), e.Module.String(), map[string]string{
			"name": record.Name, "from": e.From.String(), "reason": e.Reason,
		})
	}
}

func (s *supervisors) keptOut(e supervise.KeptOut) func() {
	name := s.ward(e.Module).name
	return func() {
		s.n.emit("module:supervise:v1:isolated", e.Module.String(), map[string]string{
			"name": name, "payer": e.Payer.String(), "until": time.UnixMilli(e.Until).UTC().Format(time.RFC3339), "reason": e.Reason,
		})
	}
}

// refusal is the error of a call that must not run. Quarantine and isolation are
// Denied: another try here is of no use, and the owner has to act. A wait is
// Unavailable: another node, or this one a little later, may do the job. mu is
// held.
func (s *supervisors) refusal(h api.Hash, e supervise.Refused, now int64) error {
	const op = "node.supervise"
	name, here := h.Short(), s.n.member.Name
	if w := s.wards[h]; w != nil {
		name = w.name
	}
	wait := time.Duration(max(e.Until-now, 1)) * time.Millisecond
	switch e.Cause {
	case supervise.InQuarantine:
		return api.Errorf(op, api.Denied, fmt.Sprintf("module %s is quarantined on %s since %s: %s; once it is sound, run there: inos module reset %s",
			name, here, time.UnixMilli(e.Since).UTC().Format("2006-01-02 15:04:05 UTC"), e.Why, name))
	case supervise.Isolated:
		return api.Errorf(op, api.Denied, fmt.Sprintf("your calls made module %s trap on %s again and again, the last with: %s; check the inputs, and come back in %s, or have its owner run there: inos module reset %s",
			name, here, e.Why, wait.Round(time.Second), name))
	case supervise.Restarting:
		return api.Errorf(op, api.Unavailable, fmt.Sprintf("module %s failed to start on %s: %s; its next start is due in %s", name, here, e.Why, wait))
	case supervise.Waiting:
		return api.Errorf(op, api.Unavailable, fmt.Sprintf("your last calls made module %s trap on %s; the next may run in %s", name, here, wait))
	}
	return api.Errorf(op, api.Unavailable, "this worker runs calls of 256 modules; try another node or later")
}

// find resolves a reference to a module that is supervised here, or to one on
// the shelf.
func (s *supervisors) find(ctx context.Context, ref string) (api.Hash, error) {
	var found []api.Hash
	s.mu.Lock()
	for h, w := range s.wards {
		name, _, _ := strings.Cut(w.name, "@")
		if ref == name || ref == w.name || len(ref) >= 8 && strings.HasPrefix(h.String(), ref) {
			found = append(found, h)
		}
	}
	s.mu.Unlock()
	if len(found) == 1 {
		return found[0], nil
	}
	d, _, err := s.n.modules.find(ctx, ref)
	if err != nil {
		return api.Hash{}, err
	}
	return d.Hash, nil
}

// ModuleReport says how this node supervises a module.
func (n *Node) ModuleReport(ctx context.Context, ref string) (api.ModuleReport, error) {
	h, err := n.worker.supervisors.find(ctx, ref)
	if err != nil {
		return api.ModuleReport{}, err
	}
	return n.worker.supervisors.report(ctx, h), nil
}

// ModuleReset ends a module's quarantine here and forgets its crashes.
func (n *Node) ModuleReset(ctx context.Context, ref string) (api.ModuleReport, error) {
	s := n.worker.supervisors
	h, err := s.find(ctx, ref)
	if err != nil {
		return api.ModuleReport{}, err
	}
	_ = s.step(h, supervise.Reset{Module: h})
	return s.report(ctx, h), nil
}

func (s *supervisors) report(ctx context.Context, h api.Hash) api.ModuleReport {
	s.mu.Lock()
	v, ok := s.machine.View(h)
	r := api.ModuleReport{Module: api.ModuleInfo{Hash: h}, State: supervise.State(0).String()}
	if w := s.wards[h]; w != nil {
		r.Module.Name, r.Module.Version, _ = strings.Cut(w.name, "@")
		r.Turned = w.turned
	}
	s.mu.Unlock()
	if info, err := s.n.Module(ctx, h.String()); err == nil {
		r.Module = info
	}
	s.n.reportSyscalls(h, &r)
	if !ok {
		return r
	}
	r.State, r.Since, r.Reason, r.Crashed, r.Retry = v.State.String(), v.Since, v.Reason, v.Crashed, v.Retry
	r.Heartbeat, r.Restarts, r.Crashes = v.Heartbeat, v.Restarts, v.Crashes
	r.Queued, r.Running, r.Calls, r.Gas = v.Queued, v.Running, v.Calls, v.Gas
	for _, k := range v.KeptOut {
		r.KeptOut = append(r.KeptOut, api.KeptOut{Payer: k.Payer, Until: k.Until, Name: s.n.peerName(k.Payer)})
	}
	return r
}

// view is the supervisor of a module as it is now, zero when there is none.
func (s *supervisors) view(h api.Hash) supervise.View {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, _ := s.machine.View(h)
	return v
}

// quarantined names the modules that nobody may call.
func (s *supervisors) quarantined() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for h, w := range s.wards {
		if v, ok := s.machine.View(h); ok && v.State == supervise.Quarantined {
			names = append(names, w.name)
		}
	}
	return names
}

// reportSyscalls adds what a module's system calls did: those refused by name and
// reason, and what each payer used.
func (n *Node) reportSyscalls(h api.Hash, r *api.ModuleReport) {
	for _, m := range n.SyscallCounts() {
		if m.Module != h {
			continue
		}
		r.Denied = map[string]uint64{}
		for name, c := range m.Syscalls {
			for why, times := range c.Refused {
				r.Denied[fmt.Sprintf("%s (%v)", name, why)] += times
			}
		}
		for _, p := range m.Payers {
			r.Payers = append(r.Payers, api.SyscallPayer{
				Payer: p.Payer, Name: n.peerName(p.Payer), Served: p.Served, Refused: p.Refused, Spent: p.Spent, Left: p.Left,
			})
		}
	}
}

// peerName is a member's name as this node knows it; empty when it does not.
func (n *Node) peerName(id api.NodeID) string {
	for _, p := range n.peerRows() {
		if p.Node == id {
			return p.Name
		}
	}
	return ""
}
