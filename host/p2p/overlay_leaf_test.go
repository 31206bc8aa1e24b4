package p2p

import (
	"crypto/ed25519"
	"slices"
	"strings"
	"testing"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"google.golang.org/protobuf/proto"

	"inos/kernel/api"
	"inos/kernel/identity"
	"inos/kernel/wire"
)

func TestLeafHearsAndTellsNews(t *testing.T) {
	m := newTestMesh()
	a, b := m.member(t, nil), m.member(t, nil)
	leaf, _ := m.leafHost(t, nil)
	got := make(chan string, 64)
	names := map[api.NodeID]string{a.ID(): "a", b.ID(): "b", leaf.ID(): "leaf"}
	for _, h := range []*Host{a, b, leaf} {
		if err := h.Subscribe("news",
			func(_ api.NodeID, data []byte) bool { return string(data) != "bad" },
			func(from api.NodeID, data []byte) {
				got <- names[h.ID()] + " hears " + names[from] + " " + string(data)
			}); err != nil {
			t.Fatal(err)
		}
	}
	wantKind(t, leaf.Subscribe("news", nil, func(api.NodeID, []byte) {}), api.Exists)
	connect(t, b, a)
	connect(t, leaf, a) // b and the leaf know each other only through a
	ctx := testContext(t)
	waitFor(t, func() bool { return len(hubOf(a).news.ps.ListPeers("news")) == 2 })
	expect := func(want ...string) {
		t.Helper()
		for range want {
			select {
			case s := <-got:
				if !slices.Contains(want, s) {
					t.Fatalf("%q, want one of %q", s, want)
				}
			case <-ctx.Done():
				t.Fatalf("none of %q", want)
			}
		}
	}
	publish := func(h *Host, text string) {
		t.Helper()
		if err := h.Publish(ctx, "news", []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	publish(a, "one")
	expect("b hears a one", "leaf hears a one")
	// Between a and b the overlay links within a beat.
	waitFor(t, func() bool {
		publish(leaf, "try")
		select {
		case s := <-got:
			return s == "b hears leaf try"
		case <-time.After(50 * time.Millisecond):
			return false
		}
	})
	publish(a, "bad")
	publish(b, "bad")
	publish(b, "two")
	for deadline := time.After(10 * time.Second); ; {
		select {
		case s := <-got:
			if strings.Contains(s, "bad") {
				t.Fatal(s)
			}
			if s == "leaf hears b two" {
				return
			}
		case <-deadline:
			t.Fatal("the leaf does not hear what its hub forwards")
		}
	}
}

// TestNewsOfOneAuthorIsBounded has a tab publish without end: its hub passes on
// no more than an author may say.
func TestNewsOfOneAuthorIsBounded(t *testing.T) {
	m := newTestMesh()
	hub := m.member(t, nil)
	tab, _ := m.leafHost(t, nil)
	got := make(chan struct{}, 4*newsBurst)
	if err := hub.Subscribe("news", nil, func(api.NodeID, []byte) { got <- struct{}{} }); err != nil {
		t.Fatal(err)
	}
	connect(t, tab, hub)
	ctx := testContext(t)
	waitFor(t, func() bool { return tab.Publish(ctx, "news", nil) == nil && len(got) > 0 })
	start := time.Now()
	for sent := 0; sent < 3*newsBurst; sent++ {
		if err := tab.Publish(ctx, "news", []byte("x")); err != nil {
			t.Fatal(err)
		}
		if sent%16 == 0 {
			time.Sleep(time.Millisecond) // or the tab's own queue drops them
		}
	}
	time.Sleep(300 * time.Millisecond)
	most := newsBurst + int(float64(newsRate)*(time.Since(start).Seconds()+2)) + 1
	if n := len(got); n < newsBurst/2 || n > most {
		t.Fatalf("%d messages of one author, want at most %d", n, most)
	}
}

// TestNewsIsGossipsubs checks our signatures against go-libp2p's, both ways.
func TestNewsIsGossipsubs(t *testing.T) {
	key, id := newKey(t)
	for _, data := range [][]byte{nil, {}, []byte("news")} {
		m := signFlood(key, floodMessage{topic: "t", seq: make([]byte, 8), data: data})
		b := encodeFlood(floodRPC{topics: []string{"t"}, messages: []floodMessage{m}})
		var rpc pb.RPC
		if err := proto.Unmarshal(b[1+len(b)/128:], &rpc); err != nil {
			t.Fatal(err)
		}
		if len(rpc.Publish) != 1 || rpc.Subscriptions[0].GetTopicid() != "t" || !rpc.Subscriptions[0].GetSubscribe() || string(rpc.Publish[0].From) != string(peerOf(id)) {
			t.Fatalf("%+v", &rpc)
		}
		r, err := decodeFlood(b[1+len(b)/128:])
		if err != nil || len(r.messages) != 1 || !verifyFlood(r.messages[0]) {
			t.Fatal(r, err)
		}
		r.messages[0].data = []byte("forged")
		if verifyFlood(r.messages[0]) {
			t.Fatal("a forged message passes")
		}
	}
	if pubsub.FloodSubID != floodProtocol || pubsub.SignPrefix != floodSign {
		t.Fatal("the names differ")
	}
}

func TestLeafProvidersAreFoundEverywhere(t *testing.T) {
	m := newTestMesh()
	hubs := []*Host{m.member(t, nil), m.member(t, nil), m.member(t, nil)}
	one, _ := m.leafHost(t, nil)
	other, _ := m.leafHost(t, nil)
	root, unknown := block(1, 10).Addr, block(2, 10).Addr
	ctx := testContext(t)
	if err := one.Provide(ctx, root); err != nil { // alone: remembered
		t.Fatal(err)
	}
	if found, err := one.FindProviders(ctx, root, 0); err != nil || !slices.Equal(found, []api.NodeID{one.ID()}) {
		t.Fatal(found, err)
	}
	_, err := one.FindProviders(ctx, unknown, 0)
	wantKind(t, err, api.NotFound)
	for _, h := range hubs[1:] {
		connect(t, h, hubs[0])
	}
	connect(t, one, hubs[1])
	connect(t, other, hubs[2])
	for _, h := range hubs {
		waitFor(t, func() bool { return hubOf(h).dht.RoutingTable().Size() > 0 })
	}
	if err := one.Provide(ctx, root); err != nil {
		t.Fatal(err)
	}
	for _, h := range append(hubs, other) {
		found, err := h.FindProviders(ctx, root, 1)
		if err != nil || !slices.Contains(found, one.ID()) {
			t.Fatal(found, err)
		}
	}
	_, err = other.FindProviders(ctx, unknown, 1)
	wantKind(t, err, api.NotFound)
}

func TestHubRefusesForgedProviders(t *testing.T) {
	m := newTestMesh()
	hub := m.member(t, nil)
	leaf, _ := m.leafHost(t, nil)
	connect(t, leaf, hub)
	ctx, now := testContext(t), time.Now().Unix()
	key, id := newKey(t)
	sign := func(key ed25519.PrivateKey, expires int64) api.ProviderRecord {
		own := identity.NewFromSeed([identity.SeedSize]byte(key.Seed()))
		return identity.SignProvider(own, api.ProviderRecord{Root: api.Address{1}, Expires: expires})
	}
	put := func(r api.ProviderRecord, spread bool) error {
		b, err := wire.EncodeProviderPut(wire.ProviderPut{Record: r, Spread: spread})
		if err != nil {
			t.Fatal(err)
		}
		_, err = leaf.Call(ctx, hub.ID(), methodProviderPut, b)
		return err
	}
	wantKind(t, put(sign(key, now+60), false), api.Denied) // not a member
	m.set(id, true)
	wantKind(t, put(sign(key, now+60), true), api.Denied) // spread for another
	wantKind(t, put(sign(key, now-1), false), api.Unverified)
	wantKind(t, put(sign(key, now+7*24*3600), false), api.Unverified)
	forged := sign(key, now+60)
	forged.Root[0]++
	wantKind(t, put(forged, false), api.Unverified)
	if err := put(sign(key, now+60), false); err != nil {
		t.Fatal(err)
	}
	var limited bool
	for range providerBurst + 8 {
		limited = limited || api.KindOf(put(forged, false)) == api.Exhausted
	}
	if !limited {
		t.Fatal("a member may ask without limit")
	}
}

func FuzzDecodeFlood(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	b := encodeFlood(floodRPC{topics: []string{"t"}, messages: []floodMessage{signFlood(key, floodMessage{topic: "t", seq: make([]byte, 8), data: []byte("x")})}})
	f.Add(b[2:])
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeFlood(b)
		if err != nil {
			return
		}
		if len(r.messages) > maxFloodMessages {
			t.Fatal("more messages than allowed")
		}
		for _, m := range r.messages {
			_ = verifyFlood(m)
		}
	})
}
