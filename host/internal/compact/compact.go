// Package compact schedules Pebble's compactions without a clock.
//
// Pebble's own scheduler looks ten times a second whether a compaction may
// start, in every database, for ever. This one acts when something happened: a
// compaction is wanted, one ended, or a flush let more of them run. Only while a
// compaction was refused does it also look again after a while, because the
// number of those allowed changes with the backlog as well.
package compact

import (
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// lookAgain is the period of Pebble's scheduler, kept while a compaction waits.
const lookAgain = 100 * time.Millisecond

// Scheduler lets a database run as many compactions as it asks for itself. It
// serves one database, once.
//
// Invariants:
//   - mu is taken after the database's own locks; the database is called without
//     mu, except for its count of allowed compactions, which takes no lock.
//   - timer is stopped whenever no compaction was refused since the last grant.
type Scheduler struct {
	db pebble.DBForCompaction // set by Register, before anything else is called

	mu       sync.Mutex
	running  int         // guarded by mu
	granting bool        // guarded by mu; a goroutine is in grant
	again    bool        // guarded by mu; grant has to look once more
	closed   bool        // guarded by mu
	idle     *sync.Cond  // of mu; granting became false
	timer    *time.Timer // guarded by mu; nil before the first refusal
}

var _ pebble.CompactionScheduler = (*Scheduler)(nil)

// New returns a scheduler for pebble.Options.Experimental.CompactionScheduler.
func New() *Scheduler {
	s := &Scheduler{}
	s.idle = sync.NewCond(&s.mu)
	return s
}

// Register implements pebble.CompactionScheduler.
func (s *Scheduler) Register(_ int, db pebble.DBForCompaction) { s.db = db }

// Unregister implements pebble.CompactionScheduler.
func (s *Scheduler) Unregister() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	for s.granting {
		s.idle.Wait()
	}
}

// TrySchedule implements pebble.CompactionScheduler. The database remembers a
// compaction that is refused.
func (s *Scheduler) TrySchedule() (bool, pebble.CompactionGrantHandle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, nil
	}
	if s.running < s.db.GetAllowedWithoutPermission() {
		s.running++
		return true, s
	}
	s.wake(lookAgain)
	return false, nil
}

// UpdateGetAllowedWithoutPermission implements pebble.CompactionScheduler. The
// caller may hold the database's locks, so the grant is another goroutine's.
func (s *Scheduler) UpdateGetAllowedWithoutPermission() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed && s.running < s.db.GetAllowedWithoutPermission() {
		s.wake(0)
	}
}

// wake has grant called after a while. The caller holds mu.
func (s *Scheduler) wake(after time.Duration) {
	if s.timer == nil {
		s.timer = time.AfterFunc(after, s.grant)
		return
	}
	s.timer.Reset(after)
}

// grant starts the compactions that wait, as far as they are allowed.
func (s *Scheduler) grant() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.granting || s.closed {
		s.again = true
		return
	}
	s.granting = true
	for more := true; more && !s.closed; {
		s.again = false
		if s.running < s.db.GetAllowedWithoutPermission() {
			s.running++
			s.mu.Unlock()
			waiting, _ := s.db.GetWaitingCompaction()
			more = waiting && s.db.Schedule(s)
			s.mu.Lock()
			if !more {
				s.running--
			}
		} else {
			s.wake(lookAgain) // something may wait
			more = false
		}
		more = more || s.again
	}
	s.granting = false
	s.idle.Broadcast()
}

// Done implements pebble.CompactionGrantHandle: a compaction ended.
func (s *Scheduler) Done() {
	s.mu.Lock()
	s.running--
	s.mu.Unlock()
	s.grant()
}

// Started implements pebble.CompactionGrantHandle.
func (s *Scheduler) Started() {}

// MeasureCPU implements pebble.CompactionGrantHandle.
func (s *Scheduler) MeasureCPU(pebble.CompactionGoroutineKind) {}

// CumulativeStats implements pebble.CompactionGrantHandle.
func (s *Scheduler) CumulativeStats(pebble.CompactionGrantHandleStats) {}
