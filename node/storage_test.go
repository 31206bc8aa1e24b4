//go:build !js

package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
	"inos/kernel/mesh"
	"inos/kernel/wire"
)

// stored keeps a block of random bytes under a lease, as from asked.
func stored(t *testing.T, n *Node, from api.NodeID, lease api.LeaseID, seed int64) api.Address {
	t.Helper()
	data := randomBytes(seed, 1000)
	b := api.Block{Addr: api.Address(blake3.Sum256(data)), Data: data}
	if _, err := (blockService{n}).Store(t.Context(), from, lease, []api.Block{b}); err != nil {
		t.Fatal(err)
	}
	return b.Addr
}

// names lists the blocks under a lease.
func names(t *testing.T, n *Node, lease api.LeaseID) (addrs []api.Address) {
	t.Helper()
	err := n.store.Each(t.Context(), lease, api.Address{}, func(a api.Address, _ api.LeaseID, _ int) bool {
		addrs = append(addrs, a)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return addrs
}

func setLease(n *Node, by api.NodeID, terms wire.LeaseTerms) error {
	b, err := wire.EncodeLeaseTerms(terms)
	if err == nil {
		_, err = n.handleLease(context.Background(), by, b)
	}
	return err
}

// Only the owner changes the terms of a lease: a member that sets an early end
// for somebody else's data deletes nothing.
func TestOnlyTheOwnerEndsALease(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "a"})
	owner, thief := api.NodeID{1}, api.NodeID{2}
	lease := api.Lease{Owner: owner, Root: api.Address{7}, Copies: 3}
	id, from := leaseID(owner, lease.Root), api.LeaseID{9}
	stored(t, n, owner, from, 1)
	if err := setLease(n, owner, wire.LeaseTerms{From: from, Lease: lease}); err != nil {
		t.Fatal(err)
	}
	over := lease
	over.Copies, over.Until = 1, 1
	prov := api.LeaseID{10}
	stored(t, n, thief, prov, 2)
	for _, from := range []api.LeaseID{{}, prov} {
		_ = setLease(n, thief, wire.LeaseTerms{From: from, Lease: over}) // refused or without effect
		if err := n.leases.expire(t.Context(), time.Now()); err != nil {
			t.Fatal(err)
		}
		if got, err := n.leases.terms(id); err != nil || got != lease {
			t.Fatalf("the terms are %+v, %v", got, err)
		}
		if len(names(t, n, id)) == 0 {
			t.Fatal("the blocks are gone")
		}
	}
	if err := n.leases.mayRelease(thief, id); !errors.Is(err, api.Denied) {
		t.Errorf("another may release it: %v", err)
	}
	if err := setLease(n, owner, wire.LeaseTerms{Lease: over}); err != nil {
		t.Fatal(err)
	}
	if err := n.leases.expire(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	if left := names(t, n, id); len(left) != 0 {
		t.Errorf("the owner ended it and %d blocks stayed", len(left))
	}
}

// Terms without blocks are refused and leave no row; after a repair, which
// brings blocks first, they are taken.
func TestTermsNeedBlocks(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "a"})
	owner, other := api.NodeID{1}, api.NodeID{2}
	lease := api.Lease{Owner: owner, Root: api.Address{7}, Copies: 3}
	id := leaseID(owner, lease.Root)
	for _, from := range []api.LeaseID{{}, {5}} {
		if err := setLease(n, other, wire.LeaseTerms{From: from, Lease: lease}); !errors.Is(err, api.NotFound) {
			t.Errorf("terms for nothing: %v", err)
		}
		if _, err := n.leases.terms(id); !errors.Is(err, api.NotFound) {
			t.Errorf("terms for nothing were kept: %v", err)
		}
	}
	addr := stored(t, n, other, id, 1)
	if err := setLease(n, other, wire.LeaseTerms{Lease: lease}); err != nil {
		t.Fatal(err)
	}
	if got, err := n.leases.terms(id); err != nil || got != lease || !slices.Contains(names(t, n, id), addr) {
		t.Errorf("after a repair: %+v, %v", got, err)
	}
}

