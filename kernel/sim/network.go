package sim

import (
	"math/rand/v2"
	"time"
)

// Link says how messages travel. Zero fields mean none of it.
type Link struct {
	Delay  time.Duration // one way
	Jitter time.Duration // added, uniform in 0..Jitter
	Loss   float64       // share of messages that vanish, 0..1
	Rate   float64       // bytes per second; 0 means no limit
}

// Network carries messages between nodes numbered from 0.
type Network struct {
	rng   *rand.Rand
	link  Link
	links map[[2]int]Link
	side  map[int]int // partition side; nodes on different sides do not hear each other
}

// NewNetwork draws its chances from rng and uses link between every pair.
func NewNetwork(rng *rand.Rand, link Link) *Network {
	return &Network{rng: rng, link: link, links: make(map[[2]int]Link), side: make(map[int]int)}
}

// SetLink sets how messages go from one node to another, one way.
func (n *Network) SetLink(from, to int, l Link) { n.links[[2]int{from, to}] = l }

// Partition puts nodes on a side of their own; Heal brings all back.
func (n *Network) Partition(side int, nodes ...int) {
	for _, i := range nodes {
		n.side[i] = side
	}
}

// Heal ends every partition.
func (n *Network) Heal() { clear(n.side) }

// Joined reports whether two nodes are on the same side.
func (n *Network) Joined(a, b int) bool { return n.side[a] == n.side[b] }

// Travel draws how long a message of size bytes takes, and whether it arrives.
func (n *Network) Travel(from, to, size int) (time.Duration, bool) {
	l, ok := n.links[[2]int{from, to}]
	if !ok {
		l = n.link
	}
	d := l.Delay
	if l.Jitter > 0 {
		d += time.Duration(n.rng.Int64N(int64(l.Jitter)))
	}
	if l.Rate > 0 {
		d += time.Duration(float64(size) / l.Rate * float64(time.Second))
	}
	return d, n.Joined(from, to) && (l.Loss == 0 || n.rng.Float64() >= l.Loss)
}

// SetDefault changes the link between every pair that has none of its own.
func (n *Network) SetDefault(l Link) { n.link = l }
