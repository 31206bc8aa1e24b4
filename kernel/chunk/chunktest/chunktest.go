// Package chunktest has an in-memory block store, and deterministic content,
// for tests of whatever reads or writes blocks.
package chunktest

import (
	"context"
	"io"
	"sync"

	"github.com/zeebo/blake3"

	"inos/kernel/api"
)

// Store keeps blocks in memory. It is an api.Fetcher, and Sink feeds it. Tests
// reach into Blocks, under Mu, to damage or remove what is stored.
type Store struct {
	Mu       sync.Mutex
	Blocks   map[api.Address][]byte // guarded by Mu
	Puts     int                    // guarded by Mu; calls of Sink
	Requests int                    // guarded by Mu; calls of Fetch
	Fetched  int                    // guarded by Mu; blocks delivered
}

// NewStore returns an empty store.
func NewStore() *Store { return &Store{Blocks: make(map[api.Address][]byte)} }

// Sink stores a block after checking its address and size.
func (s *Store) Sink(_ context.Context, b api.Block) error {
	if blake3.Sum256(b.Data) != b.Addr || len(b.Data) > api.MaxBlock {
		return api.Errorf("chunktest.sink", api.Corrupt, "the block does not match its address or is too large")
	}
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.Blocks[b.Addr] = b.Data
	s.Puts++
	return nil
}

// Fetch delivers the blocks in a scrambled order, as holders do.
func (s *Store) Fetch(ctx context.Context, addrs []api.Address, deliver func(api.Address, []byte) error) error {
	s.Mu.Lock()
	s.Requests++
	s.Mu.Unlock()
	var buf []byte
	for i := range addrs {
		if err := ctx.Err(); err != nil {
			return err
		}
		a := addrs[len(addrs)-1-i]
		s.Mu.Lock()
		data, ok := s.Blocks[a]
		s.Fetched++
		s.Mu.Unlock()
		if !ok {
			return api.Errorf("chunktest.fetch", api.NotFound, "no block "+a.String())
		}
		buf = append(buf[:0], data...)
		if err := deliver(a, buf); err != nil {
			return err
		}
		clear(buf) // delivered data is not to be kept
	}
	return nil
}

// Bytes returns the sum of the blocks' sizes.
func (s *Store) Bytes() (n uint64) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	for _, b := range s.Blocks {
		n += uint64(len(b))
	}
	return n
}

// Random fills p with bytes that depend on seed alone: BLAKE3's output stream.
func Random(seed uint64, p []byte) {
	h := blake3.New()
	for i := range 8 {
		_, _ = h.Write([]byte{byte(seed >> (8 * i))})
	}
	_, _ = io.ReadFull(h.Digest(), p) // the stream never ends
}

var words = []string{
	"block", "stored", "the", "of", "manifest", "and", "node", "to", "lease", "in", "peer", "connected",
	"a", "repair", "chunk", "is", "receipt", "holder", "for", "address", "with", "signed", "from", "hash",
}

// Text fills p with lines that read and compress like a log, from seed alone.
func Text(seed uint64, p []byte) {
	rnd := make([]byte, len(p)/2+64)
	Random(seed, rnd)
	out := p[:0]
	const digits = "0123456789"
	for r := rnd; len(out) < len(p); {
		out = append(out, "2026-03-0"...)
		out = append(out, '1'+r[0]%9, 'T', '1', digits[r[1]%10], ':', digits[r[2]%6], digits[r[3]%10])
		out = append(out, " level=info node=n"...)
		out = append(out, digits[r[4]%10], ' ')
		n := 5 + int(r[5]%8)
		for _, b := range r[6 : 6+n] {
			out = append(append(out, words[int(b)%len(words)]...), ' ')
		}
		out = append(out, '\n')
		r = r[6+n:]
		if len(out) > len(p) {
			out = out[:len(p)]
		}
	}
	copy(p, out)
}
