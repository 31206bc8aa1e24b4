package node

import (
	"context"

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

// openLink starts a network worker.
func openLink(ctx context.Context) (p2p.Link, error) { return browser.Dial(ctx, "net") }

// A tab listens on nothing: it dials, and others reach it over what it dialed.
func (n *Node) listenAddrs() ([]string, error) { return nil, nil }

func (n *Node) keepPort() error { return nil }
