package supervise

import "inos/kernel/api"

// View is what a machine shows of one supervisor.
type View struct {
	Module    api.Hash
	Slot      int // in the arena
	State     State
	Since     int64  // when State began, Unix milliseconds
	Reason    string // of the last crash
	Crashed   int64  // last crash, Unix milliseconds; 0 for none
	Heartbeat int64  // last call that came, began or ended, Unix milliseconds
	Queued    int    // calls waiting for their turn
	Running   int
	Calls     uint64 // ended since registration
	Gas       uint64 // of those
	Restarts  uint64 // crashes since registration, each of which cost an instance
	Crashes   int    // in a row
	Retry     int64  // no start before, Unix milliseconds; 0 for now
	KeptOut   []KeptOut
}

// View shows a module's supervisor; false when it has none: it was not called
// since the node started.
func (m *Machine) View(module api.Hash) (View, bool) {
	s := m.table[module]
	if s == nil {
		return View{}, false
	}
	v := View{
		Module: module, Slot: s.slot, State: s.state, Since: s.since, Reason: s.reason, Crashed: s.crashed, Heartbeat: s.used,
		Queued: s.queued, Running: s.running, Calls: s.calls, Gas: s.gas, Restarts: s.restarts, Crashes: s.row, Retry: s.retry,
	}
	for _, p := range s.payers {
		if p.alone && m.now < p.until {
			v.KeptOut = append(v.KeptOut, KeptOut{Module: module, Payer: p.node, Until: p.until})
		}
	}
	return v, true
}

// Incarnation tells calls that began before a module's last crash or reset from
// later ones; 0 when it has no supervisor.
func (m *Machine) Incarnation(module api.Hash) uint64 {
	if s := m.table[module]; s != nil {
		return s.incarnation
	}
	return 0
}

// Len is how many supervisors there are.
func (m *Machine) Len() int { return len(m.table) }
