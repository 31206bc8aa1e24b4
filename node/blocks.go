package node

import (
	"context"
	"sync"
	"time"

	"inos/kernel/api"
	"inos/kernel/identity"
	"inos/kernel/mesh"
	"inos/kernel/wire"
)

// blockService answers the block requests of other members: host/p2p's Backend.
type blockService struct{ n *Node }

// Store makes blocks durable and signs for them.
func (b blockService) Store(ctx context.Context, from api.NodeID, lease api.LeaseID, blocks []api.Block) (api.Receipt, error) {
	return b.n.storeAs(ctx, from, lease, blocks)
}

// Load serves a block to any member: it holds ciphertext unless its owner made
// it public.
func (b blockService) Load(ctx context.Context, from api.NodeID, addr api.Address, buf []byte) ([]byte, error) {
	if err := b.n.cheques.mayRead(from); err != nil {
		return nil, err
	}
	return b.n.store.Get(ctx, addr, buf)
}

// Has says which blocks are here.
func (b blockService) Has(ctx context.Context, _ api.NodeID, addrs []api.Address) ([]bool, error) {
	return b.n.store.Has(ctx, addrs)
}

// AddLease keeps blocks that are here already under another lease too.
func (b blockService) AddLease(ctx context.Context, from api.NodeID, lease api.LeaseID, addrs []api.Address) (api.Receipt, error) {
	if err := b.n.leases.begin(from, lease); err != nil {
		return api.Receipt{}, err
	}
	if err := b.n.store.AddLease(ctx, lease, addrs); err != nil {
		return api.Receipt{}, err
	}
	bytes := uint64(0)
	for _, a := range addrs {
		size, err := b.n.store.Size(a)
		if err != nil {
			return api.Receipt{}, err
		}
		bytes += uint64(size)
	}
	if err := b.n.leases.begin(from, lease); err != nil { // as in storeAs
		return api.Receipt{}, err
	}
	return b.n.sign(lease, addrs, bytes), nil
}

// Rename is refused: a lease changes its name only together with its terms, by
// the call methodLease.
func (b blockService) Rename(context.Context, api.NodeID, api.LeaseID, api.LeaseID) error {
	return api.Errorf("node.rename", api.Unsupported, "commit a lease with its terms")
}

// Release drops a lease for its owner.
func (b blockService) Release(ctx context.Context, from api.NodeID, lease api.LeaseID) error {
	if err := b.n.leases.mayRelease(from, lease); err != nil {
		return err
	}
	defer b.n.stir()
	return b.n.leases.release(ctx, lease)
}

// storeAs makes blocks durable here, as node from asked, and returns this node's
// receipt.
func (n *Node) storeAs(ctx context.Context, from api.NodeID, lease api.LeaseID, blocks []api.Block) (api.Receipt, error) {
	if err := n.leases.begin(from, lease); err != nil {
		return api.Receipt{}, err
	}
	put := n.store.Put
	if from == n.id.ID() {
		put = n.store.PutOwn // addressed here from these very bytes
	}
	if err := put(ctx, lease, blocks); err != nil {
		return api.Receipt{}, err
	}
	// A release that came meanwhile, as of an aborted put, took the note with it:
	// without one the blocks would stay for ever.
	if err := n.leases.begin(from, lease); err != nil {
		return api.Receipt{}, err
	}
	addrs, bytes := make([]api.Address, len(blocks)), uint64(0)
	for i, b := range blocks {
		addrs[i] = b.Addr
		bytes += uint64(len(b.Data))
	}
	n.metrics.storedBytes.Add(bytes)
	n.stir()
	return n.sign(lease, addrs, bytes), nil
}

func (n *Node) sign(lease api.LeaseID, addrs []api.Address, bytes uint64) api.Receipt {
	return identity.SignReceipt(n.id, api.Receipt{
		Lease: lease, Blocks: identity.BatchDigest(addrs),
		Count: uint32(len(addrs)), Bytes: bytes, Time: time.Now().Unix(),
	})
}

// checkReceipt verifies that a receipt is holder's.
func (n *Node) checkReceipt(r api.Receipt, holder api.NodeID) error {
	if r.Holder != holder {
		return api.Errorf("node.receipt", api.Unverified, "the receipt is another node's")
	}
	return identity.VerifyReceipt(r)
}

// sendLease tells a holder what a lease stands for and, with From, commits it.
func (n *Node) sendLease(ctx context.Context, to api.NodeID, terms wire.LeaseTerms) error {
	b, err := wire.EncodeLeaseTerms(terms)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err = n.net.Call(ctx, to, methodLease, b)
	return err
}

// handleLease answers sendLease.
func (n *Node) handleLease(ctx context.Context, from api.NodeID, req []byte) ([]byte, error) {
	v, err := wire.DecodeLeaseTerms(req)
	if err != nil {
		return nil, err
	}
	if v.From != (api.LeaseID{}) {
		if err := n.leases.mayRelease(from, v.From); err != nil {
			return nil, err
		}
	}
	if err := n.leases.commit(ctx, from, v.From, v.Lease); err != nil {
		return nil, err
	}
	if v.Short && v.From != (api.LeaseID{}) { // a put that just ended, and not a word that costs its sender nothing
		n.coord.step(mesh.Recheck{})
	}
	return nil, nil
}

// bufferPool hands out buffers that hold any block.
type bufferPool struct{ pool sync.Pool }

func (p *bufferPool) get() []byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 0, api.MaxBlock)
}

func (p *bufferPool) put(b []byte) {
	if cap(b) >= api.MaxBlock {
		b = b[:0]
		p.pool.Put(&b)
	}
}
