package arena

import (
	"sync"
	"sync/atomic"

	"inos/kernel/api"
	"inos/kernel/epoch"
	"inos/kernel/layout"
)

// MaxState bounds one state in bytes. The heap bounds it further.
const MaxState = 64 << 20

// stateTries bounds how often a reader starts over because the writer came
// round: a writer would have to publish twice during each copy.
const stateTries = 256

// state is one double-buffered value in shared memory, as both its ends see it:
// a control block and two halves. Version v, the value of the cell, is in half
// v & 1, and the writer fills the other.
//
// Invariants:
//   - There is one writer. It raises intent to v+1 before it touches the half of
//     version v+1, which was that of v-1, and the cell to v+1 after.
//   - So a copy of version v is whole if, after copying, intent - v <= 1: nobody
//     had begun v+2, the next to use the half. Versions wrap at 2^32.
//   - Lengths are checked against this process's copy of the bound before use.
//   - A state ends once, with a version that has no magic: who awaits it wakes, and
//     reading gives Closed.
//
// Sync points: the cell's advance releases the half to the reader that loads the
// version. layout.LoadShared orders the copy before the look at intent, and
// layout.StoreShared the intent before the bytes that overwrite.
type state struct {
	magic   *atomic.Uint32
	intent  *atomic.Uint32
	lengths [2]*atomic.Uint64
	halves  [2][]byte // their capacity is whole cache lines
	most    uint64
	cell    *epoch.Cell
}

// StateBytes is the shared memory of a state of up to most bytes.
func StateBytes(most uint64) uint64 {
	return layout.StateControlSize + 2*layout.AlignUp(most, layout.Line)
}

// FormatState makes mem, which has StateBytes(most) zeroed bytes at a multiple of
// 64, a state that has no version yet. Invalid for another size.
func FormatState(mem []byte, most uint64) error {
	const op = "arena.formatstate"
	if most == 0 || most > MaxState {
		return api.Errorf(op, api.Invalid, "a state has 1 byte to 64 MiB")
	}
	if uint64(len(mem)) < StateBytes(most) || !layout.Aligned(mem, layout.Line) {
		return api.Errorf(op, api.Invalid, "the memory is too small for the state or does not begin at a multiple of 64")
	}
	layout.U64(mem, layout.StateControlAtHalf).Store(most)
	layout.U32(mem, layout.StateControlAtMagic).Store(layout.StateMagic)
	return nil
}

// openState reads the state that FormatState made in mem. cell makes the cell
// over its line, in the way this process waits.
func openState(mem []byte, cell func(line []byte) *epoch.Cell) (*state, error) {
	const op = "arena.openstate"
	if len(mem) < layout.StateControlSize || !layout.Aligned(mem, layout.Line) {
		return nil, api.Errorf(op, api.Invalid, "a state begins with 256 bytes at a multiple of 64")
	}
	s := &state{
		magic:  layout.U32(mem, layout.StateControlAtMagic),
		intent: layout.U32(mem, layout.StateControlAtIntent),
		lengths: [2]*atomic.Uint64{
			layout.U64(mem, layout.StateControlAtLength0), layout.U64(mem, layout.StateControlAtLength1),
		},
		most: layout.U64(mem, layout.StateControlAtHalf).Load(),
	}
	if s.magic.Load() != layout.StateMagic || s.most == 0 || s.most > MaxState || uint64(len(mem)) < StateBytes(s.most) {
		return nil, api.Errorf(op, api.Corrupt, "no state is formatted here, or its size does not fit; open it again by its name")
	}
	padded := layout.AlignUp(s.most, layout.Line)
	for i := range s.halves {
		at := layout.StateControlSize + uint64(i)*padded
		s.halves[i] = mem[at : at+s.most : at+padded]
	}
	s.cell = cell(mem[layout.StateControlAtCell:][:layout.EpochCellSize:layout.EpochCellSize])
	return s, nil
}

// OpenStateWriter returns the writing end of the state in mem, which FormatState
// made and nobody else writes. f, unless nil, wakes readers of other processes.
func OpenStateWriter(mem []byte, f epoch.Futex) (*StateWriter, error) {
	s, err := openState(mem, func(line []byte) *epoch.Cell { return epoch.New(line).Share(f) })
	if err != nil {
		return nil, err
	}
	return &StateWriter{s: s, version: s.cell.Load()}, nil
}

// OpenStateReader returns a reading end of the state in mem, which may be mapped
// read-only. Waits sleep in f; the writer's process holds the count.
func OpenStateReader(mem []byte, f epoch.Futex) (*StateReader, error) {
	s, err := openState(mem, func(line []byte) *epoch.Cell { return epoch.New(line).Watch(f) })
	if err != nil {
		return nil, err
	}
	return &StateReader{s: s}, nil
}

