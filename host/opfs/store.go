package opfs

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"inos/kernel/api"
)

// MaxPut bounds the blocks of one Put, and so of one frame of the log.
const MaxPut = 16384

// lazyFlush is how long a lazy change may stay unflushed.
const lazyFlush = 3 * time.Second

// retryFull is how long the store believes that a file cannot grow.
const retryFull = 30 * time.Second

// Options configure Open. The zero value is a store bounded by the browser alone.
type Options struct {
	// Quota bounds the bytes of the block file that are taken; 0 means as much as
	// the browser gives.
	Quota uint64

	// Wait is how long Open waits in a browser for another tab, or this tab's
	// previous worker, to let go of the store; 0 means 5 s. Browsers give a busy
	// worker that they end some 2 s.
	Wait time.Duration

	// Evicted hears of cache blocks that made room for others, after they are
	// gone. It is called without a lock held and must not block; nil ignores them.
	Evicted func([]api.Address)

	// Log receives what an operator should know: a log that was cut after a
	// crash, a block set aside. nil discards it.
	Log func(string)
}

// Store is a block store in three files. It implements api.BlockStore and what
// else a node asks of its store.
type Store struct {
	opt      Options
	volatile string // why nothing is kept; empty if it is

	mu      sync.Mutex // guards what follows, the files too
	files   *files
	state   *state
	journal *journal
	long    uint32 // units of the block file, taken or not
	full    uint32 // units at which the browser refused to grow it; 0 if it did not
	fullAt  time.Time
	waiting []*put // whose blocks are written and not committed; at most one per caller
	led     bool   // somebody is about to commit them
	timer   *time.Timer
	closed  bool

	calls sync.WaitGroup // calls under way; Add under mu while not closed
}

var _ api.BlockStore = (*Store)(nil)

// openOn opens the store in files, which it closes on failure.
func openOn(f *files, volatile string, opt Options) (*Store, error) {
	state, journal, cut, err := load(f)
	if err != nil {
		_ = f.close() // the first error matters
		return nil, api.E("opfs.open", api.Other, noSpace(err))
	}
	size, err := f.blocks.Size()
	if err != nil {
		_ = f.close() // the first error matters
		return nil, api.E("opfs.open", api.Other, err)
	}
	s := &Store{opt: opt, volatile: volatile, files: f, state: state, journal: journal, long: uint32(min((size+unit-1)/unit, maxUnits))}
	if cut > 0 {
		s.log("the last " + strconv.FormatInt(cut, 10) + " bytes of the store's log are no whole change and are gone; a crash leaves such, and what it leaves was never acknowledged")
	}
	return s, nil
}

// Volatile says why what the store keeps ends with the tab, for people; it is
// empty for a store that is kept.
func (s *Store) Volatile() string { return s.volatile }

func (s *Store) log(text string) {
	if s.opt.Log != nil {
		s.opt.Log(text)
	}
}

// enter begins a call; leave ends it. Closed once Close was called.
func (s *Store) enter(op string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return api.Errorf(op, api.Closed, "the block store is closed")
	}
	s.calls.Add(1)
	return nil
}

func (s *Store) leave() { s.calls.Done() }

// Close waits for the calls under way, makes lazy changes durable and gives the
// files up. Close is idempotent; other methods fail with Closed afterwards.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.calls.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
	s.shrink()
	if err := errors.Join(s.journal.flush(), s.files.close()); err != nil {
		return api.E("opfs.close", api.Other, err)
	}
	return nil
}

// shrink gives the block file's free tail back. The caller holds s.mu.
func (s *Store) shrink() {
	top := s.state.space.top()
	if err := s.files.blocks.Truncate(int64(top) * unit); err == nil {
		s.long = top
	} // else it stays long
}

// commit makes ops durable, each list on its own all or none, and performs
// them. The caller holds s.mu. After an error nothing has changed.
func (s *Store) commit(lazy bool, lists ...[]change) error {
	frames := make([][]byte, len(lists))
	for i, ops := range lists {
		for k := range ops {
			frames[i] = appendOp(frames[i], &ops[k])
		}
		if len(frames[i]) > maxFrame {
			return api.Errorf("opfs.commit", api.Invalid, "a batch has at most 16 MiB; split it")
		}
	}
	if err := s.journal.append(frames, lazy); err != nil {
		return err
	}
	for _, ops := range lists {
		for k := range ops {
			s.state.apply(&ops[k])
		}
	}
	if lazy {
		s.flushLater()
	}
	if s.journal.full() {
		if err := s.journal.snapshot(s.state); err != nil {
			s.log("the store's log could not be shortened: " + err.Error()) // it goes on, longer
		}
	}
	return nil
}

// flushLater sees to lazy changes. The caller holds s.mu.
func (s *Store) flushLater() {
	if s.timer != nil {
		return // it is set
	}
	s.timer = time.AfterFunc(lazyFlush, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.timer = nil
		if s.closed {
			return
		}
		if err := s.journal.flush(); err != nil {
			s.log("the store's log could not be flushed: " + err.Error())
		}
	})
}

// logReserve is room that blocks may not take, so that the log can grow and be
// shortened, and leases released, when the place is full.
const logReserve = 16 << 20

// limit is the most units that the block file may have taken. The caller holds s.mu.
func (s *Store) limit() uint32 {
	n := uint32(maxUnits)
	if s.opt.Quota > 0 {
		n = uint32(min(s.opt.Quota/unit, maxUnits))
	}
	if s.full > 0 && time.Since(s.fullAt) < retryFull {
		n = min(n, s.full)
	}
	more := s.files.room()
	more -= min(more, logReserve)
	return min(n, s.long+uint32(min(more/unit, maxUnits)))
}

// Usage reports what the store holds and may still take. Cache blocks count as
// both, for they make room when it is needed.
func (s *Store) Usage() api.StoreUsage {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.state
	u := api.StoreUsage{Blocks: st.present, Bytes: st.bytes, Quota: s.opt.Quota, Quarantined: st.quarantined}
	if s.closed {
		return u
	}
	if limit := s.limit(); limit > st.space.used {
		u.Free = uint64(limit-st.space.used) * unit
	}
	u.Free += uint64(st.spare) * unit
	return u
}

// noSpace classifies a full place.
func noSpace(err error) error {
	if errors.Is(err, errFull) {
		return api.Errorf("opfs.write", api.NoSpace, "the browser gives this site no more room; free some disk space or remove objects. Reads go on")
	}
	return err
}

// check is what most calls begin with.
func check(ctx context.Context, op string) error {
	if ctx.Err() != nil {
		return api.E(op, api.Other, context.Cause(ctx))
	}
	return nil
}
