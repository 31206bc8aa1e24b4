package node

import (
	"math"

	"inos/kernel/api"
)

// Offer says how many jobs this node runs at once for other members from now
// on: 0 to Config.Workers. A native node begins with all of them, a tab with none. At 0 it takes none; what
// runs or waits here ends as it would have. Its own jobs are not counted. The
// members learn of it at once.
func (n *Node) Offer(workers int) {
	workers = max(0, min(workers, n.cfg.Workers))
	if n.offer.Swap(int32(workers)) == int32(workers) {
		return
	}
	n.worker.share()
	n.spawn(n.publishCapability)
}

// Throttle says for which part of the time each job of another member may run from its
// beginning on, above 0 and below 1, where the engine can have it rest; 0 for all. What
// runs goes on as it began. A node begins with all.
func (n *Node) Throttle(share float64) { n.throttle.Store(math.Float64bits(share)) }

// shareOf is the part of the time for a payer's job.
func (n *Node) shareOf(payer api.NodeID) float64 {
	if payer == n.id.ID() {
		return 0
	}
	return math.Float64frombits(n.throttle.Load())
}

// Offered is what the last Offer said.
func (n *Node) Offered() int { return int(n.offer.Load()) }

// share bounds the jobs of others by what the node offers. Jobs of one slot overlap
// (see openWorker) while the node offers all it has, and the engine bounds what
// runs; a share of it is kept to exactly.
func (w *worker) share() {
	w.mu.Lock()
	defer w.mu.Unlock()
	most := w.n.Offered()
	if most == w.n.cfg.Workers {
		most *= 2
	}
	w.queue.Lend(most) // 1 at least: what waits at 0 ends as it would have
	w.pump()
}

// willing refuses a job of another member while this node offers none.
func (w *worker) willing(d api.Dispatch) error {
	if d.Spec.Payer != w.n.id.ID() && w.n.Offered() == 0 {
		return api.Errorf("node.work", api.Unavailable, "this node takes no jobs of others now; try another node")
	}
	return nil
}

// workersAt is how many jobs of this node a member runs at once: what it offers,
// and here all that there are, whatever is offered to others.
func (n *Node) workersAt(p api.Peer) uint16 {
	if p.Self {
		return uint16(n.cfg.Workers)
	}
	return p.Workers
}
