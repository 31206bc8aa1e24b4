package opfs

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/zeebo/blake3"
	"golang.org/x/crypto/chacha20poly1305"

	"inos/host/storetest"
	"inos/kernel/api"
	"inos/kernel/chunk"
	"inos/kernel/chunk/chunktest"
)

func openBench(b *testing.B) *Store {
	s, err := openNamed(newPlace(b), Options{})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func BenchmarkPut(b *testing.B)    { benchPut(b, benchPutAny) }
func BenchmarkPutOwn(b *testing.B) { benchPut(b, benchPutOwn) }

func BenchmarkGet(b *testing.B) {
	s := openBench(b)
	defer s.Close()
	benchGet(b, s)
}

func BenchmarkFlush(b *testing.B) {
	s := openBench(b)
	defer s.Close()
	m := s.Meta("m")
	for b.Loop() {
		if err := m.Set([]byte("k"), []byte("v")); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSetLazy(b *testing.B) {
	s := openBench(b)
	defer s.Close()
	m := s.Meta("m")
	for b.Loop() {
		if err := m.SetLazy([]byte("k"), []byte("v")); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHash(b *testing.B) {
	data := make([]byte, api.ChunkSize)
	b.SetBytes(api.ChunkSize)
	for b.Loop() {
		blake3.Sum256(data)
	}
}

func BenchmarkSeal(b *testing.B) {
	aead, _ := chacha20poly1305.New(make([]byte, 32))
	data, out := make([]byte, api.ChunkSize), make([]byte, 0, api.MaxBlock)
	b.SetBytes(api.ChunkSize)
	for b.Loop() {
		aead.Seal(out, make([]byte, 12), data, nil)
	}
}

// benchBlocks is a tab's 64 MiB, as whole blocks.
func benchBlocks() (blocks []api.Block) {
	for i := range uint64(64) {
		blocks = append(blocks, storetest.Block(i, api.ChunkSize))
	}
	return blocks
}

// benchPut stores 64 MiB, 16 blocks a Put, and lets go of them.
func benchPut(b *testing.B, put func(*Store, []api.Block) error) {
	s, blocks := openBench(b), benchBlocks()
	defer s.Close()
	b.SetBytes(int64(len(blocks)) * api.ChunkSize)
	for b.Loop() {
		for lo := 0; lo < len(blocks); lo += 16 {
			if err := put(s, blocks[lo:lo+16]); err != nil {
				b.Fatal(err)
			}
		}
		if err := s.Release(b.Context(), storetest.Lease(1)); err != nil {
			b.Fatal(err)
		}
	}
}

func benchPutAny(s *Store, blocks []api.Block) error {
	return s.Put(context.Background(), storetest.Lease(1), blocks)
}

func benchPutOwn(s *Store, blocks []api.Block) error {
	return s.PutOwn(context.Background(), storetest.Lease(1), blocks)
}

func benchGet(b *testing.B, s *Store) {
	blocks := benchBlocks()
	if err := benchPutOwn(s, blocks); err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, api.MaxBlock)
	b.SetBytes(api.ChunkSize)
	for i := 0; b.Loop(); i++ {
		if _, err := s.Get(context.Background(), blocks[i%64].Addr, buf); err != nil {
			b.Fatal(err)
		}
	}
}

// local is a store as the fetcher of an object that it holds.
type local struct{ *Store }

func (l local) Fetch(ctx context.Context, addrs []api.Address, deliver func(api.Address, []byte) error) error {
	buf := make([]byte, api.MaxBlock)
	for _, a := range addrs {
		data, err := l.Get(ctx, a, buf)
		if err != nil {
			return err
		}
		if err := deliver(a, data); err != nil {
			return err
		}
	}
	return nil
}

// The whole way of 64 MiB: chunked, compressed, sealed, hashed and stored; and
// back: read, verified, opened, decompressed and verified again.
func benchObject(b *testing.B, fill func(uint64, []byte), read bool) {
	data := make([]byte, 64<<20)
	fill(1, data)
	s := openBench(b)
	defer s.Close()
	build := func() chunk.Result {
		r, err := chunk.BuildFile(b.Context(), chunk.Options{Namespace: [32]byte{1}}, func(ctx context.Context, block api.Block) error {
			return s.PutOwn(ctx, storetest.Lease(1), []api.Block{block})
		}, "", bytes.NewReader(data))
		if err != nil {
			b.Fatal(err)
		}
		return r
	}
	r := build()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if !read {
			build()
			if err := s.Release(b.Context(), storetest.Lease(1)); err != nil {
				b.Fatal(err)
			}
			continue
		}
		o, err := chunk.Open(b.Context(), r.Link, local{s})
		if err != nil {
			b.Fatal(err)
		}
		e, _ := o.File()
		if err := o.ReadFile(b.Context(), e, io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkObjectPutRandom(b *testing.B) { benchObject(b, chunktest.Random, false) }
func BenchmarkObjectPutText(b *testing.B)   { benchObject(b, chunktest.Text, false) }
func BenchmarkObjectGetRandom(b *testing.B) { benchObject(b, chunktest.Random, true) }
func BenchmarkObjectGetText(b *testing.B)   { benchObject(b, chunktest.Text, true) }
