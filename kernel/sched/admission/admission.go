// Package admission is a worker's waiting room: it bounds what waits, orders it
// by priority, shares the worker's slots fairly between payers, and says what to
// run next.
//
// Invariants:
//   - At most Limits.Workers jobs run and at most Limits.Queue wait, of one payer
//     at most Limits.PerPayer.
//   - Of other payers than Limits.Own, no job starts while as many run as Lend allows.
//   - A class of priority goes before those below it, but never more than Patience
//     times in a row while one of them waits: no class starves.
//   - Within a class, payers with waiting jobs are served in turn, one job each, so
//     a payer with one job waits behind at most one job of every other payer.
//   - Within a class and a payer, jobs start in the order they were offered.
//
// A Queue is a plain structure without a lock or a clock.
package admission

import (
	"slices"

	"inos/kernel/api"
)

// Patience is how often in a row a waiting class is passed over.
const Patience = 8

// Limits bound a queue.
type Limits struct {
	Workers  int // jobs run at once; at least 1
	Queue    int // jobs waiting; 0 means 64 for each worker
	PerPayer int // jobs of one payer waiting; 0 means half of Queue, and at least one

	Own api.NodeID // the payer whose jobs do not count as lent
}

// Offer is what a queue has to know of a job.
type Offer struct {
	Payer    api.NodeID
	Priority api.Priority
	Deadline int64 // Unix milliseconds; 0 for none
}

// Queue holds jobs of type T under keys of type K.
type Queue[K comparable, T any] struct {
	limits  Limits
	classes [api.Classes]class[K, T] // by api.Priority.Class
	jobs    map[K]place              // every job here, waiting or running
	payers  map[api.NodeID]int       // jobs waiting of each payer
	running int
	lent    int     // running, not of Limits.Own
	share   int     // lent at most; Limits.Workers until Lend
	count   int     // waiting
	meanMS  float64 // of the time a job holds its slot; 0 before the first
}

// class is the waiting jobs of one priority.
type class[K comparable, T any] struct {
	turns   []api.NodeID // payers with waiting jobs, next first
	waiting map[api.NodeID][]item[K, T]
	count   int
	passed  int // times in a row that a higher class went first while this one waited
}

type item[K comparable, T any] struct {
	key K
	job T
}

// place is where a job is.
type place struct {
	payer   api.NodeID
	class   int
	running bool
}

// New returns an empty queue. It returns Invalid for negative or inconsistent
// limits.
func New[K comparable, T any](l Limits) (*Queue[K, T], error) {
	if l.Queue == 0 {
		l.Queue = 64 * l.Workers
	}
	if l.PerPayer == 0 {
		l.PerPayer = max(1, l.Queue/2)
	}
	if l.Workers < 1 || l.Queue < 1 || l.PerPayer < 1 || l.PerPayer > l.Queue {
		return nil, api.Errorf("admission.new", api.Invalid, "a worker runs at least one job and its queue holds at least one")
	}
	q := &Queue[K, T]{limits: l, share: l.Workers, jobs: map[K]place{}, payers: map[api.NodeID]int{}}
	for i := range q.classes {
		q.classes[i].waiting = map[api.NodeID][]item[K, T]{}
	}
	return q, nil
}

// Lend says how many jobs of others than Limits.Own run at once from now on: 1 to
// Limits.Workers. Those that run go on.
func (q *Queue[K, T]) Lend(workers int) { q.share = max(1, min(workers, q.limits.Workers)) }

// Offer adds a job at time now, Unix milliseconds. It returns Exists when the
// key is here already; Timeout when the job's deadline has passed; Unavailable
// when the queue or the payer's share of it is full, or when the jobs before it
// take longer than its deadline allows: the kind that a scheduler answers by
// trying elsewhere and coming back.
func (q *Queue[K, T]) Offer(now int64, o Offer, key K, job T) error {
	const op = "admission.offer"
	if _, ok := q.jobs[key]; ok {
		return api.Errorf(op, api.Exists, "this attempt is here already")
	}
	if q.count >= q.limits.Queue || q.payers[o.Payer] >= q.limits.PerPayer {
		return api.Errorf(op, api.Unavailable, "the worker's queue is full; try another node or later")
	}
	at := o.Priority.Class()
	if o.Deadline > 0 {
		if now >= o.Deadline {
			return api.Errorf(op, api.Timeout, "the deadline passed before the job could start")
		}
		if now+q.wait(at, o.Payer) > o.Deadline {
			return api.Errorf(op, api.Unavailable, "the worker is too busy to start the job before its deadline; try another node")
		}
	}
	c := &q.classes[at]
	if len(c.waiting[o.Payer]) == 0 {
		c.turns = append(c.turns, o.Payer)
	}
	c.waiting[o.Payer] = append(c.waiting[o.Payer], item[K, T]{key, job})
	c.count++
	q.jobs[key] = place{payer: o.Payer, class: at}
	q.payers[o.Payer]++
	q.count++
	return nil
}

