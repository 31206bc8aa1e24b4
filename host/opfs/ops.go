package opfs

import (
	"encoding/binary"

	"inos/kernel/api"
)

// The kinds of op. Numbers are in the log: they are appended, never changed.
const (
	opBlock      = 1  // a block is here
	opLease      = 2  // a lease names blocks
	opRename     = 3  // a lease's blocks become another's
	opRelease    = 4  // a lease is gone, and the blocks that only it named
	opEvict      = 5  // a cache block is gone
	opSpoil      = 6  // a block turned out to be corrupt
	opSet        = 7  // a record
	opDelete     = 8  // a record is gone
	opQuarantine = 9  // in snapshots: blocks ever spoiled, and extents set aside
	opEnd        = 10 // in snapshots: the last one, with the number of ops before it
	opKinds      = 11
)

// change is one op: a change of the state. Which fields count depends on kind.
type change struct {
	kind   byte
	addr   api.Address   // block, evict, spoil
	size   uint32        // block: wire bytes
	cached bool          // block: kept without a lease, until the room is needed
	at     []extent      // block, quarantine
	lease  api.LeaseID   // lease, rename, release
	to     api.LeaseID   // rename
	addrs  []api.Address // lease
	key    []byte        // set, delete: space 0 key
	value  []byte        // set
	count  uint64        // quarantine, end
}

// maxExtents bounds the extents of one op: a block in the smallest pieces.
const maxExtents = (api.MaxBlock + unit - 1) / unit

// appendOp adds the encoding of o: kind, then the fields that the kind has, in the
// order of decodeOp; integers are unsigned varints.
func appendOp(b []byte, o *change) []byte {
	b = append(b, o.kind)
	switch o.kind {
	case opBlock:
		b = append(b, o.addr[:]...)
		b = binary.AppendUvarint(b, uint64(o.size)<<1|flag(o.cached))
		b = appendExtents(b, o.at)
	case opLease:
		b = append(b, o.lease[:]...)
		b = binary.AppendUvarint(b, uint64(len(o.addrs)))
		for i := range o.addrs {
			b = append(b, o.addrs[i][:]...)
		}
	case opRename:
		b = append(append(b, o.lease[:]...), o.to[:]...)
	case opRelease:
		b = append(b, o.lease[:]...)
	case opEvict, opSpoil:
		b = append(b, o.addr[:]...)
	case opSet:
		b = appendBytes(appendBytes(b, o.key), o.value)
	case opDelete:
		b = appendBytes(b, o.key)
	case opQuarantine:
		b = appendExtents(binary.AppendUvarint(b, o.count), o.at)
	case opEnd:
		b = binary.AppendUvarint(b, o.count)
	}
	return b
}

func flag(on bool) uint64 {
	if on {
		return 1
	}
	return 0
}

func appendBytes(b, v []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

func appendExtents(b []byte, list []extent) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, e := range list {
		b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(e.at)), uint64(e.n))
	}
	return b
}

// decoder reads ops from a frame that it does not trust. bad stays set once
// anything was wrong.
type decoder struct {
	b   []byte
	bad bool
}

// next decodes one op; its byte slices point into the frame.
func (d *decoder) next() (o change) {
	o.kind = d.byte()
	switch o.kind {
	case opBlock:
		o.addr = d.hash()
		n := d.uint(api.MaxBlock<<1 | 1)
		o.size, o.cached = uint32(n>>1), n&1 == 1
		o.at = d.extents(maxExtents)
		d.bad = d.bad || o.size == 0 || unitsOf(int(o.size)) != total(o.at)
	case opLease:
		o.lease = api.LeaseID(d.hash())
		o.addrs = make([]api.Address, d.count(MaxPut, 32))
		for i := range o.addrs {
			o.addrs[i] = d.hash()
		}
	case opRename:
		o.lease, o.to = api.LeaseID(d.hash()), api.LeaseID(d.hash())
	case opRelease:
		o.lease = api.LeaseID(d.hash())
	case opEvict, opSpoil:
		o.addr = d.hash()
	case opSet:
		o.key, o.value = d.bytes(maxFrame), d.bytes(MaxMetaValue)
	case opDelete:
		o.key = d.bytes(maxFrame)
	case opQuarantine:
		o.count = d.uint(1 << 62)
		o.at = d.extents(maxQuarantine)
	case opEnd:
		o.count = d.uint(1 << 62)
	default:
		d.bad = true
	}
	return o
}

func (d *decoder) take(n int) []byte {
	if n > len(d.b) {
		d.bad, d.b = true, nil
		return make([]byte, min(n, 64)) // callers take at most 32 without knowing that they are there
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) byte() byte { return d.take(1)[0] }

func (d *decoder) hash() api.Address { return api.Address(d.take(32)) }

func (d *decoder) uint(most uint64) uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > most {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

// count reads how many things of at least size bytes follow.
func (d *decoder) count(most, size int) int {
	n := int(d.uint(uint64(most)))
	if n > len(d.b)/size {
		d.bad = true
		return 0
	}
	return n
}

func (d *decoder) bytes(most int) []byte { return d.take(d.count(most, 1)) }

func (d *decoder) extents(most int) []extent {
	list := make([]extent, d.count(most, 2))
	for i := range list {
		at, n := d.uint(maxUnits), d.uint(maxUnits)
		if n == 0 || at+n > maxUnits {
			d.bad = true
			return nil
		}
		list[i] = extent{uint32(at), uint32(n)}
	}
	return list
}

// total is the number of units of a list, which may not be trusted.
func total(list []extent) (n uint32) {
	for _, e := range list {
		n += e.n
	}
	return n
}
