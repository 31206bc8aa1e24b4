// Package sim runs many coordinators in one process with virtual time, so that
// thousands of histories with crashes, partitions and lost disks can be checked
// from their seeds in seconds.
//
// Clock orders events in virtual time. Network decides how long a message takes
// and whether it arrives. Disk is a store that survives a crash. World joins
// them to coordinators of kernel/mesh and plays the host: it performs every
// effect and reports back, as node/ does with real sockets and files.
//
// Invariants:
//   - Everything derives from one seed: the same seed and calls give the same
//     trace, byte for byte.
//   - Virtual time moves only between events, never backwards.
//   - Nothing here is imported by production code.
package sim

import (
	"container/heap"
	"time"
)

// Clock runs functions in order of virtual time; equal times run in the order
// they were scheduled. It is not safe for concurrent use.
type Clock struct {
	now   time.Duration
	seq   uint64
	queue timers
}

// NewClock starts at the given time since the Unix epoch.
func NewClock(start time.Duration) *Clock { return &Clock{now: start} }

// Now is the virtual time since the Unix epoch.
func (c *Clock) Now() time.Duration { return c.now }

// Len is how many functions wait.
func (c *Clock) Len() int { return len(c.queue) }

// At runs f at time t, or as soon as possible if t has passed.
func (c *Clock) At(t time.Duration, f func()) {
	c.seq++
	heap.Push(&c.queue, timer{at: max(t, c.now), seq: c.seq, run: f})
}

// After runs f when d has passed.
func (c *Clock) After(d time.Duration, f func()) { c.At(c.now+d, f) }

// Step runs the next function and reports whether there was one.
func (c *Clock) Step() bool {
	if len(c.queue) == 0 {
		return false
	}
	t := heap.Pop(&c.queue).(timer)
	c.now = t.at
	t.run()
	return true
}

// RunUntil runs everything up to time t, which becomes the present.
func (c *Clock) RunUntil(t time.Duration) {
	for len(c.queue) > 0 && c.queue[0].at <= t {
		c.Step()
	}
	c.now = max(c.now, t)
}

// RunFor is RunUntil with a span.
func (c *Clock) RunFor(d time.Duration) { c.RunUntil(c.now + d) }

type timer struct {
	at  time.Duration
	seq uint64
	run func()
}

type timers []timer

func (q timers) Len() int { return len(q) }
func (q timers) Less(i, j int) bool {
	return q[i].at < q[j].at || (q[i].at == q[j].at && q[i].seq < q[j].seq)
}
func (q timers) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *timers) Push(x any)   { *q = append(*q, x.(timer)) }

func (q *timers) Pop() any {
	last := len(*q) - 1
	t := (*q)[last]
	(*q)[last] = timer{}
	*q = (*q)[:last]
	return t
}
