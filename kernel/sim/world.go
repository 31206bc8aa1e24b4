package sim

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
	"inos/kernel/identity"
	"inos/kernel/mesh"
)

// Options describe a world. Zero means the default in each field.
type Options struct {
	Seed    uint64
	Nodes   int                         // 3
	Link    Link                        // 1 ms and as much jitter, no loss, 1 GB/s
	Quota   uint64                      // bytes of each disk; 1 TiB
	Domain  func(i int) string          // failure domain label; none
	Role    func(i int) api.Role        // hub, and seed for node 0
	Silent  float64                     // share of crashes that no connection notices
	Config  func(i int, c *mesh.Config) // changes to the coordinators' configuration
	Tracing bool                        // keep a digest of every effect
}

// World is a mesh in virtual time. It is not safe for concurrent use.
type World struct {
	Clock  *Clock
	Net    *Network
	Nodes  []*Node
	Faults []string // broken promises that the world itself noticed

	opt   Options
	rng   *rand.Rand
	table *identity.MemberTable
	byID  map[api.NodeID]*Node
	sizes map[api.Address]uint32
	trace *blake3.Hasher

	puts     map[api.ID]*Put
	fetches  map[api.ID]*Fetch
	arriving *arrival // the block that is being handed in
}

// Node is one machine: its disk outlives its coordinator.
type Node struct {
	ID    api.NodeID
	Index int
	Coord *mesh.Coordinator // nil while down
	Disk  *Disk

	world *World
	life  int // counts starts; events for an earlier life are dropped
	seq   uint64
	free  uint64          // as last announced
	tick  time.Duration   // of the scheduled Tick
	conns map[int]bool    // nodes connected with
	cuts  map[uint64]bool // cancelled fetches
}

// start is 2026-01-01 in Unix time.
const start = 1767225600 * time.Second

const (
	requestSize = 256              // bytes of a message without blocks
	gossipEvery = 30 * time.Second // between announcements of a node
	draftLife   = 4 * time.Minute  // of a provisional lease after its last store; a day in a real host
	hostTimeout = 10 * time.Second // after which a host gives up on a lost message
)

// identities are shared by all worlds, because keys are slow to make.
var identities = struct {
	sync.Mutex
	list []identity.Identity
}{}

func nodeIdentity(i int) identity.Identity {
	identities.Lock()
	defer identities.Unlock()
	for len(identities.list) <= i {
		var seed [32]byte
		binary.LittleEndian.PutUint64(seed[:], uint64(len(identities.list)+1))
		identities.list = append(identities.list, identity.NewFromSeed(seed))
	}
	return identities.list[i]
}

// tables caches the signed memberships of meshes by their roles, which do not
// change and are slow to sign.
var tables sync.Map

// New builds a world whose nodes are all up and know each other's membership.
func New(opt Options) *World {
	if opt.Nodes == 0 {
		opt.Nodes = 3
	}
	if opt.Link == (Link{}) {
		opt.Link = Link{Delay: time.Millisecond, Jitter: time.Millisecond, Rate: 1e9}
	}
	if opt.Quota == 0 {
		opt.Quota = 1 << 40
	}
	if opt.Role == nil {
		opt.Role = func(i int) api.Role {
			if i == 0 {
				return api.Seed | api.Hub
			}
			return api.Hub
		}
	}
	rng := rand.New(rand.NewPCG(opt.Seed, 0x1905))
	w := &World{
		Clock: NewClock(start), Net: NewNetwork(rng, opt.Link), opt: opt, rng: rng,
		byID: make(map[api.NodeID]*Node), sizes: make(map[api.Address]uint32),
		puts: make(map[api.ID]*Put), fetches: make(map[api.ID]*Fetch),
	}
	if opt.Tracing {
		w.trace = blake3.New()
	}
	w.admit()
	for i := range opt.Nodes {
		n := &Node{ID: nodeIdentity(i).ID(), Index: i, Disk: NewDisk(opt.Quota), world: w}
		w.Nodes = append(w.Nodes, n)
		w.byID[n.ID] = n
	}
	for _, n := range w.Nodes {
		n.Start()
	}
	return w
}

// admit signs everybody's membership. All nodes share one table: what they do
// not share is who they see.
func (w *World) admit() {
	root := nodeIdentity(0).MeshRoot()
	w.table = identity.NewMemberTable(root.ID())
	for i := range w.opt.Nodes {
		key := [2]int{i, int(w.opt.Role(i))}
		m, ok := tables.Load(key)
		if !ok {
			m = identity.SignMembership(root, api.Membership{
				Node: nodeIdentity(i).ID(), Roles: w.opt.Role(i), Name: fmt.Sprintf("node-%d", i), Issued: int64(start / time.Second),
			})
			tables.Store(key, m)
		}
		if _, err := w.table.Merge(m.(api.Membership), int64(start/time.Second)); err != nil {
			panic(err) // the world is built wrong
		}
	}
}

// Revoke ends a node's membership everywhere.
func (w *World) Revoke(i int) {
	root := nodeIdentity(0).MeshRoot()
	r := identity.SignRevocation(root, api.Revocation{Node: w.Nodes[i].ID, Time: w.unix()})
	for _, n := range w.Nodes {
		if n.Index != i {
			n.step(mesh.RevocationReceived{Revocation: r})
		}
	}
}

