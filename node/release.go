package node

import (
	"context"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"inos/kernel/api"
)

// releaseTime is how long a removal waits for its holders; releasers how many it
// tells at once. Those that are away are told when they come back; those that are
// there but did not answer in time, after a while.
const (
	releaseTime      = 2 * time.Second
	releasers        = 16
	releaseAgain     = time.Second // before such a holder is told again, doubling
	releaseAgainMost = time.Minute // up to this
)

// Remove releases an object of this node: its holders drop the blocks that no
// other object needs.
func (n *Node) Remove(ctx context.Context, link api.Link) error {
	unlock, err := n.lockObject(ctx, link.Root)
	if err != nil {
		return err
	}
	defer unlock()
	obj, err := n.object(link.Root)
	if api.KindOf(err) == api.NotFound {
		return api.Errorf("node.remove", api.NotFound, "this node owns no object "+link.Root.Short()+"; inos ls lists them")
	}
	if err != nil {
		return err
	}
	lease := leaseID(n.id.ID(), link.Root)
	peers := slices.DeleteFunc(n.peerRows(), func(p api.Peer) bool { return p.Node == n.id.ID() })
	for _, p := range append(peers, api.Peer{Capability: api.Capability{Node: n.id.ID()}}) {
		if err := n.meta.SetLazy(releaseKey(p.Node, lease), nil); err != nil {
			return err
		}
	}
	if err := n.meta.DeleteLazy(ageKey(obj.Created, link.Root)); err != nil {
		return err
	}
	// From this sync on the object is gone, and every holder will be told.
	if err := n.meta.Delete(objectKey(link.Root)); err != nil {
		return err
	}
	n.metrics.objects.Add(-1)
	if !n.releaseOn(n.ctx, n.id.ID(), lease) {
		n.cfg.Log("the blocks of %s go when this node starts again", link.Root.Short())
	}
	n.releaseAway(ctx, link.Root, lease, peers)
	n.emit("object:remove:v1:done", link.Root.String(), nil)
	return nil
}

func releaseKey(peer api.NodeID, lease api.LeaseID) string {
	return "rel/" + string(peer[:]) + string(lease[:])
}

// releaseAway tells the reachable holders that a lease ended.
func (n *Node) releaseAway(ctx context.Context, root api.Address, lease api.LeaseID, peers []api.Peer) {
	ctx, cancel := context.WithTimeout(ctx, releaseTime)
	defer cancel()
	waits := make([]bool, len(peers))
	var g errgroup.Group
	g.SetLimit(releasers)
	for i, p := range peers {
		if waits[i] = !p.Online && !n.net.Connected(p.Node); waits[i] {
			continue
		}
		g.Go(func() error {
			waits[i] = !n.releaseOn(ctx, p.Node, lease)
			return nil
		})
	}
	_ = g.Wait()
	var names []string
	for i, p := range peers {
		if waits[i] {
			names = append(names, p.Name)
			n.releaseLater(p.Node)
		}
	}
	if len(names) > 0 {
		n.cfg.Log("release of %s waits for %s", root.Short(), strings.Join(names, ", "))
	}
}

// releaseOn tells one holder, or this node, that a lease ended, and reports
// whether it knows.
func (n *Node) releaseOn(ctx context.Context, peer api.NodeID, lease api.LeaseID) bool {
	var err error
	if peer == n.id.ID() {
		err = n.leases.release(ctx, lease)
		n.stir()
	} else {
		err = n.net.ReleaseLease(ctx, peer, lease)
	}
	if k := api.KindOf(err); err != nil && k != api.NotFound && k != api.Denied {
		return false
	}
	return n.meta.DeleteLazy(releaseKey(peer, lease)) == nil
}

// releasePending tells a member that came back which leases ended meanwhile, and
// reports whether it knows of all now.
func (n *Node) releasePending(peer api.NodeID) bool {
	for _, lease := range n.releasesOf(peer) {
		if !n.releaseNow(peer, lease) {
			return false
		}
	}
	return true
}

// releaseLater goes on telling a member that is there but does not answer in time,
// in the background, until it knows or is gone: then its return is waited for.
// There is one such goroutine a member.
func (n *Node) releaseLater(peer api.NodeID) {
	if _, busy := n.releasing.LoadOrStore(peer, true); busy {
		return
	}
	ran := n.spawn(func() {
		for wait := releaseAgain; n.net.Connected(peer); wait = min(2*wait, releaseAgainMost) {
			select {
			case <-time.After(wait):
			case <-n.ctx.Done():
				return
			}
			if n.releasePending(peer) {
				break
			}
		}
		n.releasing.Delete(peer)
		if n.net.Connected(peer) && len(n.releasesOf(peer)) > 0 { // one that came since, or a short absence
			n.releaseLater(peer)
		}
	})
	if !ran {
		n.releasing.Delete(peer)
	}
}

// releasesOf lists leases that a member has to be told of.
func (n *Node) releasesOf(peer api.NodeID) (leases []api.LeaseID) {
	prefix := "rel/" + string(peer[:])
	_ = n.meta.Iterate(prefix, func(key string, _ []byte) bool {
		if len(key) == len(prefix)+len(api.LeaseID{}) {
			leases = append(leases, api.LeaseID([]byte(key[len(prefix):])))
		}
		return len(leases) < 4096
	})
	return leases
}

// releaseNow tells a member that a lease ended, unless the object was put again.
func (n *Node) releaseNow(peer api.NodeID, lease api.LeaseID) bool {
	unlock, err := n.owned.lock(n.ctx, lease)
	if err != nil {
		return false
	}
	defer unlock()
	if _, err := n.meta.Get(releaseKey(peer, lease)); err != nil {
		return api.KindOf(err) == api.NotFound
	}
	ctx, cancel := context.WithTimeout(n.ctx, releaseTime)
	defer cancel()
	return n.releaseOn(ctx, peer, lease)
}

// unrelease takes back the releases of a lease that is about to be used again
// and returns whom they were for. The object's lock is held; the sync of the
// object makes it durable.
func (n *Node) unrelease(lease api.LeaseID) (peers []api.NodeID, err error) {
	const prefix = "rel/"
	for from := prefix; ; {
		var peer api.NodeID
		found := false
		err := n.meta.IterateFrom(prefix, from, func(key string, _ []byte) bool {
			if rest := key[len(prefix):]; len(rest) == 64 {
				peer, found = api.NodeID([]byte(rest[:32])), true
			}
			return !found
		})
		if err != nil {
			return nil, err
		}
		if !found {
			break
		}
		if _, err := n.meta.Get(releaseKey(peer, lease)); err == nil {
			peers = append(peers, peer)
		}
		from = prefix + string(peer[:]) + strings.Repeat("\xff", 33) // the next peer that has any
	}
	for _, p := range peers {
		if err == nil {
			err = n.meta.DeleteLazy(releaseKey(p, lease))
		}
	}
	return peers, err
}

// rerelease undoes unrelease after a put that failed.
func (n *Node) rerelease(lease api.LeaseID, peers []api.NodeID) {
	for _, p := range peers {
		if err := n.meta.SetLazy(releaseKey(p, lease), nil); err != nil {
			n.cfg.Log("release on %s: %v", p.Short(), err)
		}
	}
}

// forgetReleases drops what a removed member was to be told: it may not be asked.
func (n *Node) forgetReleases(peer api.NodeID) {
	for leases := n.releasesOf(peer); len(leases) > 0; leases = n.releasesOf(peer) {
		for _, l := range leases {
			if err := n.meta.DeleteLazy(releaseKey(peer, l)); err != nil {
				return
			}
		}
	}
}
