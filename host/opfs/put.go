package opfs

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"time"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
)

// groupFrames bounds the frames of one commit.
const groupFrames = 64

// put is blocks on their way into the store.
type put struct {
	lease  api.LeaseID // zero for the cache
	blocks []incoming
	done   chan error // capacity 1
}

// incoming is one block of a put.
type incoming struct {
	api.Block
	at      []extent // where its bytes are written; none if it was present
	present bool     // the store had it when the put began
}

// errVanished means that a block which was present when a Put began was gone
// when it committed: evicted, released, or found corrupt.
var errVanished = errors.New("a block vanished")

// Put makes blocks durable under lease; see api.BlockStore. Concurrent Puts
// share their flushes. Blocks of the cache make room. Invalid if there are more
// than MaxPut blocks.
func (s *Store) Put(ctx context.Context, lease api.LeaseID, blocks []api.Block) error {
	return s.put(ctx, "opfs.put", lease, blocks, false)
}

// PutOwn is Put for blocks whose addresses this process has just computed from
// the very same bytes: they are not hashed a second time.
func (s *Store) PutOwn(ctx context.Context, lease api.LeaseID, blocks []api.Block) error {
	return s.put(ctx, "opfs.put", lease, blocks, true)
}

// Cache keeps copies of blocks that the caller has just verified, under no lease,
// until others need their room: the least recently used go first. It evicts older
// cache blocks, never leased ones; NoSpace when those take all the room. It does
// not retain Data.
func (s *Store) Cache(ctx context.Context, blocks []api.Block) error {
	return s.put(ctx, "opfs.cache", api.LeaseID{}, blocks, true)
}

func (s *Store) put(ctx context.Context, op string, lease api.LeaseID, blocks []api.Block, own bool) error {
	if err := s.enter(op); err != nil {
		return err
	}
	defer s.leave()
	if len(blocks) == 0 {
		return nil
	}
	if len(blocks) > MaxPut || lease == (api.LeaseID{}) && op == "opfs.put" {
		return api.Errorf(op, api.Invalid, "a put has a lease and at most 16384 blocks")
	}
	if err := verify(ctx, op, blocks, own); err != nil {
		return err
	}
	err := s.tryPut(lease, blocks, true)
	if errors.Is(err, errVanished) {
		err = s.tryPut(lease, blocks, false)
	}
	if err != nil {
		return api.E(op, api.Other, noSpace(err))
	}
	return nil
}

// verify checks sizes and, unless the blocks are our own, addresses.
func verify(ctx context.Context, op string, blocks []api.Block, own bool) error {
	for i := range blocks {
		if err := check(ctx, op); err != nil {
			return err
		}
		b := &blocks[i]
		if len(b.Data) == 0 || len(b.Data) > api.MaxBlock {
			return api.Errorf(op, api.Invalid, "a block has 1 to "+strconv.Itoa(api.MaxBlock)+" bytes")
		}
		if !own && blake3.Sum256(b.Data) != b.Addr {
			return api.Errorf(op, api.Corrupt, "the bytes do not match the address "+b.Addr.String())
		}
	}
	return nil
}

// tryPut writes what is missing, or everything unless reuse, and commits.
func (s *Store) tryPut(lease api.LeaseID, blocks []api.Block, reuse bool) error {
	p := &put{lease: lease, blocks: make([]incoming, len(blocks)), done: make(chan error, 1)}
	for i := range blocks {
		p.blocks[i].Block = blocks[i]
	}
	s.mu.Lock()
	evicted, err := s.stage(p, reuse)
	if err == nil {
		s.waiting = append(s.waiting, p)
	}
	lead := err == nil && !s.led
	s.led = s.led || lead
	s.mu.Unlock()
	s.tell(evicted)
	if err != nil {
		return err
	}
	if lead {
		runtime.Gosched() // others that are ready write their blocks now, and share the flush
		s.commitPuts()
	}
	return <-p.done
}

func (s *Store) tell(evicted []api.Address) {
	if len(evicted) > 0 && s.opt.Evicted != nil {
		s.opt.Evicted(evicted)
	}
}

