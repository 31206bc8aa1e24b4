package disk

import (
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"inos/kernel/api"
)

// Meta is a durable key-value space in the store's Pebble, apart from blocks
// and from other spaces. Its methods are safe for concurrent use and fail with
// Closed after the store is closed.
type Meta struct {
	s      *Store
	prefix []byte
}

// MaxMetaValue bounds one value.
const MaxMetaValue = 4 << 20

// Meta returns the space with the given name, which must not contain a zero byte.
func (s *Store) Meta(space string) *Meta {
	return &Meta{s: s, prefix: append(append([]byte{keyMeta}, space...), 0)}
}

func (m *Meta) key(k []byte) []byte { return append(m.prefix[:len(m.prefix):len(m.prefix)], k...) }

// Get returns a copy of the value of k, or NotFound.
func (m *Meta) Get(k []byte) ([]byte, error) {
	const op = "disk.metaget"
	if err := m.s.enter(op); err != nil {
		return nil, err
	}
	defer m.s.leave()
	v, done, err := m.s.db.Get(m.key(k))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, api.Errorf(op, api.NotFound, "no such record")
	}
	if err != nil {
		return nil, api.E(op, api.Other, err)
	}
	defer done.Close()
	return append([]byte{}, v...), nil
}

// Set stores v under k durably before it returns.
func (m *Meta) Set(k, v []byte) error {
	b := m.Batch()
	b.Set(k, v)
	return b.Commit()
}

// Delete removes k durably; an absent k is no error.
func (m *Meta) Delete(k []byte) error {
	b := m.Batch()
	b.Delete(k)
	return b.Commit()
}

// Iterate calls fn for every key with the given prefix, in order, until fn
// returns false. It sees the space as it was when it began. Key and value are
// valid until fn returns.
func (m *Meta) Iterate(prefix []byte, fn func(k, v []byte) bool) error {
	const op = "disk.metaiterate"
	if err := m.s.enter(op); err != nil {
		return err
	}
	defer m.s.leave()
	it, err := m.s.db.NewIter(prefixed(m.key(prefix)))
	if err != nil {
		return api.E(op, api.Other, err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return api.E(op, api.Other, err)
		}
		if !fn(it.Key()[len(m.prefix):], v) {
			return nil
		}
	}
	if err := it.Error(); err != nil {
		return api.E(op, api.Other, err)
	}
	return nil
}

// MetaBatch collects changes that take place together. It is not safe for
// concurrent use.
type MetaBatch struct {
	m   *Meta
	ops []metaOp
	err error
}

type metaOp struct {
	key, value []byte
	del        bool
}

// Batch returns an empty batch.
func (m *Meta) Batch() *MetaBatch { return &MetaBatch{m: m} }

// Set adds a change. k and v are copied.
func (b *MetaBatch) Set(k, v []byte) {
	if len(v) > MaxMetaValue {
		b.err = api.Errorf("disk.metaset", api.Invalid, "a metadata record has at most 4 MiB")
		return
	}
	b.ops = append(b.ops, metaOp{key: b.m.key(k), value: append([]byte{}, v...)})
}

// Delete adds a removal. k is copied.
func (b *MetaBatch) Delete(k []byte) {
	b.ops = append(b.ops, metaOp{key: b.m.key(k), del: true})
}

// Commit makes the changes durable, all or none. Concurrent commits share their
// syncs. NoSpace when the disk is full.
func (b *MetaBatch) Commit() error { return b.commit("disk.metacommit", b.m.s.write) }

// CommitLazy makes the changes without waiting for the disk, as SetLazy does.
func (b *MetaBatch) CommitLazy() error { return b.commit("disk.metacommitlazy", pebble.NoSync) }

func (b *MetaBatch) commit(op string, how *pebble.WriteOptions) error {
	if b.err != nil {
		return b.err
	}
	s := b.m.s
	if err := s.enter(op); err != nil {
		return err
	}
	defer s.leave()
	batch := s.db.NewBatch()
	defer batch.Close()
	for _, o := range b.ops {
		if o.del {
			_ = batch.Delete(o.key, nil) // grows in memory, cannot fail
		} else {
			_ = batch.Set(o.key, o.value, nil)
		}
	}
	if err := batch.Commit(how); err != nil {
		return api.E(op, api.Other, noSpace(err))
	}
	b.ops = nil
	return nil
}
