package wire

import (
	capnp "capnproto.org/go/capnp/v3"

	"inos/kernel/api"
	storagev1 "inos/protocols/gen/go/storage/v1"
)

// ManifestVersion is the only version of manifests so far. A decoder refuses
// another, because guessing at an unknown layout would corrupt silently.
const ManifestVersion = 1

// Bounds of manifests, part of the format: a decoder refuses what is beyond.
const (
	MaxManifest      = api.ChunkSize // encoded bytes
	MaxManifestLevel = 4             // levels above the leaves
	MaxLeafRefs      = 1024          // chunks named by one file leaf: 1 GiB
	MaxIndexRefs     = 1024          // children of one index
	MaxPageEntries   = 2048          // entries of one folder page
	MaxEntries       = 4 << 20       // entries of a folder object
	MaxFileSize      = 1 << 50       // plaintext bytes of one file

	MaxPath      = 4096 // bytes of an entry's path
	MaxPathPart  = 255  // bytes between two slashes
	MaxLinkValue = 4096 // bytes of a symbolic link's target
	MaxMode      = 0o7777
)

// Encoding says how plaintext became the bytes that were sealed.
type Encoding uint8

// The encodings.
const (
	EncodingRaw Encoding = iota
	EncodingBrotli
)

// SealOverhead is the size of the authentication tag of a sealed block.
const SealOverhead = 16

// Ref names one block and holds what opens it.
type Ref struct {
	Addr     api.Address
	Key      [32]byte // zero for a public block
	Hash     api.Hash // BLAKE3 of the plaintext
	Plain    uint32   // 1..ChunkSize
	Wire     uint32   // 1..MaxBlock
	Encoding Encoding
}

// EntryKind is what an entry of a folder is.
type EntryKind uint8

// The kinds of entry.
const (
	KindFile EntryKind = iota
	KindDir
	KindSymlink
)

// RefKind is what an entry's Ref names.
type RefKind uint8

// The kinds of reference.
const (
	RefNone     RefKind = iota // no content
	RefBlock                   // the file's only chunk
	RefManifest                // the file's top manifest
)

// Entry is one file, folder or symbolic link of a folder object.
type Entry struct {
	Path   string // slash-separated, relative; see ValidPath
	Kind   EntryKind
	Mode   uint32 // permission bits
	MTime  int64  // Unix seconds
	Size   uint64 // plaintext bytes of a file
	Target string // of a symbolic link
	Type   RefKind
	Ref    Ref // zero when Type is RefNone
}

// Branch describes one child of a folder index.
type Branch struct {
	First   string // the smallest path below
	Entries uint64
	Size    uint64
}

// ManifestKind tells the four nodes of the DAG apart.
type ManifestKind uint8

// The kinds of manifest.
const (
	FileLeaf    ManifestKind = iota // Refs are chunks
	FileIndex                       // Refs are manifests, Sizes the bytes below each
	FolderPage                      // Entries carry their own references
	FolderIndex                     // Refs are manifests, Branches describe them
)

// Manifest is one node of an object's Merkle DAG.
type Manifest struct {
	Kind     ManifestKind
	Level    uint8
	Size     uint64 // plaintext bytes of file content below
	Count    uint64 // folder entries below
	Name     string // only in the root of a single-file object
	Refs     []Ref
	Sizes    []uint64
	Entries  []Entry
	Branches []Branch
}

// Folder reports whether m belongs to a folder object.
func (m *Manifest) Folder() bool { return m.Kind >= FolderPage }

// EncodeManifest returns the encoded bytes, the same for the same m: a single
// segment, written field by field in a fixed order. Invalid if m breaks a rule
// that DecodeManifest enforces.
func EncodeManifest(m *Manifest) ([]byte, error) {
	const op = "wire.encodemanifest"
	if err := m.check(op); err != nil {
		return nil, err
	}
	msg, seg, err := capnp.NewMessage(capnp.SingleSegment(nil))
	if err != nil {
		return nil, api.E(op, api.Other, err)
	}
	defer msg.Release()
	root, err := storagev1.NewRootManifest(seg)
	if err != nil {
		return nil, api.E(op, api.Other, err)
	}
	if err := fillManifest(root, m); err != nil {
		return nil, api.E(op, api.Other, err)
	}
	b, err := msg.Marshal()
	if err != nil {
		return nil, api.E(op, api.Other, err)
	}
	if len(b) > MaxManifest {
		return nil, api.Errorf(op, api.Invalid, "the manifest is larger than 1 MiB")
	}
	return b, nil
}

// DecodeManifest parses and validates b, which may come from anybody. The
// result shares no memory with b. Invalid when b breaks the format, Unsupported
// when a newer version wrote it.
func DecodeManifest(b []byte) (*Manifest, error) {
	const op = "wire.decodemanifest"
	if len(b) > MaxManifest {
		return nil, api.Errorf(op, api.Invalid, "the manifest is larger than 1 MiB")
	}
	msg, err := capnp.Unmarshal(b)
	if err != nil {
		return nil, api.E(op, api.Invalid, err)
	}
	// Each field is read once, so honest messages stay near their own length;
	// the limit stops pointers that alias one another.
	msg.ResetReadLimit(uint64(2*len(b) + 4096))
	root, err := storagev1.ReadRootManifest(msg)
	if err != nil {
		return nil, api.E(op, api.Invalid, err)
	}
	if v := root.Version(); v != ManifestVersion {
		return nil, api.Errorf(op, api.Unsupported, "this manifest has a version that this build does not read; update inos")
	}
	m, err := readManifest(root)
	if err != nil {
		return nil, api.E(op, api.Invalid, err)
	}
	if err := m.check(op); err != nil {
		return nil, err
	}
	return m, nil
}