// stage makes room and writes the blocks that are missing, each once. The caller
// holds s.mu. On error nothing stays taken, but blocks may have been evicted.
func (s *Store) stage(p *put, reuse bool) (evicted []api.Address, err error) {
	units, fresh := uint32(0), uint64(0)
	for i := range p.blocks {
		in := &p.blocks[i]
		if e, ok := s.state.has(in.Addr); ok && reuse {
			in.present = true
			s.state.touch(e) // last to be evicted for this put
			continue
		}
		units += unitsOf(len(in.Data))
		fresh++
	}
	if s.state.present+fresh > MaxBlocks {
		return nil, api.Errorf("opfs.put", api.NoSpace, "this tab holds 131072 blocks, the most it takes; remove objects. Reads go on")
	}
	if p.lease != (api.LeaseID{}) && s.state.leases[p.lease] == nil && len(s.state.leases) >= MaxLeases {
		return nil, errLeases("opfs.put")
	}
	for {
		more, err := s.makeRoom(units)
		evicted = append(evicted, more...)
		if err == nil {
			err = s.write(p)
		}
		if err == nil {
			return evicted, nil
		}
		s.unwrite(p)
		if !errors.Is(err, errFull) || !s.refused() {
			return evicted, err
		}
	}
}

// refused notes that the browser did not let the file grow, and reports whether
// that is news, so that a write into the room there is may be tried. The caller
// holds s.mu.
func (s *Store) refused() bool {
	size, err := s.files.blocks.Size()
	if err != nil {
		return false
	}
	s.long = uint32(min((size+unit-1)/unit, maxUnits))
	news := s.full == 0 || s.long < s.full || time.Since(s.fullAt) >= retryFull
	s.full, s.fullAt = max(s.long, 1), time.Now()
	return news
}

// write puts the bytes of what is missing into extents. The caller holds s.mu.
func (s *Store) write(p *put) error {
	limit := s.limit()
	for i := range p.blocks {
		in := &p.blocks[i]
		if in.present {
			continue
		}
		var ok bool
		if in.at, ok = s.state.space.take(unitsOf(len(in.Data)), limit); !ok {
			return s.noRoom()
		}
		rest := in.Data
		for _, x := range in.at {
			n := min(len(rest), int(x.n)*unit)
			if err := s.files.blocks.WriteAt(rest[:n], int64(x.at)*unit); err != nil {
				return err
			}
			s.long = max(s.long, x.at+x.n)
			rest = rest[n:]
		}
	}
	return nil
}

// unwrite gives the extents of a put back. The caller holds s.mu.
func (s *Store) unwrite(p *put) {
	for i := range p.blocks {
		s.state.space.free(p.blocks[i].at)
		p.blocks[i].at = nil
	}
}

// commitPuts commits what waits, group after group, and answers each put. Whoever
// waits is inside Put, so Close cannot overtake it.
func (s *Store) commitPuts() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.waiting) > 0 {
		n := min(len(s.waiting), groupFrames)
		group := s.waiting[:n:n]
		s.waiting = append([]*put(nil), s.waiting[n:]...)
		s.commitGroup(group)
	}
	s.led = false
}

// commitGroup flushes the blocks of some puts and then the frames that name them.
// The caller holds s.mu.
func (s *Store) commitGroup(group []*put) {
	var ready []*put
	var lists [][]change
	for _, p := range group {
		ops, ok := s.changes(p)
		if !ok {
			s.unwrite(p)
			p.done <- errVanished
			continue
		}
		ready = append(ready, p)
		if len(ops) > 0 {
			lists = append(lists, ops)
		}
	}
	var err error
	if len(lists) > 0 {
		err = s.files.blocks.Flush()
	}
	if err == nil && len(lists) > 0 {
		err = s.commit(false, lists...)
	}
	for _, p := range ready {
		if err != nil {
			s.unwrite(p)
		} else {
			s.settle(p)
		}
		p.done <- err
	}
}

// settle frees the extents of blocks that the store has elsewhere: another put
// brought them first. The caller holds s.mu.
func (s *Store) settle(p *put) {
	for i := range p.blocks {
		in := &p.blocks[i]
		if in.present || len(in.at) == 0 {
			continue
		}
		if e, ok := s.state.has(in.Addr); !ok || len(e.at) == 0 || e.at[0] != in.at[0] {
			s.state.space.free(in.at)
		}
	}
}

// changes are what a put comes to, unless a block that was present is gone. The
// caller holds s.mu.
func (s *Store) changes(p *put) (list []change, ok bool) {
	addrs := make([]api.Address, 0, len(p.blocks))
	cached := p.lease == (api.LeaseID{})
	for i := range p.blocks {
		in := &p.blocks[i]
		addrs = append(addrs, in.Addr)
		if !in.present {
			list = append(list, change{kind: opBlock, addr: in.Addr, size: uint32(len(in.Data)), cached: cached, at: in.at})
		} else if _, here := s.state.has(in.Addr); !here {
			return nil, false
		}
	}
	if !cached {
		list = append(list, change{kind: opLease, lease: p.lease, addrs: addrs})
	}
	return list, true
}
