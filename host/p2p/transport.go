package p2p

import (
	"context"
	"errors"
	"io"
	"time"

	"inos/kernel/api"
)

// transport carries streams between this node and the peers whose keys it has
// proven. It decides nothing: who is a member, what a stream may do and when to
// dial again are this package's. Two exist: hub, over go-libp2p, and leaf,
// over a network worker that speaks libp2p for a browser tab. Methods are safe
// for concurrent use.
//
// It reports to its Host: connected before any stream of a connection is
// handled, disconnected once for each connection that was reported. It refuses
// a connection for which Host.roomFor says no, as early as it can.
type transport interface {
	// handle has fn run, in a goroutine of its own, for every inbound stream of
	// a protocol. Handlers are registered before open.
	handle(protocol string, fn func(stream))

	// open begins to listen, last, when everything can be answered. The error
	// wraps syscall.EADDRINUSE when a port is taken.
	open() error

	// dial connects to n at multiaddrs without /p2p and returns when a connection
	// stands; at once when one does. errOwnKey means that the node there has this
	// node's own key.
	dial(ctx context.Context, n api.NodeID, addrs []string) error

	// reaches reports whether dial can use a multiaddr at all. Others in a node's
	// list are for other kinds of node.
	reaches(addr string) bool

	// stream opens a stream to a connected peer and never dials.
	stream(ctx context.Context, n api.NodeID, protocol string) (stream, error)

	// closePeer ends every connection with n. Having none is no error.
	closePeer(n api.NodeID) error

	// known returns the multiaddrs without /p2p that the transport itself learned
	// of n.
	known(n api.NodeID) []string

	// addrs returns this node's multiaddrs without /p2p, the best first.
	addrs() []string

	// close ends every connection and listener.
	close() error
}

// conn is one connection. Two conns are equal exactly when they are the same
// connection, so it serves as a key.
type conn interface {
	peer() api.NodeID
	inbound() bool // the peer dialed
	opened() time.Time
	addr() string // the peer's multiaddr
	via() string  // the name of the transport, for people
	Close() error
}

// stream is one ordered stream of bytes in each direction. One goroutine may
// read while another writes; Close, Reset and the deadlines may be called from
// any.
//
// Read returns what there is, io.EOF after the peer's CloseWrite. Write returns
// when the bytes are taken over: the caller may change them at once. A deadline
// that passes makes the waiting call fail with os.ErrDeadlineExceeded or an error
// whose Timeout method says true. After Reset, by either side, both fail.
type stream interface {
	io.ReadWriteCloser
	CloseWrite() error
	Reset() error
	SetDeadline(t time.Time) error
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error

	conn() conn
	refuse() error // a Reset that tells the peer that it is no member
}

// overlay is what reaches members beyond the connected ones: news, and records
// of who has which root. Its methods carry the contracts of Host's methods of
// the same name.
type overlay interface {
	start() error // after the handlers are registered, before transport.open
	subscribe(topic string, validate func(from api.NodeID, data []byte) bool, fn func(from api.NodeID, data []byte)) error
	publish(ctx context.Context, topic string, data []byte) error
	provide(ctx context.Context, root api.Address) error
	findProviders(ctx context.Context, root api.Address, max int) ([]api.NodeID, error)
	admitted(n api.NodeID) // n was introduced; does not block
	stop() error
}

// errOwnKey ends a dial that found this node's own key.
var errOwnKey = errors.New("the node there has this node's own key")

// errRefused is the end of a stream by a peer that says this node is no member.
var errRefused = errors.New("the peer refuses this node")
