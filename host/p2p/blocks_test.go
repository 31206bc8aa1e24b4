package p2p

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
	"inos/kernel/wire"
)

func addrsOf(blocks []api.Block) []api.Address {
	addrs := make([]api.Address, len(blocks))
	for i, b := range blocks {
		addrs[i] = b.Addr
	}
	return addrs
}

func TestFetchDeliversInOrderAndNamesMissing(t *testing.T) {
	var served atomic.Uint64
	a, b := pair(t, func(c *Config) { c.OnServed = func(_ api.NodeID, n uint64) { served.Add(n) } })
	sizes := []int{1, 100, 4096, api.LargeBlock, api.MaxBlock, 17, api.MaxBlock, api.MaxBlock - 1, 70_000, 3}
	var blocks []api.Block
	total := 0
	for i := range 60 {
		blocks = append(blocks, block(i, sizes[i%len(sizes)]))
		total += sizes[i%len(sizes)]
	}
	serve(b, blocks...)
	ctx := testContext(t)
	absent := block(1000, 10).Addr
	ask := append(addrsOf(blocks[:30]), absent)
	ask = append(ask, addrsOf(blocks[30:])...)
	next := 0
	err := a.Fetch(ctx, b.ID(), ask, func(addr api.Address, data []byte) error {
		if addr != blocks[next].Addr || !bytes.Equal(data, blocks[next].Data) {
			t.Fatalf("block %d is another", next)
		}
		next++
		return nil
	})
	wantKind(t, err, api.NotFound)
	var missing *BlockErrors
	if !errors.As(err, &missing) || len(missing.Blocks) != 1 || missing.Blocks[0].Addr != absent || missing.Peer != b.ID() {
		t.Fatalf("missing blocks: %v", err)
	}
	if next != len(blocks) {
		t.Fatalf("delivered %d of %d", next, len(blocks))
	}
	if served.Load() != uint64(total) || a.Stats().BytesIn != uint64(total) {
		t.Fatalf("served %d, counted %d, want %d", served.Load(), a.Stats().BytesIn, total)
	}
	// The stream rests and serves the next fetch.
	if err := a.Fetch(ctx, b.ID(), ask[:1], func(api.Address, []byte) error { return nil }); err != nil {
		t.Fatal(err)
	}
}

func TestFetchManySmallInSeveralRequests(t *testing.T) {
	a, b := pair(t, nil)
	var blocks []api.Block
	for i := range wire.MaxBatchBlocks + 100 {
		blocks = append(blocks, block(i, 64))
	}
	serve(b, blocks...)
	got := 0
	err := a.Fetch(testContext(t), b.ID(), addrsOf(blocks), func(api.Address, []byte) error { got++; return nil })
	if err != nil || got != len(blocks) {
		t.Fatalf("%d of %d, %v", got, len(blocks), err)
	}
}

func TestFetchesOverlap(t *testing.T) {
	a, b := pair(t, nil)
	var blocks []api.Block
	for i := range 32 {
		blocks = append(blocks, block(i, 300_000))
	}
	serve(b, blocks...)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			n := 0
			err := a.Fetch(testContext(t), b.ID(), addrsOf(blocks), func(api.Address, []byte) error { n++; return nil })
			if err != nil || n != len(blocks) {
				t.Errorf("%d blocks, %v", n, err)
			}
		})
	}
	wg.Wait()
}

