package chunk

import (
	"context"
	"sort"
	"sync"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// Entry is one file, folder or symbolic link of an object. A single-file object
// has one entry whose path is the object's name.
type Entry = wire.Entry

// The kinds of entry.
const (
	KindFile    = wire.KindFile
	KindDir     = wire.KindDir
	KindSymlink = wire.KindSymlink
)

// Info describes an object.
type Info struct {
	Folder  bool
	Name    string // of a single-file object; may be empty
	Size    uint64 // plaintext bytes of all files
	Entries uint64 // entries of a folder; 0 for a single file
}

// Object reads one object. Its methods are safe for concurrent use as far as
// its Fetcher is.
type Object struct {
	link     api.Link
	fetch    api.Fetcher
	root     *wire.Manifest
	rootSize int
	cache    manifestCache
}

// Open fetches and checks the root of link. Unverified if the key does not open it
// or it is no manifest; the errors of f otherwise.
func Open(ctx context.Context, link api.Link, f api.Fetcher) (*Object, error) {
	const op = "chunk.open"
	o := &Object{link: link, fetch: f}
	err := f.Fetch(ctx, []api.Address{link.Root}, func(_ api.Address, data []byte) (err error) {
		o.rootSize = len(data)
		o.root, err = openRoot(link, data)
		return err
	})
	if err == nil && o.root == nil {
		err = api.Errorf(op, api.Unavailable, "no holder served the root of this link")
	}
	if err != nil {
		return nil, api.E(op, api.Other, err)
	}
	return o, nil
}

// openRoot verifies, decrypts and decodes a root block without changing data.
func openRoot(link api.Link, data []byte) (*wire.Manifest, error) {
	const op = "chunk.openroot"
	if len(data) > api.MaxBlock || blake3.Sum256(data) != link.Root {
		return nil, api.Errorf(op, api.Corrupt, "the root block does not match the link")
	}
	plain, err := unseal(link.Key, append([]byte(nil), data...))
	if err != nil {
		return nil, api.Errorf(op, api.Unverified, "the link's key does not open it; copy the whole link again")
	}
	m, err := wire.DecodeManifest(plain)
	if api.KindOf(err) == api.Invalid && link.Public() {
		return nil, api.Errorf(op, api.Invalid, "the link has no key after #, and without one it opens nothing; copy the whole link, in quotes for a shell")
	}
	if api.KindOf(err) == api.Invalid {
		return nil, api.Errorf(op, api.Corrupt, "the link's root is not a manifest")
	}
	if err != nil {
		return nil, api.E(op, api.Other, err)
	}
	return m, nil
}

// Link returns the link the object was opened with.
func (o *Object) Link() api.Link { return o.link }

// Info describes the object from its root alone.
func (o *Object) Info() Info {
	return Info{Folder: o.root.Folder(), Name: o.root.Name, Size: o.root.Size, Entries: o.root.Count}
}

// File returns the entry of a single-file object. Invalid for a folder.
func (o *Object) File() (Entry, error) {
	if o.root.Folder() {
		return Entry{}, api.Errorf("chunk.file", api.Invalid, "this link is a folder; name a file inside it")
	}
	return Entry{Path: o.root.Name, Mode: 0o644, Size: o.root.Size}, nil
}

// Walk calls fn for every entry in the order of path bytes, so a folder comes
// before what it holds, until fn returns an error, which Walk returns. A
// single-file object has one entry.
func (o *Object) Walk(ctx context.Context, fn func(Entry) error) error {
	if !o.root.Folder() {
		e, err := o.File()
		if err != nil {
			return err
		}
		return fn(e)
	}
	last := ""
	return o.pages(ctx, o.root, func(page *wire.Manifest) error {
		for i := range page.Entries {
			if page.Entries[i].Path <= last {
				return api.Errorf("chunk.walk", api.Corrupt, "the pages of the folder are not sorted")
			}
			last = page.Entries[i].Path
			if err := fn(page.Entries[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// pages calls fn for the folder pages below m in order.
func (o *Object) pages(ctx context.Context, m *wire.Manifest, fn func(*wire.Manifest) error) error {
	if m.Kind == wire.FolderPage {
		return fn(m)
	}
	return o.children(ctx, m, 0, len(m.Refs), func(_ int, child *wire.Manifest) error {
		return o.pages(ctx, child, fn)
	})
}

// Lookup finds the entry at path; for a single-file object, the empty path or
// the object's name. NotFound if there is none.
func (o *Object) Lookup(ctx context.Context, path string) (Entry, error) {
	const op = "chunk.lookup"
	missing := api.Errorf(op, api.NotFound, "the object holds nothing at "+quote(path))
	if !o.root.Folder() {
		if path != "" && path != o.root.Name {
			return Entry{}, missing
		}
		return o.File()
	}
	m := o.root
	for m.Kind == wire.FolderIndex {
		i := sort.Search(len(m.Branches), func(i int) bool { return m.Branches[i].First > path }) - 1
		if i < 0 {
			return Entry{}, missing
		}
		child, err := o.cachedChild(ctx, m, i)
		if err != nil {
			return Entry{}, err
		}
		m = child
	}
	i := sort.Search(len(m.Entries), func(i int) bool { return m.Entries[i].Path >= path })
	if i == len(m.Entries) || m.Entries[i].Path != path {
		return Entry{}, missing
	}
	return m.Entries[i], nil
}

func (o *Object) cachedChild(ctx context.Context, m *wire.Manifest, i int) (*wire.Manifest, error) {
	if hit := o.cache.get(m.Refs[i].Addr); hit != nil {
		// The parent's statement was checked when the child was cached; another
		// parent may state otherwise about the same block.
		return hit, checkChild(m, i, hit)
	}
	var child *wire.Manifest
	err := o.children(ctx, m, i, i+1, func(_ int, c *wire.Manifest) error {
		child = c
		return nil
	})
	if err == nil {
		o.cache.put(m.Refs[i].Addr, child)
	}
	return child, err
}

// manifestCacheSize bounds the manifests kept for Lookup: at most a few MiB.
const manifestCacheSize = 8

// manifestCache keeps the manifests looked up last, replaced in turn.
type manifestCache struct {
	mu    sync.Mutex
	addrs [manifestCacheSize]api.Address    // guarded by mu
	nodes [manifestCacheSize]*wire.Manifest // guarded by mu
	next  int                               // guarded by mu
}

func (c *manifestCache) get(a api.Address) *wire.Manifest {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.addrs {
		if c.nodes[i] != nil && c.addrs[i] == a {
			return c.nodes[i]
		}
	}
	return nil
}

func (c *manifestCache) put(a api.Address, m *wire.Manifest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addrs[c.next], c.nodes[c.next] = a, m
	c.next = (c.next + 1) % manifestCacheSize
}
