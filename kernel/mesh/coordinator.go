package mesh

import (
	"bytes"
	"slices"
	"time"

	"inos/kernel/api"
)

// Coordinator is the state machine of one node; see the package comment. It is
// not safe for concurrent use. View returns a value that is.
type Coordinator struct {
	cfg   Config
	now   time.Duration // of the latest Step
	wake  time.Duration // when the next Tick is due; never means none
	out   []Effect
	stats Stats

	peers map[api.NodeID]*peer // every member but this node; at most api.MaxMembers
	order []*peer              // the same in node order, so that effects are reproducible
	self  api.Capability       // this node's own, once received
	view  *View

	lastSend uint64
	sends    map[uint64]*send // unanswered requests; bounded by the sessions that made them

	puts    []*put   // in order of beginning; at most Config.MaxPuts
	fetches []*fetch // in order of beginning; at most Config.MaxFetches
	byFetch map[api.ID]*fetch
	owing   []*owed // commits to repeat; at most maxOwed
	repair  repair

	fetchSends map[uint64]*fetchSend // those of all open fetches
}

// never is the time of a deadline that is not set.
const never = time.Duration(1<<63 - 1)

// Stats counts what happened since the start. Counters only grow; the rest are
// levels.
type Stats struct {
	Events         uint64 // steps taken
	BadRecords     uint64 // memberships, revocations and capabilities refused
	Stale          uint64 // answers to requests that were no longer open
	Faults         uint64 // PeerFault effects
	PutsDone       uint64
	PutsFailed     uint64
	StoresSent     uint64
	StoresFailed   uint64
	FetchesDone    uint64
	FetchesFailed  uint64
	FetchesSent    uint64
	Hedged         uint64 // blocks asked of a second holder while the first was slow
	Duplicates     uint64 // blocks that arrived again after delivery
	RepairedBlocks uint64
	RepairedBytes  uint64

	UnderReplicated uint64 // rows that the latest scan left short of copies
	Members         int    // in the table, this node included
	Online          int    // members online, this node not included
	OpenPuts        int
	OpenFetches     int
	OpenSends       int
}

// New makes a coordinator with the members of cfg.Members, all offline. now is
// the time since the Unix epoch. Errors: Invalid configuration.
func New(cfg Config, now time.Duration) (*Coordinator, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Coordinator{
		cfg: cfg, now: now, wake: never,
		peers: make(map[api.NodeID]*peer), sends: make(map[uint64]*send), byFetch: make(map[api.ID]*fetch),
		fetchSends: make(map[uint64]*fetchSend),
		view:       newView(0, nil),
	}
	c.repair.init(cfg)
	for _, m := range cfg.Members.Memberships() {
		c.addPeer(m.Node)
	}
	return c, nil
}

// Step takes one event at the given time since the Unix epoch and returns what
// the host is to do, in order. The slice is valid until the next Step.
func (c *Coordinator) Step(now time.Duration, ev Event) []Effect {
	c.now = max(c.now, now)
	c.out = c.out[:0]
	c.stats.Events++
	switch ev := ev.(type) {
	case Tick:
		c.tick()
	case MembershipReceived:
		c.membership(ev.Membership)
	case RevocationReceived:
		c.revocation(ev.Revocation)
	case CapabilityReceived:
		c.capability(ev.Capability)
	case PeerConnected:
		c.connected(ev.Node)
	case PeerLost:
		c.lost(ev.Node)
	case PeerSeen:
		c.seen(ev.Node, ev.RTT)
	default:
		c.stepSessions(ev)
	}
	return c.out
}

