//go:build !js

package node

// rejoin is the way back for a node that its mesh refuses.
const rejoin = "ask for an invite and join with a new folder: inos join --dir NEW INVITE"

var advice = hints{
	disk:      "free space or raise the quota",
	alone:     "run inos invite here and inos join on another machine",
	away:      "see inos peers",
	clone:     "stop the other node, or give it a new folder and join it again",
	copies:    "add a node with inos invite, or wait for one to come back",
	reinstall: "reinstall inos",
	log:       "see the node's log",
	quarantined: func(module string) string {
		return "see why with inos module show " + module + "; end it with inos module reset " + module
	},
}

// engineText says where a module ran.
func (n *Node) engineText() string { return "on " + n.cfg.Engine }
