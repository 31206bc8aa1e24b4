package p2p

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// clientGroups is how many groups of a fetch are read ahead of deliver. With
// the one being read and the one being delivered, a fetch holds at most four
// groups, about 4.3 MiB.
const clientGroups = 2

// BlockError is one block that a peer did not serve.
type BlockError struct {
	Addr api.Address
	Kind api.Kind // NotFound, Corrupt, Denied or Unavailable
}

// BlockErrors is the cause of a Fetch's error when the peer answered but some
// blocks were not served. All others were delivered.
type BlockErrors struct {
	Peer   api.NodeID
	Blocks []BlockError
}

// Error names the first block.
func (e *BlockErrors) Error() string {
	return fmt.Sprintf("the node %s did not serve %d blocks, first %s (%s)", e.Peer.Short(), len(e.Blocks), e.Blocks[0].Addr.Short(), e.Blocks[0].Kind)
}

// Fetch asks peer to for the blocks of addrs and delivers those it has, in
// order, each verified against its address, from the calling goroutine. data
// is valid until deliver returns. More than wire.MaxBatchBlocks addresses are
// asked for in several requests. Any number of fetches may run at once; a few
// to one peer overlap its disk with the network.
//
// Errors: the error of deliver, unchanged; an error whose cause is *BlockErrors
// and whose kind is that of the first when blocks were not served; Corrupt when
// a block's bytes do not match its address; Timeout when nothing arrives for
// Limits.Stall; Unavailable when the peer is not reachable or leaves; Invalid
// when it breaks the protocol. After an error of the last four kinds, blocks not
// yet delivered were not looked at.
func (h *Host) Fetch(ctx context.Context, to api.NodeID, addrs []api.Address, deliver func(addr api.Address, data []byte) error) error {
	const op = "p2p.fetch"
	var missing []BlockError
	for len(addrs) > 0 {
		n := min(len(addrs), wire.MaxBatchBlocks)
		some, err := h.fetchBatch(ctx, op, to, addrs[:n], deliver)
		if err != nil {
			return err
		}
		missing = append(missing, some...)
		addrs = addrs[n:]
	}
	if len(missing) > 0 {
		return api.E(op, missing[0].Kind, &BlockErrors{Peer: to, Blocks: missing})
	}
	return nil
}

// fetchBatch makes one request. A rested stream may have died unnoticed, so its
// failure before the first byte is tried again on a fresh one.
func (h *Host) fetchBatch(ctx context.Context, op string, to api.NodeID, addrs []api.Address, deliver func(api.Address, []byte) error) ([]BlockError, error) {
	r, err := h.member(ctx, op, to)
	if err != nil {
		return nil, err
	}
	msg, err := wire.EncodeBlocksRequest(wire.BlocksRequest{Fetch: addrs})
	if err != nil {
		return nil, api.E(op, api.Other, err)
	}
	for {
		st, rested, err := h.takeStream(ctx, r)
		if err != nil {
			return nil, openError(ctx, op, to, err)
		}
		f := &fetch{h: h, to: to, addrs: addrs, deliver: deliver, st: st, groups: make(chan received, clientGroups), stop: make(chan struct{})}
		err = f.run(ctx, op, msg)
		if err == nil {
			r.restStream(st)
			return f.missing, nil
		}
		_ = st.s.Reset()
		if rested && !f.begun && ctx.Err() == nil && errors.Is(err, api.Unavailable) {
			continue
		}
		return nil, err
	}
}

// fetch is one request under way: one goroutine reads groups, the caller's
// verifies and delivers.
type fetch struct {
	h       *Host
	to      api.NodeID
	addrs   []api.Address
	deliver func(api.Address, []byte) error
	st      *blockStream

	groups  chan received
	stop    chan struct{} // closed when nobody takes groups any more
	begun   bool          // something arrived
	missing []BlockError
}

// received is a group with its bytes, or the end of the stream.
type received struct {
	wire.Group
	data *buffer
	sums []api.Address // what each block hashes to
	err  error
}

