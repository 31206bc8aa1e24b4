package node

import (
	"context"
	"time"

	"inos/host/browser"
	"inos/host/p2p"
	"inos/kernel/api"
)

// ErrNoMesh says that a tab's node has not joined a mesh. It is what Start
// returns before Join.
var ErrNoMesh = api.Errorf("node.membership", api.NotFound, "this tab is in no mesh yet; open an invite link or paste an invite")

// found refuses: a tab waits for an invite. A mesh has its ledger and its root
// key at its seed, and a tab closes at any time.
func (n *Node) found(int64) (api.Membership, error) { return api.Membership{}, ErrNoMesh }

// linkWait is the first wait of openLink, and linkTries how often it tries. Each wait is
// twice the one before: eight seconds in all.
const (
	linkWait  = 250 * time.Millisecond
	linkTries = 6
)

// openLink starts a network worker. A tab that lacks memory or a thread for it may
// have them soon, so it tries again.
func openLink(ctx context.Context) (p2p.Link, error) { return dialLink(ctx, linkWait) }

func dialLink(ctx context.Context, wait time.Duration) (p2p.Link, error) {
	for try := 1; ; try++ {
		port, err := browser.Dial(ctx, "net")
		if err == nil {
			return port, nil
		}
		if api.KindOf(err) != api.Unavailable || try == linkTries {
			return nil, err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, api.E("node.link", api.KindOf(ctx.Err()), ctx.Err())
		}
		wait *= 2
	}
}

// A tab listens on nothing: it dials, and others reach it over what it dialed.
func (n *Node) listenAddrs() ([]string, error) { return nil, nil }

func (n *Node) keepPort() error { return nil }
