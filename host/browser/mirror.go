//go:build js

package browser

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"inos/kernel/epoch"
	"inos/kernel/layout"
)

// mirrorDelay is how long changes are gathered before they are copied: a quarter
// of a frame.
const mirrorDelay = 4 * time.Millisecond

// Mirror copies what the kernel writes in its image of the arena into the
// SharedArrayBuffer, where the other threads read it at the same offsets.
//
// Invariants:
//   - The tables of the kernel (registry, supervisors, directory of states, events,
//     metrics, jobs, the heap's page table) and the states that it writes go from the
//     image to the buffer and never back. Rings, heap memory of others and the
//     sleepers of cells are not touched.
//   - The cell mirror is odd while tables are copied. A reader that found it even
//     and the same before and after has whole records.
//   - A cell's value follows the tables that it announces.
//   - At rest nothing runs: a flush follows an advance, at most one in mirrorDelay.
type Mirror struct {
	image  []byte
	shared *Shared

	mu     sync.Mutex
	due    bool                       // guarded by mu; a flush is coming
	cells  [layout.EpochsCount]uint32 // guarded by mu; as published
	states map[uint64]uint32          // guarded by mu; versions as published, by offset; at most layout.StatesCount
	events uint64                     // guarded by mu; tail as published
	round  uint32                     // guarded by mu; of the cell mirror
	closed bool                       // guarded by mu
}

// NewMirror mirrors image, which kernel/arena formatted or is about to, into
// shared. nil shared makes a mirror that does nothing, for pages without shared
// memory.
func NewMirror(image []byte, shared *Shared) *Mirror {
	m := &Mirror{image: image, shared: shared, states: map[uint64]uint32{}}
	if shared == nil {
		return m
	}
	// Every advance in the image wakes the mirror, as it would a sleeper.
	for i := uint64(0); i < layout.EpochsCount; i++ {
		layout.U32(image, layout.EpochsOffset+i*layout.EpochsStride+layout.EpochCellAtSleepers).Store(1)
	}
	return m
}

var _ epoch.Futex = (*Mirror)(nil)

// Wait implements epoch.Futex. Nothing sleeps in the image: waiters of the kernel
// park in Go.
func (m *Mirror) Wait(ctx context.Context, _ *atomic.Uint32, _ uint32) { <-ctx.Done() }

// Wake implements epoch.Futex: a cell of the image was advanced.
func (m *Mirror) Wake(*atomic.Uint32) {
	if m.shared == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.due || m.closed {
		return
	}
	m.due = true
	time.AfterFunc(mirrorDelay, m.Flush)
}

// Close ends the mirror after one last copy.
func (m *Mirror) Close() {
	m.Flush()
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
}

// Flush copies now what has changed.
func (m *Mirror) Flush() {
	if m.shared == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	m.due = false
	var moved []int
	for i := range m.cells {
		if i != layout.CellMirror && m.cell(i) != m.cells[i] {
			moved = append(moved, i)
		}
	}
	m.guard()
	m.tables()
	m.publishStates()
	m.guard()
	for _, i := range moved {
		m.cells[i] = m.cell(i)
		m.shared.Publish(layout.EpochsOffset+uint64(i)*layout.EpochsStride, m.cells[i])
	}
}

// cell is the value of a cell in the image.
func (m *Mirror) cell(i int) uint32 {
	return layout.U32(m.image, layout.EpochsOffset+uint64(i)*layout.EpochsStride+layout.EpochCellAtValue).Load()
}

// guard begins a copy of tables, or ends it.
func (m *Mirror) guard() {
	m.round++
	m.shared.Publish(layout.EpochsOffset+layout.CellMirror*layout.EpochsStride, m.round)
}

// small are the tables that are copied whole, always: 0.4 MiB in 15 us.
var small = [...][2]uint64{
	{layout.HeaderOffset, layout.ArenaHeaderSize},
	{layout.ModulesOffset, layout.ModulesBytes},
	{layout.SupervisorsOffset, layout.SupervisorsBytes},
	{layout.StatesOffset, layout.StatesBytes},
	{layout.MetricsOffset, layout.MetricsBytes},
}

func (m *Mirror) tables() {
	for _, t := range small {
		m.copy(t[0], t[1])
	}
	if m.cell(layout.CellJobs) != m.cells[layout.CellJobs] {
		m.copy(layout.JobsOffset, layout.JobsBytes)
	}
	pages := uint64(layout.U32(m.image, layout.ArenaHeaderAtHeapPages).Load())
	m.copy(layout.HeapOffset, pages*layout.HeapPageSize)
	m.newEvents()
}

// newEvents copies what was appended to the event ring, then its positions.
func (m *Mirror) newEvents() {
	tail := layout.U64(m.image, layout.EventLogOffset+layout.EventControlAtTail).Load()
	if tail == m.events {
		return
	}
	from := m.events
	if tail-from > layout.EventsBytes {
		from = tail - layout.EventsBytes
	}
	for from < tail {
		at := from % layout.EventsBytes
		n := min(tail-from, layout.EventsBytes-at)
		m.copy(layout.EventsOffset+at, n)
		from += n
	}
	m.copy(layout.EventLogOffset, layout.EventControlSize)
	m.events = tail
}

// publishStates copies each state of the kernel that has a new version.
func (m *Mirror) publishStates() {
	for i := uint64(0); i < layout.StatesCount; i++ {
		slot := layout.StatesOffset + i*layout.StatesStride
		at := layout.U64(m.image, slot+layout.StateSlotAtOffset).Load()
		half := layout.U64(m.image, slot+layout.StateSlotAtHalf).Load()
		size := layout.StateControlSize + 2*layout.AlignUp(half, layout.Line)
		if at < layout.HeapOffset || size > uint64(len(m.image)) || at > uint64(len(m.image))-size {
			continue
		}
		cell := at + layout.StateControlAtCell
		version := layout.U32(m.image, cell+layout.EpochCellAtValue).Load()
		if seen, known := m.states[at]; version == 0 || (known && seen == version) {
			continue // never written here: another thread writes it, in the buffer
		}
		m.states[at] = version
		m.copy(at+layout.StateControlSize, size-layout.StateControlSize)
		m.copy(at, layout.StateControlAtCell)
		m.shared.Publish(cell, version)
	}
}

func (m *Mirror) copy(off, n uint64) { m.shared.Write(off, m.image[off:off+n]) }

// Image makes the kernel's image of an arena: zeroed bytes of a tier's size that
// begin at a multiple of 64.
func Image(size uint64) []byte {
	b := make([]byte, size+layout.Line)
	// SAFETY: the pointer is only looked at as a number.
	skip := -uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) % layout.Line
	return b[skip : skip+size : skip+size]
}
