package mesh

import (
	"testing"
	"time"

	"inos/kernel/api"
	"inos/kernel/identity"
)

// benchMesh is a coordinator with n-1 connected peers that all have space.
func benchMesh(b testing.TB, n int) *Coordinator {
	b.Helper()
	root := identity.NewFromSeed([32]byte{1})
	table := identity.NewMemberTable(root.ID())
	ids := make([]api.NodeID, n)
	for i := range ids {
		ids[i] = identity.NewFromSeed([32]byte{2, byte(i)}).ID()
		m := identity.SignMembership(root, api.Membership{Node: ids[i], Roles: api.Hub, Name: "n", Issued: 1})
		if _, err := table.Merge(m, 1); err != nil {
			b.Fatal(err)
		}
	}
	c, err := New(Config{Self: ids[0], Members: table, VerifyCapability: func(api.Capability) error { return nil }}, time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	for i, id := range ids {
		if i > 0 {
			c.Step(time.Hour, PeerConnected{Node: id})
		}
		c.Step(time.Hour, CapabilityReceived{api.Capability{Node: id, Seq: 1, Roles: api.Hub, Free: 1 << 40}})
	}
	return c
}

// BenchmarkFetchSession runs whole sessions of 256 blocks of 1 MiB from 29
// holders; the figure is per block.
func BenchmarkFetchSession(b *testing.B) {
	c := benchMesh(b, 30)
	wants := make([]BlockRef, 256)
	for i := range wants {
		wants[i] = BlockRef{Addr: testAddr(i), Size: 1 << 20}
	}
	now, n := time.Hour, byte(0)
	b.ReportAllocs()
	for i := 0; i < b.N; i += len(wants) {
		n++
		var queue []SendFetch
		gather := func(effects []Effect) (done bool) {
			for _, e := range effects {
				switch e := e.(type) {
				case SendFetch:
					queue = append(queue, e)
				case FetchDone:
					done = true
				}
			}
			return done
		}
		done := gather(c.Step(now, FetchBegin{Fetch: api.ID{n, 1}, Wants: wants}))
		for len(queue) > 0 && !done {
			s := queue[0]
			queue = queue[1:]
			for _, a := range s.Addrs {
				now += 100 * time.Microsecond
				done = gather(c.Step(now, FetchArrived{Send: s.Send, Addr: a, Size: 1 << 20}))
			}
		}
		if !done {
			b.Fatal("the fetch did not end")
		}
	}
}

// BenchmarkPutSession puts batches of 8 blocks in three copies over 30 nodes;
// the figure is per block.
func BenchmarkPutSession(b *testing.B) {
	c := benchMesh(b, 30)
	c.Step(time.Hour, PutBegin{Put: api.ID{1}, Lease: api.LeaseID{1}})
	b.ReportAllocs()
	for i := 0; i < b.N; i += 8 {
		refs := make([]BlockRef, 8)
		for k := range refs {
			refs[k] = BlockRef{Addr: testAddr(i + k), Size: 1 << 20}
		}
		var sends []SendStore
		for _, e := range c.Step(time.Hour, PutBlocks{Put: api.ID{1}, Batch: uint64(i), Blocks: refs}) {
			sends = append(sends, e.(SendStore))
		}
		acked := false
		for _, s := range sends {
			for _, e := range c.Step(time.Hour, StoreAcked{Send: s.Send, Receipt: api.Receipt{
				Holder: s.To, Lease: s.Lease, Blocks: identity.BatchDigest(s.Addrs), Count: uint32(len(s.Addrs)),
			}}) {
				_, acked = e.(PutAcked)
			}
		}
		if !acked {
			b.Fatal("the batch was not acknowledged")
		}
	}
}
