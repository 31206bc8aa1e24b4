package node

// rejoin is the way back for a tab that its mesh refuses.
const rejoin = "ask for an invite, leave the mesh under This tab, and join again"

var advice = hints{
	disk:      "free space on this machine, or take what the tab keeps out of it: Files, Remove",
	alone:     "start a node on another machine, or see that the one this tab joined runs",
	away:      "see Mesh",
	clone:     "use its secret in one place at a time: leave the mesh in the other browser",
	copies:    "add a node to the mesh, or wait for one to come back",
	reinstall: "reload the page; its node must be reachable",
	log:       "see Log; reload the page to start the tab's engine again",
	quarantined: func(module string) string {
		return "see why, and end it, under Modules: " + module
	},
}

// engineText says where a module ran.
func (n *Node) engineText() string { return "in this browser" }
