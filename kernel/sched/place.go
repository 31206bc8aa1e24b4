package sched

import (
	"slices"

	"inos/kernel/api"
)

// ring is the batches of one class of priority that have waiting jobs.
type ring struct {
	list   []*batch // taken in turn
	idle   int      // of them in a row, nothing was placed; only during place
	passed int      // jobs in a row placed from higher classes while this one waited
}

// patience is how often in a row a class of priority is passed over.
const patience = 8

// place puts waiting jobs on workers while there is room: the highest class
// first, of a class one job of each batch in turn, so that a short batch does not
// wait for a long one. A class that was passed over too often goes first. Without
// room it looks only for jobs that have become hopeless, and only after a change.
func (m *Machine) place() {
	for i := range m.rings {
		m.rings[i].idle = 0
	}
	for budget := ringBudget; ; budget-- {
		at := m.turn()
		if at < 0 {
			break
		}
		room := m.hasRoom()
		if !room && !m.changed {
			return
		}
		if budget == 0 {
			m.arm(&m.more, m.now+1)
			return
		}
		r := &m.rings[at]
		b := r.list[0]
		progress := m.advance(b, room)
		r.list = r.list[1:]
		if b.waiting(0) == nil {
			b.inRing = false
		} else {
			r.list = append(r.list, b)
		}
		switch {
		case progress:
			m.placed(at)
			budget = ringBudget + 1
		case b.inRing:
			r.idle++
		}
	}
	m.changed = false
	m.disarm(&m.more)
}

// turn returns the class to look at next: the highest of which not every batch
// was looked at in vain, or the lowest of those that were passed over too often;
// -1 when there is none.
func (m *Machine) turn() int {
	at := -1
	for i := range m.rings {
		if r := &m.rings[i]; r.idle < len(r.list) && (at < 0 || r.passed >= patience) {
			at = i
		}
	}
	return at
}

// placed notes that a class had its turn and every batch may be looked at again.
func (m *Machine) placed(at int) {
	for i := range m.rings {
		r := &m.rings[i]
		r.idle = 0
		switch {
		case i == at || len(r.list) == 0:
			r.passed = 0
		case i > at:
			r.passed++
		}
	}
}

// advance places or ends one of the first waiting jobs of a batch and reports
// whether it did. It takes the first, unless its best worker does not hold its
// input and holds that of another one.
func (m *Machine) advance(b *batch, room bool) bool {
	for i := range lookahead {
		j := b.waiting(i)
		if j == nil {
			return false
		}
		if j.final {
			continue
		}
		w := m.pick(j)
		if w == nil {
			if m.hopeless(j) {
				return true
			}
			if !room {
				return false // nor will the others find any
			}
			continue
		}
		b.stuck = 0
		at := m.swap(b, i, j, w)
		j = b.waiting(at)
		b.take(at)
		m.start(j, w)
		return true
	}
	return false
}

func (m *Machine) hasRoom() bool {
	for _, w := range m.order {
		if m.room(w) > 0 {
			return true
		}
	}
	return false
}

// swap returns the index of the job to place on w instead of j: one whose input
// w holds, if j's is elsewhere and j has not been overtaken too often.
func (m *Machine) swap(b *batch, i int, j *job, w *worker) int {
	if len(j.Holders) == 0 || slices.Contains(j.Holders, w.node) || j.skips >= maxSkips {
		return i
	}
	for k := i + 1; k < lookahead; k++ {
		o := b.waiting(k)
		if o == nil {
			break
		}
		if !o.final && slices.Contains(o.Holders, w.node) && m.suits(o, w) && (len(o.nodes) == 0 || !slices.Contains(o.nodes, w.node)) {
			j.skips++
			return k
		}
	}
	return i
}

