package arena

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"inos/kernel/api"
	"inos/kernel/layout"
)

func fill(b []byte, v uint64) []byte {
	for at := 0; at+8 <= len(b); at += 8 {
		binary.LittleEndian.PutUint64(b[at:], v)
	}
	return b
}

// uniform fails unless every word of b is the same, and returns it.
func uniform(t testing.TB, b []byte) uint64 {
	t.Helper()
	first := binary.LittleEndian.Uint64(b)
	for at := 8; at+8 <= len(b); at += 8 {
		if v := binary.LittleEndian.Uint64(b[at:]); v != first {
			t.Fatalf("a torn read: word 0 is %d, word %d is %d", first, at/8, v)
		}
	}
	return first
}

func TestAReaderSeesTheNewestVersion(t *testing.T) {
	a, _ := newArena(t)
	w, err := a.States().Make(7, "sim/positions", 100)
	if err != nil {
		t.Fatal(err)
	}
	r, err := a.States().Open("sim/positions")
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, r.Most())
	if n, v, err := r.Read(buf); n != 0 || v != 0 || err != nil {
		t.Fatal(n, v, err)
	}
	for i := range 5 {
		text := fmt.Sprintf("version %d %0*d", i+1, 5*i, 0)
		if err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		n, v, err := r.Read(buf)
		if err != nil || v != uint32(i+1) || string(buf[:n]) != text {
			t.Fatalf("%q at %d, %v", buf[:n], v, err)
		}
	}
	want(t, w.Write(make([]byte, 101)), api.Invalid)
	if n, _, err := r.Read(buf[:3]); n != len("version 5 ")+20 {
		t.Fatal(n, err)
	} else {
		want(t, err, api.Invalid)
	}
	copy(w.Begin(), "in place")
	w.Publish(8)
	if n, _, err := r.Read(buf); err != nil || string(buf[:n]) != "in place" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
}

