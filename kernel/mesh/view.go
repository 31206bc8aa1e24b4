package mesh

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"

	"inos/kernel/api"
)

// View is one version of the nodes that blocks are placed on, immutable and
// safe to share between goroutines. Two nodes whose views hold the same rows
// compute the same holders for every address.
//
// Placement is weighted rendezvous hashing: each node draws an exponentially
// distributed cost from the hash of its id and the address, divided by its
// weight, and the lowest costs win. Nodes of a failure domain that is taken are
// passed over until every domain is. When a node leaves, only the blocks placed
// on it move; when one joins, only those it wins.
//
// The weight is the power of two at or below the node's capacity in GiB (free
// and used), so it stays put while the disk fills. All arithmetic is in
// integers: every host and browser agrees to the bit.
//
// Source: Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit
// Rates", IEEE/ACM ToN 6(1), 1998; Schindelhauer and Schomaker, "Weighted
// Distributed Hash Tables", SPAA 2005.
type View struct {
	version uint64
	rows    []row // in node order
	domains bool  // some domain has two nodes
}

// row is one storage node.
type row struct {
	id     api.NodeID
	k0, k1 uint64 // from id, mixed with the address
	class  uint8  // log2 of the weight
	open   bool   // has free space: takes new blocks
	domain uint16 // equal for nodes of one failure domain
}

// maxClass bounds the weight at 2^20, a PiB.
const maxClass = 20

// stackRows is the largest view whose costs fit the stack.
const stackRows = 64

// Version numbers this node's views; it says nothing about other nodes'.
func (v *View) Version() uint64 { return v.version }

// Len is the number of storage nodes, full ones included.
func (v *View) Len() int { return len(v.rows) }

// Place appends to dst[:0] the nodes that new copies of addr go to, best first:
// at most copies, fewer when fewer storage nodes have space. It allocates
// nothing when dst has the capacity and the view at most 64 nodes.
func (v *View) Place(dst []api.NodeID, addr api.Address, copies int) []api.NodeID {
	return v.pick(dst[:0], addr, copies, true)
}

// Holders appends to dst[:0] the nodes expected to hold addr, best first, full
// ones included: where to look.
func (v *View) Holders(dst []api.NodeID, addr api.Address, copies int) []api.NodeID {
	return v.pick(dst[:0], addr, copies, false)
}

func (v *View) pick(dst []api.NodeID, addr api.Address, copies int, open bool) []api.NodeID {
	copies = min(copies, api.MaxCopies)
	if copies <= 0 {
		return dst
	}
	if !v.domains {
		return v.pickCheapest(dst, addr, copies, open)
	}
	return v.pickSpread(dst, addr, copies, open)
}

// pickCheapest selects in one pass, for views where every node is a failure
// domain of its own. Most nodes are passed over on a bound of their cost.
func (v *View) pickCheapest(dst []api.NodeID, addr api.Address, copies int, open bool) []api.NodeID {
	var costs [api.MaxCopies]uint64
	var best [api.MaxCopies]int32
	n := 0
	a0, a1 := binary.LittleEndian.Uint64(addr[:8]), binary.LittleEndian.Uint64(addr[8:16])
	for i := range v.rows {
		r := &v.rows[i]
		u := mix(a0^r.k0, a1^r.k1)
		if (open && !r.open) || (n == copies && costBound(u)>>r.class >= costs[n-1]) {
			continue
		}
		x := cost(u) >> r.class
		if n < copies {
			n++
		} else if x >= costs[n-1] {
			continue
		}
		k := n - 1
		for ; k > 0 && costs[k-1] > x; k-- {
			costs[k], best[k] = costs[k-1], best[k-1]
		}
		costs[k], best[k] = x, int32(i)
	}
	for _, i := range best[:n] {
		dst = append(dst, v.rows[i].id)
	}
	return dst
}

// pickSpread selects by repeated minimum, domains that are not taken first.
func (v *View) pickSpread(dst []api.NodeID, addr api.Address, copies int, open bool) []api.NodeID {
	var buf [stackRows]uint64
	costs := v.costs(buf[:0], addr, open)
	var taken [api.MaxCopies]uint16
	used := 0 // domains in taken
	for len(dst) < copies {
		best := v.cheapest(costs, taken[:used])
		if best < 0 { // every domain is taken: fill up by cost alone
			return v.fill(dst, costs, copies)
		}
		dst = append(dst, v.rows[best].id)
		costs[best] = noCost
		taken[used] = v.rows[best].domain
		used++
	}
	return dst
}

