package disk

import (
	"bytes"
	"context"
	"encoding/binary"

	"github.com/cockroachdb/pebble/v2"

	"inos/kernel/api"
)

// MaxLeases bounds the lease tables, which are in memory: about 128 MiB when full.
const MaxLeases = 1 << 20

// loadLeases reads the lease tables and the chores that a stop left.
func (s *Store) loadLeases() error {
	it, err := s.db.NewIter(prefixed([]byte{keyLease}))
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		k := it.Key()
		if len(k) != 1+32+8 {
			continue
		}
		lease, span := api.LeaseID(k[1:33]), binary.BigEndian.Uint64(k[33:])
		s.spans[lease] = append(s.spans[lease], span)
		s.owners[span] = lease
		s.nextID = max(s.nextID, span+1)
	}
	if err := it.Close(); err != nil {
		return err
	}
	for lease, spans := range s.spans {
		s.fold(lease, spans)
	}
	return s.loadDropped()
}

func (s *Store) loadDropped() error {
	it, err := s.db.NewIter(prefixed([]byte{keyDropped}))
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		if k := it.Key(); len(k) == 9 {
			span := binary.BigEndian.Uint64(k[1:])
			s.backlog = append(s.backlog, chore{span: span})
			s.nextID = max(s.nextID, span+1)
		}
	}
	return it.Close()
}

// fold queues the merging of a lease's later spans into its first. The caller
// holds s.mu or is Open.
func (s *Store) fold(lease api.LeaseID, spans []uint64) {
	for i := 1; i < len(spans); i++ {
		s.backlog = append(s.backlog, chore{span: spans[i], into: spans[0], lease: lease})
	}
}

// AddLease lets lease name blocks that the store already has, durably. NotFound,
// changing nothing, if one is absent.
func (s *Store) AddLease(ctx context.Context, lease api.LeaseID, addrs []api.Address) error {
	const op = "disk.addlease"
	if err := s.enter(op); err != nil {
		return err
	}
	defer s.leave()
	if lease == (api.LeaseID{}) || len(addrs) > MaxPut {
		return api.Errorf(op, api.Invalid, "a lease is named and takes at most 16384 blocks at once")
	}
	if ctx.Err() != nil {
		return api.E(op, api.Other, context.Cause(ctx))
	}
	s.commit.Lock()
	defer s.commit.Unlock()
	c := s.change()
	defer c.close()
	span, err := c.span(lease)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		_, ok, err := s.record(a)
		if err != nil {
			return api.E(op, api.Other, err)
		}
		if !ok {
			return notHere(op, a)
		}
		c.set(memberKey(span, a), nil)
		c.set(refKey(a, span), nil)
	}
	if err := c.apply(); err != nil {
		return api.E(op, api.Other, noSpace(err))
	}
	return nil
}

