package server

import (
	"sync"
	"time"

	"inos/kernel/api"
)

// maxGathered bounds the updates that wait for their line.
const maxGathered = 256

// jobStream writes job updates and lets a newer one of the same job replace an
// older one that nobody has seen yet. A quick job costs one line, and a burst
// costs its last states.
//
// Invariant: index[pending[i].Spec.ID] == i, and len(pending) < maxGathered
// outside the methods.
type jobStream struct {
	lines *lineWriter

	mu      sync.Mutex
	pending []api.Job      // mu; in the order of each job's first unseen update
	index   map[api.ID]int // mu; nil until a second job is pending
	timer   *time.Timer    // mu; a flush to come, or nil
	err     error          // mu; first failed write
}

// update queues j. It returns the error of an earlier write.
func (s *jobStream) update(j api.Job) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	if i, ok := s.find(j.Spec.ID); ok {
		s.pending[i] = j
		return nil
	}
	s.add(j)
	if len(s.pending) == maxGathered {
		s.send()
	} else if s.timer == nil {
		s.timer = time.AfterFunc(flushDelay, s.flush)
	}
	return s.err
}

// find avoids the map while a single job is pending, the common case.
func (s *jobStream) find(id api.ID) (int, bool) {
	if len(s.pending) == 1 {
		return 0, s.pending[0].Spec.ID == id
	}
	i, ok := s.index[id]
	return i, ok
}

func (s *jobStream) add(j api.Job) {
	s.pending = append(s.pending, j)
	if len(s.pending) < 2 {
		return
	}
	if s.index == nil {
		s.index = make(map[api.ID]int, maxGathered)
	}
	if len(s.pending) == 2 {
		s.index[s.pending[0].Spec.ID] = 0
	}
	s.index[j.Spec.ID] = len(s.pending) - 1
}

// flush writes what is pending.
func (s *jobStream) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.send()
}

func (s *jobStream) send() {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	for i := range s.pending {
		if s.err == nil {
			s.err = s.lines.write(api.RunUpdate{Job: &s.pending[i]})
		}
	}
	s.pending = s.pending[:0]
	clear(s.index)
}
