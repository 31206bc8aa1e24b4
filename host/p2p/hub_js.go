package p2p

import (
	"errors"
	"strings"

	"inos/kernel/api"
)

// newNetwork has no libp2p in a tab.
func newNetwork(*Host) (transport, overlay, error) {
	return nil, nil, api.Errorf("p2p.new", api.Unsupported, "a tab reaches the network through its network worker: give Config.Link")
}

// canonical bounds what may be an address; the network worker parses it.
func canonical(s string) (string, bool) {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return "", false
		}
	}
	return s, strings.Count(s, "/") > 1 && !strings.HasSuffix(s, "/")
}

func refusedByPeer(err error) bool { return errors.Is(err, errRefused) }
