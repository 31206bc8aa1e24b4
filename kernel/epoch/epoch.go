// Package epoch announces changes to shared memory through event counters.
//
// A Cell is one little-endian uint32 at a 64-byte-aligned offset generated from
// protocols/schemas/system/v1/layout.capnp. Whoever changes shared memory
// advances a cell; whoever cares awaits it.
//
// Invariants:
//   - A cell has one writer and any number of readers. (Several writers lose no
//     advance, but a reader cannot tell whose it saw.)
//   - When Load or Await returns e, every byte stored before the Advance that
//     produced e is visible to the caller.
//   - Advances coalesce: ten may wake a reader once.
//   - Cells wrap at 2^32. Compare with !=, never <.
//   - Nobody polls: a waiter sleeps until an Advance, its context's end or Close.
//
// Waiters of this process park in Go. A cell whose line lies in memory that
// other processes map may be given a Futex: Share lets Advance wake them too,
// Follow lets Await sleep until a writer in another process advances. The
// process-local state (parked waiters) belongs to the Cell value, so a process
// makes one Cell per line; arena.Arena keeps them. A process that maps the line
// read-only cannot count itself as a sleeper: it waits by Watch, and the writer's
// process holds the count for it.
//
// Sync points. The lost-wakeup race is closed as in Dekker's algorithm: a waiter
// raises the count of waiters and then reads the value; an advance raises the
// value and then reads the count. In a sequentially consistent order, which Go's
// atomics give, at least one sees the other. Acquire and release alone would
// not do: the store and the load that follows it could swap.
//
// Source: Reed and Kanodia, "Synchronization with Eventcounts and Sequencers",
// CACM 22(2), 1979.
package epoch

import (
	"context"
	"sync"
	"sync/atomic"

	"inos/kernel/api"
	"inos/kernel/layout"
)

// Futex puts threads to sleep on words that several processes map. host/shm
// implements it where the system can.
type Futex interface {
	// Wait returns when word was not seen, after a Wake, when ctx ends, or for
	// no reason at all; the caller looks again. It blocks a thread.
	Wait(ctx context.Context, word *atomic.Uint32, seen uint32)
	// Wake ends every Wait on word, in every process.
	Wake(word *atomic.Uint32)
}

// Cell is one event counter as this process sees it. All methods are safe for
// concurrent use.
type Cell struct {
	value    *atomic.Uint32 // in the line
	sleepers *atomic.Uint32 // in the line: waiters asleep in a Futex
	waiting  atomic.Int32   // waiters of this process that may be parked
	closed   atomic.Bool
	futex    Futex           // set before use by Share or Follow
	follow   bool            // Await sleeps in futex
	watch    bool            // follow, and another process counts the sleeper
	closing  context.Context // ends with Close; set by Follow
	endWaits context.CancelFunc

	mu     sync.Mutex
	parked *waiter    // mu: list of parked waiters, newest first
	spare  *waiter    // mu: waiters to use again; as many as ever parked at once
	asleep int        // mu: waiters in futex.Wait
	left   *sync.Cond // of mu; asleep became 0. Set by Follow
}

// waiter is one parked goroutine. It is on exactly one of Cell.parked and
// Cell.spare, or held by its goroutine.
type waiter struct {
	wake       chan struct{} // capacity 1
	prev, next *waiter       // Cell.mu
	queued     bool          // Cell.mu: on Cell.parked
}

// New returns the cell over line: layout.EpochCellSize bytes of shared memory, at
// a multiple of 64. It does not change them. A line of another size or
// alignment is a mistake of the caller and panics.
func New(line []byte) *Cell {
	if len(line) != layout.EpochCellSize || !layout.Aligned(line, layout.Line) {
		panic("epoch: a cell is one aligned cache line")
	}
	return &Cell{
		value:    layout.U32(line, layout.EpochCellAtValue),
		sleepers: layout.U32(line, layout.EpochCellAtSleepers),
	}
}

