//go:build !race

package layout

import (
	"runtime"
	"sync/atomic"
)

// LoadShared copies min(len(dst), len(src)) bytes out of src, which somebody may
// change meanwhile, and returns how many. The caller detects a torn copy by a
// sequence: the copy's accesses come after every atomic access before the call
// and before every one after it. src begins at a multiple of 8 and its capacity is
// whole words. Under the race detector the copy goes word by word through
// atomics, so that the detector sees the order that the hardware gives.
//
// Sync point: on amd64 loads are not reordered with loads, nor stores with
// stores, and Go's atomic stores are full barriers, so a plain copy is in order.
// Elsewhere a read-modify-write is the barrier, as LDADDAL is in Linux.
func LoadShared(dst, src []byte) int { return ordered(dst, src) }

// StoreShared is LoadShared in the other direction: dst is what others may read
// meanwhile. Bytes of dst's last word beyond the copy stay as they are.
func StoreShared(dst, src []byte) int { return ordered(dst, src) }

func ordered(dst, src []byte) int {
	fence()
	n := copy(dst, src)
	fence()
	return n
}

func fence() {
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "wasm" {
		var word atomic.Uint32
		word.Add(1)
	}
}