func TestDeliverStopsAFetch(t *testing.T) {
	a, b := pair(t, nil)
	blocks := []api.Block{block(1, api.MaxBlock), block(2, api.MaxBlock), block(3, api.MaxBlock)}
	serve(b, blocks...)
	own := errors.New("disk full")
	err := a.Fetch(testContext(t), b.ID(), addrsOf(blocks), func(api.Address, []byte) error { return own })
	if !errors.Is(err, own) {
		t.Fatalf("got %v", err)
	}
	ctx, cancel := context.WithCancel(testContext(t))
	err = a.Fetch(ctx, b.ID(), addrsOf(blocks), func(api.Address, []byte) error { cancel(); return ctx.Err() })
	wantKindOf(t, err, api.Canceled)
	if err := a.Fetch(testContext(t), b.ID(), addrsOf(blocks), func(api.Address, []byte) error { return nil }); err != nil {
		t.Fatal("after stopped fetches:", err)
	}
	if a.Stats().BadPeers+b.Stats().BadPeers != 0 {
		t.Error("a stopped fetch counted as a bad peer")
	}
}

func wantKindOf(t *testing.T, err error, kind api.Kind) {
	t.Helper()
	if api.KindOf(err) != kind {
		t.Fatalf("got %v, want %v", err, kind)
	}
}

func TestStoreSessionReturnsReceipts(t *testing.T) {
	a, b := pair(t, nil)
	backend := serve(b)
	ctx := testContext(t)
	s, err := a.OpenStore(ctx, b.ID())
	if err != nil {
		t.Fatal(err)
	}
	lease := api.LeaseID{1}
	var receipts atomic.Int64
	var all []api.Block
	for i := range 40 {
		batch := []api.Block{block(2*i, api.MaxBlock), block(2*i+1, 10+i)}
		all = append(all, batch...)
		err := s.Send(ctx, lease, batch, func(r api.Receipt, err error) {
			if err != nil || r.Count != 2 || r.Sig[0] != 7 || r.Bytes != uint64(api.MaxBlock+10+i) {
				t.Errorf("receipt %+v, %v", r, err)
			}
			receipts.Add(1)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if receipts.Load() != 40 {
		t.Fatalf("%d receipts", receipts.Load())
	}
	for _, x := range all {
		if !bytes.Equal(backend.blocks[x.Addr], x.Data) {
			t.Fatal("a stored block differs")
		}
	}
	if err := s.Send(ctx, lease, all[:1], nil); err == nil {
		t.Error("a closed session sends")
	}
}

func TestStoreBlocksFromManyAndFailures(t *testing.T) {
	a, b := pair(t, nil)
	serve(b)
	ctx := testContext(t)
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			r, err := a.StoreBlocks(ctx, b.ID(), api.LeaseID{byte(i)}, []api.Block{block(i, 50_000)})
			if err != nil || r.Lease != (api.LeaseID{byte(i)}) {
				t.Errorf("%v %v", r, err)
			}
		})
	}
	wg.Wait()
	bad := block(1, 10)
	bad.Data[0]++
	_, err := a.StoreBlocks(ctx, b.ID(), api.LeaseID{}, []api.Block{bad})
	wantKind(t, err, api.Corrupt)
	if _, err = a.StoreBlocks(ctx, b.ID(), api.LeaseID{}, []api.Block{block(2, 10)}); err != nil {
		t.Fatal("a refused batch ended the session:", err)
	}
	_, err = a.StoreBlocks(ctx, b.ID(), api.LeaseID{}, nil)
	wantKind(t, err, api.Invalid)
	_, err = a.StoreBlocks(ctx, b.ID(), api.LeaseID{}, []api.Block{{Addr: bad.Addr, Data: make([]byte, api.MaxBlock+1)}})
	wantKind(t, err, api.Invalid)
}

func TestLeaseCalls(t *testing.T) {
	a, b := pair(t, nil)
	x, y := block(1, 10), block(2, 20)
	backend := serve(b, x)
	ctx := testContext(t)
	has, err := a.Has(ctx, b.ID(), []api.Address{x.Addr, y.Addr})
	if err != nil || !has[0] || has[1] {
		t.Fatal(has, err)
	}
	l1, l2 := api.LeaseID{1}, api.LeaseID{2}
	if r, err := a.AddLease(ctx, b.ID(), l1, []api.Address{x.Addr}); err != nil || r.Lease != l1 || r.Holder != b.ID() {
		t.Fatal(r, err)
	}
	_, err = a.AddLease(ctx, b.ID(), l1, []api.Address{y.Addr})
	wantKind(t, err, api.NotFound)
	if err := a.RenameLease(ctx, b.ID(), l1, l2); err != nil || len(backend.leases[l2]) != 1 {
		t.Fatal(err, backend.leases)
	}
	if err := a.ReleaseLease(ctx, b.ID(), l2); err != nil || len(backend.leases) != 0 {
		t.Fatal(err, backend.leases)
	}
}

