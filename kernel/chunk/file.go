package chunk

import (
	"context"
	"errors"
	"io"
	"sync"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// BuildFile makes an object of the single file that r yields. name, which may
// be empty, is kept in the root and is part of the link.
func BuildFile(ctx context.Context, opt Options, sink Sink, name string, r io.Reader) (Result, error) {
	b := NewBuilder(ctx, opt, sink)
	defer b.cancel(nil)
	f := &fileBuild{b: b, entry: new(wire.Entry), asRoot: true}
	_ = b.fail(f.read(ctx, r)) // drain reports it
	if err := b.drain(); err != nil {
		return Result{}, err
	}
	f.top.Name = name
	b.result.Files = 1
	return b.putRoot(f.top)
}

// fileBuild cuts one file into chunks and gathers their references, which
// arrive in any order, into leaves and then an index.
//
// Invariants: only the last leaf is open; a leaf is put once, when it is closed
// and nothing of it is pending; the file is finished once, when it has ended
// and no leaf is unfinished.
type fileBuild struct {
	b      *Builder
	entry  *wire.Entry
	asRoot bool           // keep the top manifest for BuildFile instead of putting it
	top    *wire.Manifest // set when asRoot and finished

	mu         sync.Mutex
	leaves     []*fileLeaf // guarded by mu
	unfinished int         // guarded by mu; leaves without a reference
	ended      bool        // guarded by mu; no more chunks follow
}

type fileLeaf struct {
	refs    []wire.Ref
	pending int // chunks whose reference is missing
	closed  bool
	size    uint64
	ref     wire.Ref // of the leaf's own manifest, unless it is the file's only leaf
}

// read consumes r. Chunks are processed behind it.
func (f *fileBuild) read(ctx context.Context, r io.Reader) error {
	for {
		if err := f.b.acquire(ctx, api.ChunkSize); err != nil {
			return err
		}
		buf := chunkBuffer()
		n, err := io.ReadFull(r, buf[:api.ChunkSize])
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err == nil || last {
			err = f.grow(n)
		}
		if n == 0 || err != nil {
			f.b.inflight.Release(api.ChunkSize)
			recycle(buf)
		}
		if err != nil {
			return api.E("chunk.read", api.Other, err)
		}
		if n > 0 {
			f.start(shrink(buf[:n]))
		}
		if last {
			return f.end()
		}
	}
}

// shrink moves a small chunk out of its whole-chunk buffer.
func shrink(buf []byte) []byte {
	if len(buf) >= api.LargeBlock {
		return buf
	}
	small := append(make([]byte, 0, len(buf)+wire.SealOverhead), buf...)
	recycle(buf)
	return small
}

func (f *fileBuild) grow(n int) error {
	if f.entry.Size += uint64(n); f.entry.Size > wire.MaxFileSize {
		return api.Errorf("chunk.read", api.Exhausted, "a file has at most 1 PiB")
	}
	return nil
}

// start processes one chunk in the background. It gives back what a small
// chunk does not need of the window.
func (f *fileBuild) start(plain []byte) {
	weight := max(int64(len(plain)), minWeight)
	f.b.inflight.Release(api.ChunkSize - weight)
	leaf, i, full := f.slot(len(plain))
	if full != nil {
		f.b.spawn(0, func() error { return f.putLeaf(full) })
	}
	f.b.spawn(weight, func() error {
		ref, err := f.b.put(plain)
		if err != nil {
			return err
		}
		return f.arrived(leaf, i, ref)
	})
}

// slot reserves the place of the next chunk, opening a leaf where the last is
// full. It returns that full leaf if nobody else will put it.
func (f *fileBuild) slot(n int) (leaf *fileLeaf, i int, full *fileLeaf) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.leaves) > 0 {
		leaf = f.leaves[len(f.leaves)-1]
	}
	if leaf == nil || len(leaf.refs) == wire.MaxLeafRefs {
		if leaf != nil {
			leaf.closed = true
			if leaf.pending == 0 {
				full = leaf
			}
		}
		leaf = new(fileLeaf)
		f.leaves = append(f.leaves, leaf)
		f.unfinished++
	}
	leaf.refs = append(leaf.refs, wire.Ref{})
	leaf.pending++
	leaf.size += uint64(n)
	return leaf, len(leaf.refs) - 1, full
}

