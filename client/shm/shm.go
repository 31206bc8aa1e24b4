// Package shm attaches this process to a running node's arena: it reads jobs,
// metrics, events and state buffers where they are, sleeps until they change,
// and shares memory of its own with the node and with other attached processes.
//
//	l, err := shm.Attach(ctx, "/data/inos/arena.sock", shm.Options{Name: "dashboard"})
//	...
//	for seen := uint32(0); ; {
//		for _, j := range l.View().Jobs(10) { ... }
//		seen, err = l.Await(ctx, layout.CellJobs, seen)
//	}
//
// Invariants:
//   - The arena is mapped read-only: a write would end this process and change
//     nothing. Regions of its own, which a lease with Write may have, are mapped
//     for writing.
//   - The lease is the connection. When it ends, because of Close, because the
//     node stops or because this process dies, the node takes everything back. Then
//     Done is closed, waits end with api.Closed, and what was mapped reads as
//     zeros here.
//   - Nothing polls. A wait sleeps in the system until the node advances.
package shm

import (
	"context"
	"errors"
	"sync"

	"inos/host/shm"
	"inos/kernel/api"
	"inos/kernel/arena"
	"inos/kernel/layout"
	"inos/kernel/ring"
)

// Options say who attaches and what for.
type Options struct {
	Name  string // shown by `inos arena`; the program's name when empty
	Write bool   // to make states, spans and ring ends
}

// Lease is an attachment. All methods are safe for concurrent use.
type Lease struct {
	number uint32
	owner  arena.Owner
	conn   connection
	region *shm.Region
	view   *arena.View
	done   chan struct{}

	ask     sync.Mutex // one request at a time
	answers chan reply // capacity 1

	mu      sync.Mutex
	watched map[int]bool             // mu: cells of the arena that the node holds
	mapped  map[*shm.Region]struct{} // mu: regions besides the arena
	states  map[string]*State        // mu: states of other leases, by name; at most those the node names and one
	made    map[string]own           // mu: what this lease made or took, by name
	closed  bool                     // mu
}

// own is a region that this lease made, or whose end it took.
type own struct {
	number uint32
	region *shm.Region
}

// newLease returns a lease without an arena yet.
func newLease(c connection) *Lease {
	return &Lease{
		conn: c, done: make(chan struct{}), answers: make(chan reply, 1),
		watched: make(map[int]bool), mapped: make(map[*shm.Region]struct{}),
		states: make(map[string]*State), made: make(map[string]own),
	}
}

// Number is the lease's number, as `inos arena` shows it.
func (l *Lease) Number() uint32 { return l.number }

// Owner is what the lease's memory is charged to.
func (l *Lease) Owner() arena.Owner { return l.owner }

// View reads the arena. Its cells must be awaited through Await, which tells the
// node to wake this process.
func (l *Lease) View() *arena.View { return l.view }

// Done is closed when the lease has ended.
func (l *Lease) Done() <-chan struct{} { return l.done }

// Load returns the value of an epoch cell, such as layout.CellJobs.
func (l *Lease) Load(cell int) uint32 { return l.view.Epoch(cell).Load() }

// Await blocks until the cell differs from seen and returns the value it found;
// see epoch.Cell.Await.
func (l *Lease) Await(ctx context.Context, cell int, seen uint32) (uint32, error) {
	if err := l.watch(ctx, cell); err != nil {
		return seen, err
	}
	return l.view.Epoch(cell).Await(ctx, seen)
}

// watch has the node count a sleeper for this process, once.
func (l *Lease) watch(ctx context.Context, cell int) error {
	l.mu.Lock()
	known := l.watched[cell]
	l.mu.Unlock()
	if known {
		return nil
	}
	if _, _, err := l.request(ctx, shm.Request{Op: layout.OpWatch, Cell: uint32(cell)}); err != nil {
		return err
	}
	l.mu.Lock()
	l.watched[cell] = true
	l.mu.Unlock()
	return nil
}

// Events returns a reader of the events after number seq, as far back as the
// node has them. Its Next sleeps until the node appends.
func (l *Lease) Events(ctx context.Context, seq uint64) (*arena.EventReader, error) {
	if err := l.watch(ctx, layout.CellEvents); err != nil {
		return nil, err
	}
	return l.view.After(seq), nil
}

