package opfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"testing"

	"inos/host/storetest"
	"inos/kernel/api"
)

// These tests end the store between and within any two writes, as a killed tab
// does (all writes that returned are there) or as a machine without power does
// (of what was not flushed, anything may be there), and compare what the next
// start finds with what was acknowledged. Some of these machines fail to flush
// now and then as well.

var (
	errDead  = errors.New("the tab was killed")
	errFlush = errors.New("the disk does not answer")
)

// machine is what crashes.
type machine struct {
	rng   *rand.Rand
	steps int // until the crash; negative is never
	dead  bool
	flaky bool // one flush of eight fails
}

// step reports how much of an operation of n bytes happens, and whether the
// machine is alive after it.
func (m *machine) step(n int) (int, bool) {
	if m.dead {
		return 0, false
	}
	if m.steps--; m.steps == 0 {
		m.dead = true
		return m.rng.Intn(n + 1), false
	}
	return n, true
}

// crashFile is a file of a machine: what is flushed, and what was done since.
type crashFile struct {
	m       *machine
	now     []byte
	flushed []byte
	since   []func([]byte) []byte
}

func write(p []byte, at int64) func([]byte) []byte {
	p = bytes.Clone(p)
	return func(b []byte) []byte {
		b = resized(b, max(len(b), int(at)+len(p)))
		copy(b[at:], p)
		return b
	}
}

func resized(b []byte, n int) []byte {
	if n <= len(b) {
		return b[:n]
	}
	return append(b, make([]byte, n-len(b))...)
}

func (f *crashFile) do(change func([]byte) []byte) {
	f.now = change(f.now)
	f.since = append(f.since, change)
}

func (f *crashFile) WriteAt(p []byte, at int64) error {
	n, alive := f.m.step(len(p))
	if n > 0 {
		f.do(write(p[:n], at))
	}
	if !alive {
		return errDead
	}
	return nil
}

func (f *crashFile) Truncate(size int64) error {
	n, alive := f.m.step(1)
	if n == 1 {
		f.do(func(b []byte) []byte { return resized(b, int(size)) })
	}
	if !alive {
		return errDead
	}
	return nil
}

func (f *crashFile) Flush() error {
	n, alive := f.m.step(1)
	if alive && f.m.flaky && f.m.rng.Intn(8) == 0 {
		return errFlush
	}
	if n == 1 {
		f.flushed, f.since = bytes.Clone(f.now), nil
	}
	if !alive {
		return errDead
	}
	return nil
}

func (f *crashFile) ReadAt(p []byte, at int64) (int, error) {
	if f.m.dead {
		return 0, errDead
	}
	if at >= int64(len(f.now)) {
		return 0, nil
	}
	return copy(p, f.now[at:]), nil
}

func (f *crashFile) Size() (int64, error) { return int64(len(f.now)), nil }

// after is the file as the next start finds it.
func (f *crashFile) after(m *machine, power bool) *crashFile {
	now := f.now
	if power {
		now = bytes.Clone(f.flushed)
		for _, change := range f.since {
			if m.rng.Intn(2) == 0 {
				now = change(now)
			}
		}
	}
	return &crashFile{m: m, now: bytes.Clone(now), flushed: bytes.Clone(now)}
}

// model is what a store is to hold.
type model struct {
	leases  map[api.LeaseID]map[api.Address]bool
	records map[string]string
}

func (m model) clone() model {
	c := model{leases: map[api.LeaseID]map[api.Address]bool{}, records: maps.Clone(m.records)}
	for l, set := range m.leases {
		c.leases[l] = maps.Clone(set)
	}
	return c
}

func (m model) String() string {
	var lines []string
	for l, set := range m.leases {
		for a := range set {
			lines = append(lines, fmt.Sprintf("%x %x", l[:1], a[:4]))
		}
	}
	for k, v := range m.records {
		lines = append(lines, k+"="+v)
	}
	slices.Sort(lines)
	return fmt.Sprint(lines)
}

// trial is one store under one seed, through several crashes.
type trial struct {
	rng    *rand.Rand
	files  [3]*crashFile
	model  model
	blocks map[api.Address]api.Block // ever put
	cached map[api.Address]bool
	n      uint64
}

