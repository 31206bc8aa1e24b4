// Package twin keeps a consistent private copy of regions of shared memory.
//
// A kernel that cannot map the arena, as in a browser's tab, and a kernel that
// wants to look at something for longer than it stays unchanged, work on the
// twin: after each Sync it holds, region by region, what the arena held at one
// moment. Only what moved is copied.
//
// Invariants:
//   - A region's bytes come from one version: a copy that the writer overtook is
//     thrown away and the earlier snapshot stays.
//   - A record's bytes come from one write of that record. Different records of a
//     table may be of different moments.
//   - Buffers are made when a region is added. Sync allocates nothing, blocks on
//     nobody and writes nothing to the shared memory.
//   - What the shared memory says is checked against what was known when the
//     region was added: nothing there makes a twin panic or read elsewhere.
//
// Sync points. A version or sequence is loaded before and after each copy, and
// Source.Copy keeps its accesses between the two (layout.LoadShared).
package twin

import (
	"inos/kernel/api"
	"inos/kernel/layout"
)

// tries bounds how often one Sync copies a region whose writer comes round. The
// next Sync tries again.
const tries = 8

// Source is shared memory as a twin reads it.
type Source interface {
	// Size is the number of bytes.
	Size() uint64
	// Load reads the aligned 32-bit word at off atomically, sequentially consistent
	// with other Loads and with the writers' atomics.
	Load(off uint64) uint32
	// Copy fills dst from off on, after every Load before it and before every Load
	// after it.
	Copy(dst []byte, off uint64)
}

// Memory is a Source of mapped bytes that begin at a multiple of 64.
type Memory []byte

// Size implements Source.
func (m Memory) Size() uint64 { return uint64(len(m)) }

// Load implements Source.
func (m Memory) Load(off uint64) uint32 { return layout.U32(m, off).Load() }

// Copy implements Source.
func (m Memory) Copy(dst []byte, off uint64) { layout.LoadShared(dst, m[off:]) }

// Region is one mirrored region. Its methods belong to the goroutine that calls
// Twin.Sync; Bytes holds until the next one.
type Region struct {
	name  string
	off   uint64
	bytes []byte // the snapshot
	seen  uint32 // version, or value of the table's cell
	fresh bool   // seen means something
	late  uint64

	sync func(src Source, r *Region) (moved bool, err error)

	// A state: the other buffer, and the most bytes of a half.
	spare []byte
	most  uint64

	// A table: its cell, its records' size, and their sequences as copied.
	cell     uint64
	stride   uint64
	sequence []uint32
	scratch  []byte
}

// Name is what the region was added as.
func (r *Region) Name() string { return r.name }

// Bytes is the snapshot: a state's newest whole version, or every record of a
// table at its stride. The caller does not change it.
func (r *Region) Bytes() []byte { return r.bytes }

// Version is the state's version, or the value of the table's epoch cell, that
// the snapshot is of.
func (r *Region) Version() uint32 { return r.seen }

// Late counts the copies thrown away because a writer overtook them.
func (r *Region) Late() uint64 { return r.late }

// Twin is a set of mirrored regions. One goroutine uses it at a time.
type Twin struct {
	src     Source
	regions []*Region
}

// New returns a twin of nothing yet.
func New(src Source) *Twin { return &Twin{src: src} }

// Sync copies every region that moved since the last Sync and returns how many
// did. A region whose writer came round during every try counts as not moved and
// is copied by a later Sync. Errors: Closed when a state is no longer there;
// other regions were copied all the same.
func (t *Twin) Sync() (moved int, err error) {
	for _, r := range t.regions {
		ok, failed := r.sync(t.src, r)
		if ok {
			moved++
		}
		if failed != nil {
			err = failed
		}
	}
	return moved, err
}

// Drop forgets a region.
func (t *Twin) Drop(r *Region) {
	for i := range t.regions {
		if t.regions[i] == r {
			t.regions = append(t.regions[:i], t.regions[i+1:]...)
			return
		}
	}
}

