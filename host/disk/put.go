package disk

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/zeebo/blake3"
	"golang.org/x/sync/errgroup"

	"inos/kernel/api"
)

// MaxPut bounds the blocks of one Put, and so the records of one batch.
const MaxPut = 16384

// put is one Put on its way through the group commit.
type put struct {
	lease  api.LeaseID
	own    bool // the addresses are known to be right
	blocks []incoming
	done   chan error // capacity 1
}

// incoming is one block of a Put.
type incoming struct {
	api.Block
	temp    string // of a large block that was written; empty otherwise
	present bool   // the store had it when the Put began
}

// errVanished means that a block which was present when a Put began was gone
// when it committed: its last lease ended, or it turned out to be corrupt.
var errVanished = errors.New("a block vanished")

// Put makes blocks durable under lease; see api.BlockStore. Concurrent Puts
// share their commits. Invalid if there are more than MaxPut blocks.
func (s *Store) Put(ctx context.Context, lease api.LeaseID, blocks []api.Block) error {
	return s.put(ctx, lease, blocks, false)
}

// PutOwn is Put for blocks whose addresses this process has just computed from
// the very same bytes: they are not hashed a second time.
func (s *Store) PutOwn(ctx context.Context, lease api.LeaseID, blocks []api.Block) error {
	return s.put(ctx, lease, blocks, true)
}

func (s *Store) put(ctx context.Context, lease api.LeaseID, blocks []api.Block, own bool) error {
	const op = "disk.put"
	if err := s.enter(op); err != nil {
		return err
	}
	defer s.leave()
	if len(blocks) == 0 {
		return nil
	}
	if len(blocks) > MaxPut || lease == (api.LeaseID{}) {
		return api.Errorf(op, api.Invalid, "a put has a lease and at most 16384 blocks")
	}
	if ctx.Err() != nil {
		return api.E(op, api.Other, context.Cause(ctx))
	}
	p := &put{lease: lease, own: own}
	err := s.tryPut(ctx, p, blocks, true)
	if errors.Is(err, errVanished) {
		err = s.tryPut(ctx, p, blocks, false)
	}
	if err != nil {
		return api.E(op, api.Other, noSpace(err))
	}
	return nil
}

// tryPut writes what is missing, or everything unless reuse, and commits.
func (s *Store) tryPut(ctx context.Context, p *put, blocks []api.Block, reuse bool) error {
	p.blocks, p.done = make([]incoming, len(blocks)), make(chan error, 1)
	var size uint64
	for i, b := range blocks {
		in := &p.blocks[i]
		in.Block = b
		if len(b.Data) == 0 || len(b.Data) > api.MaxBlock {
			return api.Errorf("disk.put", api.Invalid, "a block has 1 to "+strconv.Itoa(api.MaxBlock)+" bytes")
		}
		if reuse {
			_, ok, err := s.record(b.Addr)
			if err != nil {
				return err
			}
			in.present = ok
		}
		if !in.present {
			size += uint64(len(b.Data))
		}
	}
	held, err := s.reserve(size)
	if err != nil {
		return err
	}
	defer held.release()
	defer p.discard()
	if err := s.stage(ctx, p); err != nil {
		return err
	}
	s.join(p)
	return <-p.done // the commit ends even when ctx does: its outcome must be known
}

// stage verifies every block, unless they are our own, and writes the large ones to temporary files,
// several at once.
func (s *Store) stage(ctx context.Context, p *put) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(writers)
	for i := range p.blocks {
		in := &p.blocks[i]
		if len(in.Data) < api.LargeBlock { // not worth a goroutine
			if !p.own && blake3.Sum256(in.Data) != in.Addr {
				g.Go(func() error { return mismatch(in.Addr) })
				break
			}
			continue
		}
		g.Go(func() error {
			if !p.own && blake3.Sum256(in.Data) != in.Addr {
				return mismatch(in.Addr)
			}
			if in.present {
				return nil
			}
			return s.writeTemp(ctx, in)
		})
	}
	return g.Wait()
}

func mismatch(a api.Address) error {
	return api.Errorf("disk.put", api.Corrupt, "the bytes do not match the address "+a.String())
}

// writeTemp writes a block to a synced file of its own in the temporary folder.
func (s *Store) writeTemp(ctx context.Context, in *incoming) error {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	path := filepath.Join(s.dir, tempDir, strconv.FormatUint(s.temp.Add(1), 36))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	in.temp = path
	_, err = f.Write(in.Data)
	if err == nil && !s.opt.NoSync {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// discard removes the temporary files that the commit did not take.
func (p *put) discard() {
	for i := range p.blocks {
		if t := p.blocks[i].temp; t != "" {
			_ = os.Remove(t) // Open removes what this cannot
		}
	}
}

// noSpace classifies a full disk.
func noSpace(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return api.Errorf("disk.write", api.NoSpace, "the disk is full; free some space or move the store. Reads go on")
	}
	return err
}
