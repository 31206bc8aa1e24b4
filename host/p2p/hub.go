//go:build !js

package p2p

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	ma "github.com/multiformats/go-multiaddr"

	"inos/kernel/api"
)

// dhtPrefix begins the DHT's protocols.
const dhtPrefix = protocol.ID("/inos")

// hub is a native node's network: go-libp2p as the transport, gossipsub and
// Kademlia as the overlay.
type hub struct {
	owner *Host
	h     host.Host
	gated gatedHost
	dht   *dht.IpfsDHT
	news  *news
	desk  *desk
	tabs  tabs
	quic  *quicreuse.ConnManager // holds the UDP ports, which WebRTC shares
}

var (
	_ transport = (*hub)(nil)
	_ overlay   = (*hub)(nil)
)

func newNetwork(owner *Host) (transport, overlay, error) {
	u, err := newHub(owner)
	if err != nil {
		return nil, nil, err
	}
	return u, u, nil
}

func newHub(owner *Host) (*hub, error) {
	key, err := crypto.UnmarshalEd25519PrivateKey(owner.cfg.Key)
	if err != nil {
		return nil, err
	}
	u := &hub{owner: owner, desk: newDesk()}
	if u.h, err = newLibp2p(u, key); err != nil {
		return nil, err
	}
	u.gated = gatedHost{Host: u.h, owner: owner}
	u.h.Network().Notify(&network.NotifyBundle{
		ConnectedF: func(_ network.Network, c network.Conn) {
			if _, ok := nodeOf(c.RemotePeer()); !ok {
				_ = c.Close()
				return
			}
			owner.connected(hubConn{c})
		},
		DisconnectedF: func(_ network.Network, c network.Conn) { owner.disconnected(hubConn{c}) },
	})
	return u, nil
}

// start begins the overlay.
func (u *hub) start() (err error) {
	if u.dht, err = newDHT(u); err != nil {
		return err
	}
	if u.news, err = newNews(u); err != nil {
		return err
	}
	return u.registerProviderCalls()
}

// handle registers fn for a protocol.
func (u *hub) handle(id string, fn func(stream)) {
	u.h.SetStreamHandler(protocol.ID(id), func(s network.Stream) { fn(hubStream{s}) })
}

// open opens the listeners. An address family that the machine lacks is no
// error as long as another address works; a taken port always is.
func (u *hub) open() error {
	var last error
	opened := 0
	for _, s := range u.owner.cfg.Listen {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			return err
		}
		err = listenOne(u.h.Network(), a)
		if isTaken(err) {
			return err
		}
		if err != nil {
			last = err
			continue
		}
		opened++
	}
	if opened == 0 && last != nil {
		return last
	}
	return nil
}

// listenOne keeps the cause of a failure, which Network.Listen would turn into
// text.
func listenOne(n network.Network, a ma.Multiaddr) error {
	if s, ok := n.(*swarm.Swarm); ok {
		return s.AddListenAddr(a)
	}
	return n.Listen(a)
}

// dial makes the connection itself, ignoring libp2p's own memory of failures:
// the keeper has its own backoff.
func (u *hub) dial(ctx context.Context, n api.NodeID, addrs []string) error {
	info, err := infoOf(n, addrs)
	if err != nil {
		return err
	}
	if s, ok := u.h.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(info.ID)
	}
	err = u.h.Connect(ctx, info)
	if errors.Is(err, swarm.ErrDialToSelf) {
		return errOwnKey
	}
	return brief(err)
}

// brief says why a node was not reached at any of its addresses, each cause once.
// libp2p's own text repeats every address with every transport's view of it.
func brief(err error) error {
	var d *swarm.DialError
	if !errors.As(err, &d) {
		return err
	}
	var causes []string
	add := func(err error) {
		for next := err; next != nil; next = errors.Unwrap(err) {
			err = next
		}
		if err != nil && !slices.Contains(causes, err.Error()) {
			causes = append(causes, err.Error())
		}
	}
	for _, e := range d.DialErrors {
		add(e.Cause)
	}
	if len(causes) == 0 {
		add(d.Cause)
	}
	if len(causes) == 0 {
		return err
	}
	return &explained{text: strings.Join(causes, "; "), cause: err}
}

