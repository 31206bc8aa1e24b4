package node

import (
	"context"
	"encoding/json"
	"sync"

	"inos/kernel/api"
	"inos/kernel/arena"
	"inos/kernel/layout"
)

// heapMetrics writes the heap's figures beside the arena's own table.
func (n *Node) heapMetrics(line func(name, kind string, value any)) {
	h := n.memory.arena.Heap()
	total, f := h.Total(), h.Faults()
	line("inos_arena_heap_bytes", "gauge", total.Bytes)
	line("inos_arena_heap_denied_total", "counter", total.Denied)
	line("inos_arena_heap_faults_total", "counter", f.Twice+f.Foreign+f.Stray)
	line("inos_arena_heap_leaked_bytes_total", "counter", f.Leaked)
	n.memory.leaseMetrics(line)
}

// WorkState is the name of the state that shows what this node's jobs do, as
// JSON: counts, and the job that changed last.
const WorkState = "node/work"

// maxWork bounds that state in bytes.
const maxWork = 4096

// workState publishes the state of that name at every change of a job.
type workState struct {
	mu     sync.Mutex
	writer *arena.StateWriter
	view   workView
	active map[api.ID]bool // mu: jobs not final, as many as the job driver has
}

type workView struct {
	Active  int       `json:"active"`
	Done    uint64    `json:"done"`
	Failed  uint64    `json:"failed"`
	Gas     uint64    `json:"gas"`
	Changed workEntry `json:"changed"`
}

type workEntry struct {
	ID          api.ID `json:"id"`
	Method      string `json:"method"`
	Name        string `json:"name"`
	State       string `json:"state"`
	Gas         uint64 `json:"gas"`
	RunUS       uint64 `json:"run_us"`
	OutputBytes uint64 `json:"output_bytes"`
}

func openWorkState(a *arena.Arena) (*workState, error) {
	w, err := a.States().Make(arena.KernelOwner, WorkState, maxWork)
	if err != nil {
		return nil, err
	}
	return &workState{writer: w, active: make(map[api.ID]bool)}, nil
}

func (w *workState) note(j api.Job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := arena.EntryOf(j) // cuts names
	switch {
	case !e.State.Final():
		w.active[e.ID] = true
	case e.State == api.JobDone:
		w.view.Done++
	default:
		w.view.Failed++
	}
	if e.State.Final() {
		delete(w.active, e.ID)
		w.view.Gas += e.Gas
	}
	w.view.Active = len(w.active)
	w.view.Changed = workEntry{e.ID, cutTo(e.Method, layout.JobSlotMethodBytes), cutTo(e.Name, layout.JobSlotNameBytes), e.State.String(), e.Gas, e.RunUS, e.OutputBytes}
	b, err := json.Marshal(w.view)
	if err == nil {
		err = w.writer.Write(b)
	}
	_ = err // only while the node stops: names are bounded, and so is the text
}

func cutTo(s string, n int) string { return s[:min(len(s), n)] }

// Arena describes the node's shared memory.
func (n *Node) Arena(context.Context) (api.ArenaMap, error) {
	if err := n.enter(); err != nil {
		return api.ArenaMap{}, err
	}
	defer n.leave()
	a := n.memory.arena
	m := api.ArenaMap{
		Tier: a.Tier().Name, Size: a.Size(), Version: layout.Version, Socket: n.memory.socket, Most: a.Size(),
		Rings: []api.ArenaRing{}, Epochs: []api.ArenaEpoch{}, States: []api.ArenaState{}, Leases: []api.ArenaLease{},
	}
	for _, e := range a.Epochs() {
		m.Epochs = append(m.Epochs, api.ArenaEpoch{Index: e.Index, Name: e.Name, Value: e.Value, Waiting: e.Waiting, Asleep: e.Asleep})
	}
	for _, r := range a.Rings() {
		m.Rings = append(m.Rings, api.ArenaRing{Name: r.Name, Generation: r.Generation, Capacity: r.Capacity, Used: r.Used, MaxMessage: r.MaxMessage})
	}
	for _, s := range a.States().List() {
		m.States = append(m.States, api.ArenaState{
			Name: s.Name, Owner: uint32(s.Owner), Most: s.Most, Bytes: s.Bytes, Version: s.Version, Offset: s.Offset, Region: s.Region,
		})
	}
	owners := map[arena.Owner]string{arena.KernelOwner: "kernel", n.worker.lent.owner: "inputs"}
	n.memory.describeLeases(&m, owners)
	places := n.residents.name(owners)
	m.Heap = arenaHeap(a.Heap(), owners)
	m.Regions = arenaRegions(a, &m, places)
	return m, nil
}

func arenaHeap(h *arena.Heap, names map[arena.Owner]string) api.ArenaHeap {
	t, room, f := h.Total(), h.Room(), h.Faults()
	out := api.ArenaHeap{
		Size: t.Limit, Used: t.Bytes, Peak: t.Peak, Spans: t.Spans, Denied: t.Denied,
		Free: room.Bytes, Largest: room.Largest, Blocks: room.Blocks,
		Faults: api.ArenaFaults{Twice: f.Twice, Foreign: f.Foreign, Stray: f.Stray, Leaks: f.Leaks, Leaked: f.Leaked},
		Owners: []api.ArenaOwner{},
	}
	for _, o := range h.Owners() {
		out.Owners = append(out.Owners, api.ArenaOwner{
			Owner: uint32(o.Owner), Name: names[o.Owner], Bytes: o.Bytes, Spans: o.Spans, Peak: o.Peak, Limit: o.Limit, Denied: o.Denied,
		})
	}
	return out
}

// arenaRegions lists the fixed regions with how much of each is in use. places
// is how many residents run.
func arenaRegions(a *arena.Arena, m *api.ArenaMap, places uint64) []api.ArenaRegion {
	var metrics uint64
	a.Metrics().Each(func(string, arena.MetricKind, uint64) bool { metrics++; return true })
	used := map[string]uint64{
		"header": 1, "eventLog": 1, "epochs": uint64(len(m.Epochs)), "states": uint64(len(m.States)),
		"metrics": metrics, "jobs": uint64(a.Jobs().Len()), "heap": m.Heap.Used, "events": a.Events().Bytes(), "residents": places,
	}
	for i := range layout.ModulesCount {
		if _, _, ok := a.Modules().Get(i); ok {
			used["modules"]++
			used["supervisors"]++
		}
	}
	for _, r := range a.Rings() {
		switch r.Name[0] {
		case 's':
			used["syscallRings"]++
			used["syscallData"]++
		default:
			used["deviceRings"]++
			used["deviceData"]++
		}
	}
	out := make([]api.ArenaRegion, 0, len(layout.Regions))
	for _, r := range layout.Regions {
		size := r.Bytes
		if r.Count == 0 {
			size = a.Size() - r.Offset
		}
		out = append(out, api.ArenaRegion{Name: r.Name, Offset: r.Offset, Size: size, Owner: "kernel", Count: r.Count, Used: used[r.Name], Doc: r.Doc})
	}
	return out
}
