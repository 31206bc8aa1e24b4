package shm

import (
	"cmp"
	"slices"
	"time"

	"inos/kernel/arena"
	"inos/kernel/epoch"
	"inos/kernel/layout"
	"inos/kernel/ring"
)

// Bounds of lending.
const (
	MaxLeases       = 64       // processes attached at a time, those shaking hands included
	MaxLeaseRegions = 16       // regions of one lease
	MaxLeaseWatches = 64       // cells one lease sleeps on
	MaxRegion       = 64 << 20 // bytes of one region

	handshakeTime = 5 * time.Second // for the first request
	answerTime    = 5 * time.Second // for a process to take an answer
)

// LenderConfig says what is lent.
type LenderConfig struct {
	Socket string           // path of the attach socket; made with mode 0600
	Region *Region          // the arena's memory
	Arena  *arena.Arena     // opened with arena.Shared(Waker())
	Limit  uint64           // bytes of all lent regions together; 0 means the arena's size
	Note   func(Notice)     // called for each change, without the lender's lock; may be nil
	Now    func() time.Time // time.Now
}

// Notice is one change that a lender reports.
type Notice struct {
	Event     string // "attached", "ended", "refused"
	Lease     LeaseInfo
	Reclaimed uint64     // ended: bytes of regions and heap taken back
	Leak      arena.Leak // ended: what the owner held in the arena's heap
	Err       error      // refused: why
}

// LeaseInfo describes an attached process.
type LeaseInfo struct {
	Lease   uint32
	Owner   arena.Owner
	PID     int32
	Name    string
	Role    Role
	Since   time.Time
	Watches int // cells it sleeps on
	Regions int // regions and ring ends it holds
	Bytes   uint64
}

// RegionInfo describes a lent region.
type RegionInfo struct {
	Region uint32
	Kind   string // "state", "span", "ring"
	Name   string
	Bytes  uint64
	Owner  arena.Owner // of a state or span
	Ends   [2]uint32   // of a ring: the writer's and the reader's lease, 0 while free
	Ring   ring.Usage  // of a ring
}

// lent is one region handed out. The lender's lock guards it.
type lent struct {
	number uint32
	kind   Op // layout.OpState, OpSpan or OpRing
	name   string
	mem    *Region
	owner  *lease     // of a state or span
	ends   [2]*lease  // of a ring, by ring.End
	ring   *ring.Ring // of a ring: to tell one end that the other is gone
}

func (r *lent) info() RegionInfo {
	i := RegionInfo{Region: r.number, Name: r.name, Bytes: uint64(len(r.mem.Bytes()))}
	switch r.kind {
	case layout.OpState:
		i.Kind, i.Owner = "state", r.owner.owner
	case layout.OpSpan:
		i.Kind, i.Owner = "span", r.owner.owner
	default:
		i.Kind, i.Ring = "ring", r.ring.Usage()
		for end, l := range r.ends {
			if l != nil {
				i.Ends[end] = l.number
			}
		}
	}
	return i
}

// watchKey is what a lease sleeps on: a cell of the arena, or a named state.
type watchKey struct {
	cell uint32
	name string
}

// hold is a counted sleeper.
type hold interface {
	Release()
	Ended() bool // what was held is gone
}

// cellHold holds a cell of the arena, which stays.
type cellHold struct{ *epoch.Cell }

// Ended is never true.
func (cellHold) Ended() bool { return false }

// lease is one attached process. The lender's lock guards it.
type lease struct {
	number  uint32
	owner   arena.Owner
	pid     int32
	name    string
	role    Role
	since   time.Time
	watches map[watchKey]hold // at most MaxLeaseWatches
	holds   map[uint32]*lent  // at most MaxLeaseRegions
}

func (l *lease) info() LeaseInfo {
	i := LeaseInfo{
		Lease: l.number, Owner: l.owner, PID: l.pid, Name: l.name, Role: l.role, Since: l.since,
		Watches: len(l.watches), Regions: len(l.holds),
	}
	for _, r := range l.holds {
		i.Bytes += uint64(len(r.mem.Bytes()))
	}
	return i
}

func sortedLeases(in map[*lease]struct{}) []LeaseInfo {
	out := make([]LeaseInfo, 0, len(in))
	for l := range in {
		out = append(out, l.info())
	}
	slices.SortFunc(out, func(a, b LeaseInfo) int { return cmp.Compare(a.Lease, b.Lease) })
	return out
}

func sortedRegions(in map[uint32]*lent) []RegionInfo {
	out := make([]RegionInfo, 0, len(in))
	for _, r := range in {
		out = append(out, r.info())
	}
	slices.SortFunc(out, func(a, b RegionInfo) int { return cmp.Compare(a.Region, b.Region) })
	return out
}