// Rename gives all blocks of one lease to another, atomically and durably,
// whatever their number. If to has blocks already, it has both sets afterwards.
// An unknown from is no error when to exists, so a repeated Rename succeeds;
// NotFound when neither does.
func (s *Store) Rename(ctx context.Context, from, to api.LeaseID) error {
	const op = "disk.rename"
	if err := s.enter(op); err != nil {
		return err
	}
	defer s.leave()
	if from == to || to == (api.LeaseID{}) {
		return api.Errorf(op, api.Invalid, "a lease is renamed to another")
	}
	if ctx.Err() != nil {
		return api.E(op, api.Other, context.Cause(ctx))
	}
	s.commit.Lock()
	defer s.commit.Unlock()
	s.mu.Lock()
	moved, there := s.spans[from], s.spans[to]
	s.mu.Unlock()
	if len(moved) == 0 {
		if len(there) == 0 {
			return api.Errorf(op, api.NotFound, "this node holds nothing under that lease")
		}
		return nil
	}
	c := s.change()
	defer c.close()
	for _, span := range moved {
		c.del(leaseKey(from, span))
		c.set(leaseKey(to, span), nil)
	}
	if err := c.apply(); err != nil {
		return api.E(op, api.Other, noSpace(err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.spans, from)
	all := append(append([]uint64(nil), there...), moved...)
	s.spans[to] = all
	for _, span := range moved {
		s.owners[span] = to
	}
	if len(there) > 0 {
		s.fold(to, append(there[:1:1], moved...))
		s.signal()
	}
	return nil
}

// Release drops a lease with one small durable record, whatever its size; see
// api.BlockStore. Its blocks go in the background.
func (s *Store) Release(ctx context.Context, lease api.LeaseID) error {
	const op = "disk.release"
	if err := s.enter(op); err != nil {
		return err
	}
	defer s.leave()
	if ctx.Err() != nil {
		return api.E(op, api.Other, context.Cause(ctx))
	}
	s.commit.Lock()
	defer s.commit.Unlock()
	s.mu.Lock()
	spans := s.spans[lease]
	s.mu.Unlock()
	c := s.change()
	defer c.close()
	for _, span := range spans {
		c.del(leaseKey(lease, span))
		c.set(spanKey(keyDropped, span), nil)
	}
	if err := c.apply(); err != nil {
		return api.E(op, api.Other, noSpace(err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.spans, lease)
	for _, span := range spans {
		delete(s.owners, span)
		s.backlog = append(s.backlog, chore{span: span})
	}
	s.signal()
	return nil
}

// Each lists blocks; see api.BlockStore. It sees the store as it was when Each
// began and lists only blocks that are present.
func (s *Store) Each(ctx context.Context, lease api.LeaseID, after api.Address, fn func(api.Address, api.LeaseID, int) bool) error {
	const op = "disk.each"
	if err := s.enter(op); err != nil {
		return err
	}
	defer s.leave()
	var err error
	if lease == (api.LeaseID{}) {
		err = s.eachRef(ctx, after, fn)
	} else {
		err = s.eachMember(ctx, lease, after, fn)
	}
	if err != nil {
		return api.E(op, api.Other, err)
	}
	return nil
}

// eachRef lists every block once per lease.
func (s *Store) eachRef(ctx context.Context, from api.Address, fn func(api.Address, api.LeaseID, int) bool) error {
	it, err := s.db.NewIter(prefixed([]byte{keyRef}))
	if err != nil {
		return err
	}
	defer it.Close()
	var addr api.Address
	var named []api.LeaseID // leases of addr so far; one per span at most
	for ok := it.SeekGE(append([]byte{keyRef}, from[:]...)); ok; ok = it.Next() {
		k := it.Key()
		if len(k) != 1+32+8 || bytes.Equal(k[1:33], from[:]) && !from.IsZero() {
			continue
		}
		if a := api.Address(k[1:33]); a != addr {
			addr, named = a, named[:0]
		}
		s.mu.Lock()
		lease, owned := s.owners[binary.BigEndian.Uint64(k[33:])]
		s.mu.Unlock()
		if !owned || contains(named, lease) {
			continue
		}
		named = append(named, lease)
		if more, err := s.visit(ctx, addr, lease, fn); err != nil || !more {
			return err
		}
	}
	return it.Error()
}

func contains(list []api.LeaseID, l api.LeaseID) bool {
	for _, x := range list {
		if x == l {
			return true
		}
	}
	return false
}

// visit calls fn for a block if it is present.
func (s *Store) visit(ctx context.Context, a api.Address, l api.LeaseID, fn func(api.Address, api.LeaseID, int) bool) (more bool, err error) {
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	r, ok, err := s.record(a)
	if err != nil || !ok {
		return true, err
	}
	return fn(a, l, r.size), nil
}

// eachMember merges the lease's spans, of which there is rarely more than one.
func (s *Store) eachMember(ctx context.Context, lease api.LeaseID, from api.Address, fn func(api.Address, api.LeaseID, int) bool) error {
	s.mu.Lock()
	spans := append([]uint64(nil), s.spans[lease]...)
	s.mu.Unlock()
	snapshot := s.db.NewSnapshot()
	defer snapshot.Close()
	var its []*pebble.Iterator
	defer func() {
		for _, it := range its {
			_ = it.Close() // errors are read below
		}
	}()
	for _, span := range spans {
		it, err := snapshot.NewIter(prefixed(spanKey(keyMember, span)))
		if err != nil {
			return err
		}
		its = append(its, it)
		if it.SeekGE(memberKey(span, from)) && !from.IsZero() && bytes.Equal(it.Key()[9:], from[:]) {
			it.Next()
		}
	}
	for {
		addr, ok, err := next(its)
		if err != nil || !ok {
			return err
		}
		if more, err := s.visit(ctx, addr, lease, fn); err != nil || !more {
			return err
		}
	}
}

// next returns the smallest address under any iterator and moves past it.
func next(its []*pebble.Iterator) (least api.Address, ok bool, err error) {
	for _, it := range its {
		if err := it.Error(); err != nil {
			return least, false, err
		}
		if it.Valid() && (!ok || bytes.Compare(it.Key()[9:], least[:]) < 0) {
			least, ok = api.Address(it.Key()[9:41]), true
		}
	}
	for _, it := range its {
		if it.Valid() && bytes.Equal(it.Key()[9:], least[:]) {
			it.Next()
		}
	}
	return least, ok, nil
}
