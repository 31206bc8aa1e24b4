package ring

import (
	"context"
	"encoding/binary"

	"inos/kernel/layout"
)

// Writer is the sending end. One goroutine uses it at a time.
type Writer struct {
	s          *shared
	generation uint32 // this end has joined
	tail       uint32 // next byte to write
	head       uint32 // last seen of the reader; the true head is not behind it
}

func (w *Writer) attach(s *shared) {
	w.s = s
	w.generation, w.tail = split(s.tail.Load())
	w.head = w.tail - (s.mask + 1) // full as far as we know
}

// Restart drops what is in the ring and begins anew. It is for a writer that
// takes over from one that is gone.
func (w *Writer) Restart() {
	w.join(w.s.restart())
}

func (w *Writer) join(generation uint32) {
	w.generation, w.tail, w.head = generation, 0, -(w.s.mask + 1)
	w.s.tail.Store(word(generation, 0))
}

// TrySend copies msg into the ring and reports true, or reports false if there
// is no room now. Errors: Invalid for an empty message or one above
// Ring.MaxMessage, Conflict once after the reader restarted, Corrupt.
func (w *Writer) TrySend(msg []byte) (bool, error) {
	if err := w.check(msg); err != nil {
		return false, err
	}
	ok, err := w.put(msg)
	if ok {
		w.publish()
	}
	return ok, err
}

// Send is TrySend that waits for room. It also fails with Closed, Canceled or
// Timeout; then msg was not sent.
func (w *Writer) Send(ctx context.Context, msg []byte) error {
	for {
		if ok, err := w.TrySend(msg); ok || err != nil {
			return err
		}
		if err := w.awaitRoom(ctx, frameBytes(uint32(len(msg)))); err != nil {
			return err
		}
	}
}

// TrySendBatch copies as many of msgs as fit, in order, publishes them together
// and returns how many. It costs one synchronisation for all. On an error the
// first n messages were sent.
func (w *Writer) TrySendBatch(msgs [][]byte) (n int, err error) {
	for _, msg := range msgs {
		if err = w.check(msg); err != nil {
			break
		}
		ok := false
		if ok, err = w.put(msg); !ok {
			break
		}
		n++
	}
	if n > 0 {
		w.publish()
	}
	return n, err
}

// SendBatch is TrySendBatch that waits for room until all of msgs are sent. On
// an error it returns how many were.
func (w *Writer) SendBatch(ctx context.Context, msgs [][]byte) (int, error) {
	sent := 0
	for {
		n, err := w.TrySendBatch(msgs[sent:])
		sent += n
		if err != nil || sent == len(msgs) {
			return sent, err
		}
		if err := w.awaitRoom(ctx, frameBytes(uint32(len(msgs[sent])))); err != nil {
			return sent, err
		}
	}
}

func (w *Writer) check(msg []byte) error {
	if len(msg) == 0 {
		return errEmpty
	}
	if uint64(len(msg)) > uint64(w.s.max) {
		return errTooLarge
	}
	return nil
}

// put writes one message behind the tail without publishing it.
func (w *Writer) put(msg []byte) (bool, error) {
	s := w.s
	if g := s.generation.Load(); g != w.generation {
		w.join(g)
		return false, errRestarted
	}
	need := frameBytes(uint32(len(msg)))
	if room, err := w.room(need); err != nil || room < need {
		return false, err
	}
	at := w.tail & s.mask
	// A frame is 8 bytes at a multiple of 8, so it never wraps.
	binary.LittleEndian.PutUint64(s.data[at:], word(w.generation, uint32(len(msg))))
	at = (at + layout.RingFrameSize) & s.mask
	if n := copy(s.data[at:], msg); n < len(msg) {
		copy(s.data, msg[n:])
	}
	w.tail += need
	return true, nil
}

// room returns the free bytes, looking at the reader's head only if the last
// one seen does not give need.
func (w *Writer) room(need uint32) (uint32, error) {
	capacity := w.s.mask + 1
	if free := capacity - (w.tail - w.head); free >= need {
		return free, nil
	}
	// Sync point: acquires the reader's head, so its reads of what it freed
	// come before our writes there.
	generation, head := split(w.s.head.Load())
	if generation != w.generation {
		return 0, nil
	}
	used := w.tail - head
	if used > w.tail-w.head {
		return 0, errCorrupt // beyond the tail, or behind where it already was
	}
	w.head = head
	return capacity - used, nil
}

// publish makes every put message visible to the reader.
func (w *Writer) publish() {
	// Sync point: releases the bytes of the messages.
	w.s.tail.Store(word(w.generation, w.tail))
	w.s.filled.Signal()
}

func (w *Writer) awaitRoom(ctx context.Context, need uint32) error {
	for range spins {
		if room, err := w.room(need); err != nil || room >= need {
			return err
		}
	}
	seen := w.s.freed.Prepare()
	if room, err := w.room(need); err != nil || room >= need || w.s.generation.Load() != w.generation {
		w.s.freed.Cancel()
		return err
	}
	return w.s.freed.Wait(ctx, seen)
}
