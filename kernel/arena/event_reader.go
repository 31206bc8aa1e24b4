package arena

import (
	"context"
	"encoding/binary"

	"inos/kernel/api"
	"inos/kernel/layout"
)

// EventReader is a position in the event log. One goroutine uses it at a time;
// it needs no closing.
type EventReader struct {
	log  *Events
	at   uint64 // position of the next event
	last uint64 // number of the last event given or skipped
	buf  []byte // the event being copied; grows up to the largest event
}

// Next returns the next event, waiting for one if need be. Errors: Closed,
// Canceled, Timeout; Corrupt, once, if the log was scribbled over, after which
// the reader goes on with events appended later.
func (r *EventReader) Next(ctx context.Context) (Event, error) {
	for {
		seen := r.log.cell.Load()
		if ev, ok, err := r.TryNext(); ok || err != nil {
			return ev, err
		}
		if _, err := r.log.cell.Await(ctx, seen); err != nil {
			return Event{}, err
		}
	}
}

// Bounds on how often one TryNext starts over because the writer came round the
// ring and passed it. A writer may do so again and again while it advances the
// tail; without that it is somebody scribbling.
const (
	maxLaps  = 1 << 16
	maxStall = 16
)

// TryNext is Next that returns false instead of waiting.
func (r *EventReader) TryNext() (Event, bool, error) {
	var lapTail uint64
	for laps, stall := 0, 0; laps < maxLaps && stall < maxStall; {
		tail := r.log.tail.Load() &^ 7
		if r.at == tail {
			return Event{}, false, nil
		}
		var ev Event
		var n uint64
		lapped, ok := tail-r.at > r.log.capacity(), false
		if !lapped {
			ev, n, ok = r.copy(tail)
			lapped = r.overwritten()
		}
		if lapped {
			laps++
			if stall++; tail != lapTail {
				lapTail, stall = tail, 0
			}
			r.at = r.log.oldest.Load() &^ 7
			continue
		}
		if !ok || ev.Seq > r.log.sequence.Load() {
			break
		}
		r.at += n
		if ev.Seq > r.last { // else it lies before the number asked for
			ev.Missed, r.last = ev.Seq-r.last-1, ev.Seq
			return ev, true, nil
		}
	}
	return Event{}, false, r.giveUp()
}

// overwritten reports whether the writer may have touched the event at r.at.
func (r *EventReader) overwritten() bool {
	// Sync point: ordered after the loads of the words that were copied.
	return r.log.intent.Load()-r.at > r.log.capacity()
}

func (r *EventReader) giveUp() error {
	r.last, r.at = r.log.sequence.Load(), r.log.tail.Load()&^7
	return api.Errorf("arena.event", api.Corrupt, "the event log was overwritten by something else; reading on with new events")
}

// copy reads the event at r.at. Its result means nothing if overwritten.
func (r *EventReader) copy(tail uint64) (ev Event, n uint64, ok bool) {
	n, ok = r.log.frameAt(r.at, tail)
	if !ok {
		return ev, 0, false
	}
	if uint64(cap(r.buf)) < n {
		r.buf = make([]byte, layout.AlignUp(n, 1024))
	}
	b := r.buf[:n]
	loadWords(b, r.log.words, r.at/8)
	kind := uint64(binary.LittleEndian.Uint32(b[layout.EventFrameAtTypeLength:]))
	data := uint64(binary.LittleEndian.Uint32(b[layout.EventFrameAtDataLength:]))
	if kind > n || data > n || eventBytes(kind, data) != n { // changed between two looks
		return ev, 0, false
	}
	body := b[layout.EventFrameSize:]
	return Event{
		Seq:  binary.LittleEndian.Uint64(b[layout.EventFrameAtSequence:]),
		Time: int64(binary.LittleEndian.Uint64(b[layout.EventFrameAtTime:])),
		Type: string(body[:kind]),
		Data: append([]byte(nil), body[kind:kind+data]...),
	}, n, true
}
