package p2p

import (
	"bufio"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"inos/kernel/api"
	"inos/kernel/wire"
)

const (
	maxOpenBatches = 16               // batches of one session without a receipt; Send waits
	receiptTime    = 60 * time.Second // without any receipt while some are due
)

// StoreSession streams batches of blocks to one holder, back to back; receipts
// come back as the holder's disk commits. Its methods are safe for concurrent
// use. After an error the session is dead: open another.
type StoreSession struct {
	h     *Host
	to    api.NodeID
	s     stream
	turn  chan struct{} // capacity 1; held while writing out
	out   *bufio.Writer
	slots chan struct{} // capacity maxOpenBatches
	ended chan struct{} // closed when the reader has returned

	mu    sync.Mutex
	next  uint64               // guarded by mu
	open  map[uint64]openBatch // guarded by mu; nil when the session is dead
	err   error                // guarded by mu; why it is dead
	timer *time.Timer          // guarded by mu; runs while batches are open
}

type openBatch struct {
	lease api.LeaseID
	count int
	done  func(api.Receipt, error)
}

// OpenStore opens a session. Close it.
func (h *Host) OpenStore(ctx context.Context, to api.NodeID) (*StoreSession, error) {
	const op = "p2p.store"
	r, err := h.member(ctx, op, to)
	if err != nil {
		return nil, err
	}
	return h.openStore(ctx, r)
}

func (h *Host) openStore(ctx context.Context, r *remote) (*StoreSession, error) {
	const op = "p2p.store"
	s, err := h.net.stream(ctx, r.id, blocksProtocol)
	if err != nil {
		return nil, openError(ctx, op, r.id, err)
	}
	io := &paced{s: s, stall: h.cfg.Limits.Stall}
	t := &StoreSession{
		h: h, to: r.id, s: s,
		turn:  make(chan struct{}, 1),
		out:   bufio.NewWriterSize(io, blockWrite),
		slots: make(chan struct{}, maxOpenBatches),
		ended: make(chan struct{}),
		open:  make(map[uint64]openBatch),
	}
	t.timer = time.AfterFunc(receiptTime, t.expire)
	t.timer.Stop()
	if !h.goWork(t.read) {
		_ = s.Reset()
		return nil, closedError(op)
	}
	return t, nil
}

// StoreBlocks sends one batch and waits for its receipt. Batches of concurrent
// callers share one stream. Limits and errors are those of Send.
func (h *Host) StoreBlocks(ctx context.Context, to api.NodeID, lease api.LeaseID, blocks []api.Block) (api.Receipt, error) {
	const op = "p2p.store"
	r, err := h.member(ctx, op, to)
	if err != nil {
		return api.Receipt{}, err
	}
	t, err := h.sharedStore(ctx, r)
	if err != nil {
		return api.Receipt{}, err
	}
	type result struct {
		receipt api.Receipt
		err     error
	}
	answer := make(chan result, 1)
	if err := t.Send(ctx, lease, blocks, func(r api.Receipt, err error) { answer <- result{r, err} }); err != nil {
		return api.Receipt{}, err
	}
	select {
	case a := <-answer:
		return a.receipt, a.err
	case <-ctx.Done():
		return api.Receipt{}, api.E(op, api.Other, ctx.Err())
	}
}

// sharedStore returns the session that StoreBlocks uses.
func (h *Host) sharedStore(ctx context.Context, r *remote) (*StoreSession, error) {
	r.bmu.Lock()
	defer r.bmu.Unlock()
	if r.store != nil && r.store.alive() {
		return r.store, nil
	}
	t, err := h.openStore(ctx, r)
	if err == nil {
		r.store = t
	}
	return t, err
}

func (t *StoreSession) alive() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open != nil
}

// Send writes one batch, of at most wire.MaxBatchBlocks blocks and
// wire.MaxBatchBytes bytes, and returns when its bytes are handed to the
// transport; the blocks' bytes are not kept. It waits for its turn and while
// maxOpenBatches batches have no receipt. When it returns nil, done is called
// once, from the session's goroutine, with the holder's receipt or error, and
// must not block; otherwise never. The receipt names the holder, lease and count
// that were asked for; its commitment and signature are the caller's to verify.
//
// Errors of the holder arrive with their kind (NoSpace, Corrupt, Denied);
// Unavailable, Timeout and Unverified end the session, and so does an end of
// ctx in the middle of a batch.
func (t *StoreSession) Send(ctx context.Context, lease api.LeaseID, blocks []api.Block, done func(api.Receipt, error)) error {
	const op = "p2p.store"
	batch := wire.StoreBatch{Lease: lease, Addrs: make([]api.Address, len(blocks)), Sizes: make([]uint32, len(blocks))}
	for i, b := range blocks {
		batch.Addrs[i], batch.Sizes[i] = b.Addr, uint32(min(len(b.Data), api.MaxBlock+1))
	}
	select {
	case t.slots <- struct{}{}:
	case <-ctx.Done():
		return api.E(op, api.Other, ctx.Err())
	case <-t.ended:
		return t.cause(op)
	}
	err := t.send(ctx, op, batch, blocks, done)
	if err != nil {
		<-t.slots
	}
	return err
}

