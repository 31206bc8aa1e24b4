package main

import (
	"errors"
	"sort"
)

// image is the linear memory that a module's data segments make, over the bytes of
// the file.
type image struct {
	file     []byte
	segments []segment // by address, not overlapping
	mem      []byte    // a copy of what the segments say, zero between them
}

// segment is file[at:][:size] at an address.
type segment struct{ addr, size, at int }

var errShort = errors.New("the module is cut off, or none")

// cursor reads the file.
type cursor struct {
	b   []byte
	at  int
	err error
}

func (c *cursor) byte() byte {
	if c.at >= len(c.b) {
		c.err = errShort
		return 0
	}
	c.at++
	return c.b[c.at-1]
}

// leb reads a LEB128 number, with sign or without.
func (c *cursor) leb(signed bool) int {
	v, shift := int64(0), 0
	for {
		x := c.byte()
		v |= int64(x&0x7f) << shift
		shift += 7
		if x < 0x80 || shift > 63 {
			if signed && x&0x40 != 0 && shift < 64 {
				v -= 1 << shift
			}
			return int(v)
		}
	}
}

// maxMemory bounds what the data segments may describe.
const maxMemory = 256 << 20

// openImage finds the active data segments.
func openImage(b []byte) (*image, error) {
	if len(b) < 8 || string(b[:4]) != "\x00asm" {
		return nil, errShort
	}
	m, c, end := &image{file: b}, &cursor{b: b, at: 8}, 0
	for c.at < len(b) && c.err == nil {
		id, size := c.byte(), c.leb(false)
		next := c.at + size
		if size < 0 || next > len(b) {
			return nil, errShort
		}
		for n := 0; id == 11 && c.err == nil; n-- { // the data section
			if n == 0 {
				if n = c.leb(false); n == 0 {
					break
				}
			}
			s, err := c.segment()
			if err != nil {
				return nil, err
			}
			m.segments = append(m.segments, s)
			if end = max(end, s.addr+s.size); n == 1 {
				break
			}
		}
		c.at = next
	}
	if c.err != nil || end == 0 || end > maxMemory {
		return nil, errShort
	}
	sort.Slice(m.segments, func(i, j int) bool { return m.segments[i].addr < m.segments[j].addr })
	m.mem = make([]byte, end)
	for _, s := range m.segments {
		copy(m.mem[s.addr:], b[s.at:s.at+s.size])
	}
	return m, nil
}

// segment reads one active segment of memory 0 with a constant address.
func (c *cursor) segment() (segment, error) {
	flags, op := c.leb(false), c.byte()
	addr := c.leb(true)
	if flags != 0 || op != 0x41 || c.byte() != 0x0b || addr < 0 || addr > maxMemory {
		return segment{}, errors.New("a data segment is not as Go's linker writes them")
	}
	s := segment{addr: addr, size: c.leb(false), at: 0}
	s.at = c.at
	if c.err != nil || s.size < 0 || s.at+s.size > len(c.b) {
		return s, errShort
	}
	c.at += s.size
	return s, nil
}

// find returns the segment that has an address; nil when it is zero between them.
func (m *image) find(addr int) *segment {
	i := sort.Search(len(m.segments), func(i int) bool { return m.segments[i].addr > addr }) - 1
	if i < 0 || addr >= m.segments[i].addr+m.segments[i].size {
		return nil
	}
	return &m.segments[i]
}

// has reports whether the file has the byte at an address.
func (m *image) has(addr int) bool { return m.find(addr) != nil }

// set writes a byte of memory that the file has, or zero.
func (m *image) set(addr int, v byte) {
	if s := m.find(addr); s != nil {
		m.file[s.at+addr-s.addr] = v
		m.mem[addr] = v
	}
}
