package mesh

import (
	"slices"
	"time"

	"inos/kernel/api"
)

// repair makes lost copies again.
//
// A scan walks the local store in pages. For each block the nodes are ranked as
// placement ranks them, and those that should hold it or rank above this node
// are asked whether they do. Among the nodes that have a block the first in
// rank answers for it; the others do nothing. The one that answers sends it to
// the first nodes in rank that lack it, until the wanted number of copies is
// expected. Every holder scans, so somebody answers for every block that lives.
//
// Invariants:
//   - At most one scan and one page of it is in work.
//   - At most repairSends stores are outstanding, and the bytes sent do not
//     exceed RepairRate times the time that passed, plus one burst.
//   - Repair adds copies and never removes one. Copies beyond the wanted number
//     stay until their lease ends.
type repair struct {
	due     time.Duration // when the next scan starts; never if none is planned
	running bool
	waiting time.Duration // until when a page of the local store is waited for; 0 if none is
	scan    uint64
	page    *page
	again   bool // something passing was in the way: scan again after RepairRetry

	afterAddr  api.Address
	afterLease api.LeaseID
	last       bool // the page in work is the scan's last

	tokens   float64 // bytes that may be sent now
	filled   time.Duration
	progress RepairProgress

	lastShort uint64 // rows left short of copies by the latest finished scan
	// What the last block of the previous page lacked: its other leases may
	// follow in the next page, when the copies have been made already.
	tailAddr api.Address
	tailLack []api.NodeID
}

const (
	repairSends = 4       // stores outstanding at once
	repairBurst = 8 << 20 // bytes that may go at once after a pause
	repairExtra = 8       // nodes asked beyond those that should hold a block
	repairRank  = 64      // nodes considered for one block
	repairDeaf  = 3       // unanswered questions in a row before a node counts as having nothing
)

func (r *repair) init(cfg Config) {
	r.due = never
	r.tokens = float64(min(repairBurst, cfg.RepairRate))
}

// repairSoon plans a scan no later than after the given pause. A plan for
// earlier stands.
func (c *Coordinator) repairSoon(after time.Duration) {
	c.repair.due = min(c.repair.due, c.now+after)
	c.at(c.repair.due)
}

func (c *Coordinator) tickRepair() {
	r := &c.repair
	if !r.running && r.due <= c.now {
		c.scanBegin()
	}
	if r.page != nil {
		c.pump()
	}
	switch {
	case r.waiting == 0:
	case c.now < r.waiting:
		c.at(r.waiting)
	default: // the local store is stuck
		r.waiting, r.running = 0, false
		c.repairSoon(c.cfg.RepairRetry)
	}
	if !r.running {
		c.at(r.due)
	}
}

func (c *Coordinator) scanBegin() {
	r := &c.repair
	r.due, r.again = never, false
	if i := c.view.index(c.cfg.Self); i < 0 && c.view.Len() == 0 {
		return // nobody to hold anything; the next change plans another
	}
	r.running, r.last = true, false
	r.scan++
	r.afterAddr, r.afterLease, r.tailAddr, r.tailLack = api.Address{}, api.LeaseID{}, api.Address{}, nil
	r.progress = RepairProgress{Scan: r.scan, View: c.view.version}
	c.nextPage()
}

func (c *Coordinator) nextPage() {
	r := &c.repair
	r.page, r.waiting = nil, c.now+c.cfg.StoreTimeout
	c.at(r.waiting)
	c.emit(ScanLocal{Scan: r.scan, View: c.view.version, AfterAddr: r.afterAddr, AfterLease: r.afterLease, Limit: MaxScanPage})
}

func (c *Coordinator) localBlocks(ev LocalBlocks) {
	r := &c.repair
	if r.waiting == 0 || ev.Scan != r.scan {
		c.stats.Stale++
		return
	}
	r.waiting = 0
	if len(ev.Blocks) > MaxScanPage {
		ev.Blocks, ev.Done = ev.Blocks[:MaxScanPage], false
	}
	r.last = ev.Done || len(ev.Blocks) == 0
	r.progress.Scanned += uint64(len(ev.Blocks))
	if n := len(ev.Blocks); n > 0 {
		r.afterAddr, r.afterLease = ev.Blocks[n-1].Addr, ev.Blocks[n-1].Lease
	}
	r.page = c.newPage(ev.Blocks)
	c.askPage(r.page)
	c.pump()
}

// pageDone reports, and goes on with the next page or ends the scan.
func (c *Coordinator) pageDone() {
	r := &c.repair
	r.tailAddr, r.tailLack = r.page.tail()
	r.page = nil
	if !r.last {
		c.emit(r.progress)
		c.nextPage()
		return
	}
	r.running = false
	r.progress.Done = true
	r.lastShort = r.progress.UnderReplicated
	c.emit(r.progress)
	if r.again {
		c.repairSoon(c.cfg.RepairRetry)
	} else if c.cfg.RescanEvery > 0 {
		c.repairSoon(c.cfg.RescanEvery)
	}
	c.at(r.due)
}