// State adds the state buffer whose control block is at off (layout's
// stateControl). It mirrors what lies there: when the directory gives the name
// another place, or the place another name, the caller drops the region. Errors:
// Invalid for a place outside the memory; Corrupt when no state is there.
func (t *Twin) State(name string, off uint64) (*Region, error) {
	const op = "twin.state"
	size := t.src.Size()
	if off%layout.Line != 0 || off > size || size-off < layout.StateControlSize {
		return nil, api.Errorf(op, api.Invalid, "a state's control block lies inside the memory, at a multiple of 64")
	}
	var half [8]byte
	t.src.Copy(half[:], off+layout.StateControlAtHalf)
	most := little(half[:])
	room := size - off - layout.StateControlSize
	if t.src.Load(off+layout.StateControlAtMagic) != layout.StateMagic || most == 0 || most > room/2 || 2*layout.AlignUp(most, layout.Line) > room {
		return nil, api.Errorf(op, api.Corrupt, "no state is formatted there, or its size does not fit")
	}
	r := &Region{name: name, off: off, most: most, bytes: make([]byte, 0, most), spare: make([]byte, 0, most), sync: syncState}
	t.regions = append(t.regions, r)
	return r, nil
}

// Records adds a table of count records of stride bytes at off, each beginning
// with a 32-bit sequence that is odd during a write and 0 if never used, filled
// from the front: jobs, states. cell is the offset of the epoch cell that moves
// with the table.
func (t *Twin) Records(name string, off uint64, count, stride int, cell uint64) (*Region, error) {
	size := t.src.Size()
	bad := count <= 0 || stride < 8 || stride%8 != 0 || off%8 != 0 || cell%layout.Line != 0 || cell > size-layout.EpochCellSize
	if bad || off > size || uint64(count)*uint64(stride) > size-off {
		return nil, api.Errorf("twin.records", api.Invalid, "a table's records are whole words, and it lies inside the memory as its cell does")
	}
	r := &Region{
		name: name, off: off, bytes: make([]byte, count*stride), cell: cell, stride: uint64(stride),
		sequence: make([]uint32, count), scratch: make([]byte, stride), sync: syncRecords,
	}
	t.regions = append(t.regions, r)
	return r, nil
}

var errGone = api.Errorf("twin.sync", api.Closed, "a state was removed; drop its region and add the state anew")

// syncState copies the newest version into the spare buffer and swaps.
func syncState(src Source, r *Region) (bool, error) {
	for range tries {
		version := src.Load(r.off + layout.StateControlAtCell)
		if r.fresh && version == r.seen {
			return false, nil
		}
		half := uint64(version & 1)
		lengthAt := r.off + layout.StateControlAtLength0 + half*(layout.StateControlAtLength1-layout.StateControlAtLength0)
		length := uint64(src.Load(lengthAt)) | uint64(src.Load(lengthAt+4))<<32
		whole := length <= r.most
		if whole {
			r.spare = r.spare[:length]
			src.Copy(r.spare, r.off+layout.StateControlSize+half*layout.AlignUp(r.most, layout.Line))
		}
		if src.Load(r.off+layout.StateControlAtIntent)-version > 1 {
			r.late++
			continue
		}
		// Another state made there since has another size, or is read like this one.
		same := src.Load(r.off+layout.StateControlAtMagic) == layout.StateMagic && src.Load(r.off+layout.StateControlAtHalf) == uint32(r.most)
		if !whole || !same {
			return false, errGone
		}
		r.bytes, r.spare = r.spare, r.bytes
		r.seen, r.fresh = version, true
		return true, nil
	}
	return false, nil
}

// syncRecords copies the records whose sequence moved, if the cell did.
func syncRecords(src Source, r *Region) (bool, error) {
	epoch := src.Load(r.cell)
	if r.fresh && epoch == r.seen {
		return false, nil
	}
	whole := true
	for i := range r.sequence {
		used, ok := syncRecord(src, r, i)
		whole = whole && ok
		if !used {
			break
		}
	}
	if !whole {
		r.late++
		r.fresh = false // look at every record again
		return true, nil
	}
	r.seen, r.fresh = epoch, true
	return true, nil
}

// syncRecord copies record i if it moved; used is false at the end of the table,
// ok when a writer stayed in the way.
func syncRecord(src Source, r *Region, i int) (used, ok bool) {
	at := r.off + uint64(i)*r.stride
	for range tries {
		sequence := src.Load(at)
		if sequence == 0 {
			return false, true
		}
		if sequence == r.sequence[i] {
			return true, true
		}
		if sequence&1 != 0 {
			continue
		}
		src.Copy(r.scratch, at)
		if src.Load(at) == sequence {
			copy(r.bytes[uint64(i)*r.stride:], r.scratch)
			r.sequence[i] = sequence
			return true, true
		}
	}
	return true, false
}

func little(b []byte) (v uint64) {
	for i := range 8 {
		v |= uint64(b[i]) << (8 * i)
	}
	return v
}
