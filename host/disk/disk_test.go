package disk

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"inos/host/storetest"
	"inos/kernel/api"
)

func open(t testing.TB, dir string, opt Options) *Store {
	t.Helper()
	s, err := Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func block(seed uint64, size int) api.Block { return storetest.Block(seed, size) }

func lease(n byte) api.LeaseID { return storetest.Lease(n) }

// metaRecords is a space of the store, for the suite.
type metaRecords struct{ *Meta }

func (m metaRecords) Batch() storetest.Batch { return m.Meta.Batch() }

func TestSuite(t *testing.T) {
	storetest.Run(t, storetest.Host{
		Place: func(t testing.TB) string { return t.TempDir() },
		Open: func(place string, quota uint64) (storetest.Store, error) {
			s, err := Open(place, Options{NoSync: true, Quota: quota})
			if err != nil {
				return nil, err
			}
			return s, nil
		},
		Records: func(s storetest.Store, space string) storetest.Records {
			return metaRecords{s.(*Store).Meta(space)}
		},
		Damage: func(t testing.TB, s storetest.Store, addr api.Address) { damage(t, s.(*Store), addr) },
	})
}

// damage flips a bit of a block, wherever it is.
func damage(t testing.TB, s *Store, addr api.Address) {
	t.Helper()
	r, ok, err := s.record(addr)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	data, err := s.readBlock(addr, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if r.place == inFile {
		err = os.WriteFile(s.blockPath(addr), data, 0o600)
	} else {
		err = s.db.Set(dataKey(addr), data, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A put, a refused put and a full store leave no temporary files, and what a
// rename leaves in two spans is folded into one.
func TestNoLitterAndOneSpan(t *testing.T) {
	s := open(t, t.TempDir(), Options{NoSync: true, Quota: 3 << 20})
	good, bad := block(1, api.LargeBlock), block(2, api.LargeBlock)
	bad.Data[0] ^= 1
	wantKind(t, s.Put(t.Context(), lease(1), []api.Block{good, bad}), api.Corrupt)
	mustPut(t, s, lease(1), good)
	mustPut(t, s, lease(2), good, block(3, 20))
	wantKind(t, s.Put(t.Context(), lease(1), []api.Block{block(4, 1<<20), block(5, 1<<20), block(6, 1<<20)}), api.NoSpace)
	noLitter(t, s)
	if err := s.Rename(t.Context(), lease(2), lease(1)); err != nil {
		t.Fatal(err)
	}
	idle(t, s)
	s.mu.Lock()
	n := len(s.spans[lease(1)])
	s.mu.Unlock()
	if n != 1 {
		t.Fatalf("%d spans after folding", n)
	}
	if err := s.Release(t.Context(), lease(1)); err != nil {
		t.Fatal(err)
	}
	idle(t, s)
	if _, err := os.Stat(s.blockPath(good.Addr)); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("the file of a released block is still there")
	}
}

// idle waits until the store has no chores left, by working them off itself.
func idle(t testing.TB, s *Store) {
	t.Helper()
	for c, ok := s.nextChore(); ok; c, ok = s.nextChore() {
		done, err := s.step(c)
		if err != nil {
			t.Fatal(err)
		}
		if done {
			s.finishChore(c)
		}
	}
}

func mustGet(t testing.TB, s *Store, b api.Block) {
	t.Helper()
	got, err := s.Get(context.Background(), b.Addr, nil)
	if err != nil || !bytes.Equal(got, b.Data) {
		t.Fatalf("block of %d bytes: %v", len(b.Data), err)
	}
}

func mustPut(t testing.TB, s *Store, l api.LeaseID, blocks ...api.Block) {
	t.Helper()
	if err := s.Put(context.Background(), l, blocks); err != nil {
		t.Fatal(err)
	}
}

func wantKind(t testing.TB, err error, kind api.Kind) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("got %v, want %v", err, kind)
	}
}

func noLitter(t testing.TB, s *Store) {
	t.Helper()
	left, err := os.ReadDir(filepath.Join(s.dir, tempDir))
	if err != nil || len(left) != 0 {
		t.Fatalf("%d temporary files left, %v", len(left), err)
	}
}

func TestDamageIsQuarantined(t *testing.T) {
	damage := map[string]func(path string) error{
		"flipped":   func(p string) error { return os.WriteFile(p, make([]byte, api.LargeBlock), 0o600) },
		"truncated": func(p string) error { return os.Truncate(p, 100) },
		"missing":   os.Remove,
	}
	for name, hurt := range damage {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir(), Options{NoSync: true})
			b := block(1, api.LargeBlock)
			mustPut(t, s, lease(1), b)
			if err := hurt(s.blockPath(b.Addr)); err != nil {
				t.Fatal(err)
			}
			_, err := s.Get(t.Context(), b.Addr, nil)
			kind, set := api.Corrupt, uint64(1)
			if name == "missing" {
				kind, set = api.NotFound, 0
			}
			wantKind(t, err, kind)
			if u := s.Usage(); u.Blocks != 0 || u.Bytes != 0 || u.Quarantined != set {
				t.Fatalf("usage %+v", u)
			}
			mustPut(t, s, lease(2), b) // repaired
			mustGet(t, s, b)
		})
	}
	t.Run("small", func(t *testing.T) {
		s := open(t, t.TempDir(), Options{NoSync: true})
		b := block(1, 100)
		mustPut(t, s, lease(1), b)
		if err := s.db.Set(dataKey(b.Addr), []byte("junk"), nil); err != nil {
			t.Fatal(err)
		}
		_, err := s.Get(t.Context(), b.Addr, nil)
		wantKind(t, err, api.Corrupt)
		if s.Usage().Quarantined != 1 {
			t.Fatal("not set aside")
		}
	})
}

func TestFormat(t *testing.T) {
	for content, kind := range map[string]api.Kind{"inos-store 2\n": api.Unsupported, "hello": api.Invalid} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, formatFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(dir, Options{})
		wantKind(t, err, kind)
	}
}

func TestSweepAfterUncleanStop(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{NoSync: true})
	kept, orphan := block(1, api.LargeBlock), block(2, api.LargeBlock)
	mustPut(t, s, lease(1), kept)
	path := s.blockPath(orphan.Addr)
	if err := os.WriteFile(path, orphan.Data, 0o600); err != nil {
		t.Fatal(err)
	}
	s.sweep(t.Context())
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("the orphan is still there")
	}
	mustGet(t, s, kept)
}
