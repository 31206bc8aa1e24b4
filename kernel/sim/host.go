package sim

import (
	"fmt"
	"time"

	"inos/kernel/api"
	"inos/kernel/identity"
	"inos/kernel/mesh"
)

// perform does what a coordinator asks.
func (n *Node) perform(e mesh.Effect) {
	switch e := e.(type) {
	case mesh.Connect:
		n.connect(e)
	case mesh.Disconnect:
		n.disconnect(n.world.byID[e.Node])
	case mesh.ShareMembers:
		n.tell(n.world.byID[e.Node], n.capability())
	case mesh.Probe:
		n.probe(e)
	case mesh.SendStore:
		n.sendStore(e)
	case mesh.SendCommit:
		n.sendCommit(e)
	case mesh.SendRelease:
		n.request(e.To, requestSize, func(m *Node) func() { m.Disk.Release(e.Lease); return nil }, nil)
	case mesh.SendFetch:
		n.sendFetch(e)
	case mesh.CancelFetch:
		n.cuts[e.Send] = true
	case mesh.AskHas:
		n.askHas(e)
	case mesh.ScanLocal:
		rows, done := n.Disk.Scan(e.AfterAddr, e.AfterLease, e.Limit)
		n.later(time.Millisecond, func() { n.step(mesh.LocalBlocks{Scan: e.Scan, Blocks: rows, Done: done}) })
	default:
		n.world.observe(n, e)
	}
}

// request carries a message to a node, runs serve there, and carries its answer
// back. fail runs here when the message cannot be sent or nothing comes back.
func (n *Node) request(to api.NodeID, size int, serve func(*Node) func(), fail func(api.Kind)) {
	w := n.world
	m := w.byID[to]
	if fail == nil {
		fail = func(api.Kind) {}
	}
	if m == n {
		n.later(100*time.Microsecond, func() {
			if answer := serve(n); answer != nil {
				answer()
			}
		})
		return
	}
	if !n.conns[m.Index] {
		n.later(time.Millisecond, func() { fail(api.Unavailable) })
		return
	}
	lost := func() { n.later(hostTimeout, func() { fail(api.Timeout) }) }
	there, ok := w.Net.Travel(n.Index, m.Index, size)
	if !ok || m.Coord == nil {
		lost()
		return
	}
	life := n.life
	w.Clock.After(there, func() {
		if m.Coord == nil {
			if n.life == life {
				lost()
			}
			return
		}
		answer := serve(m)
		if answer == nil || n.life != life {
			return
		}
		back, ok := w.Net.Travel(m.Index, n.Index, requestSize)
		if !ok {
			lost()
			return
		}
		n.later(back, answer)
	})
}

func (n *Node) connect(e mesh.Connect) {
	w := n.world
	m := w.byID[e.Node]
	there, ok1 := w.Net.Travel(n.Index, m.Index, requestSize)
	back, ok2 := w.Net.Travel(m.Index, n.Index, requestSize)
	n.later(there+back, func() {
		if !ok1 || !ok2 || m.Coord == nil || !w.Net.Joined(n.Index, m.Index) {
			n.step(mesh.PeerLost{Node: m.ID})
			return
		}
		for _, end := range [2][2]*Node{{n, m}, {m, n}} {
			if !end[0].conns[end[1].Index] {
				end[0].conns[end[1].Index] = true
				end[0].step(mesh.PeerConnected{Node: end[1].ID})
			}
		}
	})
}

func (n *Node) disconnect(m *Node) {
	for _, end := range [2][2]*Node{{n, m}, {m, n}} {
		if end[0].conns[end[1].Index] {
			delete(end[0].conns, end[1].Index)
			end[0].later(time.Millisecond, func() { end[0].step(mesh.PeerLost{Node: end[1].ID}) })
		}
	}
}

func (n *Node) probe(e mesh.Probe) {
	asked := n.world.Clock.Now()
	n.request(e.Node, requestSize, func(*Node) func() {
		return func() { n.step(mesh.PeerSeen{Node: e.Node, RTT: n.world.Clock.Now() - asked}) }
	}, nil)
}