func (c *Coordinator) stepSessions(ev Event) {
	switch ev := ev.(type) {
	case PutBegin:
		c.putBegin(ev)
	case PutBlocks:
		c.putBlocks(ev)
	case PutCommit:
		c.putCommit(ev)
	case PutAbort:
		c.putAbort(ev.Put)
	case StoreAcked:
		c.storeAcked(ev)
	case StoreFailed:
		c.answered(ev.Send, ev.Kind)
	case CommitAcked:
		c.commitAcked(ev.Send)
	case CommitFailed:
		c.answered(ev.Send, ev.Kind)
	case FetchBegin:
		c.fetchBegin(ev)
	case FetchAbort:
		c.fetchAbort(ev.Fetch)
	case FetchArrived:
		c.fetchArrived(ev)
	case FetchMissed:
		c.fetchMissed(ev)
	case LocalBlocks:
		c.localBlocks(ev)
	case Recheck:
		c.repairSoon(c.cfg.RepairRetry)
	case HasAnswered:
		c.hasAnswered(ev)
	case HasFailed:
		c.answered(ev.Send, ev.Kind)
	}
}

// NextTick returns when the host is to step with Tick, as the time since the
// Unix epoch, and false when nothing waits for time. It may be early, never
// late.
func (c *Coordinator) NextTick() (time.Duration, bool) { return c.wake, c.wake != never }

// tick runs what is due and finds the next deadline. Handlers set deadlines
// with at as they go.
func (c *Coordinator) tick() {
	c.wake = never
	c.tickPeers()
	c.tickSends()
	c.tickFetches()
	c.tickOwed()
	c.tickRepair()
}

// at asks for a Tick no later than t.
func (c *Coordinator) at(t time.Duration) { c.wake = min(c.wake, t) }

func (c *Coordinator) emit(e Effect) { c.out = append(c.out, e) }

func (c *Coordinator) unix() int64 { return int64(c.now / time.Second) }

// View returns the current placement view: immutable, safe to share.
func (c *Coordinator) View() *View { return c.view }

// Place is View().Place.
func (c *Coordinator) Place(dst []api.NodeID, addr api.Address, copies int) []api.NodeID {
	return c.view.Place(dst, addr, copies)
}

// Holders is View().Holders.
func (c *Coordinator) Holders(dst []api.NodeID, addr api.Address, copies int) []api.NodeID {
	return c.view.Holders(dst, addr, copies)
}

// State returns how this node sees a member. A node that is not a member is
// MemberRemoved; this node itself is MemberOnline.
func (c *Coordinator) State(node api.NodeID) MemberState {
	if node == c.cfg.Self {
		return MemberOnline
	}
	if p := c.peers[node]; p != nil {
		return p.state
	}
	return MemberRemoved
}

// Members returns a row for this node and every member that is not removed, in
// node order.
func (c *Coordinator) Members() []api.Peer {
	rows := make([]api.Peer, 0, len(c.order)+1)
	rows = append(rows, api.Peer{Capability: c.self, Self: true, Online: true, LastSeen: c.now.Milliseconds()})
	rows[0].Node = c.cfg.Self
	if m, ok := c.cfg.Members.Get(c.cfg.Self); ok {
		rows[0].Name, rows[0].Roles = m.Name, m.Roles
	}
	for _, p := range c.order {
		if p.state != MemberRemoved {
			rows = append(rows, c.row(p))
		}
	}
	slices.SortFunc(rows, func(a, b api.Peer) int { return bytes.Compare(a.Node[:], b.Node[:]) })
	return rows
}

func (c *Coordinator) row(p *peer) api.Peer {
	r := api.Peer{Capability: p.cap, Online: p.state == MemberOnline, LatencyMS: float64(p.rtt) / 1e6}
	r.Node = p.id
	if m, ok := c.cfg.Members.Get(p.id); ok {
		r.Name, r.Roles = m.Name, m.Roles
	}
	if p.lastSeen > 0 {
		r.LastSeen = p.lastSeen.Milliseconds()
	}
	return r
}

// Stats returns the counters.
func (c *Coordinator) Stats() Stats {
	s := c.stats
	s.Members = c.cfg.Members.Len()
	for _, p := range c.order {
		if p.state == MemberOnline {
			s.Online++
		}
	}
	s.OpenPuts, s.OpenFetches, s.OpenSends = len(c.puts), len(c.fetches), len(c.sends)
	s.UnderReplicated = c.repair.lastShort
	return s
}
