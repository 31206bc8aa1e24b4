// Package arena gives shape to one region of shared memory: it formats and opens
// it, hands out its heap, epoch cells and rings, and keeps in it what a node
// shows to others: metrics, recent jobs and events.
//
// The bytes may be a memfd mapping, a SharedArrayBuffer's pages or an ordinary
// slice; the arena neither maps nor unmaps them. Their layout is the constant of
// protocols/schemas/system/v1/layout.capnp, described in docs/arena.md.
//
// Invariants:
//   - One process owns an arena at a time: the last to Format or Open it. Each
//     owner raises the header's generation. An earlier owner that still runs gets
//     api.Conflict from its next change to heap, jobs or events.
//   - Other processes and resident modules map the same bytes and may scribble.
//     What the owner relies on, it keeps in its own memory or checks: no content
//     of an arena makes it panic or reach outside the arena.
//   - Format and Open touch only the pages they need; an idle arena costs little
//     more than the pages in use.
//   - Close comes before unmapping. It ends every wait with api.Closed, and
//     changes fail with api.Closed from then on.
package arena

import (
	"sync"
	"sync/atomic"

	"inos/kernel/api"
	"inos/kernel/epoch"
	"inos/kernel/layout"
	"inos/kernel/ring"
)

// Arena is an open arena. All methods are safe for concurrent use.
type Arena struct {
	lease   lease
	mem     []byte
	tier    int
	heap    *Heap
	metrics *Metrics
	jobs    *Jobs
	events  *Events
	states  *States
	owners  atomic.Uint32 // owners numbered so far
	futex   epoch.Futex   // nil when no other process maps the memory
	modules *Modules

	mu     sync.Mutex
	epochs map[int]*epoch.Cell   // mu: one per index ever asked for
	rings  map[uint64]*ring.Ring // mu: one per control block ever asked for, by its offset
}

// lease is an owner's right to change the arena.
type lease struct {
	generation *atomic.Uint32 // in the header
	mine       uint32
	closed     atomic.Bool
}

// check says whether the owner may still change the arena.
func (l *lease) check(op string) error {
	if l.closed.Load() {
		return api.Errorf(op, api.Closed, "the arena was closed")
	}
	if l.generation.Load() != l.mine {
		return api.Errorf(op, api.Conflict, "another process took over the arena; this one must stop")
	}
	return nil
}

// Format makes b an empty arena of the tier with index tier in layout.Tiers,
// and opens it. b has the tier's size, begins at a multiple of 64 and is all
// zero, as a new mapping is. Errors: Invalid for another size, Exists if b is
// an arena already, Unsupported on a big-endian machine.
func Format(b []byte, tier int, options ...Option) (*Arena, error) {
	const op = "arena.format"
	if tier < 0 || tier >= len(layout.Tiers) || uint64(len(b)) != layout.Tiers[tier].Size {
		return nil, api.Errorf(op, api.Invalid, "the memory does not have the size of the tier")
	}
	if err := checkMemory(op, b); err != nil {
		return nil, err
	}
	magic := layout.U64(b, layout.ArenaHeaderAtMagic)
	if magic.Load() != 0 {
		return nil, api.Errorf(op, api.Exists, "the memory is in use; format only memory that is all zero")
	}
	pages, _ := heapPages(uint64(len(b)) - layout.HeapOffset)
	layout.U32(b, layout.ArenaHeaderAtVersion).Store(layout.Version)
	layout.U32(b, layout.ArenaHeaderAtTier).Store(uint32(tier))
	layout.U64(b, layout.ArenaHeaderAtSize).Store(uint64(len(b)))
	layout.U32(b, layout.ArenaHeaderAtHeapPages).Store(pages)
	layout.U32(b, layout.ArenaHeaderAtNextCell).Store(layout.FirstFreeCell)
	formatHeap(b[layout.HeapOffset:])
	// Sync point: releases the header and the heap to whoever sees the magic.
	magic.Store(layout.Magic)
	return open(b, true, options)
}

// Open takes over the arena that Format made in b, with what is in it. Errors:
// Corrupt if b is no arena, is damaged, or has another size than its header
// says; Unsupported for another version or a big-endian machine.
func Open(b []byte, options ...Option) (*Arena, error) {
	return open(b, false, options)
}

// Option changes how an arena is opened.
type Option func(*Arena)

