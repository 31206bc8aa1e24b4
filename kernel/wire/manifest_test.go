package wire

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"inos/kernel/api"
)

func testRef(n byte, plain uint32, sealed bool) Ref {
	r := Ref{Addr: api.Address{n, 1}, Hash: api.Hash{n, 2}, Plain: plain, Wire: plain}
	if sealed {
		r.Key, r.Wire = [32]byte{n, 3}, plain+SealOverhead
	}
	return r
}

func testManifests() map[string]*Manifest {
	packed := testRef(9, 1000, true)
	packed.Encoding, packed.Wire = EncodingBrotli, 300
	return map[string]*Manifest{
		"empty file": {Kind: FileLeaf, Name: "a"},
		"file":       {Kind: FileLeaf, Size: api.ChunkSize + 5, Name: "photo.jpg", Refs: []Ref{testRef(1, api.ChunkSize, false), testRef(2, 5, false)}},
		"index": {
			Kind: FileIndex, Level: 2, Size: 30, Sizes: []uint64{10, 20},
			Refs: []Ref{testRef(1, 100, true), testRef(2, 200, true)},
		},
		"empty folder": {Kind: FolderPage},
		"page": {Kind: FolderPage, Count: 4, Size: 1000 + 5<<20, Entries: []Entry{
			{Path: "a", Kind: KindDir, Mode: 0o755, MTime: -5},
			{Path: "a/b", Mode: 0o644, MTime: 1 << 40, Size: 1000, Type: RefBlock, Ref: packed},
			{Path: "a/link", Kind: KindSymlink, Mode: 0o777, Target: "../x"},
			{Path: "big", Size: 5 << 20, Type: RefManifest, Ref: testRef(3, 500, true)},
		}},
		"folder index": {
			Kind: FolderIndex, Level: 1, Size: 7, Count: 3,
			Branches: []Branch{{First: "a", Entries: 1}, {First: "b/c", Entries: 2, Size: 7}},
			Refs:     []Ref{testRef(1, 100, true), testRef(2, 200, true)},
		},
	}
}

func TestManifestRoundTrip(t *testing.T) {
	for name, m := range testManifests() {
		b, err := EncodeManifest(m)
		if err != nil {
			t.Fatal(name, err)
		}
		again, _ := EncodeManifest(m)
		if !bytes.Equal(b, again) {
			t.Errorf("%s: two encodings differ", name)
		}
		got, err := DecodeManifest(b)
		if err != nil {
			t.Fatal(name, err)
		}
		if !reflect.DeepEqual(normal(got), normal(m)) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, m)
		}
	}
}

// normal makes empty and nil slices alike.
func normal(m *Manifest) string { return fmt.Sprintf("%+v", *m) }

func TestLargestManifestsFit(t *testing.T) {
	leaf := &Manifest{Kind: FileLeaf, Size: MaxLeafRefs * api.ChunkSize}
	for range MaxLeafRefs {
		leaf.Refs = append(leaf.Refs, testRef(1, api.ChunkSize, true))
	}
	if b, err := EncodeManifest(leaf); err != nil || len(b) > MaxManifest/4 {
		t.Fatal(len(b), err)
	}
	page := &Manifest{Kind: FolderPage, Count: MaxPageEntries, Size: MaxPageEntries}
	for i := range MaxPageEntries {
		page.Entries = append(page.Entries, Entry{Path: fmt.Sprintf("%s%05d", strings.Repeat("p", 100), i), Size: 1, Type: RefBlock, Ref: testRef(1, 1, true)})
	}
	b, err := EncodeManifest(page)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeManifest(b); err != nil {
		t.Fatal(err)
	}
}

func TestManifestRefuses(t *testing.T) {
	for name, change := range map[string]func(*Manifest){
		"size":          func(m *Manifest) { m.Size++ },
		"count":         func(m *Manifest) { m.Count-- },
		"order":         func(m *Manifest) { m.Entries[0], m.Entries[1] = m.Entries[1], m.Entries[0] },
		"twice":         func(m *Manifest) { m.Entries[1].Path = "a" },
		"parent":        func(m *Manifest) { m.Entries[3].Path = "b/../../etc/passwd" },
		"absolute":      func(m *Manifest) { m.Entries[0].Path = "/a" },
		"dots":          func(m *Manifest) { m.Entries[0].Path = "." },
		"nul":           func(m *Manifest) { m.Entries[3].Path = "big\x00" },
		"not UTF-8":     func(m *Manifest) { m.Entries[3].Path = "big\xff" },
		"mode":          func(m *Manifest) { m.Entries[0].Mode = 1 << 20 },
		"no target":     func(m *Manifest) { m.Entries[2].Target = "" },
		"file target":   func(m *Manifest) { m.Entries[1].Target = "x" },
		"dir content":   func(m *Manifest) { m.Entries[1].Kind = KindDir },
		"level":         func(m *Manifest) { m.Level = 1 },
		"name":          func(m *Manifest) { m.Name = "x" },
		"ref size":      func(m *Manifest) { m.Entries[1].Ref.Plain++ },
		"huge wire":     func(m *Manifest) { m.Entries[1].Ref.Wire = 5000 },
		"no address":    func(m *Manifest) { m.Entries[1].Ref.Addr = api.Address{} },
		"encoding":      func(m *Manifest) { m.Entries[1].Ref.Encoding = 7 },
		"mixed sealing": func(m *Manifest) { m.Entries[3].Ref = testRef(3, 500, false) },
	} {
		m := testManifests()["page"]
		change(m)
		if b, err := EncodeManifest(m); err == nil {
			t.Errorf("%s: encoded to %d bytes", name, len(b))
		}
	}
}

func TestManifestVersion(t *testing.T) {
	b, err := EncodeManifest(testManifests()["file"])
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.IndexByte(b[16:], ManifestVersion) + 16 // the first byte of the root struct
	b[i] = 2
	if _, err := DecodeManifest(b); !errors.Is(err, api.Unsupported) {
		t.Fatalf("a newer version: %v", err)
	}
}

// FuzzManifest checks that no input panics or passes without keeping the rules,
// and that what passes survives another trip.
func FuzzManifest(f *testing.F) {
	for _, m := range testManifests() {
		b, err := EncodeManifest(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeManifest(b)
		if err != nil {
			if k := api.KindOf(err); k != api.Invalid && k != api.Unsupported {
				t.Fatalf("kind %v: %v", k, err)
			}
			return
		}
		again, err := EncodeManifest(m)
		if err != nil {
			t.Fatal("what was decoded does not encode:", err)
		}
		back, err := DecodeManifest(again)
		if err != nil || normal(back) != normal(m) {
			t.Fatalf("changed on the way: %v", err)
		}
	})
}
