package storetest

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"

	"inos/kernel/api"
)

var sizes = []int{1, 4096, api.LargeBlock - 1, api.LargeBlock, api.MaxBlock}

func testPutGetReopen(t *testing.T, h Host) {
	place := h.Place(t)
	s := open(t, h, place, 0)
	var blocks []api.Block
	var bytesIn uint64
	for i, n := range sizes {
		blocks = append(blocks, Block(uint64(i), n))
		bytesIn += uint64(n)
	}
	mustPut(t, s, Lease(1), blocks...)
	mustPut(t, s, Lease(2), blocks[1:3]...) // only gains a lease
	mustPut(t, s, Lease(1))
	check := func() {
		t.Helper()
		for _, b := range blocks {
			mustGet(t, s, b)
			if n, err := s.Size(b.Addr); err != nil || n != len(b.Data) {
				t.Fatalf("size %d of %d, %v", n, len(b.Data), err)
			}
		}
		if u := s.Usage(); u.Blocks != uint64(len(blocks)) || u.Bytes != bytesIn || u.Quarantined != 0 {
			t.Fatalf("usage %+v", u)
		}
		count := 0
		err := s.Each(t.Context(), api.LeaseID{}, api.Address{}, func(_ api.Address, _ api.LeaseID, _ int) bool { count++; return true })
		if err != nil || count != len(blocks)+2 {
			t.Fatalf("%d references, %v", count, err)
		}
	}
	check()
	old := s
	s = reopen(t, h, s, place)
	wantKind(t, old.Put(t.Context(), Lease(1), blocks), api.Closed)
	check()
	has, err := s.Has(t.Context(), []api.Address{blocks[0].Addr, {9}})
	if err != nil || !has[0] || has[1] {
		t.Fatal(has, err)
	}
	_, err = s.Get(t.Context(), api.Address{9}, nil)
	wantKind(t, err, api.NotFound)
	_, err = s.Size(api.Address{9})
	wantKind(t, err, api.NotFound)
	buf := make([]byte, api.MaxBlock)
	got, err := s.Get(t.Context(), blocks[1].Addr, buf)
	if err != nil || &got[0] != &buf[0] {
		t.Fatal("a buffer that suffices was not used:", err)
	}
}

func testPutRefusesWrongBytes(t *testing.T, h Host) {
	s := fresh(t, h)
	for i, n := range sizes {
		good, bad := Block(uint64(2*i), n), Block(uint64(2*i+1), n)
		bad.Data[0] ^= 1
		wantKind(t, s.Put(t.Context(), Lease(1), []api.Block{good, bad}), api.Corrupt)
		_, err := s.Get(t.Context(), good.Addr, nil)
		wantKind(t, err, api.NotFound)
	}
	good := Block(1, 10)
	for _, bad := range []api.Block{{Addr: api.Address{1}}, Block(2, api.MaxBlock+1)} {
		wantKind(t, s.Put(t.Context(), Lease(1), []api.Block{good, bad}), api.Invalid)
	}
	wantKind(t, s.Put(t.Context(), api.LeaseID{}, []api.Block{good}), api.Invalid)
	if u := s.Usage(); u.Blocks != 0 || u.Bytes != 0 {
		t.Fatalf("usage %+v after refusals alone", u)
	}
}

func testPutOwn(t *testing.T, h Host) {
	s := fresh(t, h)
	b := Block(1, api.LargeBlock)
	if err := s.PutOwn(t.Context(), Lease(1), []api.Block{b, b}); err != nil {
		t.Fatal(err)
	}
	mustGet(t, s, b)
	if u := s.Usage(); u.Blocks != 1 {
		t.Fatalf("the same block twice counts as %d", u.Blocks)
	}
}

func testDamage(t *testing.T, h Host) {
	for _, size := range []int{100, api.LargeBlock, api.MaxBlock} {
		place := h.Place(t)
		s := open(t, h, place, 0)
		b := Block(1, size)
		mustPut(t, s, Lease(1), b)
		h.Damage(t, s, b.Addr)
		_, err := s.Get(t.Context(), b.Addr, nil)
		wantKind(t, err, api.Corrupt)
		_, err = s.Get(t.Context(), b.Addr, nil)
		wantKind(t, err, api.NotFound)
		if u := s.Usage(); u.Blocks != 0 || u.Bytes != 0 || u.Quarantined != 1 {
			t.Fatalf("usage %+v", u)
		}
		if n := len(held(t, s, Lease(1))); n != 0 {
			t.Fatalf("%d blocks listed that are not there", n)
		}
		s = reopen(t, h, s, place)
		if u := s.Usage(); u.Quarantined != 1 {
			t.Fatalf("usage %+v after reopening", u)
		}
		mustPut(t, s, Lease(2), b) // repaired
		mustGet(t, s, b)
		if err := s.Release(t.Context(), Lease(2)); err != nil {
			t.Fatal(err)
		}
		mustGet(t, s, b) // the first lease names it still
		if err := s.Release(t.Context(), Lease(1)); err != nil {
			t.Fatal(err)
		}
		settled(t, s, 0)
	}
}

