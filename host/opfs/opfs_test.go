package opfs

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"
	"strings"
	"testing"
	"time"

	"inos/host/storetest"
	"inos/kernel/api"
)

// openTest opens a store in memory files, which stay with the caller.
func openTest(t testing.TB, f *files, opt Options) *Store {
	t.Helper()
	s, err := openOn(f, "a test", opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func mustPut(t testing.TB, s *Store, l byte, blocks ...api.Block) {
	t.Helper()
	if err := s.Put(context.Background(), storetest.Lease(l), blocks); err != nil {
		t.Fatal(err)
	}
}

func mustCache(t testing.TB, s *Store, blocks ...api.Block) {
	t.Helper()
	if err := s.Cache(context.Background(), blocks); err != nil {
		t.Fatal(err)
	}
}

func wantKind(t testing.TB, err error, kind api.Kind) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("got %v, want %v", err, kind)
	}
}

// present says which blocks are here.
func present(t testing.TB, s *Store, blocks []api.Block) (have []int) {
	t.Helper()
	for i, b := range blocks {
		data, err := s.Get(context.Background(), b.Addr, nil)
		if err == nil && bytes.Equal(data, b.Data) {
			have = append(have, i)
		} else if !errors.Is(err, api.NotFound) {
			t.Fatal(err)
		}
	}
	return have
}

func megabytes(n int) (blocks []api.Block) {
	for i := range n {
		blocks = append(blocks, storetest.Block(uint64(i), 1<<20))
	}
	return blocks
}

func TestTheCacheMakesRoom(t *testing.T) {
	f := inMemory(1 << 30)
	var evicted []api.Address
	s := openTest(t, f, Options{Quota: 8 << 20, Evicted: func(l []api.Address) { evicted = append(evicted, l...) }})
	b := megabytes(12)
	mustCache(t, s, b[0:5]...)
	mustPut(t, s, 1, b[5:8]...)
	mustPut(t, s, 2, b[1]) // a lease keeps a cache block
	if _, err := s.Get(t.Context(), b[0].Addr, nil); err != nil {
		t.Fatal(err) // and a read makes one the newest
	}
	mustPut(t, s, 1, b[8]) // evicts one megabyte, and one more beyond what is needed
	if want := []api.Address{b[2].Addr, b[3].Addr}; !slices.Equal(evicted, want) {
		t.Fatalf("evicted %v, want the oldest two that no lease names", evicted)
	}
	if err := s.Put(t.Context(), storetest.Lease(1), b[9:12]); err != nil {
		t.Fatal(err) // takes all of the cache
	}
	if got := present(t, s, b); !slices.Equal(got, []int{1, 5, 6, 7, 8, 9, 10, 11}) {
		t.Fatalf("present %v", got)
	}
	wantKind(t, s.Put(t.Context(), storetest.Lease(3), []api.Block{b[0]}), api.NoSpace)
	wantKind(t, s.Cache(t.Context(), []api.Block{b[0]}), api.NoSpace)
	if got := present(t, s, b); len(got) != 8 {
		t.Fatalf("a refused put evicted: %v", got)
	}
	if err := s.Release(t.Context(), storetest.Lease(2)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), b[1].Addr, nil); err != nil {
		t.Fatal("a cache block went with its lease:", err)
	}
	mustCache(t, s, b[0]) // in place of the other
	if got := present(t, s, b[:2]); !slices.Equal(got, []int{0}) {
		t.Fatalf("present %v", got)
	}
	checkSpace(t, s)
}

