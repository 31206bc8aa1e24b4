package chunk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
	"inos/kernel/chunk"
	"inos/kernel/chunk/chunktest"
	"inos/kernel/wire"
)

func wantKind(t testing.TB, what string, err error, kind api.Kind) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%s: got %v, want %v", what, err, kind)
	}
}

func TestOpenRefusesBadLinks(t *testing.T) {
	s := chunktest.NewStore()
	private := buildFile(t, s, chunk.Options{Namespace: key}, mixed(100))
	public := buildFile(t, s, chunk.Options{}, mixed(100))
	open := func(l api.Link) error {
		_, err := chunk.Open(t.Context(), l, s)
		return err
	}
	bad := private.Link
	bad.Key[0] ^= 1
	wantKind(t, "wrong key", open(bad), api.Unverified)
	wantKind(t, "no key", open(api.Link{Root: private.Link.Root}), api.Invalid)
	wantKind(t, "key of a public object", open(api.Link{Root: public.Link.Root, Key: key}), api.Unverified)
	wantKind(t, "unknown root", open(api.Link{Root: api.Address{1}}), api.NotFound)
	for a := range s.Blocks { // chunks are not manifests
		if a != private.Link.Root && a != public.Link.Root {
			wantKind(t, "chunk as root", open(api.Link{Root: a}), api.Invalid)
		}
	}
	s.Blocks[public.Link.Root] = s.Blocks[private.Link.Root]
	wantKind(t, "another block at the root's address", open(public.Link), api.Corrupt)
}

func TestDamageEndsInAnError(t *testing.T) {
	data := mixed(6 * api.ChunkSize)
	for name, hurt := range map[string]func(s *chunktest.Store, a api.Address){
		"flipped": func(s *chunktest.Store, a api.Address) { s.Blocks[a][len(s.Blocks[a])/2] ^= 1 },
		"cut":     func(s *chunktest.Store, a api.Address) { s.Blocks[a] = s.Blocks[a][:len(s.Blocks[a])-1] },
		"missing": func(s *chunktest.Store, a api.Address) { delete(s.Blocks, a) },
	} {
		for _, ns := range [][32]byte{{}, key} {
			s := chunktest.NewStore()
			res := buildFile(t, s, chunk.Options{Namespace: ns}, data)
			for a := range s.Blocks {
				if a != res.Link.Root {
					hurt(s, a)
					break
				}
			}
			o, err := chunk.Open(t.Context(), res.Link, s)
			if err != nil {
				t.Fatal(err)
			}
			e, _ := o.File()
			var got bytes.Buffer
			err = o.ReadFile(t.Context(), e, &got)
			kind := api.Corrupt
			if name == "missing" {
				kind = api.NotFound
			}
			wantKind(t, name, err, kind)
			if !bytes.HasPrefix(data, got.Bytes()) {
				t.Errorf("%s: wrong bytes were written before the error", name)
			}
		}
	}
}

