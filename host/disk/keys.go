package disk

import (
	"encoding/binary"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"inos/kernel/api"
)

// The key spaces in Pebble. A span is a set of blocks that one lease names;
// its id stands in the keys instead of the lease's, so renaming or
// releasing a lease of any size is one small record. Integers are big-endian.
const (
	keyBlock   = 'b' // b address             -> place, wire size (uint32)
	keyData    = 'd' // d address             -> bytes of a small block
	keyMember  = 'l' // l span address        -> nothing
	keyRef     = 'r' // r address span        -> nothing
	keyLease   = 'L' // L lease span          -> nothing
	keyDropped = 'X' // X span                -> nothing; its members are being removed
	keyTotals  = 'u' // u                     -> blocks, bytes (uint64 each)
	keyMeta    = 'm' // m space 0 key         -> value of another floor
)

// Where a block's bytes are.
const (
	inPebble = 0
	inFile   = 1
)

func blockKey(a api.Address) []byte { return append([]byte{keyBlock}, a[:]...) }
func dataKey(a api.Address) []byte  { return append([]byte{keyData}, a[:]...) }

func memberKey(span uint64, a api.Address) []byte {
	return append(spanKey(keyMember, span), a[:]...)
}

func refKey(a api.Address, span uint64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte{keyRef}, a[:]...), span)
}

func spanKey(space byte, span uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{space}, span)
}

func leaseKey(l api.LeaseID, span uint64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte{keyLease}, l[:]...), span)
}

// after returns the smallest key above every key with the prefix p.
func after(p []byte) []byte {
	q := append([]byte(nil), p...)
	for i := len(q) - 1; i >= 0; i-- {
		if q[i]++; q[i] != 0 {
			return q[:i+1]
		}
	}
	return nil
}

func prefixed(p []byte) *pebble.IterOptions {
	return &pebble.IterOptions{LowerBound: p, UpperBound: after(p)}
}

// record is a block's entry: where its bytes are, and how many.
type record struct {
	place byte
	size  int
}

func (r record) bytes() []byte {
	return binary.BigEndian.AppendUint32([]byte{r.place}, uint32(r.size))
}

// record reads a block's entry; ok is false if there is none.
func (s *Store) record(a api.Address) (r record, ok bool, err error) {
	v, done, err := s.db.Get(blockKey(a))
	if errors.Is(err, pebble.ErrNotFound) {
		return r, false, nil
	}
	if err != nil {
		return r, false, api.E("disk.record", api.Other, err)
	}
	defer done.Close()
	if len(v) != 5 || v[0] > inFile {
		return r, false, api.Errorf("disk.record", api.Corrupt, "the record of block "+a.String()+" is damaged")
	}
	return record{v[0], int(binary.BigEndian.Uint32(v[1:]))}, true, nil
}
