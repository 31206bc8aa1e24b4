package node

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"inos/host/p2p"
	"inos/kernel/api"
	"inos/kernel/identity"
	"inos/kernel/mesh"
)

// Bounds and times of a node.
const (
	DrainTime = 1500 * time.Millisecond // Close waits this long for running work
	workGrace = time.Second             // of it, what running jobs have before they are stopped
	endTime   = time.Second             // for requests to return once they were cancelled

	connectTimeout   = 5 * time.Second
	callTimeout      = 10 * time.Second
	putWindowBatches = 8     // unacknowledged batches of one put, as mesh.Config.PutWindow
	maxFetch         = 16384 // blocks of one fetch session, as mesh.Config.MaxFetch
)

// Version is the program's version. The build sets it.
var Version = "0.1.0"

// Node is one running member of a mesh. It implements the local API's backend.
// All exported methods are safe for concurrent use.
type Node struct {
	cfg     Config
	id      identity.Identity
	root    identity.Identity // the mesh's root key; zero unless this node founded the mesh
	member  api.Membership
	started time.Time

	ctx      context.Context // ends when the node stops
	cancel   context.CancelFunc
	work     context.Context // ends workGrace into draining, and with ctx: jobs run under it
	stopWork context.CancelFunc
	serving  atomic.Bool    // everything below exists and is served; nobody is admitted before
	tasks    sync.WaitGroup // goroutines of spawn

	store     BlockStore
	meta      records
	net       *p2p.Host
	tabsOpen  atomic.Bool // net listens for browser tabs
	members   *identity.MemberTable
	coord     *coordinator
	leases    *leaseTable
	seed      *seedDesk // nil unless this node is the seed
	books     api.Ledger
	standing  standing
	outbox    *outbox
	cheques   *chequeBook
	jobs      *jobDriver
	worker    *worker
	modules   *moduleShelf
	residents *residents
	syscalls  *syscalls
	memory    *memory
	metrics   *metrics
	buffers   bufferPool
	owned     keyLock  // by lease: one put, payment or removal of an own object at a time
	releasing sync.Map // of api.NodeID: members that releaseLater is telling

	gate      sync.RWMutex
	draining  bool           // guarded by gate; no new requests
	stopped   bool           // guarded by gate; no new tasks
	active    sync.WaitGroup // requests that Close waits for
	stop      chan struct{}  // closed when somebody asked the process to stop
	stopOnce  sync.Once
	closeOnce sync.Once
	closeErr  error // what the first Close returned
	capSeq    atomic.Uint64
	capUsed   atomic.Uint64 // bytes kept, as announced last
	stirred   chan struct{} // of one: what is kept has changed; see stir
	offer     atomic.Int32  // jobs of others run at once; see Offer
	throttle  atomic.Uint64 // a float64: the part of the time for each of them; see Throttle
}

// Start opens the data folder, joins the network and returns a node that
// serves. The caller closes it. Errors tell what to change: a folder in use, a
// port taken, a newer format.
func Start(ctx context.Context, cfg Config) (_ *Node, err error) {
	cfg, err = cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, started: time.Now(), stop: make(chan struct{}), stirred: make(chan struct{}, 1)}
	n.offer.Store(int32(cfg.firstOffer()))
	n.ctx, n.cancel = context.WithCancel(context.WithoutCancel(ctx))
	n.work, n.stopWork = context.WithCancel(n.ctx)
	defer func() {
		if err != nil {
			n.release()
		}
	}()
	if n.memory, err = openMemory(cfg.ArenaBytes); err != nil {
		return nil, err
	}
	n.metrics = newMetrics(n.memory)
	if n.store, n.meta, err = openStore(ctx, cfg); err != nil {
		return nil, err
	}
	if n.id, err = loadIdentity(cfg, n.meta); err != nil {
		return nil, err
	}
	if err = n.meta.Iterate("obj/", func(string, []byte) bool { n.metrics.objects.Add(1); return true }); err != nil {
		return nil, err
	}
	if n.leases, err = openLeases(n.store, n.meta); err != nil {
		return nil, err
	}
	if err = n.openMembership(); err != nil {
		return nil, err
	}
	if err = n.openNetwork(); err != nil {
		return nil, err
	}
	if err = n.openEconomy(); err != nil {
		return nil, err
	}
	if err = n.openWork(); err != nil {
		return nil, err
	}
	if err = n.serve(); err != nil {
		return nil, err
	}
	n.lendArena()
	n.expectTabs(n.members.Memberships()...)
	n.advertise()
	n.emit("node:start:v1:ready", n.id.ID().String(), nil)
	return n, nil
}

