package p2p

import (
	"strconv"
	"strings"

	"github.com/mr-tron/base58"

	"inos/kernel/api"
)

// ed25519Prefix turns an Ed25519 public key into a peer id: the identity
// multihash (0x00, 36 bytes) of the key's protobuf (type 1, 32 bytes of data).
//
// Source: libp2p specs, peer-ids.
const ed25519Prefix = "\x00\x24\x08\x01\x12\x20"

const (
	peerPart = "/p2p/" // in front of the peer's id, at the end of a full multiaddr
	maxAddr  = 512     // bytes of one multiaddr; WebTransport's with two hashes have 250
)

// nodeOfRaw returns the node behind a peer id's bytes, false when its key is
// not Ed25519.
func nodeOfRaw(id string) (api.NodeID, bool) {
	raw, ok := strings.CutPrefix(id, ed25519Prefix)
	if !ok || len(raw) != len(api.NodeID{}) {
		return api.NodeID{}, false
	}
	return api.NodeID([]byte(raw)), true
}

// peerText is a node's peer id as multiaddrs have it.
func peerText(n api.NodeID) string { return base58.Encode([]byte(ed25519Prefix + string(n[:]))) }

// ListenOn returns the multiaddrs that listen for TCP and QUIC on one port of a
// host, which is an IP address, or "" for every interface, IPv4 and IPv6. Port
// 0 lets the system choose, one for TCP and one for QUIC.
func ListenOn(host string, port int) []string {
	hosts := []string{host}
	if host == "" {
		hosts = []string{"0.0.0.0", "::"}
	}
	var addrs []string
	for _, h := range hosts {
		family := "/ip4/"
		if strings.Contains(h, ":") {
			family = "/ip6/"
		}
		p := strconv.Itoa(port)
		addrs = append(addrs, family+h+"/tcp/"+p, family+h+"/udp/"+p+"/quic-v1")
	}
	return addrs
}

// splitAddr cuts the peer's id off a multiaddr; known is false when it has none.
// The id is decoded whatever its key is: id.ok says whether it is a node's.
func splitAddr(s string) (transport string, id peerName, known, valid bool) {
	if len(s) > maxAddr || !strings.HasPrefix(s, "/") {
		return "", id, false, false
	}
	if at := strings.LastIndex(s, peerPart); at >= 0 && !strings.Contains(s[at+len(peerPart):], "/") {
		raw, err := base58.Decode(s[at+len(peerPart):])
		if err != nil || len(raw) == 0 {
			return "", id, false, false
		}
		id.raw, known = string(raw), true
		id.node, id.ok = nodeOfRaw(id.raw)
		s = s[:at]
	}
	if s == "" {
		return "", id, known, known
	}
	transport, valid = canonical(s)
	return transport, id, known, valid
}

// peerName is a peer id and, where its key is Ed25519, the node it names.
type peerName struct {
	raw  string
	node api.NodeID
	ok   bool
}

// parseAddrs reads full multiaddrs that all name the same node, and returns
// them without it.
func parseAddrs(op string, addrs []string) (api.NodeID, []string, error) {
	var name peerName
	var list []string
	for _, s := range addrs {
		transport, id, known, valid := splitAddr(s)
		if !known || !valid {
			return api.NodeID{}, nil, api.Errorf(op, api.Invalid, "an address looks like /ip4/192.0.2.1/tcp/4410/p2p/<id>; this one does not: "+s)
		}
		if name.raw != "" && name.raw != id.raw {
			return api.NodeID{}, nil, api.Errorf(op, api.Invalid, "the addresses belong to different nodes; connect to one at a time")
		}
		name = id
		if transport != "" {
			list = append(list, transport)
		}
	}
	if name.raw == "" {
		return api.NodeID{}, nil, api.Errorf(op, api.Invalid, "no address given")
	}
	if !name.ok {
		return api.NodeID{}, nil, api.Errorf(op, api.Invalid, "the address names a peer whose key is not Ed25519, so it is no node of a mesh")
	}
	return name.node, list, nil
}

// parseNodeAddrs reads multiaddrs of a known node, with or without /p2p, and
// returns them without.
func parseNodeAddrs(op string, node api.NodeID, addrs []string) ([]string, error) {
	var list []string
	for _, s := range addrs {
		transport, id, known, valid := splitAddr(s)
		if !valid {
			return nil, api.Errorf(op, api.Invalid, "an address looks like /ip4/192.0.2.1/tcp/4410; this one does not: "+s)
		}
		if known && (!id.ok || id.node != node) {
			return nil, api.Errorf(op, api.Invalid, "the address belongs to another node: "+s)
		}
		if transport != "" {
			list = append(list, transport)
		}
	}
	return list, nil
}

// transportOf names what carries a connection to a multiaddr, for people. The
// outermost layer decides.
func transportOf(addr string) string {
	name := "tcp"
	for part := range strings.SplitSeq(addr, "/") {
		switch part {
		case "quic-v1":
			name = "quic"
		case "ws", "wss":
			name = "websocket"
		case "webtransport":
			name = "webtransport"
		case "p2p-circuit":
			name = "relay"
		case "webrtc", "webrtc-direct":
			name = "webrtc"
		}
	}
	return name
}
