package opfs

import "math/bits"

// unit is the granularity of extents, bytes: the page of the systems below.
const unit = 4096

// maxUnits bounds the block file: 1 TiB, whose map takes 32 MiB when full.
const maxUnits = 1 << 28

// extent is a run of units of the block file.
type extent struct{ at, n uint32 }

// space says which units of the block file are taken. It is a bitmap: a run is
// found by reading whole words: in a full file of 4 GiB in 6 us (BenchmarkTakeFull,
// natively).
type space struct {
	words []uint64 // a set bit is a taken unit
	used  uint32   // taken units
	low   uint32   // no unit below is free
}

func unitsOf(size int) uint32 { return uint32((size + unit - 1) / unit) }

// top is the unit after the last taken one.
func (s *space) top() uint32 {
	for i := len(s.words) - 1; i >= 0; i-- {
		if w := s.words[i]; w != 0 {
			return uint32(i*64 + bits.Len64(w))
		}
	}
	return 0
}

// take reserves n units below limit: the first run that is long enough, or else
// what comes after the last taken unit, or else pieces. It takes nothing and
// reports false if fewer than n units are free.
func (s *space) take(n, limit uint32) ([]extent, bool) {
	if limit > maxUnits {
		limit = maxUnits
	}
	if n == 0 || s.used > limit || n > limit-s.used {
		return nil, false
	}
	var pieces []extent
	var have uint32
	first := true
	for at := s.low; at < limit; {
		run := s.run(at, min(n, limit-at))
		if run == 0 {
			at = s.nextFree(at)
			continue
		}
		if first {
			s.low, first = at, false
		}
		if run == n {
			s.set(extent{at, n})
			return []extent{{at, n}}, true
		}
		if have < n {
			pieces = append(pieces, extent{at, min(run, n-have)})
			have += min(run, n-have)
		}
		at += run
	}
	if have < n {
		return nil, false // units below limit are taken in part by what lies above it
	}
	for _, e := range pieces {
		s.set(e)
	}
	return pieces, true
}

// run counts free units from at on, up to most.
func (s *space) run(at, most uint32) uint32 {
	for n := uint32(0); n < most; {
		w := (at + n) / 64
		if int(w) >= len(s.words) {
			return most
		}
		free := uint32(bits.TrailingZeros64(s.words[w] >> ((at + n) % 64)))
		if left := 64 - (at+n)%64; free >= left {
			n += left
			continue
		}
		return min(n+free, most)
	}
	return most
}

// nextFree is the first free unit from at on.
func (s *space) nextFree(at uint32) uint32 {
	for w := int(at / 64); w < len(s.words); w++ {
		free := ^s.words[w]
		if w == int(at/64) {
			free &= ^uint64(0) << (at % 64)
		}
		if free != 0 {
			return uint32(w*64 + bits.TrailingZeros64(free))
		}
	}
	return max(at, uint32(len(s.words)*64))
}

// set takes units; those already taken stay so.
func (s *space) set(e extent) {
	s.each(e, func(w *uint64, m uint64) { s.used += uint32(bits.OnesCount64(m &^ *w)); *w |= m })
}

// free gives units back.
func (s *space) free(list []extent) {
	for _, e := range list {
		s.each(e, func(w *uint64, m uint64) { s.used -= uint32(bits.OnesCount64(m & *w)); *w &^= m })
		s.low = min(s.low, e.at)
	}
}

// each visits the words of an extent with the mask of its bits.
func (s *space) each(e extent, do func(word *uint64, mask uint64)) {
	for need := int(e.at+e.n+63) / 64; len(s.words) < need; {
		s.words = append(s.words, 0)
	}
	for at, end := e.at, e.at+e.n; at < end; {
		n := min(64-at%64, end-at)
		mask := ^uint64(0) >> (64 - n) << (at % 64)
		do(&s.words[at/64], mask)
		at += n
	}
}
