package supervise

import (
	"slices"
	"strings"

	"inos/kernel/api"
)

// Machine holds the supervisors of one node. It is not safe for concurrent use.
type Machine struct {
	cfg     Config
	now     int64
	effects []Effect
	table   map[api.Hash]*supervisor // at most cfg.Modules
	free    []int                    // slots that no supervisor has, lowest last
}

// supervisor is what is known of one module.
//
// Invariant: state is Quarantined exactly when since and reason say why.
type supervisor struct {
	module  api.Hash
	slot    int
	state   State
	reason  string // of the last crash
	since   int64  // when state began
	used    int64  // last event
	crashed int64  // last crash

	queued, running int
	calls, gas      uint64
	restarts        uint64 // crashes since registration: each cost an instance
	incarnation     uint64 // raised by each crash and each reset
	row             int    // crashes in a row, of anybody
	starts          int    // failures to start in a row
	retry           int64  // no start before

	payers []payer    // whose traps count; at most cfg.Payers, oldest first
	inputs []api.Hash // of traps since the last success; at most cfg.CrashInputs
	first  int64      // the first of those traps
}

// payer is one payer's record with one module. It goes with the payer's next
// success.
type payer struct {
	node  api.NodeID
	row   int   // traps in a row
	last  int64 // the last one
	until int64 // kept out until then
	alone bool  // isolated, not merely waiting
	fresh bool  // has trapped since the last success of anybody
}

// New returns a machine without supervisors.
func New(cfg Config) (*Machine, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	m := &Machine{cfg: cfg, table: make(map[api.Hash]*supervisor)}
	for i := cfg.Modules - 1; i >= 0; i-- {
		m.free = append(m.free, i)
	}
	return m, nil
}

// Step takes one event at time now, Unix milliseconds; an earlier time than
// before counts as the time before. The effects are valid until the next Step.
func (m *Machine) Step(now int64, ev Event) []Effect {
	m.now = max(now, m.now)
	clear(m.effects)
	m.effects = m.effects[:0]
	switch ev := ev.(type) {
	case Arrived:
		if s := m.find(ev.Module); s != nil && m.allowed(s, ev.Payer) {
			s.queued++
		}
	case Left:
		if s := m.table[ev.Module]; s != nil && s.queued > 0 {
			s.queued--
		}
	case Began:
		m.began(ev)
	case Ended:
		m.ended(ev)
	case Lasted:
		if s := m.table[ev.Module]; s != nil && s.running > 0 {
			s.used = m.now
			m.succeeded(s, ev.Payer)
		}
	case Reset:
		if s := m.table[ev.Module]; s != nil {
			m.reset(s)
		}
	case Restored:
		if s := m.find(ev.Module); s != nil {
			m.enter(s, Quarantined, cut(ev.Reason))
			s.since = ev.Since
		}
	}
	return m.effects
}

func (m *Machine) emit(e Effect) { m.effects = append(m.effects, e) }

// find returns the module's supervisor, making one if need be. When every one is
// in use it emits Refused and returns nil.
func (m *Machine) find(module api.Hash) *supervisor {
	s := m.table[module]
	if s == nil {
		if len(m.free) == 0 && !m.drop() {
			m.emit(Refused{Cause: TableFull})
			return nil
		}
		s = &supervisor{module: module, slot: m.free[len(m.free)-1], state: Starting, since: m.now}
		m.free = m.free[:len(m.free)-1]
		m.table[module] = s
	}
	s.used = m.now
	return s
}

// drop forgets the idle module that was used longest ago: first of those that
// keep nobody waiting, last of the quarantined. A payer cannot end its own wait by
// naming modules until the table is full.
func (m *Machine) drop() bool {
	var worst *supervisor
	for _, s := range m.table {
		if s.queued+s.running > 0 {
			continue
		}
		if worst == nil || m.before(s, worst) {
			worst = s
		}
	}
	if worst == nil {
		return false
	}
	delete(m.table, worst.module)
	m.free = append(m.free, worst.slot)
	m.emit(Dropped{Module: worst.module, Slot: worst.slot})
	return true
}

// before orders supervisors by how little is lost with them.
func (m *Machine) before(a, b *supervisor) bool {
	if wa, wb := m.weight(a), m.weight(b); wa != wb {
		return wa < wb
	}
	if a.used != b.used {
		return a.used < b.used
	}
	return a.slot < b.slot
}

// weight says how much a supervisor remembers that still counts.
func (m *Machine) weight(s *supervisor) int {
	switch {
	case s.state == Quarantined:
		return 2
	case m.now < s.retry, slices.ContainsFunc(s.payers, func(p payer) bool { return m.now < max(p.until, p.last+m.cfg.Window) }):
		return 1
	}
	return 0
}

// allowed says whether the payer may call the module now, and emits Refused
// when not.
func (m *Machine) allowed(s *supervisor, node api.NodeID) bool {
	if s.state == Quarantined {
		m.emit(Refused{Cause: InQuarantine, Since: s.since, Why: s.reason})
		return false
	}
	if m.now < s.retry {
		m.emit(Refused{Cause: Restarting, Until: s.retry, Since: s.crashed, Why: s.reason})
		return false
	}
	if p := s.payer(node); p != nil && m.now < p.until {
		cause := Waiting
		if p.alone {
			cause = Isolated
		}
		m.emit(Refused{Cause: cause, Until: p.until, Since: p.last, Why: s.reason})
		return false
	}
	return true
}

