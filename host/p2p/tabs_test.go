package p2p

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	webrtc "github.com/libp2p/go-libp2p/p2p/transport/webrtc"
	"github.com/libp2p/go-libp2p/p2p/transport/websocket"
	webtransport "github.com/libp2p/go-libp2p/p2p/transport/webtransport"
	ma "github.com/multiformats/go-multiaddr"

	"inos/kernel/api"
)

const hopProtocol = "/libp2p/circuit/relay/0.2.0/hop"

func TestListenersForTabs(t *testing.T) {
	m := newTestMesh()
	hub := m.member(t, func(c *Config) { c.Listen = ListenOn("127.0.0.1", 0) })
	if len(hub.TabAddrs()) != 0 || len(hub.Addrs()) != 2 {
		t.Fatal("listeners for tabs that nobody asked for", hub.Addrs())
	}
	plain := hub.Addrs()
	for range 2 {
		if err := hub.ListenForTabs(); err != nil {
			t.Fatal(err)
		}
	}
	addrs := hub.TabAddrs()
	if len(addrs) != 3 || strings.Count(addrs[0], "/certhash/") != 2 || !strings.Contains(addrs[1], "/ws/") || !strings.Contains(addrs[2], "/webrtc-direct/certhash/") {
		t.Fatal(addrs)
	}
	for _, a := range addrs {
		if len(a) > api.MaxMultiaddr {
			t.Fatal("too long to be announced:", a)
		}
		if !slices.ContainsFunc(plain, func(p string) bool {
			return strings.HasPrefix(a, strings.TrimSuffix(strings.Split(p, "/p2p/")[0], "/quic-v1"))
		}) {
			t.Fatal("another port than the node's own:", a)
		}
	}
	if all := hub.Addrs(); len(all) != 5 || !slices.Equal(all[:2], plain) {
		t.Fatal(all)
	}

	if v := Varied(append(hub.Addrs(), hub.Addrs()...), 1); !slices.Equal(v, hub.Addrs()) {
		t.Fatal(v)
	}

	// Each is a way in, for a libp2p that has nothing else.
	for _, a := range addrs {
		key, _ := newKey(t)
		priv, err := crypto.UnmarshalEd25519PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := libp2p.New(libp2p.Identity(priv), libp2p.NoListenAddrs, libp2p.DisableMetrics(), libp2p.DisableRelay(), libp2p.Security(noise.ID, noise.New),
			libp2p.Transport(websocket.New), libp2p.Transport(webtransport.New), libp2p.Transport(webrtc.New))
		if err != nil {
			t.Fatal(err)
		}
		info, err := peer.AddrInfoFromString(a)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Connect(testContext(t), *info); err != nil {
			t.Error(a, err)
		}
		// A stranger finds the door of the relay closed, as every other.
		if s, err := c.NewStream(testContext(t), info.ID, hopProtocol); err == nil {
			_, _ = s.Write([]byte{2, 8, 0}) // a reservation
			if _, err := s.Read(make([]byte, 1)); err == nil {
				t.Error("a stranger is answered by the relay")
			}
		}
		_ = c.Close()
	}

	// A native node goes on over TCP, and leaves what is for tabs alone.
	other := m.member(t, nil)
	if _, err := other.Connect(testContext(t), addrs...); err == nil {
		t.Fatal("a native node dials what is for tabs")
	}
	if _, err := other.Connect(testContext(t), hub.Addrs()...); err != nil {
		t.Fatal(err)
	}
	if ps := other.Peers(); ps[0].Transport != "tcp" {
		t.Fatal(ps[0])
	}
}

func TestKeepLeavesTabsToDial(t *testing.T) {
	m := newTestMesh()
	a := m.member(t, nil)
	key, id := newKey(t)
	if err := a.Keep(id, []string{"/p2p/" + peerText(a.ID()) + "/p2p-circuit/webrtc"}); err != nil {
		t.Fatal(err)
	}
	a.mu.Lock()
	idle := a.kept[id].timer == nil
	a.mu.Unlock()
	if !idle {
		t.Fatal("a dial is planned that cannot work")
	}
	m.set(id, true)
	start := time.Now()
	_, err := a.Connect(testContext(t), "/p2p/"+peerText(a.ID())+"/p2p-circuit/webrtc/p2p/"+peerText(id))
	wantKind(t, err, api.Unavailable)
	if d := time.Since(start); d > 2*time.Second {
		t.Fatal("a native node tried to dial a tab for", d)
	}
	tab, _ := m.leafWith(t, key, nil)
	connect(t, tab, a)
	if err := tab.Disconnect(a.ID()); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return !a.Connected(id) })
}

