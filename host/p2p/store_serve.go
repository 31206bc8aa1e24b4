package p2p

import (
	"context"
	"io"
	"sync"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// maxStores is how many batches of one stream are committed at once: one
// arrives while others wait for the disk, which commits them together.
const maxStores = 4

// storeServer takes the batches of one stream.
type storeServer struct {
	v     *blockServer
	out   *outbox
	slots chan struct{} // capacity maxStores
	work  sync.WaitGroup
}

func newStoreServer(v *blockServer, cancel context.CancelFunc) *storeServer {
	return &storeServer{
		v:     v,
		out:   newOutbox(v.io, func(error) { cancel() }),
		slots: make(chan struct{}, maxStores),
	}
}

// wait returns when every batch is answered and the answers are written.
func (t *storeServer) wait() {
	t.work.Wait()
	t.out.flush()
}

// batch reads one batch's bytes and starts to store it.
func (t *storeServer) batch(b *wire.StoreBatch) error {
	h := t.v.h
	total := 0
	for _, n := range b.Sizes {
		total += int(n)
	}
	select {
	case t.slots <- struct{}{}:
	case <-t.v.ctx.Done():
		return t.v.ctx.Err()
	}
	if err := h.serveMem.Acquire(t.v.ctx, int64(total)); err != nil {
		<-t.slots
		return err
	}
	buf := getBuffer(total)
	release := func() {
		buf.release()
		h.serveMem.Release(int64(total))
		<-t.slots
	}
	if _, err := io.ReadFull(t.v.br, buf.b); err != nil {
		release()
		return noEOF(err)
	}
	h.received(t.v.from, uint64(total))
	blocks := make([]api.Block, len(b.Addrs))
	at := 0
	for i, addr := range b.Addrs {
		end := at + int(b.Sizes[i])
		blocks[i] = api.Block{Addr: addr, Data: buf.b[at:end:end]}
		at = end
	}
	t.work.Add(1)
	go func() {
		defer t.work.Done()
		stored := t.store(b, blocks)
		release()
		t.answer(stored)
	}()
	return nil
}

func (t *storeServer) store(b *wire.StoreBatch, blocks []api.Block) wire.Stored {
	st := wire.Stored{Seq: b.Seq}
	backend, err := t.v.h.blocksBackend()
	if err == nil {
		st.Receipt, err = backend.Store(t.v.ctx, t.v.from, b.Lease, blocks)
	}
	if err != nil {
		st.Failed, st.Kind, st.Message = true, api.KindOf(err), messageOf(err)
	}
	return st
}

func (t *storeServer) answer(st wire.Stored) {
	if msg, err := wire.EncodeBlocksReply(wire.BlocksReply{Stored: &st}); err == nil {
		_ = t.out.put(t.v.ctx, msg, nil) // a peer that left gets no answer
	}
}