func (w *World) unix() int64 { return int64(w.Clock.Now() / time.Second) }

// Start boots a node that is down.
func (n *Node) Start() {
	if n.Coord != nil {
		return
	}
	w := n.world
	cfg := mesh.Config{Self: n.ID, Members: w.table, VerifyCapability: func(api.Capability) error { return nil }}
	if w.opt.Config != nil {
		w.opt.Config(n.Index, &cfg)
	}
	coord, err := mesh.New(cfg, w.Clock.Now())
	if err != nil {
		panic(err) // the world is built wrong
	}
	n.Coord, n.conns, n.cuts, n.tick = coord, make(map[int]bool), make(map[uint64]bool), 0
	n.life++
	n.announce()
	n.later(gossipEvery+w.spread(gossipEvery), n.gossip)
	n.step(mesh.Tick{})
}

// spread draws a time in 0..d.
func (w *World) spread(d time.Duration) time.Duration {
	return time.Duration(w.rng.Int64N(int64(d)))
}

// Crash stops a node at once. Its disk stays. Peers notice soon, unless the
// crash is a silent one.
func (n *Node) Crash() {
	if n.Coord == nil {
		return
	}
	w := n.world
	n.Coord = nil
	n.life++
	if w.rng.Float64() < w.opt.Silent {
		for _, m := range w.Nodes {
			delete(m.conns, n.Index) // a half-open connection: nothing arrives, nobody is told
		}
		return
	}
	for _, m := range w.Nodes {
		if m.conns[n.Index] {
			delete(m.conns, n.Index)
			m.later(w.spread(20*time.Millisecond), func() { m.step(mesh.PeerLost{Node: n.ID}) })
		}
	}
}

// Destroy is Crash with the loss of the disk.
func (n *Node) Destroy() {
	n.Crash()
	n.Disk.Wipe()
}

// Cut ends the connections between nodes that a partition has separated.
func (w *World) Cut() {
	for _, a := range w.Nodes {
		for _, b := range w.Nodes {
			if a.conns[b.Index] && !w.Net.Joined(a.Index, b.Index) {
				delete(a.conns, b.Index)
				a.later(w.spread(time.Second), func() { a.step(mesh.PeerLost{Node: b.ID}) })
			}
		}
	}
}

// later runs f after d unless the node's life has ended by then.
func (n *Node) later(d time.Duration, f func()) {
	life := n.life
	n.world.Clock.After(d, func() {
		if n.life == life && n.Coord != nil {
			f()
		}
	})
}

// step feeds an event and performs the effects.
func (n *Node) step(ev mesh.Event) {
	if n.Coord == nil {
		return
	}
	w := n.world
	effects := n.Coord.Step(w.Clock.Now(), ev)
	perform := append([]mesh.Effect(nil), effects...)
	for _, e := range perform {
		if w.trace != nil {
			fmt.Fprintf(w.trace, "%d %d %T%+v\n", w.Clock.Now(), n.Index, e, e)
		}
		n.perform(e)
	}
	n.arm()
}

// arm schedules the next Tick.
func (n *Node) arm() {
	if n.Coord == nil {
		return
	}
	at, ok := n.Coord.NextTick()
	if !ok || (n.tick != 0 && n.tick <= at) {
		return
	}
	n.tick = max(at, n.world.Clock.Now())
	due := n.tick
	n.later(due-n.world.Clock.Now(), func() {
		if n.tick == due {
			n.tick = 0
			n.step(mesh.Tick{})
		}
	})
}

// gossip announces the node from time to time.
func (n *Node) gossip() {
	n.Disk.Expire(n.world.Clock.Now() - draftLife)
	n.announce()
	n.later(gossipEvery, n.gossip)
}

// announce gives the node's capability to itself and to everyone it can reach.
func (n *Node) announce() {
	v := n.capability()
	n.step(mesh.CapabilityReceived{Capability: v})
	for _, m := range n.world.Nodes {
		if n.conns[m.Index] {
			n.tell(m, v)
		}
	}
}

func (n *Node) capability() api.Capability {
	w := n.world
	n.seq++
	n.free = n.Disk.quota - min(n.Disk.quota, n.Disk.used)
	if n.free < api.MaxBlock {
		n.free = 0
	}
	v := api.Capability{
		Node: n.ID, Seq: n.seq, Roles: w.opt.Role(n.Index), Name: fmt.Sprintf("node-%d", n.Index),
		Free: n.free, Used: n.Disk.used,
	}
	if w.opt.Domain != nil {
		v.Domain = w.opt.Domain(n.Index)
	}
	return v
}

func (n *Node) tell(m *Node, v api.Capability) {
	if d, ok := n.world.Net.Travel(n.Index, m.Index, requestSize); ok {
		m.later(d, func() { m.step(mesh.CapabilityReceived{Capability: v}) })
	}
}

// Digest is a hash of everything that happened, when tracing.
func (w *World) Digest() api.Hash {
	var h api.Hash
	if w.trace != nil {
		w.trace.Sum(h[:0])
	}
	return h
}
