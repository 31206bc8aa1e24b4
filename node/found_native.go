//go:build !js

package node

import (
	"context"
	"net"
	"strconv"
	"strings"

	"inos/host/p2p"
	"inos/kernel/api"
	"inos/kernel/identity"
)

// openLink has nothing to open: libp2p runs in this process.
func openLink(context.Context) (p2p.Link, error) { return nil, nil }

// keyPort is the record of the port that the system chose on the first start.
const keyPort = "net/port"

// found makes this node the seed of a mesh of its own.
func (n *Node) found(now int64) (api.Membership, error) {
	return identity.SignMembership(n.id.MeshRoot(), api.Membership{
		Node: n.id.ID(), Roles: api.Seed | api.Hub, Name: n.cfg.Name, Issued: now,
	}), nil
}

// listenAddrs resolves where to listen: as configured, or the default host with
// the port kept from the first start.
func (n *Node) listenAddrs() ([]string, error) {
	if len(n.cfg.Listen) > 0 {
		return n.cfg.Listen, nil
	}
	port := n.cfg.ListenPort
	if port == 0 {
		if b, err := n.meta.Get(keyPort); err == nil {
			port, _ = strconv.Atoi(string(b))
		}
		if port == 0 || !portFree(n.cfg.ListenHost, port) {
			port = freePort(n.cfg.ListenHost)
		}
	}
	return p2p.ListenOn(n.cfg.ListenHost, port), nil
}

// keepPort remembers the port, so that other members find this node again.
func (n *Node) keepPort() error {
	for _, a := range n.net.Addrs() {
		parts := strings.Split(a, "/")
		for i := 0; i+1 < len(parts); i++ {
			if parts[i] == "tcp" {
				return n.meta.Set(keyPort, []byte(parts[i+1]))
			}
		}
	}
	return nil
}

func portFree(host string, port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}

// freePort asks the system for a port that TCP and UDP can share; 0 if it has none.
func freePort(host string) int {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return 0
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
