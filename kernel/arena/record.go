package arena

import (
	"encoding/binary"
	"sync/atomic"
	"unicode/utf8"
)

// storeWords copies buf, whose length is a multiple of 8, into words from
// index at, wrapping at len(words), a power of two. Word by word and atomic, so
// that a reader that runs at the same time sees torn data but no undefined
// behaviour, and can tell by the record's sequence.
func storeWords(words []atomic.Uint64, at uint64, buf []byte) {
	mask := uint64(len(words) - 1)
	for i := 0; i+8 <= len(buf); i += 8 {
		words[at&mask].Store(binary.LittleEndian.Uint64(buf[i:]))
		at++
	}
}

// loadWords is the inverse of storeWords.
func loadWords(buf []byte, words []atomic.Uint64, at uint64) {
	mask := uint64(len(words) - 1)
	for i := 0; i+8 <= len(buf); i += 8 {
		binary.LittleEndian.PutUint64(buf[i:], words[at&mask].Load())
		at++
	}
}

// writeRecord stores buf in a record that begins with a 32-bit sequence, odd
// during a write and 0 if never used. The first four bytes of buf are left to it.
// The caller is the only writer.
func writeRecord(words []atomic.Uint64, buf []byte) {
	// Sync point: odd before, even after. Every word is a sequentially consistent
	// atomic, so a reader that saw any of the new words sees a changed sequence.
	sequence := uint32(words[0].Load()) | 1
	words[0].Store(words[0].Load()&^0xffffffff | uint64(sequence))
	for n := 1; n < len(words); n++ {
		words[n].Store(binary.LittleEndian.Uint64(buf[n*8:]))
	}
	if sequence++; sequence == 0 {
		sequence = 2
	}
	binary.LittleEndian.PutUint32(buf, sequence)
	words[0].Store(binary.LittleEndian.Uint64(buf))
}

// readTries bounds how often a reader starts over because a record was being
// written: the writer needs well under a microsecond.
const readTries = 1000

// readRecord copies a whole record out of the arena into buf, its sequence too;
// false if it is always in change.
func readRecord(words []atomic.Uint64, buf []byte) bool {
	for range readTries {
		first := words[0].Load()
		if first&1 != 0 {
			continue
		}
		for n := 1; n < len(words); n++ {
			binary.LittleEndian.PutUint64(buf[n*8:], words[n].Load())
		}
		if words[0].Load() == first {
			binary.LittleEndian.PutUint64(buf, first)
			return true
		}
	}
	return false
}

// cut shortens s to at most n bytes without splitting a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// text reads a length-prefixed string from a record that others may write: a
// length beyond the field is cut to it.
func text(field []byte, length uint32) string {
	if uint64(length) > uint64(len(field)) {
		length = uint32(len(field))
	}
	return string(field[:length])
}