func (n *Node) sendStore(e mesh.SendStore) {
	w := n.world
	copies := n.Disk.copies[e.Lease]
	if e.Put.IsZero() {
		for _, a := range e.Addrs {
			if !n.Disk.HasUnder(a, e.Lease) {
				n.later(0, func() { n.step(mesh.StoreFailed{Send: e.Send, Kind: api.NotFound}) })
				return
			}
		}
	}
	fail := func(k api.Kind) { n.step(mesh.StoreFailed{Send: e.Send, Kind: k}) }
	n.request(e.To, int(e.Bytes)+requestSize, func(m *Node) func() {
		if !m.Disk.Store(e.Lease, copies, e.Addrs, w.sizes, w.Clock.Now()) {
			m.later(0, m.announce)
			return func() { fail(api.NoSpace) }
		}
		receipt := api.Receipt{
			Holder: m.ID, Lease: e.Lease, Blocks: identity.BatchDigest(e.Addrs),
			Count: uint32(len(e.Addrs)), Bytes: e.Bytes, Time: w.unix(),
		}
		return func() { n.step(mesh.StoreAcked{Send: e.Send, Receipt: receipt}) }
	}, fail)
}

func (n *Node) sendCommit(e mesh.SendCommit) {
	n.request(e.To, requestSize, func(m *Node) func() {
		if !m.Disk.Rename(e.From, e.Final, e.Lease.Copies) {
			return func() { n.step(mesh.CommitFailed{Send: e.Send, Kind: api.NotFound}) }
		}
		if e.Short {
			m.later(0, func() { m.step(mesh.Recheck{}) })
		}
		return func() { n.step(mesh.CommitAcked{Send: e.Send}) }
	}, func(k api.Kind) { n.step(mesh.CommitFailed{Send: e.Send, Kind: k}) })
}

func (n *Node) askHas(e mesh.AskHas) {
	n.request(e.To, requestSize+32*len(e.Addrs), func(m *Node) func() {
		has := make([]bool, len(e.Addrs))
		for i, a := range e.Addrs {
			has[i] = m.Disk.Has(a)
		}
		return func() { n.step(mesh.HasAnswered{Send: e.Send, Has: has}) }
	}, func(k api.Kind) { n.step(mesh.HasFailed{Send: e.Send, Kind: k}) })
}

// sendFetch streams blocks one after another; each takes its time on the link,
// and the stream breaks when either end goes away.
func (n *Node) sendFetch(e mesh.SendFetch) {
	fail := func(k api.Kind) { n.step(mesh.FetchMissed{Send: e.Send, Kind: k}) }
	n.request(e.To, requestSize+32*len(e.Addrs), func(m *Node) func() {
		n.stream(m, e, 0, m.life, n.life)
		return nil
	}, fail)
}

func (n *Node) stream(m *Node, e mesh.SendFetch, i, mLife, nLife int) {
	w := n.world
	if i == len(e.Addrs) || n.life != nLife || n.Coord == nil || n.cuts[e.Send] {
		return
	}
	if m.life != mLife || m.Coord == nil || !w.Net.Joined(n.Index, m.Index) {
		n.later(hostTimeout, func() { n.step(mesh.FetchMissed{Send: e.Send, Kind: api.Unavailable}) })
		return
	}
	a := e.Addrs[i]
	size := uint32(0)
	if m.Disk.Has(a) {
		size = w.sizes[a]
	}
	d, ok := w.Net.Travel(m.Index, n.Index, int(size)+64)
	w.Clock.After(d, func() {
		if n.life != nLife || n.Coord == nil || n.cuts[e.Send] {
			return
		}
		switch {
		case !ok: // one lost message breaks the stream
			n.later(hostTimeout, func() { n.step(mesh.FetchMissed{Send: e.Send, Kind: api.Timeout}) })
			return
		case size == 0:
			n.step(mesh.FetchMissed{Send: e.Send, Addrs: []api.Address{a}, Kind: api.NotFound})
		default:
			n.world.arriving = &arrival{node: n, addr: a}
			n.step(mesh.FetchArrived{Send: e.Send, Addr: a, Size: size})
			n.world.arriving = nil
		}
		n.stream(m, e, i+1, mLife, nLife)
	})
}

// arrival is the block that a host holds while it steps.
type arrival struct {
	node *Node
	addr api.Address
}

func (w *World) fault(format string, args ...any) {
	w.Faults = append(w.Faults, fmt.Sprintf("%v: ", w.Clock.Now()-start)+fmt.Sprintf(format, args...))
}
