package opfs

import (
	"bytes"

	"github.com/tidwall/btree"

	"inos/kernel/api"
)

// Bounds of the tables, which are in memory: some 20 MiB of blocks and leases
// when full, and the records.
const (
	MaxBlocks     = 1 << 17 // blocks, a tab's at 1 MiB each would be 128 GiB
	MaxLeases     = 1 << 16
	MaxMetaBytes  = 64 << 20 // keys and values of all records
	maxQuarantine = 64       // extents set aside, oldest reused first
)

// entry is a block, or the place of one that leases still name although its bytes
// turned out to be corrupt: then size is 0, and a Put brings it back.
type entry struct {
	addr   api.Address
	size   int
	cached bool
	at     []extent
	leases []*lease // rarely more than two

	newer, older *entry // in the cache's order, while evictable
}

func (e *entry) evictable() bool { return e.cached && e.size > 0 && len(e.leases) == 0 }

// lease is a set of blocks.
type lease struct {
	id     api.LeaseID
	blocks *btree.BTreeG[*entry]
}

// record is a key with its value, which nobody changes.
type record struct {
	key, value []byte
}

// state is what the log says: pure tables, changed by apply alone.
type state struct {
	space       space
	blocks      *btree.BTreeG[*entry] // by address
	leases      map[api.LeaseID]*lease
	records     *btree.BTreeG[record]
	metaBytes   int
	present     uint64 // entries with bytes
	bytes       uint64 // their wire bytes
	quarantined uint64
	aside       []extent // of quarantined blocks, oldest first

	newest, oldest *entry // evictable entries by last use
	spare          uint32 // their units
}

// The trees are not locked: the store's lock covers them, and iterations over
// copies see no change.
func newTree[T any](less func(a, b T) bool) *btree.BTreeG[T] {
	return btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})
}

func entryLess(a, b *entry) bool { return bytes.Compare(a.addr[:], b.addr[:]) < 0 }

func newState() *state {
	return &state{
		blocks: newTree(entryLess), leases: make(map[api.LeaseID]*lease),
		records: newTree(func(a, b record) bool { return bytes.Compare(a.key, b.key) < 0 }),
	}
}

// find returns the entry of an address, with or without bytes.
func (s *state) find(a api.Address) (*entry, bool) { return s.blocks.Get(&entry{addr: a}) }

// has returns the entry of a block that is here.
func (s *state) has(a api.Address) (*entry, bool) {
	e, ok := s.find(a)
	return e, ok && e.size > 0
}

// apply performs an op. It cannot fail: what names nothing does nothing.
func (s *state) apply(o *change) {
	switch o.kind {
	case opBlock:
		s.addBlock(o)
	case opLease:
		for _, a := range o.addrs {
			s.name(o.lease, a)
		}
	case opRename:
		s.rename(o.lease, o.to)
	case opRelease:
		s.release(o.lease)
	case opEvict:
		if e, ok := s.find(o.addr); ok && e.evictable() {
			s.drop(e)
		}
	case opSpoil:
		s.spoil(o.addr)
	case opSet:
		old, had := s.records.Set(record{bytes.Clone(o.key), bytes.Clone(o.value)})
		s.metaBytes += len(o.key) + len(o.value)
		if had {
			s.metaBytes -= len(old.key) + len(old.value)
		}
	case opDelete:
		if old, had := s.records.Delete(record{key: o.key}); had {
			s.metaBytes -= len(old.key) + len(old.value)
		}
	case opQuarantine:
		s.quarantined = o.count
		s.setAside(o.at)
	}
}

func (s *state) addBlock(o *change) {
	e, ok := s.find(o.addr)
	if ok && e.size > 0 {
		e.cached = e.cached || o.cached
		return // the writer sees to its extents
	}
	if !ok {
		e = &entry{addr: o.addr}
		s.blocks.Set(e)
	}
	e.size, e.cached, e.at = int(o.size), o.cached, o.at
	for _, x := range e.at {
		s.space.set(x)
	}
	s.present++
	s.bytes += uint64(e.size)
	s.rank(e)
}

