// Package ring carries messages between two parties through shared memory: a
// bounded single-producer single-consumer ring of variable-length messages.
//
// A ring is a control block (layout.RingControlSize bytes) and a data area, a
// power of two in bytes. Messages lie in the data area one after another, each
// behind an 8-byte frame and padded to 8 bytes; a message may wrap around the
// end. The writer publishes the tail, the reader the head.
//
// Invariants:
//   - One goroutine uses the Writer at a time, and one the Reader.
//   - head <= tail <= head + capacity, counted modulo 2^32. Only the writer
//     stores the tail, only the reader the head, each on cache lines of its own.
//   - Every published word carries the generation in which it holds. An end whose
//     word is of another generation has not joined the current one: until it
//     does, a writer has no room and a reader no message. So neither end ever
//     touches bytes that the other may still be using.
//   - The other end may be hostile or broken: what it stored is checked against
//     this process's own copy of capacity and bound before use. A word that
//     breaks an invariant gives api.Corrupt; nothing panics and nothing outside
//     the ring is read or written.
//   - A full ring makes the writer wait; nothing is dropped or overwritten.
//
// Restart. An end that starts anew raises the ring's generation. Both ends then
// begin with an empty ring: messages still in it are dropped, and the end that
// did not restart learns of it by one api.Conflict from its next call, after
// which it goes on. Whoever receives Conflict starts its protocol over.
//
// Sync points. The store of the tail releases the message's bytes to the reader
// whose load of the tail acquires them; the store of the head releases the
// reader's copying out to the writer, which may then overwrite. Release and
// acquire suffice for the bytes. The sleeping side needs sequential consistency
// and gets it from package epoch (see Cell.Signal).
package ring

import (
	"sync/atomic"

	"inos/kernel/api"
	"inos/kernel/epoch"
	"inos/kernel/layout"
)

// Bounds of a ring's data area in bytes.
const (
	MinCapacity = 64
	MaxCapacity = 1 << 30
)

// spins is how often an end looks again before it sleeps. A peer that is running
// now publishes within that time; a sleep costs both ends more.
const spins = 64

const magic = 0x474e4952 // "RING"

// pad keeps fields that different threads write on different pairs of lines.
type pad [2 * layout.Line]byte

// Ring is this process's view of one ring. Make one per ring and process: the
// two ends wake each other through it when both are here.
type Ring struct {
	shared
	_ pad
	w Writer
	_ pad
	r Reader
}

// shared is what both ends read and neither changes after Open.
type shared struct {
	data       []byte
	mask       uint32 // capacity - 1
	max        uint32 // largest message
	generation *atomic.Uint32
	tail, head *atomic.Uint64
	filled     *epoch.Cell // a reader may have something to read
	freed      *epoch.Cell // a writer may have room
}

// Format makes ctl and data an empty ring for messages of up to maxMessage
// bytes and opens it. ctl has layout.RingControlSize bytes at a multiple of 64;
// data is a power of two from MinCapacity to MaxCapacity, at a multiple of 8;
// maxMessage is at least 1 and at most half of data less 8, so that two messages
// always fit. Neither end may be in use.
func Format(ctl, data []byte, maxMessage int) (*Ring, error) {
	if err := checkShape(ctl, data, uint64(len(data)), int64(maxMessage)); err != nil {
		return nil, api.E("ring.format", api.Invalid, err)
	}
	layout.U64(ctl, layout.RingControlAtTail).Store(word(1, 0))
	layout.U64(ctl, layout.RingControlAtHead).Store(word(1, 0))
	layout.U32(ctl, layout.RingControlAtCapacity).Store(uint32(len(data)))
	layout.U32(ctl, layout.RingControlAtMaxMessage).Store(uint32(maxMessage))
	// Generation 0 is never current, so a zeroed word belongs to none.
	layout.U32(ctl, layout.RingControlAtGeneration).Store(1)
	layout.U32(ctl, layout.RingControlAtMagic).Store(magic)
	return Open(ctl, data)
}

// Open returns the ring that Format made in ctl and data, or Corrupt if there
// is none or its numbers do not fit. Ends that both live in this process must
// share the returned Ring. Call Writer.Restart or Reader.Restart on an end
// that takes over from one that is gone.
func Open(ctl, data []byte) (*Ring, error) {
	const op = "ring.open"
	if len(ctl) != layout.RingControlSize {
		return nil, api.Errorf(op, api.Invalid, "a ring's control block has another size")
	}
	if layout.U32(ctl, layout.RingControlAtMagic).Load() != magic {
		return nil, api.Errorf(op, api.Corrupt, "no ring is formatted here")
	}
	// Read once: the words may change under us, our copies do not.
	capacity := layout.U32(ctl, layout.RingControlAtCapacity).Load()
	most := layout.U32(ctl, layout.RingControlAtMaxMessage).Load()
	if err := checkShape(ctl, data, uint64(capacity), int64(most)); err != nil {
		return nil, api.E(op, api.Corrupt, err)
	}
	r := &Ring{shared: shared{
		data:       data[:capacity:capacity],
		mask:       capacity - 1,
		max:        most,
		generation: layout.U32(ctl, layout.RingControlAtGeneration),
		tail:       layout.U64(ctl, layout.RingControlAtTail),
		head:       layout.U64(ctl, layout.RingControlAtHead),
		filled:     epoch.New(cell(ctl, layout.RingControlAtData)),
		freed:      epoch.New(cell(ctl, layout.RingControlAtSpace)),
	}}
	r.w.attach(&r.shared)
	r.r.attach(&r.shared)
	return r, nil
}

