package node

import (
	"context"
	"errors"
	"runtime"
	"sort"
	"strings"
	"time"

	"inos/host/p2p"
	"inos/kernel/api"
	"inos/kernel/mesh"
)

// Methods of calls between nodes.
const (
	methodPing   = "node.ping"
	methodJoin   = "mesh.join"
	methodNews   = "mesh.news"
	methodLease  = "block.lease"
	methodLedger = "ledger.ask"
	methodCheque = "ledger.cheque"
	methodQuote  = "job.quote"
	methodRun    = "job.run"
	methodStop   = "job.stop"
	methodStored = "job.stored"

	methodMessage = "module.message"
)

// serve registers what other nodes may ask and opens for business.
func (n *Node) serve() error {
	type method struct {
		name   string
		member bool
		fn     func(context.Context, api.NodeID, []byte) ([]byte, error)
	}
	for _, m := range []method{
		{methodPing, true, func(context.Context, api.NodeID, []byte) ([]byte, error) { return nil, nil }},
		{methodJoin, false, n.handleJoin},
		{methodNews, true, n.handleNews},
		{methodLease, true, n.handleLease},
		{methodLedger, true, n.handleLedger},
		{methodCheque, true, n.handleCheque},
		{methodQuote, true, n.handleQuote},
		{methodRun, true, n.handleRun},
		{methodStop, true, n.handleStop},
		{methodStored, true, n.handleStored},
		{methodMessage, true, n.handleMessage},
	} {
		if err := n.net.Handle(m.name, p2p.HandleOptions{RequireMember: m.member}, m.fn); err != nil {
			return err
		}
	}
	n.net.Serve(blockService{n})
	if err := n.subscribe(); err != nil {
		return err
	}
	n.serving.Store(true)
	n.outbox.start()
	n.syscalls.messages.start()
	n.reachSeed()
	n.spawn(n.jobs.adopt)
	n.spawn(func() { n.releasePending(n.id.ID()) })
	return nil
}

// reachSeed dials the addresses that the invite named, for a node whose table
// has no capability of the seed yet.
func (n *Node) reachSeed() {
	b, err := n.meta.Get(keySeed)
	if err != nil || len(b) < 32 {
		return
	}
	seed := api.NodeID(b[:32])
	_ = n.net.Keep(seed, strings.Split(string(b[32:]), "\n"))
}

// openWork opens what runs jobs and the payer's scheduler.
func (n *Node) openWork() (err error) {
	n.residents = openResidents(n)
	if n.modules, err = openShelf(n); err != nil {
		return err
	}
	if n.worker, err = openWorker(n); err != nil {
		return err
	}
	if n.syscalls, err = openSyscalls(n); err != nil {
		return err
	}
	n.jobs, err = openJobs(n)
	return err
}

// peerRows lists the members as the coordinator sees them.
func (n *Node) peerRows() []api.Peer {
	var rows []api.Peer
	n.coord.view(func(m *mesh.Coordinator) { rows = append(rows, m.Members()...) })
	return rows
}

func (n *Node) coordinatorPeers() int {
	count := 0
	for _, p := range n.peerRows() {
		if p.Online && !p.Self {
			count++
		}
	}
	return count
}

// holdersOf names the nodes that placement expects to hold an object's root.
func (n *Node) holdersOf(root api.Address) []api.NodeID {
	var out []api.NodeID
	n.coord.view(func(m *mesh.Coordinator) { out = m.Holders(out, root, api.DefaultCopies) })
	return out
}

// Peers lists the members, this node first, then by name, then those revoked.
func (n *Node) Peers(context.Context) ([]api.Peer, error) {
	rows := n.peerRows()
	links := make(map[api.NodeID]p2p.PeerInfo, len(rows))
	for _, p := range n.net.Peers() {
		links[p.ID] = p
	}
	for i := range rows {
		if rows[i].Self { // the announcement may be some time old
			use := n.store.Usage()
			rows[i].Used, rows[i].Free = use.Bytes, use.Free
		}
		p := links[rows[i].Node]
		rows[i].LatencyMS = float64(p.Latency.Microseconds()) / 1000
		rows[i].Transport, rows[i].BytesIn, rows[i].BytesOut = p.Transport, p.BytesIn, p.BytesOut
	}
	sort.Slice(rows, func(i, j int) bool {
		if rows[i].Self != rows[j].Self {
			return rows[i].Self
		}
		return rows[i].Name < rows[j].Name
	})
	return append(rows, n.revokedRows()...), nil
}

// revokedRows lists those whose membership ended, so that the owner sees that
// it did.
func (n *Node) revokedRows() []api.Peer {
	var rows []api.Peer
	for _, r := range n.members.Revocations() {
		if r.Node == n.id.ID() {
			continue
		}
		row := api.Peer{Capability: api.Capability{Node: r.Node, Addrs: []string{}}, Revoked: true, LastSeen: r.Time * 1000}
		if m, ok := n.members.Get(r.Node); ok {
			row.Name, row.Roles = m.Name, m.Roles
		}
		rows = append(rows, row)
	}
	sort.Slice(rows, func(i, j int) bool { return rows[i].Name < rows[j].Name })
	return rows
}

// Status describes this node.
func (n *Node) Status(ctx context.Context) (api.Status, error) {
	s := api.Status{
		Version: Version, Node: n.id.ID(), Name: n.member.Name, Mesh: n.member.Mesh, Roles: n.member.Roles,
		Ready: n.ctx.Err() == nil, Started: n.started.UnixMilli(), UptimeSeconds: time.Since(n.started).Seconds(),
		Addrs: n.dialAddrs(), Store: n.store.Usage(), RSS: residentBytes(), Goroutines: runtime.NumGoroutine(), Dir: n.cfg.Dir, Engine: n.cfg.Engine,
		Refused: n.refusedText(),
	}
	for _, p := range n.peerRows() {
		if p.Self {
			continue
		}
		s.PeersKnown++
		if p.Online {
			s.PeersOnline++
		}
	}
	s.Objects = uint64(n.metrics.objects.Load())
	n.coord.sessions.Lock()
	s.UnderCopied = n.coord.repair.UnderReplicated
	n.coord.sessions.Unlock()
	load := n.worker.load()
	s.JobsRunning = min(load, n.cfg.Workers)
	s.JobsQueued = load - s.JobsRunning
	bctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	balance, err := n.books.Balance(bctx, api.Account{Kind: api.NodeAccount, Node: n.id.ID()})
	if s.Balance = balance; err != nil {
		s.BalanceError = messageOf(err)
	}
	return s, nil
}

// messageOf is an error's text for people.
func messageOf(err error) string {
	var e *api.Error
	if errors.As(err, &e) {
		return e.Message()
	}
	return err.Error()
}
