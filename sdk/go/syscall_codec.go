package inos

import "encoding/binary"

// The messages of system calls, as in codec.go. Data sections are counted in words of
// 8 bytes.
//
// Source: protocols/schemas/syscall/v1/syscall.capnp.

// What a request asks for: the union's tags.
const (
	opFetch = iota
	opStore
	opSend
	opSpawn
	opKill
	opHost
	opAwait
)

// What a fetch reads from: the union's tags.
const (
	fromInput = iota
	fromLink
	fromAddress
)

// Flags of a store.
const (
	storePublic = 1
	storeBlock  = 2
)

// failed is the tag of a completion with an error.
const failed = 7

// request starts a request: its root with room for a thread's id, and the operation's
// struct when it has one.
func newRequest(op, data, pointers uint64) *message {
	m := &message{b: make([]byte, 8, 512)}
	m.words(structPointer(0, 3, 2), 0, op<<32, 0, 0, 0)
	if data+pointers > 0 {
		binary.LittleEndian.PutUint64(m.b[len(m.b)-8:], structPointer(0, data, pointers))
	}
	return m
}

// pointers reserves n pointers and returns where the first is.
func (m *message) pointers(n int) int {
	at := len(m.b)
	m.b = append(m.b, make([]byte, 8*n)...)
	return at
}

// span points the pointer at byte at to the place of b.
func (m *message) span(at int, b []byte) {
	if len(b) == 0 {
		return
	}
	offset := uint64(len(m.b)-at-8) / 8
	binary.LittleEndian.PutUint64(m.b[at:], structPointer(offset, 1, 0))
	m.words(uint64(place(b)) | uint64(len(b))<<32)
}

// data appends b and points the pointer at byte at to it.
func (m *message) data(at int, b []byte) {
	offset := uint64(len(m.b)-at-8) / 8
	binary.LittleEndian.PutUint64(m.b[at:], offset<<2|1|2<<32|uint64(len(b))<<35)
	m.b = append(m.b, b...)
	for len(m.b)%8 != 0 {
		m.b = append(m.b, 0)
	}
}

func fetchRequest(from Source, offset uint64, length uint32, into []byte) ([]byte, []byte) {
	m := newRequest(opFetch, 2, 3)
	tag := uint64(fromInput)
	switch {
	case from.Link != "":
		tag = fromLink
	case from.Address != [32]byte{}:
		tag = fromAddress
	}
	m.words(tag|uint64(length)<<32, offset)
	at := m.pointers(3)
	switch tag {
	case fromLink:
		m.text(at, from.Link)
	case fromAddress:
		m.data(at, from.Address[:])
	}
	m.text(at+8, from.Path)
	m.span(at+16, into)
	return m.done(), into
}

func storeRequest(name string, data []byte, flags uint64) ([]byte, []byte) {
	m := newRequest(opStore, 1, 2)
	m.words(flags)
	at := m.pointers(2)
	m.span(at, data)
	m.text(at+8, name)
	return m.done(), data
}

func sendRequest(node, module string, data []byte) ([]byte, []byte) {
	m := newRequest(opSend, 0, 3)
	at := m.pointers(3)
	m.text(at, node)
	m.text(at+8, module)
	m.span(at+16, data)
	return m.done(), data
}

func spawnRequest(unit, method, params string, input []byte, gas uint64) ([]byte, []byte) {
	m := newRequest(opSpawn, 1, 4)
	m.words(gas)
	at := m.pointers(4)
	m.text(at, unit)
	m.text(at+8, method)
	m.text(at+16, params)
	m.span(at+24, input)
	return m.done(), input
}

func hostRequest(service, operation, argument string, data []byte) ([]byte, []byte) {
	m := newRequest(opHost, 0, 4)
	at := m.pointers(4)
	m.text(at, service)
	m.text(at+8, operation)
	m.text(at+16, argument)
	m.span(at+24, data)
	return m.done(), data
}

// threadRequest kills or awaits a thread.
func threadRequest(op, id uint64) ([]byte, []byte) {
	m := newRequest(op, 0, 0)
	binary.LittleEndian.PutUint64(m.b[8+8+16:], id)
	return m.done(), nil
}

// completion is a decoded Completion: its root, and the struct of its union where
// it has one.
type completion struct{ root, body structAt }

// decodeCompletion reads a completion; what it reports is the error.
func decodeCompletion(b []byte) (c completion, err error) {
	unreadable := &SyscallError{"invalid", "the completion is not readable"}
	if len(b) < 16 || binary.LittleEndian.Uint32(b) != 0 {
		return c, unreadable
	}
	words := b[8:]
	if uint64(len(words)) != 8*uint64(binary.LittleEndian.Uint32(b[4:])) {
		return c, unreadable
	}
	var ok bool
	if c.root, ok = structFrom(words, 0); !ok {
		return c, unreadable
	}
	if c.root.count > 0 {
		c.body, _ = structFrom(words, c.root.pointers)
	}
	if uint16(c.root.u64(1)) == failed {
		return c, &SyscallError{string(c.body.bytes(0, true)), string(c.body.bytes(1, true))}
	}
	return c, nil
}

// data is the place of the bytes that the completion names.
func (c completion) data() (pointer, length uint32) { return c.spanAt(0) }

func (c completion) spanAt(i int) (pointer, length uint32) {
	if i >= c.body.count {
		return 0, 0
	}
	s, _ := structFrom(c.body.words, c.body.pointers+8*i)
	v := s.u64(0)
	return uint32(v), uint32(v >> 32)
}
