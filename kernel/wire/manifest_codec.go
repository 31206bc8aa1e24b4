package wire

import (
	"errors"

	capnp "capnproto.org/go/capnp/v3"

	storagev1 "inos/protocols/gen/go/storage/v1"
)

var errManifestShape = errors.New("the manifest's columns do not agree")

func fillManifest(root storagev1.Manifest, m *Manifest) error {
	root.SetVersion(ManifestVersion)
	root.SetLevel(m.Level)
	root.SetSize(m.Size)
	root.SetEntries(m.Count)
	if m.Name != "" {
		if err := root.SetName(m.Name); err != nil {
			return err
		}
	}
	if err := fillRefs(root, m.allRefs()); err != nil {
		return err
	}
	switch m.Kind {
	case FileLeaf:
		root.Body().SetFileLeaf()
		return nil
	case FileIndex:
		list, err := root.Body().NewFileIndex(int32(len(m.Sizes)))
		for i, n := range m.Sizes {
			if err == nil {
				list.Set(i, n)
			}
		}
		return err
	case FolderPage:
		return fillEntries(root, m.Entries)
	default:
		return fillBranches(root, m.Branches)
	}
}

// allRefs returns the references in the order of the format.
func (m *Manifest) allRefs() []Ref {
	if m.Kind != FolderPage {
		return m.Refs
	}
	var refs []Ref
	for i := range m.Entries {
		if m.Entries[i].Type != RefNone {
			refs = append(refs, m.Entries[i].Ref)
		}
	}
	return refs
}

func fillRefs(root storagev1.Manifest, refs []Ref) error {
	if len(refs) == 0 {
		return nil
	}
	out, err := root.NewRefs()
	if err != nil {
		return err
	}
	n := len(refs)
	addrs, hashes, encodings := make([]byte, 0, 32*n), make([]byte, 0, 32*n), make([]byte, 0, n)
	var keys []byte
	for i := range refs {
		r := &refs[i]
		addrs, hashes = append(addrs, r.Addr[:]...), append(hashes, r.Hash[:]...)
		encodings = append(encodings, byte(r.Encoding))
		if r.Key != [32]byte{} {
			keys = append(keys, r.Key[:]...)
		}
	}
	if len(keys) != 0 && len(keys) != 32*n {
		return errManifestShape // public and sealed blocks in one manifest
	}
	err = errors.Join(out.SetAddresses(addrs), out.SetHashes(hashes), out.SetEncodings(encodings))
	if len(keys) > 0 {
		err = errors.Join(err, out.SetKeys(keys))
	}
	plain, e1 := out.NewPlainSizes(int32(n))
	wire, e2 := out.NewWireSizes(int32(n))
	if err = errors.Join(err, e1, e2); err != nil {
		return err
	}
	for i := range refs {
		plain.Set(i, refs[i].Plain)
		wire.Set(i, refs[i].Wire)
	}
	return nil
}

func fillEntries(root storagev1.Manifest, entries []Entry) error {
	list, err := root.Body().NewFolderPage(int32(len(entries)))
	if err != nil {
		return err
	}
	for i := range entries {
		e, out := &entries[i], list.At(i)
		out.SetKind(storagev1.Entry_Kind(e.Kind))
		out.SetRef(storagev1.Entry_RefKind(e.Type))
		out.SetMode(e.Mode)
		out.SetMtime(e.MTime)
		out.SetSize(e.Size)
		if err := out.SetPath(e.Path); err != nil {
			return err
		}
		if e.Target != "" {
			if err := out.SetTarget(e.Target); err != nil {
				return err
			}
		}
	}
	return nil
}

func fillBranches(root storagev1.Manifest, branches []Branch) error {
	list, err := root.Body().NewFolderIndex(int32(len(branches)))
	if err != nil {
		return err
	}
	for i, b := range branches {
		out := list.At(i)
		out.SetEntries(b.Entries)
		out.SetSize(b.Size)
		if err := out.SetFirst(b.First); err != nil {
			return err
		}
	}
	return nil
}

func readManifest(root storagev1.Manifest) (*Manifest, error) {
	m := &Manifest{Level: root.Level(), Size: root.Size(), Count: root.Entries()}
	var err error
	if root.HasName() {
		if m.Name, err = boundedText(root.NameBytes, MaxPathPart); err != nil {
			return nil, err
		}
	}
	if root.HasRefs() {
		if m.Refs, err = readRefs(root); err != nil {
			return nil, err
		}
	}
	switch body := root.Body(); body.Which() {
	case storagev1.Manifest_body_Which_fileLeaf:
		m.Kind = FileLeaf
	case storagev1.Manifest_body_Which_fileIndex:
		m.Kind = FileIndex
		m.Sizes, err = readChildSizes(body)
	case storagev1.Manifest_body_Which_folderPage:
		m.Kind = FolderPage
		m.Entries, err = readEntries(body, m.Refs)
		m.Refs = nil
	case storagev1.Manifest_body_Which_folderIndex:
		m.Kind = FolderIndex
		m.Branches, err = readBranches(body)
	default:
		return nil, errors.New("the manifest is of a kind that does not exist")
	}
	return m, err
}

