package ring

import (
	"context"
	"encoding/binary"

	"inos/kernel/layout"
)

// Reader is the receiving end. One goroutine uses it at a time.
type Reader struct {
	s          *shared
	generation uint32 // this end has joined
	head       uint32 // next byte to read
	tail       uint32 // last seen of the writer; the true tail is not behind it
}

func (r *Reader) attach(s *shared) {
	r.s = s
	r.generation, r.head = split(s.head.Load())
	r.tail = r.head
}

// Restart drops what is in the ring and begins anew. It is for a reader that
// takes over from one that is gone.
func (r *Reader) Restart() {
	r.join(r.s.restart())
}

func (r *Reader) join(generation uint32) {
	r.generation, r.head, r.tail = generation, 0, 0
	r.s.head.Store(word(generation, 0))
	r.s.freed.Signal()
}

// TryReceive returns the next message, copied into buf if its capacity
// suffices (Ring.MaxMessage always does), and true; or false if there is none
// now. The caller owns the result. Errors: Conflict once after the writer
// restarted; Corrupt, again and again until an end restarts.
func (r *Reader) TryReceive(buf []byte) ([]byte, bool, error) {
	msg, err := r.take(buf)
	if msg == nil || err != nil {
		return nil, false, err
	}
	r.release()
	return msg, true, nil
}

// Receive is TryReceive that waits for a message. It also fails with Closed,
// Canceled or Timeout; then no message was taken.
func (r *Reader) Receive(ctx context.Context, buf []byte) ([]byte, error) {
	for {
		if msg, ok, err := r.TryReceive(buf); ok || err != nil {
			return msg, err
		}
		if err := r.awaitMessage(ctx); err != nil {
			return nil, err
		}
	}
}

// TryReceiveBatch hands up to most messages to visit, in order, and returns how
// many. Each is copied into buf, as in TryReceive, and is visit's until it
// returns. The room they took is freed together at the end, which costs one
// synchronisation for all. An error of visit ends the batch and is returned;
// the message it was given counts as received.
func (r *Reader) TryReceiveBatch(buf []byte, most int, visit func(msg []byte) error) (n int, err error) {
	for n < most && err == nil {
		var msg []byte
		if msg, err = r.take(buf); msg == nil {
			break
		}
		n++
		err = visit(msg)
	}
	if n > 0 {
		r.release()
	}
	return n, err
}

// ReceiveBatch is TryReceiveBatch that waits for the first message.
func (r *Reader) ReceiveBatch(ctx context.Context, buf []byte, most int, visit func(msg []byte) error) (int, error) {
	for {
		if n, err := r.TryReceiveBatch(buf, most, visit); n > 0 || err != nil || most <= 0 {
			return n, err
		}
		if err := r.awaitMessage(ctx); err != nil {
			return 0, err
		}
	}
}

// take copies out the next message without freeing its room; nil if there is none.
func (r *Reader) take(buf []byte) ([]byte, error) {
	s := r.s
	if g := s.generation.Load(); g != r.generation {
		r.join(g)
		return nil, errRestarted
	}
	if r.head == r.tail {
		if err := r.look(); err != nil || r.head == r.tail {
			return nil, err
		}
	}
	at := r.head & s.mask
	frame := binary.LittleEndian.Uint64(s.data[at:])
	n := uint32(frame)
	// The frame is the writer's claim. Nothing is used before it fits.
	if n == 0 || n > s.max || frameBytes(n) > r.tail-r.head || uint32(frame>>32) != r.generation {
		return nil, errCorrupt
	}
	msg := buf[:0]
	if uint32(cap(msg)) < n {
		msg = make([]byte, 0, n)
	}
	msg = msg[:n]
	at = (at + layout.RingFrameSize) & s.mask
	if done := copy(msg, s.data[at:]); done < len(msg) {
		copy(msg[done:], s.data)
	}
	r.head += frameBytes(n)
	return msg, nil
}

// look acquires the writer's tail and checks it.
func (r *Reader) look() error {
	// Sync point: acquires the bytes of every message before the tail.
	generation, tail := split(r.s.tail.Load())
	if generation != r.generation {
		return nil
	}
	if tail-r.head > r.s.mask+1 {
		return errCorrupt
	}
	r.tail = tail
	return nil
}

// release gives the room of every taken message back to the writer.
func (r *Reader) release() {
	// Sync point: releases our copying out before the writer may overwrite.
	r.s.head.Store(word(r.generation, r.head))
	r.s.freed.Signal()
}

func (r *Reader) awaitMessage(ctx context.Context) error {
	for range spins {
		if err := r.look(); err != nil || r.head != r.tail {
			return err
		}
	}
	seen := r.s.filled.Prepare()
	if err := r.look(); err != nil || r.head != r.tail || r.s.generation.Load() != r.generation {
		r.s.filled.Cancel()
		return err
	}
	return r.s.filled.Wait(ctx, seen)
}
