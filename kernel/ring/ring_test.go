package ring

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"inos/kernel/api"
	"inos/kernel/layout"
)

var background = context.Background()

// memory returns n zeroed bytes at a multiple of a cache line.
func memory(n int) []byte {
	b := make([]byte, n+layout.Line)
	for !layout.Aligned(b, layout.Line) {
		b = b[1:]
	}
	return b[:n:n]
}

type fatal interface{ Fatal(...any) }

func newRing(t fatal, capacity, most int) (r *Ring, ctl, data []byte) {
	ctl, data = memory(layout.RingControlSize), memory(capacity)
	r, err := Format(ctl, data, most)
	if err != nil {
		t.Fatal(err)
	}
	return r, ctl, data
}

func TestFormatRefusesBadShapes(t *testing.T) {
	for _, c := range []struct{ ctl, data, most int }{
		{layout.RingControlSize - 8, 1024, 100},
		{layout.RingControlSize, 1000, 100},
		{layout.RingControlSize, 32, 8},
		{layout.RingControlSize, 1024, 0},
		{layout.RingControlSize, 1024, 505},
		{layout.RingControlSize, 1024, -1},
	} {
		if _, err := Format(memory(c.ctl), memory(c.data), c.most); !errors.Is(err, api.Invalid) {
			t.Errorf("%+v: got %v", c, err)
		}
	}
	if _, err := Open(memory(layout.RingControlSize), memory(1024)); !errors.Is(err, api.Corrupt) {
		t.Errorf("an unformatted ring opened: %v", err)
	}
}

func TestSendRefusesWhatDoesNotFitTheBound(t *testing.T) {
	r, _, _ := newRing(t, 1024, 100)
	for _, n := range []int{0, 101, 5000} {
		if _, err := r.Writer().TrySend(make([]byte, n)); !errors.Is(err, api.Invalid) {
			t.Errorf("%d bytes: got %v", n, err)
		}
	}
}

// The ring behaves as a bounded queue of messages, whatever the order of
// single and batch operations, and refuses only for want of room.
func TestRingIsAQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity := 1 << rapid.IntRange(6, 11).Draw(t, "log2 capacity")
		most := rapid.IntRange(1, capacity/2-layout.RingFrameSize).Draw(t, "most")
		r, ctl, data := newRing(t, capacity, most)
		var model [][]byte
		used := func() (n uint32) {
			for _, m := range model {
				n += frameBytes(uint32(len(m)))
			}
			return n
		}
		buf := make([]byte, most)
		message := rapid.SliceOfN(rapid.Byte(), 1, most)
		take := func(msg []byte) error {
			if len(model) == 0 || !bytes.Equal(msg, model[0]) {
				t.Fatalf("got %x, want the first of %x", msg, model)
			}
			model = model[1:]
			return nil
		}
		t.Repeat(map[string]func(*rapid.T){
			"send": func(t *rapid.T) {
				msg := message.Draw(t, "message")
				ok, err := r.Writer().TrySend(msg)
				fits := used()+frameBytes(uint32(len(msg))) <= uint32(capacity)
				if err != nil || ok != fits {
					t.Fatalf("sent %v, fits %v, %v", ok, fits, err)
				}
				if ok {
					model = append(model, msg)
				}
			},
			"send batch": func(t *rapid.T) {
				msgs := rapid.SliceOfN(message, 0, 6).Draw(t, "messages")
				n, err := r.Writer().TrySendBatch(msgs)
				if err != nil {
					t.Fatal(err)
				}
				model = append(model, msgs[:n]...)
				if used() > uint32(capacity) {
					t.Fatal("more was accepted than fits")
				}
			},
			"receive": func(t *rapid.T) {
				msg, ok, err := r.Reader().TryReceive(buf)
				if err != nil || ok != (len(model) > 0) {
					t.Fatalf("received %v with %d waiting, %v", ok, len(model), err)
				}
				if ok {
					_ = take(msg)
				}
			},
			"receive batch": func(t *rapid.T) {
				limit := rapid.IntRange(0, 6).Draw(t, "limit")
				want := min(limit, len(model))
				if n, err := r.Reader().TryReceiveBatch(buf, limit, take); err != nil || n != want {
					t.Fatalf("received %d of %d, %v", n, want, err)
				}
			},
			"open again": func(t *rapid.T) {
				var err error
				if r, err = Open(ctl, data); err != nil {
					t.Fatal(err)
				}
			},
		})
	})
}