func (tr *trial) open(m *machine) (*Store, error) {
	for _, f := range tr.files {
		f.m = m
	}
	s, err := openOn(&files{
		blocks: tr.files[0], logs: [2]file{tr.files[1], tr.files[2]},
		room: func() uint64 { return 1 << 30 }, close: func() error { return nil },
	}, "", Options{Quota: 40 * unit})
	if err == nil {
		s.journal.slack = 2000
	}
	return s, err
}

// act does one random thing to the store and to the model.
func (tr *trial) act(s *Store, m model) error {
	ctx := context.Background()
	l, to := storetest.Lease(byte(1+tr.rng.Intn(3))), storetest.Lease(byte(1+tr.rng.Intn(3)))
	switch k := tr.rng.Intn(10); {
	case k < 5:
		b := storetest.Block(tr.n%30, 1+tr.rng.Intn(3*unit))
		tr.n++
		tr.blocks[b.Addr] = b
		if k == 4 {
			tr.cached[b.Addr] = true
			return s.Cache(ctx, []api.Block{b})
		}
		if m.leases[l] == nil {
			m.leases[l] = map[api.Address]bool{}
		}
		m.leases[l][b.Addr] = true
		return s.Put(ctx, l, []api.Block{b})
	case k == 5 && l != to && m.leases[l] != nil:
		if m.leases[to] == nil {
			m.leases[to] = map[api.Address]bool{}
		}
		maps.Copy(m.leases[to], m.leases[l])
		delete(m.leases, l)
		return s.Rename(ctx, l, to)
	case k < 8:
		delete(m.leases, l)
		return s.Release(ctx, l)
	default:
		key, b := fmt.Sprint("k", tr.rng.Intn(5)), s.Meta("m").Batch()
		m.records[key], m.records["last"] = fmt.Sprint(tr.n), key
		b.Set([]byte(key), fmt.Append(nil, tr.n))
		b.Set([]byte("last"), []byte(key))
		return b.Commit()
	}
}