// fill appends the cheapest rows that are left.
func (v *View) fill(dst []api.NodeID, costs []uint64, copies int) []api.NodeID {
	for len(dst) < copies {
		best := v.cheapest(costs, nil)
		if best < 0 {
			break
		}
		dst = append(dst, v.rows[best].id)
		costs[best] = noCost
	}
	return dst
}

// noCost marks a row that is taken or not eligible.
const noCost = ^uint64(0)

func (v *View) cheapest(costs []uint64, taken []uint16) int {
	best, low := -1, noCost
	for i, c := range costs {
		if c < low && (len(taken) == 0 || !slices.Contains(taken, v.rows[i].domain)) {
			best, low = i, c
		}
	}
	return best
}

func (v *View) costs(buf []uint64, addr api.Address, open bool) []uint64 {
	a0, a1 := binary.LittleEndian.Uint64(addr[:8]), binary.LittleEndian.Uint64(addr[8:16])
	for i := range v.rows {
		r := &v.rows[i]
		if open && !r.open {
			buf = append(buf, noCost)
			continue
		}
		buf = append(buf, cost(mix(a0^r.k0, a1^r.k1))>>r.class)
	}
	return buf
}

// rank appends the indexes of all rows in the order in which they are expected
// to hold addr. Its prefixes are what Holders returns.
func (v *View) rank(dst []int, addr api.Address) []int {
	costs := v.costs(make([]uint64, 0, len(v.rows)), addr, false)
	order := make([]int, len(v.rows))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(costs[a], costs[b]), cmp.Compare(a, b))
	})
	if !v.domains {
		return append(dst, order...)
	}
	seen := make(map[uint16]bool, len(order))
	var rest []int
	for _, i := range order {
		if d := v.rows[i].domain; !seen[d] {
			seen[d] = true
			dst = append(dst, i)
		} else {
			rest = append(rest, i)
		}
	}
	return append(dst, rest...)
}

// index finds a node's row, or -1.
func (v *View) index(node api.NodeID) int {
	i, ok := slices.BinarySearchFunc(v.rows, node, func(r row, n api.NodeID) int { return bytes.Compare(r.id[:], n[:]) })
	if !ok {
		return -1
	}
	return i
}

// openCount is how many nodes have space.
func (v *View) openCount() int {
	n := 0
	for i := range v.rows {
		if v.rows[i].open {
			n++
		}
	}
	return n
}

// candidate is what a view needs to know of a node.
type candidate struct {
	id       api.NodeID
	capacity uint64 // bytes, free and used
	open     bool
	domain   string
}

// newView builds a view of candidates in any order.
func newView(version uint64, nodes []candidate) *View {
	v := &View{version: version, rows: make([]row, 0, len(nodes))}
	slices.SortFunc(nodes, func(a, b candidate) int { return bytes.Compare(a.id[:], b.id[:]) })
	labels := make(map[string]uint16)
	for i, n := range nodes {
		domain := uint16(i) // an unlabelled node is a domain of its own
		if n.domain != "" {
			if d, ok := labels[n.domain]; ok {
				domain, v.domains = d, true
			} else {
				labels[n.domain] = domain
			}
		}
		v.rows = append(v.rows, row{
			id: n.id, k0: mix(binary.LittleEndian.Uint64(n.id[:8]), binary.LittleEndian.Uint64(n.id[8:16])),
			k1:    mix(binary.LittleEndian.Uint64(n.id[16:24]), binary.LittleEndian.Uint64(n.id[24:])),
			class: classOf(n.capacity), open: n.open, domain: domain,
		})
	}
	return v
}

// classOf is log2 of the capacity in GiB, rounded down, 0 below 2 GiB.
func classOf(capacity uint64) uint8 {
	return uint8(min(max(bits.Len64(capacity>>30)-1, 0), maxClass))
}

// same reports whether two views place every block alike.
func (v *View) same(w *View) bool { return slices.Equal(v.rows, w.rows) }

// sameNodes reports whether two views hold the same nodes.
func (v *View) sameNodes(w *View) bool {
	return slices.EqualFunc(v.rows, w.rows, func(a, b row) bool { return a.id == b.id })
}
