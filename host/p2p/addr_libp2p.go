//go:build !js

package p2p

import (
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"inos/kernel/api"
)

// peerOf returns the libp2p name of a node.
func peerOf(n api.NodeID) peer.ID { return peer.ID(ed25519Prefix + string(n[:])) }

// nodeOf returns the node behind a libp2p name, false when its key is not
// Ed25519.
func nodeOf(p peer.ID) (api.NodeID, bool) { return nodeOfRaw(string(p)) }

// canonical returns the one spelling of a multiaddr, false when it is none.
func canonical(s string) (string, bool) {
	m, err := ma.NewMultiaddr(s)
	if err != nil {
		return "", false
	}
	return m.String(), true
}

// infoOf is what libp2p dials. The addresses passed canonical.
func infoOf(n api.NodeID, addrs []string) (peer.AddrInfo, error) {
	info := peer.AddrInfo{ID: peerOf(n)}
	for _, s := range addrs {
		m, err := ma.NewMultiaddr(s)
		if err != nil {
			return info, err
		}
		info.Addrs = append(info.Addrs, m)
	}
	return info, nil
}

func textOf(addrs []ma.Multiaddr) []string {
	out := make([]string, len(addrs))
	for i, a := range addrs {
		out[i] = a.String()
	}
	return out
}
