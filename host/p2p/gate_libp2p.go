//go:build !js

package p2p

import (
	"context"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"inos/kernel/api"
)

// gater refuses connections before they cost anything. Who may do what on an
// accepted connection is decided per stream.
type gater struct{ h *Host }

var _ connmgr.ConnectionGater = (*gater)(nil)

// InterceptPeerDial allows every dial: only this node's own code dials.
func (g *gater) InterceptPeerDial(peer.ID) bool { return true }

// InterceptAddrDial refuses addresses that only tabs dial.
func (g *gater) InterceptAddrDial(_ peer.ID, a ma.Multiaddr) bool {
	switch transportOf(a.String()) {
	case "websocket", "webtransport", "webrtc":
		return false
	}
	return true
}

// InterceptAccept allows the handshake, which the resource manager bounds.
func (g *gater) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured sees the peer's proven identity. It refuses this node's own
// (a copy of its key), keys of another type, and strangers beyond the limit.
func (g *gater) InterceptSecured(dir network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	n, ok := nodeOf(p)
	if n == g.h.id {
		g.h.counts.sameKey.Add(1)
		return false
	}
	if !ok || !g.h.roomFor(n, dir == network.DirInbound) {
		g.h.counts.refused.Add(1)
		return false
	}
	return true
}

// InterceptUpgraded allows what the others allowed.
func (g *gater) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }

// gatedHost is the libp2p host that the DHT, gossipsub and this package's own
// protocols see: streams reach and leave only admitted members.
type gatedHost struct {
	host.Host
	owner *Host
}

// SetStreamHandler wraps fn in the membership check.
func (g gatedHost) SetStreamHandler(id protocol.ID, fn network.StreamHandler) {
	g.Host.SetStreamHandler(id, g.members(fn))
}

// SetStreamHandlerMatch wraps fn in the membership check.
func (g gatedHost) SetStreamHandlerMatch(id protocol.ID, match func(protocol.ID) bool, fn network.StreamHandler) {
	g.Host.SetStreamHandlerMatch(id, match, g.members(fn))
}

func (g gatedHost) members(fn network.StreamHandler) network.StreamHandler {
	return func(s network.Stream) {
		n, ok := nodeOf(s.Conn().RemotePeer())
		if !ok || !g.owner.admittedInbound(n) {
			g.owner.counts.refused.Add(1)
			_ = s.ResetWithError(streamRefused)
			return
		}
		fn(s)
	}
}

// NewStream waits for the introduction and opens a stream. Denied means that
// the peer is no member.
func (g gatedHost) NewStream(ctx context.Context, p peer.ID, ids ...protocol.ID) (network.Stream, error) {
	n, ok := nodeOf(p)
	if !ok {
		return nil, api.Errorf("p2p.stream", api.Denied, "the peer is no node of a mesh")
	}
	if err := g.owner.waitAdmitted(ctx, n); err != nil {
		return nil, err
	}
	return g.Host.NewStream(network.WithNoDial(ctx, "members are connected by introduction"), p, ids...)
}

// Connect dials and introduces this node; the DHT calls it while it searches.
func (g gatedHost) Connect(ctx context.Context, ai peer.AddrInfo) error {
	n, ok := nodeOf(ai.ID)
	if !ok || !g.owner.cfg.Member(n) {
		return api.Errorf("p2p.connect", api.Denied, "the peer is no member of this mesh")
	}
	return g.owner.introduce(ctx, n, textOf(ai.Addrs))
}
