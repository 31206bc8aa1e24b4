package mesh

import (
	"bytes"
	"slices"
	"time"

	"inos/kernel/api"
)

// peer is one other member.
//
// Invariants:
//   - connected implies online or suspected.
//   - probing implies connected and online.
//   - rate and load are of all sessions together.
type peer struct {
	id    api.NodeID
	state MemberState
	cap   api.Capability // zero Seq and Node until one is received

	connected bool
	probing   bool
	lastSeen  time.Duration
	suspected time.Duration // since when, in state MemberSuspected
	probeBy   time.Duration // the probe's deadline
	redial    time.Duration // when to ask for a connection next
	backoff   time.Duration // of the next Connect
	avoid     time.Duration // a failed store makes it the last choice until then
	avoidFor  api.Kind      // why
	rtt       time.Duration // smoothed round trip; 0 unknown
	rate      float64       // smoothed bytes per second while serving; 0 unknown
	load      int           // bytes asked of it that have not arrived
	deaf      int           // questions in a row that it did not answer
}

func (c *Coordinator) addPeer(id api.NodeID) *peer {
	if id == c.cfg.Self {
		return nil
	}
	if p := c.peers[id]; p != nil {
		return p
	}
	if len(c.order) >= api.MaxMembers {
		c.dropRemoved()
	}
	p := &peer{id: id, backoff: c.cfg.ConnectAfter, redial: c.now}
	i, _ := slices.BinarySearchFunc(c.order, id, func(p *peer, id api.NodeID) int { return bytes.Compare(p.id[:], id[:]) })
	c.order = slices.Insert(c.order, i, p)
	c.peers[id] = p
	c.at(c.now)
	return p
}

// dropRemoved makes room: the table lets go of expired members when it is full,
// and so does the coordinator.
func (c *Coordinator) dropRemoved() {
	c.order = slices.DeleteFunc(c.order, func(p *peer) bool {
		if p.state == MemberRemoved {
			delete(c.peers, p.id)
		}
		return p.state == MemberRemoved
	})
}

func (c *Coordinator) membership(m api.Membership) {
	changed, err := c.cfg.Members.Merge(m, c.unix())
	if err != nil {
		c.stats.BadRecords++
		return
	}
	// A handshake or an invite may have merged it into the shared table already.
	if _, known := c.peers[m.Node]; known && !changed || c.cfg.Members.Allowed(m.Node, c.unix()) != nil {
		return
	}
	if m.Expires > 0 {
		c.at(time.Duration(m.Expires) * time.Second)
	}
	if p := c.addPeer(m.Node); p != nil && p.state == MemberRemoved {
		c.setState(p, MemberOffline)
	}
	c.rebuild()
}

func (c *Coordinator) revocation(r api.Revocation) {
	if _, err := c.cfg.Members.Revoke(r); err != nil {
		c.stats.BadRecords++
		return
	}
	if p := c.peers[r.Node]; p != nil {
		c.admit(p)
	}
}

// admit removes a peer that is no longer allowed, and reports whether it is.
func (c *Coordinator) admit(p *peer) bool {
	err := c.cfg.Members.Allowed(p.id, c.unix())
	if err == nil {
		return true
	}
	if p.state != MemberRemoved {
		p.connected, p.probing = false, false
		c.setState(p, MemberRemoved)
		c.emit(Disconnect{Node: p.id, Kind: api.KindOf(err)})
		c.failPeer(p.id)
		c.rebuild()
	}
	return false
}

func (c *Coordinator) capability(v api.Capability) {
	own := v.Node == c.cfg.Self
	p := c.peers[v.Node]
	if !own && (p == nil || !c.admit(p)) {
		c.stats.BadRecords++
		return
	}
	if (own && v.Seq <= c.self.Seq) || (!own && v.Seq <= p.cap.Seq) {
		return
	}
	if err := c.cfg.VerifyCapability(v); err != nil {
		c.stats.BadRecords++
		return
	}
	if own {
		c.self = v
		c.rebuild()
		return
	}
	p.cap = v
	c.alive(p)
	c.rebuild()
}

func (c *Coordinator) connected(id api.NodeID) {
	p := c.peers[id]
	if p == nil || !c.admit(p) {
		c.emit(Disconnect{Node: id, Kind: api.Denied})
		return
	}
	if !p.connected {
		p.connected = true
		c.emit(ShareMembers{Node: id})
	}
	p.backoff = c.cfg.ConnectAfter
	c.alive(p)
}

func (c *Coordinator) lost(id api.NodeID) {
	p := c.peers[id]
	if p == nil || p.state == MemberRemoved {
		return
	}
	if p.connected {
		p.connected, p.probing = false, false
		p.redial = c.now
	}
	if p.state == MemberOnline {
		c.suspect(p)
	}
	c.at(c.now)
}

func (c *Coordinator) seen(id api.NodeID, rtt time.Duration) {
	p := c.peers[id]
	if p == nil || !c.admit(p) {
		return
	}
	if rtt > 0 {
		p.rtt = smooth(p.rtt, rtt)
	}
	c.alive(p)
}

// smooth is RFC 6298's estimator of the round trip: an eighth of the new one.
func smooth(old, sample time.Duration) time.Duration {
	if old == 0 {
		return sample
	}
	return old + (sample-old)/8
}

