package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"inos/kernel/api"
)

// makeTree makes a folder with one of each thing that a put keeps.
func makeTree(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	for _, d := range []string{"sub/deep", "empty"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, data := range map[string]string{
		"a.txt": "ay", "sub/b.txt": "bee", "sub/deep/none": "", "Grüße 世界": "utf-8", strings.Repeat("long", 40): "x", "-rf": "a name like a flag",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "a.txt"), 0o755); err != nil {
		t.Fatal(err)
	}
	when := time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(dir, "a.txt"), when, when); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"link": "a.txt", "dangling": "/nowhere/at/all", "sub/up": "../a.txt"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// listing describes everything below dir.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := walk(t.Context(), dir, func(path, name string, fi fs.FileInfo) error {
		b.WriteString(name + " " + fi.Mode().String())
		switch fi.Mode().Type() {
		case 0:
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			b.WriteString(" " + fi.ModTime().Truncate(time.Second).UTC().String() + " " + string(data))
		case fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			b.WriteString(" -> " + target)
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func sameTree(t *testing.T, want, got string) {
	t.Helper()
	if w, g := listing(t, want), listing(t, got); w != g {
		t.Errorf("folders differ\n--- got\n%s--- want\n%s", g, w)
	}
}

func TestPackIsDeterministicAndSized(t *testing.T) {
	dir := makeTree(t)
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	var first, second bytes.Buffer
	var skipped []string
	if err := pack(t.Context(), &first, dir, func(p string) { skipped = append(skipped, filepath.Base(p)) }); err != nil {
		t.Fatal(err)
	}
	if err := pack(t.Context(), &second, dir, func(string) {}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the same folder gives two streams")
	}
	if len(skipped) != 1 || skipped[0] != "pipe" {
		t.Error("skipped", skipped)
	}
	var names []string
	for r := tar.NewReader(&first); ; {
		h, err := r.Next()
		if err != nil {
			break
		}
		names = append(names, h.Name)
		if h.Uid != 0 || h.Uname != "" {
			t.Errorf("%s names its owner", h.Name)
		}
	}
	if len(names) != 12 || names[0] != "-rf" {
		t.Error(names)
	}
	files, size, err := sizeUp(t.Context(), dir)
	if err != nil || files != 6 || size != 2+3+0+5+1+18 {
		t.Error(files, size, err)
	}
}

func TestPackNamesAnUnreadableFile(t *testing.T) {
	dir := makeTree(t)
	gone := filepath.Join(dir, "sub", "b.txt")
	if os.Getuid() != 0 {
		if err := os.Chmod(gone, 0); err != nil {
			t.Fatal(err)
		}
		if err := pack(t.Context(), io.Discard, dir, nil); !errors.Is(err, api.Denied) || !strings.Contains(err.Error(), gone) {
			t.Error(err)
		}
	}
	if err := pack(t.Context(), io.Discard, filepath.Join(dir, "nowhere"), nil); !errors.Is(err, api.NotFound) || !strings.Contains(err.Error(), "nowhere") {
		t.Error(err)
	}
}

// growing changes size between its header and its bytes.
func TestPackNoticesChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{4, 6} {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := copyExactly(io.Discard, f, path, size); !errors.Is(err, api.Conflict) || !strings.Contains(err.Error(), path) {
			t.Error(size, err)
		}
		_ = f.Close()
	}
}

// entry of a hostile archive.
type entry struct {
	name, data, link string
	kind             byte
}

func archive(t testing.TB, entries ...entry) *bytes.Reader {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: e.kind, Linkname: e.link, Mode: 0o644, Size: int64(len(e.data))}
		if err := w.WriteHeader(h); err != nil {
			t.Skip("archive/tar does not write this name")
		}
		_, _ = w.Write([]byte(e.data))
	}
	_ = w.Close()
	return bytes.NewReader(b.Bytes())
}