func (m *Machine) began(ev Began) {
	s := m.table[ev.Module]
	if s == nil || s.queued == 0 {
		return // it did not arrive
	}
	s.queued--
	s.used = m.now
	if !m.allowed(s, ev.Payer) {
		return
	}
	s.running++
	if s.starts > 0 && s.state == Degraded {
		m.enter(s, Starting, "")
	}
}

func (m *Machine) ended(ev Ended) {
	s := m.table[ev.Module]
	if s == nil || s.running == 0 {
		return
	}
	s.running--
	s.used = m.now
	s.calls++
	s.gas += ev.Gas
	switch ev.Outcome {
	case Success:
		m.succeeded(s, ev.Payer)
	case Trap:
		m.trapped(s, ev)
	case StartCrash:
		m.failedToStart(s, ev)
	}
}

// succeeded clears what was counted against the module and the payer.
func (m *Machine) succeeded(s *supervisor, node api.NodeID) {
	if s.state == Quarantined {
		return // a call that began before; the owner decides
	}
	s.row, s.starts, s.retry = 0, 0, 0
	s.forget()
	s.payers = slices.DeleteFunc(s.payers, func(p payer) bool { return p.node == node })
	switch {
	case s.crashed == 0 || m.now >= s.crashed+m.cfg.Recover:
		m.enter(s, Healthy, "")
	case s.state == Starting:
		m.enter(s, Degraded, "")
	}
}

// forget drops the evidence of traps against the module as a whole.
func (s *supervisor) forget() {
	s.inputs, s.first = s.inputs[:0], 0
	for i := range s.payers {
		s.payers[i].fresh = false
	}
}

// failedToStart counts a start that failed, once for the calls that began
// together.
func (m *Machine) failedToStart(s *supervisor, ev Ended) {
	if ev.Incarnation != s.incarnation || s.state == Quarantined {
		return
	}
	m.crash(s, ev.Reason)
	if s.starts++; s.starts >= m.cfg.StartCrashes {
		m.enter(s, Quarantined, s.reason)
		return
	}
	s.retry = m.now + m.cfg.backoff(s.starts, ev.Random)
	m.enter(s, Degraded, s.reason)
}

func (m *Machine) crash(s *supervisor, reason string) {
	s.restarts++
	s.incarnation++
	s.row++
	s.crashed, s.reason = m.now, cut(reason)
}

// trapped counts a trap against its payer, and against the module together with
// those of other payers.
func (m *Machine) trapped(s *supervisor, ev Ended) {
	if s.state == Quarantined {
		return
	}
	m.crash(s, ev.Reason)
	m.blame(s, ev)
	if s.first == 0 || m.now-s.first > m.cfg.Window {
		s.forget()
		s.first = m.now
	}
	p := s.payer(ev.Payer)
	p.fresh = true
	if len(s.inputs) < m.cfg.CrashInputs && !slices.Contains(s.inputs, ev.Input) {
		s.inputs = append(s.inputs, ev.Input)
	}
	if len(s.inputs) >= m.cfg.CrashInputs && s.culprits() >= m.cfg.CrashPayers {
		m.enter(s, Quarantined, s.reason)
		return
	}
	if s.row >= m.cfg.Degraded {
		m.enter(s, Degraded, s.reason)
	}
}

// culprits counts the payers that made the module trap since anybody's last
// success.
func (s *supervisor) culprits() int {
	n := 0
	for i := range s.payers {
		if s.payers[i].fresh {
			n++
		}
	}
	return n
}

// blame lets the payer of a trap wait, or keeps it out.
func (m *Machine) blame(s *supervisor, ev Ended) {
	p := s.payer(ev.Payer)
	if p == nil {
		if len(s.payers) >= m.cfg.Payers {
			s.payers = slices.Delete(s.payers, 0, 1)
		}
		s.payers = append(s.payers, payer{node: ev.Payer})
		p = &s.payers[len(s.payers)-1]
	} else if m.now-max(p.last, p.until) > m.cfg.Window {
		p.row, p.alone = 0, false
	}
	p.row++
	p.last = m.now
	switch {
	case p.row >= m.cfg.PayerCrashes:
		if !p.alone || m.now >= p.until {
			m.emit(KeptOut{Module: s.module, Payer: ev.Payer, Until: m.now + m.cfg.Isolation, Reason: s.reason})
		}
		p.alone, p.until = true, m.now+m.cfg.Isolation
	case p.row >= m.cfg.PayerFree:
		p.until = max(p.until, m.now+m.cfg.backoff(p.row-m.cfg.PayerFree+1, ev.Random))
	}
}

func (s *supervisor) payer(node api.NodeID) *payer {
	for i := range s.payers {
		if s.payers[i].node == node {
			return &s.payers[i]
		}
	}
	return nil
}

func (m *Machine) reset(s *supervisor) {
	s.row, s.starts, s.retry, s.crashed, s.reason = 0, 0, 0, 0, ""
	s.payers, s.inputs, s.first = nil, nil, 0
	s.used = m.now
	s.incarnation++
	m.enter(s, Starting, "")
}

// enter changes the state, if it is another.
func (m *Machine) enter(s *supervisor, to State, reason string) {
	if s.state == to {
		return
	}
	if reason != "" {
		s.reason = reason
	}
	m.emit(Changed{Module: s.module, From: s.state, To: to, Reason: reason})
	s.state, s.since = to, m.now
}

func cut(reason string) string {
	return strings.ToValidUTF8(reason[:min(len(reason), MaxReason)], "")
}