// name lets a lease name a block. Without the block it makes its place.
func (s *state) name(id api.LeaseID, a api.Address) {
	l := s.leases[id]
	if l == nil {
		l = &lease{id: id, blocks: newTree(entryLess)}
		s.leases[id] = l
	}
	e, ok := s.find(a)
	if !ok {
		e = &entry{addr: a}
		s.blocks.Set(e)
	}
	s.bind(l, e)
}

func (s *state) bind(l *lease, e *entry) {
	if _, had := l.blocks.Set(e); !had {
		e.leases = append(e.leases, l)
		s.rank(e)
	}
}

func (s *state) rename(from, to api.LeaseID) {
	l, into := s.leases[from], s.leases[to]
	if l == nil || from == to {
		return
	}
	delete(s.leases, from)
	if into == nil {
		l.id = to
		s.leases[to] = l
		return
	}
	if l.blocks.Len() > into.blocks.Len() { // the smaller set moves
		l.id = to
		s.leases[to] = l
		l, into = into, l
	}
	l.blocks.Scan(func(e *entry) bool {
		s.bind(into, e)
		e.unname(l)
		return true
	})
}

func (s *state) release(id api.LeaseID) {
	l := s.leases[id]
	if l == nil {
		return
	}
	delete(s.leases, id)
	l.blocks.Scan(func(e *entry) bool {
		e.unname(l)
		if len(e.leases) > 0 {
			return true
		}
		if s.rank(e); !e.evictable() {
			s.drop(e)
		}
		return true
	})
}

func (e *entry) unname(l *lease) {
	for i := range e.leases {
		if e.leases[i] == l {
			e.leases = append(e.leases[:i], e.leases[i+1:]...)
			return
		}
	}
}

// drop forgets an entry and frees its extents.
func (s *state) drop(e *entry) {
	s.space.free(e.at)
	s.empty(e)
	s.blocks.Delete(e)
}

// empty takes an entry's bytes out of the totals and the cache's order.
func (s *state) empty(e *entry) {
	if e.size > 0 {
		s.present--
		s.bytes -= uint64(e.size)
	}
	e.size = 0
	s.rank(e)
	e.at = nil
}

// spoil sets a corrupt block's extents aside. Its leases keep its place.
func (s *state) spoil(a api.Address) {
	e, ok := s.has(a)
	if !ok {
		return
	}
	s.quarantined++
	s.setAside(e.at)
	s.empty(e)
	if len(e.leases) == 0 {
		s.blocks.Delete(e)
	}
}

// setAside keeps extents from being used, up to maxQuarantine of them.
func (s *state) setAside(list []extent) {
	for _, x := range list {
		s.space.set(x)
	}
	s.aside = append(s.aside, list...)
	if n := len(s.aside) - maxQuarantine; n > 0 {
		s.space.free(s.aside[:n])
		s.aside = append([]extent(nil), s.aside[n:]...)
	}
}

// rank puts an entry where it belongs in the cache's order: newest if it may be
// evicted, nowhere if not.
func (s *state) rank(e *entry) {
	linked := e.newer != nil || e.older != nil || s.newest == e
	switch {
	case e.evictable() && !linked:
		s.link(e)
	case !e.evictable() && linked:
		s.unlink(e)
	}
}

// touch makes an entry the newest of the cache.
func (s *state) touch(e *entry) {
	if e.evictable() && s.newest != e {
		s.unlink(e)
		s.link(e)
	}
}

func (s *state) link(e *entry) {
	s.spare += total(e.at)
	e.older = s.newest
	if e.older != nil {
		e.older.newer = e
	}
	if s.newest = e; s.oldest == nil {
		s.oldest = e
	}
}

func (s *state) unlink(e *entry) {
	s.spare -= total(e.at)
	if e.newer != nil {
		e.newer.older = e.older
	} else {
		s.newest = e.older
	}
	if e.older != nil {
		e.older.newer = e.newer
	} else {
		s.oldest = e.newer
	}
	e.newer, e.older = nil, nil
}
