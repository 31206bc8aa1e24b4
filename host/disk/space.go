package disk

import (
	"math"
	"sync/atomic"

	"inos/kernel/api"
)

// metaReserve is free space that blocks may not take, so that Pebble can write
// its log and compact when the disk is full; on a small disk, an eighth of it.
const metaReserve = 64 << 20

// reservations counts bytes that Puts under way are about to write.
type reservations struct{ bytes atomic.Uint64 }

// reservation is one Put's share.
type reservation struct {
	s *Store
	n uint64
}

func (r reservation) release() { r.s.room.bytes.Add(-r.n) }

// reserve sets n bytes aside, or returns NoSpace.
func (s *Store) reserve(n uint64) (reservation, error) {
	held := s.room.bytes.Add(n)
	r := reservation{s, n}
	if n == 0 {
		return r, nil
	}
	s.mu.Lock()
	used := s.usage.Bytes
	s.mu.Unlock()
	if s.opt.Quota > 0 && used+held > s.opt.Quota {
		r.release()
		return r, api.Errorf("disk.reserve", api.NoSpace, "the store's quota is full; raise it or remove objects. Reads go on")
	}
	if held > diskFree(s.dir) {
		r.release()
		return r, api.Errorf("disk.reserve", api.NoSpace, "the disk is full; free some space or move the store. Reads go on")
	}
	return r, nil
}

// free returns how many more bytes the store takes when it holds used.
func (s *Store) free(used uint64) uint64 {
	n := diskFree(s.dir)
	if s.opt.Quota > 0 {
		n = min(n, s.opt.Quota-min(used, s.opt.Quota))
	}
	return n
}

// diskFree returns the free bytes of dir's file system beyond the reserve, or
// a very large number where the system does not tell.
func diskFree(dir string) uint64 {
	avail, total, ok := statfs(dir)
	if !ok {
		return math.MaxInt64
	}
	return avail - min(avail, metaReserve, total/8)
}
