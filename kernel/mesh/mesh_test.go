package mesh

import (
	"math/rand/v2"
	"testing"
	"time"

	"inos/kernel/api"
	"inos/kernel/identity"
)

func TestConfigBounds(t *testing.T) {
	good := Config{Self: api.NodeID{1}, Members: identity.NewMemberTable(api.NodeID{2})}
	c, err := good.withDefaults()
	if err != nil || c.GoneAfter != 5*time.Second || c.MaxFetch != 16384 || c.VerifyCapability == nil {
		t.Fatalf("defaults: %+v, %v", c, err)
	}
	for name, bend := range map[string]func(*Config){
		"no self":    func(c *Config) { c.Self = api.NodeID{} },
		"no members": func(c *Config) { c.Members = nil },
		"low":        func(c *Config) { c.GoneAfter = 1 },
		"high":       func(c *Config) { c.PutWindow = 257 },
		"negative":   func(c *Config) { c.MaxFetches = -1 },
		"backwards":  func(c *Config) { c.ConnectAfter, c.ConnectMax = time.Minute, time.Second },
	} {
		bent := good
		bend(&bent)
		if _, err := New(bent, 0); api.KindOf(err) != api.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	good.ProbeAfter, good.RescanEvery = -1, -1
	if _, err := New(good, 0); err != nil {
		t.Errorf("never: %v", err)
	}
}

func TestBoundsOfSessions(t *testing.T) {
	c := benchMesh(t, 3)
	c.cfg.MaxPuts, c.cfg.MaxFetches, c.cfg.MaxFetch, c.cfg.PutWindow = 1, 1, 4, 1
	last := func(effects []Effect) error {
		for _, e := range effects {
			switch e := e.(type) {
			case PutDone:
				return e.Err
			case FetchDone:
				return e.Err
			}
		}
		return nil
	}
	wants := make([]BlockRef, 5)
	for i := range wants {
		wants[i] = BlockRef{Addr: testAddr(i), Size: 1}
	}
	expect := func(what string, err error, kind api.Kind) {
		t.Helper()
		if err == nil || api.KindOf(err) != kind {
			t.Errorf("%s: %v, want %v", what, err, kind)
		}
	}
	expect("too long a fetch", last(c.Step(0, FetchBegin{Fetch: api.ID{1}, Wants: wants})), api.Invalid)
	if err := last(c.Step(0, FetchBegin{Fetch: api.ID{2}, Wants: wants[:4]})); err != nil {
		t.Fatal(err)
	}
	expect("the same fetch", last(c.Step(0, FetchBegin{Fetch: api.ID{2}})), api.Exists)
	expect("one fetch too many", last(c.Step(0, FetchBegin{Fetch: api.ID{3}})), api.Exhausted)
	expect("more receipts than copies", last(c.Step(0, PutBegin{Put: api.ID{1}, Policy: api.Policy{Copies: 2, MinAcks: 3}})), api.Invalid)
	expect("too many copies", last(c.Step(0, PutBegin{Put: api.ID{1}, Policy: api.Policy{Copies: 17}})), api.Invalid)
	c.Step(0, PutBegin{Put: api.ID{2}})
	expect("the same put", last(c.Step(0, PutBegin{Put: api.ID{2}})), api.Exists)
	expect("one put too many", last(c.Step(0, PutBegin{Put: api.ID{3}})), api.Exhausted)
	c.Step(0, PutBlocks{Put: api.ID{2}, Batch: 1, Blocks: wants[:1]})
	expect("beyond the window", last(c.Step(0, PutBlocks{Put: api.ID{2}, Batch: 2, Blocks: wants[1:2]})), api.Exhausted)
	c.Step(0, PutBegin{Put: api.ID{4}})
	expect("an empty batch", last(c.Step(0, PutBlocks{Put: api.ID{4}})), api.Invalid)
	c.Step(0, PutBegin{Put: api.ID{5}})
	expect("an empty put", last(c.Step(0, PutCommit{Put: api.ID{5}})), api.Invalid)
	if s := c.Stats(); s.OpenPuts != 0 || s.OpenSends != 0 {
		t.Errorf("%d puts and %d requests are left", s.OpenPuts, s.OpenSends)
	}
}

func TestWrongReceiptIsAFault(t *testing.T) {
	c := benchMesh(t, 4)
	c.Step(0, PutBegin{Put: api.ID{1}, Lease: api.LeaseID{1}})
	var sends []SendStore
	for _, e := range c.Step(0, PutBlocks{Put: api.ID{1}, Blocks: []BlockRef{{Addr: testAddr(1), Size: 1}}}) {
		sends = append(sends, e.(SendStore))
	}
	r := api.Receipt{Holder: sends[0].To, Lease: sends[0].Lease, Blocks: identity.BatchDigest([]api.Address{testAddr(2)}), Count: 1}
	effects := c.Step(0, StoreAcked{Send: sends[0].Send, Receipt: r})
	if f, ok := effects[0].(PeerFault); !ok || f.Node != sends[0].To {
		t.Errorf("a receipt for other blocks gives %v", effects)
	}
	if s, ok := effects[len(effects)-1].(SendStore); !ok || s.To == sends[0].To {
		t.Errorf("the block does not go to the next holder: %v", effects)
	}
}

// TestStepSurvivesAnything feeds events in a meaningless order: whatever a host
// does wrong, the coordinator neither panics nor grows without end.
func TestStepSurvivesAnything(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 3))
		c := benchMesh(t, 2+rng.IntN(5))
		now := time.Hour
		for range 300 {
			now += time.Duration(rng.Int64N(int64(3 * time.Second)))
			c.Step(now, nonsense(rng, c))
			if at, ok := c.NextTick(); ok && rng.IntN(2) == 0 {
				now = max(now, at)
				c.Step(now, Tick{})
			}
		}
		for _, p := range c.order {
			if p.load < 0 {
				t.Fatalf("seed %d: a peer owes %d bytes", seed, p.load)
			}
		}
		if s := c.Stats(); s.OpenPuts > c.cfg.MaxPuts || s.OpenFetches > c.cfg.MaxFetches || len(c.owing) > maxOwed {
			t.Fatalf("seed %d: %+v", seed, s)
		}
	}
}