func testShared(t *testing.T, h Host) {
	s := fresh(t, h)
	var shared, own []api.Block
	for i := range 600 { // more than two of host/disk's steps
		shared = append(shared, Block(uint64(i), 10+i))
		own = append(own, Block(uint64(10000+i), 10+i))
	}
	large := Block(77, api.LargeBlock)
	mustPut(t, s, Lease(1), append(own, large)...)
	mustPut(t, s, Lease(1), shared...)
	mustPut(t, s, Lease(2), shared...)
	if err := s.Release(t.Context(), Lease(1)); err != nil {
		t.Fatal(err)
	}
	settled(t, s, 600)
	for i := range shared {
		mustGet(t, s, shared[i])
		_, err := s.Get(t.Context(), own[i].Addr, nil)
		wantKind(t, err, api.NotFound)
	}
	if err := errors.Join(s.Release(t.Context(), Lease(2)), s.Release(t.Context(), Lease(9))); err != nil {
		t.Fatal(err)
	}
	settled(t, s, 0)
}

func testRename(t *testing.T, h Host) {
	place := h.Place(t)
	s := open(t, h, place, 0)
	a, b, c := Block(1, 10), Block(2, 20), Block(3, 30)
	mustPut(t, s, Lease(1), a, b)
	if err := s.Rename(t.Context(), Lease(1), Lease(2)); err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, Lease(3), b, c)
	if err := s.Rename(t.Context(), Lease(3), Lease(2)); err != nil {
		t.Fatal(err)
	}
	if n := len(held(t, s, Lease(2))); n != 3 {
		t.Fatalf("%d blocks after two renames", n)
	}
	if err := s.Rename(t.Context(), Lease(1), Lease(2)); err != nil {
		t.Fatal("a repeated rename fails:", err)
	}
	wantKind(t, s.Rename(t.Context(), Lease(7), Lease(8)), api.NotFound)
	wantKind(t, s.Rename(t.Context(), Lease(2), Lease(2)), api.Invalid)
	s = reopen(t, h, s, place)
	if n := len(held(t, s, Lease(2))); n != 3 {
		t.Fatalf("%d blocks after reopening", n)
	}
	if err := s.Release(t.Context(), Lease(2)); err != nil {
		t.Fatal(err)
	}
	settled(t, s, 0)
}

// testRenameOfMany renames a large lease into a small one and the other way round.
func testRenameOfMany(t *testing.T, h Host) {
	s := fresh(t, h)
	var many []api.Block
	for i := range 700 {
		many = append(many, Block(uint64(i), 20))
	}
	mustPut(t, s, Lease(1), many...)
	mustPut(t, s, Lease(2), many[:3]...)
	if err := s.Rename(t.Context(), Lease(1), Lease(2)); err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, Lease(3), many[690:]...)
	if err := s.Rename(t.Context(), Lease(3), Lease(2)); err != nil {
		t.Fatal(err)
	}
	if n := len(held(t, s, Lease(2))) + len(held(t, s, Lease(1))) + len(held(t, s, Lease(3))); n != 700 {
		t.Fatalf("%d blocks under three leases", n)
	}
	if err := s.Release(t.Context(), Lease(2)); err != nil {
		t.Fatal(err)
	}
	settled(t, s, 0)
}

func testAddLease(t *testing.T, h Host) {
	s := fresh(t, h)
	a := Block(1, 10)
	mustPut(t, s, Lease(1), a)
	if err := s.AddLease(t.Context(), Lease(2), []api.Address{a.Addr}); err != nil {
		t.Fatal(err)
	}
	wantKind(t, s.AddLease(t.Context(), Lease(3), []api.Address{a.Addr, {5}}), api.NotFound)
	if n := len(held(t, s, Lease(3))); n != 0 {
		t.Fatal("a refused lease names a block")
	}
	if err := s.Release(t.Context(), Lease(1)); err != nil {
		t.Fatal(err)
	}
	settled(t, s, 1)
	mustGet(t, s, a)
}

