package sim

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"inos/kernel/api"
	"inos/kernel/mesh"
)

var seeds = flag.Int("sim.seeds", 0, "histories per simulation test; 0 means 60, or 10 with -short")

func eachSeed(t *testing.T, f func(t *testing.T, seed uint64)) {
	t.Helper()
	n := *seeds
	if n == 0 {
		n = 60
		if testing.Short() {
			n = 10
		}
	}
	for seed := range uint64(n) {
		f(t, seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func sizes(rng *rand.Rand, n int) []uint32 {
	out := make([]uint32, n)
	for i := range out {
		out[i] = uint32(1 + rng.IntN(64<<10))
		if rng.IntN(4) == 0 {
			out[i] = api.MaxBlock
		}
	}
	return out
}

// settle runs until repair has had time to finish, then checks that nothing is
// left open.
func settle(t *testing.T, w *World, d time.Duration) {
	t.Helper()
	w.Clock.RunFor(d)
	for _, n := range w.Nodes {
		if n.Coord == nil {
			continue
		}
		s := n.Coord.Stats()
		if s.OpenPuts+s.OpenFetches+s.OpenSends > 0 {
			t.Errorf("node %d is idle but has %d puts, %d fetches and %d requests open", n.Index, s.OpenPuts, s.OpenFetches, s.OpenSends)
		}
	}
	for _, f := range w.Faults {
		t.Error(f)
	}
}

func wantCopies(t *testing.T, w *World, p *Put, want int) {
	t.Helper()
	for _, a := range p.Addrs {
		if got := w.Alive(a, p.Lease); got < want {
			t.Errorf("block %s has %d copies on live nodes, want %d", a.Short(), got, want)
			return
		}
	}
}

func mustPut(t *testing.T, p *Put) {
	t.Helper()
	if !p.Done || p.Err != nil {
		t.Fatalf("put from node %d: done %v, err %v", p.Node.Index, p.Done, p.Err)
	}
}

func mustFetch(t *testing.T, w *World, i int, addrs []api.Address) {
	t.Helper()
	f := w.Fetch(i, addrs)
	w.Clock.RunFor(2 * time.Minute)
	if !f.Done || f.Err != nil {
		t.Errorf("fetch at node %d: done %v, %d of %d, err %v", i, f.Done, len(f.Got), f.Want, f.Err)
	}
}

func TestPutFetchQuiet(t *testing.T) {
	for _, nodes := range []int{1, 2, 3, 5, 30} {
		w := New(Options{Seed: 1, Nodes: nodes})
		w.Clock.RunFor(3 * time.Second)
		p := w.Put(0, api.Policy{}, 16, sizes(w.rng, 100)...)
		w.Clock.RunFor(time.Second)
		mustPut(t, p)
		if want := min(3, nodes); int(p.Acks) != want {
			t.Errorf("%d nodes: %d acks, want %d", nodes, p.Acks, want)
		}
		for i := 1; i < nodes && i < 4; i++ {
			missing := p.Addrs[:0:0]
			for _, a := range p.Addrs {
				if !w.Nodes[i].Disk.Has(a) {
					missing = append(missing, a)
				}
			}
			mustFetch(t, w, i, missing)
		}
		settle(t, w, time.Minute)
	}
}

// TestSurvivesLosses destroys any copies-1 nodes after the acknowledgement.
func TestSurvivesLosses(t *testing.T) {
	eachSeed(t, func(t *testing.T, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 7))
		nodes := 4 + rng.IntN(9)
		w := New(Options{Seed: seed, Nodes: nodes, Silent: 0.3})
		w.Clock.RunFor(3 * time.Second)
		var puts []*Put
		for range 3 {
			puts = append(puts, w.Put(rng.IntN(nodes), api.Policy{Copies: 3}, 8, sizes(rng, 1+rng.IntN(60))...))
		}
		w.Clock.RunFor(5 * time.Second)
		reader := rng.IntN(nodes)
		for _, i := range rng.Perm(nodes)[:3] {
			if i != reader && w.up() > nodes-2 {
				w.Nodes[i].Destroy()
			}
		}
		if rng.IntN(2) == 0 {
			w.Clock.RunFor(time.Duration(rng.IntN(10_000)) * time.Millisecond)
		}
		for _, p := range puts {
			mustPut(t, p)
			mustFetch(t, w, reader, p.Addrs)
		}
		settle(t, w, 3*time.Minute)
		for _, p := range puts {
			wantCopies(t, w, p, min(3, w.up()))
		}
	})
}

func (w *World) up() int {
	n := 0
	for _, node := range w.Nodes {
		if node.Coord != nil {
			n++
		}
	}
	return n
}

// TestChaos crashes, partitions, loses messages and restarts while work goes on.
func TestChaos(t *testing.T) {
	eachSeed(t, func(t *testing.T, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 11))
		nodes := 3 + rng.IntN(8)
		w := New(Options{
			Seed: seed, Nodes: nodes, Silent: 0.3,
			Config: func(_ int, c *mesh.Config) { c.RescanEvery = 3 * time.Minute },
			Link:   Link{Delay: time.Millisecond, Jitter: 20 * time.Millisecond, Loss: 0.01 * float64(rng.IntN(4)), Rate: 2e8},
		})
		w.Clock.RunFor(3 * time.Second)
		var puts []*Put
		for range 30 {
			switch i := rng.IntN(nodes); rng.IntN(6) {
			case 0, 1:
				if w.Nodes[i].Coord != nil {
					puts = append(puts, w.Put(i, api.Policy{Copies: uint8(1 + rng.IntN(4))}, 1+rng.IntN(16), sizes(rng, 1+rng.IntN(40))...))
				}
			case 2:
				if w.up() > 2 {
					w.Nodes[i].Crash()
				}
			case 3:
				w.Nodes[i].Start()
			case 4:
				w.Net.Partition(1, i)
				w.Cut()
			case 5:
				if len(puts) > 0 && w.Nodes[i].Coord != nil {
					w.Fetch(i, puts[rng.IntN(len(puts))].Addrs)
				}
			}
			w.Clock.RunFor(time.Duration(rng.IntN(4000)) * time.Millisecond)
			if rng.IntN(4) == 0 {
				w.Net.Heal()
			}
		}
		w.Net.Heal()
		w.Net.SetDefault(Link{Delay: time.Millisecond, Rate: 2e8})
		for _, n := range w.Nodes {
			n.Start()
		}
		settle(t, w, 10*time.Minute)
		done := 0
		for _, p := range puts {
			if !p.Done || p.Err != nil {
				continue
			}
			done++
			wantCopies(t, w, p, min(int(p.Copies), nodes))
			mustFetch(t, w, rng.IntN(nodes), p.Addrs)
		}
		settle(t, w, time.Minute)
	})
}

