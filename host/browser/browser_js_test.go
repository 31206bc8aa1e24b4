package browser

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"inos/kernel/api"
	"inos/kernel/arena"
	"inos/kernel/layout"
	"inos/kernel/twin"
)

// soon bounds what a test waits for.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// Messages of every size come back whole and in order from another end that
// echoes them, faster than the port holds; then the end closes.
func TestPortCarriesMessages(t *testing.T) {
	for _, name := range []string{"rings", "copies"} {
		t.Run(name, func(t *testing.T) {
			ctx := soon(t)
			p, err := Open(name)
			if err != nil {
				t.Fatal(err)
			}
			rng := rand.New(rand.NewPCG(1, 2))
			var sent [][]byte
			for size := 1; size <= MaxMessage; size = size*3 + rng.IntN(7) {
				b := make([]byte, size)
				for i := range b {
					b[i] = byte(rng.Uint32()) & 127
				}
				sent = append(sent, b, []byte{1})
			}
			for range 12 {
				sent = append(sent, bytes.Repeat([]byte{7}, MaxMessage))
			}
			failed := make(chan error, 1)
			go func() {
				for _, b := range sent {
					cut := len(b) / 2
					if err := p.Send(ctx, b[:cut], b[cut:]); err != nil {
						failed <- err
						return
					}
				}
				failed <- nil
			}()
			for i, want := range sent {
				got, err := p.Receive(ctx)
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("message %d of %d bytes: %d bytes, %v", i, len(want), len(got), err)
				}
			}
			if err := <-failed; err != nil {
				t.Fatal(err)
			}
			for _, size := range []int{0, MaxMessage + 1} {
				if err := p.Send(ctx, make([]byte, size)); api.KindOf(err) != api.Invalid {
					t.Fatalf("a message of %d bytes: %v", size, err)
				}
			}
			if err := p.Send(ctx, []byte{255}); err != nil { // the other end closes
				t.Fatal(err)
			}
			if _, err := p.Receive(ctx); api.KindOf(err) != api.Closed {
				t.Fatalf("after the end: %v", err)
			}
			if err := p.Send(ctx, []byte{1}); api.KindOf(err) != api.Closed {
				t.Fatalf("after the end: %v", err)
			}
		})
	}
	if _, err := Open("nobody"); api.KindOf(err) != api.NotFound {
		t.Fatalf("a port that is not there: %v", err)
	}
}

func TestReceiveEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	s, err := OpenShared()
	if err != nil {
		t.Fatal(err)
	}
	w := s.Watch(layout.EpochsOffset + 900*layout.EpochsStride)
	defer w.Close()
	if _, err := w.Await(ctx, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

// What the kernel writes in its image reaches the shared arena: jobs, events,
// metrics and states, cells last; and what is written there wakes the kernel.
func TestMirrorShowsTheKernelsTables(t *testing.T) {
	ctx := soon(t)
	s, err := OpenShared()
	if err != nil {
		t.Fatal(err)
	}
	image := Image(s.Size())
	m := NewMirror(image, s)
	tier, err := layout.TierOf(s.Size())
	if err != nil {
		t.Fatal(err)
	}
	a, err := arena.Format(image, tier, arena.Shared(m))
	if err != nil {
		t.Fatal(err)
	}
	work, err := a.States().Make(arena.KernelOwner, "test/state", 1000)
	if err != nil {
		t.Fatal(err)
	}
	events := uint64(layout.EpochsOffset + layout.CellEvents*layout.EpochsStride)
	watch := s.Watch(events)
	defer watch.Close()
	seen := s.Load(events)
	a.Metrics().Counter("inos_test_total").Add(42)
	if err := work.Write([]byte("first")); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Events().Append(1, "test:event:v1:ok", []byte(`{"n":1}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Await(ctx, seen); err != nil {
		t.Fatal(err)
	}
	whole := make([]byte, s.Size())
	s.Copy(whole, 0)
	for _, r := range [][2]uint64{{layout.MetricsOffset, layout.MetricsBytes}, {layout.StatesOffset, layout.StatesBytes}, {layout.EventsOffset, 4096}, {layout.EventLogOffset, layout.EventControlSize}} {
		if !bytes.Equal(whole[r[0]:r[0]+r[1]], image[r[0]:r[0]+r[1]]) {
			t.Fatalf("the table at %#x differs", r[0])
		}
	}
	if !bytes.Contains(whole, []byte("test:event:v1:ok")) || binary.LittleEndian.Uint64(whole[layout.ArenaHeaderAtMagic:]) != layout.Magic {
		t.Fatal("the event or the header is missing")
	}
	if round := s.Load(layout.EpochsOffset + layout.CellMirror*layout.EpochsStride); round%2 != 0 || round == 0 {
		t.Fatalf("the mirror stands at %d", round)
	}

	// A twin over the shared memory sees the state, and its next version.
	tw := twin.New(s)
	at := binary.LittleEndian.Uint64(whole[layout.StatesOffset+layout.StateSlotAtOffset:])
	r, err := tw.State("test/state", at)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"first", "second, longer"} {
		if err := work.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		m.Flush()
		if _, err := tw.Sync(); err != nil || string(r.Bytes()) != text {
			t.Fatalf("%q, %v", r.Bytes(), err)
		}
	}
	m.Close()
	a.Close()
}

// The time from another thread's advance to a goroutine that awaits it.
func BenchmarkEpochToHandler(b *testing.B) {
	s, err := OpenShared()
	if err != nil {
		b.Fatal(err)
	}
	cell := uint64(layout.EpochsOffset + 901*layout.EpochsStride)
	w := s.Watch(cell)
	defer w.Close()
	var took []time.Duration
	for b.Loop() {
		seen := s.Load(cell)
		var began time.Time
		go func() { began = time.Now(); s.Advance(cell) }()
		if _, err := w.Await(b.Context(), seen); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1000, "p50-us")
}