// pick returns the worker with room that is expected to finish the job first,
// the cheaper of equals, or nil. A worker that has tried the job comes into
// question only when every other suitable one has.
func (m *Machine) pick(j *job) *worker {
	var best *worker
	var bestMS float64
	fresh := m.untried(j)
	for _, w := range m.order {
		if m.room(w) <= 0 || !m.suits(j, w) || fresh && slices.Contains(j.nodes, w.node) {
			continue
		}
		if !m.free(w) && (m.unfunded && m.active > 0 || len(m.escrows) >= MaxEscrows) {
			continue // until an escrow closes
		}
		if w.node != m.cfg.Self && w.priced <= m.now { // a free worker may have become a paid one
			m.askQuote(w)
			continue
		}
		ms := m.expected(w, j)
		if best == nil || ms < bestMS || ms == bestMS && w.price < best.price {
			best, bestMS = w, ms
		}
	}
	return best
}

// untried reports whether a suitable worker is online that has not tried the job.
func (m *Machine) untried(j *job) bool {
	if len(j.nodes) == 0 {
		return false // no need to look
	}
	for _, w := range m.order {
		if w.online && m.suits(j, w) && !slices.Contains(j.nodes, w.node) {
			return true
		}
	}
	return false
}

// suits reports whether the job may run there at all, room aside.
func (m *Machine) suits(j *job, w *worker) bool {
	if !j.Spec.Node.IsZero() && j.Spec.Node != w.node || w.workers == 0 || slices.Contains(j.denied, w.node) {
		return false
	}
	return m.free(w) || !j.freeOnly && m.affordable(j, w)
}

func (m *Machine) affordable(j *job, w *worker) bool {
	bound, err := m.bound(j, w)
	return err == nil && (j.Spec.PriceCap == 0 || bound <= j.Spec.PriceCap)
}

// bound is the most the job can cost there: the price of all its gas.
func (m *Machine) bound(j *job, w *worker) (api.Credits, error) {
	price, err := m.price(j, w)
	if err != nil {
		return 0, err
	}
	return api.Prices{ComputeGgas: price}.Compute(j.Spec.Limits.Gas)
}

// price is what the worker asks for 10^9 gas of the job.
func (m *Machine) price(j *job, w *worker) (api.Credits, error) {
	return j.Spec.Priority.Price(w.price)
}

// hopeless ends a job that no worker can take now or, for want of a suitable one, for
// WaitForWorker, and reports whether it did.
func (m *Machine) hopeless(j *job) bool {
	var online, priced, broke bool
	var cheapest api.Credits
	for _, w := range m.order {
		if !w.online || w.workers == 0 || !j.Spec.Node.IsZero() && j.Spec.Node != w.node {
			continue
		}
		if m.suits(j, w) {
			j.batch.stuck = 0
			return false // it has to wait its turn
		}
		if slices.Contains(j.denied, w.node) {
			continue
		}
		online = true
		if bound, err := m.bound(j, w); err == nil && !m.affordable(j, w) && (!priced || bound < cheapest) {
			priced, cheapest = true, bound
		}
		broke = broke || j.freeOnly && m.affordable(j, w)
	}
	switch {
	case online && broke:
		m.fail(j, api.Unfunded, "the account cannot cover the job; ask the mesh's owner for credits, or lower the gas limit")
	case online && priced:
		m.fail(j, api.PriceAboveCap, "the cheapest worker may charge "+cheapest.String()+" credits and the cap is "+
			j.Spec.PriceCap.String()+"; raise the cap or lower the gas limit")
	case online:
		m.fail(j, api.Invalid, "the price of the gas limit overflows; lower the gas limit")
	case len(j.denied) > 0:
		m.fail(j, api.Denied, j.deniedBy)
	case j.batch.stuck == 0:
		j.batch.stuck = m.now
		m.arm(&j.batch.timer, m.now+m.cfg.WaitForWorker)
		return false
	case m.now < j.batch.stuck+m.cfg.WaitForWorker:
		return false
	default:
		m.fail(j, api.Unavailable, "no suitable node is online; check inos peers")
	}
	return true
}
