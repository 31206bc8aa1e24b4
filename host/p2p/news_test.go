package p2p

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"inos/kernel/api"
)

func TestNewsReachesMembersAndIsValidated(t *testing.T) {
	m := newTestMesh()
	a, b, c := m.member(t, nil), m.member(t, nil), m.member(t, nil)
	got := make(chan string, 16)
	for _, h := range []*Host{a, b, c} {
		err := h.Subscribe("news",
			func(_ api.NodeID, data []byte) bool { return string(data) != "bad" },
			func(from api.NodeID, data []byte) { got <- from.Short() + " " + string(data) })
		if err != nil {
			t.Fatal(err)
		}
	}
	wantKind(t, a.Subscribe("news", nil, func(api.NodeID, []byte) {}), api.Exists)
	connect(t, a, b)
	connect(t, b, c) // a and c know each other only through b
	ctx := testContext(t)
	waitFor(t, func() bool {
		return len(hubOf(a).news.ps.ListPeers("news")) == 1 && len(hubOf(b).news.ps.ListPeers("news")) == 2 && len(hubOf(c).news.ps.ListPeers("news")) == 1
	})
	if err := b.Publish(ctx, "news", []byte("hello")); err != nil {
		t.Fatal(err)
	}
	want := b.ID().Short() + " hello"
	for range 2 {
		next(t, got, want)
	}
	if err := a.Publish(ctx, "news", []byte("bad")); err != nil {
		t.Fatal("a node does not validate its own news:", err)
	}
	wantKind(t, a.Publish(ctx, "news", make([]byte, MaxNews+1)), api.Invalid)
	// c hears a through b once the overlay has linked them, within a beat.
	heard := make(chan struct{})
	var once sync.Once
	err := c.Subscribe("relay", nil, func(from api.NodeID, data []byte) {
		if from == a.ID() {
			once.Do(func() { close(heard) })
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Subscribe("relay", nil, func(api.NodeID, []byte) {}); err != nil {
		t.Fatal(err)
	}
	for done := false; !done; {
		if err := a.Publish(ctx, "relay", []byte("x")); err != nil {
			t.Fatal(err)
		}
		select {
		case <-heard:
			done = true
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("news is not forwarded")
		}
	}
	select {
	case s := <-got:
		t.Fatal("unexpected", s)
	default:
	}
}

func TestProvidersAreFound(t *testing.T) {
	m := newTestMesh()
	hosts := []*Host{m.member(t, nil), m.member(t, nil), m.member(t, nil), m.member(t, nil)}
	for _, h := range hosts[1:] {
		connect(t, h, hosts[0])
	}
	ctx := testContext(t)
	for _, h := range hosts {
		waitFor(t, func() bool { return hubOf(h).dht.RoutingTable().Size() > 0 })
	}
	root := block(1, 10).Addr
	if err := hosts[1].Provide(ctx, root); err != nil {
		t.Fatal(err)
	}
	for _, h := range hosts {
		found, err := h.FindProviders(ctx, root, 1)
		if err != nil || !slices.Contains(found, hosts[1].ID()) {
			t.Fatal(found, err)
		}
	}
	short, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := hosts[2].FindProviders(short, block(2, 10).Addr, 1)
	wantKind(t, err, api.NotFound)
}

func TestAloneInTheMesh(t *testing.T) {
	h := newTestMesh().member(t, nil)
	ctx := testContext(t)
	root := block(1, 10).Addr
	if err := h.Provide(ctx, root); err != nil {
		t.Fatal(err)
	}
	if found, err := h.FindProviders(ctx, root, 0); err != nil || len(found) != 1 || found[0] != h.ID() {
		t.Fatal(found, err)
	}
	if err := h.Publish(ctx, "news", []byte("x")); err != nil {
		t.Fatal(err)
	}
}
