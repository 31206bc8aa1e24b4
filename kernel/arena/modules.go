package arena

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"inos/kernel/api"
	"inos/kernel/epoch"
	"inos/kernel/layout"
)

// MaxModules is how many modules the registry shows.
const MaxModules = layout.ModulesCount

// ModuleState is what a module slot says of its module.
type ModuleState uint8

// The states, as stored.
const (
	ModuleEmpty       ModuleState = iota
	ModuleRegistered              // known, no call has succeeded yet
	ModuleRunning                 // calls have ended here
	ModuleQuarantined             // no call may run
)

// ModuleEntry is a registered module as the arena shows it.
type ModuleEntry struct {
	State         ModuleState
	Resident      bool
	Deterministic bool
	RegionOffset  uint64 // resident modules: where their place begins in the arena
	RegionSize    uint64
	Hash          api.Hash
	Author        api.NodeID // zero when unsigned
	Name          string     // cut at 64 bytes
}

// SupervisorEntry is what the arena shows of a module's supervisor.
type SupervisorEntry struct {
	State     uint8 // 1 starting, 2 healthy, 3 degraded, 4 quarantined
	Restarts  uint32
	Crashes   uint32 // in a row
	Queued    uint32
	Running   uint32
	KeptOut   uint32 // payers that may not call it for now
	Calls     uint64 // finished
	Gas       uint64
	Heartbeat int64 // Unix milliseconds of the last call that came, began or ended
	Since     int64 // Unix milliseconds of State's beginning
	Retry     int64 // Unix milliseconds, 0 for none
}

// Modules is the arena's registry of modules: at most MaxModules slots, each with
// a supervisor of the same index. Which slot a module has, the caller keeps.
//
// Invariants:
//   - A slot's sequence is odd while it is written and changes with each write, so
//     a reader that finds it even and unchanged copied a whole record.
//   - The epoch advances when a module comes or goes and when a supervisor enters
//     another state; counts change without it.
type Modules struct {
	lease       *lease
	cell        *epoch.Cell
	modules     []byte
	supervisors []byte

	mu     sync.Mutex
	states [MaxModules]uint8 // mu: of the supervisors, as last written
}

func openModules(modules, supervisors []byte, l *lease, cell *epoch.Cell) *Modules {
	return &Modules{lease: l, cell: cell, modules: modules, supervisors: supervisors}
}

// Epoch advances as the type's comment says.
func (m *Modules) Epoch() *epoch.Cell { return m.cell }

func (m *Modules) module(slot int) []atomic.Uint64 {
	return layout.Words(m.modules[slot*layout.ModulesStride:][:layout.ModuleSlotSize])
}

func (m *Modules) supervisor(slot int) []atomic.Uint64 {
	return layout.Words(m.supervisors[slot*layout.SupervisorsStride:][:layout.SupervisorSlotSize])
}

// Put shows e in a slot; an entry of state ModuleEmpty clears it, and its
// supervisor. Invalid outside 0..MaxModules-1; Closed or Conflict if the arena
// is no longer ours.
func (m *Modules) Put(slot int, e ModuleEntry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check(slot); err != nil {
		return err
	}
	var buf [layout.ModuleSlotSize]byte
	if e.State == ModuleEmpty {
		var none [layout.SupervisorSlotSize]byte
		writeRecord(m.supervisor(slot), none[:])
		m.states[slot] = 0
	} else {
		encodeModule(buf[:], e)
	}
	writeRecord(m.module(slot), buf[:])
	m.cell.Advance()
	return nil
}

// Supervise shows a slot's supervisor. Errors as of Put.
func (m *Modules) Supervise(slot int, e SupervisorEntry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check(slot); err != nil {
		return err
	}
	var buf [layout.SupervisorSlotSize]byte
	encodeSupervisor(buf[:], e)
	writeRecord(m.supervisor(slot), buf[:])
	if m.states[slot] != e.State {
		m.states[slot] = e.State
		m.cell.Advance()
	}
	return nil
}

func (m *Modules) check(slot int) error {
	const op = "arena.putmodule"
	if slot < 0 || slot >= MaxModules {
		return api.Errorf(op, api.Invalid, "no module slot has this index")
	}
	return m.lease.check(op)
}

