package twin

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"testing"

	"inos/kernel/api"
	"inos/kernel/arena"
	"inos/kernel/layout"
)

func newArena(t testing.TB) (*arena.Arena, []byte) {
	t.Helper()
	b := make([]byte, layout.Tiers[0].Size)
	a, err := arena.Format(b, 0)
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

func newState(t testing.TB, a *arena.Arena, tw *Twin, most uint64) (*arena.StateWriter, *Region) {
	t.Helper()
	w, err := a.States().Make(arena.KernelOwner, "s", most)
	if err != nil {
		t.Fatal(err)
	}
	r, err := tw.State("s", a.States().List()[0].Offset)
	if err != nil {
		t.Fatal(err)
	}
	return w, r
}

func sync(t testing.TB, tw *Twin, want int) {
	t.Helper()
	if moved, err := tw.Sync(); err != nil || moved != want {
		t.Fatalf("moved %d, %v; want %d", moved, err, want)
	}
}

func TestSyncCopiesOnlyWhatMoved(t *testing.T) {
	a, b := newArena(t)
	tw := New(Memory(b))
	w, r := newState(t, a, tw, 1000)
	table, err := tw.Records("jobs", layout.JobsOffset, layout.JobsCount, layout.JobsStride, layout.EpochsOffset+layout.CellJobs*layout.EpochsStride)
	if err != nil {
		t.Fatal(err)
	}
	sync(t, tw, 2)
	sync(t, tw, 0)
	if err := w.Write([]byte("one")); err != nil {
		t.Fatal(err)
	}
	sync(t, tw, 1)
	if string(r.Bytes()) != "one" || r.Version() != 1 {
		t.Fatalf("%q at %d", r.Bytes(), r.Version())
	}
	id := api.ID{7}
	if err := a.Jobs().Put(arena.JobEntry{ID: id, Gas: 9}); err != nil {
		t.Fatal(err)
	}
	sync(t, tw, 1)
	if got := table.Bytes()[layout.JobSlotAtId:][:16]; !bytes.Equal(got, id[:]) {
		t.Fatalf("%x", got)
	}
	if gas := binary.LittleEndian.Uint64(table.Bytes()[layout.JobSlotAtGas:]); gas != 9 {
		t.Fatal(gas)
	}
	tw.Drop(table)
	_ = a.Jobs().Put(arena.JobEntry{ID: api.ID{8}})
	sync(t, tw, 0)
}

// A snapshot is of one version while a writer publishes as fast as it can.
func TestSnapshotsAreNeverTorn(t *testing.T) {
	const most, rounds = 4096, 400
	a, b := newArena(t)
	tw := New(Memory(b))
	w, r := newState(t, a, tw, most)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, most)
		for i := uint64(1); ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			n := 8 + int(i%(most-8))&^7
			for at := 0; at < n; at += 8 {
				binary.LittleEndian.PutUint64(buf[at:], i)
			}
			_ = w.Write(buf[:n])
			oneThread()
		}
	}()
	for copied := 0; copied < rounds; {
		oneThread()
		n, err := tw.Sync()
		if err != nil {
			t.Fatal(err)
		}
		copied += n
		snap := r.Bytes()
		for at := 8; at < len(snap); at += 8 {
			if !bytes.Equal(snap[:8], snap[at:at+8]) {
				t.Fatalf("version %d is torn at %d of %d", r.Version(), at, len(snap))
			}
		}
		if len(snap) >= 8 && uint32(binary.LittleEndian.Uint64(snap)) != r.Version() {
			t.Fatalf("version %d holds that of write %d", r.Version(), binary.LittleEndian.Uint64(snap))
		}
	}
	close(stop)
	<-done
}

// A state of another size at the place of a removed one is not taken for it.
func TestSyncTellsAStateFromTheNextOne(t *testing.T) {
	a, b := newArena(t)
	tw := New(Memory(b))
	w, r := newState(t, a, tw, 256)
	_ = w.Write([]byte("first"))
	sync(t, tw, 1)
	was := a.States().List()[0].Offset
	if err := a.States().Remove(arena.KernelOwner, "s"); err != nil {
		t.Fatal(err)
	}
	next, err := a.States().Make(arena.KernelOwner, "next", 128) // its span is of the same class
	if err != nil {
		t.Fatal(err)
	}
	if at := a.States().List()[0].Offset; at != was {
		t.Fatalf("the next state is at %d, not at %d", at, was)
	}
	for range 3 {
		_ = next.Write([]byte("another"))
	}
	if _, err := tw.Sync(); !errors.Is(err, api.Closed) || string(r.Bytes()) != "first" {
		t.Fatalf("%q, %v", r.Bytes(), err)
	}
}

