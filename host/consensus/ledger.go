package consensus

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"inos/host/internal/compact"
	"inos/kernel/api"
	"inos/kernel/ledger"
	"inos/kernel/wire"
)

// Bounds of the ledger's queue and memory.
const (
	maxGroup   = 512              // commands in one commit
	maxWaiting = 1024             // commands queued; a caller beyond it waits
	cacheBytes = 4 << 20          // Pebble's block cache
	tableBytes = 2 << 20          // a memtable
	reserve    = uint64(32 << 20) // bytes that must stay free on the disk for a write to be tried
)

// Options configure Open. The zero value is complete but for Mesh.
type Options struct {
	Mesh api.NodeID   // the mesh's root key
	Now  func() int64 // the ledger's clock in Unix milliseconds; nil means the system's
	FS   vfs.FS       // nil means the operating system's
}

// Ledger is an api.Ledger on disk.
type Ledger struct {
	db     *pebble.DB
	fs     vfs.FS
	dir    string
	now    func() int64
	log    *logger
	failed atomic.Bool // a write failed: memory is ahead of the disk

	queue   chan *request
	closing chan struct{} // closed by Close
	stopped chan struct{} // closed when the committer has ended
	once    sync.Once

	readers  sync.WaitGroup // snapshots in use; added to under mu while open
	mu       sync.RWMutex
	machine  *ledger.Machine // guarded by mu
	commands uint64          // commands in the log; guarded by mu
}

var _ api.Ledger = (*Ledger)(nil)

// request is a command waiting for its commit.
type request struct {
	checked ledger.Checked
	raw     []byte // the encoded command, for the log
	out     api.Outcome
	err     error
	done    chan struct{}
}

// Open opens or creates the ledger in dir. It reads the balances, open escrows
// and recent commands, and not the history. It returns Corrupt when they do not
// add up, Denied for another mesh's ledger, and Unavailable when the directory
// is in use or unreadable.
func Open(dir string, opts Options) (*Ledger, error) {
	const op = "consensus.open"
	if opts.Now == nil {
		opts.Now = func() int64 { return time.Now().UnixMilli() }
	}
	if opts.FS == nil {
		opts.FS = vfs.Default
	}
	log := &logger{}
	db, err := openDB(dir, opts.FS, log)
	if err != nil {
		return nil, api.E(op, api.Unavailable, err)
	}
	machine, commands, err := load(db, opts.Mesh)
	if err != nil {
		_ = db.Close()
		return nil, api.E(op, api.Other, err)
	}
	l := &Ledger{
		db: db, fs: opts.FS, dir: dir, now: opts.Now, log: log,
		queue: make(chan *request, maxWaiting), closing: make(chan struct{}), stopped: make(chan struct{}),
		machine: machine, commands: commands,
	}
	go l.commitLoop()
	return l, nil
}

func openDB(dir string, fs vfs.FS, log *logger) (*pebble.DB, error) {
	cache := pebble.NewCache(cacheBytes)
	defer cache.Unref()
	opt := &pebble.Options{
		FS: fs, Cache: cache, MemTableSize: tableBytes, MemTableStopWritesThreshold: 4, MaxOpenFiles: 64,
		FormatMajorVersion: pebble.FormatNewest, Logger: log,
	}
	opt.Experimental.CompactionScheduler = compact.New()
	return pebble.Open(dir, opt)
}

// Submit implements api.Ledger. It retains nothing of cmd after it returns. When
// ctx ends first, the command may still be applied.
func (l *Ledger) Submit(ctx context.Context, cmd api.Command) (api.Outcome, error) {
	const op = "consensus.submit"
	checked, err := ledger.Check(cmd)
	if err != nil {
		return api.Outcome{}, api.E(op, api.Other, err)
	}
	raw, err := wire.EncodeCommand(cmd)
	if err != nil {
		return api.Outcome{}, api.E(op, api.Other, err)
	}
	r := &request{checked: checked, raw: raw, done: make(chan struct{})}
	select {
	case l.queue <- r:
	case <-ctx.Done():
		return api.Outcome{}, api.E(op, api.Other, ctx.Err())
	case <-l.closing:
		return api.Outcome{}, closed(op)
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		return api.Outcome{}, api.E(op, api.Other, ctx.Err())
	case <-l.stopped:
		select {
		case <-r.done: // answered before the end
		default:
			return api.Outcome{}, closed(op)
		}
	}
	if r.err != nil {
		return api.Outcome{}, api.E(op, api.Other, r.err)
	}
	return r.out, nil
}

func closed(op string) error {
	return api.Errorf(op, api.Closed, "the ledger is shutting down; submit the same command again later")
}

// barrier waits until whoever holds mu has let go of it.
func (l *Ledger) barrier() {
	l.mu.Lock()
	defer l.mu.Unlock()
}

// Close answers the commands that are being committed, refuses the rest, and
// closes the database. It may be called twice.
func (l *Ledger) Close() error {
	var err error
	l.once.Do(func() {
		close(l.closing)
		<-l.stopped
		l.barrier() // from here on no reader starts
		l.readers.Wait()
		if e := l.db.Close(); e != nil {
			err = api.E("consensus.close", api.Other, e)
		}
	})
	return err
}

// logger keeps Pebble quiet and notes what it calls fatal: a write to its log
// that failed. Pebble reports that only here.
type logger struct{ fatal atomic.Bool }

func (g *logger) Infof(string, ...any)  {}
func (g *logger) Errorf(string, ...any) {}
func (g *logger) Fatalf(string, ...any) { g.fatal.Store(true) }