func nonsense(rng *rand.Rand, c *Coordinator) Event {
	send := uint64(rng.IntN(int(c.lastSend) + 2))
	sid := api.ID{byte(rng.IntN(4))}
	addr := testAddr(rng.IntN(8))
	kind := api.Kind(rng.IntN(18))
	node := c.cfg.Self
	if len(c.order) > 0 && rng.IntN(5) > 0 {
		node = c.order[rng.IntN(len(c.order))].id
	}
	refs := make([]BlockRef, rng.IntN(6))
	for i := range refs {
		refs[i] = BlockRef{Addr: testAddr(rng.IntN(8)), Size: uint32(rng.IntN(3)) << 20}
	}
	switch rng.IntN(21) {
	case 0:
		return PeerConnected{node}
	case 1:
		return PeerLost{node}
	case 2:
		return PeerSeen{node, time.Duration(rng.IntN(1e6))}
	case 3:
		return CapabilityReceived{api.Capability{Node: node, Seq: uint64(rng.IntN(100)), Roles: api.Role(rng.IntN(8)), Free: uint64(rng.IntN(2)) << 40}}
	case 4:
		return PutBegin{Put: sid, Policy: api.Policy{Copies: uint8(rng.IntN(20)), MinAcks: uint8(rng.IntN(3))}}
	case 5, 6:
		return PutBlocks{Put: sid, Batch: send, Blocks: refs}
	case 7:
		return PutCommit{Put: sid}
	case 8:
		return PutAbort{sid}
	case 9, 10:
		if s := c.sends[send]; s != nil {
			return StoreAcked{send, api.Receipt{Holder: s.to, Lease: s.lease, Blocks: identity.BatchDigest(s.addrs), Count: uint32(len(s.addrs))}}
		}
		return StoreAcked{Send: send}
	case 11:
		return StoreFailed{send, kind}
	case 12:
		return CommitAcked{send}
	case 13:
		return CommitFailed{send, kind}
	case 14:
		return FetchBegin{Fetch: sid, Wants: refs, Hints: []api.NodeID{node}, Copies: uint8(rng.IntN(20))}
	case 15:
		return FetchAbort{sid}
	case 16:
		return FetchArrived{send, addr, 1 << 20}
	case 17:
		return FetchMissed{send, []api.Address{addr}, kind}
	case 18:
		rows := make([]LocalBlock, len(refs))
		for i, r := range refs {
			rows[i] = LocalBlock{Addr: r.Addr, Size: r.Size, Copies: uint8(rng.IntN(5))}
		}
		return LocalBlocks{Scan: c.repair.scan, Blocks: rows, Done: rng.IntN(2) == 0}
	case 19:
		return HasAnswered{send, make([]bool, rng.IntN(4))}
	default:
		return FetchMissed{send, nil, kind}
	}
}

// TestSmallBlocksOfUnknownSize checks that a fetch learns that blocks are small
// and asks for many at once.
func TestSmallBlocksOfUnknownSize(t *testing.T) {
	c := benchMesh(t, 3)
	wants := make([]BlockRef, 1000)
	for i := range wants {
		wants[i].Addr = testAddr(i)
	}
	queue := c.Step(time.Hour, FetchBegin{Fetch: api.ID{1}, Wants: wants})
	queue = append([]Effect(nil), queue...)
	asked := 0
	for now := time.Hour; len(queue) > 0; queue = queue[1:] {
		s, ok := queue[0].(SendFetch)
		if !ok {
			continue
		}
		asked++
		for _, a := range s.Addrs {
			now += 20 * time.Microsecond
			queue = append(queue, c.Step(now, FetchArrived{Send: s.Send, Addr: a, Size: 4 << 10})...)
		}
	}
	if s := c.Stats(); s.FetchesDone != 1 || asked > 30 {
		t.Errorf("%d fetches are done after %d requests for 1000 blocks", s.FetchesDone, asked)
	}
}
