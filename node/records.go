package node

import (
	"context"
	"sync"

	"inos/kernel/api"
)

// records is the node's own metadata: the store's records, with text keys whose prefix before the slash says what they hold.
type records struct{ m RecordStore }

// Get returns a copy of a value, or api.NotFound.
func (r records) Get(key string) ([]byte, error) { return r.m.Get([]byte(key)) }

// Set is durable when it returns.
func (r records) Set(key string, value []byte) error { return r.m.Set([]byte(key), value) }

// SetLazy is durable with the next Set; a crash may take it back.
func (r records) SetLazy(key string, value []byte) error { return r.m.SetLazy([]byte(key), value) }

// Delete is durable when it returns.
func (r records) Delete(key string) error { return r.m.Delete([]byte(key)) }

// DeleteLazy is durable with the next Set; a crash may take it back.
func (r records) DeleteLazy(key string) error { return r.m.DeleteLazy([]byte(key)) }

// Iterate visits keys with a prefix in order; key and value are fn's to keep
// only until it returns (the key is a copy).
func (r records) Iterate(prefix string, fn func(key string, value []byte) bool) error {
	return r.m.Iterate([]byte(prefix), func(k, v []byte) bool { return fn(string(k), v) })
}

// IterateFrom is Iterate that begins at the first key not below from.
func (r records) IterateFrom(prefix, from string, fn func(key string, value []byte) bool) error {
	return r.m.IterateFrom([]byte(prefix), []byte(from), func(k, v []byte) bool { return fn(string(k), v) })
}

// keyLock gives each key to one holder at a time. The zero value is ready.
//
// A key is in the table only while somebody holds it or waits for it.
type keyLock struct {
	mu    sync.Mutex
	turns map[[32]byte]*turn // guarded by mu
}

// turn is one key: its channel is full while the key is held.
type turn struct {
	held  chan struct{} // capacity 1
	users int           // guarded by keyLock.mu; the holder and those who wait
}

// lock waits for a key and returns what gives it back, or the context's error.
func (l *keyLock) lock(ctx context.Context, key [32]byte) (unlock func(), err error) {
	l.mu.Lock()
	if l.turns == nil {
		l.turns = map[[32]byte]*turn{}
	}
	t := l.turns[key]
	if t == nil {
		t = &turn{held: make(chan struct{}, 1)}
		l.turns[key] = t
	}
	t.users++
	l.mu.Unlock()
	select {
	case t.held <- struct{}{}:
		return func() { <-t.held; l.leave(key, t) }, nil
	case <-ctx.Done():
		l.leave(key, t)
		return nil, api.E("node.lock", api.Other, ctx.Err())
	}
}

func (l *keyLock) leave(key [32]byte, t *turn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t.users--; t.users == 0 {
		delete(l.turns, key)
	}
}