func TestNodeReturnsAndJoins(t *testing.T) {
	w := New(Options{Seed: 3, Nodes: 6})
	w.Nodes[5].Crash()
	w.Clock.RunFor(10 * time.Second)
	p := w.Put(0, api.Policy{}, 32, sizes(w.rng, 300)...)
	w.Clock.RunFor(10 * time.Second)
	mustPut(t, p)
	w.Nodes[5].Start()
	settle(t, w, 2*time.Minute)
	view := w.Nodes[0].Coord.View()
	for _, a := range p.Addrs {
		for _, n := range view.Place(nil, a, 3) {
			if !w.byID[n].Disk.HasUnder(a, p.Lease) {
				t.Fatalf("block %s is not where placement says", a.Short())
			}
		}
	}
}

func TestFullDisksPassOver(t *testing.T) {
	w := New(Options{Seed: 4, Nodes: 5, Quota: 40 << 20})
	w.Clock.RunFor(3 * time.Second)
	ok, failed := 0, 0
	for range 40 {
		p := w.Put(w.rng.IntN(5), api.Policy{Copies: 2}, 4, api.MaxBlock, api.MaxBlock, api.MaxBlock, api.MaxBlock)
		w.Clock.RunFor(20 * time.Second)
		switch {
		case !p.Done:
			t.Fatal("a put hangs")
		case p.Err == nil:
			ok++
		case api.KindOf(p.Err) != api.NoSpace && api.KindOf(p.Err) != api.Unavailable:
			t.Fatalf("a full mesh answers %v", p.Err)
		default:
			failed++
		}
	}
	if ok < 10 || failed == 0 {
		t.Errorf("%d puts fitted and %d failed; 5 disks of 40 MiB take about 25", ok, failed)
	}
	settle(t, w, 5*time.Minute)
}

func TestDomainsFirst(t *testing.T) {
	w := New(Options{Seed: 5, Nodes: 9, Domain: func(i int) string { return fmt.Sprintf("rack-%d", i%3) }})
	w.Clock.RunFor(3 * time.Second)
	p := w.Put(2, api.Policy{}, 64, sizes(w.rng, 200)...)
	w.Clock.RunFor(10 * time.Second)
	mustPut(t, p)
	for _, a := range p.Addrs {
		racks := map[int]bool{}
		for _, n := range w.Nodes {
			if n.Disk.Has(a) {
				racks[n.Index%3] = true
			}
		}
		if len(racks) != 3 {
			t.Fatalf("block %s is in %d racks, want 3", a.Short(), len(racks))
		}
	}
}

