package sched

import (
	"bytes"
	"slices"

	"inos/kernel/api"
)

// worker is a node that may run jobs.
type worker struct {
	node    api.NodeID
	online  bool
	workers int
	others  int // jobs of other payers there, as last heard
	price   api.Credits
	priced  int64 // until when the price counts as quoted
	latency float64
	warm    []api.Hash
	jobs    map[*job]struct{} // this payer's, placed there
	quoting bool
	blocked int64 // not used before: it was busy or failed
	strikes int   // failures in a row
	timer   timer // the end of blocked, or of waiting for a quote
}

func (m *Machine) updateWorker(ev WorkerUpdate) {
	w := m.workers[ev.Node]
	if w == nil {
		if !ev.Online || len(m.workers) >= api.MaxMembers && !m.dropWorker() {
			return
		}
		w = m.addWorker(ev.Node)
	}
	if !ev.Online {
		m.loseWorker(ev.Node)
		return
	}
	w.online, w.workers, w.latency = true, int(ev.Workers), ev.LatencyMS
	w.others = max(0, int(ev.Queue)-len(w.jobs))
	if ev.Warm != nil {
		w.warm = append(w.warm[:0], ev.Warm[:min(len(ev.Warm), MaxWarm)]...)
	}
	w.quoting = false
	w.rearm(m)
	if ev.Quoted {
		w.price, w.priced = max(0, ev.Price), ev.ValidTill
		return
	}
	if ev.Price != w.price || m.now+m.cfg.QuoteMaxAge > w.priced {
		w.price, w.priced = max(0, ev.Price), m.now+m.cfg.QuoteMaxAge
	}
}

func (m *Machine) addWorker(node api.NodeID) *worker {
	w := &worker{node: node, jobs: map[*job]struct{}{}}
	w.timer.due = func(int64) { m.workerDue(w) }
	m.workers[node] = w
	i, _ := slices.BinarySearchFunc(m.order, w, byNode)
	m.order = slices.Insert(m.order, i, w)
	return w
}

func byNode(a, b *worker) int { return bytes.Compare(a.node[:], b.node[:]) }

// dropWorker makes room by forgetting one that is offline.
func (m *Machine) dropWorker() bool {
	for i, w := range m.order {
		if !w.online {
			m.disarm(&w.timer)
			m.order = slices.Delete(m.order, i, i+1)
			delete(m.workers, w.node)
			return true
		}
	}
	return false
}

// loseWorker takes a node out and tries its jobs elsewhere.
func (m *Machine) loseWorker(node api.NodeID) {
	w := m.workers[node]
	if w == nil || !w.online {
		return
	}
	w.online, w.quoting, w.blocked, w.strikes, w.priced = false, false, 0, 0, 0
	m.disarm(&w.timer)
	for _, j := range w.sorted() {
		m.again(j, api.Unavailable, "the worker is gone")
	}
}

func (w *worker) sorted() []*job {
	all := make([]*job, 0, len(w.jobs))
	for j := range w.jobs {
		all = append(all, j)
	}
	sortJobs(all)
	return all
}

func sortJobs(all []*job) {
	slices.SortFunc(all, func(a, b *job) int {
		if a.serial < b.serial {
			return -1
		}
		return 1
	})
}

// free reports whether work there costs nothing.
func (m *Machine) free(w *worker) bool { return w.node == m.cfg.Self || w.price == 0 }

// room is how many more jobs the worker takes from this payer.
func (m *Machine) room(w *worker) int {
	if !w.online || w.workers == 0 || w.blocked > m.now {
		return 0
	}
	window := m.cfg.Window
	if window == 0 {
		window = max(2, w.workers)
	}
	return w.workers + window - len(w.jobs)
}

// expected is when a job placed there now would be done, in milliseconds.
func (m *Machine) expected(w *worker, j *job) float64 {
	run := j.batch.meanMS
	if run == 0 {
		run = m.meanMS
	}
	ms := w.latency + run*float64(len(w.jobs)+w.others+1)/float64(w.workers)
	if len(j.Holders) > 0 && !slices.Contains(j.Holders, w.node) {
		ms += 5 + w.latency + float64(j.Size)/transferPerMS
	}
	if len(w.warm) > 0 && !slices.Contains(w.warm, j.Spec.Module) {
		ms += compileMS
	}
	return ms
}

// Guesses that only rank workers.
const (
	transferPerMS = 100_000 // bytes that travel in a millisecond
	compileMS     = 50      // to compile or load a module
)

// suspect keeps new work from a worker that failed, longer each time.
func (m *Machine) suspect(w *worker) { m.block(w, 1_000, 30_000) }

// busy keeps new work from a worker that has no room, for a short time.
func (m *Machine) busy(w *worker) { m.block(w, 50, 5_000) }

func (m *Machine) block(w *worker, first, most int64) {
	if w == nil || !w.online {
		return
	}
	wait := min(first<<min(w.strikes, 16), most)
	w.strikes++
	w.blocked = max(w.blocked, m.now+wait)
	w.rearm(m)
}

func (w *worker) rearm(m *Machine) {
	switch {
	case w.quoting: // its timer ends the wait for the quote
	case w.blocked > m.now:
		m.arm(&w.timer, w.blocked)
	default:
		m.disarm(&w.timer)
	}
}

func (m *Machine) workerDue(w *worker) {
	if w.quoting {
		w.quoting = false
		m.suspect(w)
	}
}

// askQuote asks for the price once.
func (m *Machine) askQuote(w *worker) {
	if w.quoting {
		return
	}
	w.quoting = true
	m.arm(&w.timer, m.now+m.cfg.QuoteTimeout)
	m.emit(Quote{Node: w.node})
}
