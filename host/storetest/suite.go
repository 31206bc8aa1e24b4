// Package storetest has the one suite that every block store of a node passes:
// host/disk's folder and host/opfs's tab, natively and in a browser.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
	"inos/kernel/chunk/chunktest"
)

// Store is what the suite asks of a block store; it is what package node asks.
type Store interface {
	api.BlockStore
	PutOwn(ctx context.Context, lease api.LeaseID, blocks []api.Block) error
	AddLease(ctx context.Context, lease api.LeaseID, addrs []api.Address) error
	Rename(ctx context.Context, from, to api.LeaseID) error
	Size(addr api.Address) (int, error)
	Close() error
}

// Records is what the suite asks of a space of records; it is what package node asks.
type Records interface {
	Get(key []byte) ([]byte, error)
	Set(key, value []byte) error
	SetLazy(key, value []byte) error
	Delete(key []byte) error
	DeleteLazy(key []byte) error
	Iterate(prefix []byte, fn func(key, value []byte) bool) error
	IterateFrom(prefix, from []byte, fn func(key, value []byte) bool) error
	Batch() Batch
}

// Batch is changes of records that take place together.
type Batch interface {
	Set(key, value []byte)
	Delete(key []byte)
	Commit() error
	CommitLazy() error
}

// Host is a kind of store under test.
type Host struct {
	// Place names a place without a store; it is gone when the test ends.
	Place func(t testing.TB) string
	// Open opens the store in a place, making it if need be. quota 0 is no bound.
	Open func(place string, quota uint64) (Store, error)
	// Records is a space of an open store.
	Records func(s Store, space string) Records
	// Damage changes a bit of what the store holds of a block, beneath it.
	Damage func(t testing.TB, s Store, addr api.Address)
}

// Run runs the suite.
func Run(t *testing.T, h Host) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Host)
	}{
		{"PutGetReopen", testPutGetReopen},
		{"PutRefusesWrongBytes", testPutRefusesWrongBytes},
		{"PutOwn", testPutOwn},
		{"DamageIsQuarantined", testDamage},
		{"SharedBlockOutlivesOneLease", testShared},
		{"Rename", testRename},
		{"RenameOfMany", testRenameOfMany},
		{"AddLease", testAddLease},
		{"EachResumes", testEachResumes},
		{"Quota", testQuota},
		{"OneOwner", testOneOwner},
		{"CanceledCallsDoNothing", testCanceled},
		{"ConcurrentPutsAndReleases", testConcurrent},
		{"Records", testRecords},
		{"RecordsKeepTheirOrder", testRecordOrder},
		{"RecordBounds", testRecordBounds},
		{"IterationSeesOneMoment", testRecordSnapshot},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, h) })
	}
}

// open opens a store that is closed when the test ends.
func open(t testing.TB, h Host, place string, quota uint64) Store {
	t.Helper()
	s, err := h.Open(place, quota)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func fresh(t testing.TB, h Host) Store { t.Helper(); return open(t, h, h.Place(t), 0) }

// reopen closes a store and opens it again.
func reopen(t testing.TB, h Host, s Store, place string) Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, h, place, 0)
}

// Block makes a block of random bytes of the given size.
func Block(seed uint64, size int) api.Block {
	data := make([]byte, size)
	chunktest.Random(seed, data)
	return api.Block{Addr: blake3.Sum256(data), Data: data}
}

// Lease makes a lease.
func Lease(n byte) api.LeaseID { return api.LeaseID{n} }

func mustGet(t testing.TB, s Store, b api.Block) {
	t.Helper()
	got, err := s.Get(context.Background(), b.Addr, nil)
	if err != nil || !bytes.Equal(got, b.Data) {
		t.Fatalf("block of %d bytes: %v", len(b.Data), err)
	}
}

func mustPut(t testing.TB, s Store, l api.LeaseID, blocks ...api.Block) {
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

// settled waits until a store holds so many blocks: releases may go on in the
// background.
func settled(t testing.TB, s Store, blocks uint64) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); s.Usage().Blocks != blocks; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("usage %+v, want %d blocks", s.Usage(), blocks)
		}
	}
	if u := s.Usage(); (u.Bytes == 0) != (blocks == 0) {
		t.Fatalf("usage %+v", u)
	}
}

// held lists the blocks under a lease, in order.
func held(t testing.TB, s Store, l api.LeaseID) (list []api.Address) {
	t.Helper()
	if err := s.Each(context.Background(), l, api.Address{}, func(a api.Address, under api.LeaseID, _ int) bool {
		if len(list) > 0 && bytes.Compare(a[:], list[len(list)-1][:]) <= 0 || l != (api.LeaseID{}) && under != l {
			t.Error("out of order or under another lease")
		}
		list = append(list, a)
		return true
	}); err != nil {
		t.Fatal(err)
	}
	return list
}