func (f *fetch) run(ctx context.Context, op string, msg []byte) error {
	reset := context.AfterFunc(ctx, func() { _ = f.st.s.Reset() })
	defer reset()
	err := writeFrame(f.st.io, msg)
	if err == nil {
		go f.read()
		err = f.take(op)
		close(f.stop)
		for g := range f.groups { // ends: read stops, or fails once the stream is reset
			if g.data != nil {
				g.data.release()
			}
		}
	}
	switch {
	case err == nil && !reset():
		return api.E(op, api.Other, ctx.Err()) // the stream was reset under the last bytes
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return api.E(op, api.Other, ctx.Err())
	case errors.As(err, new(deliverError)):
		return err.(deliverError).error
	}
	err = transferError(op, f.to, err)
	f.h.badPeer(f.to, err)
	return err
}

// deliverError marks the caller's own error.
type deliverError struct{ error }

// take verifies and delivers until every address is answered.
func (f *fetch) take(op string) error {
	next := 0
	for next < len(f.addrs) {
		g := <-f.groups
		if g.err != nil {
			return g.err
		}
		f.begun = true
		err := f.takeGroup(op, f.addrs[next:next+len(g.Kinds)], g)
		if g.data != nil {
			g.data.release()
		}
		if err != nil {
			_ = f.st.s.Reset()
			return err
		}
		next += len(g.Kinds)
	}
	return nil
}

func (f *fetch) takeGroup(op string, addrs []api.Address, g received) error {
	at := 0
	for i, addr := range addrs {
		if g.Kinds[i] != 0 {
			f.missing = append(f.missing, BlockError{addr, g.Kinds[i]})
			continue
		}
		data := g.data.b[at : at+int(g.Sizes[i]) : at+int(g.Sizes[i])]
		at += len(data)
		if g.sums[i] != addr {
			return api.Errorf(op, api.Corrupt, "the node "+f.to.Short()+" sent bytes that are not the block "+addr.Short()+"; fetch it from another holder")
		}
		f.h.received(f.to, uint64(len(data)))
		if err := f.deliver(addr, data); err != nil {
			return deliverError{err}
		}
	}
	return nil
}

// read reads the answer's groups. It is the only reader of the stream and the
// only sender on groups, which it closes.
func (f *fetch) read() {
	defer close(f.groups)
	for left := len(f.addrs); left > 0; {
		g, err := f.readGroup(left)
		if err != nil {
			g = received{err: noEOF(err)}
		}
		select {
		case f.groups <- g:
		case <-f.stop:
			if g.data != nil {
				g.data.release()
			}
			return
		}
		if err != nil {
			return
		}
		left -= len(g.Kinds)
	}
}

func (f *fetch) readGroup(left int) (received, error) {
	const op = "p2p.fetch"
	msg, err := readFrame(f.st.br, wire.MaxBlocksFrame, nil)
	if err != nil {
		return received{}, err
	}
	reply, err := wire.DecodeBlocksReply(msg)
	if err != nil {
		return received{}, err
	}
	if reply.Group == nil || len(reply.Group.Kinds) > left {
		return received{}, api.Errorf(op, api.Invalid, "the answer has more blocks than were asked for, or is none")
	}
	g := received{Group: *reply.Group}
	total := 0
	for _, n := range g.Sizes {
		total += int(n)
	}
	if total == 0 {
		return g, nil
	}
	g.data = getBuffer(total)
	g.sums = make([]api.Address, len(g.Sizes))
	at := 0
	for i, n := range g.Sizes {
		if g.sums[i], err = f.readBlock(g.data.b[at : at+int(n)]); err != nil {
			g.data.release()
			return received{}, noEOF(err)
		}
		at += int(n)
	}
	return g, nil
}

// hashPiece is how much of a block is hashed while the next piece travels.
const hashPiece = 128 << 10

// readBlock fills b from the stream and hashes it as it arrives, so that the
// check of a large block costs its reader no time after the last byte.
func (f *fetch) readBlock(b []byte) (api.Address, error) {
	if len(b) <= hashPiece {
		_, err := io.ReadFull(f.st.br, b)
		return blake3.Sum256(b), err
	}
	h := blake3.New()
	for len(b) > 0 {
		piece := b[:min(len(b), hashPiece)]
		if _, err := io.ReadFull(f.st.br, piece); err != nil {
			return api.Address{}, err
		}
		_, _ = h.Write(piece) // a hash takes everything
		b = b[len(piece):]
	}
	var sum api.Address
	h.Sum(sum[:0])
	return sum, nil
}