// Share makes Advance wake waiters of other processes through f as well. Call
// it before the cell is used. It returns c.
func (c *Cell) Share(f Futex) *Cell {
	c.futex = f
	return c
}

// Follow makes Await sleep in f, for a cell whose writer is another process.
// Each waiter then blocks a thread. Call it before the cell is used. It returns c.
func (c *Cell) Follow(f Futex) *Cell {
	c.futex, c.follow = f, true
	c.closing, c.endWaits = context.WithCancel(context.Background())
	c.left = sync.NewCond(&c.mu)
	return c
}

// Watch is Follow for memory that this process cannot write: whoever can holds
// the count of sleepers, with Hold, for as long as this process may wait.
func (c *Cell) Watch(f Futex) *Cell {
	c.watch = true
	return c.Follow(f)
}

// Hold counts a sleeper in another process that cannot count itself, so that
// every Advance wakes it. Release takes one Hold back.
func (c *Cell) Hold() { c.sleepers.Add(1) }

// Release takes back a Hold.
func (c *Cell) Release() { c.sleepers.Add(^uint32(0)) }

// Forget takes the sleepers of a process that died off the count of a cell on
// which nobody else sleeps.
func (c *Cell) Forget() { c.sleepers.Store(0) }

// Waiters returns how many waiters this process has parked or is parking, and
// how many sleepers of other processes are counted. Both may change at once.
func (c *Cell) Waiters() (here int, elsewhere uint32) {
	return int(max(c.waiting.Load(), 0)), c.sleepers.Load()
}

// Load returns the count now.
func (c *Cell) Load() uint32 { return c.value.Load() }

// Advance raises the count by one and wakes whoever waits. It never blocks on
// a waiter. Without waiters it is one atomic addition and two loads.
func (c *Cell) Advance() {
	// Sync point: the addition releases every store before it to whoever sees
	// the new value, and is ordered before the loads of the counts of waiters.
	c.value.Add(1)
	if c.waiting.Load() != 0 || c.sleepers.Load() != 0 {
		c.wake()
	}
}

// Signal advances the cell only if somebody has called Prepare and is not yet
// gone. It suits a writer that publishes through another word, as a ring does
// through its tail: store the word, then Signal.
func (c *Cell) Signal() {
	if c.waiting.Load() != 0 || c.sleepers.Load() != 0 {
		c.value.Add(1)
		c.wake()
	}
}

// Await blocks until the cell differs from seen and returns the value it found.
// If it already differs, Await returns at once, so an Advance between Load and
// Await is not lost. It sets no deadline; bound it with ctx.
//
// On error it returns seen and, for errors.Is, context.Canceled,
// context.DeadlineExceeded, or api.Closed if the arena was unmapped.
func (c *Cell) Await(ctx context.Context, seen uint32) (uint32, error) {
	for {
		if c.closed.Load() {
			return seen, errClosed
		}
		if now := c.spin(seen); now != seen {
			return now, nil
		}
		if err := ctx.Err(); err != nil {
			return seen, awaitError(err)
		}
		c.Prepare()
		if err := c.Wait(ctx, seen); err != nil {
			return seen, err
		}
	}
}

// spins is how often Await looks before it parks: about as long as parking
// takes, so that a hand-off between running threads costs no sleep.
const spins = 32

func (c *Cell) spin(seen uint32) uint32 {
	for range spins {
		if now := c.value.Load(); now != seen {
			return now
		}
	}
	return seen
}

// Prepare announces a waiter and returns the count. After it, a caller checks
// the condition it waits for, and then calls exactly one of Cancel, when the
// condition holds, and Wait. A Signal or Advance after Prepare ends the Wait.
func (c *Cell) Prepare() uint32 {
	// Sync point: the count of waiters rises before the value, and before the
	// caller's condition, is read. See the package comment.
	switch {
	case c.watch: // counted for us, from before we looked
	case c.follow:
		c.sleepers.Add(1)
	default:
		c.waiting.Add(1)
	}
	return c.value.Load()
}