// TestExtractStaysInside: no archive writes outside its folder.
func TestExtractStaysInside(t *testing.T) {
	for _, tc := range []struct {
		name    string
		entries []entry
		kind    api.Kind // Other: allowed
	}{
		{"parent", []entry{{name: "../evil", data: "x", kind: tar.TypeReg}}, api.Invalid},
		{"deep parent", []entry{{name: "a/../../evil", data: "x", kind: tar.TypeReg}}, api.Invalid},
		{"absolute", []entry{{name: "/tmp/evil", data: "x", kind: tar.TypeReg}}, api.Invalid},
		{"dot", []entry{{name: ".", kind: tar.TypeDir}}, api.Invalid},
		{"device", []entry{{name: "dev", kind: tar.TypeChar}}, api.Invalid},
		{"hard link", []entry{{name: "hard", link: "/etc/passwd", kind: tar.TypeLink}}, api.Invalid},
		{"through its own link", []entry{
			{name: "out", link: "..", kind: tar.TypeSymlink},
			{name: "out/evil", data: "x", kind: tar.TypeReg},
		}, api.Exists},
		{"link replaced by a file", []entry{
			{name: "f", link: "../evil", kind: tar.TypeSymlink},
			{name: "f", data: "x", kind: tar.TypeReg},
		}, api.Exists},
		{"twice", []entry{{name: "f", data: "1", kind: tar.TypeReg}, {name: "f", data: "2", kind: tar.TypeReg}}, api.Exists},
		{"dangling link is kept", []entry{{name: "l", link: "/nowhere", kind: tar.TypeSymlink}}, api.Other},
		{"dots in names", []entry{{name: "..a/b..c", data: "x", kind: tar.TypeReg}}, api.Other},
	} {
		outer := t.TempDir()
		dir := filepath.Join(outer, "dest")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		err = extract(root, archive(t, tc.entries...), false)
		_ = root.Close()
		if tc.kind == api.Other && err != nil || tc.kind != api.Other && !errors.Is(err, tc.kind) {
			t.Errorf("%s: %v", tc.name, err)
		}
		onlyDest(t, outer)
	}
}

// TestExtractDoesNotFollowOldLinks: a link already in the destination is no way
// out either.
func TestExtractDoesNotFollowOldLinks(t *testing.T) {
	outer := t.TempDir()
	dir := filepath.Join(outer, "dest")
	if err := errors.Join(os.Mkdir(dir, 0o755), os.Symlink("..", filepath.Join(dir, "out"))); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	if err := extract(root, archive(t, entry{name: "out/evil", data: "x", kind: tar.TypeReg}), true); err == nil {
		t.Error("wrote through a link")
	}
	onlyDest(t, outer)
}

// TestExtractRefusesSparseFiles: a few bytes of archive may not become a file
// of any size.
func TestExtractRefusesSparseFiles(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	// The writer does not make sparse entries, so the record's name is patched in.
	h := &tar.Header{Name: "f", Typeflag: tar.TypeReg, Format: tar.FormatPAX, PAXRecords: map[string]string{"XXX.xxxxxx.major": "1"}}
	if err := w.WriteHeader(h); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	raw := bytes.ReplaceAll(b.Bytes(), []byte("XXX.xxxxxx.major"), []byte("GNU.sparse.major"))
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	if err := extract(root, bytes.NewReader(raw), false); !errors.Is(err, api.Invalid) && !errors.Is(err, api.Corrupt) {
		t.Error(err)
	}
}

func onlyDest(t testing.TB, outer string) {
	t.Helper()
	entries, err := os.ReadDir(outer)
	if err != nil || len(entries) != 1 {
		t.Fatal("something was written outside:", entries, err)
	}
}

func TestExtractTruncated(t *testing.T) {
	whole := archive(t, entry{name: "f", data: strings.Repeat("x", 5000), kind: tar.TypeReg})
	raw, _ := io.ReadAll(whole)
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	if err := extract(root, bytes.NewReader(raw[:3000]), false); !errors.Is(err, api.Corrupt) {
		t.Error(err)
	}
	if _, err := root.Lstat("f"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("half a file appeared")
	}
}

// FuzzExtract feeds any bytes as a tar stream: nothing outside the folder, no
// panic, no temporary file left.
func FuzzExtract(f *testing.F) {
	for _, name := range []string{"a", "../a", "/a", "a/b", "a//b", "./a", "a/..", strings.Repeat("n", 300)} {
		for _, kind := range []byte{tar.TypeReg, tar.TypeDir, tar.TypeSymlink} {
			e := entry{name: name, kind: kind}
			switch kind {
			case tar.TypeReg:
				e.data = "data"
			case tar.TypeSymlink:
				e.link = ".."
			}
			raw, _ := io.ReadAll(archive(f, e, entry{name: name + "/x", data: "y", kind: tar.TypeReg}))
			f.Add(raw)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		outer := t.TempDir()
		dir := filepath.Join(outer, "dest")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		_ = extract(root, bytes.NewReader(raw), false)
		_ = root.Close()
		onlyDest(t, outer)
		_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, _ error) error {
			if strings.HasPrefix(filepath.Base(path), ".inos-") {
				t.Error("left behind:", path)
			}
			return nil
		})
	})
}

// FuzzLocalName: an accepted name stays below the folder.
func FuzzLocalName(f *testing.F) {
	for _, s := range []string{"a", "a/b/", "..", "../a", "/", "", "a\x00", "a/./b", "C:", `\\x\y`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		clean, ok := localName(s)
		if ok && (!filepath.IsLocal(clean) || filepath.Clean(clean) != clean || strings.HasPrefix(filepath.Join("/d", clean), "/d/") == false) {
			t.Errorf("%q passed as %q", s, clean)
		}
	})
}
