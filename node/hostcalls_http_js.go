package node

import (
	"inos/kernel/api"
)

// openHTTP refuses: what a page may fetch is its origin's and other servers'
// choice, not the list's, and would carry the page's own address.
func openHTTP(SyscallConfig) (hostService, error) {
	return nil, api.Errorf("node.http", api.Unsupported, "a browser tab lets modules reach no servers; run the job on a native node that lists the origin")
}
