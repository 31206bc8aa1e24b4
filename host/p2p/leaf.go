package p2p

import (
	"context"
	"strings"
	"sync"
	"time"

	"inos/kernel/api"
	"inos/kernel/layout"
)

// leaf is the transport of a tab: a network worker that speaks libp2p does on
// the other end of a Link what the kernel says. It is a leaf of the mesh: it
// dials, is reached by other tabs through a relay, and forwards nothing.
//
// Invariants:
//   - Streams that the kernel opens have odd numbers, those of peers even ones; a
//     number is used once.
//   - The worker sends no more bytes of a stream than it was given credit for, so
//     what waits here is at most layout.NetWindow a stream, and there are at most
//     layout.NetMaxStreams. A worker that breaks this has failed, and the link is
//     closed.
//   - The goroutine that receives never waits for the owner of a stream.
type leaf struct {
	owner *Host
	link  Link

	handlers map[string]func(stream) // fixed by open

	mu       sync.Mutex
	conns    map[uint32]*leafConn      // guarded by mu; by the worker's number
	streams  map[uint32]*leafStream    // guarded by mu; at most layout.NetMaxStreams
	dials    map[uint32]chan<- error   // guarded by mu; at most maxLeafDials
	peers    map[api.NodeID]*leafConns // guarded by mu
	lastID   uint32                    // guarded by mu; of streams, odd
	lastDial uint32                    // guarded by mu
	own      []string                  // guarded by mu
	ended    error                     // guarded by mu; why the link is over
}

// leafConns are the connections with one node, oldest first.
type leafConns struct{ list []*leafConn }

const (
	maxLeafDials = 64  // dials under way; more get Exhausted
	maxLeafConns = 256 // connections; the worker refuses more before this does
)

var _ transport = (*leaf)(nil)

func newLeaf(owner *Host, link Link) *leaf {
	return &leaf{
		owner: owner, link: link, lastID: ^uint32(0),
		handlers: make(map[string]func(stream)),
		conns:    make(map[uint32]*leafConn), streams: make(map[uint32]*leafStream),
		dials: make(map[uint32]chan<- error), peers: make(map[api.NodeID]*leafConns),
	}
}

func (l *leaf) handle(protocol string, fn func(stream)) { l.handlers[protocol] = fn }

// open gives the worker the node's key and what it answers, and begins to
// receive.
func (l *leaf) open() error {
	names := make([]string, 0, len(l.handlers))
	for name := range l.handlers {
		names = append(names, name)
	}
	start := frame{kind: layout.NetStart, value: layout.NetVersion}
	if err := l.send(l.owner.ctx, start, l.owner.cfg.Key.Seed(), []byte(strings.Join(names, "\n"))); err != nil {
		return err
	}
	if !l.owner.goWork(l.receive) {
		return closedError("p2p.new")
	}
	return nil
}

func (l *leaf) send(ctx context.Context, f frame, payload ...[]byte) error {
	parts := make([][]byte, 1, 3)
	parts[0] = f.head()
	return l.link.Send(ctx, append(parts, payload...)...)
}

// tell sends a frame that nobody waits for. A link that has ended needs none.
func (l *leaf) tell(f frame, payload ...[]byte) { _ = l.send(l.owner.ctx, f, payload...) }

func (l *leaf) dial(ctx context.Context, n api.NodeID, addrs []string) error {
	if n == l.owner.id {
		return errOwnKey
	}
	done := make(chan error, 1)
	l.mu.Lock()
	switch {
	case l.ended != nil:
		l.mu.Unlock()
		return l.ended
	case l.peers[n] != nil:
		l.mu.Unlock()
		return nil
	case len(l.dials) >= maxLeafDials:
		l.mu.Unlock()
		return api.Errorf("p2p.dial", api.Exhausted, "too many connections are being made; wait for some")
	}
	l.lastDial++
	id := l.lastDial
	l.dials[id] = done
	l.mu.Unlock()
	err := l.send(ctx, frame{kind: layout.NetDial, id: id}, n[:], []byte(strings.Join(addrs, "\n")))
	if err == nil {
		select {
		case err = <-done:
			return err
		case <-ctx.Done():
			err = ctx.Err()
			l.tell(frame{kind: layout.NetUndial, id: id})
		}
	}
	l.mu.Lock()
	delete(l.dials, id)
	l.mu.Unlock()
	return err
}

// reaches reports whether a tab can use a multiaddr: the page's own transport is
// none, and a bare relay is only good for signalling.
func (l *leaf) reaches(addr string) bool {
	switch transportOf(addr) {
	case "websocket", "webtransport", "webrtc":
		return true
	}
	return l.owner.cfg.dialAny
}

func (l *leaf) stream(ctx context.Context, n api.NodeID, protocol string) (stream, error) {
	const op = "p2p.stream"
	l.mu.Lock()
	switch {
	case l.ended != nil:
		l.mu.Unlock()
		return nil, l.ended
	case l.peers[n] == nil:
		l.mu.Unlock()
		return nil, api.Errorf(op, api.Unavailable, "the node "+n.Short()+" is not connected")
	case len(l.streams) >= layout.NetMaxStreams:
		l.mu.Unlock()
		return nil, api.Errorf(op, api.Exhausted, "too many streams are open; wait for some to end")
	}
	l.lastID += 2
	s := newLeafStream(l, l.lastID)
	s.opened = make(chan struct{})
	l.streams[s.id] = s
	l.mu.Unlock()
	if err := l.send(ctx, frame{kind: layout.NetOpen, id: s.id}, n[:], []byte(protocol)); err != nil {
		s.fail(err)
		l.forget(s)
		return nil, err
	}
	select {
	case <-s.opened:
		if err := s.failed(); err != nil {
			return nil, err
		}
		return s, nil
	case <-ctx.Done():
		_ = s.Reset()
		return nil, ctx.Err()
	}
}

func (l *leaf) closePeer(n api.NodeID) error {
	for _, c := range l.connsOf(n) {
		_ = c.Close()
	}
	return nil
}

func (l *leaf) connsOf(n api.NodeID) []*leafConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.peers[n]; p != nil {
		return append([]*leafConn(nil), p.list...)
	}
	return nil
}

// known is empty: a tab learns addresses from the mesh's news.
func (l *leaf) known(api.NodeID) []string { return nil }

func (l *leaf) addrs() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.own...)
}

func (l *leaf) close() error {
	l.link.Close()
	l.end(closedError("p2p.close"))
	return nil
}

// forget drops a stream; what still arrives for it is ignored.
func (l *leaf) forget(s *leafStream) {
	l.mu.Lock()
	delete(l.streams, s.id)
	l.mu.Unlock()
}

// leafConn is a connection of the worker.
type leafConn struct {
	l       *leaf
	id      uint32
	node    api.NodeID
	address string
	dialed  bool // by the peer
	since   time.Time
}

func (c *leafConn) peer() api.NodeID  { return c.node }
func (c *leafConn) inbound() bool     { return c.dialed }
func (c *leafConn) opened() time.Time { return c.since }
func (c *leafConn) addr() string      { return c.address }
func (c *leafConn) via() string       { return transportOf(c.address) }

// Close ends the connection at once as far as this node is concerned, and has
// the worker end it before it does anything that it is told later.
func (c *leafConn) Close() error {
	err := c.l.send(c.l.owner.ctx, frame{kind: layout.NetHangUp, conn: c.id})
	c.l.gone(c.id)
	return err
}
