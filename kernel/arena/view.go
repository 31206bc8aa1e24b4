package arena

import (
	"cmp"
	"slices"
	"sync"

	"inos/kernel/api"
	"inos/kernel/epoch"
	"inos/kernel/layout"
)

// View reads an arena that another process owns. It never writes to the memory,
// which may be mapped read-only, and believes nothing in it: what is torn or
// impossible is left out or refused. All methods are safe for concurrent use.
type View struct {
	mem    []byte
	futex  epoch.Futex
	events *Events

	mu     sync.Mutex
	cells  map[int]*epoch.Cell   // mu: one per index ever asked for
	states map[string]*viewState // mu: as opened last
	closed bool                  // mu
}

type viewState struct {
	seen uint32
	s    *state
}

// OpenView checks the arena in b and returns a view of it. Waits sleep in f; the
// owner must hold the count of sleepers on each cell that is waited for. Errors
// are those of Open.
func OpenView(b []byte, f epoch.Futex) (*View, error) {
	const op = "arena.openview"
	if err := checkMemory(op, b); err != nil {
		return nil, err
	}
	if _, err := checkHeader(op, b); err != nil {
		return nil, err
	}
	v := &View{mem: b, futex: f, cells: make(map[int]*epoch.Cell), states: make(map[string]*viewState)}
	ctl := v.region(layout.EventLogOffset, layout.EventControlSize)
	v.events = viewEvents(ctl, v.region(layout.EventsOffset, layout.EventsBytes), v.Epoch(layout.CellEvents))
	return v, nil
}

func (v *View) region(offset, size uint64) []byte {
	return v.mem[offset : offset+size : offset+size]
}

// Close ends every wait with api.Closed. It must come before unmapping.
func (v *View) Close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = true
	for _, c := range v.cells {
		c.Close()
	}
	for _, s := range v.states {
		s.s.cell.Close()
	}
}

// Epoch returns the cell with the given index, always the same one. An index
// outside 0..layout.EpochsCount-1 panics.
func (v *View) Epoch(index int) *epoch.Cell {
	if index < 0 || index >= layout.EpochsCount {
		panic("arena: no epoch cell has this index")
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	c := v.cells[index]
	if c == nil {
		c = v.watch(v.region(layout.EpochsOffset+uint64(index)*layout.EpochsStride, layout.EpochCellSize))
		v.cells[index] = c
	}
	return c
}

// watch makes a cell over line. The caller holds mu.
func (v *View) watch(line []byte) *epoch.Cell {
	c := epoch.New(line).Watch(v.futex)
	if v.closed {
		c.Close()
	}
	return c
}

// Jobs returns up to most entries, the last put first.
func (v *View) Jobs(most int) []JobEntry {
	type ordered struct {
		e     JobEntry
		order uint64
	}
	var all []ordered
	for i := range MaxJobs {
		words := layout.Words(v.region(layout.JobsOffset+uint64(i)*layout.JobsStride, layout.JobSlotSize))
		if uint32(words[0].Load()) == 0 {
			break // slots are first used in order; pages behind are left untouched
		}
		if e, order, ok := readJob(words); ok {
			all = append(all, ordered{e, order})
		}
	}
	slices.SortFunc(all, func(a, b ordered) int { return cmp.Compare(b.order, a.order) })
	out := make([]JobEntry, 0, min(max(most, 0), len(all)))
	for _, o := range all[:cap(out)] {
		out = append(out, o.e)
	}
	return out
}

// Metrics calls fn for every metric in order of registration until it returns
// false. A gauge's value is the bits of an int64.
func (v *View) Metrics(fn func(name string, kind MetricKind, value uint64) bool) {
	for i := range MaxMetrics {
		slot := v.region(layout.MetricsOffset+uint64(i)*layout.MetricsStride, layout.MetricSlotSize)
		// Sync point: acquires the name that was stored before the kind.
		kind := MetricKind(layout.U32(slot, layout.MetricSlotAtKind).Load())
		if kind != CounterMetric && kind != GaugeMetric {
			return
		}
		name := text(slot[layout.MetricSlotAtName:][:layout.MetricSlotNameBytes], layout.U32(slot, layout.MetricSlotAtNameLength).Load())
		if !fn(name, kind, layout.U64(slot, layout.MetricSlotAtValue).Load()) {
			return
		}
	}
}

// Follow returns a reader of the events appended from now on.
func (v *View) Follow() *EventReader {
	e := v.events
	last := e.sequence.Load()
	return &EventReader{log: e, at: e.tail.Load() &^ 7, last: last}
}

// After is Events.After.
func (v *View) After(seq uint64) *EventReader {
	e := v.events
	return &EventReader{log: e, at: e.oldest.Load() &^ 7, last: min(seq, e.sequence.Load())}
}

// States describes the named states. Version and Bytes are known only of those
// in the arena itself.
func (v *View) States() []StateInfo {
	var out []StateInfo
	for i := range MaxStates {
		info, _, ok := readStateSlot(slotWords(v.region(layout.StatesOffset, layout.StatesBytes), i))
		if !ok {
			continue
		}
		if s, err := v.stateAt(info); err == nil && info.Region == 0 {
			info.Version = s.cell.Load()
			info.Bytes = min(s.lengths[info.Version&1].Load(), info.Most)
		}
		out = append(out, info)
	}
	slices.SortFunc(out, func(a, b StateInfo) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// State finds the state called name. A state with a region of its own comes
// without a reader: its memory is asked for by name (client/shm). NotFound when
// there is none. Reads give Closed once the state was removed.
func (v *View) State(name string) (StateInfo, *StateReader, error) {
	const op = "arena.viewstate"
	slots := v.region(layout.StatesOffset, layout.StatesBytes)
	for i := range MaxStates {
		words := slotWords(slots, i)
		info, seen, ok := readStateSlot(words)
		if !ok || info.Name != name {
			continue
		}
		if info.Region != 0 {
			return info, nil, nil
		}
		s, err := v.opened(info, seen)
		if err != nil {
			return info, nil, api.E(op, api.Other, err)
		}
		sequence := layout.U32(slots, uint64(i)*layout.StatesStride+layout.StateSlotAtSequence)
		return info, &StateReader{s: s, slot: sequence, seen: seen}, nil
	}
	return StateInfo{}, nil, api.Errorf(op, api.NotFound, "no state has this name; `inos arena` lists them")
}

// opened returns the one state value of this process for the slot's contents, so
// that there is one cell per line.
func (v *View) opened(info StateInfo, seen uint32) (*state, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if have := v.states[info.Name]; have != nil {
		if have.seen == seen {
			return have.s, nil
		}
		have.s.cell.Close()
	}
	s, err := v.stateAt(info)
	if err != nil {
		return nil, err
	}
	if v.closed {
		s.cell.Close()
	}
	v.states[info.Name] = &viewState{seen, s}
	return s, nil
}

// stateAt opens the state where info says it is, if that can be.
func (v *View) stateAt(info StateInfo) (*state, error) {
	size := uint64(len(v.mem))
	if info.Region != 0 || info.Offset < layout.HeapOffset || info.Offset >= size || info.Offset%layout.Line != 0 {
		return nil, errStateCorrupt
	}
	if info.Most == 0 || info.Most > MaxState || StateBytes(info.Most) > size-info.Offset {
		return nil, errStateCorrupt
	}
	return openState(v.mem[info.Offset:][:StateBytes(info.Most)], func(line []byte) *epoch.Cell { return epoch.New(line).Watch(v.futex) })
}