// State is a named state that this lease reads. When the state ends, because its
// writer did or removed it, Await returns and Read gives Closed: open it again by
// its name.
type State struct {
	*arena.StateReader
	lease  *Lease
	name   string
	number uint32      // of its region, 0 in the arena
	region *shm.Region // nil in the arena

	asking sync.Mutex
	held   bool // asking: the node counts a sleeper on this very state
}

// State opens the state called name, in the arena or in a region of its own. What
// an earlier state of that name had mapped here is unmapped. NotFound when there
// is none: await layout.CellStates and try again.
func (l *Lease) State(ctx context.Context, name string) (*State, error) {
	info, r, err := l.view.State(name)
	if err != nil {
		return nil, err
	}
	if info.Region == 0 {
		return &State{StateReader: r, lease: l, name: name}, nil
	}
	l.mu.Lock()
	have := l.states[name]
	l.mu.Unlock()
	if have != nil && have.number == info.Region {
		return have, nil
	}
	answer, region, err := l.mapRegion(ctx, shm.Request{Op: layout.OpOpen, Name: name}, shm.OpenReadOnly)
	if err != nil {
		return nil, err
	}
	mem, err := memory(region)
	if err == nil {
		r, err = arena.OpenStateReader(mem, shm.Waker())
	}
	if err != nil {
		l.unmap(region)
		return nil, err
	}
	region.OnClose(r.Cell().Close)
	return l.keep(&State{StateReader: r, lease: l, name: name, number: answer.Region, region: region}), nil
}

// keep remembers a state with a region of its own, unless another caller just did,
// and unmaps those that are gone. It returns the one to use.
func (l *Lease) keep(s *State) *State {
	living := map[uint32]bool{s.number: true}
	for _, info := range l.view.States() {
		living[info.Region] = true
	}
	var gone []*shm.Region
	l.mu.Lock()
	if old := l.states[s.name]; old != nil {
		if old.number == s.number {
			s, old = old, s
		}
		gone = append(gone, old.region)
	}
	l.states[s.name] = s
	for name, other := range l.states {
		if !living[other.number] {
			gone = append(gone, other.region)
			delete(l.states, name)
		}
	}
	l.mu.Unlock()
	for _, r := range gone {
		l.unmap(r)
	}
	return s
}

// memory is a region's, unless the lease has ended meanwhile.
func memory(r *shm.Region) ([]byte, error) {
	if b := r.Bytes(); b != nil {
		return b, nil
	}
	return nil, api.Errorf("shm.map", api.Closed, "the lease has ended; attach again")
}

// Await blocks until the state's version differs from seen and returns the one
// it found. Closed when the name is no state's any more.
func (s *State) Await(ctx context.Context, seen uint32) (uint32, error) {
	if err := s.hold(ctx); err != nil {
		return seen, err
	}
	return s.Cell().Await(ctx, seen)
}

// hold has the node count a sleeper for this process. Were it another state of
// that name which it held, this one has ended, its version moved, and nobody
// sleeps on it.
func (s *State) hold(ctx context.Context) error {
	s.asking.Lock()
	defer s.asking.Unlock()
	if s.held {
		return nil
	}
	_, _, err := s.lease.request(ctx, shm.Request{Op: layout.OpWatch, Name: s.name})
	if errors.Is(err, api.NotFound) {
		return api.Errorf("shm.await", api.Closed, "the state was removed; open it again by its name")
	}
	s.held = err == nil
	return err
}

// MakeState makes a named state of up to most bytes that this process writes.
// The node and every attached process can read it. Errors: Denied without
// Options.Write; Exists, Invalid, Exhausted.
func (l *Lease) MakeState(ctx context.Context, name string, most int) (*arena.StateWriter, error) {
	region, err := l.make(ctx, shm.Request{Op: layout.OpState, Name: name, Size: uint64(most)})
	if err != nil {
		return nil, err
	}
	mem, err := memory(region)
	if err != nil {
		return nil, err
	}
	w, err := arena.OpenStateWriter(mem, shm.Waker())
	if err != nil {
		return nil, err
	}
	region.OnClose(w.Cell().Close)
	return w, nil
}