// A note about an uncommitted lease that outlives the commit releases nothing.
func TestStaleNoteSparesACommittedLease(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "a"})
	owner, first := api.NodeID{1}, api.NodeID{2}
	lease := api.Lease{Owner: owner, Root: api.Address{7}, Copies: 3}
	id, from := leaseID(owner, lease.Root), api.LeaseID{9}
	stored(t, n, first, id, 1) // a repair that never sent the terms
	stored(t, n, owner, from, 2)
	if err := setLease(n, owner, wire.LeaseTerms{From: from, Lease: lease}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.meta.Get(provKey(id)); !errors.Is(err, api.NotFound) {
		t.Errorf("the note is still there: %v", err)
	}
	if err := n.meta.Set(provKey(id), provRow{from: first}.encode()); err != nil { // as a crash may leave it
		t.Fatal(err)
	}
	if err := n.leases.expire(t.Context(), time.Now().Add(2*provisionalLife)); err != nil {
		t.Fatal(err)
	}
	if left := names(t, n, id); len(left) != 2 {
		t.Errorf("%d of 2 blocks are left", len(left))
	}
}

// Who began a put stays noted when another stores under the same lease.
func TestFirstSenderStaysNoted(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "a"})
	first, second, id := api.NodeID{1}, api.NodeID{2}, api.LeaseID{3}
	old := time.Now().Add(-2 * time.Hour).Unix()
	if err := n.meta.Set(provKey(id), provRow{old, first}.encode()); err != nil {
		t.Fatal(err)
	}
	stored(t, n, second, id, 1)
	v, err := n.meta.Get(provKey(id))
	if r, ok := decodeProv(v); err != nil || !ok || r.from != first || r.seen <= old {
		t.Errorf("noted %+v, %v", r, err)
	}
	if err := n.leases.mayRelease(second, id); !errors.Is(err, api.Denied) {
		t.Errorf("the second sender may release: %v", err)
	}
}

// session returns a put session that no coordinator knows.
func session(t *testing.T, n *Node) *putSession {
	t.Helper()
	id := api.RandomID()
	s := n.beginPut(provisionalLease(n.id.ID(), id), id, api.Policy{}, func(api.Progress) {})
	t.Cleanup(s.close)
	return s
}

// The commit waits until every batch that was cut has been stepped.
func TestCommitFollowsEveryBatch(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "a"})
	s := session(t, n)
	data := []byte("block")
	b := api.Block{Addr: api.Address(blake3.Sum256(data)), Data: data}
	s.mu.Lock()
	s.pending, s.pendingBytes = []api.Block{b}, len(data)
	batch := s.cut() // another goroutine has this in hand and was not run yet
	s.closing, s.committed = true, &mesh.PutCommit{Put: s.id, Final: api.LeaseID{1}, Lease: api.Lease{Owner: n.id.ID(), Copies: 1}}
	early := s.cut()
	s.mu.Unlock()
	if len(batch) != 1 || len(early) != 0 {
		t.Fatalf("cut %v, and before it was stepped %v", batch, early)
	}
	s.push(batch)
	select {
	case <-s.done:
	case <-time.After(10 * time.Second):
		t.Fatal("the put did not end")
	}
	if s.result.Err != nil {
		t.Error(s.result.Err)
	}
}

// What holders earned is a copy: receipts that come late change nothing in it,
// and a receipt counts once.
func TestReceiptsAreCountedOnceAndCopied(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "a"})
	s := session(t, n)
	a, b := api.NodeID{1}, api.NodeID{2}
	r := api.Receipt{Holder: a, Blocks: api.Hash{1}, Count: 1, Bytes: 10}
	s.receipted(r)
	s.receipted(r)
	s.receipted(api.Receipt{Holder: b, Blocks: api.Hash{1}, Count: 1, Bytes: 10})
	paid, receipts := s.earned([]api.NodeID{a})
	late := make(chan struct{})
	go func() {
		defer close(late)
		for i := range 100 {
			s.receipted(api.Receipt{Holder: api.NodeID{byte(i)}, Blocks: api.Hash{2, byte(i)}, Bytes: 1})
		}
	}()
	total := uint64(0)
	for range 100 {
		total = 0
		for _, k := range paid {
			total += k.bytes
		}
	}
	<-late
	if total != 10 || len(paid) != 1 || len(paid[a].blocks) != 1 || len(receipts) != 1 {
		t.Errorf("earned %d bytes by %d holders, %d receipts", total, len(paid), len(receipts))
	}
}

