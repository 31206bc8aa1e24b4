package p2p

import (
	"bufio"
	"context"
	"errors"
	"io"
	"sync"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// Backend is what this node serves blocks from and stores them to. Its methods
// authorize from, are called concurrently, and stop when ctx ends; the kinds of
// their errors reach the peer.
type Backend interface {
	// Store makes blocks durable under lease and returns the signed receipt. The
	// addresses are the peer's claim and not yet verified. The blocks' bytes are
	// only valid until it returns.
	Store(ctx context.Context, from api.NodeID, lease api.LeaseID, blocks []api.Block) (api.Receipt, error)

	// Load returns a block's verified bytes, appended to buf[:0], whose capacity
	// suffices for any block. NotFound, Corrupt or Denied tell the peer why not.
	Load(ctx context.Context, from api.NodeID, addr api.Address, buf []byte) ([]byte, error)

	// Has reports, for each address, whether the block is here.
	Has(ctx context.Context, from api.NodeID, addrs []api.Address) ([]bool, error)

	// AddLease adds lease to blocks that are here already and returns a receipt
	// for them, NotFound if any is missing.
	AddLease(ctx context.Context, from api.NodeID, lease api.LeaseID, addrs []api.Address) (api.Receipt, error)

	// Rename turns the lease old into lease.
	Rename(ctx context.Context, from api.NodeID, old, lease api.LeaseID) error

	// Release drops a lease.
	Release(ctx context.Context, from api.NodeID, lease api.LeaseID) error
}

// Serve answers other nodes' requests about blocks from b from now on. Before
// it, they get Unavailable.
func (h *Host) Serve(b Backend) { h.backend.Store(&b) }

func (h *Host) blocksBackend() (Backend, error) {
	b := h.backend.Load()
	if b == nil {
		return nil, api.Errorf("p2p.serve", api.Unavailable, "this node does not serve blocks yet; try again")
	}
	return *b, nil
}

const (
	maxIdleStreams = 2        // block streams kept open to one peer between requests
	blockRead      = 16 << 10 // read buffer of a block stream; larger reads bypass it
	blockWrite     = 64 << 10 // write buffer; a header leaves together with its first bytes
	serveRead      = 4 << 10  // read buffer on the serving side, which mostly rests
)

// blocks is the part of remote that block transfers use.
type blocks struct {
	bmu   sync.Mutex
	idle  []*blockStream // guarded by bmu; at most maxIdleStreams
	store *StoreSession  // guarded by bmu; shared by StoreBlocks
}

// blockStream is a client's stream of fetches, used by one fetch at a time.
type blockStream struct {
	s  stream
	io *paced
	br *bufio.Reader
}

// takeStream returns a rested stream, or opens one.
func (h *Host) takeStream(ctx context.Context, r *remote) (st *blockStream, rested bool, err error) {
	r.bmu.Lock()
	if n := len(r.idle); n > 0 {
		st, r.idle = r.idle[n-1], r.idle[:n-1]
		r.bmu.Unlock()
		return st, true, nil
	}
	r.bmu.Unlock()
	s, err := h.net.stream(ctx, r.id, blocksProtocol)
	if err != nil {
		return nil, false, err
	}
	io := &paced{s: s, stall: h.cfg.Limits.Stall}
	return &blockStream{s: s, io: io, br: bufio.NewReaderSize(io, blockRead)}, false, nil
}

// restStream keeps st for the next fetch, or closes it.
func (r *remote) restStream(st *blockStream) {
	st.io.rest()
	r.bmu.Lock()
	defer r.bmu.Unlock()
	if len(r.idle) < maxIdleStreams {
		r.idle = append(r.idle, st)
		return
	}
	_ = st.s.Close()
}

// blockServer answers one stream of /inos/blocks/1.
type blockServer struct {
	h    *Host
	from api.NodeID
	ctx  context.Context
	io   *paced
	br   *bufio.Reader

	stores *storeServer // set by the first batch; then the stream takes only batches
	loads  bool         // set by the first fetch; then the stream takes only fetches
}

// serveBlocks answers a member's requests until the stream ends.
func (h *Host) serveBlocks(s stream) {
	h.serveStream(s, func(r *remote) {
		ctx, cancel := context.WithCancel(h.ctx)
		defer cancel()
		stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
		defer stop()
		v := &blockServer{h: h, from: r.id, ctx: ctx, io: &paced{s: s, stall: h.cfg.Limits.Stall}}
		err := v.serve(cancel)
		if v.stores != nil {
			v.stores.wait()
		}
		if err != nil && !errors.Is(err, io.EOF) {
			h.badPeer(r.id, err)
			_ = s.Reset()
			return
		}
		if stop() {
			_ = s.Close()
		}
	})
}

func (v *blockServer) serve(cancel context.CancelFunc) error {
	in := &patient{p: v.io}
	v.br = bufio.NewReaderSize(in, serveRead)
	for {
		in.begun = v.br.Buffered() > 0
		msg, err := readFrame(v.br, wire.MaxBlocksFrame, nil)
		if err != nil {
			return err
		}
		req, err := wire.DecodeBlocksRequest(msg)
		if err != nil {
			return err
		}
		if !v.h.cfg.Member(v.from) {
			v.h.counts.refused.Add(1)
			_ = v.io.s.refuse()
			return io.EOF
		}
		if (req.Store != nil && v.loads) || (req.Store == nil && v.stores != nil) {
			return api.Errorf("p2p.serve", api.Invalid, "a stream of blocks carries either fetches or batches")
		}
		if req.Store != nil {
			if v.stores == nil {
				v.stores = newStoreServer(v, cancel)
			}
			err = v.stores.batch(req.Store)
		} else {
			v.loads = true
			err = v.fetch(req.Fetch)
		}
		if err != nil {
			return err
		}
	}
}
