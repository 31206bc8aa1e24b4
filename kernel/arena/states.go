package arena

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"inos/kernel/api"
	"inos/kernel/epoch"
	"inos/kernel/layout"
)

// Bounds of the directory.
const (
	MaxStates    = layout.StatesCount
	MaxStateName = layout.StateSlotNameBytes
)

// StateInfo describes a state buffer.
type StateInfo struct {
	Name    string `json:"name"`
	Owner   Owner  `json:"owner"`
	Most    uint64 `json:"most"`    // largest state in bytes
	Bytes   uint64 `json:"bytes"`   // of the newest version
	Version uint32 `json:"version"` // 0 before the first
	Offset  uint64 `json:"offset"`  // in the arena, 0 when region is not 0
	Region  uint32 `json:"region"`  // 0 in the arena, else the lent region it fills
}

// States is the directory of named state buffers. A state lies in the arena's
// heap, charged to its owner, or in a region of its own that an attached process
// writes (docs/arena.md).
//
// Invariants:
//   - A name belongs to one state at a time.
//   - A slot's sequence is odd while it is written and changes with each write,
//     before the memory it pointed to is used for anything else. So a reader that
//     finds it unchanged after copying copied from the state it opened.
//   - What this process relies on is in its own memory; the slots are for others.
//   - The epoch advances after every change of the directory.
type States struct {
	lease *lease
	heap  *Heap
	cell  *epoch.Cell
	futex epoch.Futex // nil when no other process maps the arena
	arena []byte
	slots []byte

	mu     sync.Mutex
	byName map[string]*stateEntry // mu
	used   [MaxStates]bool        // mu
}

type stateEntry struct {
	slot   int
	info   StateInfo
	s      *state
	live   *liveness
	writer *StateWriter
}

func openStates(a *Arena, fresh bool) *States {
	t := &States{
		lease: &a.lease, heap: a.heap, cell: a.Epoch(layout.CellStates), futex: a.futex,
		arena: a.mem, slots: a.region(layout.StatesOffset, layout.StatesBytes), byName: make(map[string]*stateEntry),
	}
	if fresh {
		return t
	}
	// What an earlier owner named went with it: its writers are gone, and the
	// memory is its owners', who end with it.
	for i := range MaxStates {
		if words := slotWords(t.slots, i); uint32(words[0].Load()) != 0 {
			writeStateSlot(words, StateInfo{})
		}
	}
	return t
}

// Epoch advances when a state is made or removed.
func (t *States) Epoch() *epoch.Cell { return t.cell }

// Make allocates a state of up to most bytes for owner, charged to it, and
// returns its writing end. Errors: Invalid for a bad name or size; Exists when
// the name is taken; Exhausted when the directory or the heap is full; Closed or
// Conflict if the arena is no longer ours.
func (t *States) Make(owner Owner, name string, most uint64) (*StateWriter, error) {
	const op = "arena.makestate"
	if err := checkStateName(op, name); err != nil {
		return nil, err
	}
	if most == 0 || most > MaxState {
		return nil, api.Errorf(op, api.Invalid, "a state has 1 byte to 64 MiB")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	slot, err := t.vacant(op, name)
	if err != nil {
		return nil, err
	}
	span, err := t.heap.Alloc(owner, StateBytes(most))
	if err != nil {
		return nil, err
	}
	mem := t.heap.Bytes(span)
	if err := FormatState(mem, most); err != nil {
		return nil, err
	}
	s, err := openState(mem, func(line []byte) *epoch.Cell { return epoch.New(line).Share(t.futex) })
	if err != nil {
		return nil, err
	}
	e := &stateEntry{slot: slot, s: s, live: new(liveness), info: StateInfo{Name: name, Owner: owner, Most: most, Offset: span.Off}}
	e.writer = &StateWriter{s: s, live: e.live}
	t.enter(e)
	return e.writer, nil
}

// Adopt names the state in mem, which lies in the lent region with the given
// number and is written by another process. The memory stays the caller's, who
// calls Remove before unmapping it. Errors are those of Make.
func (t *States) Adopt(owner Owner, name string, region uint32, mem []byte) error {
	const op = "arena.adoptstate"
	if err := checkStateName(op, name); err != nil {
		return err
	}
	if region == 0 || owner == 0 {
		return api.Errorf(op, api.Invalid, "an adopted state has a region and an owner")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	slot, err := t.vacant(op, name)
	if err != nil {
		return err
	}
	s, err := openState(mem, func(line []byte) *epoch.Cell {
		cell := epoch.New(line)
		if t.futex != nil {
			cell.Follow(t.futex)
		}
		return cell
	})
	if err != nil {
		return err
	}
	t.enter(&stateEntry{slot: slot, s: s, live: new(liveness), info: StateInfo{Name: name, Owner: owner, Most: s.most, Region: region}})
	return nil
}

// vacant finds a slot for a new state. The caller holds mu.
func (t *States) vacant(op, name string) (int, error) {
	if err := t.lease.check(op); err != nil {
		return 0, err
	}
	if t.byName[name] != nil {
		return 0, api.Errorf(op, api.Exists, "a state of this name exists; choose another name, or end its owner")
	}
	if i := slices.Index(t.used[:], false); i >= 0 {
		return i, nil
	}
	return 0, api.Errorf(op, api.Exhausted, "256 states are named; remove one")
}

func (t *States) enter(e *stateEntry) {
	t.used[e.slot] = true
	t.byName[e.info.Name] = e
	writeStateSlot(slotWords(t.slots, e.slot), e.info)
	t.cell.Advance()
}

// Open returns a reading end of the state called name, or NotFound. It ends with
// the state: reads then give Closed.
func (t *States) Open(name string) (*StateReader, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byName[name]
	if e == nil {
		return nil, api.Errorf("arena.openstate", api.NotFound, "no state has this name; `inos arena` lists them")
	}
	return &StateReader{s: e.s, live: e.live}, nil
}

// StateHold is a counted sleeper on a state's cell. It may outlive the state.
type StateHold struct{ e *stateEntry }

// Hold counts a sleeper of another process on the cell of the state called name
// (epoch.Cell.Hold), until Release. It is the state's that has the name now: the
// next of that name is held anew.
func (t *States) Hold(name string) (StateHold, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byName[name]
	if e == nil {
		return StateHold{}, api.Errorf("arena.holdstate", api.NotFound, "no state has this name; `inos arena` lists them")
	}
	e.s.cell.Hold()
	return StateHold{e}, nil
}

// Release takes the sleeper back, once.
func (h StateHold) Release() {
	if h.e.live.enter() {
		h.e.s.cell.Release()
		h.e.live.leave()
	}
}

// Ended reports whether the state was removed, so that there is nothing to hold.
func (h StateHold) Ended() bool {
	if h.e.live.enter() {
		h.e.live.leave()
		return false
	}
	return true
}

// Remove takes the state called name from owner and frees its memory. Its ends
// get Closed; who awaits its cell in another process is woken and gets Closed from
// the next Read. Errors: NotFound, or Denied if it is another owner's.
func (t *States) Remove(owner Owner, name string) error {
	const op = "arena.removestate"
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byName[name]
	if e == nil {
		return api.Errorf(op, api.NotFound, "no state has this name")
	}
	if e.info.Owner != owner {
		return api.Errorf(op, api.Denied, "the state belongs to another owner")
	}
	return t.remove(e)
}

// remove ends e. The caller holds mu.
func (t *States) remove(e *stateEntry) error {
	delete(t.byName, e.info.Name)
	t.used[e.slot] = false
	writeStateSlot(slotWords(t.slots, e.slot), StateInfo{})
	e.s.cell.Close()
	e.live.end()
	e.s.end()
	t.cell.Advance()
	if e.info.Region != 0 {
		return nil
	}
	return t.heap.Free(e.info.Owner, e.info.Offset)
}

// end removes every state of owner.
func (t *States) end(owner Owner) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.byName {
		if e.info.Owner == owner {
			_ = t.remove(e) // the heap's own report follows
		}
	}
}

// close ends every wait on a state's cell.
func (t *States) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.byName {
		e.s.cell.Close()
	}
}

