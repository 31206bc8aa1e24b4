package opfs

import (
	"bytes"

	"inos/kernel/api"
)

// MaxMetaValue bounds one value.
const MaxMetaValue = 4 << 20

// Meta is a durable key-value space in the store's log, apart from blocks and from
// other spaces. All records are in memory too, within MaxMetaBytes. Its methods are
// safe for concurrent use and fail with Closed after the store is closed.
type Meta struct {
	s      *Store
	prefix []byte
}

// Meta returns the space with the given name, which must not contain a zero byte.
func (s *Store) Meta(space string) *Meta {
	return &Meta{s: s, prefix: append([]byte(space), 0)}
}

func (m *Meta) key(k []byte) []byte { return append(m.prefix[:len(m.prefix):len(m.prefix)], k...) }

// Get returns a copy of the value of k, or NotFound.
func (m *Meta) Get(k []byte) ([]byte, error) {
	const op = "opfs.metaget"
	if err := m.s.enter(op); err != nil {
		return nil, err
	}
	defer m.s.leave()
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	r, ok := m.s.state.records.Get(record{key: m.key(k)})
	if !ok {
		return nil, api.Errorf(op, api.NotFound, "no such record")
	}
	return append([]byte{}, r.value...), nil
}

// Set stores v under k durably before it returns.
func (m *Meta) Set(k, v []byte) error {
	b := m.Batch()
	b.Set(k, v)
	return b.Commit()
}

// SetLazy stores v under k. Readers see it at once, and it survives the tab; it
// survives the machine with the next durable change, or some seconds later.
func (m *Meta) SetLazy(k, v []byte) error {
	b := m.Batch()
	b.Set(k, v)
	return b.CommitLazy()
}

// Delete removes k durably; an absent k is no error.
func (m *Meta) Delete(k []byte) error {
	b := m.Batch()
	b.Delete(k)
	return b.Commit()
}

// DeleteLazy removes k as SetLazy sets it.
func (m *Meta) DeleteLazy(k []byte) error {
	b := m.Batch()
	b.Delete(k)
	return b.CommitLazy()
}

// Iterate calls fn for every key with the given prefix, in order, until fn
// returns false. It sees the space as it was when it began. Key and value are
// valid until fn returns and must not be changed.
func (m *Meta) Iterate(prefix []byte, fn func(k, v []byte) bool) error {
	return m.IterateFrom(prefix, prefix, fn)
}

// IterateFrom is Iterate that begins at the first key not below from.
func (m *Meta) IterateFrom(prefix, from []byte, fn func(k, v []byte) bool) error {
	const op = "opfs.metaiterate"
	if err := m.s.enter(op); err != nil {
		return err
	}
	defer m.s.leave()
	m.s.mu.Lock()
	tree := m.s.state.records.Copy()
	m.s.mu.Unlock()
	first, all := m.key(from), m.key(prefix)
	if bytes.Compare(first, all) < 0 {
		first = all
	}
	tree.Ascend(record{key: first}, func(r record) bool {
		return bytes.HasPrefix(r.key, all) && fn(r.key[len(m.prefix):], r.value)
	})
	return nil
}

// MetaBatch collects changes that take place together. It is not safe for
// concurrent use.
type MetaBatch struct {
	m    *Meta
	list []change
	size int
	err  error
}

// Batch returns an empty batch.
func (m *Meta) Batch() *MetaBatch { return &MetaBatch{m: m} }

// Set adds a change. k and v are copied.
func (b *MetaBatch) Set(k, v []byte) {
	if len(v) > MaxMetaValue {
		b.err = api.Errorf("opfs.metaset", api.Invalid, "a metadata record has at most 4 MiB")
		return
	}
	b.add(change{kind: opSet, key: b.m.key(k), value: bytes.Clone(v)})
}

// Delete adds a removal. k is copied.
func (b *MetaBatch) Delete(k []byte) { b.add(change{kind: opDelete, key: b.m.key(k)}) }

func (b *MetaBatch) add(c change) {
	b.list = append(b.list, c)
	b.size += len(c.value)
	if c.kind == opSet {
		b.size += len(c.key)
	}
}

// Commit makes the changes durable, all or none. NoSpace when the browser gives no
// more room, or the records' bound is met. A batch has at most 16 MiB.
func (b *MetaBatch) Commit() error { return b.commit("opfs.metacommit", false) }

// CommitLazy makes the changes as SetLazy does, all or none.
func (b *MetaBatch) CommitLazy() error { return b.commit("opfs.metacommitlazy", true) }

func (b *MetaBatch) commit(op string, lazy bool) error {
	if b.err != nil {
		return b.err
	}
	s := b.m.s
	if err := s.enter(op); err != nil {
		return err
	}
	defer s.leave()
	if len(b.list) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.size > 0 && s.state.metaBytes+b.size > MaxMetaBytes {
		return api.Errorf(op, api.NoSpace, "this tab's records take 64 MiB, the most they may; remove objects or old jobs")
	}
	if err := s.commit(lazy, b.list); err != nil {
		return api.E(op, api.Other, noSpace(err))
	}
	b.list, b.size = nil, 0
	return nil
}
