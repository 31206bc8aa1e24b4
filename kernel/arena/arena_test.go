package arena

import (
	"context"
	"errors"
	"testing"

	"inos/kernel/api"
	"inos/kernel/layout"
)

// light returns zeroed memory of the smallest tier.
func light() []byte { return make([]byte, layout.Tiers[0].Size) }

func newArena(t testing.TB) (*Arena, []byte) {
	t.Helper()
	b := light()
	a, err := Format(b, 0)
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

func want(t *testing.T, err error, kind api.Kind) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("got %v, want %v", err, kind)
	}
}

func TestFormatRefusesWhatIsNotFreshMemoryOfATier(t *testing.T) {
	b := light()
	for _, tier := range []int{-1, 1, len(layout.Tiers)} {
		_, err := Format(b, tier)
		want(t, err, api.Invalid)
	}
	if _, err := Format(b, 0); err != nil {
		t.Fatal(err)
	}
	_, err := Format(b, 0)
	want(t, err, api.Exists)
	misaligned := make([]byte, layout.Tiers[0].Size+8)
	for layout.Aligned(misaligned, layout.Line) {
		misaligned = misaligned[8:]
	}
	_, err = Open(misaligned)
	want(t, err, api.Invalid)
}

func TestOpenChecksTheHeader(t *testing.T) {
	_, err := Open(light())
	want(t, err, api.Corrupt)
	_, err = Open(make([]byte, 4096))
	want(t, err, api.Invalid)
	for _, c := range []struct {
		at   uint64
		kind api.Kind
	}{
		{layout.ArenaHeaderAtMagic, api.Corrupt},
		{layout.ArenaHeaderAtVersion, api.Unsupported},
		{layout.ArenaHeaderAtTier, api.Corrupt},
		{layout.ArenaHeaderAtSize, api.Corrupt},
		{layout.ArenaHeaderAtHeapPages, api.Corrupt},
	} {
		_, b := newArena(t)
		b[c.at]++
		_, err := Open(b)
		want(t, err, c.kind)
	}
}

