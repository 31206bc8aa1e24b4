package p2p

import (
	"crypto/ed25519"
	"slices"
	"time"

	"inos/kernel/api"
)

// Config says who this node is and what it allows. Zero values of the optional
// fields mean the defaults named beside them. Callbacks may run concurrently
// unless they say otherwise, and must not block.
type Config struct {
	// Key is the node's Ed25519 private key. Its public half is the NodeID.
	Key ed25519.PrivateKey

	// Link, in a tab, leads to the network worker, which carries everything; the
	// host closes it. Listen, Announce and the features below are then unused. Nil
	// in a native node, which has go-libp2p of its own.
	Link Link

	// Listen holds multiaddrs without a /p2p part, e.g. "/ip4/0.0.0.0/tcp/4410".
	// Empty means no listening: the node only dials. ListenOn builds the usual pair.
	Listen []string

	// Announce replaces the listen addresses in what Addrs reports, for nodes
	// behind a forwarded port. Empty means the listen addresses.
	Announce []string

	// AnnounceAlso is reported besides, such as a proxy's address that tabs dial.
	AnnounceAlso []string

	// Bootstrap holds full multiaddrs (with /p2p/...) that are kept connected
	// from the start, as if passed to Keep.
	Bootstrap []string

	// Member reports whether a node is a member now. It is asked on every
	// request, so it must be quick. Required.
	Member func(api.NodeID) bool

	// Credential returns what this node presents when it meets another: its
	// signed membership, at most wire.MaxCredential bytes. Nil presents nothing.
	Credential func() []byte

	// Admit judges a peer that presents a credential when it connects, and
	// returns nil when the peer is a member from now on (Member must then be true
	// for it). An error refuses the connection; its kind and message reach the
	// peer. Nil means Member decides alone.
	Admit func(peer api.NodeID, credential []byte) error

	// Strangers reports whether peers that are not members may connect at all,
	// to call methods registered without RequireMember or to introduce
	// themselves. Nil means yes, within Limits.Strangers.
	Strangers func() bool

	// OnPeer is told when a member becomes reachable (up) or its last connection
	// is gone. One call runs at a time. A peer that goes and comes back before the
	// call was made is not reported.
	OnPeer func(peer api.NodeID, up bool)

	// OnServed is told the block bytes sent to a reader, for cheques.
	OnServed func(to api.NodeID, bytes uint64)

	// OnBadPeer is told when a peer is caught sending wrong bytes, half messages
	// or garbage, or using the identity of another running node (Exists).
	OnBadPeer func(peer api.NodeID, err error)

	// OnRefused is told when a peer refuses this node's introduction, with the
	// peer's kind and words. It does not block.
	OnRefused func(peer api.NodeID, kind api.Kind, why string)

	// Features that cost memory or idle work, off unless asked for.
	EnableRelay     bool // use and offer relay v2 with libp2p's default limits
	EnableHolePunch bool // direct connection upgrade; implies EnableRelay
	EnablePortMap   bool // ask the home router for a port by UPnP

	Limits Limits

	dialAny bool // in tests, a leaf whose worker is native dials what natives dial
}

// Limits bound what peers can make this node spend. Zero means the default.
type Limits struct {
	Peers        int           // members connected at once; 128
	Strangers    int           // connections of peers not yet admitted; 16
	StrangerTime time.Duration // a stranger's connection is closed after this; 30 s
	MemoryBytes  int64         // libp2p's buffers and stream windows; 256 MiB
	ServeBytes   int64         // payload buffers held by all servers; 64 MiB, at least 16 MiB
	Calls        int           // handlers running for one peer; further calls get Exhausted; 256
	Streams      int           // inbound streams of one peer; 64
	Stall        time.Duration // a transfer without a byte for this long is over; 15 s
}

func (l Limits) withDefaults() Limits {
	setDefault(&l.Peers, 128)
	setDefault(&l.Strangers, 16)
	setDefault(&l.StrangerTime, 30*time.Second)
	setDefault(&l.MemoryBytes, 256<<20)
	setDefault(&l.ServeBytes, 64<<20)
	setDefault(&l.Calls, 256)
	setDefault(&l.Streams, 64)
	setDefault(&l.Stall, 15*time.Second)
	l.ServeBytes = max(l.ServeBytes, minServeBytes)
	return l
}

// minServeBytes lets one whole batch and one fetch be served at once.
const minServeBytes = 16 << 20

func setDefault[T int | int64 | time.Duration](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

func (c *Config) validate() error {
	const op = "p2p.new"
	if len(c.Key) != ed25519.PrivateKeySize {
		return api.Errorf(op, api.Invalid, "the node key is not an Ed25519 private key")
	}
	if c.Member == nil {
		return api.Errorf(op, api.Invalid, "the configuration has no Member function, so nobody could be admitted")
	}
	for _, s := range slices.Concat(c.Listen, c.Announce, c.AnnounceAlso) {
		if _, ok := canonical(s); !ok {
			return api.Errorf(op, api.Invalid, "a listen address looks like /ip4/0.0.0.0/tcp/4410; this one does not: "+s)
		}
	}
	for _, s := range c.Bootstrap {
		if _, _, err := parseAddrs(op, []string{s}); err != nil {
			return err
		}
	}
	return nil
}
