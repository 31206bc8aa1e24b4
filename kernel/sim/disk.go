package sim

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"inos/kernel/api"
	"inos/kernel/mesh"
)

// Disk is a node's store: which blocks it has under which leases. It keeps no
// bytes, only sizes. What is stored survives a crash of the node and is lost
// with Wipe.
type Disk struct {
	quota  uint64
	used   uint64
	blocks map[api.Address]*diskBlock
	copies map[api.LeaseID]uint8         // of committed leases
	drafts map[api.LeaseID]time.Duration // provisional leases and when each was last stored under
}

type diskBlock struct {
	size   uint32
	leases map[api.LeaseID]bool
}

// NewDisk makes an empty disk that holds at most quota bytes.
func NewDisk(quota uint64) *Disk {
	return &Disk{
		quota: quota, blocks: make(map[api.Address]*diskBlock), copies: make(map[api.LeaseID]uint8),
		drafts: make(map[api.LeaseID]time.Duration),
	}
}

// Store keeps blocks under a lease, all or none. copies is the lease's, 0 while
// it is provisional.
func (d *Disk) Store(lease api.LeaseID, copies uint8, addrs []api.Address, sizes map[api.Address]uint32, now time.Duration) bool {
	var more uint64
	for _, a := range addrs {
		if d.blocks[a] == nil {
			more += uint64(sizes[a])
		}
	}
	if d.used+more > d.quota {
		return false
	}
	for _, a := range addrs {
		b := d.blocks[a]
		if b == nil {
			b = &diskBlock{size: sizes[a], leases: make(map[api.LeaseID]bool)}
			d.blocks[a] = b
			d.used += uint64(b.size)
		}
		b.leases[lease] = true
	}
	if copies > 0 {
		d.copies[lease] = copies
	} else {
		d.drafts[lease] = now
	}
	return true
}

// Rename turns a provisional lease into the final one, and reports whether
// either was known.
func (d *Disk) Rename(from, to api.LeaseID, copies uint8) bool {
	if _, ok := d.drafts[from]; !ok {
		return d.copies[to] > 0
	}
	delete(d.drafts, from)
	for _, b := range d.blocks {
		if b.leases[from] {
			delete(b.leases, from)
			b.leases[to] = true
		}
	}
	d.copies[to] = copies
	return true
}

// Expire releases the provisional leases that were last used before a time.
func (d *Disk) Expire(before time.Duration) {
	for l, used := range d.drafts {
		if used < before {
			d.Release(l)
		}
	}
}

// Release drops a lease and the blocks that no other lease names.
func (d *Disk) Release(lease api.LeaseID) {
	delete(d.copies, lease)
	delete(d.drafts, lease)
	for a, b := range d.blocks {
		delete(b.leases, lease)
		if len(b.leases) == 0 {
			delete(d.blocks, a)
			d.used -= uint64(b.size)
		}
	}
}

// Has reports whether a block is there.
func (d *Disk) Has(a api.Address) bool { return d.blocks[a] != nil }

// HasUnder reports whether a block is there under a lease.
func (d *Disk) HasUnder(a api.Address, lease api.LeaseID) bool {
	b := d.blocks[a]
	return b != nil && b.leases[lease]
}

// Len is the number of blocks.
func (d *Disk) Len() int { return len(d.blocks) }

// Wipe loses everything.
func (d *Disk) Wipe() {
	d.used = 0
	clear(d.blocks)
	clear(d.copies)
	clear(d.drafts)
}

// Scan returns at most limit rows after a cursor, and whether none follow.
func (d *Disk) Scan(afterAddr api.Address, afterLease api.LeaseID, limit int) ([]mesh.LocalBlock, bool) {
	var rows []mesh.LocalBlock
	for a, b := range d.blocks {
		for l := range b.leases {
			rows = append(rows, mesh.LocalBlock{Addr: a, Lease: l, Size: b.size, Copies: d.copies[l]})
		}
	}
	slices.SortFunc(rows, compareRows)
	cursor := mesh.LocalBlock{Addr: afterAddr, Lease: afterLease}
	if !afterAddr.IsZero() {
		i, found := slices.BinarySearchFunc(rows, cursor, compareRows)
		if found {
			i++
		}
		rows = rows[i:]
	}
	if len(rows) > limit {
		return rows[:limit:limit], false
	}
	return rows, true
}

func compareRows(a, b mesh.LocalBlock) int {
	return cmp.Or(bytes.Compare(a.Addr[:], b.Addr[:]), bytes.Compare(a.Lease[:], b.Lease[:]))
}