// A receipt counts only for what was sent.
func TestReceiptsForSomethingElse(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "a"})
	data := []byte("block")
	b := api.Block{Addr: api.Address(blake3.Sum256(data)), Data: data}
	addrs := []api.Address{b.Addr}
	e := mesh.SendStore{Lease: api.LeaseID{1}, To: n.id.ID(), Addrs: addrs}
	good := n.sign(e.Lease, addrs, uint64(len(data)))
	for name, r := range map[string]api.Receipt{
		"more bytes":   n.sign(e.Lease, addrs, 1<<40),
		"other lease":  n.sign(api.LeaseID{2}, addrs, uint64(len(data))),
		"other blocks": n.sign(e.Lease, []api.Address{{1}}, uint64(len(data))),
	} {
		if err := n.checkStored(r, e, []api.Block{b}); !errors.Is(err, api.Unverified) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := n.checkStored(good, e, []api.Block{b}); err != nil {
		t.Error(err)
	}
}

// A peer that comes while the node starts is asked to come again, and is no
// member yet.
func TestNobodyIsAdmittedBeforeServing(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "a"})
	n.serving.Store(false)
	defer n.serving.Store(true)
	if err := n.meet(n.id.ID(), n.credential()); !errors.Is(err, api.Unavailable) {
		t.Errorf("admitted: %v", err)
	}
	if n.isMember(n.id.ID()) {
		t.Error("a member before the node serves")
	}
	starting := &Node{} // nothing exists yet
	if err := starting.meet(n.id.ID(), n.credential()); !errors.Is(err, api.Unavailable) || starting.isMember(n.id.ID()) {
		t.Errorf("admitted by a node without parts: %v", err)
	}
}

// A release that waits for a holder does not end an object that was put again.
func TestPutAgainSurvivesAWaitingRelease(t *testing.T) {
	nodes := startMesh(t, 2)
	a, c := nodes[0], nodes[1]
	data := randomBytes(5, 3000)
	obj := put(t, a, "f", data, api.Policy{})
	lease := leaseID(a.id.ID(), obj.Link.Root)
	if err := a.Remove(t.Context(), obj.Link); err != nil {
		t.Fatal(err)
	}
	if err := a.meta.Set(releaseKey(c.id.ID(), lease), nil); err != nil { // as if c had been away
		t.Fatal(err)
	}
	obj = put(t, a, "f", data, api.Policy{})
	if obj.Acks != 2 {
		t.Fatalf("%d receipts", obj.Acks)
	}
	a.releasePending(c.id.ID())
	if got := names(t, c, lease); len(got) == 0 {
		t.Fatal("the release of the removed object ended the new one")
	}
	mustGet(t, a, obj.Link, data)
}

// A holder that is connected but too busy to answer a removal is told again.
func TestABusyHolderIsToldAgain(t *testing.T) {
	nodes := startMesh(t, 2)
	a, c := nodes[0], nodes[1]
	obj := put(t, a, "f", randomBytes(6, 3000), api.Policy{})
	lease := leaseID(a.id.ID(), obj.Link.Root)
	c.leases.mu.Lock() // as a disk that is slow to sync would hold it
	err := a.Remove(t.Context(), obj.Link)
	c.leases.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the holder to know", func() bool {
		return len(a.releasesOf(c.id.ID())) == 0 && len(names(t, c, lease)) == 0
	})
}