// The cache's order outlives a restart as far as it was written: by arrival.
func TestTheCacheAfterARestart(t *testing.T) {
	f := inMemory(1 << 30)
	s := openTest(t, f, Options{})
	b := megabytes(6)
	mustCache(t, s, b[0:3]...)
	mustCache(t, s, b[1]) // there already
	if n := len(held(t, s)); n != 0 {
		t.Fatalf("%d cache blocks are listed under leases", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, f, Options{Quota: 4 << 20})
	mustPut(t, s, 1, b[3:5]...)
	if got := present(t, s, b); !slices.Equal(got, []int{1, 2, 3, 4}) && !slices.Equal(got, []int{2, 3, 4}) {
		t.Fatalf("present %v", got)
	}
}

func held(t testing.TB, s *Store) (list []api.Address) {
	t.Helper()
	err := s.Each(context.Background(), api.LeaseID{}, api.Address{}, func(a api.Address, _ api.LeaseID, _ int) bool {
		list = append(list, a)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Extents of corrupt blocks are not used again, and there is a bound to that.
func TestQuarantineIsBounded(t *testing.T) {
	f := inMemory(1 << 30)
	s := openTest(t, f, Options{})
	for i := range uint64(2 * maxQuarantine) {
		b := storetest.Block(i, 100)
		mustPut(t, s, 1, b)
		damage(t, s, b.Addr, 1)
		_, err := s.Get(t.Context(), b.Addr, nil)
		wantKind(t, err, api.Corrupt)
	}
	if err := s.journal.snapshot(s.state); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, f, Options{})
	if u := s.Usage(); u.Quarantined != 2*maxQuarantine || u.Blocks != 0 || s.state.space.used != maxQuarantine {
		t.Fatalf("usage %+v with %d units taken", u, s.state.space.used)
	}
	checkSpace(t, s)
}

func TestTruncatedBlocksAreCorrupt(t *testing.T) {
	f := inMemory(1 << 30)
	s := openTest(t, f, Options{})
	b := storetest.Block(1, 3*unit)
	mustPut(t, s, 1, b)
	if err := f.blocks.Truncate(unit); err != nil {
		t.Fatal(err)
	}
	_, err := s.Get(t.Context(), b.Addr, nil)
	wantKind(t, err, api.Corrupt)
	mustPut(t, s, 2, b)
	if _, err := s.Get(t.Context(), b.Addr, nil); err != nil {
		t.Fatal(err)
	}
}

func TestFormats(t *testing.T) {
	newer := header(1)
	binary.LittleEndian.PutUint32(newer[8:], version+1)
	binary.LittleEndian.PutUint32(newer[24:], crc32.Checksum(newer[:24], table))
	f := inMemory(1 << 30)
	if err := f.logs[1].WriteAt(newer, 0); err != nil {
		t.Fatal(err)
	}
	_, err := openOn(f, "", Options{})
	wantKind(t, err, api.Unsupported)
	if n, _ := f.logs[0].Size(); n != 0 {
		t.Fatal("a store of a newer format was touched")
	}
	f = inMemory(1 << 30)
	if err := f.blocks.WriteAt([]byte("blocks without an index"), 0); err != nil {
		t.Fatal(err)
	}
	_, err = openOn(f, "", Options{})
	wantKind(t, err, api.Corrupt)
}

// What follows the last good frame is cut off and told; what precedes it is kept.
func TestACutLog(t *testing.T) {
	f := inMemory(1 << 30)
	s := openTest(t, f, Options{})
	b := storetest.Block(1, 100)
	mustPut(t, s, 1, b)
	end := s.journal.end
	mustPut(t, s, 1, storetest.Block(2, 100))
	cur := f.logs[s.journal.cur]
	if err := cur.Truncate(s.journal.end - 1); err != nil {
		t.Fatal(err)
	}
	var told []string
	s = openTest(t, f, Options{Log: func(s string) { told = append(told, s) }})
	if len(told) != 1 || !strings.Contains(told[0], "no whole change") {
		t.Fatalf("told %q", told)
	}
	if n, _ := cur.Size(); n != end || s.journal.end != end {
		t.Fatalf("the log has %d bytes, want %d", n, end)
	}
	if got := present(t, s, []api.Block{b, storetest.Block(2, 100)}); !slices.Equal(got, []int{0}) {
		t.Fatalf("present %v", got)
	}
}

// refusing is a file that fails as it is told.
type refusing struct {
	file
	write, flush, truncate error
}

func (f *refusing) WriteAt(p []byte, at int64) error {
	if f.write != nil {
		_ = f.file.WriteAt(p[:len(p)/2], at)
		return f.write
	}
	return f.file.WriteAt(p, at)
}

func (f *refusing) Flush() error {
	if f.flush != nil {
		return f.flush
	}
	return f.file.Flush()
}

func (f *refusing) Truncate(size int64) error {
	if f.truncate != nil {
		return f.truncate
	}
	return f.file.Truncate(size)
}

// A log that cannot be written changes nothing, and one that cannot be restored
// ends all writing; reads go on.
func TestALogThatFails(t *testing.T) {
	f := inMemory(1 << 30)
	log := &refusing{file: f.logs[0]}
	f.logs[0] = log
	s := openTest(t, f, Options{})
	b, c := storetest.Block(1, 100), storetest.Block(2, 100)
	mustPut(t, s, 1, b)
	log.write = errFull
	wantKind(t, s.Put(t.Context(), storetest.Lease(2), []api.Block{c}), api.NoSpace)
	wantKind(t, s.Meta("m").Set([]byte("k"), nil), api.NoSpace)
	wantKind(t, s.Release(t.Context(), storetest.Lease(1)), api.NoSpace)
	checkSpace(t, s)
	log.write, log.flush = nil, errors.New("the disk is gone")
	log.truncate = log.flush
	if err := s.Put(t.Context(), storetest.Lease(2), []api.Block{c}); err == nil {
		t.Fatal("a put was acknowledged without its log")
	}
	log.flush, log.truncate = nil, nil
	if err := s.Put(t.Context(), storetest.Lease(2), []api.Block{c}); !errors.Is(err, errBroken) {
		t.Fatalf("a broken store took a put: %v", err)
	}
	if got := present(t, s, []api.Block{b, c}); !slices.Equal(got, []int{0}) {
		t.Fatalf("present %v", got)
	}
	checkSpace(t, s)
	_ = s.Close()
	s = openTest(t, f, Options{})
	if got := present(t, s, []api.Block{b}); len(got) != 1 {
		t.Fatal("an acknowledged block is gone")
	}
	mustPut(t, s, 2, c)
}

func TestRecordsAreBounded(t *testing.T) {
	s := openTest(t, inMemory(1<<30), Options{})
	m := s.Meta("m")
	big := make([]byte, MaxMetaValue)
	n := 0
	var err error
	for ; err == nil && n < 100; n++ {
		err = m.SetLazy([]byte{byte(n)}, big)
	}
	wantKind(t, err, api.NoSpace)
	if n < 15 || s.state.metaBytes > MaxMetaBytes {
		t.Fatalf("%d records of 4 MiB, %d bytes", n-1, s.state.metaBytes)
	}
	if err := m.Delete([]byte{0}); err != nil {
		t.Fatal("a full space does not delete:", err)
	}
	if err := m.Set([]byte{0}, big); err != nil {
		t.Fatal(err)
	}
	batch := m.Batch()
	for i := range byte(5) {
		batch.Set([]byte{i}, big[:MaxMetaValue-1000])
	}
	if err := batch.Commit(); api.KindOf(err) != api.Invalid && api.KindOf(err) != api.NoSpace {
		t.Fatalf("a batch of 20 MiB: %v", err)
	}
}

// fullFile is a file whose growth the browser refuses.
type fullFile struct {
	file
	units uint32
}

func (f *fullFile) WriteAt(p []byte, at int64) error {
	if at+int64(len(p)) > int64(f.units)*unit {
		return errFull
	}
	return f.file.WriteAt(p, at)
}

// The browser refuses to grow the file: the cache makes room, again and again, and
// without one the error is typed and reads go on.
func TestBrowserIsFull(t *testing.T) {
	s := openTest(t, inMemory(1<<30), Options{})
	b := megabytes(8)
	mustCache(t, s, b[0:4]...)
	s.files.blocks = &fullFile{s.files.blocks, s.long}
	mustPut(t, s, 1, b[4])
	s.fullAt = s.fullAt.Add(-time.Hour) // it is tried again
	mustPut(t, s, 1, b[5])
	mustPut(t, s, 1, b[6], b[7])
	wantKind(t, s.Put(t.Context(), storetest.Lease(1), b[:1]), api.NoSpace)
	if got := present(t, s, b); !slices.Equal(got, []int{4, 5, 6, 7}) {
		t.Fatalf("present %v", got)
	}
	checkSpace(t, s)
}