func benchPair(b *testing.B, listen string) (*Host, *Host) {
	return pair(b, func(c *Config) { c.Listen = []string{listen} })
}

// cachedBackend hands out one block's bytes under many addresses' cost: it
// hashes what it loads, as a verifying disk store does.
func cachedBackend(b *testing.B, h *Host, blocks []api.Block) {
	serve(h, blocks...).load = nil
	m := make(map[api.Address][]byte, len(blocks))
	for _, x := range blocks {
		m[x.Addr] = x.Data
	}
	back := serve(h, blocks...)
	back.load = func(_ context.Context, addr api.Address, buf []byte) ([]byte, error) {
		buf = append(buf[:0], m[addr]...)
		if blake3.Sum256(buf) != addr {
			b.Error("corrupt")
		}
		return buf, nil
	}
}

func BenchmarkFetch(b *testing.B) {
	for _, c := range []struct {
		name   string
		listen string
		size   int
	}{
		{"tcp/1MiB", "/ip4/127.0.0.1/tcp/0", api.MaxBlock},
		{"quic/1MiB", "/ip4/127.0.0.1/udp/0/quic-v1", api.MaxBlock},
		{"tcp/4KiB", "/ip4/127.0.0.1/tcp/0", 4096},
	} {
		b.Run(c.name, func(b *testing.B) {
			x, y := benchPair(b, c.listen)
			var blocks []api.Block
			for i := range 64 {
				blocks = append(blocks, block(i, c.size))
			}
			cachedBackend(b, y, blocks)
			addrs := addrsOf(blocks)
			b.SetBytes(int64(c.size))
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += len(addrs) {
				if err := x.Fetch(context.Background(), y.ID(), addrs[:min(len(addrs), b.N-n)], func(api.Address, []byte) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkFirstByte(b *testing.B) {
	for _, size := range []int{4096, api.MaxBlock} {
		b.Run(map[int]string{4096: "4KiB", api.MaxBlock: "1MiB"}[size], func(b *testing.B) {
			x, y := benchPair(b, "/ip4/127.0.0.1/tcp/0")
			one := block(1, size)
			cachedBackend(b, y, []api.Block{one})
			for range b.N {
				if err := x.Fetch(context.Background(), y.ID(), []api.Address{one.Addr}, func(api.Address, []byte) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkStore(b *testing.B) {
	for _, c := range []struct {
		name        string
		size, count int
	}{{"4x1MiB", api.MaxBlock, 4}, {"256x4KiB", 4096, 256}} {
		b.Run(c.name, func(b *testing.B) {
			x, y := benchPair(b, "/ip4/127.0.0.1/tcp/0")
			back := serve(y)
			back.store = func(_ context.Context, lease api.LeaseID, blocks []api.Block) (api.Receipt, error) {
				for _, v := range blocks {
					if blake3.Sum256(v.Data) != v.Addr {
						b.Error("corrupt")
					}
				}
				return api.Receipt{Holder: y.ID(), Lease: lease, Count: uint32(len(blocks))}, nil
			}
			var blocks []api.Block
			for i := range c.count {
				blocks = append(blocks, block(i, c.size))
			}
			s, err := x.OpenStore(context.Background(), y.ID())
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(c.size * c.count))
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				err := s.Send(context.Background(), api.LeaseID{1}, blocks, func(_ api.Receipt, err error) {
					if err != nil {
						b.Error(err)
					}
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
