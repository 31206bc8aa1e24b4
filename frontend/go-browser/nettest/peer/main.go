// Command peer is a native node's network for the tests of a tab's: everybody is
// a member, and it serves blocks that both sides can compute. It prints its
// addresses for tabs, one a line and then an empty one, and ends with its
// standard input.
package main

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"os"
	"sync"

	"inos/frontend/go-browser/nettest"
	"inos/host/p2p"
	"inos/kernel/api"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}

func run() error {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	host := "127.0.0.1"
	if len(os.Args) > 1 {
		host = os.Args[1]
	}
	h, err := p2p.New(p2p.Config{Key: key, Listen: p2p.ListenOn(host, 0), Member: func(api.NodeID) bool { return true }})
	if err != nil {
		return err
	}
	defer func() { _ = h.Close() }()
	echo := func(_ context.Context, _ api.NodeID, req []byte) ([]byte, error) { return req, nil }
	if err := h.Handle("echo", p2p.HandleOptions{RequireMember: true}, echo); err != nil {
		return err
	}
	call := func(ctx context.Context, from api.NodeID, req []byte) ([]byte, error) {
		return h.Call(ctx, from, "echo", req)
	}
	if err := h.Handle("call-back", p2p.HandleOptions{RequireMember: true}, call); err != nil {
		return err
	}
	if err := h.Subscribe("news", nil, func(from api.NodeID, data []byte) {
		_ = h.Publish(context.Background(), "answers", append([]byte("heard "), data...))
	}); err != nil {
		return err
	}
	b := &backend{blocks: make(map[api.Address][]byte)}
	for _, x := range nettest.Blocks() {
		b.blocks[x.Addr] = x.Data
	}
	h.Serve(b)
	if err := h.ListenForTabs(); err != nil {
		return err
	}
	for _, a := range h.TabAddrs() {
		fmt.Println(a)
	}
	fmt.Println()
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil
}

// backend keeps blocks in memory.
type backend struct {
	mu     sync.Mutex
	blocks map[api.Address][]byte // guarded by mu
}

func (b *backend) Store(_ context.Context, _ api.NodeID, lease api.LeaseID, blocks []api.Block) (api.Receipt, error) {
	return api.Receipt{}, api.Errorf("peer", api.Unsupported, "it stores nothing")
}

func (b *backend) Load(_ context.Context, _ api.NodeID, addr api.Address, buf []byte) ([]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	data, ok := b.blocks[addr]
	if !ok {
		return nil, api.Errorf("peer", api.NotFound, "no such block")
	}
	return append(buf[:0], data...), nil
}

func (b *backend) Has(_ context.Context, _ api.NodeID, addrs []api.Address) ([]bool, error) {
	return make([]bool, len(addrs)), nil
}

func (b *backend) AddLease(context.Context, api.NodeID, api.LeaseID, []api.Address) (api.Receipt, error) {
	return api.Receipt{}, api.Errorf("peer", api.NotFound, "it keeps nothing")
}

func (b *backend) Rename(context.Context, api.NodeID, api.LeaseID, api.LeaseID) error { return nil }
func (b *backend) Release(context.Context, api.NodeID, api.LeaseID) error             { return nil }
