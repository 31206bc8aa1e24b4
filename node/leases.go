package node

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// provisionalLife is how long blocks of a put that never committed are kept, so
// that an interrupted upload can resume.
const provisionalLife = 24 * time.Hour

// leaseTable knows what each lease on this node stands for.
//
// Keys in the store's metadata:
//
//	lease/<id>  the encoded wire.LeaseTerms of a committed lease
//	prov/<id>   an uncommitted put: when it last stored something, within an
//	            hour (8 bytes, Unix seconds), and who sends it (32 bytes)
//
// Invariants:
//   - A lease has terms only if blocks came under it, by a put or by a repair.
//   - Only the owner of a lease changes its terms once it has some; others, a
//     worker that stores its payer's output or a node that repairs, may bring
//     blocks and the first terms.
//   - Terms are written before the blocks change lease: a crash in between leaves
//     terms that name no block, which costs nothing.
//   - A lease with terms ends by them, whatever its prov row says.
type leaseTable struct {
	store BlockStore
	meta  records
	mu    sync.Mutex // held while the terms of a lease and its blocks change together
}

func termsKey(id api.LeaseID) string { return "lease/" + string(id[:]) }

func provKey(id api.LeaseID) string { return "prov/" + string(id[:]) }

// provRow says since when an uncommitted lease has not grown, and who sends it.
type provRow struct {
	seen int64 // Unix seconds
	from api.NodeID
}

func (r provRow) encode() []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(r.seen)), r.from[:]...)
}

func decodeProv(v []byte) (r provRow, ok bool) {
	if len(v) != 40 {
		return r, false
	}
	return provRow{int64(binary.BigEndian.Uint64(v)), api.NodeID(v[8:])}, true
}

func (r provRow) old(now time.Time) bool {
	return now.Unix()-r.seen > int64(provisionalLife.Seconds())
}

// leaseID names the lease of an owner on an object.
func leaseID(owner api.NodeID, root api.Address) api.LeaseID {
	h := blake3.New()
	_, _ = h.Write(owner[:])
	_, _ = h.Write(root[:])
	var id api.LeaseID
	h.Sum(id[:0])
	return id
}

// provisionalLease names the lease that a put's blocks have before its root is
// known.
func provisionalLease(owner api.NodeID, put api.ID) api.LeaseID {
	h := blake3.New()
	_, _ = h.Write([]byte("put"))
	_, _ = h.Write(owner[:])
	_, _ = h.Write(put[:])
	var id api.LeaseID
	h.Sum(id[:0])
	return id
}

// openLeases releases the blocks of puts that were given up long ago and of
// leases that ran out.
func openLeases(store BlockStore, meta records) (*leaseTable, error) {
	t := &leaseTable{store: store, meta: meta}
	return t, t.expire(context.Background(), time.Now())
}

// expire releases leases whose time is over.
func (t *leaseTable) expire(ctx context.Context, now time.Time) error {
	old, err := t.leasesWith("prov/", func(v []byte) bool {
		r, ok := decodeProv(v)
		return ok && r.old(now)
	})
	if err != nil {
		return err
	}
	over, err := t.leasesWith("lease/", func(v []byte) bool { return termsOver(v, now) })
	if err != nil {
		return err
	}
	for _, id := range append(old, over...) {
		if err := t.expireOne(ctx, id, now); err != nil {
			return err
		}
	}
	return nil
}

// leasesWith lists the leases whose row under prefix satisfies fn.
func (t *leaseTable) leasesWith(prefix string, fn func(value []byte) bool) (ids []api.LeaseID, err error) {
	err = t.meta.Iterate(prefix, func(key string, value []byte) bool {
		if len(key) == len(prefix)+len(api.LeaseID{}) && fn(value) {
			ids = append(ids, api.LeaseID([]byte(key[len(prefix):])))
		}
		return true
	})
	return ids, err
}

func termsOver(row []byte, now time.Time) bool {
	v, err := wire.DecodeLeaseTerms(row)
	return err == nil && v.Lease.Until != 0 && v.Lease.Until <= now.Unix()
}

// expireOne looks again, now that nobody else changes the lease, and releases
// it if its time is over.
func (t *leaseTable) expireOne(ctx context.Context, id api.LeaseID, now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	row, err := t.meta.Get(termsKey(id))
	switch {
	case api.KindOf(err) == api.NotFound:
		if v, err := t.meta.Get(provKey(id)); err != nil {
			return unlessNotFound(err)
		} else if r, ok := decodeProv(v); ok && !r.old(now) {
			return nil
		}
	case err != nil:
		return err
	case !termsOver(row, now):
		return t.meta.DeleteLazy(provKey(id)) // left over from before the lease was committed
	}
	return t.drop(ctx, id)
}