// wait estimates how long a job of a class waits for a slot, in milliseconds: the
// running jobs, and those waiting in its class and above, at the mean time a job
// took so far. It is zero while a slot is free.
func (q *Queue[K, T]) wait(class int, payer api.NodeID) int64 {
	slots, running := q.limits.Workers, q.running
	if payer != q.limits.Own && q.share-q.lent < slots-running {
		slots, running = q.share, q.lent
	}
	before := running - slots + 1
	for i := range class + 1 {
		before += q.classes[i].count
	}
	if before <= 0 {
		return 0
	}
	return int64(q.meanMS * float64(before) / float64(slots))
}

// Next takes the job to start now, or returns false when every worker that it may
// have is busy or nothing waits. The job counts as running until Done.
func (q *Queue[K, T]) Next() (key K, job T, ok bool) {
	if q.running >= q.limits.Workers || q.count == 0 {
		return key, job, false
	}
	at := q.choose()
	if at < 0 {
		return key, job, false
	}
	first := q.classes[at].next(q.turn(at))
	p := q.jobs[first.key]
	p.running = true
	q.jobs[first.key] = p
	q.gone(p.payer)
	q.running++
	if p.payer != q.limits.Own {
		q.lent++
	}
	return first.key, first.job, true
}

// turn returns which of a class's payers is next, as an index of its turns: -1
// when none that waits may run now.
func (q *Queue[K, T]) turn(class int) int {
	turns := q.classes[class].turns
	if q.lent >= q.share {
		return slices.Index(turns, q.limits.Own)
	}
	if len(turns) == 0 {
		return -1
	}
	return 0
}

// choose returns the class whose turn it is: the highest that waits and may run,
// or the lowest that was passed over too often; -1 for none.
func (q *Queue[K, T]) choose() int {
	at := -1
	for i := range q.classes {
		if c := &q.classes[i]; q.turn(i) >= 0 && (at < 0 || c.passed >= Patience) {
			at = i
		}
	}
	if at < 0 {
		return at
	}
	for i := range q.classes {
		switch c := &q.classes[i]; {
		case i == at || c.count == 0:
			c.passed = 0
		case i > at && q.turn(i) >= 0:
			c.passed++
		}
	}
	return at
}

// next takes the first job of the payer at an index of turns.
func (c *class[K, T]) next(at int) item[K, T] {
	payer := c.turns[at]
	if at == 0 {
		c.turns = c.turns[1:]
	} else {
		c.turns = slices.Delete(c.turns, at, at+1)
	}
	list := c.waiting[payer]
	first := list[0]
	list[0] = item[K, T]{}
	if list = list[1:]; len(list) > 0 {
		c.waiting[payer] = list
		c.turns = append(c.turns, payer)
	} else {
		delete(c.waiting, payer)
	}
	c.count--
	return first
}

// gone counts a job that waits no more.
func (q *Queue[K, T]) gone(payer api.NodeID) {
	q.count--
	if q.payers[payer]--; q.payers[payer] == 0 {
		delete(q.payers, payer)
	}
}

// Done ends a running job that held its slot for some milliseconds. An unknown
// key is ignored.
func (q *Queue[K, T]) Done(key K, ms int64) {
	p := q.jobs[key]
	if !p.running {
		return
	}
	delete(q.jobs, key)
	q.running--
	if p.payer != q.limits.Own {
		q.lent--
	}
	if took := float64(max(ms, 0)); q.meanMS == 0 {
		q.meanMS = took
	} else {
		q.meanMS += (took - q.meanMS) / 8
	}
}

// Drop takes a waiting job out and returns it; false when it does not wait here,
// because it is running or unknown.
func (q *Queue[K, T]) Drop(key K) (job T, ok bool) {
	p, known := q.jobs[key]
	if !known || p.running {
		return job, false
	}
	c := &q.classes[p.class]
	list := c.waiting[p.payer]
	for i := range list {
		if list[i].key == key {
			job = list[i].job
			list = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	c.waiting[p.payer] = list
	c.count--
	delete(q.jobs, key)
	q.gone(p.payer)
	if len(list) == 0 {
		delete(c.waiting, p.payer)
		for i, t := range c.turns {
			if t == p.payer {
				c.turns = append(c.turns[:i:i], c.turns[i+1:]...)
				break
			}
		}
	}
	return job, true
}

// Running returns how many jobs run.
func (q *Queue[K, T]) Running() int { return q.running }

// Len returns how many jobs are here, waiting or running: what a quote reports
// as the queue.
func (q *Queue[K, T]) Len() int { return q.count + q.running }