// MakeSpan makes named memory of at least size bytes, rounded up to 64 KiB, that
// this process writes and others may map read-only with OpenSpan. How they agree
// on its contents is theirs. Errors are those of MakeState.
func (l *Lease) MakeSpan(ctx context.Context, name string, size int) ([]byte, error) {
	region, err := l.make(ctx, shm.Request{Op: layout.OpSpan, Name: name, Size: uint64(size)})
	if err != nil {
		return nil, err
	}
	return memory(region)
}

// OpenSpan maps another lease's span read-only, until this lease ends, each time
// it is called. NotFound when there is none.
func (l *Lease) OpenSpan(ctx context.Context, name string) ([]byte, error) {
	_, region, err := l.mapRegion(ctx, shm.Request{Op: layout.OpOpen, Name: name}, shm.OpenReadOnly)
	if err != nil {
		return nil, err
	}
	return memory(region)
}

// make asks for a region to write to and remembers it.
func (l *Lease) make(ctx context.Context, r shm.Request) (*shm.Region, error) {
	answer, region, err := l.mapRegion(ctx, r, shm.Open)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.made[r.Name] = own{answer.Region, region}
	l.mu.Unlock()
	return region, nil
}

// Release gives back the state, span or ring end called name that this lease made
// or took, and unmaps it: its waits end with api.Closed, a span reads as zeros, and
// what is written to either reaches nobody. NotFound when there is none.
func (l *Lease) Release(ctx context.Context, name string) error {
	l.mu.Lock()
	mine, ok := l.made[name]
	delete(l.made, name)
	l.mu.Unlock()
	if !ok {
		return api.Errorf("shm.release", api.NotFound, "this lease made no region of that name")
	}
	l.unmap(mine.region)
	_, _, err := l.request(ctx, shm.Request{Op: layout.OpRelease, Region: mine.number})
	return err
}

// unmap gives up one region.
func (l *Lease) unmap(r *shm.Region) {
	l.mu.Lock()
	delete(l.mapped, r)
	l.mu.Unlock()
	_ = r.Close()
}

// Writer takes the sending end of the named ring, which another attached process
// reads. The ring is made with the given capacity in bytes, a power of two, and
// largest message, unless the reader made it: then capacity may be 0. Errors:
// Exists when somebody has that end; Denied without Options.Write; Invalid.
func (l *Lease) Writer(ctx context.Context, name string, capacity, maxMessage int) (*ring.Writer, error) {
	r, err := l.ring(ctx, name, layout.EndWriter, capacity, maxMessage)
	if err != nil {
		return nil, err
	}
	return r.Writer(), nil
}

// Reader is Writer for the receiving end.
func (l *Lease) Reader(ctx context.Context, name string, capacity, maxMessage int) (*ring.Reader, error) {
	r, err := l.ring(ctx, name, layout.EndReader, capacity, maxMessage)
	if err != nil {
		return nil, err
	}
	return r.Reader(), nil
}

func (l *Lease) ring(ctx context.Context, name string, end uint32, capacity, maxMessage int) (*ring.Ring, error) {
	region, err := l.make(ctx, shm.Request{
		Op: layout.OpRing, Name: name, End: end, Size: uint64(capacity), MaxMessage: uint32(maxMessage),
	})
	if err != nil {
		return nil, err
	}
	mem, err := memory(region)
	if err != nil {
		return nil, err
	}
	size := uint64(layout.U32(mem, layout.RingControlAtCapacity).Load())
	if size > uint64(len(mem))-layout.Page {
		return nil, api.Errorf("shm.ring", api.Corrupt, "the ring's control gives more than its memory has")
	}
	r, err := ring.Open(mem[:layout.RingControlSize], mem[layout.Page:][:size])
	if err != nil {
		return nil, err
	}
	if end == layout.EndWriter {
		r.ShareWriter(shm.Waker())
	} else {
		r.ShareReader(shm.Waker())
	}
	region.OnClose(r.Close)
	return r, nil
}

// Close ends the lease and unmaps everything. A second Close does nothing.
func (l *Lease) Close() error {
	l.conn.close()
	<-l.done
	return nil
}

// finish ends waits and unmaps, once the connection has ended.
func (l *Lease) finish() {
	l.mu.Lock()
	l.closed = true
	mapped := l.mapped
	l.mapped = nil
	l.mu.Unlock()
	l.view.Close()
	for r := range mapped {
		_ = r.Close()
	}
	_ = l.region.Close()
	close(l.done)
}