func TestSinkAndReaderErrorsEndTheBuild(t *testing.T) {
	full := func(context.Context, api.Block) error { return api.Errorf("test", api.NoSpace, "full") }
	_, err := chunk.BuildFile(t.Context(), chunk.Options{Window: 1}, full, "", bytes.NewReader(mixed(5*api.ChunkSize)))
	wantKind(t, "sink", err, api.NoSpace)

	broken := api.Errorf("test", api.Unavailable, "gone")
	_, err = chunk.BuildFile(t.Context(), chunk.Options{}, discard, "", io.MultiReader(bytes.NewReader(mixed(3*api.ChunkSize)), iotest.ErrReader(broken)))
	wantKind(t, "reader", err, api.Unavailable)

	b := chunk.NewBuilder(t.Context(), chunk.Options{}, full)
	_ = b.AddFile(t.Context(), "a", 0, 0, strings.NewReader("text"))
	_, err = b.Finish(t.Context())
	wantKind(t, "folder sink", err, api.NoSpace)

	ctx, cancel := context.WithCancel(t.Context())
	blocked := make(chan struct{}, 100)
	wait := func(ctx context.Context, _ api.Block) error {
		blocked <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	go func() { <-blocked; cancel() }()
	_, err = chunk.BuildFile(ctx, chunk.Options{Window: 2}, wait, "", bytes.NewReader(mixed(9*api.ChunkSize)))
	wantKind(t, "cancel", err, api.Canceled)
}

func TestBuilderRefusesBadEntries(t *testing.T) {
	for _, p := range []string{"", "/a", "a//b", "../a", "a/..", ".", "a/", "a\x00", "\xff", strings.Repeat("a", 256), strings.Repeat("a/", 2100) + "a"} {
		b := chunk.NewBuilder(t.Context(), chunk.Options{}, discard)
		wantKind(t, fmt.Sprintf("%.20q", p), b.AddFile(t.Context(), p, 0, 0, strings.NewReader("x")), api.Invalid)
		b.Close()
	}
	b := chunk.NewBuilder(t.Context(), chunk.Options{}, discard)
	wantKind(t, "link", b.AddSymlink(t.Context(), "a", "", 0), api.Invalid)
	if err := errors.Join(b.AddDir(t.Context(), "a", 0, 0), b.AddDir(t.Context(), "a", 0, 0)); err != nil {
		t.Fatal(err)
	}
	_, err := b.Finish(t.Context())
	wantKind(t, "twice", err, api.Exists)
	b = chunk.NewBuilder(t.Context(), chunk.Options{}, discard)
	if err := errors.Join(b.AddSymlink(t.Context(), "a", "x", 0), b.AddDir(t.Context(), "a/b", 0, 0)); err != nil {
		t.Fatal(err)
	}
	_, err = b.Finish(t.Context())
	wantKind(t, "file as folder", err, api.Invalid)
}

func TestConsumerErrorEndsExtract(t *testing.T) {
	s := chunktest.NewStore()
	b := chunk.NewBuilder(t.Context(), chunk.Options{}, s.Sink)
	for i := range 100 {
		if err := b.AddFile(t.Context(), fmt.Sprint(i), 0, 0, strings.NewReader(fmt.Sprint("content ", i))); err != nil {
			t.Fatal(err)
		}
	}
	res, err := b.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o, err := chunk.Open(t.Context(), res.Link, s)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	err = o.Extract(t.Context(), nil, func(chunk.Entry) (io.WriteCloser, error) {
		if n++; n == 5 {
			return nil, api.Errorf("test", api.NoSpace, "full")
		}
		return new(file), nil
	})
	wantKind(t, "extract", err, api.NoSpace)
	kept := 0
	err = o.Extract(t.Context(), func(e chunk.Entry) bool { return e.Path < "2" }, func(chunk.Entry) (io.WriteCloser, error) {
		kept++
		return nil, nil
	})
	if err != nil || kept != 12 {
		t.Fatalf("kept %d, %v", kept, err)
	}
}

// TestLargeFile crosses the bound of one leaf: 1 GiB and a bit, of zeros.
func TestLargeFile(t *testing.T) {
	if testing.Short() {
		t.Skip("hashes a GiB")
	}
	const size = 1<<30 + 3<<20 + 1
	s := chunktest.NewStore()
	tail := []byte("the end")
	res, err := chunk.BuildFile(t.Context(), chunk.Options{Namespace: key}, s.Sink, "", io.MultiReader(io.LimitReader(zeros{}, size), bytes.NewReader(tail)))
	if err != nil {
		t.Fatal(err)
	}
	o, err := chunk.Open(t.Context(), res.Link, s)
	if err != nil {
		t.Fatal(err)
	}
	checkBlocks(t, o, s)
	e, _ := o.File()
	var got bytes.Buffer
	if err := o.ReadRange(t.Context(), e, size-1, 100, &got); err != nil || got.String() != "\x00"+string(tail) {
		t.Fatalf("%q, %v", got.String(), err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestManyEntries(t *testing.T) {
	s := chunktest.NewStore()
	b := chunk.NewBuilder(t.Context(), chunk.Options{Namespace: key}, s.Sink)
	const n = 10_000
	for i := range n {
		if err := b.AddFile(t.Context(), fmt.Sprintf("dir-%d/%d", i%100, i), 0o644, 1, strings.NewReader("")); err != nil {
			t.Fatal(err)
		}
	}
	res, err := b.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o, err := chunk.Open(t.Context(), res.Link, s)
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	if err := o.Walk(t.Context(), func(chunk.Entry) error { count++; return nil }); err != nil || count != n+100 {
		t.Fatalf("%d entries, %v", count, err)
	}
	for i := 0; i < n; i += 997 {
		if _, err := o.Lookup(t.Context(), fmt.Sprintf("dir-%d/%d", i%100, i)); err != nil {
			t.Fatal(err)
		}
	}
	// One more entry changes few pages, wherever it stands.
	before := len(s.Blocks)
	b = chunk.NewBuilder(t.Context(), chunk.Options{Namespace: key}, s.Sink)
	for i := range n + 1 {
		if err := b.AddFile(t.Context(), fmt.Sprintf("dir-%d/%d", i%100, i), 0o644, 1, strings.NewReader("")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if added := len(s.Blocks) - before; before < 10 || added > 5 {
		t.Errorf("one entry more added %d blocks to %d", added, before)
	}
}

// FuzzOpenObject serves arbitrary bytes as a public object's root, with its
// right address, and reads all that comes of it.
func FuzzOpenObject(f *testing.F) {
	s := chunktest.NewStore()
	res := buildFile(f, s, chunk.Options{}, mixed(2*api.ChunkSize))
	f.Add(s.Blocks[res.Link.Root])
	small := buildFile(f, s, chunk.Options{}, []byte("hello"))
	f.Add(s.Blocks[small.Link.Root])
	b := chunk.NewBuilder(f.Context(), chunk.Options{}, s.Sink)
	_ = b.AddFile(f.Context(), "a/b", 0o644, 5, strings.NewReader("text"))
	_ = b.AddSymlink(f.Context(), "l", "a", 5)
	folder, err := b.Finish(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s.Blocks[folder.Link.Root])
	f.Fuzz(func(t *testing.T, root []byte) {
		addr := api.Address(blake3.Sum256(root))
		s.Mu.Lock()
		s.Blocks[addr] = root
		s.Mu.Unlock()
		o, err := chunk.Open(t.Context(), api.Link{Root: addr}, s)
		if err != nil {
			return
		}
		if i := o.Info(); i.Size > 1<<30 {
			return
		}
		_ = o.Blocks(t.Context(), func(api.Address, int) error { return nil })
		_, _ = o.Lookup(t.Context(), "a/b")
		_ = o.Extract(t.Context(), nil, func(e chunk.Entry) (io.WriteCloser, error) {
			if o.Info().Folder && !wire.ValidPath(e.Path) {
				t.Errorf("the path %q came through", e.Path)
			}
			return nil, nil
		})
	})
}
