package chunk

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// Where folder pages end. A page ends after an entry whose path hashes to a
// multiple of pageStride, so a change to a folder changes one page and the
// index above it, wherever the entry stands; the other two bounds keep pages
// useful and small. Part of the format: they decide the root.
const (
	pageStride  = 512
	pageMin     = 32
	pageMax     = 1536      // entries; at most wire.MaxPageEntries
	pageBytes   = 256 << 10 // estimated encoded bytes; the true size stays below twice that
	entryWeight = 160       // encoded bytes of an entry without its texts
)

// Finish waits for all blocks to be stored, puts the folder's manifests and
// returns the object. Exists if a path was added twice, Invalid if a file
// stands where another entry needs a folder. The Builder is of no use afterwards.
func (b *Builder) Finish(ctx context.Context) (Result, error) {
	defer b.cancel(nil)
	stop := context.AfterFunc(ctx, func() { b.cancel(context.Cause(ctx)) })
	defer stop()
	if err := b.drain(); err != nil {
		return Result{}, err
	}
	entries, err := sortEntries(b.entries)
	if err != nil {
		return Result{}, err
	}
	b.entries = nil
	for _, e := range entries {
		if e.Kind == wire.KindFile {
			b.result.Files++
		}
	}
	row := paginate(entries)
	for level := uint8(1); len(row) > 1; level++ {
		if row, err = b.putRow(row, level); err != nil {
			return Result{}, err
		}
	}
	return b.putRoot(row[0].manifest())
}

// sortEntries sorts by the bytes of the paths, adds the missing parents and
// refuses clashes.
func sortEntries(entries []*wire.Entry) ([]*wire.Entry, error) {
	const op = "chunk.finish"
	kinds := make(map[string]wire.EntryKind, len(entries))
	for _, e := range entries {
		if _, ok := kinds[e.Path]; ok {
			return nil, api.Errorf(op, api.Exists, "the path "+quote(e.Path)+" was added twice")
		}
		kinds[e.Path] = e.Kind
	}
	for _, e := range entries {
		for p := parent(e.Path); p != ""; p = parent(p) {
			kind, ok := kinds[p]
			if ok && kind != wire.KindDir {
				return nil, api.Errorf(op, api.Invalid, "the path "+quote(p)+" is both a file and a folder")
			}
			if ok {
				break
			}
			kinds[p] = wire.KindDir
			entries = append(entries, &wire.Entry{Path: p, Kind: wire.KindDir, Mode: 0o755})
		}
	}
	if len(entries) > wire.MaxEntries {
		return nil, api.Errorf(op, api.Exhausted, "a folder object holds at most 4,194,304 entries; put its parts as several objects")
	}
	slices.SortFunc(entries, func(x, y *wire.Entry) int { return strings.Compare(x.Path, y.Path) })
	return entries, nil
}

func parent(p string) string {
	i := strings.LastIndexByte(p, '/')
	return p[:max(i, 0)]
}

// branch is a folder manifest that is made when it is put, so that only those
// in flight are held twice.
type branch struct {
	wire.Branch
	manifest func() *wire.Manifest
}

// paginate cuts sorted entries into pages. An empty folder has one empty page.
func paginate(entries []*wire.Entry) []branch {
	var pages []branch
	start, weight := 0, 0
	for i, e := range entries {
		weight += entryWeight + len(e.Path) + len(e.Target)
		if pageEnds(e.Path, i+1-start, weight) {
			pages = append(pages, pageOf(entries[start:i+1]))
			start, weight = i+1, 0
		}
	}
	if start < len(entries) || len(entries) == 0 {
		pages = append(pages, pageOf(entries[start:]))
	}
	return pages
}

func pageOf(entries []*wire.Entry) branch {
	b := branch{Branch: wire.Branch{Entries: uint64(len(entries))}}
	for i, e := range entries {
		if i == 0 {
			b.First = e.Path
		}
		b.Size += e.Size
	}
	b.manifest = func() *wire.Manifest {
		m := &wire.Manifest{Kind: wire.FolderPage, Count: b.Entries, Size: b.Size}
		for _, e := range entries {
			m.Entries = append(m.Entries, *e)
		}
		return m
	}
	return b
}

func pageEnds(path string, entries, weight int) bool {
	if entries >= pageMax || weight >= pageBytes {
		return true
	}
	h := blake3.Sum256([]byte(path))
	return entries >= pageMin && binary.LittleEndian.Uint32(h[:4])%pageStride == 0
}

// putRow puts the manifests of one level in parallel and returns the level above.
func (b *Builder) putRow(row []branch, level uint8) ([]branch, error) {
	refs := make([]wire.Ref, len(row))
	for i, child := range row {
		if err := b.acquire(b.ctx, api.ChunkSize); err != nil {
			break // drain reports it
		}
		b.spawn(api.ChunkSize, func() (err error) {
			refs[i], err = b.putManifest(child.manifest())
			return err
		})
	}
	if err := b.drain(); err != nil {
		return nil, err
	}
	var above []branch
	start, weight := 0, 0
	for i, child := range row {
		w := entryWeight + len(child.First)
		if i > start && (weight+w > 2*pageBytes || i-start == wire.MaxIndexRefs) {
			above = append(above, indexOf(row[start:i], refs[start:i], level))
			start, weight = i, 0
		}
		weight += w
	}
	return append(above, indexOf(row[start:], refs[start:], level)), nil
}

func indexOf(row []branch, refs []wire.Ref, level uint8) branch {
	m := &wire.Manifest{Kind: wire.FolderIndex, Level: level, Refs: refs}
	for _, child := range row {
		m.Branches = append(m.Branches, child.Branch)
		m.Count += child.Entries
		m.Size += child.Size
	}
	return branch{
		Branch:   wire.Branch{First: row[0].First, Entries: m.Count, Size: m.Size},
		manifest: func() *wire.Manifest { return m },
	}
}
