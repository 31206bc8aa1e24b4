//go:build race

package layout

import "encoding/binary"

// LoadShared is described in copy.go.
func LoadShared(dst, src []byte) int {
	n := min(len(dst), len(src))
	from := Words(src[:AlignUp(uint64(n), 8)])
	for i := range from {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], from[i].Load())
		copy(dst[i*8:n], word[:])
	}
	return n
}

// StoreShared is described in copy.go.
func StoreShared(dst, src []byte) int {
	n := min(len(dst), len(src))
	to := Words(dst[:AlignUp(uint64(n), 8)])
	for i := range to {
		var word [8]byte
		binary.LittleEndian.PutUint64(word[:], to[i].Load())
		copy(word[:], src[i*8:n])
		to[i].Store(binary.LittleEndian.Uint64(word[:]))
	}
	return n
}