func (u *hub) stream(ctx context.Context, n api.NodeID, id string) (stream, error) {
	s, err := u.h.NewStream(network.WithNoDial(ctx, id), peerOf(n), protocol.ID(id))
	if err != nil {
		return nil, err
	}
	return hubStream{s}, nil
}

func (u *hub) closePeer(n api.NodeID) error { return u.h.Network().ClosePeer(peerOf(n)) }

func (u *hub) known(n api.NodeID) []string { return textOf(u.h.Peerstore().Addrs(peerOf(n))) }

// addrs puts TCP first, since it moves bulk fastest, and last what only tabs
// dial; within each, loopback after what others can dial.
func (u *hub) addrs() []string {
	list := textOf(u.h.Addrs())
	rank := func(a string) int {
		r := 2 * max(slices.Index([]string{"tcp", "quic", "webtransport", "websocket", "webrtc"}, transportOf(a)), 0)
		if strings.HasPrefix(a, "/ip4/127.") || strings.HasPrefix(a, "/ip6/::1/") {
			r++
		}
		return r
	}
	slices.SortStableFunc(list, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
	return list
}

// reaches reports whether a native node dials an address: others' tabs and what
// listens for tabs it does not.
func (u *hub) reaches(addr string) bool {
	via := transportOf(addr)
	return via == "tcp" || via == "quic" || via == "relay" && u.owner.cfg.EnableRelay
}

// announced is libp2p's address factory.
func (u *hub) announced(listen []ma.Multiaddr) []ma.Multiaddr {
	cfg := &u.owner.cfg
	var out []ma.Multiaddr
	if len(cfg.Announce) == 0 {
		out = append(out, listen...)
	}
	for _, s := range slices.Concat(cfg.Announce, cfg.AnnounceAlso) {
		if a, err := ma.NewMultiaddr(s); err == nil { // validate checked it
			out = append(out, a)
		}
	}
	return out
}

// admitted offers a newly admitted member to the routing table: it may have
// been no member yet when the DHT looked at it.
func (u *hub) admitted(n api.NodeID) {
	_, _ = u.dht.RoutingTable().TryAddPeer(peerOf(n), true, false) // full buckets are no error
}

func (u *hub) isMember(p peer.ID) bool {
	n, ok := nodeOf(p)
	return ok && u.owner.cfg.Member(n)
}

func (u *hub) stop() error {
	if u.dht == nil {
		return nil
	}
	return u.dht.Close()
}

func (u *hub) close() error {
	u.tabs.mu.Lock()
	r := u.tabs.relay
	u.tabs.mu.Unlock()
	if r == nil {
		return u.h.Close()
	}
	return errors.Join(r.Close(), u.h.Close())
}

// hubConn is libp2p's connection.
type hubConn struct{ network.Conn }

func (c hubConn) peer() api.NodeID {
	n, _ := nodeOf(c.RemotePeer()) // others are closed when they connect
	return n
}
func (c hubConn) inbound() bool     { return c.Stat().Direction == network.DirInbound }
func (c hubConn) opened() time.Time { return c.Stat().Opened }
func (c hubConn) addr() string      { return c.RemoteMultiaddr().String() }
func (c hubConn) via() string       { return transportOf(c.RemoteMultiaddr().String()) }

// hubStream is libp2p's stream.
type hubStream struct{ network.Stream }

func (s hubStream) conn() conn    { return hubConn{s.Conn()} }
func (s hubStream) refuse() error { return s.ResetWithError(streamRefused) }

// streamRefused is the code a refused stream is reset with.
const streamRefused network.StreamErrorCode = 0x1405

// refusedByPeer reports whether err is the end of a stream by refuse.
func refusedByPeer(err error) bool {
	var se *network.StreamError
	return errors.Is(err, errRefused) || errors.As(err, &se) && se.ErrorCode == streamRefused
}