func boundedText(get func() ([]byte, error), limit int) (string, error) {
	b, err := get()
	if err != nil {
		return "", err
	}
	if len(b) > limit {
		return "", errors.New("a text in the manifest is too long")
	}
	return string(b), nil
}

// readRefs accepts at most one reference per page entry, the largest column of
// any kind; check narrows it by kind.
func readRefs(root storagev1.Manifest) ([]Ref, error) {
	in, err := root.Refs()
	if err != nil {
		return nil, err
	}
	addrs, e1 := in.Addresses()
	keys, e2 := in.Keys()
	hashes, e3 := in.Hashes()
	encodings, e4 := in.Encodings()
	plain, e5 := in.PlainSizes()
	wire, e6 := in.WireSizes()
	if err := errors.Join(e1, e2, e3, e4, e5, e6); err != nil {
		return nil, err
	}
	n := len(encodings)
	if n == 0 || n > MaxPageEntries || len(addrs) != 32*n || len(hashes) != 32*n ||
		(len(keys) != 32*n && len(keys) != 0) || plain.Len() != n || wire.Len() != n {
		return nil, errManifestShape
	}
	refs := make([]Ref, n)
	for i := range refs {
		r := &refs[i]
		copy(r.Addr[:], addrs[32*i:])
		copy(r.Hash[:], hashes[32*i:])
		if len(keys) > 0 {
			copy(r.Key[:], keys[32*i:32*i+32])
			if r.Key == [32]byte{} {
				return nil, errors.New("a key in the manifest is all zero")
			}
		}
		r.Plain, r.Wire, r.Encoding = plain.At(i), wire.At(i), Encoding(encodings[i])
	}
	return refs, nil
}

func readChildSizes(body storagev1.Manifest_body) ([]uint64, error) {
	list, err := body.FileIndex()
	if err != nil {
		return nil, err
	}
	if err := listWithin(capnp.List(list), MaxIndexRefs); err != nil {
		return nil, err
	}
	sizes := make([]uint64, list.Len())
	for i := range sizes {
		sizes[i] = list.At(i)
	}
	return sizes, nil
}

func readEntries(body storagev1.Manifest_body, refs []Ref) ([]Entry, error) {
	list, err := body.FolderPage()
	if err != nil {
		return nil, err
	}
	if err := listWithin(capnp.List(list), MaxPageEntries); err != nil {
		return nil, err
	}
	entries := make([]Entry, list.Len())
	for i := range entries {
		e, in := &entries[i], list.At(i)
		if in.Kind() > storagev1.Entry_Kind_symlink || in.Ref() > storagev1.Entry_RefKind_manifest {
			return nil, errors.New("an entry is of a kind that does not exist")
		}
		e.Kind, e.Type = EntryKind(in.Kind()), RefKind(in.Ref())
		e.Mode, e.MTime, e.Size = in.Mode(), in.Mtime(), in.Size()
		if e.Path, err = boundedText(in.PathBytes, MaxPath); err != nil {
			return nil, err
		}
		if in.HasTarget() {
			if e.Target, err = boundedText(in.TargetBytes, MaxLinkValue); err != nil {
				return nil, err
			}
		}
		if e.Type == RefNone {
			continue
		}
		if len(refs) == 0 {
			return nil, errManifestShape
		}
		e.Ref, refs = refs[0], refs[1:]
	}
	if len(refs) != 0 {
		return nil, errManifestShape
	}
	return entries, nil
}

func readBranches(body storagev1.Manifest_body) ([]Branch, error) {
	list, err := body.FolderIndex()
	if err != nil {
		return nil, err
	}
	if err := listWithin(capnp.List(list), MaxIndexRefs); err != nil {
		return nil, err
	}
	branches := make([]Branch, list.Len())
	for i := range branches {
		b, in := &branches[i], list.At(i)
		b.Entries, b.Size = in.Entries(), in.Size()
		if b.First, err = boundedText(in.FirstBytes, MaxPath); err != nil {
			return nil, err
		}
	}
	return branches, nil
}

func listWithin(l capnp.List, limit int) error {
	if l.Len() > limit {
		return errors.New("a list in the manifest is too long")
	}
	return nil
}
