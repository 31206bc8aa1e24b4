package p2p

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// badServer makes b answer one protocol with fn instead of the real handler.
func badServer(b *Host, id protocol.ID, fn func(s network.Stream, br *bufio.Reader)) {
	hubOf(b).h.SetStreamHandler(id, func(s network.Stream) { fn(s, bufio.NewReader(s)) })
}

func writeGroup(t *testing.T, s io.Writer, g wire.Group, data []byte) {
	t.Helper()
	msg, err := wire.EncodeBlocksReply(wire.BlocksReply{Group: &g})
	if err != nil {
		t.Error(err)
		return
	}
	if err := writeFrame(s, msg); err == nil {
		_, _ = s.Write(data)
	}
}

// TestHoldersThatMisbehave fetches from peers that answer wrongly, each in its
// own way. Nothing wrong is ever delivered.
func TestHoldersThatMisbehave(t *testing.T) {
	good := block(1, 100_000)
	wrong := bytes.Clone(good.Data)
	wrong[50_000] ^= 1
	served := wire.Group{Kinds: []api.Kind{0}, Sizes: []uint32{uint32(len(good.Data))}}
	for _, c := range []struct {
		name string
		kind api.Kind
		bad  bool // counted as a bad peer
		fn   func(s network.Stream)
	}{
		{"wrong block", api.Corrupt, true, func(s network.Stream) { writeGroup(t, s, served, wrong) }},
		{"half a block", api.Unavailable, false, func(s network.Stream) {
			writeGroup(t, s, served, good.Data[:50_000])
			_ = s.Close()
		}},
		{"half a block, then nothing", api.Timeout, false, func(s network.Stream) { writeGroup(t, s, served, good.Data[:50_000]) }},
		{"nothing", api.Timeout, false, func(network.Stream) {}},
		{"end at once", api.Unavailable, false, func(s network.Stream) { _ = s.Close() }},
		{"reset", api.Unavailable, false, func(s network.Stream) { _ = s.Reset() }},
		{"vanish", api.Unavailable, false, func(s network.Stream) {
			writeGroup(t, s, served, good.Data[:50_000])
			_ = s.Conn().Close()
		}},
		{"a larger message than allowed", api.Invalid, true, func(s network.Stream) {
			_, _ = s.Write([]byte{0xff, 0xff, 0xff, 0xff})
		}},
		{"garbage", api.Invalid, true, func(s network.Stream) {
			noise := make([]byte, 4096)
			_, _ = rand.Read(noise)
			binary.BigEndian.PutUint32(noise, 1024)
			_, _ = s.Write(noise)
		}},
		{"more blocks than asked for", api.Invalid, true, func(s network.Stream) {
			writeGroup(t, s, wire.Group{Kinds: []api.Kind{0, 0}, Sizes: []uint32{1, 1}}, []byte("xy"))
		}},
		{"a receipt", api.Invalid, true, func(s network.Stream) {
			msg, _ := wire.EncodeBlocksReply(wire.BlocksReply{Stored: &wire.Stored{}})
			_ = writeFrame(s, msg)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := pair(t, func(c *Config) { c.Limits.Stall = 300 * time.Millisecond })
			badServer(b, blocksProtocol, func(s network.Stream, br *bufio.Reader) {
				if _, err := readFrame(br, wire.MaxBlocksFrame, nil); err == nil {
					c.fn(s)
				}
			})
			err := a.Fetch(testContext(t), b.ID(), []api.Address{good.Addr}, func(api.Address, []byte) error {
				t.Error("a bad block was delivered")
				return nil
			})
			wantKind(t, err, c.kind)
			if !strings.Contains(err.Error(), b.ID().Short()) {
				t.Errorf("the error does not name the peer: %v", err)
			}
			if bad := a.Stats().BadPeers > 0; bad != c.bad {
				t.Errorf("counted as bad: %v", bad)
			}
		})
	}
}