// A failed put of a removed object leaves its releases to be told.
func TestFailedPutKeepsWaitingReleases(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "a"})
	away, lease := api.NodeID{9}, api.LeaseID{4}
	other := api.NodeID{8}
	for _, p := range []api.NodeID{away, other} {
		if err := n.meta.Set(releaseKey(p, lease), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.meta.Set(releaseKey(other, api.LeaseID{5}), nil); err != nil {
		t.Fatal(err)
	}
	peers, err := n.unrelease(lease)
	if err != nil || len(peers) != 2 || len(n.releasesOf(away)) != 0 || len(n.releasesOf(other)) != 1 {
		t.Fatalf("took back %d, %v", len(peers), err)
	}
	n.rerelease(lease, peers)
	if len(n.releasesOf(away)) != 1 || len(n.releasesOf(other)) != 2 {
		t.Error("the releases are lost")
	}
	n.forgetReleases(other)
	if len(n.releasesOf(other)) != 0 || len(n.releasesOf(away)) != 1 {
		t.Error("forgetting a removed member's releases")
	}
}

// Progress is told by one goroutine, which a slow listener does not turn into a
// slow put, and never after Put returned.
func TestSlowProgressListener(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "a"})
	data := randomBytes(6, 40*api.ChunkSize)
	running, last, over := 0, api.Progress{}, false
	_, err := n.Put(t.Context(), api.PutRequest{Name: "f", Size: uint64(len(data))}, bytes.NewReader(data), func(p api.Progress) {
		running++ // the race detector sees a second goroutine here
		if running != 1 || over {
			t.Error("told by two at once, or after the end")
		}
		time.Sleep(2 * time.Millisecond) // a slow listener
		last = p
		running--
	})
	over = true
	if err != nil || last.Acked != last.Blocks || last.Acked == 0 {
		t.Errorf("the last report was %+v, %v", last, err)
	}
}

// A fetch that is cancelled before its request is registered does not run on.
func TestCancelBeforeSend(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "a"})
	c := n.coord
	for i := range uint64(3 * maxEarly) {
		c.cancelFetch(1<<40 + i)
	}
	if len(c.early) != maxEarly || len(c.earlier) != maxEarly {
		t.Errorf("%d and %d are remembered", len(c.early), len(c.earlier))
	}
	send := uint64(1<<40 + 3*maxEarly - 1)
	c.sessions.Lock()
	_, remembered := c.early[send]
	c.sessions.Unlock()
	if !remembered {
		t.Error("the latest is not remembered")
	}
}

// The second of two holders of a key waits, and a waiter that gives up leaves
// nothing behind.
func TestKeyLock(t *testing.T) {
	var l keyLock
	unlock, err := l.lock(t.Context(), [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.lock(ctx, [32]byte{1}); !errors.Is(err, api.Canceled) {
		t.Errorf("waited with a cancelled context: %v", err)
	}
	other, err := l.lock(t.Context(), [32]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	other()
	entered := make(chan struct{})
	go func() {
		second, err := l.lock(context.Background(), [32]byte{1})
		if err == nil {
			second()
		}
		close(entered)
	}()
	unlock()
	<-entered
	if len(l.turns) != 0 {
		t.Errorf("%d keys are left", len(l.turns))
	}
}

// Close ends in time while a put hangs, and may be called twice.
func TestCloseWhilePutHangs(t *testing.T) {
	n := start(t, Config{Dir: t.TempDir(), Name: "a"})
	r, w := io.Pipe()
	put := make(chan error, 1)
	go func() {
		_, err := n.Put(context.Background(), api.PutRequest{Name: "f"}, r, func(api.Progress) {})
		put <- err
	}()
	if _, err := w.Write(randomBytes(1, 3*api.ChunkSize)); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	_ = n.Close()
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("closing took %s", d)
	}
	_ = w.Close()
	if err := <-put; err == nil {
		t.Error("the put of a stopped node succeeded")
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if n.spawn(func() { t.Error("a task ran after Close") }) {
		t.Error("a task was accepted after Close")
	}
}
