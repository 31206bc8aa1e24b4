// Package bin reads and writes the framing of WebAssembly binaries: LEB128
// integers, names and sections. It knows no instructions.
//
// Invariants:
//   - A Reader never reads outside its slice and never panics; the first fault
//     sticks, every later read returns zero, and Err reports it.
//   - Nothing is allocated in proportion to a count that the input claims.
//
// Source: WebAssembly Core Specification 2.0, chapter 5, "Binary Format".
package bin

import (
	"unicode/utf8"

	"inos/kernel/api"
)

// Section ids.
const (
	Custom    = 0
	Type      = 1
	Import    = 2
	Function  = 3
	Table     = 4
	Memory    = 5
	Global    = 6
	Export    = 7
	Start     = 8
	Element   = 9
	Code      = 10
	Data      = 11
	DataCount = 12
)

// Kinds of imports and exports.
const (
	KindFunc   = 0
	KindTable  = 1
	KindMemory = 2
	KindGlobal = 3
)

// Header is the magic and version that begin every core module.
const Header = "\x00asm\x01\x00\x00\x00"

// MaxSections bounds the sections of a module, custom ones included.
const MaxSections = 256

// Reader reads a slice front to back.
type Reader struct {
	b   []byte
	pos int
	err error
}

// NewReader reads b, which the caller must not change meanwhile.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// Err returns the first fault, an api.Invalid error, or nil.
func (r *Reader) Err() error { return r.err }

// Fail records a fault unless one stands already.
func (r *Reader) Fail(msg string) {
	if r.err == nil {
		r.err = api.Errorf("wasm.read", api.Invalid, msg)
	}
}

// Pos returns the number of bytes read.
func (r *Reader) Pos() int { return r.pos }

// At goes back to an earlier Pos and returns r.
func (r *Reader) At(pos int) *Reader {
	r.pos = min(pos, r.pos)
	return r
}

// Len returns the number of bytes left, 0 after a fault.
func (r *Reader) Len() int {
	if r.err != nil {
		return 0
	}
	return len(r.b) - r.pos
}

// Since returns the bytes from an earlier Pos up to now.
func (r *Reader) Since(start int) []byte { return r.b[start:r.pos] }

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if r.Len() < 1 {
		r.Fail("the module ends in the middle of something")
		return 0
	}
	r.pos++
	return r.b[r.pos-1]
}

// Bytes reads n bytes without copying.
func (r *Reader) Bytes(n uint32) []byte {
	if uint64(r.Len()) < uint64(n) {
		r.Fail("the module ends in the middle of something")
		return nil
	}
	r.pos += int(n)
	return r.b[r.pos-int(n) : r.pos]
}

// U32 reads an unsigned 32-bit LEB128.
func (r *Reader) U32() uint32 {
	var v uint32
	for shift := 0; shift < 35; shift += 7 {
		b := r.Byte()
		if r.err != nil {
			return 0
		}
		if shift == 28 && b > 0x0f {
			break
		}
		v |= uint32(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
	r.Fail("a number is longer than 32 bits")
	return 0
}

// SkipLEB passes over a signed LEB128 of at most max bytes and returns its raw
// form, whose value the engine's validator checks.
func (r *Reader) SkipLEB(max int) []byte {
	start := r.pos
	for range max {
		if r.Byte() < 0x80 {
			return r.b[start:r.pos]
		}
	}
	r.Fail("a number is too long")
	return nil
}

// Name reads a length and that many bytes of UTF-8.
func (r *Reader) Name() string {
	b := r.Bytes(r.U32())
	if !utf8.Valid(b) {
		r.Fail("a name is not UTF-8")
		return ""
	}
	return string(b)
}

// Count reads a vector's length. Each element takes at least one byte, so a
// count above the bytes left is refused before anything is allocated.
func (r *Reader) Count() uint32 {
	n := r.U32()
	if uint64(n) > uint64(r.Len()) {
		r.Fail("a list claims more entries than there are bytes")
		return 0
	}
	return n
}

// Section is one section of a module; Body aliases the input.
type Section struct {
	ID    byte
	Name  string // of a custom section
	Body  []byte // of a custom section: what follows the name
	Start int    // where the section's id stands in the module
}

// Sections splits a module. It checks the header, each length and the number of
// sections, not their order, which the engine's validator checks.
func Sections(wasm []byte) ([]Section, error) {
	if len(wasm) < len(Header) || string(wasm[:len(Header)]) != Header {
		return nil, api.Errorf("wasm.sections", api.Invalid, notWasm(wasm))
	}
	r := NewReader(wasm[len(Header):])
	var out []Section
	for r.Len() > 0 {
		if len(out) == MaxSections {
			r.Fail("the module has more than 256 sections")
			break
		}
		s := Section{Start: len(Header) + r.Pos(), ID: r.Byte()}
		s.Body = r.Bytes(r.U32())
		if s.ID == Custom && r.Err() == nil {
			c := NewReader(s.Body)
			s.Name = c.Name()
			if c.Err() != nil {
				return nil, c.Err()
			}
			s.Body = s.Body[c.Pos():]
		}
		out = append(out, s)
	}
	return out, r.Err()
}

func notWasm(b []byte) string {
	switch {
	case len(b) == 0:
		return "not a WebAssembly module: the file is empty"
	case len(b) >= 8 && string(b[:4]) == Header[:4] && b[4] == 0x0d && b[6] == 1:
		return "this is a WebAssembly component; INOS runs core modules (build for wasm32-unknown-unknown)"
	case len(b) >= 4 && string(b[:4]) == Header[:4]:
		return "not a WebAssembly module of version 1"
	}
	return "not a WebAssembly module: the file does not start with \\0asm"
}

// AppendU32 appends the unsigned LEB128 of v.
func AppendU32(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// AppendS64 appends the signed LEB128 of v, which also serves i32 constants.
func AppendS64(b []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if (v == 0 && c&0x40 == 0) || (v == -1 && c&0x40 != 0) {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

// AppendName appends a length and the bytes of s.
func AppendName(b []byte, s string) []byte {
	return append(AppendU32(b, uint32(len(s))), s...)
}

// AppendSection appends a whole section.
func AppendSection(b []byte, id byte, body []byte) []byte {
	b = AppendU32(append(b, id), uint32(len(body)))
	return append(b, body...)
}