func unlessNotFound(err error) error {
	if api.KindOf(err) == api.NotFound {
		return nil
	}
	return err
}

// begin notes who stores blocks under a lease that is not committed yet. Whoever
// came first stays noted.
func (t *leaseTable) begin(from api.NodeID, id api.LeaseID) error {
	if known, err := t.known(id); known || err != nil {
		return err
	}
	row, now := provRow{from: from}, time.Now().Unix()
	if v, err := t.meta.Get(provKey(id)); err == nil {
		if r, ok := decodeProv(v); ok {
			row = r
		}
	}
	if now-row.seen < 3600 {
		return nil
	}
	row.seen = now
	return t.meta.SetLazy(provKey(id), row.encode())
}

// known reports whether a lease has terms.
func (t *leaseTable) known(id api.LeaseID) (bool, error) {
	_, err := t.meta.Get(termsKey(id))
	return err == nil, unlessNotFound(err)
}

// commit gives the blocks of the provisional lease from, if not zero, to the
// final lease, which its owner and root name, at the wish of node by. With from
// zero the blocks are here already, as after a repair; NotFound if they are not.
// Terms that the lease has are changed by its owner alone.
func (t *leaseTable) commit(ctx context.Context, by api.NodeID, from api.LeaseID, lease api.Lease) error {
	final := leaseID(lease.Owner, lease.Root)
	b, err := wire.EncodeLeaseTerms(wire.LeaseTerms{Lease: lease})
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	known, err := t.known(final)
	if err != nil {
		return err
	}
	write := !known || by == lease.Owner
	if from == (api.LeaseID{}) {
		err = t.setTerms(final, b, known, write)
	} else {
		err = t.rename(ctx, from, final, b, known, write)
	}
	if err != nil {
		return err
	}
	return t.meta.DeleteLazy(provKey(final))
}

func (t *leaseTable) setTerms(final api.LeaseID, terms []byte, known, write bool) error {
	if !known {
		if _, err := t.meta.Get(provKey(final)); api.KindOf(err) == api.NotFound {
			return api.Errorf("node.lease", api.NotFound, "this node holds nothing under that lease")
		} else if err != nil {
			return err
		}
	}
	if !write {
		return nil
	}
	return t.meta.Set(termsKey(final), terms)
}

func (t *leaseTable) rename(ctx context.Context, from, final api.LeaseID, terms []byte, known, write bool) error {
	if write {
		// The log is written in order: the rename's sync covers the terms before it.
		if err := t.meta.SetLazy(termsKey(final), terms); err != nil {
			return err
		}
	}
	if err := t.store.Rename(ctx, from, final); err != nil {
		if !known {
			_ = t.meta.DeleteLazy(termsKey(final)) // no terms without blocks
		}
		return err
	}
	return t.meta.DeleteLazy(provKey(from))
}

// terms returns what a committed lease stands for; NotFound for a provisional
// or unknown one.
func (t *leaseTable) terms(id api.LeaseID) (api.Lease, error) {
	b, err := t.meta.Get(termsKey(id))
	if err != nil {
		return api.Lease{}, err
	}
	v, err := wire.DecodeLeaseTerms(b)
	return v.Lease, err
}

// release drops a lease and its terms; the blocks go in the background.
func (t *leaseTable) release(ctx context.Context, id api.LeaseID) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.drop(ctx, id)
}

// drop is release with mu held. The rows go after the blocks: a crash in between
// leaves rows that name no block.
func (t *leaseTable) drop(ctx context.Context, id api.LeaseID) error {
	if err := t.store.Release(ctx, id); err != nil {
		return err
	}
	if err := t.meta.DeleteLazy(termsKey(id)); err != nil {
		return err
	}
	return t.meta.DeleteLazy(provKey(id))
}

// mayRelease returns Denied unless from owns the lease or began the put. A lease
// that is not known here may be released by anybody: there is nothing under it.
func (t *leaseTable) mayRelease(from api.NodeID, id api.LeaseID) error {
	lease, err := t.terms(id)
	if err == nil && lease.Owner == from {
		return nil
	}
	if api.KindOf(err) == api.NotFound {
		var v []byte
		v, err = t.meta.Get(provKey(id))
		if r, ok := decodeProv(v); api.KindOf(err) == api.NotFound || ok && r.from == from {
			return nil
		}
	}
	if err != nil {
		return err
	}
	return api.Errorf("node.release", api.Denied, "only the owner of a lease may release it")
}
