package opfs

import (
	"context"

	"inos/kernel/api"
)

// AddLease lets lease name blocks that the store already has, durably. NotFound,
// changing nothing, if one is absent.
func (s *Store) AddLease(ctx context.Context, lease api.LeaseID, addrs []api.Address) error {
	const op = "opfs.addlease"
	if err := s.enter(op); err != nil {
		return err
	}
	defer s.leave()
	if lease == (api.LeaseID{}) || len(addrs) > MaxPut {
		return api.Errorf(op, api.Invalid, "a lease is named and takes at most 16384 blocks at once")
	}
	if err := check(ctx, op); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.leases[lease] == nil && len(s.state.leases) >= MaxLeases {
		return errLeases(op)
	}
	for _, a := range addrs {
		if _, ok := s.state.has(a); !ok {
			return notHere(op, a)
		}
	}
	return s.changeLease(op, change{kind: opLease, lease: lease, addrs: addrs})
}

func errLeases(op string) error {
	return api.Errorf(op, api.Exhausted, "this tab holds 65536 leases; release some")
}

// changeLease commits one change. The caller holds s.mu.
func (s *Store) changeLease(op string, c change) error {
	if err := s.commit(false, []change{c}); err != nil {
		return api.E(op, api.Other, noSpace(err))
	}
	return nil
}

// Rename gives all blocks of one lease to another, atomically and durably,
// whatever their number. If to has blocks already, it has both sets afterwards.
// An unknown from is no error when to exists, so a repeated Rename succeeds;
// NotFound when neither does.
func (s *Store) Rename(ctx context.Context, from, to api.LeaseID) error {
	const op = "opfs.rename"
	if err := s.enter(op); err != nil {
		return err
	}
	defer s.leave()
	if from == to || to == (api.LeaseID{}) {
		return api.Errorf(op, api.Invalid, "a lease is renamed to another")
	}
	if err := check(ctx, op); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.leases[from] == nil {
		if s.state.leases[to] == nil {
			return api.Errorf(op, api.NotFound, "this node holds nothing under that lease")
		}
		return nil
	}
	return s.changeLease(op, change{kind: opRename, lease: from, to: to})
}

// Release drops a lease with one small durable record, whatever its size; see
// api.BlockStore. Its blocks are gone when it returns, or are cache blocks if
// they came by Cache.
func (s *Store) Release(ctx context.Context, lease api.LeaseID) error {
	const op = "opfs.release"
	if err := s.enter(op); err != nil {
		return err
	}
	defer s.leave()
	if err := check(ctx, op); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.leases[lease] == nil {
		return nil
	}
	return s.changeLease(op, change{kind: opRelease, lease: lease})
}

// Each lists blocks; see api.BlockStore. It lists only blocks that are present,
// and of those what was there when Each began. Cache blocks have no lease and are
// not listed.
func (s *Store) Each(ctx context.Context, of api.LeaseID, after api.Address, fn func(api.Address, api.LeaseID, int) bool) error {
	const op = "opfs.each"
	if err := s.enter(op); err != nil {
		return err
	}
	defer s.leave()
	s.mu.Lock()
	tree := s.state.blocks
	if of != (api.LeaseID{}) {
		l := s.state.leases[of]
		if l == nil {
			s.mu.Unlock()
			return check(ctx, op)
		}
		tree = l.blocks
	}
	tree = tree.Copy()
	s.mu.Unlock()
	var err error
	var ids []api.LeaseID
	tree.Ascend(&entry{addr: after}, func(e *entry) bool {
		if e.addr == after && !after.IsZero() {
			return true
		}
		if err = check(ctx, op); err != nil {
			return false
		}
		var size int
		ids, size = s.names(e, of, ids[:0])
		for _, id := range ids {
			if !fn(e.addr, id, size) {
				return false
			}
		}
		return true
	})
	return err
}

// names are the leases that name a block which is present: all, or the one asked
// for.
func (s *Store) names(e *entry, of api.LeaseID, ids []api.LeaseID) ([]api.LeaseID, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.size == 0 {
		return ids, 0
	}
	for _, l := range e.leases {
		if of == (api.LeaseID{}) || l.id == of {
			ids = append(ids, l.id)
		}
	}
	return ids, e.size
}
