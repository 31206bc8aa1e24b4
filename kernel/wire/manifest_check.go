package wire

import (
	"strings"
	"unicode/utf8"

	"inos/kernel/api"
)

// check enforces the rules of the format that the schema cannot state. Encoder
// and decoder share it, so nothing is written that would not be read.
func (m *Manifest) check(op string) error {
	if msg := m.fault(); msg != "" {
		return api.Errorf(op, api.Invalid, msg)
	}
	return nil
}

func (m *Manifest) fault() string {
	leaf := m.Kind == FileLeaf || m.Kind == FolderPage
	switch {
	case m.Level > MaxManifestLevel || leaf != (m.Level == 0):
		return "the manifest's level does not fit its kind"
	case m.Count > MaxEntries || (!m.Folder() && m.Count != 0):
		return "the manifest counts too many entries"
	case m.Name != "" && (m.Folder() || !validPart(m.Name)):
		return "the object's name is not a file name"
	case m.Size > MaxFileSize && !m.Folder():
		return "the file is larger than 1 PiB"
	}
	for i := range m.Refs {
		if s := m.Refs[i].fault(); s != "" {
			return s
		}
	}
	switch m.Kind {
	case FileLeaf:
		return m.fileLeafFault()
	case FileIndex:
		return m.fileIndexFault()
	case FolderPage:
		return m.folderPageFault()
	case FolderIndex:
		return m.folderIndexFault()
	}
	return "the manifest is of a kind that does not exist"
}

func (r *Ref) fault() string {
	sealed := uint32(0)
	if r.Key != [32]byte{} {
		sealed = SealOverhead
	}
	switch {
	case r.Addr.IsZero():
		return "a reference names no block"
	case r.Plain == 0 || r.Plain > api.ChunkSize || r.Wire <= sealed || r.Wire > r.Plain+sealed:
		return "a reference has an impossible size"
	case r.Encoding > EncodingBrotli:
		return "a reference has an unknown encoding"
	case r.Encoding == EncodingRaw && r.Wire != r.Plain+sealed:
		return "a raw reference changes its size"
	}
	return ""
}

func (m *Manifest) fileLeafFault() string {
	if len(m.Refs) > MaxLeafRefs {
		return "a file leaf names too many chunks"
	}
	var sum uint64
	for i := range m.Refs {
		if i+1 < len(m.Refs) && m.Refs[i].Plain != api.ChunkSize {
			return "a chunk before the last is not 1 MiB"
		}
		sum += uint64(m.Refs[i].Plain)
	}
	if sum != m.Size {
		return "the chunks do not add up to the file's size"
	}
	return ""
}

func (m *Manifest) fileIndexFault() string {
	if len(m.Refs) == 0 || len(m.Refs) > MaxIndexRefs || len(m.Sizes) != len(m.Refs) {
		return "a file index has an impossible number of children"
	}
	var sum uint64
	for _, n := range m.Sizes {
		if n == 0 || n > MaxFileSize {
			return "a file index has a child of impossible size"
		}
		sum += n
	}
	if sum != m.Size {
		return "the children do not add up to the file's size"
	}
	return ""
}

func (m *Manifest) folderPageFault() string {
	if len(m.Entries) > MaxPageEntries || uint64(len(m.Entries)) != m.Count {
		return "a folder page has an impossible number of entries"
	}
	var sum uint64
	for i := range m.Entries {
		e := &m.Entries[i]
		if s := e.fault(); s != "" {
			return s
		}
		if i > 0 && m.Entries[i-1].Path >= e.Path {
			return "the entries of a folder are not sorted"
		}
		sum += e.Size // at most 2^11 entries of at most 2^50 bytes
	}
	if sum != m.Size {
		return "the entries do not add up to the folder's size"
	}
	return ""
}

func (e *Entry) fault() string {
	switch {
	case !ValidPath(e.Path):
		return "an entry's path is not a clean relative path"
	case e.Kind > KindSymlink || e.Type > RefManifest:
		return "an entry is of a kind that does not exist"
	case e.Mode > MaxMode:
		return "an entry's mode has more than permission bits"
	case (e.Kind == KindSymlink) != (e.Target != "") || len(e.Target) > MaxLinkValue || strings.IndexByte(e.Target, 0) >= 0:
		return "a symbolic link's target is not valid"
	case e.Kind != KindFile && e.Type != RefNone:
		return "only files have content"
	case (e.Type == RefNone) != (e.Size == 0) || e.Size > MaxFileSize:
		return "an entry's size does not fit its content"
	case e.Type == RefBlock && uint64(e.Ref.Plain) != e.Size,
		e.Type == RefManifest && e.Size <= api.ChunkSize:
		return "an entry's size does not fit its reference"
	}
	if e.Type == RefNone {
		return ""
	}
	return e.Ref.fault()
}

func (m *Manifest) folderIndexFault() string {
	if len(m.Refs) == 0 || len(m.Refs) > MaxIndexRefs || len(m.Branches) != len(m.Refs) {
		return "a folder index has an impossible number of children"
	}
	var size, count uint64
	for i, b := range m.Branches {
		if !ValidPath(b.First) || (i > 0 && m.Branches[i-1].First >= b.First) {
			return "the children of a folder index are not sorted"
		}
		if b.Entries == 0 || b.Entries > MaxEntries || size+b.Size < size {
			return "a folder index has a child of impossible size"
		}
		size, count = size+b.Size, count+b.Entries
	}
	if size != m.Size || count != m.Count {
		return "the children do not add up to the folder's size"
	}
	return ""
}

// ValidPath reports whether p is a clean relative path: UTF-8, 1..MaxPath
// bytes, parts of 1..MaxPathPart bytes joined by single slashes, none of them
// "." or "..", and no NUL.
func ValidPath(p string) bool {
	if p == "" || len(p) > MaxPath || !utf8.ValidString(p) {
		return false
	}
	for part := range strings.SplitSeq(p, "/") {
		if !validPart(part) {
			return false
		}
	}
	return true
}

func validPart(s string) bool {
	return s != "" && s != "." && s != ".." && len(s) <= MaxPathPart &&
		utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 && strings.IndexByte(s, '/') < 0
}
