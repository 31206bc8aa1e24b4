// Package layout holds the arena's offsets and the only casts from mapped bytes
// to atomic words.
//
// The offsets in layout_gen.go come from protocols/schemas/system/v1/layout.capnp
// and are proved at compile time to be aligned and not to overlap. The same
// numbers reach Rust and TypeScript, so nobody writes an offset by hand.
//
// Invariants:
//   - Every integer in the arena is little-endian and naturally aligned.
//   - A word that more than one thread of control may touch is accessed only
//     through the atomics returned by U32 and U64. Go's atomics are sequentially
//     consistent; comments at the sync points say which weaker order suffices.
//   - No function here reads outside the slice it is given: a bad offset panics
//     in the slice expression before any cast.
package layout

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"

	"inos/kernel/api"
)

// Tier is one size of arena.
type Tier struct {
	Name string
	Size uint64 // bytes
}

// Region is one part of an arena.
type Region struct {
	Name   string
	Offset uint64
	Bytes  uint64 // 0 for the heap, which has the rest
	Count  uint32 // elements
	Doc    string
}

// DefaultTier is the index in Tiers of the arena a node makes when it is not
// told otherwise: 64 MiB.
const DefaultTier = 1

// TierOf returns the index in Tiers of an arena of size bytes, or Invalid.
func TierOf(size uint64) (int, error) {
	for i, t := range Tiers {
		if t.Size == size {
			return i, nil
		}
	}
	return 0, api.Errorf("layout.tierof", api.Invalid, "an arena has 32, 64, 128 or 256 MiB")
}

// TierNamed returns the index in Tiers of the tier called name, or Invalid.
func TierNamed(name string) (int, error) {
	for i, t := range Tiers {
		if t.Name == name {
			return i, nil
		}
	}
	return 0, api.Errorf("layout.tiernamed", api.Invalid, "a tier is light, moderate, heavy or dedicated")
}

// LittleEndian reports whether this machine stores integers as the arena does.
// On a machine that does not, an arena cannot be opened.
func LittleEndian() bool {
	return binary.NativeEndian.Uint16([]byte{1, 0}) == 1
}

// Aligned reports whether mem begins at a multiple of align, a power of two.
func Aligned(mem []byte, align uint64) bool {
	// SAFETY: the pointer is only looked at as a number.
	return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(mem))))%align == 0
}

// U32 returns the word at offset at of mem. It panics when the word is not
// inside mem or not aligned; both are mistakes of the caller, never of data.
func U32(mem []byte, at uint64) *atomic.Uint32 {
	word := mem[at : at+4 : at+4]
	if !Aligned(word, 4) {
		panic("layout: a 32-bit word is not aligned")
	}
	// SAFETY: word has 4 bytes, is aligned, and atomic.Uint32 is one uint32.
	return (*atomic.Uint32)(unsafe.Pointer(unsafe.SliceData(word)))
}

// U64 is U32 for 64-bit words.
func U64(mem []byte, at uint64) *atomic.Uint64 {
	word := mem[at : at+8 : at+8]
	if !Aligned(word, 8) {
		panic("layout: a 64-bit word is not aligned")
	}
	// SAFETY: word has 8 bytes, is aligned, and atomic.Uint64 is one uint64.
	return (*atomic.Uint64)(unsafe.Pointer(unsafe.SliceData(word)))
}

// Words returns mem, whose length and address are multiples of 8, as 64-bit
// words. It is how records guarded by a sequence are copied: word by word,
// atomically, so that a torn copy is detected and never undefined.
func Words(mem []byte) []atomic.Uint64 {
	if len(mem) == 0 {
		return nil
	}
	if len(mem)%8 != 0 || !Aligned(mem, 8) {
		panic("layout: bytes are not whole aligned words")
	}
	// SAFETY: the slice covers exactly the bytes of mem, is aligned, and
	// atomic.Uint64 is one uint64.
	return unsafe.Slice((*atomic.Uint64)(unsafe.Pointer(unsafe.SliceData(mem))), len(mem)/8)
}

// AlignUp rounds n up to a multiple of align, a power of two.
func AlignUp(n, align uint64) uint64 { return (n + align - 1) &^ (align - 1) }
