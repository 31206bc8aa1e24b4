package node

import (
	"bytes"
	"context"

	"inos/kernel/api"
)

// blockCache is a BlockStore that keeps copies of what a node reads, under no
// lease, until their room is needed: a tab's. Blocks were just verified. Whether
// it keeps them is its own affair.
type blockCache interface {
	Cache(ctx context.Context, blocks []api.Block) error
}

// cacheBatch is how many bytes of fetched blocks wait to be cached together,
// sharing their flushes.
const cacheBatch = 4 << 20

// cached wraps the delivery of blocks from other nodes so that this node keeps and
// serves them too, if its store caches. end keeps what is left.
func (n *Node) cached(ctx context.Context, deliver func(api.Address, []byte) error) (wrapped func(api.Address, []byte) error, end func()) {
	cache, ok := n.store.(blockCache)
	if !ok {
		return deliver, func() {}
	}
	var batch []api.Block
	size := 0
	end = func() {
		if len(batch) > 0 {
			_ = cache.Cache(ctx, batch) // full of what is leased, or closing: the reader has the bytes
		}
		batch, size = nil, 0
	}
	return func(addr api.Address, data []byte) error {
		if err := deliver(addr, data); err != nil {
			return err
		}
		batch = append(batch, api.Block{Addr: addr, Data: bytes.Clone(data)})
		if size += len(data); size >= cacheBatch {
			end()
		}
		return nil
	}, end
}

// tellCached announces an object that was just read whole, where this node caches
// what it reads: members that find no holder by placement ask for providers, and
// may get it here. What was evicted since they are told when they ask.
func (n *Node) tellCached(root api.Address) {
	if _, ok := n.store.(blockCache); ok {
		n.spawn(func() { n.announce(root) })
	}
}
