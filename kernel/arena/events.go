package arena

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"inos/kernel/api"
	"inos/kernel/epoch"
	"inos/kernel/layout"
)

// Bounds of an event. The log holds 2 MiB of them, frames included; beyond that
// the oldest go.
const (
	MaxEventType = 128
	MaxEventData = 32 << 10
)

// Event is one entry of the log.
type Event struct {
	Seq    uint64 // from 1, without gaps
	Time   int64  // Unix microseconds, as given to Append
	Type   string // "{service}:{action}:v{version}:{state}"
	Data   []byte // JSON by convention; the receiver's own
	Missed uint64 // events overwritten between this one and the reader's last
}

// Events is a broadcast log in the arena: one owner appends, any number of
// readers follow, each with a position of its own. A slow reader never holds
// the writer up; it loses the oldest events and is told how many.
//
// Invariants:
//   - Positions are bytes since the log began, multiples of 8, and only rise.
//   - oldest <= tail <= intent <= oldest + capacity.
//   - Bytes from oldest to tail are whole events. A reader's copy is good if,
//     after copying, intent has not passed its start by more than the capacity:
//     the writer moves intent before it overwrites.
//
// Sync points. Positions and payload words are all sequentially consistent
// atomics. The reader depends on three orders: the writer's oldest before its
// intent, its intent before the words that overwrite, and the reader's words
// before its look at the intent. With plain words the last two would not hold on
// arm64.
//
// Source: the broadcast buffer of Agrona (BroadcastTransmitter, BroadcastReceiver).
type Events struct {
	lease *lease
	cell  *epoch.Cell
	words []atomic.Uint64 // a power of two

	intent, tail, oldest, sequence *atomic.Uint64

	mu    sync.Mutex
	frame []byte // mu: the event being built; grows up to the largest event
	// mu: the writer's own copies of tail, oldest and sequence; those in the
	// arena are published and not believed.
	end, first, seq uint64
}

func openEvents(ctl, data []byte, l *lease, cell *epoch.Cell) *Events {
	e := viewEvents(ctl, data, cell)
	e.lease = l
	e.recover()
	return e
}

// viewEvents is the log as a reader without the right to append sees it.
func viewEvents(ctl, data []byte, cell *epoch.Cell) *Events {
	return &Events{
		cell: cell, words: layout.Words(data),
		intent:   layout.U64(ctl, layout.EventControlAtIntent),
		tail:     layout.U64(ctl, layout.EventControlAtTail),
		oldest:   layout.U64(ctl, layout.EventControlAtOldest),
		sequence: layout.U64(ctl, layout.EventControlAtSequence),
	}
}

// recover makes the positions obey the invariants: an owner that died inside
// Append left intent ahead of tail, and anybody may have scribbled.
func (e *Events) recover() {
	e.end, e.first, e.seq = e.tail.Load(), e.oldest.Load(), e.sequence.Load()
	damaged := e.end&7 != 0 || e.first&7 != 0 || e.first > e.end || e.end-e.first > e.capacity()
	if damaged || e.end >= 1<<62 || e.seq >= 1<<62 {
		e.end, e.first, e.seq = 0, 0, 0
	}
	e.intent.Store(e.end)
	e.oldest.Store(e.first)
	e.sequence.Store(e.seq)
	e.tail.Store(e.end)
}

func (e *Events) capacity() uint64 { return uint64(len(e.words)) * 8 }

// Epoch advances with every Append.
func (e *Events) Epoch() *epoch.Cell { return e.cell }

// Bytes is how much of the log whole events fill.
func (e *Events) Bytes() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.end - e.first
}

// Last is the number of the newest event, 0 if there is none.
func (e *Events) Last() uint64 { return e.sequence.Load() }

// Append adds an event with the given time in Unix microseconds and returns its
// number. It copies data. Invalid if kind is empty or longer than MaxEventType or
// data longer than MaxEventData; Closed or Conflict if the arena is no longer ours.
func (e *Events) Append(now int64, kind string, data []byte) (uint64, error) {
	const op = "arena.append"
	if kind == "" || len(kind) > MaxEventType || len(data) > MaxEventData {
		return 0, api.Errorf(op, api.Invalid, "an event has a type of 1 to 128 bytes and at most 32 KiB of data")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.lease.check(op); err != nil {
		return 0, err
	}
	e.build(e.seq+1, now, kind, data)
	start, end := e.end, e.end+uint64(len(e.frame))
	e.forget(end) // first, so that a reader that sees the intent finds where to go
	e.intent.Store(end)
	storeWords(e.words, start/8, e.frame)
	e.seq, e.end = e.seq+1, end
	e.sequence.Store(e.seq)
	e.tail.Store(end)
	e.cell.Advance()
	return e.seq, nil
}

// build fills frame with the event as it is stored.
func (e *Events) build(seq uint64, now int64, kind string, data []byte) {
	n := eventBytes(uint64(len(kind)), uint64(len(data)))
	if uint64(cap(e.frame)) < n {
		e.frame = make([]byte, 0, layout.AlignUp(n, 1024))
	}
	b := e.frame[:layout.EventFrameSize]
	clear(b)
	binary.LittleEndian.PutUint64(b[layout.EventFrameAtSequence:], seq)
	binary.LittleEndian.PutUint64(b[layout.EventFrameAtTime:], uint64(now))
	binary.LittleEndian.PutUint32(b[layout.EventFrameAtTypeLength:], uint32(len(kind)))
	binary.LittleEndian.PutUint32(b[layout.EventFrameAtDataLength:], uint32(len(data)))
	b = append(append(b, kind...), data...)
	for uint64(len(b)) < n {
		b = append(b, 0)
	}
	e.frame = b
}

// forget moves oldest past every event that the bytes up to end will overwrite.
func (e *Events) forget(end uint64) {
	for end-e.first > e.capacity() && e.first != e.end {
		n, ok := e.frameAt(e.first, e.end)
		if !ok { // scribbled over: what was there is lost anyway
			n = e.end - e.first
		}
		e.first += n
	}
	e.oldest.Store(e.first)
}

// frameAt returns the size of the event at position at, false if what is stored
// there cannot be an event that ends by tail.
func (e *Events) frameAt(at, tail uint64) (uint64, bool) {
	lengths := e.words[(at+layout.EventFrameAtTypeLength)/8&uint64(len(e.words)-1)].Load()
	kind, data := lengths&0xffff_ffff, lengths>>32
	if kind == 0 || kind > MaxEventType || data > MaxEventData {
		return 0, false
	}
	n := eventBytes(kind, data)
	return n, n <= tail-at
}

func eventBytes(kind, data uint64) uint64 {
	return layout.AlignUp(layout.EventFrameSize+kind+data, 8)
}

// Follow returns a reader of the events appended from now on.
func (e *Events) Follow() *EventReader {
	e.mu.Lock()
	defer e.mu.Unlock()
	return &EventReader{log: e, at: e.end, last: e.seq}
}

// After returns a reader of the events with numbers above seq, as far back as
// the log still has them. After(0) begins with the oldest.
func (e *Events) After(seq uint64) *EventReader {
	e.mu.Lock()
	defer e.mu.Unlock()
	return &EventReader{log: e, at: e.first, last: min(seq, e.seq)}
}
