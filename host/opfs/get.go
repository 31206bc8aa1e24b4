package opfs

import (
	"context"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
)

// Get returns a block's verified bytes; see api.BlockStore. A block that turns
// out corrupt is set aside, its leases stay, and a later Put brings it back.
func (s *Store) Get(ctx context.Context, addr api.Address, buf []byte) ([]byte, error) {
	const op = "opfs.get"
	if err := s.enter(op); err != nil {
		return nil, err
	}
	defer s.leave()
	if err := check(ctx, op); err != nil {
		return nil, err
	}
	s.mu.Lock()
	data, n, err := s.read(addr, buf)
	s.mu.Unlock()
	if err != nil {
		return nil, api.E(op, api.Other, err)
	}
	if n == len(data) && blake3.Sum256(data) == addr {
		return data, nil
	}
	return s.setAside(addr, data)
}

func notHere(op string, a api.Address) error {
	return api.Errorf(op, api.NotFound, "this node has no block "+a.String())
}

// read reads a block without verifying it; n is how many bytes were there. The
// caller holds s.mu.
func (s *Store) read(addr api.Address, buf []byte) (data []byte, n int, err error) {
	e, ok := s.state.has(addr)
	if !ok {
		return nil, 0, notHere("opfs.get", addr)
	}
	s.state.touch(e)
	if cap(buf) < e.size {
		buf = make([]byte, e.size)
	}
	data = buf[:e.size]
	for _, x := range e.at {
		part := data[n:min(e.size, n+int(x.n)*unit)]
		got, err := s.files.blocks.ReadAt(part, int64(x.at)*unit)
		if err != nil {
			return nil, 0, err // the browser failed; the block may be fine
		}
		if n += got; got < len(part) {
			break
		}
	}
	return data, n, nil
}

// setAside looks at a suspicious block again, alone, and quarantines it if it is
// bad. It returns the bytes if they are good after all, NotFound when the block
// was deleted meanwhile, Corrupt otherwise.
func (s *Store) setAside(addr api.Address, buf []byte) ([]byte, error) {
	const op = "opfs.get"
	s.mu.Lock()
	defer s.mu.Unlock()
	data, n, err := s.read(addr, buf)
	if err != nil {
		return nil, api.E(op, api.Other, err)
	}
	if n == len(data) && blake3.Sum256(data) == addr {
		return data, nil
	}
	if err := s.commit(false, []change{{kind: opSpoil, addr: addr}}); err != nil {
		return nil, api.E(op, api.Other, noSpace(err))
	}
	return nil, api.Errorf(op, api.Corrupt, "the block "+addr.String()+" was damaged in this tab and is set aside; fetch it from another holder")
}

// Has reports which blocks are present; see api.BlockStore.
func (s *Store) Has(ctx context.Context, addrs []api.Address) ([]bool, error) {
	const op = "opfs.has"
	if err := s.enter(op); err != nil {
		return nil, err
	}
	defer s.leave()
	if err := check(ctx, op); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	have := make([]bool, len(addrs))
	for i, a := range addrs {
		_, have[i] = s.state.has(a)
	}
	return have, nil
}

// Size returns the number of wire bytes of a block without reading it, or
// NotFound.
func (s *Store) Size(addr api.Address) (int, error) {
	const op = "opfs.size"
	if err := s.enter(op); err != nil {
		return 0, err
	}
	defer s.leave()
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.state.has(addr)
	if !ok {
		return 0, notHere(op, addr)
	}
	return e.size, nil
}