func TestPositionsWrapAround(t *testing.T) {
	_, ctl, data := newRing(t, 64, 8)
	start := word(1, 0xffff_ffc0)
	layout.U64(ctl, layout.RingControlAtTail).Store(start)
	layout.U64(ctl, layout.RingControlAtHead).Store(start)
	r, err := Open(ctl, data)
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(100) {
		msg := binary.LittleEndian.AppendUint64(nil, i)
		if ok, err := r.Writer().TrySend(msg); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if got, ok, err := r.Reader().TryReceive(nil); !ok || err != nil || !bytes.Equal(got, msg) {
			t.Fatal(got, ok, err)
		}
	}
}

// Both ends run at once and mostly sleep; every message arrives once, in order.
func TestSendAndReceiveBlock(t *testing.T) {
	const messages = 20_000
	r, _, _ := newRing(t, 256, 64)
	failed := make(chan error, 1)
	go func() {
		for i := range uint64(messages) {
			msg := binary.LittleEndian.AppendUint64(nil, i)
			if err := r.Writer().Send(background, append(msg, make([]byte, i%50)...)); err != nil {
				failed <- err
				return
			}
		}
		failed <- nil
	}()
	buf := make([]byte, 64)
	for i := range uint64(messages) {
		msg, err := r.Reader().Receive(background, buf)
		if err != nil || uint64(len(msg)) != 8+i%50 || binary.LittleEndian.Uint64(msg) != i {
			t.Fatalf("message %d: %x, %v", i, msg, err)
		}
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
}

func TestBatchesBlock(t *testing.T) {
	const batches, size = 500, 40
	r, _, _ := newRing(t, 256, 16)
	go func() {
		for b := range batches {
			var msgs [][]byte
			for i := range size {
				msgs = append(msgs, binary.LittleEndian.AppendUint64(nil, uint64(b*size+i)))
			}
			if n, err := r.Writer().SendBatch(background, msgs); n != size || err != nil {
				t.Error(n, err)
			}
		}
	}()
	for next := uint64(0); next < batches*size; {
		_, err := r.Reader().ReceiveBatch(background, nil, 100, func(msg []byte) error {
			if got := binary.LittleEndian.Uint64(msg); got != next {
				t.Errorf("got %d, want %d", got, next)
			}
			next++
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestWaitingEndsWithContextAndClose(t *testing.T) {
	r, _, _ := newRing(t, 64, 24)
	ctx, cancel := context.WithCancel(background)
	cancel()
	if _, err := r.Reader().Receive(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	for ok := true; ok; {
		ok, _ = r.Writer().TrySend(make([]byte, 24))
	}
	if err := r.Writer().Send(ctx, make([]byte, 24)); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- r.Writer().Send(background, make([]byte, 24)) }()
	r.Close()
	if err := <-done; !errors.Is(err, api.Closed) {
		t.Fatal(err)
	}
}

func TestAWriterThatRestartsStartsClean(t *testing.T) {
	_, ctl, data := newRing(t, 256, 64)
	// Two views stand for two processes.
	writing, _ := Open(ctl, data)
	reading, _ := Open(ctl, data)
	send(t, writing.Writer(), "lost")
	again, err := Open(ctl, data)
	if err != nil {
		t.Fatal(err)
	}
	w := again.Writer()
	w.Restart()
	// Until the reader joins, it may still be reading the old bytes.
	if ok, err := w.TrySend([]byte("early")); ok || err != nil {
		t.Fatal(ok, err)
	}
	if _, _, err := reading.Reader().TryReceive(nil); !errors.Is(err, api.Conflict) {
		t.Fatal(err)
	}
	send(t, w, "new")
	expect(t, reading.Reader(), "new")
	// The old writer learns that it was replaced.
	if _, err := writing.Writer().TrySend([]byte("x")); !errors.Is(err, api.Conflict) {
		t.Fatal(err)
	}
}

func TestAReaderThatRestartsStartsClean(t *testing.T) {
	_, ctl, data := newRing(t, 64, 24)
	writing, _ := Open(ctl, data)
	for ok := true; ok; {
		ok, _ = writing.Writer().TrySend(make([]byte, 24))
	}
	again, _ := Open(ctl, data)
	again.Reader().Restart()
	if _, ok, err := again.Reader().TryReceive(nil); ok || err != nil {
		t.Fatal(ok, err)
	}
	if _, err := writing.Writer().TrySend([]byte("x")); !errors.Is(err, api.Conflict) {
		t.Fatal(err)
	}
	send(t, writing.Writer(), "new")
	expect(t, again.Reader(), "new")
}

// A writer asleep on a full ring wakes when the reader restarts, even though
// the head's position did not move.
func TestRestartWakesASleepingWriter(t *testing.T) {
	r, _, _ := newRing(t, 64, 24)
	for ok := true; ok; {
		ok, _ = r.Writer().TrySend(make([]byte, 24))
	}
	done := make(chan error)
	go func() { done <- r.Writer().Send(background, []byte("x")) }()
	r.Reader().Restart()
	if err := <-done; !errors.Is(err, api.Conflict) {
		t.Fatal(err)
	}
}

func send(t *testing.T, w *Writer, text string) {
	t.Helper()
	if ok, err := w.TrySend([]byte(text)); !ok || err != nil {
		t.Fatal(ok, err)
	}
}

func expect(t *testing.T, r *Reader, text string) {
	t.Helper()
	if msg, ok, err := r.TryReceive(nil); !ok || err != nil || string(msg) != text {
		t.Fatalf("got %q, %v, %v", msg, ok, err)
	}
}

// A hostile other end may store anything anywhere. Every call then either
// works within bounds or gives Corrupt or Conflict.
func FuzzReceive(f *testing.F) {
	ctl := memory(layout.RingControlSize)
	data := memory(128)
	if r, err := Format(ctl, data, 32); err != nil {
		f.Fatal(err)
	} else if _, err := r.Writer().TrySend([]byte("seed")); err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.Clone(ctl), bytes.Clone(data), uint64(0), uint64(0))
	f.Add(bytes.Clone(ctl), bytes.Repeat([]byte{0xff}, 128), word(1, 64), word(1, 60))
	f.Add(bytes.Clone(ctl), make([]byte, 128), word(1, 0xffff_fff8), word(9, 8))
	f.Fuzz(func(t *testing.T, ctlImage, dataImage []byte, tail, head uint64) {
		ctl, data := memory(layout.RingControlSize), memory(128)
		copy(ctl, ctlImage)
		copy(data, dataImage)
		r, err := Open(ctl, data)
		if err != nil {
			if !errors.Is(err, api.Corrupt) {
				t.Fatal(err)
			}
			return
		}
		drain(t, r)
		layout.U64(ctl, layout.RingControlAtTail).Store(tail)
		drain(t, r)
		layout.U64(ctl, layout.RingControlAtHead).Store(head)
		fill(t, r)
		r.Reader().Restart()
		r.Writer().Restart()
		fill(t, r)
	})
}

func drain(t *testing.T, r *Ring) {
	for range 64 {
		msg, ok, err := r.Reader().TryReceive(nil)
		if err != nil && !errors.Is(err, api.Corrupt) && !errors.Is(err, api.Conflict) {
			t.Fatal(err)
		}
		if len(msg) > r.MaxMessage() {
			t.Fatalf("a message of %d bytes", len(msg))
		}
		if !ok {
			return
		}
	}
}

func fill(t *testing.T, r *Ring) {
	for range 64 {
		ok, err := r.Writer().TrySend(make([]byte, 1+r.MaxMessage()/3))
		if err != nil && !errors.Is(err, api.Corrupt) && !errors.Is(err, api.Conflict) {
			t.Fatal(err)
		}
		if !ok && !errors.Is(err, api.Conflict) {
			return
		}
	}
}
