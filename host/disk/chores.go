package disk

import (
	"bytes"
	"context"
	"encoding/hex"
	"os"
	"path/filepath"

	"inos/kernel/api"
)

// choreStep is how many members one background commit handles. Puts wait for
// at most one step, some milliseconds.
const choreStep = 256

// chore is background work on one span: removing its members after a release,
// or moving them into another span of the same lease. Both are recorded in
// Pebble before they are queued, take synced steps, and start over after a crash.
type chore struct {
	span  uint64
	into  uint64
	lease api.LeaseID // zero for a removal
}

func (s *Store) signal() {
	select {
	case s.wake <- struct{}{}:
	default: // one is pending
	}
}

// runChores works the backlog off and then waits; it ends with ctx. A step
// that fails, as on a failing disk, is left for the next signal.
func (s *Store) runChores(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		for ctx.Err() == nil {
			c, ok := s.nextChore()
			if !ok {
				break
			}
			done, err := s.step(c)
			if err != nil {
				break
			}
			if done {
				s.finishChore(c)
			}
		}
	}
}

func (s *Store) nextChore() (chore, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.backlog) == 0 {
		return chore{}, false
	}
	return s.backlog[0], true
}

func (s *Store) finishChore(c chore) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.backlog {
		if s.backlog[i] == c {
			s.backlog = append(s.backlog[:i], s.backlog[i+1:]...)
			break
		}
	}
	if len(s.backlog) == 0 {
		s.backlog = nil
	}
}

// step handles up to choreStep members of the chore's span.
func (s *Store) step(job chore) (done bool, err error) {
	s.commit.Lock()
	defer s.commit.Unlock()
	if job.lease != (api.LeaseID{}) && !s.foldable(job) {
		return true, nil // released or renamed meanwhile; that queued its own chore
	}
	members, err := s.members(job.span)
	if err != nil {
		return false, err
	}
	c := s.change()
	defer c.close()
	for _, a := range members {
		c.del(memberKey(job.span, a))
		c.del(refKey(a, job.span))
		if job.lease != (api.LeaseID{}) {
			c.set(memberKey(job.into, a), nil)
			c.set(refKey(a, job.into), nil)
		} else if err := c.removeUnnamed(a, job.span); err != nil {
			return false, err
		}
	}
	done = len(members) < choreStep
	if done {
		c.dropSpan(job)
	}
	if err := c.apply(); err != nil {
		return false, err
	}
	if done && job.lease != (api.LeaseID{}) {
		s.forgetSpan(job)
	}
	for a, r := range c.gone {
		if r.place == inFile {
			_ = os.Remove(s.blockPath(a)) // without a record it is garbage; a sweep retries
		}
	}
	return done, nil
}

func (s *Store) foldable(job chore) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owners[job.span] == job.lease && s.owners[job.into] == job.lease
}

func (c *change) dropSpan(job chore) {
	if job.lease != (api.LeaseID{}) {
		c.del(leaseKey(job.lease, job.span))
	} else {
		c.del(spanKey(keyDropped, job.span))
	}
}

func (s *Store) forgetSpan(job chore) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.owners, job.span)
	var rest []uint64
	for _, span := range s.spans[job.lease] {
		if span != job.span {
			rest = append(rest, span)
		}
	}
	s.spans[job.lease] = rest
}

// members returns the first choreStep blocks of a span.
func (s *Store) members(span uint64) ([]api.Address, error) {
	it, err := s.db.NewIter(prefixed(spanKey(keyMember, span)))
	if err != nil {
		return nil, err
	}
	defer it.Close()
	var list []api.Address
	for ok := it.First(); ok && len(list) < choreStep; ok = it.Next() {
		if k := it.Key(); len(k) == 1+8+32 {
			list = append(list, api.Address(k[9:]))
		}
	}
	return list, it.Error()
}

// removeUnnamed drops a block that only span names.
func (c *change) removeUnnamed(a api.Address, span uint64) error {
	prefix := append([]byte{keyRef}, a[:]...)
	it, err := c.s.db.NewIter(prefixed(prefix))
	if err != nil {
		return err
	}
	own := refKey(a, span)
	for ok := it.First(); ok; ok = it.Next() {
		if !bytes.Equal(it.Key(), own) {
			return it.Close() // another lease keeps it
		}
	}
	if err := it.Close(); err != nil {
		return err
	}
	r, ok, err := c.s.record(a)
	if err != nil || !ok {
		return err
	}
	c.removeBlock(a, r)
	return nil
}

// sweep removes files that have no record, left by a crash.
func (s *Store) sweep(ctx context.Context) {
	for b := range 256 {
		names, err := os.ReadDir(s.blockDir(byte(b)))
		if err != nil {
			continue
		}
		for _, n := range names {
			if ctx.Err() != nil {
				return
			}
			s.sweepFile(filepath.Join(s.blockDir(byte(b)), n.Name()), n.Name())
		}
	}
}

// sweepFile removes one file if no record names it. Puts rename files into
// place and commit their records under the same lock.
func (s *Store) sweepFile(path, name string) {
	raw, err := hex.DecodeString(name)
	if err != nil || len(raw) != 32 {
		return
	}
	if _, ok, err := s.record(api.Address(raw)); ok || err != nil {
		return
	}
	s.commit.Lock()
	defer s.commit.Unlock()
	if r, ok, err := s.record(api.Address(raw)); err == nil && (!ok || r.place != inFile) {
		_ = os.Remove(path) // the next sweep retries
	}
}
