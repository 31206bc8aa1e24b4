package p2p

import (
	"bufio"
	"context"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// serverGroups is how many loaded groups wait for the network. With the one
// being loaded and the one being written, a fetch holds at most four groups.
const serverGroups = 2

// loaded is a group of blocks on its way out.
type loaded struct {
	wire.Group
	data *buffer // len is the bytes so far, cap is groupCap
}

// fetch answers one request: one goroutine loads ahead, this one writes.
func (v *blockServer) fetch(addrs []api.Address) error {
	ctx, cancel := context.WithCancel(v.ctx)
	groups := make(chan *loaded, serverGroups)
	if !v.h.goWork(func() {
		defer close(groups)
		v.load(ctx, addrs, groups)
	}) {
		cancel()
		return closedError("p2p.serve")
	}
	out := bufio.NewWriterSize(v.io, blockWrite)
	var err error
	answered := 0
	for g := range groups {
		if err == nil {
			if err = v.writeGroup(out, g); err != nil {
				cancel()
			}
			answered += len(g.Kinds)
		}
		v.drop(g)
	}
	cancel()
	if err == nil && answered < len(addrs) {
		return closedError("p2p.serve")
	}
	return err
}

func (v *blockServer) writeGroup(out *bufio.Writer, g *loaded) error {
	msg, err := wire.EncodeBlocksReply(wire.BlocksReply{Group: &g.Group})
	if err != nil {
		return err
	}
	if err := writeFrame(out, msg); err != nil {
		return err
	}
	if _, err := out.Write(g.data.b); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if n := uint64(len(g.data.b)); n > 0 {
		v.h.sent(v.from, n)
		if v.h.cfg.OnServed != nil {
			v.h.cfg.OnServed(v.from, n)
		}
	}
	return nil
}

// load reads the blocks in order and sends them in groups: at once while the
// network is idle, otherwise when a group is full.
func (v *blockServer) load(ctx context.Context, addrs []api.Address, groups chan<- *loaded) {
	var g *loaded
	for i, addr := range addrs {
		if g == nil {
			if g = v.newGroup(ctx); g == nil {
				return
			}
		}
		v.loadOne(ctx, g, addr)
		if len(g.data.b) >= groupTarget || i == len(addrs)-1 {
			select {
			case groups <- g:
				g = nil
				continue
			case <-ctx.Done():
				v.drop(g)
				return
			}
		}
		select {
		case groups <- g:
			g = nil
		default:
		}
	}
}

// newGroup waits for memory; nil when ctx ended.
func (v *blockServer) newGroup(ctx context.Context) *loaded {
	if v.h.serveMem.Acquire(ctx, groupCap) != nil {
		return nil
	}
	g := &loaded{data: getBuffer(groupCap)}
	g.data.b = g.data.b[:0]
	return g
}

func (v *blockServer) drop(g *loaded) {
	g.data.release()
	v.h.serveMem.Release(groupCap)
}

// loadOne appends one block, or the reason why it is not served.
func (v *blockServer) loadOne(ctx context.Context, g *loaded, addr api.Address) {
	used := len(g.data.b)
	data, err := v.loadBlock(ctx, addr, g.data.b[used:used:cap(g.data.b)])
	kind := api.Kind(0)
	if err != nil {
		switch kind = api.KindOf(err); kind {
		case api.NotFound, api.Corrupt, api.Denied:
		default:
			kind = api.Unavailable
		}
		data = nil
	}
	g.Kinds = append(g.Kinds, kind)
	g.Sizes = append(g.Sizes, uint32(len(data)))
	if len(data) > 0 && &data[0] == &g.data.b[:used+1][used] {
		g.data.b = g.data.b[:used+len(data)] // Load used the space it was given
		return
	}
	g.data.b = append(g.data.b, data...)
}

func (v *blockServer) loadBlock(ctx context.Context, addr api.Address, space []byte) ([]byte, error) {
	b, err := v.h.blocksBackend()
	if err != nil {
		return nil, err
	}
	data, err := b.Load(ctx, v.from, addr, space)
	if err == nil && (len(data) == 0 || len(data) > api.MaxBlock) {
		return nil, api.Errorf("p2p.serve", api.Corrupt, "a stored block has an impossible size")
	}
	return data, err
}
