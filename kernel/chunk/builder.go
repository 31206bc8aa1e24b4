package chunk

import (
	"context"
	"io"
	"runtime"
	"sync"

	"github.com/zeebo/blake3"
	"golang.org/x/sync/semaphore"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// Defaults and bounds of building.
const (
	DefaultWindow = 32       // Options.Window
	minWeight     = 32 << 10 // bytes that a small chunk counts for, so that they number at most 32 per chunk of window
	maxKnown      = 1 << 17  // content hashes remembered to skip repeated chunks: about 25 MiB
)

// Options configure a Builder. The zero value builds a public object.
type Options struct {
	Namespace [32]byte // seals every block; zero leaves the object public
	Workers   int      // chunks hashed, compressed and sealed at once; 0 means GOMAXPROCS
	Window    int      // 1 MiB chunks between reader and sink; 0 means DefaultWindow
}

// Sink takes finished blocks. A Builder calls it from many goroutines at once,
// at most once per distinct block in nearly all cases (repeats are possible
// beyond 131,072 distinct chunks). The sink owns b.Data. It blocks to slow the
// Builder down; its first error ends the build. When it has returned nil for
// all blocks, Finish succeeds.
type Sink func(ctx context.Context, b api.Block) error

// Result describes a finished object.
type Result struct {
	Link    api.Link
	Folder  bool
	Name    string // of a single-file object
	Files   uint64 // regular files
	Entries uint64 // files, folders and symbolic links; 0 for a single file
	Bytes   uint64 // plaintext of all files
	Wire    uint64 // bytes of the distinct blocks, manifests included
	Blocks  uint64 // distinct blocks
}

// Builder makes one folder object. Its methods are safe for concurrent use
// until Finish. Call Close on a Builder that will not be finished.
type Builder struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	opt    Options
	sink   Sink

	inflight *semaphore.Weighted // bytes between reader and sink
	compute  *semaphore.Weighted // Workers
	tasks    sync.WaitGroup

	mu      sync.Mutex
	entries []*wire.Entry          // guarded by mu; at most wire.MaxEntries
	known   map[api.Hash]*wire.Ref // guarded by mu; at most maxKnown
	result  Result                 // guarded by mu
}

// NewBuilder returns a Builder that hands blocks to sink. ctx bounds the whole
// build: when it ends, all methods fail with its cause.
func NewBuilder(ctx context.Context, opt Options, sink Sink) *Builder {
	if opt.Workers <= 0 {
		opt.Workers = runtime.GOMAXPROCS(0)
	}
	if opt.Window <= 0 {
		opt.Window = DefaultWindow
	}
	b := &Builder{opt: opt, sink: sink, known: make(map[api.Hash]*wire.Ref)}
	b.ctx, b.cancel = context.WithCancelCause(ctx)
	b.inflight = semaphore.NewWeighted(int64(opt.Window) * api.ChunkSize)
	b.compute = semaphore.NewWeighted(int64(opt.Workers))
	return b
}

// AddFile reads r to its end and adds it at path. It returns when the last byte
// is read; compressing and storing go on behind it. Many goroutines may add
// files at once. mode is reduced to its permission bits; mtime is in Unix
// seconds. Invalid for a path that is not clean and relative, Exhausted beyond
// the bounds of the format, and the error of r or of the sink.
func (b *Builder) AddFile(ctx context.Context, path string, mode uint32, mtime int64, r io.Reader) error {
	e := &wire.Entry{Path: path, Kind: wire.KindFile, Mode: mode & wire.MaxMode, MTime: mtime}
	if err := b.add(e); err != nil {
		return err
	}
	return b.fail((&fileBuild{b: b, entry: e}).read(ctx, r))
}

// AddDir adds a folder. Folders on the way to an entry need not be added; they
// get mode 0755 and mtime 0.
func (b *Builder) AddDir(_ context.Context, path string, mode uint32, mtime int64) error {
	return b.add(&wire.Entry{Path: path, Kind: wire.KindDir, Mode: mode & wire.MaxMode, MTime: mtime})
}

// AddSymlink adds a symbolic link. target is kept as it is and followed by
// nothing in this package; whoever extracts it decides whether it may point
// outside.
func (b *Builder) AddSymlink(_ context.Context, path, target string, mtime int64) error {
	if target == "" || len(target) > wire.MaxLinkValue {
		return api.Errorf("chunk.addsymlink", api.Invalid, "the target of the symbolic link "+path+" is empty or longer than 4096 bytes")
	}
	return b.add(&wire.Entry{Path: path, Kind: wire.KindSymlink, Mode: 0o777, MTime: mtime, Target: target})
}

