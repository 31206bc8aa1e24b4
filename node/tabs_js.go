package node

import "inos/kernel/api"

// expectTabs has nothing to open: tabs do not listen for tabs.
func (n *Node) expectTabs(...api.Membership) {}
