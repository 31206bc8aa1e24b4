package shm

import (
	"bytes"
	"context"
	"errors"
	"os"
	"sync"
	"testing"

	"inos/kernel/api"
	"inos/kernel/arena"
	"inos/kernel/layout"
)

func want(t *testing.T, err error, kind api.Kind) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("got %v, want %v", err, kind)
	}
}

func newRegion(t *testing.T, size uint64) *Region {
	t.Helper()
	r, err := Create(size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func TestCreateRefusesBadSizes(t *testing.T) {
	for _, size := range []uint64{0, 1, Granule - 1, Granule + 1, MaxSize + Granule} {
		_, err := Create(size)
		want(t, err, api.Invalid)
	}
}

func TestTwoMappingsShareTheirBytes(t *testing.T) {
	one := newRegion(t, Granule)
	file, err := one.File()
	if err != nil {
		t.Fatal(err)
	}
	two, err := Open(duplicate(t, file))
	if err != nil {
		t.Fatal(err)
	}
	defer two.Close()
	copy(one.Bytes(), "hello")
	if !bytes.HasPrefix(two.Bytes(), []byte("hello")) {
		t.Fatal("the second mapping does not see the first one's bytes")
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(two.Bytes(), []byte("hello")) {
		t.Fatal("closing one mapping changed the other")
	}
}

// An access after Close must not end the process, and must reach nobody.
func TestAccessAfterCloseReadsZeros(t *testing.T) {
	one := newRegion(t, Granule)
	file, _ := one.File()
	two, err := Open(duplicate(t, file))
	if err != nil {
		t.Fatal(err)
	}
	defer two.Close()
	late := one.Bytes()
	late[100] = 1
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	if late[100] != 0 {
		t.Fatal("the shared pages are still mapped")
	}
	late[100] = 2
	if two.Bytes()[100] != 1 {
		t.Fatal("a late write reached the shared pages")
	}
	if one.Bytes() != nil {
		t.Fatal("a closed region still gives out its memory")
	}
	_, err = one.File()
	want(t, err, api.Closed)
}

func TestCloseRunsItsHooksOnceAndBackwards(t *testing.T) {
	r := newRegion(t, Granule)
	var order []int
	for i := range 3 {
		r.OnClose(func() {
			if i == 1 && r.Bytes() != nil {
				t.Error("a closing region gives out its memory")
			}
			order = append(order, i)
		})
	}
	var done sync.WaitGroup
	for range 4 {
		done.Go(func() { _ = r.Close() })
	}
	done.Wait()
	if len(order) != 3 || order[0] != 2 || order[2] != 0 {
		t.Fatal(order)
	}
	late := false
	r.OnClose(func() { late = true })
	if !late {
		t.Fatal("a hook added late did not run")
	}
}

func TestOpenRefusesOtherFiles(t *testing.T) {
	empty, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(empty)
	want(t, err, api.Invalid)
	if err := empty.Close(); !errors.Is(err, os.ErrClosed) {
		t.Fatal("a refused file was not closed")
	}
}

// An arena in a region: users see api.Closed, whatever they are doing.
func TestClosingARegionClosesItsArena(t *testing.T) {
	r := newRegion(t, layout.Tiers[layout.DefaultTier].Size)
	a, err := arena.Format(r.Bytes(), layout.DefaultTier)
	if err != nil {
		t.Fatal(err)
	}
	r.OnClose(a.Close)
	counter := a.Metrics().Counter("c")
	var busy sync.WaitGroup
	for owner := arena.Owner(1); owner <= 2; owner++ {
		busy.Go(func() {
			for {
				s, err := a.Heap().Alloc(owner, 10_000)
				if err != nil {
					want(t, err, api.Closed)
					return
				}
				counter.Add(1)
				_ = a.Heap().Free(owner, s.Off)
				if _, err := a.Events().Append(1, "x", []byte("y")); err != nil {
					want(t, err, api.Closed)
				}
			}
		})
	}
	followed := make(chan error)
	go func() {
		events := a.Events().Follow()
		for {
			if _, err := events.Next(context.Background()); err != nil && !errors.Is(err, api.Corrupt) {
				followed <- err
				return
			}
		}
	}()
	for counter.Load() < 100 {
		if _, err := a.Heap().Alloc(3, 64); err != nil {
			t.Fatal(err)
		}
		_, _ = a.Heap().FreeAll(3)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	busy.Wait()
	want(t, <-followed, api.Closed)
	counter.Add(1)
	_, err = a.Heap().Alloc(1, 1)
	want(t, err, api.Closed)
}