// List describes every state by name.
func (t *States) List() []StateInfo {
	t.mu.Lock()
	out := make([]StateInfo, 0, len(t.byName))
	for _, e := range t.byName {
		i := e.info
		i.Version = e.s.cell.Load()
		i.Bytes = min(e.s.lengths[i.Version&1].Load(), i.Most)
		out = append(out, i)
	}
	t.mu.Unlock()
	slices.SortFunc(out, func(a, b StateInfo) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func checkStateName(op, name string) error {
	if name == "" || len(name) > MaxStateName || !utf8.ValidString(name) {
		return api.Errorf(op, api.Invalid, "a name has 1 to 96 bytes of UTF-8")
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return api.Errorf(op, api.Invalid, "a name has no control characters")
		}
	}
	return nil
}

func slotWords(slots []byte, i int) []atomic.Uint64 {
	at := i * layout.StatesStride
	return layout.Words(slots[at : at+layout.StateSlotSize])
}

// writeStateSlot stores i as a record. The zero
// StateInfo empties the slot.
func writeStateSlot(words []atomic.Uint64, i StateInfo) {
	var b [layout.StateSlotSize]byte
	le := binary.LittleEndian
	le.PutUint32(b[layout.StateSlotAtNameLength:], uint32(len(i.Name)))
	le.PutUint64(b[layout.StateSlotAtOffset:], i.Offset)
	le.PutUint64(b[layout.StateSlotAtHalf:], i.Most)
	le.PutUint32(b[layout.StateSlotAtOwner:], uint32(i.Owner))
	le.PutUint32(b[layout.StateSlotAtRegion:], i.Region)
	copy(b[layout.StateSlotAtName:], i.Name)
	writeRecord(words, b[:])
}

// readStateSlot copies a whole slot and its sequence; false if it is empty or
// stays in change.
func readStateSlot(words []atomic.Uint64) (StateInfo, uint32, bool) {
	var b [layout.StateSlotSize]byte
	if !readRecord(words, b[:]) {
		return StateInfo{}, 0, false
	}
	le := binary.LittleEndian
	i := StateInfo{
		Name:  text(b[layout.StateSlotAtName:][:layout.StateSlotNameBytes], le.Uint32(b[layout.StateSlotAtNameLength:])),
		Owner: Owner(le.Uint32(b[layout.StateSlotAtOwner:])), Most: le.Uint64(b[layout.StateSlotAtHalf:]),
		Offset: le.Uint64(b[layout.StateSlotAtOffset:]), Region: le.Uint32(b[layout.StateSlotAtRegion:]),
	}
	return i, le.Uint32(b[layout.StateSlotAtSequence:]), i.Name != ""
}
