//go:build !js

package p2p

import (
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	tls "github.com/libp2p/go-libp2p/p2p/security/tls"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/p2p/transport/tcpreuse"
	"github.com/libp2p/go-libp2p/p2p/transport/websocket"
	webtransport "github.com/libp2p/go-libp2p/p2p/transport/webtransport"
	ma "github.com/multiformats/go-multiaddr"
	"go.uber.org/fx"
)

// Stream windows. The first lets a block of 1 MiB leave without waiting for a
// window update; the last fills 1 Gb/s at 130 ms.
const (
	firstWindow = 1 << 20
	lastWindow  = 16 << 20
)

// quicDelay is how long a dial waits for TCP before it also tries QUIC. TCP
// with TLS moves bulk about four times faster on one core; QUIC serves where TCP
// is blocked. See docs/rationale.md.
const quicDelay = 300 * time.Millisecond

// The listener that TCP and WebSocket share takes its setting from here. Ports
// are not reused, so that two nodes cannot share one unknowingly.
func init() { tcpreuse.EnvReuseportVal = false }

// newLibp2p builds the libp2p host with only what a private mesh needs.
func newLibp2p(u *hub, key crypto.PrivKey) (host.Host, error) {
	h := u.owner
	mux := *yamux.DefaultTransport
	mux.InitialStreamWindowSize = firstWindow
	mux.MaxStreamWindowSize = lastWindow
	rm, err := rcmgr.NewResourceManager(
		rcmgr.NewFixedLimiter(resourceLimits(h.cfg.Limits)),
		rcmgr.WithMetricsDisabled(),
		// Many members may live behind one router.
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: h.cfg.Limits.Peers}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: h.cfg.Limits.Peers}},
		),
	)
	if err != nil {
		return nil, err
	}
	opts := []libp2p.Option{
		libp2p.Identity(key),
		libp2p.UserAgent("inos"),
		libp2p.DisableMetrics(),
		libp2p.Ping(false),
		libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()),
		libp2p.Transport(libp2pquic.NewTransport),
		// For tabs, which are never dialed. They cost nothing until ListenForTabs;
		// WebSocket then shares TCP's listener, and WebTransport QUIC's.
		libp2p.ShareTCPListener(),
		libp2p.Transport(websocket.New),
		libp2p.Transport(webtransport.New),
		libp2p.WithFxOption(fx.Invoke(func(cm *quicreuse.ConnManager) { u.quic = cm })),
		libp2p.Security(tls.ID, tls.New),
		libp2p.Security(noise.ID, noise.New), // browsers speak only Noise
		libp2p.Muxer(yamux.ID, &mux),
		libp2p.ResourceManager(rm),
		libp2p.ConnectionGater(&gater{h}),
		libp2p.SwarmOpts(swarm.WithDialRanker(rankDials)),
		libp2p.AddrsFactory(u.announced),
		libp2p.WithDialTimeout(10 * time.Second),
		libp2p.DisableIdentifyAddressDiscovery(),
	}
	switch {
	case h.cfg.EnableHolePunch:
		opts = append(opts, libp2p.EnableRelay(), libp2p.EnableRelayService(), libp2p.EnableHolePunching())
	case h.cfg.EnableRelay:
		opts = append(opts, libp2p.EnableRelay(), libp2p.EnableRelayService())
	default:
		opts = append(opts, libp2p.DisableRelay())
	}
	opts = append(opts, libp2p.NoListenAddrs) // hub.open listens when all is ready
	if h.cfg.EnablePortMap {
		opts = append(opts, libp2p.NATPortMap())
	}
	return libp2p.New(opts...)
}

// resourceLimits bounds connections, streams and window memory. What libp2p
// counts beyond them is refused at once.
func resourceLimits(l Limits) rcmgr.ConcreteLimitConfig {
	const perPeer = 4 // connections: simultaneous dials, TCP and QUIC, a reconnect
	conns := rcmgr.LimitVal(2*l.Peers + l.Strangers)
	streams := rcmgr.LimitVal(16 * l.Peers)
	return rcmgr.PartialLimitConfig{
		System: rcmgr.ResourceLimits{
			Conns: conns, ConnsInbound: conns, ConnsOutbound: conns, FD: conns,
			Streams: 2 * streams, StreamsInbound: streams, StreamsOutbound: streams,
			Memory: rcmgr.LimitVal64(l.MemoryBytes),
		},
		Transient: rcmgr.ResourceLimits{
			Conns: 64, ConnsInbound: 32, ConnsOutbound: 64, FD: 64,
			Streams: 256, StreamsInbound: 128, StreamsOutbound: 256,
			Memory: rcmgr.LimitVal64(min(l.MemoryBytes, 32<<20)),
		},
		PeerDefault: rcmgr.ResourceLimits{
			Conns: perPeer, ConnsInbound: perPeer, ConnsOutbound: perPeer, FD: perPeer,
			Streams: rcmgr.LimitVal(2 * l.Streams), StreamsInbound: rcmgr.LimitVal(l.Streams), StreamsOutbound: rcmgr.LimitVal(l.Streams),
			Memory: rcmgr.LimitVal64(l.MemoryBytes / 2),
		},
	}.Build(rcmgr.InfiniteLimits)
}

// rankDials dials every TCP address at once, QUIC after quicDelay, and relays
// last.
func rankDials(addrs []ma.Multiaddr) []network.AddrDelay {
	direct := false
	for _, a := range addrs {
		direct = direct || transportOf(a.String()) == "tcp"
	}
	out := make([]network.AddrDelay, 0, len(addrs))
	for _, a := range addrs {
		d := network.AddrDelay{Addr: a}
		switch transportOf(a.String()) {
		case "quic":
			if direct {
				d.Delay = quicDelay
			}
		case "relay":
			d.Delay = 2 * quicDelay
		}
		out = append(out, d)
	}
	return out
}
