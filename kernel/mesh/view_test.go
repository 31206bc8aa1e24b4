package mesh

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/zeebo/blake3"
	"pgregory.net/rapid"

	"inos/kernel/api"
)

func testNodes(n int, gib func(i int) uint64, domain func(i int) string) []candidate {
	out := make([]candidate, n)
	for i := range out {
		out[i] = candidate{id: api.NodeID(blake3.Sum256([]byte{byte(i), byte(i >> 8), 'n'})), capacity: gib(i) << 30, open: true}
		if domain != nil {
			out[i].domain = domain(i)
		}
	}
	return out
}

func equalGiB(int) uint64 { return 100 }

func testAddr(i int) api.Address { return blake3.Sum256([]byte{byte(i), byte(i >> 8), byte(i >> 16)}) }

func TestCostIsExponential(t *testing.T) {
	for _, u := range []uint64{1, 2, 3, 1 << 20, 1 << 63, 1<<63 + 1<<40, math.MaxUint64, 0x123456789abcdef0} {
		want := -math.Log2(float64(u|1) / math.Exp2(64))
		got := float64(cost(u)) / (1 << costBits)
		if math.Abs(got-want) > 1e-5*max(1, want) {
			t.Errorf("cost(%#x) = %v, want %v", u, got, want)
		}
	}
	for u := uint64(math.MaxUint64); u > 1<<20; u = u / 3 * 2 {
		if costBound(u) > cost(u) {
			t.Fatalf("the bound of cost(%#x) is above it", u)
		}
		if cost(u) > cost(u/3*2) {
			t.Fatalf("cost does not fall with u at %#x", u)
		}
	}
}

// TestPlaceGolden pins placement: a change would make nodes of two versions
// look for blocks in different places.
func TestPlaceGolden(t *testing.T) {
	v := newView(1, testNodes(9, func(i int) uint64 { return 50 << (i % 3) }, func(i int) string { return fmt.Sprint("rack", i%4) }))
	h := blake3.New()
	for i := range 1000 {
		for _, n := range v.Place(nil, testAddr(i), 3) {
			_, _ = h.Write(n[:])
		}
	}
	if got := fmt.Sprintf("%x", h.Sum(nil)[:8]); got != "8d0f63be34060c35" {
		t.Errorf("placements hash to %s", got)
	}
}

func TestPlaceSharesByWeight(t *testing.T) {
	nodes := testNodes(10, func(i int) uint64 { return 64 << (i / 5) }, nil) // five of 64 GiB, five of 128
	v := newView(1, slices.Clone(nodes))
	count := map[api.NodeID]int{}
	const draws = 100_000
	for i := range draws {
		count[v.Place(nil, testAddr(i), 1)[0]]++
	}
	for i, n := range nodes {
		want := float64(draws) / 15
		if i >= 5 {
			want *= 2
		}
		if got := float64(count[n.id]); math.Abs(got-want) > 0.06*want {
			t.Errorf("node %d has %v blocks, want about %v", i, got, want)
		}
	}
}

func TestPlaceMovesLittle(t *testing.T) {
	nodes := testNodes(20, equalGiB, nil)
	all, less := newView(1, slices.Clone(nodes)), newView(2, slices.Clone(nodes[1:]))
	moved := 0
	for i := range 10_000 {
		a := all.Place(nil, testAddr(i), 3)
		b := less.Place(nil, testAddr(i), 3)
		if !slices.Contains(a, nodes[0].id) {
			if !slices.Equal(a, b) {
				t.Fatalf("block %d moved although its nodes stayed", i)
			}
			continue
		}
		moved++
		kept := slices.DeleteFunc(slices.Clone(a), func(n api.NodeID) bool { return n == nodes[0].id })
		if !slices.Equal(kept, b[:2]) {
			t.Fatalf("block %d lost more than the node that left", i)
		}
	}
	if moved < 1300 || moved > 1700 {
		t.Errorf("%d of 10000 blocks were on one of 20 nodes, want about 1500", moved)
	}
}

// TestPlaceAgreesWithRank checks the two ways of choosing against each other,
// with domains, full nodes and any number of copies.
func TestPlaceAgreesWithRank(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 70).Draw(t, "nodes")
		nodes := testNodes(n, func(i int) uint64 { return rapid.Uint64Range(0, 4096).Draw(t, "gib") }, func(int) string {
			return rapid.SampledFrom([]string{"", "", "a", "b", "c"}).Draw(t, "domain")
		})
		v := newView(1, nodes)
		addr := testAddr(rapid.IntRange(0, 1<<20).Draw(t, "addr"))
		copies := rapid.IntRange(0, api.MaxCopies).Draw(t, "copies")
		got := v.Holders(nil, addr, copies)
		if len(got) != min(copies, n) {
			t.Fatalf("%d holders of %d nodes for %d copies", len(got), n, copies)
		}
		for i, r := range v.rank(nil, addr)[:len(got)] {
			if v.rows[r].id != got[i] {
				t.Fatalf("place %d differs", i)
			}
		}
	})
}

func TestPlacePassesFullNodesOver(t *testing.T) {
	nodes := testNodes(5, equalGiB, nil)
	nodes[2].open = false
	full := nodes[2].id
	v := newView(1, nodes)
	seen := false
	for i := range 200 {
		if slices.Contains(v.Place(nil, testAddr(i), 3), full) {
			t.Fatal("a full node takes new blocks")
		}
		seen = seen || slices.Contains(v.Holders(nil, testAddr(i), 3), full)
	}
	if !seen {
		t.Error("a full node is not looked at for the blocks it has")
	}
}

func TestPlaceAllocatesNothing(t *testing.T) {
	v := newView(1, testNodes(30, equalGiB, nil))
	buf := make([]api.NodeID, 0, api.MaxCopies)
	addr := testAddr(1)
	if n := testing.AllocsPerRun(100, func() { buf = v.Place(buf, addr, 3) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPlace(b *testing.B) {
	for _, n := range []int{3, 30} {
		b.Run(fmt.Sprint("nodes=", n), func(b *testing.B) {
			v := newView(1, testNodes(n, equalGiB, nil))
			buf := make([]api.NodeID, 0, api.MaxCopies)
			addr := testAddr(1)
			b.ReportAllocs()
			for b.Loop() {
				addr[0]++
				addr[8]++
				buf = v.Place(buf, addr, 3)
			}
		})
	}
}