// StateWriter is the writing end. Write is safe for concurrent use; Begin and
// Publish belong to one goroutine and do not mix with it.
type StateWriter struct {
	s    *state
	live *liveness // nil when the directory does not know the state

	mu      sync.Mutex
	version uint32 // mu: last published
}

// Most is the largest state in bytes.
func (w *StateWriter) Most() int { return int(w.s.most) }

// Cell advances with each version.
func (w *StateWriter) Cell() *epoch.Cell { return w.s.cell }

// Write publishes p as the next version. It copies p, allocates nothing and waits
// for nobody. Errors: Invalid above Most; Closed once the state was removed.
func (w *StateWriter) Write(p []byte) error {
	const op = "arena.writestate"
	if uint64(len(p)) > w.s.most {
		return api.Errorf(op, api.Invalid, "the state is larger than it was made for")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.live.enter() {
		return errStateGone
	}
	defer w.live.leave()
	layout.StoreShared(w.begin(), p)
	w.publish(len(p))
	return nil
}

// Begin returns the idle half to fill in place: the bytes of the version before
// the last, at full size. Readers never take it for a version before Publish. Who
// fills states in place stops before their owner ends: unlike Write, it is not
// kept out of memory that was freed.
func (w *StateWriter) Begin() []byte { return w.begin() }

// Publish makes the first n bytes of the half that Begin returned the next
// version. n above Most panics.
func (w *StateWriter) Publish(n int) {
	_ = w.s.halves[0][:n]
	w.publish(n)
}

func (w *StateWriter) begin() []byte {
	next := w.version + 1
	w.s.intent.Store(next)
	return w.s.halves[next&1]
}

func (w *StateWriter) publish(n int) {
	w.version++
	w.s.lengths[w.version&1].Store(uint64(n))
	w.s.cell.Advance()
}

// StateReader is a reading end. All methods are safe for concurrent use.
type StateReader struct {
	s    *state
	live *liveness
	slot *atomic.Uint32 // sequence of the directory's slot; nil if the state has none here
	seen uint32         // of slot when the reader was made
}

// Most is the largest state in bytes; a buffer of that size always suffices.
func (r *StateReader) Most() int { return int(r.s.most) }

// Cell advances with each version. Its value is the newest version.
func (r *StateReader) Cell() *epoch.Cell { return r.s.cell }

// Read copies the newest version into dst and returns its length and number;
// length 0 and version 0 before the first. It never returns parts of two
// versions, allocates nothing and delays no writer. Errors: Invalid if dst is
// too small, with the length needed as n; Conflict if the writer came round
// during every try; Closed once the state was removed; Corrupt.
func (r *StateReader) Read(dst []byte) (n int, version uint32, err error) {
	if !r.live.enter() {
		return 0, 0, errStateGone
	}
	defer r.live.leave()
	for range stateTries {
		version = r.s.cell.Load()
		length := r.s.lengths[version&1].Load()
		if length <= r.s.most && length <= uint64(len(dst)) {
			layout.LoadShared(dst, r.s.halves[version&1][:length])
		}
		if r.s.intent.Load()-version > 1 {
			continue
		}
		switch {
		case r.slot != nil && r.slot.Load() != r.seen, r.s.magic.Load() != layout.StateMagic:
			return 0, version, errStateGone
		case length > r.s.most:
			return 0, version, errStateCorrupt
		case length > uint64(len(dst)):
			return int(length), version, errStateBuffer
		}
		return int(length), version, nil
	}
	return 0, version, errStateBusy
}

// end makes the state one that was removed. What looks like a last version wakes
// whoever awaits the cell in another process; reading it gives Closed, because the
// magic went first.
func (s *state) end() {
	s.magic.Store(0)
	s.intent.Store(s.cell.Load() + 1)
	s.cell.Advance()
}

// liveness lets memory be unmapped only when nobody uses it. The nil value is
// for memory that stays as long as its users.
type liveness struct {
	mu   sync.RWMutex
	gone bool // mu
}

func (l *liveness) enter() bool {
	if l == nil {
		return true
	}
	l.mu.RLock()
	if l.gone {
		l.mu.RUnlock()
		return false
	}
	return true
}

func (l *liveness) leave() {
	if l != nil {
		l.mu.RUnlock()
	}
}

// end waits for present users and refuses later ones.
func (l *liveness) end() {
	l.mu.Lock()
	l.gone = true
	l.mu.Unlock()
}

// The errors are made once: reading must not allocate.
var (
	errStateGone    = api.Errorf("arena.state", api.Closed, "the state was removed; open it again by its name")
	errStateCorrupt = api.Errorf("arena.readstate", api.Corrupt, "the state gives an impossible length; its writer must make it anew")
	errStateBuffer  = api.Errorf("arena.readstate", api.Invalid, "the buffer is smaller than the state; give one of StateReader.Most bytes")
	errStateBusy    = api.Errorf("arena.readstate", api.Conflict, "the writer publishes faster than this reader copies; read smaller states or publish less often")
)
