package chunk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"inos/kernel/api"
	"inos/kernel/chunk"
	"inos/kernel/chunk/chunktest"
)

var key = [32]byte{1, 2, 3}

func buildFile(t testing.TB, s *chunktest.Store, opt chunk.Options, data []byte) chunk.Result {
	t.Helper()
	r, err := chunk.BuildFile(t.Context(), opt, s.Sink, "name.bin", bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mixed(n int) []byte {
	data := make([]byte, n)
	for i := 0; i < n; i += 3 << 19 {
		part := data[i:min(i+3<<19, n)]
		switch i / (3 << 19) % 3 {
		case 0:
			chunktest.Random(uint64(i), part)
		case 1:
			chunktest.Text(uint64(i), part)
		}
	}
	return data
}

func TestFileRoundTrip(t *testing.T) {
	sizes := []int{0, 1, 100, 4096, api.LargeBlock, api.ChunkSize - 1, api.ChunkSize, api.ChunkSize + 1, 3*api.ChunkSize + 17}
	for _, size := range sizes {
		for _, ns := range [][32]byte{{}, key} {
			t.Run(fmt.Sprintf("%d/public=%v", size, ns == [32]byte{}), func(t *testing.T) {
				data, s := mixed(size), chunktest.NewStore()
				res := buildFile(t, s, chunk.Options{Namespace: ns}, data)
				if res.Bytes != uint64(size) || res.Files != 1 || res.Wire != s.Bytes() || res.Blocks != uint64(len(s.Blocks)) {
					t.Fatalf("result %+v does not describe %d bytes in %d blocks of %d bytes", res, size, len(s.Blocks), s.Bytes())
				}
				if res.Link.Public() != (ns == [32]byte{}) {
					t.Fatal("only the zero namespace is public")
				}
				o, err := chunk.Open(t.Context(), res.Link, s)
				if err != nil {
					t.Fatal(err)
				}
				if i := o.Info(); i.Folder || i.Name != "name.bin" || i.Size != uint64(size) {
					t.Fatalf("info %+v", i)
				}
				e, err := o.Lookup(t.Context(), "")
				if err != nil {
					t.Fatal(err)
				}
				var got bytes.Buffer
				if err := o.ReadFile(t.Context(), e, &got); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got.Bytes(), data) {
					t.Fatal("the file came back different")
				}
				checkBlocks(t, o, s)
			})
		}
	}
}

// checkBlocks verifies that Blocks lists exactly what is stored.
func checkBlocks(t *testing.T, o *chunk.Object, s *chunktest.Store) {
	t.Helper()
	seen := map[api.Address]int{}
	if err := o.Blocks(t.Context(), func(a api.Address, n int) error { seen[a] = n; return nil }); err != nil {
		t.Fatal(err)
	}
	if len(seen) != len(s.Blocks) {
		t.Fatalf("Blocks lists %d blocks of %d", len(seen), len(s.Blocks))
	}
	for a, n := range seen {
		if len(s.Blocks[a]) != n {
			t.Fatalf("block %s has %d bytes, listed as %d", a, len(s.Blocks[a]), n)
		}
	}
}

func TestReadRange(t *testing.T) {
	data, s := mixed(4*api.ChunkSize+100), chunktest.NewStore()
	res := buildFile(t, s, chunk.Options{Namespace: key}, data)
	o, err := chunk.Open(t.Context(), res.Link, s)
	if err != nil {
		t.Fatal(err)
	}
	e, _ := o.File()
	n := uint64(len(data))
	for _, r := range [][2]uint64{{0, 0}, {0, 1}, {0, n}, {api.ChunkSize - 1, 2}, {api.ChunkSize, api.ChunkSize}, {n - 1, 1}, {n - 1, 99}, {n, 5}, {n + 7, 1}, {5, ^uint64(0)}} {
		var got bytes.Buffer
		if err := o.ReadRange(t.Context(), e, r[0], r[1], &got); err != nil {
			t.Fatal(r, err)
		}
		lo := min(r[0], n)
		hi := lo + min(r[1], n-lo)
		if !bytes.Equal(got.Bytes(), data[lo:hi]) {
			t.Fatalf("range %v came back different", r)
		}
	}
	before := s.Fetched
	if err := o.ReadRange(t.Context(), e, 2*api.ChunkSize+5, 10, io.Discard); err != nil {
		t.Fatal(err)
	}
	if s.Fetched != before+1 {
		t.Fatalf("a range within one chunk fetched %d blocks", s.Fetched-before)
	}
}

type file struct{ bytes.Buffer }

func (f *file) Close() error { return nil }

func TestFolderRoundTrip(t *testing.T) {
	want := map[string][]byte{}
	s := chunktest.NewStore()
	b := chunk.NewBuilder(t.Context(), chunk.Options{Namespace: key}, s.Sink)
	add := func(path string, data []byte) {
		want[path] = data
		if err := b.AddFile(t.Context(), path, 0o640, 1700000000, bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 1500 {
		add(fmt.Sprintf("many/%d/file-%d.txt", i%7, i), []byte(strings.Repeat(fmt.Sprint(i), 50)))
	}
	add("big/mixed", mixed(3*api.ChunkSize+5))
	add("big/one", mixed(api.ChunkSize))
	add("empty", nil)
	if err := errors.Join(b.AddDir(t.Context(), "lonely/dir", 0o700, 5), b.AddSymlink(t.Context(), "link", "big/one", 6)); err != nil {
		t.Fatal(err)
	}
	res, err := b.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !res.Folder || res.Files != uint64(len(want)) || res.Entries != uint64(len(want)+12) {
		t.Fatalf("result %+v", res)
	}
	o, err := chunk.Open(t.Context(), res.Link, s)
	if err != nil {
		t.Fatal(err)
	}
	checkBlocks(t, o, s)
	s.Requests = 0
	got := map[string]*file{}
	last := ""
	err = o.Extract(t.Context(), nil, func(e chunk.Entry) (io.WriteCloser, error) {
		if e.Path <= last {
			t.Errorf("%q after %q", e.Path, last)
		}
		last = e.Path
		if e.Kind != chunk.KindFile {
			return nil, nil
		}
		got[e.Path] = new(file)
		return got[e.Path], nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.Requests > 100 {
		t.Errorf("1500 small files took %d requests", s.Requests)
	}
	for path, data := range want {
		if got[path] == nil || !bytes.Equal(got[path].Bytes(), data) {
			t.Fatalf("%s came back different", path)
		}
		e, err := o.Lookup(t.Context(), path)
		if err != nil || e.Size != uint64(len(data)) || e.Mode != 0o640 || e.MTime != 1700000000 {
			t.Fatalf("lookup of %s: %+v, %v", path, e, err)
		}
	}
	for path, kind := range map[string]any{"lonely": chunk.KindDir, "lonely/dir": chunk.KindDir, "link": chunk.KindSymlink, "nothing": api.NotFound, "many/3": chunk.KindDir, "": api.NotFound, "zzz": api.NotFound} {
		e, err := o.Lookup(t.Context(), path)
		if want, fails := kind.(api.Kind); fails {
			if !errors.Is(err, want) {
				t.Errorf("lookup of %q: %v", path, err)
			}
		} else if err != nil || e.Kind != kind {
			t.Errorf("lookup of %q: %+v, %v", path, e, err)
		}
	}
}

func TestSameTreeSameRoot(t *testing.T) {
	build := func(reverse bool, workers int) api.Link {
		b := chunk.NewBuilder(t.Context(), chunk.Options{Namespace: key, Workers: workers}, chunktest.NewStore().Sink)
		for i := range 1000 {
			if reverse {
				i = 999 - i
			}
			if err := b.AddFile(t.Context(), fmt.Sprintf("d%d/f%d", i%3, i), 0o644, 7, strings.NewReader(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}
		res, err := b.Finish(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return res.Link
	}
	if build(false, 1) != build(true, 7) {
		t.Fatal("order or workers changed the root")
	}
}

func TestRepeatedContentIsStoredOnce(t *testing.T) {
	s := chunktest.NewStore()
	res := buildFile(t, s, chunk.Options{}, make([]byte, 50*api.ChunkSize))
	if res.Blocks != 2 || len(s.Blocks) != 2 {
		t.Fatalf("50 equal chunks became %d blocks", res.Blocks)
	}
	o, err := chunk.Open(context.Background(), res.Link, s)
	if err != nil {
		t.Fatal(err)
	}
	e, _ := o.File()
	var got bytes.Buffer
	if err := o.ReadFile(t.Context(), e, &got); err != nil || !bytes.Equal(got.Bytes(), make([]byte, 50*api.ChunkSize)) {
		t.Fatal("zeros came back different", err)
	}
}