func TestSlowHolderServesLess(t *testing.T) {
	w := New(Options{Seed: 6, Nodes: 4})
	w.Clock.RunFor(3 * time.Second)
	big := make([]uint32, 300)
	for i := range big {
		big[i] = 1 << 20
	}
	p := w.Put(0, api.Policy{Copies: 4}, 64, big...)
	w.Clock.RunFor(20 * time.Second)
	mustPut(t, p)
	w.Nodes[3].Disk.Wipe()
	w.Net.SetLink(0, 3, Link{Delay: time.Millisecond, Rate: 400e6})
	w.Net.SetLink(1, 3, Link{Delay: time.Millisecond, Rate: 400e6})
	w.Net.SetLink(2, 3, Link{Delay: time.Millisecond, Rate: 10e6})
	began := w.Clock.Now()
	f := w.Fetch(3, p.Addrs)
	for !f.Done && w.Clock.Step() {
	}
	// 300 MiB at 800 MB/s is 0.4 s; the slow holder's last megabyte adds little.
	if took := w.Clock.Now() - began; f.Err != nil || took > 900*time.Millisecond {
		t.Errorf("fetch took %v, err %v", took, f.Err)
	}
	settle(t, w, time.Minute)
}

func TestRevokedNodeIsRefused(t *testing.T) {
	w := New(Options{Seed: 8, Nodes: 4})
	w.Clock.RunFor(3 * time.Second)
	w.Revoke(3)
	w.Clock.RunFor(time.Second)
	for _, n := range w.Nodes[:3] {
		if got := n.Coord.State(w.Nodes[3].ID); got != mesh.MemberRemoved {
			t.Errorf("node %d sees the revoked node as %v", n.Index, got)
		}
		if n.conns[3] {
			t.Errorf("node %d keeps its connection with the revoked node", n.Index)
		}
	}
	p := w.Put(0, api.Policy{}, 8, sizes(w.rng, 50)...)
	w.Clock.RunFor(5 * time.Second)
	mustPut(t, p)
	if n := w.Nodes[3].Disk.Len(); n != 0 {
		t.Errorf("the revoked node was given %d blocks", n)
	}
}

func TestSameSeedSameTrace(t *testing.T) {
	run := func(seed uint64) api.Hash {
		w := New(Options{Seed: seed, Nodes: 7, Silent: 0.5, Tracing: true, Link: Link{Delay: time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.02, Rate: 1e8}})
		w.Clock.RunFor(2 * time.Second)
		var last *Put
		for i := range 6 {
			last = w.Put(i, api.Policy{}, 8, sizes(w.rng, 40)...)
			w.Clock.RunFor(time.Second)
			w.Nodes[(i+2)%7].Crash()
			w.Clock.RunFor(time.Second)
			w.Nodes[(i+1)%7].Start()
			w.Fetch((i+3)%7, last.Addrs[:w.up()])
		}
		w.Clock.RunFor(time.Minute)
		return w.Digest()
	}
	for seed := range uint64(5) {
		if a, b := run(seed), run(seed); a != b {
			t.Fatalf("seed %d gave two traces, %s and %s", seed, a.Short(), b.Short())
		}
	}
	if run(1) == run(2) {
		t.Error("two seeds gave the same trace")
	}
}

// TestSharedBlocksKeepEveryLease puts the same blocks three times, so that a
// block's leases straddle the pages of a scan, and loses a node.
func TestSharedBlocksKeepEveryLease(t *testing.T) {
	w := New(Options{Seed: 9, Nodes: 4})
	w.Clock.RunFor(3 * time.Second)
	refs := make([]mesh.BlockRef, 5000)
	for i := range refs {
		refs[i] = mesh.BlockRef{Addr: w.address(4096), Size: 4096}
	}
	var puts []*Put
	for i := range 3 {
		puts = append(puts, w.PutBlocks(i, api.Policy{}, 300, refs))
		w.Clock.RunFor(10 * time.Second)
		mustPut(t, puts[i])
	}
	w.Nodes[3].Destroy()
	settle(t, w, 5*time.Minute)
	for _, p := range puts {
		wantCopies(t, w, p, 3)
	}
}