func TestSyncReportsARemovedState(t *testing.T) {
	a, b := newArena(t)
	tw := New(Memory(b))
	w, r := newState(t, a, tw, 100)
	_ = w.Write([]byte("kept"))
	sync(t, tw, 1)
	_ = w.Write([]byte("lost"))
	if err := a.States().Remove(arena.KernelOwner, "s"); err != nil {
		t.Fatal(err)
	}
	if _, err := tw.Sync(); !errors.Is(err, api.Closed) || string(r.Bytes()) != "kept" {
		t.Fatalf("%v, %q", err, r.Bytes())
	}
}

func TestAddRefusesWhatDoesNotFit(t *testing.T) {
	_, b := newArena(t)
	tw := New(Memory(b))
	size := uint64(len(b))
	for _, off := range []uint64{1, size, size - 64, ^uint64(0) &^ 63} {
		if _, err := tw.State("x", off); !errors.Is(err, api.Invalid) {
			t.Errorf("%#x: %v", off, err)
		}
	}
	if _, err := tw.State("x", layout.HeapOffset); !errors.Is(err, api.Corrupt) {
		t.Error(err)
	}
	for _, c := range []struct {
		off, cell     uint64
		count, stride int
	}{{0, 0, 0, 8}, {0, 0, 1, 4}, {4, 0, 1, 8}, {0, 1, 1, 8}, {0, size, 1, 8}, {size, 0, 1, 8}, {0, 0, 1 << 40, 1 << 20}} {
		if _, err := tw.Records("x", c.off, c.count, c.stride, c.cell); !errors.Is(err, api.Invalid) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// Whatever the shared memory holds, a twin neither panics nor reads elsewhere.
func FuzzSync(f *testing.F) {
	control := make([]byte, layout.StateControlSize)
	binary.LittleEndian.PutUint32(control[layout.StateControlAtMagic:], layout.StateMagic)
	binary.LittleEndian.PutUint64(control[layout.StateControlAtHalf:], 100)
	f.Add(control, control)
	f.Fuzz(func(t *testing.T, before, after []byte) {
		mem := aligned(8192)
		copy(mem, before)
		tw := New(Memory(mem))
		r, err := tw.State("s", 0)
		if err != nil {
			return
		}
		if _, err := tw.Records("t", 4096, 16, 64, 0); err != nil {
			t.Fatal(err)
		}
		_, _ = tw.Sync()
		copy(mem, after)
		copy(mem[4096:], after)
		_, _ = tw.Sync()
		if uint64(len(r.Bytes())) > 8192 {
			t.Fatal("a snapshot is larger than the memory")
		}
	})
}

func aligned(n int) []byte {
	b := make([]byte, n+64)
	for !layout.Aligned(b, 64) {
		b = b[1:]
	}
	return b[:n:n]
}

func TestSyncAllocatesNothing(t *testing.T) {
	a, b := newArena(t)
	tw := New(Memory(b))
	w, _ := newState(t, a, tw, 1<<16)
	buf := make([]byte, 1<<16)
	if n := testing.AllocsPerRun(100, func() {
		_ = w.Write(buf)
		if _, err := tw.Sync(); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Fatalf("a write and a sync allocate %v times", n)
	}
}

// BenchmarkSync1MiB copies a state of 1 MiB that moved; "memcpy" copies as much
// between buffers of the same kind.
func BenchmarkSync1MiB(b *testing.B) {
	const size = 1 << 20
	b.Run("twin", func(b *testing.B) {
		a, mem := newArena(b)
		tw := New(Memory(mem))
		w, _ := newState(b, a, tw, size)
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			w.Begin()
			w.Publish(size)
			if n, err := tw.Sync(); n != 1 || err != nil {
				b.Fatal(n, err)
			}
		}
	})
	b.Run("memcpy", func(b *testing.B) {
		src := [2][]byte{make([]byte, size), make([]byte, size)}
		dst := [2][]byte{make([]byte, size), make([]byte, size)}
		b.SetBytes(size)
		for i := 0; b.Loop(); i++ {
			copy(dst[i&1], src[i&1])
		}
	})
}

// oneThread lets other goroutines go on where Go has one thread and interrupts
// nobody.
func oneThread() {
	if runtime.GOOS == "js" {
		runtime.Gosched()
	}
}