// Shared says that other processes map the memory: every advance of an epoch
// cell on which a sleeper is held wakes them through f.
func Shared(f epoch.Futex) Option { return func(a *Arena) { a.futex = f } }

// open is Open; fresh says that nothing but the header and the heap is written
// yet, so that the tables need not be read.
func open(b []byte, fresh bool, options []Option) (*Arena, error) {
	const op = "arena.open"
	if err := checkMemory(op, b); err != nil {
		return nil, err
	}
	tier, err := checkHeader(op, b)
	if err != nil {
		return nil, err
	}
	a := &Arena{mem: b, tier: tier, epochs: make(map[int]*epoch.Cell), rings: make(map[uint64]*ring.Ring)}
	for _, set := range options {
		set(a)
	}
	a.lease.generation = layout.U32(b, layout.ArenaHeaderAtGeneration)
	a.lease.mine = a.lease.generation.Add(1)
	heap := b[layout.HeapOffset:]
	if a.heap, err = openHeap(heap, layout.HeapOffset, &a.lease, a.Epoch(layout.CellHeap)); err != nil {
		return nil, api.E(op, api.Other, err)
	}
	a.owners.Store(a.heap.lastOwner())
	a.metrics = openMetrics(a.region(layout.MetricsOffset, layout.MetricsBytes), a.Epoch(layout.CellMetrics))
	a.jobs = openJobs(a.region(layout.JobsOffset, layout.JobsBytes), &a.lease, a.Epoch(layout.CellJobs))
	if !fresh {
		a.jobs.recover()
	}
	a.events = openEvents(a.region(layout.EventLogOffset, layout.EventControlSize),
		a.region(layout.EventsOffset, layout.EventsBytes), &a.lease, a.Epoch(layout.CellEvents))
	a.states = openStates(a, fresh)
	a.modules = openModules(a.region(layout.ModulesOffset, layout.ModulesBytes),
		a.region(layout.SupervisorsOffset, layout.SupervisorsBytes), &a.lease, a.Epoch(layout.CellModules))
	return a, nil
}

func checkMemory(op string, b []byte) error {
	if !layout.LittleEndian() {
		return api.Errorf(op, api.Unsupported, "an arena needs a little-endian machine")
	}
	if uint64(len(b)) < layout.Tiers[0].Size || !layout.Aligned(b, layout.Line) {
		return api.Errorf(op, api.Invalid, "an arena has at least 32 MiB and begins at a multiple of 64")
	}
	return nil
}

func checkHeader(op string, b []byte) (tier int, err error) {
	corrupt := func(msg string) (int, error) { return 0, api.Errorf(op, api.Corrupt, msg) }
	// Sync point: acquires what Format stored before the magic.
	if layout.U64(b, layout.ArenaHeaderAtMagic).Load() != layout.Magic {
		return corrupt("the memory is not an arena")
	}
	if layout.U32(b, layout.ArenaHeaderAtVersion).Load() != layout.Version {
		return 0, api.Errorf(op, api.Unsupported, "the arena was made by another version; restart the node to make a new one")
	}
	if layout.U64(b, layout.ArenaHeaderAtSize).Load() != uint64(len(b)) {
		return corrupt("the arena's header gives another size than the memory has")
	}
	tier = int(layout.U32(b, layout.ArenaHeaderAtTier).Load())
	if tier >= len(layout.Tiers) || layout.Tiers[tier].Size != uint64(len(b)) {
		return corrupt("the arena's header gives a tier of another size")
	}
	pages, _ := heapPages(uint64(len(b)) - layout.HeapOffset)
	if layout.U32(b, layout.ArenaHeaderAtHeapPages).Load() != pages {
		return corrupt("the arena's header gives another size of the heap")
	}
	return tier, nil
}

func (a *Arena) region(offset, size uint64) []byte {
	return a.mem[offset : offset+size : offset+size]
}

// Close ends every wait on the arena's cells and rings and refuses changes from
// now on. It leaves the memory alone. A second Close does nothing.
func (a *Arena) Close() {
	if a.lease.closed.Swap(true) {
		return
	}
	a.states.close()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.epochs {
		c.Close()
	}
	for _, r := range a.rings {
		r.Close()
	}
}

// Size is the arena's size in bytes.
func (a *Arena) Size() uint64 { return uint64(len(a.mem)) }