func (t *StoreSession) send(ctx context.Context, op string, batch wire.StoreBatch, blocks []api.Block, done func(api.Receipt, error)) error {
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return api.E(op, api.Other, ctx.Err())
	}
	seq, err := t.register(op, openBatch{batch.Lease, len(blocks), done})
	if err != nil {
		return err
	}
	batch.Seq = seq
	msg, err := wire.EncodeBlocksRequest(wire.BlocksRequest{Store: &batch})
	if err != nil {
		t.finish(seq)
		return api.E(op, api.Other, err)
	}
	reset := context.AfterFunc(ctx, func() { _ = t.s.Reset() })
	err = t.write(msg, blocks)
	if !reset() && err == nil {
		err = ctx.Err() // the stream was reset under the last bytes
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	_, mine := t.finish(seq) // before fail, which would call done
	t.fail(err)
	if !mine {
		return nil // the reader saw the end first and told done
	}
	return transferError(op, t.to, err)
}

func (t *StoreSession) write(msg []byte, blocks []api.Block) error {
	if err := writeFrame(t.out, msg); err != nil {
		return err
	}
	for _, b := range blocks {
		if _, err := t.out.Write(b.Data); err != nil {
			return err
		}
		t.h.sent(t.to, uint64(len(b.Data)))
	}
	return t.out.Flush()
}

func (t *StoreSession) register(op string, b openBatch) (uint64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		return 0, transferError(op, t.to, t.err)
	}
	t.next++
	t.open[t.next] = b
	if len(t.open) == 1 {
		t.timer.Reset(receiptTime)
	}
	return t.next, nil
}

// finish takes a batch out of the open ones.
func (t *StoreSession) finish(seq uint64) (openBatch, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b, ok := t.open[seq]
	delete(t.open, seq)
	if len(t.open) == 0 {
		t.timer.Stop()
	} else {
		t.timer.Reset(receiptTime)
	}
	return b, ok
}

func (t *StoreSession) expire() {
	t.fail(api.Errorf("p2p.store", api.Timeout, "no receipt came for a minute"))
}

func (t *StoreSession) cause(op string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return transferError(op, t.to, t.err)
}

// fail ends the session and reports every open batch.
func (t *StoreSession) fail(err error) {
	t.mu.Lock()
	open := t.open
	t.open = nil
	if t.err == nil {
		t.err = err
	}
	t.timer.Stop()
	t.mu.Unlock()
	_ = t.s.Reset()
	for _, b := range open {
		b.done(api.Receipt{}, transferError("p2p.store", t.to, err))
		<-t.slots
	}
}

// Close waits for the receipts of everything sent, at most receiptTime after
// the last one, and closes the stream. It returns why the session died, if it
// did. No Send may follow or be under way.
func (t *StoreSession) Close() error {
	_ = t.s.CloseWrite()
	<-t.ended
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil || errors.Is(t.err, errSessionDone) {
		return nil
	}
	return transferError("p2p.store", t.to, t.err)
}

// errSessionDone ends a session in which every batch was answered.
var errSessionDone = errors.New("the holder closed the finished session")

// read takes receipts until the stream ends.
func (t *StoreSession) read() {
	defer close(t.ended)
	br := bufio.NewReaderSize(t.s, serveRead)
	for {
		err := t.readOne(br)
		if err == nil {
			continue
		}
		t.mu.Lock()
		rest := len(t.open)
		t.mu.Unlock()
		if errors.Is(err, io.EOF) && rest == 0 {
			err = errSessionDone
		}
		t.h.badPeer(t.to, err)
		t.fail(noEOF(err))
		return
	}
}

func (t *StoreSession) readOne(br *bufio.Reader) error {
	const op = "p2p.store"
	msg, err := readFrame(br, wire.MaxCallFrame, nil)
	if err != nil {
		return err
	}
	reply, err := wire.DecodeBlocksReply(msg)
	if err != nil {
		return err
	}
	if reply.Stored == nil {
		return api.Errorf(op, api.Invalid, "the answer to a batch is no receipt")
	}
	st := reply.Stored
	b, ok := t.finish(st.Seq)
	if !ok {
		return api.Errorf(op, api.Invalid, "a receipt came for no batch")
	}
	defer func() { <-t.slots }()
	if st.Failed {
		b.done(api.Receipt{}, api.Errorf(op, st.Kind, st.Message))
		return nil
	}
	if r := st.Receipt; r.Holder != t.to || r.Lease != b.lease || int(r.Count) != b.count {
		err := api.Errorf(op, api.Unverified, "the node "+t.to.Short()+" signed a receipt for something else")
		b.done(api.Receipt{}, err)
		return err
	}
	b.done(st.Receipt, nil)
	return nil
}
