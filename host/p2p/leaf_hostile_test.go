package p2p

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"inos/kernel/api"
	"inos/kernel/layout"
	"inos/kernel/wire"
)

// rawTo opens a stream from a hub to a leaf below this package's protocols.
func rawTo(t *testing.T, from, to *Host, id protocol.ID) network.Stream {
	t.Helper()
	s, err := hubOf(from).h.NewStream(network.WithNoDial(testContext(t), "test"), peerOf(to.ID()), id)
	if err != nil {
		t.Fatal(err)
	}
	_ = s.SetDeadline(time.Now().Add(20 * time.Second))
	return s
}

// TestHostileMemberAndATab sends garbage on everything a tab answers. Each stream
// ends, and the tab goes on.
func TestHostileMemberAndATab(t *testing.T) {
	m := newTestMesh()
	bad := m.member(t, nil)
	tab, _ := m.leafHost(t, func(c *Config) { c.Limits.Stall = 300 * time.Millisecond })
	serve(tab, block(1, 10))
	mustHandle(t, tab, "echo", echo)
	connect(t, tab, bad)
	half, _ := wire.EncodeBlocksRequest(wire.BlocksRequest{Store: &wire.StoreBatch{Addrs: []api.Address{{1}}, Sizes: []uint32{100}}})
	noise := make([]byte, 4096)
	_, _ = rand.Read(noise)
	inputs := map[string][]byte{
		"huge length":    {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
		"noise":          noise,
		"framed noise":   appendFrame(nil, noise[:512]),
		"half a batch":   append(appendFrame(nil, half), 1, 2, 3),
		"halved prefix":  {0, 0},
		"news of noise":  append(binary.AppendUvarint(nil, 500), noise[:500]...),
		"news, unending": append(binary.AppendUvarint(nil, maxFloodRPC+1), noise...),
	}
	for _, id := range []protocol.ID{rpcProtocol, blocksProtocol, joinProtocol, helloProtocol, floodProtocol} {
		for name, in := range inputs {
			s := rawTo(t, bad, tab, id)
			_, _ = s.Write(in)
			_ = s.CloseWrite()
			if _, err := io.ReadAll(s); err != nil && isTimeout(err) {
				t.Errorf("%s on %s: the stream stays open", name, id)
			}
			_ = s.Reset()
		}
	}
	if tab.Stats().BadPeers == 0 {
		t.Error("nothing was counted")
	}
	ctx := testContext(t)
	if out, err := bad.Call(ctx, tab.ID(), "echo", []byte("x")); err != nil || string(out) != "x" {
		t.Fatal(out, err)
	}
	waitFor(t, func() bool {
		l := tab.net.(*leaf)
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.streams) < 8 // what calls and news rest on
	})
}

// TestHostileMemberOpensStreams opens more streams than a tab has room for. The
// rest are refused; when they go, the tab has room again.
func TestHostileMemberOpensStreams(t *testing.T) {
	m := newTestMesh()
	bad := m.member(t, func(c *Config) { c.Limits.Streams = 1024 })
	tab, _ := m.leafHost(t, nil)
	mustHandle(t, tab, "echo", echo)
	connect(t, tab, bad)
	var held []network.Stream
	ended := 0
	for range layout.NetMaxStreams + 40 {
		s := rawTo(t, bad, tab, joinProtocol)
		_, _ = s.Write([]byte{0})
		held = append(held, s)
	}
	for _, s := range slices.Backward(held) { // the last are those without room
		_ = s.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		if _, err := s.Read(make([]byte, 1)); !isTimeout(err) {
			ended++
		}
		if ended >= 40 {
			break
		}
	}
	if ended < 40 {
		t.Fatalf("only %d streams beyond the bound were refused", ended)
	}
	l := tab.net.(*leaf)
	l.mu.Lock()
	open := len(l.streams)
	l.mu.Unlock()
	if open > layout.NetMaxStreams {
		t.Fatal(open, "streams are open")
	}
	for _, s := range held {
		_ = s.Reset()
	}
	waitFor(t, func() bool {
		out, err := bad.Call(testContext(t), tab.ID(), "echo", []byte("x"))
		return err == nil && string(out) == "x"
	})
}

// TestHostileNews forges, repeats and floods.
func TestHostileNews(t *testing.T) {
	m := newTestMesh()
	bad := m.member(t, nil)
	tab, _ := m.leafHost(t, nil)
	var got atomic.Int64
	if err := tab.Subscribe("news", nil, func(_ api.NodeID, data []byte) {
		if bytes.HasPrefix(data, []byte("forged")) {
			t.Error("forged news is delivered")
		}
		got.Add(1)
	}); err != nil {
		t.Fatal(err)
	}
	connect(t, tab, bad)
	author, _ := memberKey(t, m)
	stranger, _ := newKey(t)
	message := func(key ed25519.PrivateKey, n uint64, text string) floodMessage {
		return signFlood(key, floodMessage{topic: "news", seq: binary.BigEndian.AppendUint64(nil, n), data: []byte(text)})
	}
	send := func(s io.Writer, list ...floodMessage) error {
		_, err := s.Write(encodeFlood(floodRPC{messages: list}))
		return err
	}
	s := rawTo(t, bad, tab, floodProtocol)
	once := message(author, 1, "true")
	other := message(author, 2, "true")
	other.topic = "elsewhere"
	if err := send(s, once, once, message(stranger, 1, "forged, by a stranger"), other, message(author, 3, "true")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return got.Load() == 2 })
	forged := message(author, 4, "true")
	forged.data = []byte("forged, in another's name")
	before := tab.Stats().BadPeers
	if err := send(s, forged); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return tab.Stats().BadPeers > before })

	// A flood is taken at its pace, not faster.
	s = rawTo(t, bad, tab, floodProtocol)
	start, base := time.Now(), got.Load()
	for i := uint64(10); i < 10+2*floodBurst; i++ {
		if err := send(s, message(author, i, "true")); err != nil {
			break // the stream is full: the tab makes the sender wait
		}
		if time.Since(start) > 2*time.Second {
			break
		}
	}
	time.Sleep(500 * time.Millisecond)
	if n, most := got.Load()-base, floodBurst+int64(float64(floodRate)*(time.Since(start).Seconds()+1)); n > most {
		t.Fatalf("%d messages in %v", n, time.Since(start))
	}
	_ = s.Reset()
}

func memberKey(t *testing.T, m *testMesh) (ed25519.PrivateKey, api.NodeID) {
	t.Helper()
	key, id := newKey(t)
	m.set(id, true)
	return key, id
}
