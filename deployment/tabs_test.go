package deployment_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/websocket"
)

// TestTabsThroughNginx reaches a node's network as a tab does that has nothing
// but WebSockets: through nginx's TLS, at an address that the node announces.
func TestTabsThroughNginx(t *testing.T) {
	s := open(t, "anna")
	got, err := s.mesh.Nodes[0].Client.Tabs(t.Context())
	if err != nil || len(got.Nodes) != 1 {
		t.Fatal(got, err)
	}
	through := ""
	for _, a := range got.Nodes[0].Addrs {
		if strings.Contains(a, "/tls/ws/") {
			through = a
		}
	}
	info, err := peer.AddrInfoFromString(through)
	if err != nil {
		t.Fatal(got.Nodes[0].Addrs, err)
	}
	h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.DisableMetrics(), libp2p.DisableRelay(), libp2p.Security(noise.ID, noise.New),
		libp2p.Transport(websocket.New, websocket.WithTLSClientConfig(&tls.Config{RootCAs: s.roots})))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := h.Connect(ctx, *info); err != nil { // Noise inside proves the node's key
		t.Fatal(err)
	}
	if _, err := h.NewStream(ctx, info.ID, "/inos/join/1"); err != nil {
		t.Fatal(err)
	}

	// The network worker's script at the same address, and its policy, which lets a
	// tab come this way.
	names, err := filepath.Glob("../frontend/dist/assets/net.worker-*.js.br")
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	b := s.browser()
	res, _ := b.do(http.StatusOK, "GET", "/assets/"+strings.TrimSuffix(filepath.Base(names[0]), ".br"), nil)
	want := "wss://localhost:" + strings.TrimPrefix(s.url, "https://localhost:")
	if csp := res.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "connect-src 'self' ") || !strings.Contains(csp, want) {
		t.Error(csp)
	}
}