// openNetwork creates the network host and the coordinator that speaks
// through it. Nothing is served before serve.
func (n *Node) openNetwork() error {
	machine, err := mesh.New(mesh.Config{
		Self: n.id.ID(), Members: n.members,
		GoneAfter: n.cfg.GoneAfter, RepairRate: int(n.cfg.RepairRate),
		PutWindow: putWindowBatches, MaxFetch: maxFetch,
	}, time.Duration(time.Now().UnixNano()))
	if err != nil {
		return err
	}
	n.coord = newCoordinator(n, machine)
	listen, err := n.listenAddrs()
	if err != nil {
		return err
	}
	link, err := openLink(n.ctx)
	if err != nil {
		return err
	}
	n.net, err = p2p.New(p2p.Config{
		Key:          n.id.PrivateKey(),
		Link:         link,
		Listen:       listen,
		AnnounceAlso: n.cfg.Announce,

		Member:     n.isMember,
		Credential: n.credential,
		Admit:      n.meet,
		OnPeer:     n.onPeer,
		OnRefused:  n.onRefused,
		OnServed:   func(to api.NodeID, bytes uint64) { n.cheques.served(to, bytes) },
	})
	if err != nil {
		return err
	}
	return n.keepPort()
}

// isMember reports whether a node may be served now: nobody before everything
// that serves exists.
func (n *Node) isMember(id api.NodeID) bool {
	return n.serving.Load() && n.members.Allowed(id, time.Now().Unix()) == nil
}

// meet judges a peer that presents its membership, once this node serves.
func (n *Node) meet(peer api.NodeID, credential []byte) error {
	if !n.serving.Load() {
		return api.Errorf("node.admit", api.Unavailable, "this node is starting; try again")
	}
	return n.admit(peer, credential)
}

// onPeer feeds connections to the coordinator, in their order: stepping does
// not block.
func (n *Node) onPeer(peer api.NodeID, up bool) {
	if up {
		n.standing.admitted()
		n.coord.step(mesh.PeerConnected{Node: peer})
	} else {
		n.coord.step(mesh.PeerLost{Node: peer})
	}
}

// Close drains the node and releases everything. It returns within DrainTime
// plus the time of ending requests and closing files. A second call returns
// what the first did.
func (n *Node) Close() error {
	n.closeOnce.Do(func() { n.closeErr = n.drainAndRelease() })
	return n.closeErr
}

func (n *Node) drainAndRelease() error {
	n.gate.Lock()
	n.draining = true
	n.gate.Unlock()
	defer time.AfterFunc(workGrace, n.stopWork).Stop()
	flushed := make(chan struct{})
	go func() { // bounds its own time, and needs the network: beside the drain, not after it
		defer close(flushed)
		n.cheques.flush()
	}()
	n.idle(DrainTime)
	<-flushed
	n.jobs.history.flush()
	n.emit("node:stop:v1:done", n.id.ID().String(), nil)
	return n.release()
}

// idle waits until no request is being served, at most for a while.
func (n *Node) idle(atMost time.Duration) {
	idle := make(chan struct{})
	go func() {
		n.active.Wait()
		close(idle)
	}()
	t := time.NewTimer(atMost)
	defer t.Stop()
	select {
	case <-idle:
	case <-t.C:
	}
}

// release closes what is open, in the reverse order of Start.
func (n *Node) release() error {
	n.requestStop()
	n.cancel()
	if n.coord != nil {
		n.coord.close()
	}
	var errs []error
	if n.net != nil {
		errs = append(errs, n.net.Close())
	}
	if n.jobs != nil {
		n.jobs.close()
	}
	n.gate.Lock()
	n.stopped = true
	n.gate.Unlock()
	n.tasks.Wait()
	n.idle(endTime)
	if n.worker != nil {
		errs = append(errs, n.worker.close())
	}
	if n.jobs != nil {
		n.jobs.history.flush()
	}
	if n.seed != nil {
		errs = append(errs, n.seed.close())
	}
	if n.store != nil {
		errs = append(errs, n.store.Close())
	}
	if n.memory != nil {
		errs = append(errs, n.memory.close())
	}
	return errors.Join(errs...)
}

// Done is closed when the process was asked to stop through the API.
func (n *Node) Done() <-chan struct{} { return n.stop }

// Shutdown implements the backend: the process drains and stops.
func (n *Node) Shutdown(context.Context) error {
	n.requestStop()
	return nil
}

func (n *Node) requestStop() { n.stopOnce.Do(func() { close(n.stop) }) }

// enter counts a request that Close waits for; leave ends it.
func (n *Node) enter() error {
	n.gate.RLock()
	defer n.gate.RUnlock()
	if n.draining {
		return api.Errorf("node", api.Closed, "the node is stopping; start it again and retry")
	}
	n.active.Add(1)
	return nil
}

func (n *Node) leave() { n.active.Done() }

// spawn runs fn in a goroutine that Close waits for. Once the node stops it
// runs nothing and returns false.
func (n *Node) spawn(fn func()) bool {
	n.gate.RLock()
	defer n.gate.RUnlock()
	if n.stopped || n.ctx.Err() != nil {
		return false
	}
	n.tasks.Add(1)
	go func() {
		defer n.tasks.Done()
		fn()
	}()
	return true
}

// lockObject waits for the turn to change one of this node's own objects: look,
// pay and save are one step, and neither a removal nor a release that waited for
// its holder may run beside a put.
func (n *Node) lockObject(ctx context.Context, root api.Address) (unlock func(), err error) {
	return n.owned.lock(ctx, leaseID(n.id.ID(), root))
}

func (n *Node) stepAll(events []mesh.Event) {
	for _, ev := range events {
		n.coord.step(ev)
	}
}
