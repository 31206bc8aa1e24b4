package inos

import "encoding/binary"

// The two messages of a call, in Cap'n Proto's stream framing, read and written
// without its library, which would double a module's size. A test compares both
// directions with the generated code.
//
// Source: Cap'n Proto encoding specification; protocols/schemas/module/v1/call.capnp.

// request is a decoded Request.
type request struct {
	unit, method    string
	params          []byte
	pointer, length uint32 // of the input
	inType, inName  string
	limit           uint64
	seed            [32]byte
	submitted       int64
}

// structAt is a struct of a one-segment message, by word offsets.
type structAt struct {
	words    []byte
	data     int // first byte of the data section
	dataLen  int // bytes
	pointers int // first byte of the pointer section
	count    int // pointers
}

// decodeRequest reads a request; false when it is malformed.
func decodeRequest(b []byte) (r request, ok bool) {
	if len(b) < 16 || binary.LittleEndian.Uint32(b) != 0 {
		return r, false
	}
	words := b[8:]
	if uint64(len(words)) != 8*uint64(binary.LittleEndian.Uint32(b[4:])) {
		return r, false
	}
	root, ok := structFrom(words, 0)
	if !ok {
		return r, false
	}
	r.unit = string(root.bytes(0, true))
	r.method = string(root.bytes(1, true))
	r.params = root.bytes(2, false)
	r.inType = string(root.bytes(4, true))
	r.inName = string(root.bytes(5, true))
	copy(r.seed[:], root.bytes(6, false))
	r.limit = root.u64(0)
	r.submitted = int64(root.u64(1))
	if root.count > 3 {
		if span, ok := structFrom(words, root.pointers+3*8); ok {
			v := span.u64(0)
			r.pointer, r.length = uint32(v), uint32(v>>32)
		}
	}
	return r, true
}

// structFrom follows the struct pointer at byte p.
func structFrom(words []byte, p int) (structAt, bool) {
	w := binary.LittleEndian.Uint64(words[p:])
	if w == 0 || w&3 != 0 {
		return structAt{}, false
	}
	s := structAt{words: words, dataLen: 8 * int(uint16(w>>32)), count: int(uint16(w >> 48))}
	s.data = p + 8 + 8*int(int32(uint32(w))>>2)
	s.pointers = s.data + s.dataLen
	if s.data < 0 || s.pointers+8*s.count > len(words) {
		return structAt{}, false
	}
	return s, true
}

func (s structAt) u64(word int) uint64 {
	if 8*word+8 > s.dataLen {
		return 0
	}
	return binary.LittleEndian.Uint64(s.words[s.data+8*word:])
}

// bytes is the byte list that pointer i leads to, without a text's final zero;
// nil when there is none.
func (s structAt) bytes(i int, text bool) []byte {
	if i >= s.count {
		return nil
	}
	p := s.pointers + 8*i
	w := binary.LittleEndian.Uint64(s.words[p:])
	if w&3 != 1 || w>>32&7 != 2 {
		return nil
	}
	n := int(w >> 35)
	start := p + 8 + 8*int(int32(uint32(w))>>2)
	if start < 0 || start+n > len(s.words) {
		return nil
	}
	if text && n > 0 {
		n--
	}
	return s.words[start : start+n]
}

// encodeOutput is a Response with the place of an output.
func encodeOutput(pointer, length uint32, mediaType string) []byte {
	// root: tag 0; Output: a Span and a text
	m := newMessage(0)
	m.words(structPointer(0, 0, 2))
	m.words(structPointer(1, 1, 0), 0)
	m.words(uint64(pointer) | uint64(length)<<32)
	m.text(len(m.b)-2*8, mediaType)
	return m.done()
}

// encodeFailure is a Response with an error.
func encodeFailure(e *Error) []byte {
	m := newMessage(1)
	m.words(structPointer(0, 0, 2))
	at := len(m.b)
	m.words(0, 0)
	m.text(at, string(e.Kind))
	m.text(at+8, shorten(e.Message))
	return m.done()
}

// shorten cuts a message to the 1024 bytes that a node keeps, between characters.
func shorten(s string) string {
	if len(s) <= 1024 {
		return s
	}
	end := 1024
	for end > 0 && s[end]&0xc0 == 0x80 {
		end--
	}
	return s[:end]
}

// message is a Response under construction: framing, root pointer, root data.
type message struct{ b []byte }

func newMessage(tag uint64) *message {
	m := &message{b: make([]byte, 8, 256)}
	m.words(structPointer(0, 1, 1), tag)
	return m
}

func (m *message) words(ws ...uint64) {
	for _, w := range ws {
		m.b = binary.LittleEndian.AppendUint64(m.b, w)
	}
}

// text appends s and points the pointer at byte at to it.
func (m *message) text(at int, s string) {
	if s == "" {
		return
	}
	offset := (len(m.b) - at - 8) / 8
	binary.LittleEndian.PutUint64(m.b[at:], uint64(offset)<<2|1|2<<32|uint64(len(s)+1)<<35)
	m.b = append(append(m.b, s...), 0)
	for len(m.b)%8 != 0 {
		m.b = append(m.b, 0)
	}
}

func (m *message) done() []byte {
	binary.LittleEndian.PutUint32(m.b[4:], uint32(len(m.b)/8-1))
	return m.b
}

// structPointer leads to a struct that begins offset words after the pointer.
func structPointer(offset, data, pointers uint64) uint64 { return offset<<2 | data<<32 | pointers<<48 }