// allow takes n bytes from the budget, or says when they will be there.
func (c *Coordinator) allow(n uint64) (time.Duration, bool) {
	r := &c.repair
	rate := float64(c.cfg.RepairRate)
	burst := min(float64(repairBurst), rate)
	if r.filled > 0 {
		r.tokens = min(burst, r.tokens+(c.now-r.filled).Seconds()*rate)
	}
	r.filled = c.now
	// A request larger than the burst may go when the bucket is full; the debt
	// is paid by waiting longer afterwards.
	need := min(float64(n), burst)
	if r.tokens >= need {
		r.tokens -= float64(n)
		return 0, true
	}
	wait := time.Duration((need-r.tokens)/rate*float64(time.Second)) + time.Millisecond
	return c.now + wait, false
}

// page is the part of a scan in work.
type page struct {
	view  *View // that the rows are ranked in; a later one changes the next page
	rows  []repairRow
	asks  int // outstanding questions
	sends int // outstanding stores
	queue []repairSend
}

// repairRow is one block under one lease.
type repairRow struct {
	LocalBlock
	rank   []int // of the page's view, by row; at most repairRank places
	self   int   // this node's place in rank
	has    map[api.NodeID]answer
	next   int // the place in rank that is tried next
	lack   int // copies to make
	target []api.NodeID
}

type answer uint8

const (
	answerNo answer = iota + 1
	answerYes
	answerNone // asked, and did not answer
)

// repairSend is rows of one lease for one node.
type repairSend struct {
	to    api.NodeID
	lease api.LeaseID
	items []int32
	bytes uint64
}

func (c *Coordinator) newPage(blocks []LocalBlock) *page {
	p := &page{view: c.view}
	for _, b := range blocks {
		if b.Copies == 0 {
			continue
		}
		row := repairRow{LocalBlock: b, rank: c.view.rank(nil, b.Addr), has: make(map[api.NodeID]answer)}
		row.rank = slices.Clone(row.rank[:min(len(row.rank), repairRank)])
		if n := len(p.rows); n > 0 && p.rows[n-1].Addr == b.Addr {
			row.has = p.rows[n-1].has // one answer serves every lease of a block
		}
		row.self = slices.IndexFunc(row.rank, func(i int) bool { return c.view.rows[i].id == c.cfg.Self })
		if row.self < 0 {
			row.self = len(row.rank)
		}
		p.rows = append(p.rows, row)
	}
	return p
}

// askPage asks every node that matters about all of its blocks at once.
func (c *Coordinator) askPage(p *page) {
	items := make(map[api.NodeID][]int32)
	var nodes []api.NodeID
	for k := range p.rows {
		row := &p.rows[k]
		reach := max(int(row.Copies), row.self)
		reach = min(reach, int(row.Copies)+repairExtra, len(row.rank))
		for _, i := range row.rank[:reach] {
			n := c.view.rows[i].id
			if _, asked := row.has[n]; asked || n == c.cfg.Self {
				continue
			}
			row.has[n] = answerNone
			if _, ok := items[n]; !ok {
				nodes = append(nodes, n)
			}
			items[n] = append(items[n], int32(k))
		}
	}
	slices.SortFunc(nodes, compareNode)
	for _, n := range nodes {
		list := items[n]
		addrs := make([]api.Address, len(list))
		for j, k := range list {
			addrs[j] = p.rows[k].Addr
		}
		p.asks++
		s := c.open(&send{to: n, owner: p, ask: true, addrs: addrs, items: list})
		c.emit(AskHas{Send: s.id, To: n, Addrs: addrs})
	}
	if p.asks == 0 {
		c.plan(p)
	}
}

func (c *Coordinator) hasAnswered(ev HasAnswered) {
	s := c.sends[ev.Send]
	if s == nil || s.owner != sender(c.repair.page) || !s.ask {
		c.stats.Stale++
		return
	}
	if len(ev.Has) != len(s.items) {
		c.fault(s.to, api.Invalid)
		c.answered(ev.Send, api.Invalid)
		return
	}
	c.take(ev.Send)
	if p := c.peers[s.to]; p != nil {
		p.deaf = 0
	}
	p := c.repair.page
	for j, k := range s.items {
		p.rows[k].has[s.to] = answerNo
		if ev.Has[j] {
			p.rows[k].has[s.to] = answerYes
		}
	}
	c.askDone(p)
}

func (c *Coordinator) askDone(p *page) {
	p.asks--
	if p.asks == 0 {
		c.plan(p)
		c.pump()
	}
}
