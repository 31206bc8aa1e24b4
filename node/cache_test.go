package node

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"inos/host/storetest"
	"inos/kernel/api"
)

// cachingStore notes what it is given to cache.
type cachingStore struct {
	BlockStore
	batches [][]api.Block
	fail    error
}

func (c *cachingStore) Cache(_ context.Context, blocks []api.Block) error {
	c.batches = append(c.batches, blocks)
	return c.fail
}

func TestFetchedBlocksAreCached(t *testing.T) {
	for _, fail := range []error{nil, api.Errorf("test", api.NoSpace, "full")} {
		store := &cachingStore{fail: fail}
		n := &Node{store: store}
		refused := errors.New("the reader went away")
		var got int
		deliver, end := n.cached(t.Context(), func(_ api.Address, data []byte) error {
			if got++; got == 10 {
				return refused
			}
			return nil
		})
		buf := make([]byte, api.ChunkSize)
		for i := range 9 {
			b := storetest.Block(uint64(i), api.ChunkSize)
			copy(buf, b.Data) // one buffer, as a fetch has
			if err := deliver(b.Addr, buf); err != nil {
				t.Fatal(err)
			}
		}
		if err := deliver(api.Address{1}, buf); !errors.Is(err, refused) {
			t.Fatal(err)
		}
		end()
		end()
		if len(store.batches) != 3 || len(store.batches[0]) != 4 || len(store.batches[2]) != 1 {
			t.Fatalf("%d batches", len(store.batches))
		}
		i := uint64(0)
		for _, batch := range store.batches {
			for _, b := range batch {
				if want := storetest.Block(i, api.ChunkSize); b.Addr != want.Addr || !bytes.Equal(b.Data, want.Data) {
					t.Fatalf("block %d is cached wrong", i)
				}
				i++
			}
		}
	}
	// A store that does not cache costs nothing.
	n := &Node{store: struct{ BlockStore }{}}
	plain := func(api.Address, []byte) error { return nil }
	deliver, end := n.cached(t.Context(), plain)
	if err := deliver(api.Address{}, nil); err != nil {
		t.Fatal(err)
	}
	end()
}
