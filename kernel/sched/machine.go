package sched

import (
	"encoding/binary"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
)

// Machine is a payer's scheduler. It is not safe for concurrent use.
type Machine struct {
	cfg     Config
	now     int64
	nonce   int64 // the first time seen; makes command ids differ between runs
	serial  uint64
	armed   uint64
	effects []Effect
	timers  timerHeap

	jobs    map[api.ID]*job // not final; at most cfg.MaxJobs
	batches map[api.ID]*batch
	rings   [api.Classes]ring // batches with waiting jobs, by class of priority
	more    timer             // the rings were not looked at to their end
	changed bool              // a waiting job may have become hopeless since the rings were looked at

	workers map[api.NodeID]*worker // at most api.MaxMembers
	order   []*worker              // the same, by node id

	escrows  map[api.ID]*escrow // not closed; at most MaxEscrows
	active   int                // escrows whose credits come back soon: their job runs or they are closing
	unfunded bool               // the account was empty; open no escrow until one is closed
	commands map[api.ID]*command
	queues   [commandKinds]commandQueue

	meanMS float64 // of run times, over all batches
}

// New returns a machine without workers or jobs.
func New(cfg Config) (*Machine, error) {
	cfg, err := cfg.validate()
	if err != nil {
		return nil, err
	}
	m := &Machine{
		cfg:      cfg,
		jobs:     map[api.ID]*job{},
		batches:  map[api.ID]*batch{},
		workers:  map[api.NodeID]*worker{},
		escrows:  map[api.ID]*escrow{},
		commands: map[api.ID]*command{},
		meanMS:   20,
	}
	m.more.due = func(int64) { m.changed = true } // the Step that runs it goes on with the rings
	return m, nil
}

// Step takes one event at time now, Unix milliseconds; an earlier time than
// before counts as the time before. It returns what to do, in order; the slice is valid until
// the next Step.
func (m *Machine) Step(now int64, ev Event) []Effect {
	if m.nonce == 0 {
		m.nonce = now
	}
	m.now = max(now, m.now)
	clear(m.effects)
	m.effects = m.effects[:0]
	m.handle(ev)
	m.runTimers()
	m.place()
	m.flushCommands()
	return m.effects
}

func (m *Machine) handle(ev Event) {
	switch ev.(type) {
	case Submit, WorkerUpdate, WorkerLost, EscrowFailed:
		m.changed = true
	}
	switch ev := ev.(type) {
	case Submit:
		m.submit(ev)
	case WorkerUpdate:
		m.updateWorker(ev)
	case WorkerLost:
		m.loseWorker(ev.Node)
	case EscrowOpened:
		m.escrowOpened(ev)
	case EscrowFailed:
		m.escrowFailed(ev)
	case Accepted:
		m.accepted(ev)
	case Finished:
		m.finished(ev)
	case Failed:
		m.failed(ev)
	case Closed:
		m.closed(ev.Command)
	case CloseFailed:
		m.closeFailed(ev)
	case Cancel:
		m.cancel(ev)
	case Adopt:
		m.adopt(ev.Escrows)
	case Tick:
	}
}

// Next returns when the machine wants a Tick, Unix milliseconds, or false when
// nothing waits for time to pass.
func (m *Machine) Next() (int64, bool) {
	if len(m.timers) == 0 {
		return 0, false
	}
	return m.timers[0].at, true
}

// Stats counts what the machine holds.
type Stats struct {
	Jobs    int // not final
	Placed  int // of those, on a worker or waiting for their escrow
	Batches int
	Workers int // online
	Escrows int // not known to be closed
}

// Stats counts what the machine holds. It looks at all workers.
func (m *Machine) Stats() Stats {
	s := Stats{Jobs: len(m.jobs), Batches: len(m.batches), Escrows: len(m.escrows)}
	for _, w := range m.order {
		s.Placed += len(w.jobs)
		if w.online {
			s.Workers++
		}
	}
	return s
}

func (m *Machine) emit(e Effect) { m.effects = append(m.effects, e) }

// freshID derives the next command's id from this node, the first time seen and
// a counter, so ids do not repeat between runs of the node.
func (m *Machine) freshID() api.ID {
	m.serial++
	b := make([]byte, 0, 64)
	b = append(b, "sched"...)
	b = append(b, m.cfg.Self[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(m.nonce))
	b = binary.LittleEndian.AppendUint64(b, m.serial)
	digest := blake3.Sum256(b)
	return api.ID(digest[:16])
}
