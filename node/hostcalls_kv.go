package node

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"inos/kernel/api"
	"inos/kernel/syscall"
)

// kvStore is the service hostCall:kv: small values that a module keeps from one
// call to the next, for each owner apart. A module of another hash, or a call
// for another payer, sees other values. Nothing leaves this node.
//
// Key in the store's metadata: kv/<module><owner><key>, the value. It is durable
// when put returns, and goes when its module is removed.
//
// Invariant: usage, once loaded, has every space with a key in it.
type kvStore struct {
	n      *Node
	mu     sync.Mutex
	spaces map[string]kvUsage // guarded by mu; by module and owner, at most maxKVSpaces
}

type kvUsage struct {
	keys  int
	bytes int
}

// Bounds of the service.
const (
	maxKVKey    = 256
	maxKVValue  = 64 << 10
	maxKVKeys   = 1024    // of one space
	maxKVBytes  = 4 << 20 // of one space, keys and values
	maxKVSpaces = 256     // modules times owners on this node
	maxKVOwned  = 32      // of them, of one owner other than this node
	maxKVList   = 128 << 10
)

const kvPrefix = "kv/"

// spaceLen is the length of a space's name: a hash and a node's id.
const spaceLen = 64

func openKV(n *Node) (*kvStore, error) {
	s := &kvStore{n: n, spaces: map[string]kvUsage{}}
	err := n.meta.Iterate(kvPrefix, func(key string, value []byte) bool {
		if len(key) > len(kvPrefix)+spaceLen {
			space, name := key[len(kvPrefix):len(kvPrefix)+spaceLen], key[len(kvPrefix)+spaceLen:]
			u := s.spaces[space]
			s.spaces[space] = kvUsage{u.keys + 1, u.bytes + len(name) + len(value)}
		}
		return true
	})
	return s, err
}

func (s *kvStore) serve(_ context.Context, c *syscall.Caller, operation, key string, data []byte) (syscall.HostAnswer, error) {
	const op = "node.kv"
	space := string(c.Module.Hash[:]) + string(c.Owner[:])
	if operation == "list" {
		return s.list(space, key)
	}
	if key == "" || len(key) > maxKVKey || !utf8.ValidString(key) || strings.IndexFunc(key, unicode.IsControl) >= 0 {
		return syscall.HostAnswer{}, api.Errorf(op, api.Invalid, "a key is a text of 1 to 256 bytes without control characters")
	}
	switch operation {
	case "get":
		v, err := s.n.meta.Get(kvPrefix + space + key)
		if api.KindOf(err) == api.NotFound {
			err = api.Errorf(op, api.NotFound, "there is no value under this key")
		}
		return syscall.HostAnswer{Data: v}, err
	case "put":
		return syscall.HostAnswer{}, s.put(space, key, data)
	case "delete":
		return syscall.HostAnswer{}, s.remove(space, key)
	}
	return syscall.HostAnswer{}, api.Errorf(op, api.Unsupported, "kv has the operations get, put, delete and list")
}

func (s *kvStore) put(space, key string, value []byte) error {
	const op = "node.kv"
	if len(value) > maxKVValue {
		return api.Errorf(op, api.Invalid, "a value has at most 64 KiB; store more with storeChunk and keep its link")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u, known := s.spaces[space]
	if !known {
		if err := s.room(space); err != nil {
			return err
		}
	}
	old, err := s.n.meta.Get(kvPrefix + space + key)
	switch api.KindOf(err) {
	case api.NotFound:
		u.keys++
		u.bytes += len(key)
	default:
		if err != nil {
			return err
		}
	}
	u.bytes += len(value) - len(old)
	if u.keys > maxKVKeys || u.bytes > maxKVBytes {
		return api.Errorf(op, api.Exhausted, "the module keeps at most 1,024 keys and 4 MiB for one owner; delete some")
	}
	if err := s.n.meta.Set(kvPrefix+space+key, value); err != nil {
		return err
	}
	s.spaces[space] = u
	return nil
}

// room says why there is none for a new space, if so. One owner cannot take what
// others need. mu is held.
func (s *kvStore) room(space string) error {
	const op = "node.kv"
	if len(s.spaces) >= maxKVSpaces {
		return api.Errorf(op, api.Exhausted, "256 modules and owners keep values on this node, which is all it takes; remove modules that are not needed")
	}
	owner, owned := space[spaceLen/2:], 0
	for other := range s.spaces {
		if other[spaceLen/2:] == owner {
			owned++
		}
	}
	if self := s.n.id.ID(); owned >= maxKVOwned && owner != string(self[:]) {
		return api.Errorf(op, api.Exhausted, "32 modules keep values for this owner on this node; delete what some of them keep")
	}
	return nil
}

// forget deletes what a module that was removed kept, for all owners.
func (s *kvStore) forget(module api.Hash) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	err := s.n.meta.Iterate(kvPrefix+string(module[:]), func(key string, _ []byte) bool {
		keys = append(keys, key)
		return true
	})
	for _, key := range keys {
		err = errors.Join(err, s.n.meta.DeleteLazy(key))
	}
	maps.DeleteFunc(s.spaces, func(space string, _ kvUsage) bool { return strings.HasPrefix(space, string(module[:])) })
	return err
}

func (s *kvStore) remove(space, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := s.n.meta.Get(kvPrefix + space + key)
	if api.KindOf(err) == api.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if err := s.n.meta.Delete(kvPrefix + space + key); err != nil {
		return err
	}
	u := s.spaces[space]
	if u = (kvUsage{u.keys - 1, u.bytes - len(key) - len(old)}); u.keys == 0 {
		delete(s.spaces, space)
		return nil
	}
	s.spaces[space] = u
	return nil
}

// list answers with the keys that begin with prefix, in order, a line each.
func (s *kvStore) list(space, prefix string) (syscall.HostAnswer, error) {
	const op = "node.kv"
	if len(prefix) > maxKVKey {
		return syscall.HostAnswer{}, api.Errorf(op, api.Invalid, "a prefix has at most 256 bytes")
	}
	var a syscall.HostAnswer
	full := false
	err := s.n.meta.Iterate(kvPrefix+space+prefix, func(key string, _ []byte) bool {
		if full = len(a.Data) > maxKVList; full {
			return false
		}
		a.Code++
		a.Data = append(append(a.Data, key[len(kvPrefix)+spaceLen:]...), '\n')
		return true
	})
	if err == nil && full {
		return syscall.HostAnswer{}, api.Errorf(op, api.Exhausted, "the keys take more than 128 KiB; list a longer prefix")
	}
	return a, err
}