func TestRelayIsForMembers(t *testing.T) {
	m := newTestMesh()
	hub := m.member(t, nil)
	if err := hub.ListenForTabs(); err != nil {
		t.Fatal(err)
	}
	rules, a, b := relayRules{hubOf(hub)}, peerOf(hub.ID()), peer.ID("not a member")
	at := ma.StringCast("/ip4/127.0.0.1/tcp/1")
	if !rules.AllowReserve(a, at) || rules.AllowReserve(b, at) || rules.AllowConnect(a, at, b) || rules.AllowConnect(b, at, a) || !rules.AllowConnect(a, at, a) {
		t.Fatal("the relay's rules")
	}
	lonely := m.member(t, func(c *Config) { c.Listen = nil })
	wantKind(t, lonely.ListenForTabs(), api.Unavailable)
	leaf, _ := m.leafHost(t, nil)
	wantKind(t, leaf.ListenForTabs(), api.Unsupported)
}

func TestTabSources(t *testing.T) {
	got := TabSources([]string{
		"/ip4/192.0.2.1/tcp/4410/p2p/x", "/ip4/192.0.2.1/tcp/4410/ws/p2p/x", "/ip4/192.0.2.1/udp/4411/quic-v1", "/ip4/192.0.2.1/udp/4411/quic-v1/webtransport/certhash/uE",
		"/dns4/node.example.org/tcp/443/tls/ws", "/dns4/other.example.org/tcp/443/wss",
		"/ip6/::1/tcp/1", "/ip4/1.2.3.4;script-src */tcp/1", "/dns4/a b/tcp/1", "/dns4/a;b/tcp/1", "/ip4/1.2.3.4/tcp/1 *", "/ip4/1.2.3.4/udp/1", "", "/", "tcp/1/2/3/4", "/p2p/x/p2p-circuit/webrtc",
	})
	want := []string{"ws://192.0.2.1:4410", "https://192.0.2.1:4411", "wss://node.example.org:443", "wss://other.example.org:443"}
	if !slices.Equal(got, want) {
		t.Fatal(got)
	}
}

func TestManyAddressesAreThinnedByTransport(t *testing.T) {
	var all []string
	for _, end := range []string{"/tcp/1", "/udp/1/quic-v1", "/udp/1/quic-v1/webtransport", "/tcp/1/ws", "/udp/1/webrtc-direct"} {
		for _, ip := range []string{"192.0.2.1", "192.0.2.2", "198.51.100.1", "203.0.113.1", "127.0.0.1"} {
			all = append(all, "/ip4/"+ip+end)
		}
	}
	some := fewer(all, api.MaxAddrs)
	if len(some) != 15 || len(TabDials(some)) != 9 || len(fewer(all[:7], api.MaxAddrs)) != 7 || len(fewer(all, 3)) != 3 {
		t.Fatal(some)
	}
}

func TestAnnouncedBesides(t *testing.T) {
	const proxy = "/dns4/inos.example/tcp/443/tls/ws"
	h := newTestMesh().member(t, func(c *Config) { c.AnnounceAlso = []string{proxy} })
	full := proxy + "/p2p/" + peerText(h.ID())
	if all := h.Addrs(); len(all) != 2 || transportOf(all[0]) != "tcp" || all[1] != full || !slices.Equal(h.TabAddrs(), []string{full}) {
		t.Fatal(all)
	}
	key, _ := newKey(t)
	_, err := New(Config{Key: key, Member: newTestMesh().has, AnnounceAlso: []string{"inos.example:443"}})
	wantKind(t, err, api.Invalid)
}

func TestNativeNodesNeedNoAddressesOfBrowsers(t *testing.T) {
	const peer = "/p2p/12D3KooWNjGfSsRJfCkUQXX4JbBRvR7LrTFYbFQsPH4oFGDx2W1f"
	tcp, quic := "/ip4/10.0.0.1/tcp/4271"+peer, "/ip4/10.0.0.1/udp/4271/quic-v1"+peer
	announced := "/dns4/inos.example/tcp/443/tls/ws" + peer
	own := []string{
		"/ip4/10.0.0.1/udp/4271/quic-v1/webtransport/certhash/uEiA" + peer, "/ip4/10.0.0.1/tcp/4271/ws" + peer,
		"/ip4/10.0.0.1/udp/4271/webrtc-direct/certhash/uEiA" + peer,
	}
	if got, want := Native(append([]string{tcp, quic, announced}, own...)), []string{tcp, quic, announced}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	alone := slices.Clone(own[:1])
	got := Native(alone)
	if !slices.Equal(got, own[:1]) {
		t.Errorf("of addresses for browsers alone: %q", got)
	}
	if got[0] = ""; alone[0] != own[0] {
		t.Error("what Native returns shares memory with what it was given")
	}
}