// Cancel takes back a Prepare.
func (c *Cell) Cancel() {
	switch {
	case c.watch:
	case c.follow:
		c.sleepers.Add(^uint32(0))
	default:
		c.waiting.Add(-1)
	}
}

// Wait blocks until the count differs from seen, which Prepare returned, and
// takes back that Prepare. It may return early for no reason; check the
// condition again. Errors are those of Await.
func (c *Cell) Wait(ctx context.Context, seen uint32) error {
	if c.follow {
		return c.sleep(ctx, seen)
	}
	w := c.enqueue(seen)
	if w == nil {
		c.Cancel()
		return c.closedError()
	}
	var err error
	select {
	case <-w.wake:
	case <-ctx.Done():
		err = awaitError(ctx.Err())
	}
	c.dequeue(w)
	if err == nil {
		err = c.closedError()
	}
	return err
}

// sleep is Wait for a writer in another process.
func (c *Cell) sleep(ctx context.Context, seen uint32) error {
	c.mu.Lock()
	if c.closed.Load() {
		c.mu.Unlock()
		c.Cancel()
		return errClosed
	}
	c.asleep++
	c.mu.Unlock()
	either, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(c.closing, cancel)
	if c.value.Load() == seen {
		c.futex.Wait(either, c.value, seen)
	}
	stop()
	cancel()
	c.Cancel()
	c.mu.Lock()
	if c.asleep--; c.asleep == 0 {
		c.left.Broadcast()
	}
	c.mu.Unlock()
	if err := c.closedError(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return awaitError(err)
	}
	return nil
}

// Close ends every Await, now and later, with api.Closed. It leaves the memory
// alone and must come before the memory is unmapped or mapped anew: a futex is
// found by what is mapped at its address, so nobody could wake who still slept
// there. Hence it returns once the last sleeper of this process has left, which
// takes as long as waking it.
func (c *Cell) Close() {
	c.mu.Lock()
	c.closed.Store(true)
	c.mu.Unlock()
	if c.follow {
		c.endWaits()
	}
	c.wake()
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.asleep > 0 {
		c.left.Wait()
	}
}

func (c *Cell) closedError() error {
	if c.closed.Load() {
		return errClosed
	}
	return nil
}

// enqueue parks a waiter, or returns nil if there is nothing to wait for.
func (c *Cell) enqueue(seen uint32) *waiter {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.value.Load() != seen || c.closed.Load() {
		return nil
	}
	w := c.spare
	if w == nil {
		w = &waiter{wake: make(chan struct{}, 1)}
	} else {
		c.spare = w.next
	}
	w.prev, w.next, w.queued = nil, c.parked, true
	if c.parked != nil {
		c.parked.prev = w
	}
	c.parked = w
	return w
}

// dequeue returns w to the spare list. If wake has not taken it off the parked
// list, w leaves it here and takes back its Prepare; if wake has, a token may
// still lie in its channel and is removed.
func (c *Cell) dequeue(w *waiter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w.queued {
		c.unlink(w)
		c.waiting.Add(-1)
	}
	select {
	case <-w.wake:
	default:
	}
	w.next, c.spare = c.spare, w
}

func (c *Cell) unlink(w *waiter) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		c.parked = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	}
	w.prev, w.next, w.queued = nil, nil, false
}

// wake unparks every parked waiter and takes back its Prepare at once, so that
// a writer that advances again before the waiter runs need not come here.
func (c *Cell) wake() {
	c.mu.Lock()
	for c.parked != nil {
		w := c.parked
		c.unlink(w)
		c.waiting.Add(-1)
		w.wake <- struct{}{} // never blocks: capacity 1, one token per parking
	}
	c.mu.Unlock()
	if c.futex != nil {
		c.futex.Wake(c.value)
	}
}

var errClosed = api.Errorf("epoch.await", api.Closed, "the arena was closed")

// awaitError keeps the context's error for errors.Is and adds its kind.
func awaitError(err error) error { return api.E("epoch.await", api.KindOf(err), err) }