func testEachResumes(t *testing.T, h Host) {
	s := fresh(t, h)
	var blocks []api.Block
	for i := range 50 {
		blocks = append(blocks, Block(uint64(i), 10))
	}
	mustPut(t, s, Lease(1), blocks...)
	for _, l := range []api.LeaseID{{}, Lease(1)} {
		var got []api.Address
		for {
			n := len(got)
			var after api.Address
			if n > 0 {
				after = got[n-1]
			}
			if err := s.Each(t.Context(), l, after, func(a api.Address, _ api.LeaseID, size int) bool {
				if size != 10 {
					t.Errorf("size %d", size)
				}
				got = append(got, a)
				return len(got) < n+7
			}); err != nil {
				t.Fatal(err)
			}
			if len(got) == n {
				break
			}
		}
		if want := held(t, s, Lease(1)); len(got) != 50 || !bytes.Equal(got[49][:], want[49][:]) {
			t.Fatalf("%d of 50 blocks, page by page", len(got))
		}
	}
}

func testQuota(t *testing.T, h Host) {
	s := open(t, h, h.Place(t), 3<<20)
	var kept []api.Block
	for i := range 10 {
		b := Block(uint64(i), 1<<20)
		if err := s.Put(t.Context(), Lease(1), []api.Block{b}); err == nil {
			kept = append(kept, b)
		} else {
			wantKind(t, err, api.NoSpace)
		}
	}
	if len(kept) != 3 || s.Usage().Free != 0 {
		t.Fatalf("kept %d MiB of a 3 MiB quota, free %d", len(kept), s.Usage().Free)
	}
	for _, b := range kept {
		mustGet(t, s, b)
	}
	mustPut(t, s, Lease(2), kept...) // nothing new to store
	if err := errors.Join(s.Release(t.Context(), Lease(1)), s.Release(t.Context(), Lease(2))); err != nil {
		t.Fatal("a full store cannot release:", err)
	}
	settled(t, s, 0)
	mustPut(t, s, Lease(3), kept...)
}

func testOneOwner(t *testing.T, h Host) {
	place := h.Place(t)
	s := open(t, h, place, 0)
	_, err := h.Open(place, 0)
	wantKind(t, err, api.Conflict)
	reopen(t, h, s, place)
}

func testCanceled(t *testing.T, h Host) {
	s := fresh(t, h)
	b := Block(1, api.LargeBlock)
	mustPut(t, s, Lease(1), b)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, get := s.Get(ctx, b.Addr, nil)
	_, has := s.Has(ctx, []api.Address{b.Addr})
	each := s.Each(ctx, api.LeaseID{}, api.Address{}, func(api.Address, api.LeaseID, int) bool { return true })
	for i, err := range []error{
		get, has, each, s.Put(ctx, Lease(2), []api.Block{Block(2, api.LargeBlock)}), s.Release(ctx, Lease(1)),
		s.Rename(ctx, Lease(1), Lease(2)), s.AddLease(ctx, Lease(2), []api.Address{b.Addr}),
	} {
		if !errors.Is(err, context.Canceled) || api.KindOf(err) != api.Canceled {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if u := s.Usage(); u.Blocks != 1 {
		t.Fatalf("usage %+v", u)
	}
}

func testConcurrent(t *testing.T, h Host) {
	s := fresh(t, h)
	var pool []api.Block
	for i := range 40 {
		pool = append(pool, Block(uint64(i), 1+i*4000)) // small and large
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for round := range 15 {
				l := api.LeaseID{byte(w), byte(round), 1}
				lo := (w*7 + round*3) % 30
				if err := s.Put(context.Background(), l, pool[lo:lo+10]); err != nil {
					t.Error(err)
				}
				for _, b := range pool[lo : lo+10] { // acknowledged and not released: must be there
					if got, err := s.Get(context.Background(), b.Addr, nil); err != nil || !bytes.Equal(got, b.Data) {
						t.Error("an acknowledged block is gone:", err)
					}
				}
				if w == 0 && round == 7 {
					if err := s.Put(context.Background(), Lease(200), pool[:5]); err != nil {
						t.Error(err)
					}
				}
				if err := s.Release(context.Background(), l); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	settled(t, s, 5)
	for _, b := range pool[:5] {
		mustGet(t, s, b)
	}
}
