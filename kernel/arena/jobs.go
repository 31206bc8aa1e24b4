package arena

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"

	"inos/kernel/api"
	"inos/kernel/epoch"
	"inos/kernel/layout"
)

// MaxJobs is how many jobs the table holds.
const MaxJobs = layout.JobsCount

// JobEntry is the fixed-size summary of a job that the arena shows; the job
// itself is an api.Job and lives with its payer's node.
type JobEntry struct {
	ID          api.ID       `json:"id"`
	Batch       api.ID       `json:"batch"`
	Payer       api.NodeID   `json:"payer"`
	Worker      api.NodeID   `json:"worker"` // zero while unassigned
	Method      string       `json:"method"` // module/unit.method, cut at 96 bytes
	Name        string       `json:"name"`   // of the input, cut at 112 bytes
	State       api.JobState `json:"state"`
	Kind        api.Kind     `json:"-"` // of the failure, Other when there is none
	Attempts    uint8        `json:"attempts"`
	Gas         uint64       `json:"gas"`
	Price       api.Credits  `json:"price"`     // settled
	Submitted   int64        `json:"submitted"` // Unix milliseconds
	Started     int64        `json:"started"`   // Unix milliseconds, 0 before
	Finished    int64        `json:"finished"`  // Unix milliseconds, 0 before
	RunUS       uint64       `json:"run_us"`    // microseconds inside the guest
	OutputBytes uint64       `json:"output_bytes"`
}

// EntryOf summarises j. The start is not part of an api.Job and stays 0.
func EntryOf(j api.Job) JobEntry {
	return JobEntry{
		ID: j.Spec.ID, Batch: j.Spec.Batch, Payer: j.Spec.Payer, Worker: j.Result.Worker,
		Method: j.Method, Name: j.Name, State: j.State, Kind: j.Result.Kind,
		Attempts: j.Attempts, Gas: j.Result.Gas, Price: j.Price, Submitted: j.Spec.Submitted,
		Finished: j.Finished, RunUS: j.Result.RunUS, OutputBytes: j.Result.OutputSize,
	}
}

// Jobs is the arena's table of recent jobs. A new job takes the place of the
// oldest finished one when the table is full.
//
// Invariants:
//   - A job has at most one slot. Where it is, this process keeps in its own
//     memory; readers elsewhere scan.
//   - A slot's sequence is odd while it is being written and changes with each
//     write, so a reader that finds it even and unchanged copied a whole entry.
//   - The epoch advances after every change.
type Jobs struct {
	lease *lease
	cell  *epoch.Cell
	mem   []byte

	mu     sync.Mutex
	slots  map[api.ID]int // mu
	meta   []slotMeta     // mu: one per slot
	next   int            // mu: slot to consider first for a new job
	orders uint64         // mu: order of the newest job
	active int            // mu: slots whose job has not finished
}

// slotMeta is what the owner relies on about a slot.
type slotMeta struct {
	id    api.ID
	order uint64 // 0: free
	final bool
}

func openJobs(mem []byte, l *lease, cell *epoch.Cell) *Jobs {
	return &Jobs{lease: l, cell: cell, mem: mem, slots: make(map[api.ID]int), meta: make([]slotMeta, MaxJobs)}
}

// recover indexes what an earlier owner left. A slot that it was writing when
// it died, or whose job another slot has too, counts as free.
func (j *Jobs) recover() {
	for i := range j.meta {
		words := j.words(i)
		e, order, ok := readJob(words)
		if _, twice := j.slots[e.ID]; !ok || twice || order == 0 || order >= 1<<62 {
			if words[0].Load() != 0 {
				clearSlot(words)
			}
			continue
		}
		j.slots[e.ID] = i
		j.meta[i] = slotMeta{e.ID, order, e.State.Final()}
		if !e.State.Final() {
			j.active++
		}
		if order > j.orders {
			j.orders, j.next = order, (i+1)%MaxJobs
		}
	}
}

