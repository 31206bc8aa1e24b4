package p2p

import (
	"sync"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// groupTarget is the size from which a group of small blocks is sent; groupCap
// is the most a group holds: less than the target, and one more block.
const (
	groupTarget = 64 << 10
	groupCap    = groupTarget + api.MaxBlock
)

// classes are the sizes of pooled buffers. What is larger than the last is a
// defect.
var classes = [...]int{8 << 10, groupTarget, groupCap, wire.MaxBatchBytes / 2, wire.MaxBatchBytes}

var pools [len(classes)]sync.Pool

// buffer is a pooled run of bytes. Its owner releases it once.
type buffer struct {
	b     []byte
	class int
}

// getBuffer returns a buffer of n bytes with arbitrary content.
func getBuffer(n int) *buffer {
	for class, size := range classes {
		if n > size {
			continue
		}
		if v, ok := pools[class].Get().(*buffer); ok {
			v.b = v.b[:n]
			return v
		}
		return &buffer{b: make([]byte, size)[:n], class: class}
	}
	panic("p2p: a message beyond its bound passed the decoder")
}

func (b *buffer) release() { pools[b.class].Put(b) }