func (b *Builder) add(e *wire.Entry) error {
	const op = "chunk.add"
	if !wire.ValidPath(e.Path) {
		return api.Errorf(op, api.Invalid, "the path "+quote(e.Path)+" is not relative, clean UTF-8 of at most 4096 bytes; rename it")
	}
	if err := b.ctx.Err(); err != nil {
		return api.E(op, api.Other, context.Cause(b.ctx))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.entries) >= wire.MaxEntries {
		return api.Errorf(op, api.Exhausted, "a folder object holds at most 4,194,304 entries; put its parts as several objects")
	}
	b.entries = append(b.entries, e)
	return nil
}

// Close abandons the build and waits for its goroutines. After Finish it does
// nothing.
func (b *Builder) Close() {
	b.cancel(api.Errorf("chunk.build", api.Closed, "the build was abandoned"))
	b.tasks.Wait()
}

// fail ends the build with err, if there is one, and returns it.
func (b *Builder) fail(err error) error {
	if err != nil {
		b.cancel(err)
	}
	return err
}

// acquire waits for room for n bytes in flight.
func (b *Builder) acquire(ctx context.Context, n int64) error {
	if err := b.inflight.Acquire(b.ctx, n); err != nil {
		return api.E("chunk.build", api.Other, context.Cause(b.ctx))
	}
	if err := ctx.Err(); err != nil {
		b.inflight.Release(n)
		return api.E("chunk.build", api.Other, context.Cause(ctx))
	}
	return nil
}

// spawn runs task in the background; Finish waits for it and its error ends the
// build. The task holds n bytes of the window, which the caller acquired.
func (b *Builder) spawn(n int64, task func() error) {
	b.tasks.Go(func() {
		defer b.inflight.Release(n)
		if b.ctx.Err() == nil {
			_ = b.fail(task())
		}
	})
}

// put makes plain's block, hands it to the sink and returns its reference. It
// owns plain, whose memory it may hand to the sink.
func (b *Builder) put(plain []byte) (wire.Ref, error) {
	if err := b.compute.Acquire(b.ctx, 1); err != nil {
		return wire.Ref{}, api.E("chunk.build", api.Other, context.Cause(b.ctx))
	}
	h := api.Hash(blake3.Sum256(plain))
	if ref := b.lookup(h); ref != nil {
		b.compute.Release(1)
		recycle(plain)
		return *ref, nil
	}
	ref, block, spare := encode(b.opt.Namespace, plain, h)
	b.compute.Release(1)
	recycle(spare)
	if !b.claim(h, &ref) {
		return ref, nil
	}
	return ref, b.deliver(api.Block{Addr: ref.Addr, Data: block})
}

func (b *Builder) lookup(h api.Hash) *wire.Ref {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.known[h]
}

// claim reports whether the caller is the first with this content and so has to
// deliver its block. Skipping the others is safe: Finish fails unless the first
// one's delivery succeeds.
func (b *Builder) claim(h api.Hash, ref *wire.Ref) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.known[h] != nil {
		return false
	}
	if len(b.known) < maxKnown {
		b.known[h] = ref
	}
	return true
}

func (b *Builder) deliver(block api.Block) error {
	size := uint64(len(block.Data))
	if err := b.sink(b.ctx, block); err != nil {
		return api.E("chunk.store", api.Other, err)
	}
	b.mu.Lock()
	b.result.Blocks++
	b.result.Wire += size
	b.mu.Unlock()
	return nil
}

// putManifest encodes m and puts its block.
func (b *Builder) putManifest(m *wire.Manifest) (wire.Ref, error) {
	plain, err := wire.EncodeManifest(m)
	if err != nil {
		return wire.Ref{}, api.E("chunk.build", api.Other, err)
	}
	return b.put(plain)
}

// putRoot delivers the root after all other blocks are.
func (b *Builder) putRoot(m *wire.Manifest) (Result, error) {
	plain, err := wire.EncodeManifest(m)
	if err != nil {
		return Result{}, api.E("chunk.build", api.Other, err)
	}
	link, block := encodeRoot(b.opt.Namespace, plain)
	if err := b.deliver(block); err != nil {
		return Result{}, err
	}
	r := b.result
	r.Link, r.Folder, r.Name, r.Entries, r.Bytes = link, m.Folder(), m.Name, m.Count, m.Size
	return r, nil
}

// drain waits for the tasks and returns the build's first error.
func (b *Builder) drain() error {
	b.tasks.Wait()
	if b.ctx.Err() != nil {
		return api.E("chunk.build", api.Other, context.Cause(b.ctx))
	}
	return nil
}

// quote shortens a path for a message.
func quote(p string) string {
	if len(p) > 80 {
		p = p[:80] + "..."
	}
	return "\"" + p + "\""
}