// Get copies a slot and its supervisor; false when it is empty, or stays in
// change for longer than a write takes.
func (m *Modules) Get(slot int) (ModuleEntry, SupervisorEntry, bool) {
	if slot < 0 || slot >= MaxModules || m.lease.closed.Load() {
		return ModuleEntry{}, SupervisorEntry{}, false
	}
	var mod [layout.ModuleSlotSize]byte
	var sup [layout.SupervisorSlotSize]byte
	if !readRecord(m.module(slot), mod[:]) || mod[layout.ModuleSlotAtState] == byte(ModuleEmpty) || !readRecord(m.supervisor(slot), sup[:]) {
		return ModuleEntry{}, SupervisorEntry{}, false
	}
	return decodeModule(mod[:]), decodeSupervisor(sup[:]), true
}

func encodeModule(b []byte, e ModuleEntry) {
	le := binary.LittleEndian
	name := cut(e.Name, layout.ModuleSlotNameBytes)
	b[layout.ModuleSlotAtState] = byte(e.State)
	if e.Resident {
		b[layout.ModuleSlotAtKind] = 1
	}
	if e.Deterministic {
		b[layout.ModuleSlotAtFlags] = 1
	}
	b[layout.ModuleSlotAtNameLength] = byte(len(name))
	le.PutUint64(b[layout.ModuleSlotAtRegionOffset:], e.RegionOffset)
	le.PutUint64(b[layout.ModuleSlotAtRegionSize:], e.RegionSize)
	copy(b[layout.ModuleSlotAtHash:], e.Hash[:])
	copy(b[layout.ModuleSlotAtAuthor:], e.Author[:])
	copy(b[layout.ModuleSlotAtName:], name)
}

func decodeModule(b []byte) ModuleEntry {
	le := binary.LittleEndian
	e := ModuleEntry{
		State: ModuleState(b[layout.ModuleSlotAtState]), Resident: b[layout.ModuleSlotAtKind] == 1, Deterministic: b[layout.ModuleSlotAtFlags]&1 != 0,
		RegionOffset: le.Uint64(b[layout.ModuleSlotAtRegionOffset:]), RegionSize: le.Uint64(b[layout.ModuleSlotAtRegionSize:]),
		Name: text(b[layout.ModuleSlotAtName:][:layout.ModuleSlotNameBytes], uint32(b[layout.ModuleSlotAtNameLength])),
	}
	copy(e.Hash[:], b[layout.ModuleSlotAtHash:])
	copy(e.Author[:], b[layout.ModuleSlotAtAuthor:])
	return e
}

func encodeSupervisor(b []byte, e SupervisorEntry) {
	le := binary.LittleEndian
	b[layout.SupervisorSlotAtState] = e.State
	le.PutUint32(b[layout.SupervisorSlotAtRestarts:], e.Restarts)
	le.PutUint32(b[layout.SupervisorSlotAtCrashes:], e.Crashes)
	le.PutUint32(b[layout.SupervisorSlotAtQueued:], e.Queued)
	le.PutUint32(b[layout.SupervisorSlotAtRunning:], e.Running)
	le.PutUint32(b[layout.SupervisorSlotAtKeptOut:], e.KeptOut)
	le.PutUint64(b[layout.SupervisorSlotAtCalls:], e.Calls)
	le.PutUint64(b[layout.SupervisorSlotAtGas:], e.Gas)
	le.PutUint64(b[layout.SupervisorSlotAtHeartbeat:], uint64(e.Heartbeat))
	le.PutUint64(b[layout.SupervisorSlotAtSince:], uint64(e.Since))
	le.PutUint64(b[layout.SupervisorSlotAtRetry:], uint64(e.Retry))
}

func decodeSupervisor(b []byte) SupervisorEntry {
	le := binary.LittleEndian
	return SupervisorEntry{
		State:    b[layout.SupervisorSlotAtState],
		Restarts: le.Uint32(b[layout.SupervisorSlotAtRestarts:]), Crashes: le.Uint32(b[layout.SupervisorSlotAtCrashes:]),
		Queued: le.Uint32(b[layout.SupervisorSlotAtQueued:]), Running: le.Uint32(b[layout.SupervisorSlotAtRunning:]),
		KeptOut: le.Uint32(b[layout.SupervisorSlotAtKeptOut:]), Calls: le.Uint64(b[layout.SupervisorSlotAtCalls:]),
		Gas: le.Uint64(b[layout.SupervisorSlotAtGas:]), Heartbeat: int64(le.Uint64(b[layout.SupervisorSlotAtHeartbeat:])),
		Since: int64(le.Uint64(b[layout.SupervisorSlotAtSince:])), Retry: int64(le.Uint64(b[layout.SupervisorSlotAtRetry:])),
	}
}
