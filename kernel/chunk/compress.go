package chunk

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/andybalholm/brotli/matchfinder"

	"inos/kernel/api"
	"inos/kernel/wire"
)

// Compressed-1. These constants, the rule below and the encoder's version in
// go.mod decide the bytes and so every address; testdata/golden.txt pins them.
// Changing any keeps old objects readable (they are plain Brotli) but gives new
// puts of the same content new addresses. docs/rationale.md says how they were
// chosen.
const (
	maxDistance = 1 << 20   // the whole chunk is the window
	metaBlock   = 256 << 10 // one set of Huffman codes per this much plaintext
	minSaving   = 32        // compress only if it saves 1/32, so that reading gains more than decoding costs

	probeFrom    = 128 << 10 // chunks from this size are probed before they are compressed
	probeWindows = 16        // evenly spread
	probeWindow  = 4 << 10   // bytes each
)

// encoder compresses one chunk at a time. It uses integer and exactly rounded
// arithmetic only, so its output does not depend on the machine; the classic
// encoder of qualities 0 to 9 takes logarithms, which differ in the last bit.
type encoder struct {
	find    matchfinder.ZFast
	encode  brotli.Encoder
	matches []matchfinder.Match
	out     []byte
	sample  [probeWindows * probeWindow]byte
}

var encoders = sync.Pool{New: func() any {
	return &encoder{find: matchfinder.ZFast{MaxDistance: maxDistance}}
}}

// compress returns src's Compressed-1 as a new slice with room for a tag, or
// nil if the chunk is to stay raw. The rule:
//
//  1. Of a chunk of probeFrom bytes or more, probeWindows pieces of probeWindow
//     bytes, the i-th at i*(len-probeWindow)/(probeWindows-1), are joined and
//     compressed. If that does not save 1/minSaving of them, the chunk is raw.
//  2. The chunk is compressed. If that does not save 1/minSaving of it, it is raw.
func compress(src []byte) []byte {
	e := encoders.Get().(*encoder)
	defer encoders.Put(e)
	if len(src) >= probeFrom && !saves(e.run(e.gather(src)), len(e.sample)) {
		return nil
	}
	out := e.run(src)
	if !saves(out, len(src)) {
		return nil
	}
	return append(make([]byte, 0, len(out)+wire.SealOverhead), out...)
}

func saves(out []byte, plain int) bool { return len(out) < plain-plain/minSaving }

// gather fills the sample for step 1.
func (e *encoder) gather(src []byte) []byte {
	for i := range probeWindows {
		at := i * (len(src) - probeWindow) / (probeWindows - 1)
		copy(e.sample[i*probeWindow:(i+1)*probeWindow], src[at:])
	}
	return e.sample[:]
}

// run returns the Brotli stream of src, valid until the next run.
func (e *encoder) run(src []byte) []byte {
	e.find.Reset()
	e.encode.Reset()
	e.out = e.out[:0]
	for lo := 0; lo < len(src); lo += metaBlock {
		part := src[lo:min(lo+metaBlock, len(src))]
		e.matches = e.find.FindMatches(e.matches[:0], part)
		e.out = e.encode.Encode(e.out, part, e.matches, lo+len(part) == len(src))
	}
	return e.out
}

// decoder pairs a Brotli reader with its source, so that both are reused.
type decoder struct {
	brotli.Reader
	src bytes.Reader
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// decompress appends to dst the size bytes that src expands to. Corrupt if src
// is not a Brotli stream of exactly that many bytes.
func decompress(dst, src []byte, size int) ([]byte, error) {
	const op = "chunk.decompress"
	d := decoders.Get().(*decoder)
	d.src.Reset(src)
	_ = d.Reset(&d.src) // never fails
	if cap(dst)-len(dst) < size {
		dst = append(make([]byte, 0, len(dst)+size), dst...)
	}
	out := dst[len(dst) : len(dst)+size]
	if _, err := io.ReadFull(&d.Reader, out); err != nil {
		return nil, api.E(op, api.Corrupt, err)
	}
	var one [1]byte
	if n, err := d.Read(one[:]); n != 0 || !errors.Is(err, io.EOF) {
		return nil, api.Errorf(op, api.Corrupt, "the compressed chunk is longer than its manifest states")
	}
	d.src.Reset(nil)
	decoders.Put(d) // only after success: a hostile stream may have grown it
	return dst[:len(dst)+size], nil
}
