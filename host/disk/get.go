package disk

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
	"github.com/zeebo/blake3"

	"inos/kernel/api"
)

// Get returns a block's verified bytes; see api.BlockStore. A block that turns
// out corrupt or whose file is missing is dropped from the store, its leases
// stay, and a later Put brings it back.
func (s *Store) Get(ctx context.Context, addr api.Address, buf []byte) ([]byte, error) {
	const op = "disk.get"
	if err := s.enter(op); err != nil {
		return nil, err
	}
	defer s.leave()
	if err := ctx.Err(); err != nil {
		return nil, api.E(op, api.Other, context.Cause(ctx))
	}
	r, ok, err := s.record(addr)
	if err != nil {
		return nil, api.E(op, api.Other, err)
	}
	if !ok {
		return nil, notHere(op, addr)
	}
	data, err := s.readBlock(addr, r, buf)
	if err == nil && blake3.Sum256(data) == addr {
		return data, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, pebble.ErrNotFound) {
		return nil, api.E(op, api.Other, err) // the disk failed; the block may be fine
	}
	return s.setAside(addr, buf)
}

func notHere(op string, a api.Address) error {
	return api.Errorf(op, api.NotFound, "this node has no block "+a.String())
}

// readBlock reads a block's bytes without verifying them.
func (s *Store) readBlock(addr api.Address, r record, buf []byte) ([]byte, error) {
	if r.size > api.MaxBlock {
		return nil, io.ErrUnexpectedEOF
	}
	if r.place == inPebble {
		v, done, err := s.db.Get(dataKey(addr))
		if err != nil {
			return nil, err
		}
		defer done.Close()
		return append(buf[:0], v...), nil
	}
	f, err := os.Open(s.blockPath(addr))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if cap(buf) < r.size {
		buf = make([]byte, r.size)
	}
	buf = buf[:r.size]
	if _, err := io.ReadFull(f, buf); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return buf, nil
}

// setAside looks at a suspicious block again, alone, and moves it to quarantine
// if it is bad. It returns the bytes if they are good after all, NotFound when
// the block was deleted meanwhile or its bytes are missing, Corrupt otherwise.
func (s *Store) setAside(addr api.Address, buf []byte) ([]byte, error) {
	const op = "disk.get"
	s.commit.Lock()
	defer s.commit.Unlock()
	r, ok, err := s.record(addr)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, notHere(op, addr)
	}
	data, readErr := s.readBlock(addr, r, buf)
	if readErr == nil && blake3.Sum256(data) == addr {
		return data, nil
	}
	missing := errors.Is(readErr, fs.ErrNotExist) || errors.Is(readErr, pebble.ErrNotFound)
	if err := s.quarantine(addr, r, data, missing); err != nil {
		return nil, api.E(op, api.Other, err)
	}
	if missing {
		return nil, api.Errorf(op, api.NotFound, "the bytes of block "+addr.String()+" are missing; fetch it from another holder")
	}
	return nil, api.Errorf(op, api.Corrupt, "the block "+addr.String()+" was damaged on this disk and is set aside; fetch it from another holder")
}

// quarantine drops the block's record, then moves its bytes out of the way. The
// caller holds s.commit.
func (s *Store) quarantine(addr api.Address, r record, data []byte, missing bool) error {
	c := s.change()
	defer c.close()
	c.removeBlock(addr, r)
	if err := c.apply(); err != nil {
		return err
	}
	if missing {
		return nil
	}
	to := filepath.Join(s.dir, quarantineDir, hex.EncodeToString(addr[:]))
	var err error
	if r.place == inFile {
		err = os.Rename(s.blockPath(addr), to)
	} else {
		err = os.WriteFile(to, data, 0o600)
	}
	s.mu.Lock()
	s.usage.Quarantined++
	s.mu.Unlock()
	return err
}

// Has reports which blocks are present; see api.BlockStore.
func (s *Store) Has(ctx context.Context, addrs []api.Address) ([]bool, error) {
	const op = "disk.has"
	if err := s.enter(op); err != nil {
		return nil, err
	}
	defer s.leave()
	have := make([]bool, len(addrs))
	for i, a := range addrs {
		if i%1024 == 0 && ctx.Err() != nil {
			return nil, api.E(op, api.Other, context.Cause(ctx))
		}
		_, ok, err := s.record(a)
		if err != nil {
			return nil, api.E(op, api.Other, err)
		}
		have[i] = ok
	}
	return have, nil
}
