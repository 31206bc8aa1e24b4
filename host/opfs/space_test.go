package opfs

import (
	"math/rand"
	"testing"

	"inos/kernel/api"
)

func TestSpaceTakesHolesFirst(t *testing.T) {
	var s space
	const limit = 1000
	var runs [][]extent
	for range 10 {
		x, ok := s.take(10, limit)
		if !ok || len(x) != 1 {
			t.Fatal(x, ok)
		}
		runs = append(runs, x)
	}
	s.free(runs[2])
	s.free(runs[3]) // a hole of 20 from 20 on
	s.free(runs[7]) // a hole of 10 from 70 on
	for _, c := range []struct {
		n    uint32
		want extent
	}{{15, extent{20, 15}}, {10, extent{70, 10}}, {5, extent{35, 5}}, {30, extent{100, 30}}} {
		if x, ok := s.take(c.n, limit); !ok || len(x) != 1 || x[0] != c.want {
			t.Errorf("%d units are at %v, want %v", c.n, x, c.want)
		}
	}
	if s.used != 130 || s.top() != 130 {
		t.Errorf("used %d, top %d", s.used, s.top())
	}
}

func TestSpaceTakesPiecesWhenFull(t *testing.T) {
	var s space
	const limit = 300
	x, _ := s.take(limit, limit)
	if _, ok := s.take(1, limit); ok || len(x) != 1 {
		t.Fatal("a full file gave a unit")
	}
	for at := uint32(0); at < limit; at += 3 {
		s.free([]extent{{at, 1}})
	}
	if _, ok := s.take(101, limit); ok {
		t.Fatal("more than is free")
	}
	pieces, ok := s.take(100, limit)
	if !ok || len(pieces) != 100 || total(pieces) != 100 || s.used != limit {
		t.Fatalf("%d pieces, %d used", len(pieces), s.used)
	}
	if _, ok := s.take(1, limit-100); ok {
		t.Fatal("a limit below what is taken gave a unit")
	}
}

// TestSpaceAgainstASlowOne compares with a list of flags.
func TestSpaceAgainstASlowOne(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	var s space
	flags := make([]bool, 600)
	var live [][]extent
	for range 20_000 {
		if len(live) > 0 && rng.Intn(2) == 0 {
			i := rng.Intn(len(live))
			s.free(live[i])
			mark(t, flags, live[i], false)
			live[i] = live[len(live)-1]
			live = live[:len(live)-1]
		} else if x, ok := s.take(uint32(1+rng.Intn(90)), uint32(len(flags))); ok {
			mark(t, flags, x, true)
			live = append(live, x)
		}
		used, top := uint32(0), uint32(0)
		for i, on := range flags {
			if on {
				used++
				top = uint32(i) + 1
			}
		}
		if s.used != used || s.top() != top {
			t.Fatalf("used %d of %d, top %d of %d", s.used, used, s.top(), top)
		}
	}
}

func mark(t *testing.T, flags []bool, list []extent, on bool) {
	t.Helper()
	for _, x := range list {
		for i := x.at; i < x.at+x.n; i++ {
			if flags[i] == on {
				t.Fatalf("unit %d twice", i)
			}
			flags[i] = on
		}
	}
}

func BenchmarkTakeFull(b *testing.B) {
	var s space
	const limit = 4 << 30 / unit
	s.take(limit, limit)
	s.free([]extent{{limit - 300, unitsOf(api.MaxBlock)}})
	for b.Loop() {
		x, ok := s.take(unitsOf(api.MaxBlock), limit)
		if !ok {
			b.Fatal("no room")
		}
		s.free(x)
		s.low = 0
	}
}
