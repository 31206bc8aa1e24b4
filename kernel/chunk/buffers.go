package chunk

import (
	"sync"

	"inos/kernel/api"
)

// buffers recycles whole-chunk buffers with room for a tag. Smaller slices are
// left to the collector.
var buffers = sync.Pool{New: func() any { return new([api.MaxBlock]byte) }}

// chunkBuffer returns an empty slice with capacity for any block.
func chunkBuffer() []byte { return buffers.Get().(*[api.MaxBlock]byte)[:0] }

// blockBuffer returns a slice of n bytes, 0..MaxBlock.
func blockBuffer(n int) []byte {
	if n < api.LargeBlock {
		return make([]byte, n)
	}
	return chunkBuffer()[:n]
}

// recycle takes back what chunkBuffer or blockBuffer returned; nobody may use b
// afterwards. Other slices are ignored.
func recycle(b []byte) {
	if cap(b) == api.MaxBlock {
		buffers.Put((*[api.MaxBlock]byte)(b[:api.MaxBlock]))
	}
}
