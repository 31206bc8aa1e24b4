package disk

import (
	"github.com/cockroachdb/pebble/v2"

	"inos/kernel/api"
)

// SetLazy stores v under k without waiting for the disk. Readers see it at
// once; it is durable with the next synced change of the store, or when the
// store is closed. For what a crash may take back: history, hints.
func (m *Meta) SetLazy(k, v []byte) error {
	const op = "disk.metasetlazy"
	if len(v) > MaxMetaValue {
		return api.Errorf(op, api.Invalid, "a metadata record has at most 4 MiB")
	}
	if err := m.s.enter(op); err != nil {
		return err
	}
	defer m.s.leave()
	if err := m.s.db.Set(m.key(k), v, pebble.NoSync); err != nil {
		return api.E(op, api.Other, noSpace(err))
	}
	return nil
}

// DeleteLazy removes k without waiting for the disk, as SetLazy sets it.
func (m *Meta) DeleteLazy(k []byte) error {
	const op = "disk.metadeletelazy"
	if err := m.s.enter(op); err != nil {
		return err
	}
	defer m.s.leave()
	if err := m.s.db.Delete(m.key(k), pebble.NoSync); err != nil {
		return api.E(op, api.Other, noSpace(err))
	}
	return nil
}

// IterateFrom is Iterate that begins at the first key not below from, which
// has the prefix.
func (m *Meta) IterateFrom(prefix, from []byte, fn func(k, v []byte) bool) error {
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
	for ok := it.SeekGE(m.key(from)); ok; ok = it.Next() {
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
