package nettest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"inos/host/browser"
	"inos/host/p2p"
	"inos/kernel/api"
)

// addrsOf returns the native peer's addresses of one transport.
func peerAddrs(t *testing.T, via string) []string {
	t.Helper()
	all := strings.Fields(os.Getenv("INOS_NET_ADDRS"))
	if len(all) == 0 {
		t.Skip("no native peer; run scripts/net-browser-test.sh")
	}
	some := slices.DeleteFunc(all, func(a string) bool { return !strings.Contains(a, "/"+via+"/") })
	if len(some) == 0 {
		t.Fatal("the peer has no address over", via)
	}
	return some
}

// tab starts a tab's network over a network worker of its own.
func tab(t *testing.T, port string, edit func(*p2p.Config)) *p2p.Host {
	t.Helper()
	link, err := browser.Open(port)
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := p2p.Config{Key: key, Link: link, Member: func(api.NodeID) bool { return true }}
	if edit != nil {
		edit(&cfg)
	}
	h, err := p2p.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error("close:", err)
		}
	})
	if err := h.Handle("echo", p2p.HandleOptions{RequireMember: true}, func(_ context.Context, _ api.NodeID, req []byte) ([]byte, error) { return req, nil }); err != nil {
		t.Fatal(err)
	}
	return h
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// TestNative meets a native node over each transport that a tab has to one.
func TestNative(t *testing.T) {
	for _, via := range []string{"webtransport", "ws", "webrtc-direct"} {
		t.Run(via, func(t *testing.T) { meet(t, via) })
	}
}

func meet(t *testing.T, via string) {
	ctx, heard := soon(t), make(chan string, 16)
	addrs := peerAddrs(t, via)
	if via == "webrtc-direct" && os.Getenv("INOS_NET_RTC") == "" {
		t.Skip("WebRTC needs an interface besides loopback; run scripts/net-browser-test.sh")
	}
	h := tab(t, "net", nil)
	if err := h.Subscribe("answers", nil, func(_ api.NodeID, data []byte) { heard <- string(data) }); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	peer, err := h.Connect(ctx, addrs...)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("connected and introduced after %v", time.Since(start).Round(time.Millisecond))
	ps := h.Peers()
	if want := map[string]string{"ws": "websocket", "webrtc-direct": "webrtc"}[via]; len(ps) != 1 || ps[0].Inbound || (ps[0].Transport != via && ps[0].Transport != want) {
		t.Fatalf("%+v", ps)
	}
	for _, size := range []int{0, 1, 5000, 100_000, 4 << 20} {
		req := bytes.Repeat([]byte{7}, size)
		for _, method := range []string{"echo", "call-back"} { // the second has the peer call this tab
			if out, err := h.Call(ctx, peer, method, req); err != nil || !bytes.Equal(out, req) {
				t.Fatal(method, size, len(out), err)
			}
		}
	}
	took := make([]time.Duration, 200)
	for i := range took {
		start := time.Now()
		if _, err := h.Call(ctx, peer, "echo", []byte("x")); err != nil {
			t.Fatal(err)
		}
		took[i] = time.Since(start)
	}
	slices.Sort(took)
	t.Logf("a small call: p50 %v, p95 %v", took[100], took[190])

	// News goes there and back, once the streams for it stand.
	for ask := 0; ; ask++ {
		if err := h.Publish(ctx, "news", []byte(via)); err != nil {
			t.Fatal(err)
		}
		select {
		case s := <-heard:
			if s != "heard "+via {
				t.Fatal(s)
			}
		case <-time.After(100 * time.Millisecond):
			if ask < 100 {
				continue
			}
			t.Fatal("no news")
		}
		break
	}
	fetch(ctx, t, h, peer, via)
	if err := h.Disconnect(peer); err != nil {
		t.Fatal(err)
	}
	for h.Connected(peer) {
		time.Sleep(time.Millisecond)
	}
	again(ctx, t, h, func() []string { return addrs })
}

// fetch moves every block into the tab, verified, and says how fast.
func fetch(ctx context.Context, t *testing.T, h *p2p.Host, from api.NodeID, via string) {
	t.Helper()
	want := Blocks()
	addrs := make([]api.Address, len(want))
	for i, b := range want {
		addrs[i] = b.Addr
	}
	got := 0
	start := time.Now()
	err := h.Fetch(ctx, from, addrs, func(a api.Address, data []byte) error {
		if !bytes.Equal(data[:32], want[got].Data[:32]) {
			return errors.New("another block")
		}
		got++
		return nil
	})
	if err != nil || got != len(want) {
		t.Fatal(got, err)
	}
	t.Logf("%s: 64 MiB into the tab, verified, at %.1f MiB/s", via, Total/float64(1<<20)/time.Since(start).Seconds())
}

// TestFallsBackToWebSocket gives a WebTransport address that nobody answers at.
func TestFallsBackToWebSocket(t *testing.T) {
	dead := strings.Split(peerAddrs(t, "webtransport")[0], "/")
	dead[4] = "9"
	h := tab(t, "net", nil)
	start := time.Now()
	if _, err := h.Connect(soon(t), append([]string{strings.Join(dead, "/")}, peerAddrs(t, "ws")...)...); err != nil {
		t.Fatal(err)
	}
	if ps := h.Peers(); ps[0].Transport != "websocket" {
		t.Fatal(ps[0])
	}
	t.Logf("after %v", time.Since(start).Round(time.Millisecond))
}

