package chunk

import (
	"context"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// readAhead is how many sibling manifests are fetched in one request while
// walking. A manifest has at most 1 MiB and usually a tenth of that.
const readAhead = 8

// children fetches m's children lo..hi-1, checks each against what m states
// about it, and calls fn in order. It holds at most readAhead of them.
func (o *Object) children(ctx context.Context, m *wire.Manifest, lo, hi int, fn func(i int, child *wire.Manifest) error) error {
	for ; lo < hi; lo += readAhead {
		refs := m.Refs[lo:min(lo+readAhead, hi)]
		nodes, err := o.manifests(ctx, refs)
		if err != nil {
			return err
		}
		for i, child := range nodes {
			if err := checkChild(m, lo+i, child); err != nil {
				return err
			}
			if err := fn(lo+i, child); err != nil {
				return err
			}
		}
	}
	return nil
}

// manifests fetches and decodes the manifests that refs name, in their order.
func (o *Object) manifests(ctx context.Context, refs []wire.Ref) ([]*wire.Manifest, error) {
	const op = "chunk.manifest"
	addrs := make([]api.Address, 0, len(refs))
	want := make(map[api.Address]*wire.Ref, len(refs))
	for i := range refs {
		if want[refs[i].Addr] == nil {
			addrs = append(addrs, refs[i].Addr)
		}
		want[refs[i].Addr] = &refs[i]
	}
	got := make(map[api.Address]*wire.Manifest, len(refs))
	err := o.fetch.Fetch(ctx, addrs, func(addr api.Address, data []byte) (err error) {
		ref := want[addr]
		if ref == nil {
			return nil // not asked for
		}
		got[addr], err = decodeManifest(ref, data)
		return err
	})
	if err != nil {
		return nil, api.E(op, api.Other, err)
	}
	nodes := make([]*wire.Manifest, len(refs))
	for i := range refs {
		if nodes[i] = got[refs[i].Addr]; nodes[i] == nil {
			return nil, api.Errorf(op, api.Unavailable, "no holder served the manifest "+refs[i].Addr.String())
		}
	}
	return nodes, nil
}

func decodeManifest(ref *wire.Ref, data []byte) (*wire.Manifest, error) {
	if len(data) != int(ref.Wire) {
		return nil, wrongSize(ref)
	}
	block, scratch := blockBuffer(len(data)), blockBuffer(int(ref.Plain))
	defer recycle(block)
	defer recycle(scratch)
	copy(block, data)
	plain, err := decode(ref, block, scratch)
	if err != nil {
		return nil, err
	}
	m, err := wire.DecodeManifest(plain)
	if api.KindOf(err) == api.Invalid {
		return nil, api.E("chunk.manifest", api.Corrupt, err)
	}
	return m, err
}

// checkChild verifies what the parent states: one level down, the same side of
// the format, and the same totals. Totals that agree at every node keep a walk
// within what the root declares, whatever the DAG shares.
func checkChild(m *wire.Manifest, i int, child *wire.Manifest) error {
	ok := child.Level+1 == m.Level && child.Folder() == m.Folder() && child.Name == ""
	if m.Kind == wire.FileIndex {
		ok = ok && child.Size == m.Sizes[i]
	} else {
		b := m.Branches[i]
		ok = ok && child.Count == b.Entries && child.Size == b.Size && child.Count > 0 && firstPath(child) == b.First
	}
	if !ok {
		return api.Errorf("chunk.manifest", api.Corrupt, "a manifest is not what its parent states")
	}
	return nil
}

func firstPath(m *wire.Manifest) string {
	if m.Kind == wire.FolderPage {
		return m.Entries[0].Path
	}
	return m.Branches[0].First
}

// top returns the highest manifest of e's content, or nil if e has no manifest.
func (o *Object) top(ctx context.Context, e *Entry) (*wire.Manifest, error) {
	if !o.root.Folder() {
		return o.root, nil
	}
	if e.Type != wire.RefManifest {
		return nil, nil
	}
	nodes, err := o.manifests(ctx, []wire.Ref{e.Ref})
	if err != nil {
		return nil, err
	}
	m := nodes[0]
	if m.Folder() || m.Size != e.Size || m.Name != "" {
		return nil, api.Errorf("chunk.manifest", api.Corrupt, "a file's manifest is not what its folder states")
	}
	return m, nil
}

// chunks calls fn for the chunks that overlap [off, end) of e's content, in
// order; at is where the chunk begins.
func (o *Object) chunks(ctx context.Context, e *Entry, off, end uint64, fn func(at uint64, ref *wire.Ref) error) error {
	if off >= end {
		return nil
	}
	m, err := o.top(ctx, e)
	if err != nil {
		return err
	}
	if m == nil {
		if e.Type == wire.RefNone {
			return nil
		}
		return fn(0, &e.Ref)
	}
	return o.leaves(ctx, m, 0, off, end, fn)
}

func (o *Object) leaves(ctx context.Context, m *wire.Manifest, at, off, end uint64, fn func(uint64, *wire.Ref) error) error {
	if m.Kind == wire.FileLeaf {
		for i := range m.Refs {
			next := at + uint64(m.Refs[i].Plain)
			if at < end && next > off {
				if err := fn(at, &m.Refs[i]); err != nil {
					return err
				}
			}
			at = next
		}
		return nil
	}
	lo, start := 0, at
	for lo < len(m.Sizes) && start+m.Sizes[lo] <= off {
		start += m.Sizes[lo]
		lo++
	}
	hi, stop := lo, start
	for hi < len(m.Sizes) && stop < end {
		stop += m.Sizes[hi]
		hi++
	}
	return o.children(ctx, m, lo, hi, func(i int, child *wire.Manifest) error {
		err := o.leaves(ctx, child, start, off, end, fn)
		start += m.Sizes[i]
		return err
	})
}

// Blocks calls fn for every block of the object, manifests included, the root
// first. A block that the object uses more than once may come more than once.
// It fetches manifests only.
func (o *Object) Blocks(ctx context.Context, fn func(addr api.Address, wireSize int) error) error {
	if err := fn(o.link.Root, o.rootSize); err != nil {
		return err
	}
	return o.below(ctx, o.root, fn)
}

func (o *Object) below(ctx context.Context, m *wire.Manifest, fn func(api.Address, int) error) error {
	for i := range m.Refs {
		if err := fn(m.Refs[i].Addr, int(m.Refs[i].Wire)); err != nil {
			return err
		}
	}
	if m.Level > 0 {
		return o.children(ctx, m, 0, len(m.Refs), func(_ int, child *wire.Manifest) error {
			return o.below(ctx, child, fn)
		})
	}
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Type == wire.RefNone {
			continue
		}
		if err := fn(e.Ref.Addr, int(e.Ref.Wire)); err != nil {
			return err
		}
		if e.Type == wire.RefManifest {
			file, err := o.top(ctx, e)
			if err != nil {
				return err
			}
			if err := o.below(ctx, file, fn); err != nil {
				return err
			}
		}
	}
	return nil
}
