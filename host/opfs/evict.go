package opfs

import "inos/kernel/api"

// evictAtLeast is how many units an eviction frees beyond what is needed, so that
// not every put into a full store pays for a frame of its own: 16 MiB.
const evictAtLeast = 16 << 20 / unit

// makeRoom evicts cache blocks until n units are free, and says which. If they
// are not, even without the whole cache, it evicts nothing and returns NoSpace.
// The caller holds s.mu.
func (s *Store) makeRoom(n uint32) (evicted []api.Address, err error) {
	limit, used := s.limit(), s.state.space.used
	if used <= limit && n <= limit-used {
		return nil, nil
	}
	need := uint64(used) + uint64(n) - uint64(limit)
	want := need + min(evictAtLeast, uint64(limit)/8)
	var freed uint64
	var ops []change
	for e := s.state.oldest; e != nil && freed < want; e = e.newer {
		freed += uint64(total(e.at))
		ops = append(ops, change{kind: opEvict, addr: e.addr})
		evicted = append(evicted, e.addr)
	}
	if freed < need {
		return nil, s.noRoom()
	}
	if err := s.commit(false, ops); err != nil {
		return nil, err
	}
	return evicted, nil
}

// noRoom says which bound was met. The caller holds s.mu.
func (s *Store) noRoom() error {
	if s.opt.Quota > 0 && uint64(s.limit()) >= s.opt.Quota/unit {
		return api.Errorf("opfs.reserve", api.NoSpace, "this tab's quota is full; raise it or remove objects. Reads go on")
	}
	return noSpace(errFull)
}