// alive records that a peer spoke.
func (c *Coordinator) alive(p *peer) {
	p.lastSeen, p.probing = c.now, false
	if p.state != MemberOnline {
		if p.state == MemberSuspected {
			c.repairSoon(c.cfg.RepairRetry) // puts passed it over meanwhile
		}
		c.setState(p, MemberOnline)
		c.rebuild()
		if len(c.owing) > 0 {
			c.at(c.now)
		}
	}
	c.at(c.quietUntil(p))
}

// quietUntil is when an online peer's silence is to be looked into.
func (c *Coordinator) quietUntil(p *peer) time.Duration {
	switch {
	case p.probing:
		return p.probeBy
	case !p.connected:
		return p.lastSeen + c.cfg.FreshFor
	case c.cfg.ProbeAfter > 0:
		return p.lastSeen + c.cfg.ProbeAfter
	}
	return never
}

func (c *Coordinator) suspect(p *peer) {
	p.suspected, p.probing = c.now, false
	c.setState(p, MemberSuspected)
	c.fetchPeerGone(p.id)
	c.at(c.now + c.cfg.GoneAfter)
}

// doubt probes a peer at once, because a request to it failed.
func (c *Coordinator) doubt(id api.NodeID) {
	p := c.peers[id]
	if p != nil && p.state == MemberOnline && p.connected && !p.probing {
		c.probe(p)
	}
}

func (c *Coordinator) probe(p *peer) {
	p.probing, p.probeBy = true, c.now+c.cfg.ProbeTimeout
	c.emit(Probe{Node: p.id})
	c.at(p.probeBy)
}

// setState announces a change; the caller rebuilds the view if it may move.
func (c *Coordinator) setState(p *peer, s MemberState) {
	p.state = s
	c.emit(MemberChanged{Node: p.id, State: s, View: c.view.version})
}

func (c *Coordinator) tickPeers() {
	wanted := 0 // connections kept or asked for
	for _, p := range c.order {
		if p.state == MemberRemoved || !c.admit(p) {
			continue
		}
		c.tickPeer(p)
		if p.connected {
			wanted++
		}
	}
	for _, p := range c.order {
		if wanted >= c.cfg.MaxConnect {
			break
		}
		if p.connected || p.state == MemberRemoved {
			continue
		}
		wanted++
		c.reconnect(p)
	}
	if exp := c.nextExpiry(); exp != never {
		c.at(exp)
	}
}

func (c *Coordinator) tickPeer(p *peer) {
	switch p.state {
	case MemberOnline:
		due := c.quietUntil(p)
		switch {
		case c.now < due:
			c.at(due)
		case p.connected && !p.probing:
			c.probe(p)
		default:
			c.suspect(p)
		}
	case MemberSuspected:
		due := p.suspected + c.cfg.GoneAfter
		if c.now < due {
			c.at(due)
			return
		}
		if p.connected { // half open: close it, so that a new one can be made
			p.connected = false
			c.emit(Disconnect{Node: p.id, Kind: api.Timeout})
		}
		c.setState(p, MemberGone)
		c.failPeer(p.id)
		c.rebuild()
	}
}

func (c *Coordinator) reconnect(p *peer) {
	if c.now >= p.redial {
		c.emit(Connect{Node: p.id, Addrs: slices.Clone(p.cap.Addrs)})
		p.redial = c.now + p.backoff
		p.backoff = min(2*p.backoff, c.cfg.ConnectMax)
	}
	c.at(p.redial)
}

// nextExpiry is when the next membership of a live peer expires or is revoked.
func (c *Coordinator) nextExpiry() time.Duration {
	next := never
	for _, p := range c.order {
		if p.state == MemberRemoved {
			continue
		}
		if m, ok := c.cfg.Members.Get(p.id); ok && m.Expires > 0 {
			next = min(next, time.Duration(m.Expires)*time.Second)
		}
	}
	return next
}

// rebuild computes the view anew and, if its nodes changed or one has space
// again, plans a repair.
func (c *Coordinator) rebuild() {
	v := newView(c.view.version+1, c.storageNodes())
	if v.same(c.view) {
		return
	}
	moved, opened := !v.sameNodes(c.view), v.openCount() > c.view.openCount()
	c.view = v
	for i, e := range c.out { // states told in this step belong to the new view
		if m, ok := e.(MemberChanged); ok {
			m.View = v.version
			c.out[i] = m
		}
	}
	if moved {
		c.repairSoon(c.cfg.RepairDelay)
	} else if opened {
		c.repairSoon(c.cfg.RepairRetry)
	}
}

// storageNodes are the live members that keep durable copies: seeds and hubs,
// by membership and by their own word, suspected ones included.
func (c *Coordinator) storageNodes() []candidate {
	var nodes []candidate
	if c.self.Seq > 0 {
		nodes = c.appendStorage(nodes, c.cfg.Self, &c.self)
	}
	for _, p := range c.order {
		if p.cap.Seq > 0 && (p.state == MemberOnline || p.state == MemberSuspected) {
			nodes = c.appendStorage(nodes, p.id, &p.cap)
		}
	}
	return nodes
}

func (c *Coordinator) appendStorage(nodes []candidate, id api.NodeID, v *api.Capability) []candidate {
	m, ok := c.cfg.Members.Get(id)
	if !ok || m.Roles&v.Roles&(api.Seed|api.Hub) == 0 {
		return nodes
	}
	return append(nodes, candidate{id: id, capacity: v.Free + v.Used, open: v.Free > 0, domain: v.Domain})
}