// clearSlot empties a slot that was used: its sequence stays above 0, so that
// readers go on to the slots after it.
func clearSlot(words []atomic.Uint64) {
	words[0].Store(1)
	for n := 1; n < len(words); n++ {
		words[n].Store(0)
	}
	words[0].Store(2)
}

func (j *Jobs) words(i int) []atomic.Uint64 {
	at := i * layout.JobsStride
	return layout.Words(j.mem[at : at+layout.JobSlotSize])
}

// Epoch advances with every change of the table.
func (j *Jobs) Epoch() *epoch.Cell { return j.cell }

// Len is the number of jobs in the table.
func (j *Jobs) Len() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.slots)
}

// Put stores e, replacing the entry with the same id. Exhausted when every slot
// holds a job that has not finished; Invalid for the zero id; Closed or
// Conflict if the arena is no longer ours.
func (j *Jobs) Put(e JobEntry) error {
	const op = "arena.putjob"
	if e.ID.IsZero() {
		return api.Errorf(op, api.Invalid, "a job has an id")
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.lease.check(op); err != nil {
		return err
	}
	i, ok := j.slots[e.ID]
	if !ok {
		if i, ok = j.vacate(); !ok {
			return api.Errorf(op, api.Exhausted, "4096 jobs are queued or running; submit more when some have finished")
		}
		j.orders++
		j.slots[e.ID] = i
		j.meta[i].order = j.orders
	}
	j.write(i, e)
	return nil
}

// Update changes the entry with the given id in place by change. NotFound if the
// table does not have it (any more). change must not call Jobs' methods.
func (j *Jobs) Update(id api.ID, change func(*JobEntry)) error {
	const op = "arena.updatejob"
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.lease.check(op); err != nil {
		return err
	}
	i, ok := j.slots[id]
	if !ok {
		return api.Errorf(op, api.NotFound, "the job is not among the recent ones")
	}
	e, _, ok := readJob(j.words(i))
	if !ok || e.ID != id {
		return api.Errorf(op, api.Corrupt, "the job's slot was overwritten by something else; put it again")
	}
	change(&e)
	e.ID = id
	j.write(i, e)
	return nil
}

// Get returns the entry with the given id.
func (j *Jobs) Get(id api.ID) (JobEntry, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	i, ok := j.slots[id]
	if !ok || j.lease.closed.Load() {
		return JobEntry{}, false
	}
	e, _, ok := readJob(j.words(i))
	return e, ok && e.ID == id
}

// Recent returns up to most entries, the last put first.
func (j *Jobs) Recent(most int) []JobEntry {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.lease.closed.Load() || most <= 0 {
		return nil
	}
	used := make([]int, 0, len(j.slots))
	for _, i := range j.slots {
		used = append(used, i)
	}
	slices.SortFunc(used, func(a, b int) int { return cmp.Compare(j.meta[b].order, j.meta[a].order) })
	out := make([]JobEntry, 0, min(most, len(used)))
	for _, i := range used[:min(most, len(used))] {
		if e, _, ok := readJob(j.words(i)); ok {
			out = append(out, e)
		}
	}
	return out
}

// vacate finds a slot for a new job: the next free or finished one in the order
// of insertion. The caller holds mu.
func (j *Jobs) vacate() (int, bool) {
	if j.active == MaxJobs {
		return 0, false
	}
	for {
		i := j.next
		j.next = (j.next + 1) % MaxJobs
		if m := &j.meta[i]; m.order == 0 || m.final {
			if m.order != 0 {
				delete(j.slots, m.id)
			}
			*m = slotMeta{final: true} // write counts it as active if it is
			return i, true
		}
	}
}

// write stores e in slot i. The caller holds mu.
func (j *Jobs) write(i int, e JobEntry) {
	m := &j.meta[i]
	final := e.State.Final()
	switch {
	case m.final && !final:
		j.active++
	case !m.final && final:
		j.active--
	}
	m.id, m.final = e.ID, final
	var buf [layout.JobSlotSize]byte
	encodeJob(buf[:], e, m.order)
	writeRecord(j.words(i), buf[:])
	j.cell.Advance()
}

// readJob copies a whole entry out of a slot; false if the slot is empty, stays
// in change, or holds what no writer writes.
func readJob(words []atomic.Uint64) (JobEntry, uint64, bool) {
	var buf [layout.JobSlotSize]byte
	if !readRecord(words, buf[:]) || binary.LittleEndian.Uint32(buf[layout.JobSlotAtSequence:]) == 0 {
		return JobEntry{}, 0, false
	}
	e, order := decodeJob(buf[:])
	return e, order, !e.ID.IsZero()
}

func encodeJob(b []byte, e JobEntry, order uint64) {
	le := binary.LittleEndian
	method, name := cut(e.Method, layout.JobSlotMethodBytes), cut(e.Name, layout.JobSlotNameBytes)
	b[layout.JobSlotAtState], b[layout.JobSlotAtKind], b[layout.JobSlotAtAttempts] = byte(e.State), byte(e.Kind), e.Attempts
	le.PutUint64(b[layout.JobSlotAtOrder:], order)
	copy(b[layout.JobSlotAtId:], e.ID[:])
	copy(b[layout.JobSlotAtBatch:], e.Batch[:])
	copy(b[layout.JobSlotAtPayer:], e.Payer[:])
	copy(b[layout.JobSlotAtWorker:], e.Worker[:])
	le.PutUint64(b[layout.JobSlotAtGas:], e.Gas)
	le.PutUint64(b[layout.JobSlotAtPrice:], uint64(e.Price))
	le.PutUint64(b[layout.JobSlotAtSubmitted:], uint64(e.Submitted))
	le.PutUint64(b[layout.JobSlotAtStarted:], uint64(e.Started))
	le.PutUint64(b[layout.JobSlotAtFinished:], uint64(e.Finished))
	le.PutUint64(b[layout.JobSlotAtRunUs:], e.RunUS)
	le.PutUint64(b[layout.JobSlotAtOutputBytes:], e.OutputBytes)
	le.PutUint32(b[layout.JobSlotAtMethodLength:], uint32(len(method)))
	le.PutUint32(b[layout.JobSlotAtNameLength:], uint32(len(name)))
	copy(b[layout.JobSlotAtMethod:], method)
	copy(b[layout.JobSlotAtName:], name)
}

func decodeJob(b []byte) (JobEntry, uint64) {
	le := binary.LittleEndian
	e := JobEntry{
		State: api.JobState(b[layout.JobSlotAtState]), Kind: api.Kind(b[layout.JobSlotAtKind]),
		Attempts:    b[layout.JobSlotAtAttempts],
		Gas:         le.Uint64(b[layout.JobSlotAtGas:]),
		Price:       api.Credits(le.Uint64(b[layout.JobSlotAtPrice:])),
		Submitted:   int64(le.Uint64(b[layout.JobSlotAtSubmitted:])),
		Started:     int64(le.Uint64(b[layout.JobSlotAtStarted:])),
		Finished:    int64(le.Uint64(b[layout.JobSlotAtFinished:])),
		RunUS:       le.Uint64(b[layout.JobSlotAtRunUs:]),
		OutputBytes: le.Uint64(b[layout.JobSlotAtOutputBytes:]),
		Method:      text(b[layout.JobSlotAtMethod:][:layout.JobSlotMethodBytes], le.Uint32(b[layout.JobSlotAtMethodLength:])),
		Name:        text(b[layout.JobSlotAtName:][:layout.JobSlotNameBytes], le.Uint32(b[layout.JobSlotAtNameLength:])),
	}
	copy(e.ID[:], b[layout.JobSlotAtId:])
	copy(e.Batch[:], b[layout.JobSlotAtBatch:])
	copy(e.Payer[:], b[layout.JobSlotAtPayer:])
	copy(e.Worker[:], b[layout.JobSlotAtWorker:])
	return e, le.Uint64(b[layout.JobSlotAtOrder:])
}
