// Package nettest is what a tab's network and the native node that it is tested
// against agree on. scripts/net-browser-test.sh runs the two.
package nettest

import (
	"github.com/zeebo/blake3"

	"inos/kernel/api"
)

// Total is the bytes of all blocks.
const Total = 64 << 20

// Blocks returns blocks of the largest size, of Total bytes together, the same on
// every machine.
func Blocks() []api.Block {
	out := make([]api.Block, Total/api.MaxBlock)
	for i := range out {
		data := make([]byte, api.MaxBlock)
		h := blake3.New()
		_, _ = h.Write([]byte{byte(i), byte(i >> 8)})
		_, _ = h.Digest().Read(data)
		out[i] = api.Block{Addr: blake3.Sum256(data), Data: data}
	}
	return out
}
