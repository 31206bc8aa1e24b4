package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"inos/host/internal/compact"
	"inos/kernel/api"
)

// Sizes of the store's buffers. They are small because an idle node is to stay
// under 60 MB, and because large blocks bypass Pebble.
const (
	cacheBytes    = 8 << 20
	memTableBytes = 8 << 20
	openFiles     = 128
	writers       = 16 // files written at once
)

// Options configure Open. The zero value is a store bounded by the disk alone.
type Options struct {
	Quota  uint64       // wire bytes of blocks; 0 means no bound but the disk's
	NoSync bool         // skip fsync: for tests that do not test durability
	Log    func(string) // receives Pebble's errors; nil discards them
}

// Store is a block store in a folder. It implements api.BlockStore.
type Store struct {
	dir   string
	opt   Options
	db    *pebble.DB
	lock  io.Closer
	write *pebble.WriteOptions
	slots chan struct{} // writers
	temp  atomic.Uint64 // names of temporary files
	room  reservations

	group group // Puts waiting for the next commit

	// commit serializes every change of block and lease records.
	commit sync.Mutex
	nextID uint64 // guarded by commit; the next span

	mu      sync.Mutex
	spans   map[api.LeaseID][]uint64 // guarded by mu, changed under commit
	owners  map[uint64]api.LeaseID   // guarded by mu, changed under commit
	backlog []chore                  // guarded by mu
	usage   api.StoreUsage           // guarded by mu; Blocks, Bytes and Quarantined
	closed  bool                     // guarded by mu

	calls sync.WaitGroup // calls under way; Add under mu while not closed

	wake chan struct{} // capacity 1: there is a chore
	stop context.CancelFunc
	work sync.WaitGroup
}

var _ api.BlockStore = (*Store)(nil)

// Open opens the store in dir, making it if it is not there. It removes what
// a crash left half-done; after an unclean stop a sweep for orphaned files runs
// in the background. Conflict if another process has it open, Unsupported if a
// newer version wrote it.
func Open(dir string, opt Options) (*Store, error) {
	const op = "disk.open"
	lock, unclean, err := claim(dir)
	if err != nil {
		return nil, api.E(op, api.Other, err)
	}
	s := &Store{
		dir: dir, opt: opt, lock: lock, write: pebble.Sync,
		slots: make(chan struct{}, writers), wake: make(chan struct{}, 1),
		spans: make(map[api.LeaseID][]uint64), owners: make(map[uint64]api.LeaseID),
	}
	if opt.NoSync {
		s.write = pebble.NoSync
	}
	if err := s.load(); err != nil {
		return nil, api.E(op, api.Other, s.abandon(err))
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.work.Go(func() { s.runChores(ctx) })
	if unclean {
		s.work.Go(func() { s.sweep(ctx) })
	}
	s.signal()
	return s, nil
}

func (s *Store) abandon(err error) error {
	if s.db != nil {
		_ = s.db.Close() // the first error matters
	}
	_ = s.lock.Close()
	return err
}

func (s *Store) load() (err error) {
	cache := pebble.NewCache(cacheBytes)
	defer cache.Unref()
	opt := &pebble.Options{
		FS:                          vfs.Default, // named, or Pebble would watch every file for a slow disk, with a ticker each
		Cache:                       cache,
		MemTableSize:                memTableBytes,
		MemTableStopWritesThreshold: 4,
		MaxOpenFiles:                openFiles,
		FormatMajorVersion:          pebble.FormatValueSeparation,
		Logger:                      logger{s.opt.Log},
	}
	opt.Experimental.CompactionScheduler = compact.New()
	s.db, err = pebble.Open(filepath.Join(s.dir, metaDir), opt)
	if err != nil {
		return err
	}
	quarantined, err := os.ReadDir(filepath.Join(s.dir, quarantineDir))
	if err != nil {
		return err
	}
	s.usage.Quarantined = uint64(len(quarantined))
	if err := s.loadTotals(); err != nil {
		return err
	}
	return s.loadLeases()
}

func (s *Store) loadTotals() error {
	v, done, err := s.db.Get([]byte{keyTotals})
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer done.Close()
	if len(v) != 16 {
		return api.Errorf("disk.totals", api.Corrupt, "the store's totals are damaged; restore "+s.dir+" or start with an empty folder")
	}
	s.usage.Blocks, s.usage.Bytes = binary.BigEndian.Uint64(v), binary.BigEndian.Uint64(v[8:])
	return nil
}

// Close waits for the calls under way and closes the store. Releases that are
// not finished go on after the next Open. Close is idempotent; other methods
// fail with Closed afterwards.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.work.Wait()
	s.calls.Wait()
	err := s.db.Close()
	if err == nil {
		err = s.markClean()
	}
	if e := s.lock.Close(); err == nil {
		err = e
	}
	if err != nil {
		return api.E("disk.close", api.Other, err)
	}
	return nil
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

// Usage reports what the store holds and may still take.
func (s *Store) Usage() api.StoreUsage {
	s.mu.Lock()
	u := s.usage
	s.mu.Unlock()
	u.Quota = s.opt.Quota
	u.Free = s.free(u.Bytes)
	return u
}

// logger passes Pebble's failures on and drops its chatter.
type logger struct{ log func(string) }

func (l logger) Infof(string, ...any) {}

func (l logger) Errorf(format string, args ...any) { l.say(format, args) }

// Fatalf ends the process, as Pebble requires: it cannot go on after it failed
// to write its log.
func (l logger) Fatalf(format string, args ...any) {
	l.say(format, args)
	panic("disk: the metadata log failed: " + fmt.Sprintf(format, args...))
}

func (l logger) say(format string, args []any) {
	if l.log != nil {
		l.log(fmt.Sprintf(format, args...))
	}
}