// arrived records a chunk's reference and puts the leaf if it was the last.
func (f *fileBuild) arrived(leaf *fileLeaf, i int, ref wire.Ref) error {
	f.mu.Lock()
	leaf.refs[i] = ref
	leaf.pending--
	complete := leaf.pending == 0 && leaf.closed
	f.mu.Unlock()
	if !complete {
		return nil
	}
	return f.putLeaf(leaf)
}

// end closes the last leaf.
func (f *fileBuild) end() error {
	f.mu.Lock()
	f.ended = true
	var complete *fileLeaf
	if n := len(f.leaves); n > 0 {
		leaf := f.leaves[n-1]
		leaf.closed = true
		if leaf.pending == 0 {
			complete = leaf
		}
	}
	empty := len(f.leaves) == 0
	f.mu.Unlock()
	switch {
	case empty:
		return f.finish()
	case complete != nil:
		return f.putLeaf(complete)
	}
	return nil
}

// putLeaf stores a complete leaf's manifest, unless it is the whole file, and
// finishes the file after the last.
func (f *fileBuild) putLeaf(leaf *fileLeaf) error {
	f.mu.Lock()
	only := f.ended && len(f.leaves) == 1
	f.mu.Unlock()
	if !only {
		ref, err := f.b.putManifest(&wire.Manifest{Kind: wire.FileLeaf, Size: leaf.size, Refs: leaf.refs})
		if err != nil {
			return err
		}
		leaf.ref, leaf.refs = ref, nil
	}
	f.mu.Lock()
	f.unfinished--
	done := f.ended && f.unfinished == 0
	f.mu.Unlock()
	if !done {
		return nil
	}
	return f.finish()
}

// finish builds what stands above the leaves and completes the entry. It runs
// once, with nothing else of this file running.
func (f *fileBuild) finish() error {
	if !f.asRoot && len(f.leaves) == 0 {
		return nil
	}
	if !f.asRoot && len(f.leaves) == 1 && len(f.leaves[0].refs) == 1 {
		f.entry.Type, f.entry.Ref = wire.RefBlock, f.leaves[0].refs[0]
		return nil
	}
	top, err := f.index()
	if err != nil || f.asRoot {
		f.top = top
		return err
	}
	ref, err := f.b.putManifest(top)
	f.entry.Type, f.entry.Ref = wire.RefManifest, ref
	return err
}

// index returns the file's top manifest after putting those between it and the
// leaves. 1 PiB has 2^20 leaves, so the list of their references is bounded.
func (f *fileBuild) index() (*wire.Manifest, error) {
	if len(f.leaves) == 0 {
		return &wire.Manifest{Kind: wire.FileLeaf}, nil
	}
	if len(f.leaves) == 1 {
		return &wire.Manifest{Kind: wire.FileLeaf, Size: f.leaves[0].size, Refs: f.leaves[0].refs}, nil
	}
	row := &wire.Manifest{Kind: wire.FileIndex, Level: 1, Size: f.entry.Size}
	for _, l := range f.leaves {
		row.Refs, row.Sizes = append(row.Refs, l.ref), append(row.Sizes, l.size)
	}
	for len(row.Refs) > wire.MaxIndexRefs {
		next := &wire.Manifest{Kind: wire.FileIndex, Level: row.Level + 1, Size: row.Size}
		for lo := 0; lo < len(row.Refs); lo += wire.MaxIndexRefs {
			hi := min(lo+wire.MaxIndexRefs, len(row.Refs))
			m := &wire.Manifest{Kind: wire.FileIndex, Level: row.Level, Refs: row.Refs[lo:hi], Sizes: row.Sizes[lo:hi]}
			for _, n := range m.Sizes {
				m.Size += n
			}
			ref, err := f.b.putManifest(m)
			if err != nil {
				return nil, err
			}
			next.Refs, next.Sizes = append(next.Refs, ref), append(next.Sizes, m.Size)
		}
		row = next
	}
	return row, nil
}
