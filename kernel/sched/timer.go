package sched

import "container/heap"

// timer is the one time at which its owner wants to be looked at again. Every
// job, worker, escrow, command and batch embeds one, so the heap never holds
// more than the tables do.
type timer struct {
	at    int64
	index int // in the heap, from 1; 0 when not armed
	order uint64
	due   func(now int64) // set once by the owner
}

type timerHeap []*timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	if h[i].at != h[j].at {
		return h[i].at < h[j].at
	}
	return h[i].order < h[j].order
}

func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i+1, j+1
}

func (h *timerHeap) Push(x any) {
	t := x.(*timer)
	*h = append(*h, t)
	t.index = len(*h)
}

func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.index = 0
	return t
}

// arm sets the timer to at, replacing an earlier setting.
func (m *Machine) arm(t *timer, at int64) {
	t.at = at
	if t.index > 0 {
		heap.Fix(&m.timers, t.index-1)
		return
	}
	m.armed++
	t.order = m.armed
	heap.Push(&m.timers, t)
}

func (m *Machine) disarm(t *timer) {
	if t.index > 0 {
		heap.Remove(&m.timers, t.index-1)
	}
}

// runTimers lets everything that is due happen.
func (m *Machine) runTimers() {
	for len(m.timers) > 0 && m.timers[0].at <= m.now {
		heap.Pop(&m.timers).(*timer).due(m.now)
	}
}
