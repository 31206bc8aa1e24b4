//go:build !js

package node

import (
	"context"

	"inos/host/p2p"
	"inos/kernel/api"
)

// maxTabSources bounds what a page's policy names, so that its header stays
// small in a large mesh. The nodes that come first are this one and those online.
const maxTabSources = 256

// expectTabs opens what tabs need when one of the members is an edge, or the
// settings ask for it. It costs memory, so a mesh without tabs does without.
func (n *Node) expectTabs(members ...api.Membership) {
	wanted := n.cfg.Tabs == TabsOn
	for _, m := range members {
		wanted = wanted || m.Roles&api.Edge != 0
	}
	if !wanted || n.cfg.Tabs == TabsOff || !n.tabsOpen.CompareAndSwap(false, true) {
		return
	}
	if err := n.net.ListenForTabs(); err != nil {
		n.tabsOpen.Store(false)
		n.cfg.Log("listening for tabs: %v", err)
		return
	}
	n.spawn(n.publishCapability) // others learn the new addresses
}

// Tabs opens this node to browser tabs and says how they reach the mesh.
func (n *Node) Tabs(context.Context) (api.TabAccess, error) {
	if n.cfg.Tabs == TabsOff {
		return api.TabAccess{}, api.Errorf("node.tabs", api.Denied, "this node's settings keep browser tabs out; start it with --tabs auto")
	}
	n.expectTabs(api.Membership{Roles: api.Edge})
	var out api.TabAccess
	for _, p := range n.nodesForTabs() {
		if addrs := p2p.TabDials(p.Addrs); len(addrs) > 0 && p.Roles&^api.Edge != 0 {
			out.Nodes = append(out.Nodes, api.TabNode{Node: p.Node, Name: p.Name, Addrs: addrs})
		}
	}
	return out, nil
}

// TabSources lists what a page's policy must name.
func (n *Node) TabSources() []string {
	if n.cfg.Tabs == TabsOff {
		return nil
	}
	var out []string
	for _, p := range n.nodesForTabs() {
		if p.Roles&^api.Edge != 0 {
			out = append(out, p2p.TabSources(p.Addrs)...)
		}
	}
	return out[:min(len(out), maxTabSources)]
}

// nodesForTabs lists this node, with its addresses of this moment, then the
// members online, then the others.
func (n *Node) nodesForTabs() []api.Capability {
	own := api.Capability{Node: n.id.ID(), Name: n.member.Name, Roles: n.member.Roles, Addrs: n.dialAddrs()}
	out := []api.Capability{own}
	var offline []api.Capability
	for _, p := range n.peerRows() {
		switch {
		case p.Self:
		case p.Online:
			out = append(out, p.Capability)
		default:
			offline = append(offline, p.Capability)
		}
	}
	return append(out, offline...)
}