func cell(ctl []byte, at uint64) []byte {
	return ctl[at : at+layout.EpochCellSize : at+layout.EpochCellSize]
}

func checkShape(ctl, data []byte, capacity uint64, most int64) error {
	bad := func(msg string) error { return api.Errorf("ring.shape", api.Invalid, msg) }
	switch {
	case len(ctl) != layout.RingControlSize || !layout.Aligned(ctl, layout.Line):
		return bad("a ring's control block is 384 bytes at a multiple of 64")
	case capacity < MinCapacity || capacity > MaxCapacity || capacity&(capacity-1) != 0:
		return bad("a ring's capacity is a power of two from 64 bytes to 1 GiB")
	case capacity != uint64(len(data)) || !layout.Aligned(data, 8):
		return bad("a ring's data area is as large as its capacity and starts at a multiple of 8")
	case most < 1 || most > int64(capacity/2-layout.RingFrameSize):
		return bad("a ring's largest message is from 1 byte to half its capacity less 8")
	}
	return nil
}

// Writer returns the ring's writing end.
func (r *Ring) Writer() *Writer { return &r.w }

// Reader returns the ring's reading end.
func (r *Ring) Reader() *Reader { return &r.r }

// MaxMessage is the largest message in bytes.
func (r *Ring) MaxMessage() int { return int(r.max) }

// ShareWriter prepares the ring for a reader in another process: sends wake it
// through f, and a send that waits for room sleeps in f. Call it before use.
func (r *Ring) ShareWriter(f epoch.Futex) {
	r.filled.Share(f)
	r.freed.Follow(f)
}

// ShareReader is ShareWriter for a writer in another process.
func (r *Ring) ShareReader(f epoch.Futex) {
	r.filled.Follow(f)
	r.freed.Share(f)
}

// ShareBoth is for a process that keeps the ring for two others and waits on
// neither end: Abandon wakes them through f.
func (r *Ring) ShareBoth(f epoch.Futex) {
	r.filled.Share(f)
	r.freed.Share(f)
}

// End names one end of a ring.
type End uint8

// The ends, as the attach socket numbers them.
const (
	WriterEnd End = layout.EndWriter
	ReaderEnd End = layout.EndReader
)

// Abandon restarts the ring for an end whose process is gone, so that the other
// gets Conflict and goes on with whoever takes the end next. Sleepers that the
// dead process counted are forgotten. Only a process that uses neither end calls it.
func (r *Ring) Abandon(end End) {
	if end == WriterEnd {
		r.freed.Forget() // where writers sleep
		r.w.Restart()
		return
	}
	r.filled.Forget()
	r.r.Restart()
}

// Usage is a ring at one moment, as others see it.
type Usage struct {
	Generation uint32
	Capacity   uint32
	Used       uint32 // bytes between the ends; 0 while one has not joined
	MaxMessage uint32
}

// Usage looks at the ring without taking an end.
func (r *Ring) Usage() Usage {
	u := Usage{Generation: r.generation.Load(), Capacity: r.mask + 1, MaxMessage: r.max}
	tailOf, tail := split(r.tail.Load())
	headOf, head := split(r.head.Load())
	if tailOf == u.Generation && headOf == u.Generation && tail-head <= u.Capacity {
		u.Used = tail - head
	}
	return u
}

// Close ends waiting Sends and Receives of this process with api.Closed. It
// leaves the memory alone and must come before the memory is unmapped.
func (r *Ring) Close() {
	r.filled.Close()
	r.freed.Close()
}

// restart raises the generation and tells a waiting peer.
func (s *shared) restart() uint32 {
	for {
		if g := s.generation.Add(1); g != 0 {
			s.filled.Signal()
			s.freed.Signal()
			return g
		}
	}
}

// word packs a position and the generation it belongs to.
func word(generation, position uint32) uint64 {
	return uint64(generation)<<32 | uint64(position)
}

// split undoes word. The position is rounded down to a frame's alignment, which
// changes nothing unless the word is corrupt.
func split(w uint64) (generation, position uint32) {
	return uint32(w >> 32), uint32(w) &^ (layout.RingFrameSize - 1)
}

// frameBytes is what a message of n bytes takes up in the ring.
func frameBytes(n uint32) uint32 {
	return layout.RingFrameSize + uint32(layout.AlignUp(uint64(n), 8))
}

// The errors are made once: an end that meets a broken ring may do so often.
var (
	errCorrupt   = api.Errorf("ring", api.Corrupt, "the other end stored an impossible position or length; restart the ring")
	errRestarted = api.Errorf("ring", api.Conflict, "the other end restarted; messages in the ring were dropped")
	errTooLarge  = api.Errorf("ring.send", api.Invalid, "the message is larger than the ring allows")
	errEmpty     = api.Errorf("ring.send", api.Invalid, "a message has at least one byte")
)