// Tier is the arena's size by name.
func (a *Arena) Tier() layout.Tier { return layout.Tiers[a.tier] }

// Generation counts the arena's owners up to this one.
func (a *Arena) Generation() uint32 { return a.lease.mine }

// Heap hands out memory of the arena.
func (a *Arena) Heap() *Heap { return a.heap }

// Metrics is the table of named numbers.
func (a *Arena) Metrics() *Metrics { return a.metrics }

// Jobs is the table of recent jobs.
func (a *Arena) Jobs() *Jobs { return a.jobs }

// Events is the log of recent events.
func (a *Arena) Events() *Events { return a.events }

// States is the directory of named state buffers.
func (a *Arena) States() *States { return a.states }

// Modules is the registry of modules and their supervisors.
func (a *Arena) Modules() *Modules { return a.modules }

// Epoch returns the cell with the given index, such as layout.CellJobs, always
// the same one. An index outside 0..layout.EpochsCount-1 panics.
func (a *Arena) Epoch(index int) *epoch.Cell {
	if index < 0 || index >= layout.EpochsCount {
		panic("arena: no epoch cell has this index")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	c := a.epochs[index]
	if c == nil {
		c = epoch.New(a.region(layout.EpochsOffset+uint64(index)*layout.EpochsStride, layout.EpochCellSize))
		if a.futex != nil {
			c.Share(a.futex)
		}
		if a.lease.closed.Load() {
			c.Close()
		}
		a.epochs[index] = c
	}
	return c
}

// NewEpoch hands out a cell that nobody uses yet and its index. Exhausted when
// none is left; cells are not taken back.
func (a *Arena) NewEpoch() (int, *epoch.Cell, error) {
	const op = "arena.newepoch"
	if err := a.lease.check(op); err != nil {
		return 0, nil, err
	}
	index := layout.U32(a.mem, layout.ArenaHeaderAtNextCell).Add(1) - 1
	if index < layout.FirstFreeCell || index >= layout.EpochsCount {
		layout.U32(a.mem, layout.ArenaHeaderAtNextCell).Store(layout.EpochsCount)
		return 0, nil, api.Errorf(op, api.Exhausted, "every epoch cell is in use")
	}
	return int(index), a.Epoch(int(index)), nil
}

// SyscallRing returns ring i of the syscall rings, always the same one, and
// formats it on first use. Instance n submits on 2n and completes on 2n+1.
func (a *Arena) SyscallRing(i int) (*ring.Ring, error) {
	if i < 0 || i >= layout.SyscallRingsCount {
		return nil, api.Errorf("arena.syscallring", api.Invalid, "no syscall ring has this index")
	}
	n := uint64(i)
	return a.ring(layout.SyscallRingsOffset+n*layout.SyscallRingsStride, layout.SyscallDataOffset+n*layout.SyscallDataStride, layout.SyscallDataStride)
}

// DeviceRing is SyscallRing for the sensor (even) and actor (odd) rings.
func (a *Arena) DeviceRing(i int) (*ring.Ring, error) {
	if i < 0 || i >= layout.DeviceRingsCount {
		return nil, api.Errorf("arena.devicering", api.Invalid, "no device ring has this index")
	}
	n := uint64(i)
	return a.ring(layout.DeviceRingsOffset+n*layout.DeviceRingsStride, layout.DeviceDataOffset+n*layout.DeviceDataStride, layout.DeviceDataStride)
}

// maxRingMessage bounds a message in the arena's rings: a quarter of their data.
const maxRingMessage = layout.SyscallDataStride / 4

func (a *Arena) ring(ctlAt, dataAt, size uint64) (*ring.Ring, error) {
	const op = "arena.ring"
	if err := a.lease.check(op); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if r := a.rings[ctlAt]; r != nil {
		return r, nil
	}
	ctl, data := a.region(ctlAt, layout.RingControlSize), a.region(dataAt, size)
	open := func() (*ring.Ring, error) { return ring.Open(ctl, data) }
	if layout.U32(ctl, layout.RingControlAtMagic).Load() == 0 {
		open = func() (*ring.Ring, error) { return ring.Format(ctl, data, maxRingMessage) }
	}
	r, err := open()
	if err != nil {
		return nil, api.E(op, api.Other, err)
	}
	a.rings[ctlAt] = r
	return r, nil
}
