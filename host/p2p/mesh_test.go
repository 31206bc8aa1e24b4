package p2p

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
)

// testMesh is a membership list that hosts share.
type testMesh struct {
	mu      sync.Mutex
	members map[api.NodeID]bool
}

func newTestMesh() *testMesh { return &testMesh{members: make(map[api.NodeID]bool)} }

func (m *testMesh) set(n api.NodeID, member bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.members[n] = member
}

func (m *testMesh) has(n api.NodeID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.members[n]
}

func newKey(tb testing.TB) (ed25519.PrivateKey, api.NodeID) {
	tb.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key, api.NodeID(pub)
}

// member starts a host that is a member of m.
func (m *testMesh) member(tb testing.TB, edit func(*Config)) *Host {
	tb.Helper()
	key, id := newKey(tb)
	m.set(id, true)
	return m.host(tb, key, edit)
}

func (m *testMesh) host(tb testing.TB, key ed25519.PrivateKey, edit func(*Config)) *Host {
	tb.Helper()
	cfg := Config{Key: key, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Member: m.has}
	if edit != nil {
		edit(&cfg)
	}
	h, err := New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := h.Close(); err != nil {
			tb.Error("close:", err)
		}
	})
	return h
}

func testContext(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	tb.Cleanup(cancel)
	return ctx
}

func connect(tb testing.TB, a, b *Host) {
	tb.Helper()
	if _, err := a.Connect(testContext(tb), b.Addrs()...); err != nil {
		tb.Fatal(err)
	}
}

// pair starts two connected members.
func pair(tb testing.TB, edit func(*Config)) (*Host, *Host) {
	tb.Helper()
	m := newTestMesh()
	a, b := m.member(tb, edit), m.member(tb, edit)
	connect(tb, a, b)
	return a, b
}

func wantKind(tb testing.TB, err error, kind api.Kind) {
	tb.Helper()
	if !errors.Is(err, kind) {
		tb.Fatalf("got error %v, want kind %v", err, kind)
	}
}

// block makes a block of n bytes that depends on i.
func block(i, n int) api.Block {
	data := make([]byte, n)
	var seed [8]byte
	binary.LittleEndian.PutUint64(seed[:], uint64(i)+1)
	h := blake3.New()
	_, _ = h.Write(seed[:])
	_, _ = h.Digest().Read(data)
	return api.Block{Addr: blake3.Sum256(data), Data: data}
}

// memBackend keeps blocks in memory; hooks replace single methods.
type memBackend struct {
	id     api.NodeID
	mu     sync.Mutex
	blocks map[api.Address][]byte
	leases map[api.LeaseID][]api.Address

	load  func(ctx context.Context, addr api.Address, buf []byte) ([]byte, error)
	store func(ctx context.Context, lease api.LeaseID, blocks []api.Block) (api.Receipt, error)
}

func serve(h *Host, blocks ...api.Block) *memBackend {
	b := &memBackend{id: h.ID(), blocks: make(map[api.Address][]byte), leases: make(map[api.LeaseID][]api.Address)}
	for _, x := range blocks {
		b.blocks[x.Addr] = x.Data
	}
	h.Serve(b)
	return b
}

func (b *memBackend) Store(ctx context.Context, from api.NodeID, lease api.LeaseID, blocks []api.Block) (api.Receipt, error) {
	if b.store != nil {
		return b.store(ctx, lease, blocks)
	}
	for _, x := range blocks {
		if blake3.Sum256(x.Data) != x.Addr {
			return api.Receipt{}, api.Errorf("mem.store", api.Corrupt, "bytes do not match the address")
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	r := api.Receipt{Holder: b.id, Lease: lease, Count: uint32(len(blocks)), Time: 1}
	for _, x := range blocks {
		b.blocks[x.Addr] = append([]byte(nil), x.Data...)
		b.leases[lease] = append(b.leases[lease], x.Addr)
		r.Bytes += uint64(len(x.Data))
	}
	r.Sig[0] = 7
	return r, nil
}

func (b *memBackend) Load(ctx context.Context, from api.NodeID, addr api.Address, buf []byte) ([]byte, error) {
	if b.load != nil {
		return b.load(ctx, addr, buf)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	data, ok := b.blocks[addr]
	if !ok {
		return nil, api.Errorf("mem.load", api.NotFound, "no such block")
	}
	return append(buf[:0], data...), nil
}

func (b *memBackend) Has(ctx context.Context, from api.NodeID, addrs []api.Address) ([]bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]bool, len(addrs))
	for i, a := range addrs {
		_, out[i] = b.blocks[a]
	}
	return out, nil
}

func (b *memBackend) AddLease(ctx context.Context, from api.NodeID, lease api.LeaseID, addrs []api.Address) (api.Receipt, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range addrs {
		if _, ok := b.blocks[a]; !ok {
			return api.Receipt{}, api.Errorf("mem.lease", api.NotFound, "no such block")
		}
	}
	b.leases[lease] = append(b.leases[lease], addrs...)
	return api.Receipt{Holder: b.id, Lease: lease, Count: uint32(len(addrs))}, nil
}

func (b *memBackend) Rename(ctx context.Context, from api.NodeID, old, lease api.LeaseID) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leases[lease] = b.leases[old]
	delete(b.leases, old)
	return nil
}

func (b *memBackend) Release(ctx context.Context, from api.NodeID, lease api.LeaseID) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.leases, lease)
	return nil
}

// hubOf is a host's libp2p.
func hubOf(h *Host) *hub { return h.net.(*hub) }

func mustInfo(tb testing.TB, h *Host) []string {
	tb.Helper()
	_, info, err := parseAddrs("test", h.Addrs())
	if err != nil {
		tb.Fatal(err)
	}
	return info
}
