package node

import (
	"fmt"

	"inos/host/webwasm"
	"inos/kernel/api"
	"inos/kernel/module"
)

// browserEngine is the only engine of a tab: the browser's, in module workers.
const browserEngine = "browser"

// Engines are the names of what this program can execute guests with.
func Engines() []string { return []string{browserEngine} }

// CheckEngine refuses a name that is none of Engines.
func CheckEngine(name string) error {
	if name != browserEngine {
		return api.Errorf("node.engine", api.Invalid, fmt.Sprintf("there is no engine %q in a tab; it has %s", name, browserEngine))
	}
	return nil
}

// openEngine opens the module workers of this tab.
func (n *Node) openEngine() (module.Engine, error) {
	return webwasm.New(webwasm.Config{Workers: n.cfg.Workers})
}