// check reads everything and returns what the store holds.
func (tr *trial) check(t *testing.T, s *Store) model {
	t.Helper()
	got := model{leases: map[api.LeaseID]map[api.Address]bool{}, records: map[string]string{}}
	err := s.Each(t.Context(), api.LeaseID{}, api.Address{}, func(a api.Address, l api.LeaseID, _ int) bool {
		if got.leases[l] == nil {
			got.leases[l] = map[api.Address]bool{}
		}
		got.leases[l][a] = true
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	var bytesIn uint64
	for a, b := range tr.blocks {
		data, err := s.Get(t.Context(), a, nil)
		switch {
		case err == nil && bytes.Equal(data, b.Data):
			bytesIn += uint64(len(data))
		case !errors.Is(err, api.NotFound):
			t.Fatalf("a block came back wrong: %v", err)
		}
	}
	if u := s.Usage(); u.Bytes != bytesIn || u.Quarantined != 0 {
		t.Fatalf("usage %+v, counted %d bytes", u, bytesIn)
	}
	if err := s.Meta("m").Iterate(nil, func(k, v []byte) bool { got.records[string(k)] = string(v); return true }); err != nil {
		t.Fatal(err)
	}
	checkSpace(t, s)
	return got
}

// checkSpace compares the map of units with the extents that are in use.
func checkSpace(t *testing.T, s *Store) {
	t.Helper()
	var want space
	var sum, spare uint32
	count := func(list []extent) {
		for _, x := range list {
			want.set(x)
			sum += x.n
		}
	}
	s.state.blocks.Scan(func(e *entry) bool {
		if count(e.at); e.evictable() {
			spare += total(e.at)
		}
		return true
	})
	count(s.state.aside)
	if s.state.spare != spare {
		t.Fatalf("%d units in the cache, %d said", spare, s.state.spare)
	}
	if want.used != sum || s.state.space.used != sum {
		t.Fatalf("%d units in extents, %d distinct, %d taken", sum, want.used, s.state.space.used)
	}
	for i, w := range want.words {
		if s.state.space.words[i] != w {
			t.Fatal("the map of units differs from the extents")
		}
	}
}

func TestCrashes(t *testing.T) {
	seeds := 300
	if testing.Short() {
		seeds = 60
	}
	for _, mode := range []struct{ power, flaky bool }{{false, false}, {true, false}, {true, true}} {
		crashes, snapshots := 0, uint64(0)
		for seed := range seeds {
			rng := rand.New(rand.NewSource(int64(seed)))
			tr := &trial{rng: rng, model: model{map[api.LeaseID]map[api.Address]bool{}, map[string]string{}}, blocks: map[api.Address]api.Block{}, cached: map[api.Address]bool{}}
			for i := range tr.files {
				tr.files[i] = &crashFile{}
			}
			for round := 0; round < 8 && !t.Failed(); round++ {
				crashed, gen := tr.round(t, mode.power, mode.flaky, fmt.Sprintf("seed %d, round %d, %+v", seed, round, mode))
				if snapshots += gen; crashed {
					crashes++
				}
			}
		}
		if !mode.flaky && crashes < seeds*4 || snapshots < uint64(seeds) {
			t.Fatalf("only %d crashes and %d snapshots", crashes, snapshots)
		}
		t.Logf("%+v: %d crashes, %d snapshots", mode, crashes, snapshots)
	}
}

// round opens the store, works until it crashes, and checks the next start.
func (tr *trial) round(t *testing.T, power, flaky bool, name string) (crashed bool, snapshots uint64) {
	m := &machine{rng: tr.rng, steps: 1 + tr.rng.Intn(120), flaky: flaky}
	before, after := tr.model, tr.model
	s, err := tr.open(m)
	for err == nil && !m.dead && snapshots < 50 {
		after = before.clone()
		gen := s.journal.gen
		err = tr.act(s, after)
		snapshots += s.journal.gen - gen
		switch {
		case err == nil:
			before = after
		case errors.Is(err, api.NoSpace), errors.Is(err, errFlush) && !s.journal.broken:
			err, after = nil, before
		}
	}
	if errors.Is(err, errBroken) {
		after = before
	}
	if err != nil && !errors.Is(err, errDead) && !(flaky && (errors.Is(err, errFlush) || errors.Is(err, errBroken))) {
		t.Fatalf("%s: %v", name, err)
	}
	for i, f := range tr.files {
		tr.files[i] = f.after(&machine{rng: tr.rng, steps: -1}, power)
	}
	s, err = tr.open(&machine{rng: tr.rng, steps: -1})
	if err != nil {
		t.Fatalf("%s: the store does not open: %v", name, err)
	}
	got := tr.check(t, s)
	if g := got.String(); g != before.String() && g != after.String() {
		t.Fatalf("%s: found\n%s\nacknowledged\n%s\nor\n%s", name, g, before, after)
	}
	tr.model = got
	for _, f := range tr.files {
		f.flushed, f.since = bytes.Clone(f.now), nil
	}
	return m.dead, snapshots
}

// flushFile is a file whose next flush fails on demand; disk is what a power cut
// leaves at worst: what was written before a failed flush, and not what came after.
type flushFile struct {
	memFile
	fail bool
	disk []byte
}

func (f *flushFile) Flush() error {
	n, _ := f.Size()
	f.disk = make([]byte, n)
	_, _ = f.ReadAt(f.disk, 0)
	if f.fail {
		f.fail = false
		return errFlush
	}
	return nil
}

// A snapshot whose last flush fails may be whole on the disk all the same, and
// must not hide what is acknowledged afterwards.
func TestSnapshotThatFailsToFlushHidesNothing(t *testing.T) {
	on := func(disks [3][]byte) (*Store, [3]*flushFile) {
		t.Helper()
		var fs [3]*flushFile
		for i, b := range disks {
			fs[i] = &flushFile{disk: b}
			if err := fs[i].WriteAt(b, 0); err != nil {
				t.Fatal(err)
			}
		}
		s, err := openOn(&files{
			blocks: fs[0], logs: [2]file{fs[1], fs[2]},
			room: func() uint64 { return 1 << 30 }, close: func() error { return nil },
		}, "", Options{})
		if err != nil {
			t.Fatal(err)
		}
		return s, fs
	}
	s, fs := on([3][]byte{})
	fs[2].fail = true
	s.mu.Lock()
	err := s.journal.snapshot(s.state)
	s.mu.Unlock()
	if !errors.Is(err, errFlush) {
		t.Fatalf("the snapshot went to another file: %v", err)
	}
	b := storetest.Block(1, 5000)
	if err := s.Put(t.Context(), storetest.Lease(1), []api.Block{b}); err != nil {
		t.Fatal(err)
	}
	s, _ = on([3][]byte{fs[0].disk, fs[1].disk, fs[2].disk})
	if got, err := s.Get(t.Context(), b.Addr, nil); err != nil || !bytes.Equal(got, b.Data) {
		t.Fatalf("an acknowledged block is lost: %v", err)
	}
}
