package p2p

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"inos/kernel/api"
)

func TestTwoNodesWithOneKey(t *testing.T) {
	m := newTestMesh()
	key, id := newKey(t)
	m.set(id, true)
	first, copied := m.host(t, key, nil), m.host(t, key, nil)
	ctx := testContext(t)

	_, err := copied.Connect(ctx, first.Addrs()...)
	wantKind(t, err, api.Exists)
	_, err = first.Connect(ctx, first.Addrs()...)
	wantKind(t, err, api.Invalid)

	// A third node lets a new process replace the old one, as after a restart,
	// and refuses the old one when it comes back.
	third := m.member(t, nil)
	connect(t, first, third)
	connect(t, copied, third)
	waitFor(t, func() bool { return !first.Connected(third.ID()) })
	_, err = first.Connect(ctx, third.Addrs()...)
	wantKind(t, err, api.Exists)
	if !strings.Contains(err.Error(), "its own folder") || third.Stats().SameKey == 0 {
		t.Fatal(err)
	}
	// Once the copy is gone, the first may return.
	if err := copied.Close(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return !third.Connected(id) })
	connect(t, first, third)
}

// waitFor polls a condition that another goroutine makes true.
func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the condition never became true")
		}
	}
}

func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	key, _ := newKey(t)
	_, err = New(Config{Key: key, Member: newTestMesh().has, Listen: ListenOn("127.0.0.1", l.Addr().(*net.TCPAddr).Port)})
	wantKind(t, err, api.Exists)
	m := newTestMesh()
	a := m.member(t, nil)
	listen := strings.Split(a.Addrs()[0], "/p2p/")[0]
	_, err = New(Config{Key: key, Member: m.has, Listen: []string{listen}})
	wantKind(t, err, api.Exists)
}

func TestBadConfigurationAndAddresses(t *testing.T) {
	key, id := newKey(t)
	member := newTestMesh().has
	for name, cfg := range map[string]Config{
		"no key":        {Member: member},
		"short key":     {Key: ed25519.PrivateKey("short"), Member: member},
		"no member":     {Key: key},
		"bad listen":    {Key: key, Member: member, Listen: []string{"localhost:80"}},
		"bad bootstrap": {Key: key, Member: member, Bootstrap: []string{"/ip4/127.0.0.1/tcp/1"}},
	} {
		if _, err := New(cfg); !errors.Is(err, api.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	a := newTestMesh().member(t, nil)
	ctx := testContext(t)
	_, err := a.Connect(ctx)
	wantKind(t, err, api.Invalid)
	_, err = a.Connect(ctx, "/ip4/127.0.0.1/tcp/1")
	wantKind(t, err, api.Invalid)
	wantKind(t, a.Keep(id, []string{"nonsense"}), api.Invalid)
	_, err = a.Connect(ctx, "/ip4/127.0.0.1/tcp/1/p2p/"+peerOf(id).String())
	wantKind(t, err, api.Unavailable)
	_, err = a.Call(ctx, id, "x", nil)
	wantKind(t, err, api.Unavailable)
}

func TestCloseIsQuickAndFinal(t *testing.T) {
	a, b := pair(t, nil)
	mustHandle(t, b, "hang", func(ctx context.Context, _ api.NodeID, _ []byte) ([]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	done := make(chan error, 1)
	go func() { _, err := a.Call(context.Background(), b.ID(), "hang", nil); done <- err }()
	waitFor(t, func() bool { return a.Stats().Calls == 1 })
	start := time.Now()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d > closeTime {
		t.Fatal("close took", d)
	}
	if err := <-done; err == nil {
		t.Fatal("the call outlived the host")
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Connect(testContext(t), b.Addrs()...); err == nil {
		t.Fatal("a closed host connects")
	}
}
