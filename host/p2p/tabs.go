//go:build !js

package p2p

import (
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	webrtc "github.com/libp2p/go-libp2p/p2p/transport/webrtc"
	ma "github.com/multiformats/go-multiaddr"

	"inos/kernel/api"
)

// Limits of the relay by which two tabs find each other. It carries the words of
// a WebRTC handshake, some kilobytes; what they say afterwards goes between them.
const (
	relayTime     = 30 * time.Second
	relayBytes    = 64 << 10
	relayTabs     = 64 // tabs that can be reached through this node
	relayCircuits = 16 // handshakes of one tab at once
	relayBuffer   = 2 << 10
)

// tabs is what a hub has for browser tabs once it is asked for.
type tabs struct {
	mu    sync.Mutex
	relay *relay.Relay // guarded by mu; nil until ListenForTabs
}

// ListenForTabs opens what browser tabs need, beside the listeners of
// Config.Listen and on the same ports: WebSocket on every TCP port, WebTransport
// and WebRTC-direct on every QUIC port, and a relay by which admitted tabs find
// each other. It costs about 1 MB, so it is called when tabs are expected. Calling it again does
// nothing. Unsupported in a tab.
func (h *Host) ListenForTabs() error {
	const op = "p2p.tabs"
	u, ok := h.net.(*hub)
	if !ok {
		return api.Errorf(op, api.Unsupported, "tabs do not listen for tabs")
	}
	u.tabs.mu.Lock()
	defer u.tabs.mu.Unlock()
	if u.tabs.relay != nil {
		return nil
	}
	if h.ctx.Err() != nil {
		return closedError(op)
	}
	if err := u.addWebRTC(); err != nil {
		return api.E(op, api.Other, err)
	}
	opened := 0
	var errs []error
	for _, a := range u.h.Network().ListenAddresses() {
		for _, layered := range forTabs(a.String()) {
			m, err := ma.NewMultiaddr(layered)
			if err == nil {
				err = listenOne(u.h.Network(), m)
			}
			if err != nil {
				errs = append(errs, err)
				continue
			}
			opened++
		}
	}
	if opened == 0 {
		return api.E(op, api.Unavailable, errors.Join(append(errs, errors.New("no listener can serve tabs; listen on TCP or QUIC"))...))
	}
	r, err := relay.New(u.gated, relay.WithACL(relayRules{u}), relay.WithResources(relay.Resources{
		Limit:          &relay.RelayLimit{Duration: relayTime, Data: relayBytes},
		ReservationTTL: time.Hour, MaxReservations: relayTabs, MaxCircuits: relayCircuits, BufferSize: relayBuffer,
		MaxReservationsPerPeer: 1, MaxReservationsPerIP: relayTabs, MaxReservationsPerASN: relayTabs,
	}))
	if err != nil {
		return api.E(op, api.Other, err)
	}
	u.tabs.relay = r
	return nil
}

// TabAddrs returns the full multiaddrs that a tab may dial, WebTransport first,
// since it is the faster; none before ListenForTabs.
func (h *Host) TabAddrs() []string {
	return TabDials(h.Addrs())
}

// addWebRTC gives libp2p WebRTC-direct, which costs memory even at rest, so not
// before it is wanted. Its packets share the QUIC listeners' ports.
func (u *hub) addWebRTC() error {
	n, ok := u.h.Network().(*swarm.Swarm)
	if !ok || n.TransportForListening(ma.StringCast("/ip4/127.0.0.1/udp/1/webrtc-direct")) != nil {
		return nil // tried before
	}
	listen := func(network string, at *net.UDPAddr) (net.PacketConn, error) {
		return u.quic.SharedNonQUICPacketConn(network, at)
	}
	t, err := webrtc.New(u.h.Peerstore().PrivKey(u.h.ID()), nil, &gater{u.owner}, n.ResourceManager(), listen)
	if err != nil {
		return err
	}
	return n.AddTransport(t)
}

// forTabs are the addresses that listen for tabs beside a listener.
func forTabs(addr string) []string {
	switch udp, quic := strings.CutSuffix(addr, "/quic-v1"); {
	case quic:
		return []string{addr + "/webtransport", udp + "/webrtc-direct"}
	case transportOf(addr) == "tcp" && strings.Contains(addr, "/tcp/"):
		return []string{addr + "/ws"}
	}
	return nil
}

// relayRules let members alone use the relay. The gated host has turned
// strangers away before.
type relayRules struct{ u *hub }

// AllowReserve reports whether a peer may be reached through this node.
func (r relayRules) AllowReserve(p peer.ID, _ ma.Multiaddr) bool { return r.u.isMember(p) }

// AllowConnect reports whether one peer may reach another.
func (r relayRules) AllowConnect(src peer.ID, _ ma.Multiaddr, dest peer.ID) bool {
	return r.u.isMember(src) && r.u.isMember(dest)
}