// Readers of the owner's process, by name, and of another one's, by a view,
// never see parts of two versions while a writer publishes as fast as it can.
func TestReadsAreNeverTorn(t *testing.T) {
	const most, reads = 2048, 1500
	a, b := newArena(t)
	w, err := a.States().Make(7, "s", most)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(fill(make([]byte, most), 1)); err != nil {
		t.Fatal(err)
	}
	v, err := OpenView(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	inside, _ := a.States().Open("s")
	_, outside, err := v.State("s")
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var writer, readers sync.WaitGroup
	writer.Go(func() {
		buf := make([]byte, most)
		for i := uint64(2); ; i++ {
			select {
			case <-stop:
				return
			default:
				_ = w.Write(fill(buf[:8+int(i*8)%(most-8)], i))
				oneThread()
			}
		}
	})
	for _, r := range []*StateReader{inside, outside} {
		readers.Go(func() {
			buf := make([]byte, most)
			for i := 0; i < reads; i++ {
				oneThread()
				n, version, err := r.Read(buf)
				if api.KindOf(err) == api.Conflict {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if got := uniform(t, buf[:n]); uint32(got) != version {
					t.Errorf("version %d holds that of write %d", version, got)
				}
			}
		})
	}
	readers.Wait()
	close(stop)
	writer.Wait()
}

func TestReadAndWriteAllocateNothing(t *testing.T) {
	a, _ := newArena(t)
	w, _ := a.States().Make(7, "s", 4096)
	r, _ := a.States().Open("s")
	buf := make([]byte, 4096)
	if n := testing.AllocsPerRun(100, func() {
		_ = w.Write(buf)
		_, _, _ = r.Read(buf)
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func TestTheDirectoryOfStates(t *testing.T) {
	a, b := newArena(t)
	s := a.States()
	seen := s.Epoch().Load()
	if _, err := s.Make(7, "one", 100); err != nil {
		t.Fatal(err)
	}
	if s.Epoch().Load() == seen {
		t.Fatal("making a state did not advance the epoch")
	}
	_, err := s.Make(8, "one", 100)
	want(t, err, api.Exists)
	for _, bad := range []string{"", string(make([]byte, MaxStateName+1)), "a\nb", "\xff"} {
		_, err := s.Make(7, bad, 100)
		want(t, err, api.Invalid)
	}
	for _, most := range []uint64{0, MaxState + 1} {
		_, err := s.Make(7, "size", most)
		want(t, err, api.Invalid)
	}
	_, err = s.Open("none")
	want(t, err, api.NotFound)
	want(t, s.Remove(7, "none"), api.NotFound)
	want(t, s.Remove(8, "one"), api.Denied)

	v, err := OpenView(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := s.Open("one")
	_, remote, err := v.State("one")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(7, "one"); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*StateReader{r, remote} {
		_, _, err := r.Read(make([]byte, 100))
		want(t, err, api.Closed)
	}
	_, err = r.Cell().Await(context.Background(), 0)
	want(t, err, api.Closed)
	if u := a.Heap().Usage(7); u.Bytes != 0 || len(s.List()) != 0 || len(v.States()) != 0 {
		t.Fatalf("%+v, %v, %v", u, s.List(), v.States())
	}
	for i := range MaxStates {
		if _, err := s.Make(7, fmt.Sprint("state ", i), 64); err != nil {
			t.Fatal(err)
		}
	}
	_, err = s.Make(7, "one too many", 64)
	want(t, err, api.Exhausted)
	if len(v.States()) != MaxStates {
		t.Fatal(len(v.States()))
	}
	leak, err := a.EndOwner(7)
	if err != nil || leak.Spans != 0 || len(s.List()) != 0 || a.Heap().Faults() != (HeapFaults{}) {
		t.Fatalf("%+v, %v, %+v", leak, err, a.Heap().Faults())
	}
	want(t, func() error { _, err := a.EndOwner(KernelOwner); return err }(), api.Invalid)
}

// wakeable is the futex of another process: Wait sleeps until Wake.
type wakeable struct {
	mu     sync.Mutex
	asleep int
	wake   chan struct{}
}

func (f *wakeable) Wait(ctx context.Context, word *atomic.Uint32, seen uint32) {
	f.mu.Lock()
	if word.Load() != seen {
		f.mu.Unlock()
		return
	}
	f.asleep++
	woken := f.wake
	f.mu.Unlock()
	select {
	case <-woken:
	case <-ctx.Done():
	}
}

func (f *wakeable) Wake(*atomic.Uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.wake)
	f.wake, f.asleep = make(chan struct{}), 0
}

// Who sleeps on a state in another process learns that it was removed.
func TestTheEndOfAStateWakesOtherProcesses(t *testing.T) {
	f := &wakeable{wake: make(chan struct{})}
	_, b := newArena(t)
	a, err := Open(b, Shared(f))
	if err != nil {
		t.Fatal(err)
	}
	w, err := a.States().Make(7, "s", 100)
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Write([]byte("x"))
	v, err := OpenView(b, f)
	if err != nil {
		t.Fatal(err)
	}
	_, r, err := v.State("s")
	if err != nil {
		t.Fatal(err)
	}
	hold, err := a.States().Hold("s")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	woken := make(chan error, 1)
	go func() {
		_, err := r.Cell().Await(ctx, 1)
		woken <- err
	}()
	for asleep := 0; asleep == 0; runtime.Gosched() {
		f.mu.Lock()
		asleep = f.asleep
		f.mu.Unlock()
	}
	if err := a.States().Remove(7, "s"); err != nil {
		t.Fatal(err)
	}
	if err := <-woken; err != nil {
		t.Fatal(err)
	}
	_, _, err = r.Read(make([]byte, 100))
	want(t, err, api.Closed)
	if !hold.Ended() {
		t.Fatal("the hold does not know of the end")
	}
	hold.Release()
}

func TestTheNextOwnerBeginsWithoutStates(t *testing.T) {
	a, b := newArena(t)
	lease := a.NewOwner()
	if _, err := a.Heap().Alloc(lease, 100); err != nil {
		t.Fatal(err)
	}
	w, _ := a.States().Make(7, "s", 100)
	_ = w.Write([]byte("x"))
	next, err := Open(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(next.States().List()) != 0 || next.Heap().Usage(7).Bytes == 0 {
		t.Fatal("the memory of a state whose writer is gone belongs to its owner until that ends")
	}
	if again := next.NewOwner(); again <= lease {
		t.Fatalf("owner %d has memory, and the next is %d", lease, again)
	}
	_, err = a.States().Make(7, "late", 100)
	want(t, err, api.Conflict)
}

// Whatever the directory and the memory hold, a view answers or refuses.
func FuzzView(f *testing.F) {
	slot := make([]byte, layout.StateSlotSize)
	binary.LittleEndian.PutUint32(slot, 2)
	binary.LittleEndian.PutUint32(slot[layout.StateSlotAtNameLength:], 1)
	binary.LittleEndian.PutUint64(slot[layout.StateSlotAtOffset:], layout.HeapOffset)
	binary.LittleEndian.PutUint64(slot[layout.StateSlotAtHalf:], 100)
	slot[layout.StateSlotAtName] = 's'
	f.Add(slot, slot)
	_, b := newArena(f) // a view only reads; making 32 MiB each time would be most of the work
	f.Fuzz(func(t *testing.T, slot, control []byte) {
		clear(b[layout.StatesOffset:][:layout.StatesBytes])
		clear(b[layout.HeapOffset:][:4096])
		copy(b[layout.StatesOffset:][:layout.StatesBytes], slot)
		copy(b[layout.HeapOffset:][:4096], control)
		v, err := OpenView(b, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, info := range v.States() {
			_, r, err := v.State(info.Name)
			if err == nil && r != nil {
				_, _, _ = r.Read(make([]byte, r.Most()))
			}
		}
		v.Jobs(10)
		v.Metrics(func(string, MetricKind, uint64) bool { return true })
	})
}

func BenchmarkState(b *testing.B) {
	for _, size := range []int{64, 4096, 1 << 20} {
		a, _ := newArena(b)
		w, err := a.States().Make(7, "s", uint64(size))
		if err != nil {
			b.Fatal(err)
		}
		r, _ := a.States().Open("s")
		buf := make([]byte, size)
		b.Run(fmt.Sprintf("write/%d", size), func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				_ = w.Write(buf)
			}
		})
		b.Run(fmt.Sprintf("read/%d", size), func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				_, _, _ = r.Read(buf)
			}
		})
	}
}