func TestWhatCannotBeReached(t *testing.T) {
	addr := peerAddrs(t, "ws")[0]
	h := tab(t, "net", nil)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	dead := strings.Split(addr, "/")
	dead[4] = "9"
	if _, err := h.Connect(ctx, strings.Join(dead, "/")); !errors.Is(err, api.Unavailable) && !errors.Is(err, api.Timeout) {
		t.Fatal(err)
	}
	tcp := strings.Replace(addr, "/ws/", "/", 1)
	if _, err := h.Connect(ctx, tcp); !errors.Is(err, api.Unavailable) || !strings.Contains(err.Error(), "browser tab") {
		t.Fatal(err)
	}
	// Another node's key at the peer's address.
	_, other, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	id := api.NodeID(other.Public().(ed25519.PublicKey))
	if err := h.Keep(id, []string{addr[:strings.LastIndex(addr, "/p2p/")]}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if h.Connected(id) {
		t.Fatal("connected to somebody else")
	}
}

// TestTwoTabs has two tabs that know one native node meet over WebRTC; it takes
// a network whose addresses ICE uses, which loopback is not.
func TestTwoTabs(t *testing.T) {
	if os.Getenv("INOS_NET_RTC") == "" {
		t.Skip("WebRTC needs an interface besides loopback; run scripts/net-browser-test.sh")
	}
	ctx := soon(t)
	one, two := tab(t, "net", nil), tab(t, "net2", nil)
	var native api.NodeID
	for _, h := range []*p2p.Host{one, two} {
		var err error
		if native, err = h.Connect(ctx, peerAddrs(t, "webtransport")...); err != nil {
			t.Fatal(err)
		}
	}
	reachable(ctx, t, one, true)
	start := time.Now()
	if _, err := two.Connect(ctx, one.Addrs()...); err != nil {
		t.Fatal(err)
	}
	t.Logf("two tabs met after %v", time.Since(start).Round(time.Millisecond))
	for _, h := range []*p2p.Host{one, two} {
		other := map[*p2p.Host]*p2p.Host{one: two, two: one}[h]
		for !h.Connected(other.ID()) {
			time.Sleep(time.Millisecond)
		}
		for _, p := range h.Peers() {
			if p.ID == other.ID() && p.Transport != "webrtc" {
				t.Fatalf("%+v", p)
			}
		}
		if out, err := h.Call(ctx, other.ID(), "echo", []byte("hello")); err != nil || string(out) != "hello" {
			t.Fatal(string(out), err)
		}
	}
	serve(one)
	fetch(ctx, t, two, one.ID(), "webrtc")

	// Without the native node they go on, but nobody new finds them; with it again
	// they can meet again.
	if err := one.Disconnect(native); err != nil {
		t.Fatal(err)
	}
	reachable(ctx, t, one, false)
	if out, err := two.Call(ctx, one.ID(), "echo", []byte("still")); err != nil || string(out) != "still" {
		t.Fatal(string(out), err)
	}
	if _, err := one.Connect(ctx, peerAddrs(t, "ws")...); err != nil {
		t.Fatal(err)
	}
	reachable(ctx, t, one, true)
	if err := two.Disconnect(one.ID()); err != nil {
		t.Fatal(err)
	}
	for one.Connected(two.ID()) {
		time.Sleep(time.Millisecond)
	}
	again(ctx, t, two, one.Addrs)
}

// again connects once more, as the keeper does: a first try may meet what is left
// of the connection before.
func again(ctx context.Context, t *testing.T, h *p2p.Host, addrs func() []string) {
	t.Helper()
	for {
		_, err := h.Connect(ctx, addrs()...)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatal("not again:", err)
		}
	}
}

// reachable waits until a tab has an address for other tabs, or has none.
func reachable(ctx context.Context, t *testing.T, h *p2p.Host, want bool) {
	t.Helper()
	for (len(h.Addrs()) > 0) != want {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("a tab with a place in a relay, waiting for", want)
		}
	}
}

// serve has a tab serve the blocks.
func serve(h *p2p.Host) {
	m := memory{}
	for _, b := range Blocks() {
		m[b.Addr] = b.Data
	}
	h.Serve(m)
}

type memory map[api.Address][]byte

func (m memory) Store(context.Context, api.NodeID, api.LeaseID, []api.Block) (api.Receipt, error) {
	return api.Receipt{}, api.Errorf("test", api.Unsupported, "no")
}

func (m memory) Load(_ context.Context, _ api.NodeID, a api.Address, buf []byte) ([]byte, error) {
	return append(buf[:0], m[a]...), nil
}

func (m memory) Has(_ context.Context, _ api.NodeID, addrs []api.Address) ([]bool, error) {
	return make([]bool, len(addrs)), nil
}

func (m memory) AddLease(context.Context, api.NodeID, api.LeaseID, []api.Address) (api.Receipt, error) {
	return api.Receipt{}, api.Errorf("test", api.NotFound, "no")
}

func (m memory) Rename(context.Context, api.NodeID, api.LeaseID, api.LeaseID) error { return nil }
func (m memory) Release(context.Context, api.NodeID, api.LeaseID) error             { return nil }