// TestClientsThatMisbehave sends garbage to every protocol of a member; the
// host answers with the end of the stream and goes on serving.
func TestClientsThatMisbehave(t *testing.T) {
	a, b := pair(t, func(c *Config) { c.Limits.Stall = 300 * time.Millisecond })
	serve(b, block(1, 10))
	mustHandle(t, b, "echo", echo)
	half, _ := wire.EncodeBlocksRequest(wire.BlocksRequest{Store: &wire.StoreBatch{Addrs: []api.Address{{1}}, Sizes: []uint32{100}}})
	call, _ := wire.EncodeCall(wire.Call{ID: 1, Method: "echo", BodySize: 100})
	answer, _ := wire.EncodeCall(wire.Call{Type: wire.CallResponse, ID: 1})
	noise := make([]byte, 512)
	_, _ = rand.Read(noise)
	framed := func(msg []byte, tail ...byte) []byte { return append(appendFrame(nil, msg), tail...) }
	inputs := map[string][]byte{
		"huge length":      {0xff, 0xff, 0xff, 0xff},
		"empty message":    {0, 0, 0, 0},
		"framed garbage":   framed(noise),
		"half a batch":     framed(half, 1, 2, 3),
		"half a request":   framed(call, 1, 2, 3),
		"unasked answer":   framed(answer),
		"a prefix, halved": {0, 0},
	}
	for _, id := range []protocol.ID{rpcProtocol, blocksProtocol, joinProtocol, helloProtocol} {
		for name, in := range inputs {
			s, err := hubOf(a).h.NewStream(testContext(t), peerOf(b.ID()), id)
			if err != nil {
				t.Fatal(err)
			}
			_ = s.SetDeadline(time.Now().Add(20 * time.Second))
			_, _ = s.Write(in)
			_ = s.CloseWrite()
			if out, err := io.ReadAll(s); err != nil && isTimeout(err) {
				t.Errorf("%s on %s: the stream stays open (%d bytes)", name, id, len(out))
			}
			_ = s.Reset()
		}
	}
	ctx := testContext(t)
	if _, err := a.Call(ctx, b.ID(), "echo", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := a.Fetch(ctx, b.ID(), []api.Address{block(1, 10).Addr}, func(api.Address, []byte) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if b.Stats().BadPeers == 0 {
		t.Error("nothing was counted")
	}
}

func TestSlowReaderIsCutOff(t *testing.T) {
	a, b := pair(t, func(c *Config) {
		c.Limits.Stall = 300 * time.Millisecond
		c.Limits.ServeBytes = minServeBytes
	})
	one := block(1, api.MaxBlock)
	backend := serve(b, one)
	loading := make(chan struct{}, wire.MaxBatchBlocks)
	backend.load = func(_ context.Context, _ api.Address, buf []byte) ([]byte, error) {
		loading <- struct{}{}
		return append(buf[:0], one.Data...), nil
	}
	ask := make([]api.Address, wire.MaxBatchBlocks) // 4 GiB, more than any window
	for i := range ask {
		ask[i] = one.Addr
	}
	msg, err := wire.EncodeBlocksRequest(wire.BlocksRequest{Fetch: ask})
	if err != nil {
		t.Fatal(err)
	}
	s, err := hubOf(a).h.NewStream(testContext(t), peerOf(b.ID()), blocksProtocol)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Reset() }()
	if err := writeFrame(s, msg); err != nil {
		t.Fatal(err)
	}
	// The server gives its memory back: all of it can be taken.
	<-loading
	if err := b.serveMem.Acquire(testContext(t), b.cfg.Limits.ServeBytes); err != nil {
		t.Fatal("the memory of a slow reader stays taken")
	}
	b.serveMem.Release(b.cfg.Limits.ServeBytes)
	if err := a.Fetch(testContext(t), b.ID(), ask[:1], func(api.Address, []byte) error { return nil }); err != nil {
		t.Fatal(err)
	}
}

func TestSlowDeliverDoesNotTimeOut(t *testing.T) {
	a, b := pair(t, func(c *Config) { c.Limits.Stall = 200 * time.Millisecond })
	blocks := []api.Block{block(1, api.MaxBlock), block(2, api.MaxBlock), block(3, api.MaxBlock)}
	serve(b, blocks...)
	first := true
	err := a.Fetch(testContext(t), b.ID(), addrsOf(blocks), func(api.Address, []byte) error {
		if first {
			first = false
			time.Sleep(500 * time.Millisecond) // a disk that stalls longer than the limit
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestHolderFailsDuringStore(t *testing.T) {
	a, b := pair(t, nil)
	backend := serve(b)
	entered := make(chan struct{})
	backend.store = func(ctx context.Context, _ api.LeaseID, _ []api.Block) (api.Receipt, error) {
		close(entered)
		<-ctx.Done()
		return api.Receipt{}, ctx.Err()
	}
	go func() { <-entered; _ = b.Close() }()
	_, err := a.StoreBlocks(testContext(t), b.ID(), api.LeaseID{}, []api.Block{block(1, 10)})
	if k := api.KindOf(err); k != api.Unavailable && k != api.Canceled {
		t.Fatalf("got %v", err)
	}
}

func TestReceiptForSomethingElse(t *testing.T) {
	a, b := pair(t, nil)
	serve(b).store = func(_ context.Context, lease api.LeaseID, blocks []api.Block) (api.Receipt, error) {
		return api.Receipt{Holder: b.ID(), Lease: lease, Count: uint32(len(blocks)) + 1}, nil
	}
	_, err := a.StoreBlocks(testContext(t), b.ID(), api.LeaseID{}, []api.Block{block(1, 10)})
	wantKind(t, err, api.Unverified)
}

func TestCanceledBatchEndsTheSessionOnly(t *testing.T) {
	a, b := pair(t, nil)
	backend := serve(b)
	var stores atomic.Int64
	backend.store = func(_ context.Context, lease api.LeaseID, blocks []api.Block) (api.Receipt, error) {
		stores.Add(1)
		return api.Receipt{Holder: b.ID(), Lease: lease, Count: uint32(len(blocks))}, nil
	}
	ctx, cancel := context.WithCancel(testContext(t))
	cancel()
	_, err := a.StoreBlocks(ctx, b.ID(), api.LeaseID{}, []api.Block{block(1, 10)})
	wantKind(t, err, api.Canceled)
	if _, err := a.StoreBlocks(testContext(t), b.ID(), api.LeaseID{}, []api.Block{block(1, 10)}); err != nil {
		t.Fatal(err)
	}
}