func TestTheNextOwnerFindsWhatTheLastLeft(t *testing.T) {
	a, b := newArena(t)
	span, err := a.Heap().Alloc(7, 5000)
	if err != nil {
		t.Fatal(err)
	}
	a.Metrics().Counter("kept").Add(3)
	id := api.ID{1}
	if err := a.Jobs().Put(JobEntry{ID: id, Method: "compute/hash.blake3"}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Events().Append(5, "node:started:v1:ok", []byte("{}")); err != nil {
		t.Fatal(err)
	}

	next, err := Open(b)
	if err != nil {
		t.Fatal(err)
	}
	if next.Generation() != a.Generation()+1 {
		t.Fatal("the generation did not rise")
	}
	if u := next.Heap().Usage(7); u.Bytes != span.Len || u.Spans != 1 {
		t.Fatalf("usage %+v", u)
	}
	if v := next.Metrics().Counter("kept").Load(); v != 3 {
		t.Fatalf("counter %d", v)
	}
	if e, ok := next.Jobs().Get(id); !ok || e.Method != "compute/hash.blake3" {
		t.Fatalf("job %+v", e)
	}
	if ev, ok, err := next.Events().After(0).TryNext(); !ok || err != nil || ev.Type != "node:started:v1:ok" || string(ev.Data) != "{}" {
		t.Fatalf("event %+v, %v", ev, err)
	}
	// The last owner, if it still runs, is told to stop.
	_, err = a.Heap().Alloc(7, 1)
	want(t, err, api.Conflict)
	want(t, a.Jobs().Put(JobEntry{ID: id}), api.Conflict)
	_, err = a.Events().Append(0, "x", nil)
	want(t, err, api.Conflict)
	_, _, err = a.NewEpoch()
	want(t, err, api.Conflict)
}

func TestCloseEndsWaitsAndChanges(t *testing.T) {
	a, _ := newArena(t)
	r, err := a.SyscallRing(0)
	if err != nil {
		t.Fatal(err)
	}
	received, followed := make(chan error), make(chan error)
	go func() { _, err := r.Reader().Receive(context.Background(), nil); received <- err }()
	go func() { _, err := a.Events().Follow().Next(context.Background()); followed <- err }()
	a.Close()
	a.Close()
	want(t, <-received, api.Closed)
	want(t, <-followed, api.Closed)
	_, err = a.Heap().Alloc(1, 1)
	want(t, err, api.Closed)
	_, err = a.Epoch(99).Await(context.Background(), 0)
	want(t, err, api.Closed)
	_, err = a.SyscallRing(1)
	want(t, err, api.Closed)
}

func TestRingsAreSharedAndSeparate(t *testing.T) {
	a, _ := newArena(t)
	for _, get := range []func(int) (ringEnds, error){
		func(i int) (ringEnds, error) { r, err := a.SyscallRing(i); return r, err },
		func(i int) (ringEnds, error) { r, err := a.DeviceRing(i); return r, err },
	} {
		first, err := get(0)
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := get(0); again != first {
			t.Fatal("one ring, two views")
		}
		if _, err := get(1); err != nil {
			t.Fatal(err)
		}
		_, err = get(100_000)
		want(t, err, api.Invalid)
	}
}

type ringEnds interface{ MaxMessage() int }

func TestNewEpochHandsOutEveryFreeCellOnce(t *testing.T) {
	a, _ := newArena(t)
	for i := layout.FirstFreeCell; i < layout.EpochsCount; i++ {
		if index, c, err := a.NewEpoch(); err != nil || index != i || c != a.Epoch(index) {
			t.Fatal(index, err)
		}
	}
	for range 2 {
		_, _, err := a.NewEpoch()
		want(t, err, api.Exhausted)
	}
}

// Whatever stands in an arena, opening it either fails with a kind or gives an
// arena whose every part works within bounds.
func FuzzOpen(f *testing.F) {
	f.Add(uint64(0), uint64(0), uint64(0), uint64(0), uint64(0))
	f.Add(uint64(layout.ArenaHeaderAtHeapPages), ^uint64(0), uint64(0), uint64(0), uint64(1))
	f.Add(uint64(layout.HeapOffset), uint64(0x0101), uint64(layout.HeapOffset+16), uint64(2), uint64(1))
	f.Add(uint64(layout.EventLogOffset), ^uint64(0), uint64(layout.EventLogOffset+64), ^uint64(7), uint64(2))
	f.Add(uint64(layout.MetricsOffset+8), ^uint64(0), uint64(layout.JobsOffset), uint64(2), uint64(3))
	f.Add(uint64(layout.SyscallRingsOffset), uint64(1), uint64(layout.SyscallRingsOffset+8), ^uint64(0), uint64(3))
	b := light()
	f.Fuzz(func(t *testing.T, at1, word1, at2, word2, script uint64) {
		clear(b[:layout.SyscallDataOffset])
		clear(b[layout.EventsOffset : layout.EventsOffset+1<<16])
		clear(b[layout.HeapOffset : layout.HeapOffset+1<<20])
		a, err := Format(b, 0)
		if err != nil {
			t.Fatal(err)
		}
		exercise(a, script)
		patch := func(at, word uint64) {
			at %= layout.HeapOffset + 1<<18
			layout.U64(b, at&^7).Store(word)
		}
		patch(at1, word1)
		patch(at2, word2)
		exercise(a, script>>8) // scribbled over while in use
		if a, err = Open(b); err != nil {
			if api.KindOf(err) == api.Other {
				t.Fatal(err)
			}
			return
		}
		exercise(a, script>>16)
	})
}

// exercise uses every part of an arena; errors are expected, panics are not.
func exercise(a *Arena, script uint64) {
	n := script%5000 + 1
	first, err := a.Heap().Alloc(2, n)
	if err == nil {
		copy(a.Heap().Bytes(first), "hello")
	}
	second, err2 := a.Heap().Alloc(3, n*7)
	if err == nil {
		_ = a.Heap().Free(2, first.Off)
	}
	if err2 == nil && script&1 == 0 {
		_, _ = a.Heap().FreeAll(3)
		_ = a.Heap().Free(3, second.Off)
	}
	a.Metrics().Counter("fuzz_total").Add(1)
	a.Metrics().Each(func(string, MetricKind, uint64) bool { return true })
	id := api.ID{byte(script), 1}
	_ = a.Jobs().Put(JobEntry{ID: id, State: api.JobState(script % 6), Name: "name", Method: "method"})
	_ = a.Jobs().Update(id, func(e *JobEntry) { e.Gas++ })
	a.Jobs().Recent(10)
	reader := a.Events().After(script % 3)
	for i := range script % 8 {
		_, _ = a.Events().Append(int64(i), "fuzz:event:v1:ok", make([]byte, script%700))
	}
	for range 20 {
		if _, ok, err := reader.TryNext(); !ok && err == nil {
			break
		}
	}
	if r, err := a.SyscallRing(0); err == nil {
		_, _ = r.Writer().TrySend([]byte("hello"))
		_, _, _ = r.Reader().TryReceive(nil)
	}
	_, _, _ = a.NewEpoch()
}
