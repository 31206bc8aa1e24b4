package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// The function table's header, and a function's record in it.
const (
	magic      = 0xfffffff1 // since Go 1.20
	headerSize = 8 + 8*8
	funcSize   = 44 // without what follows it

	atPCSP      = 16
	atPCFile    = 20
	atPCLine    = 24
	atNPCData   = 28
	atUnit      = 32
	atStartLine = 36
	atNFuncData = 43
)

// What of a function's tables serves traces alone, by index: of those by program
// counter unsafe points (which matter where goroutines are interrupted, not in
// WebAssembly), inlined calls and live arguments; of the others inlined calls and
// arguments.
var (
	tracePCData   = map[int]bool{0: true, 2: true, 3: true}
	traceFuncData = map[int]bool{3: true, 5: true, 6: true}
)

const none = 0xffffffff // a function has no such table

// pclntab is the function table in an image.
type pclntab struct {
	m        *image
	at       int // of the header
	funcs    int
	pctab    int
	functab  int
	dropped  map[int]bool // offsets in pctab of tables that no function needs any more
	needed   map[int]bool // and of those that one does
	cleared  int
	lastByte int // of pctab
}

func (m *image) u32(at int) int { return int(binary.LittleEndian.Uint32(m.mem[at:])) }
func (m *image) u64(at int) int { return int(binary.LittleEndian.Uint64(m.mem[at:])) }

// strip clears the tables and returns how many bytes it cleared.
func (m *image) strip() (int, error) {
	t, err := m.table()
	if err != nil {
		return 0, err
	}
	for i := range t.funcs {
		if err := t.function(i); err != nil {
			return 0, fmt.Errorf("function %d of %d: %w", i, t.funcs, err)
		}
	}
	return t.cleared, t.clear()
}

// table looks for the one header.
func (m *image) table() (*pclntab, error) {
	head := binary.LittleEndian.AppendUint32(nil, magic)
	head = append(head, 0, 0, 1, 8) // padding, instruction size, pointer size
	var found *pclntab
	for at := 0; ; {
		i := bytes.Index(m.mem[at:], head)
		if i < 0 {
			break
		}
		at += i
		if t := m.open(at); t != nil {
			if found != nil {
				return nil, errors.New("there are two function tables")
			}
			found = t
		}
		at++
	}
	if found == nil {
		return nil, errors.New("there is no function table of Go 1.20 or later")
	}
	return found, nil
}

// open checks that a header's offsets are in order, each in memory.
func (m *image) open(at int) *pclntab {
	if at+headerSize > len(m.mem) {
		return nil
	}
	last := headerSize - 1
	for _, field := range []int{32, 40, 48, 56, 64} { // names, units, files, pctab, functions
		off := m.u64(at + field)
		if off < last || at+off >= len(m.mem) {
			return nil
		}
		last = off
	}
	t := &pclntab{
		m: m, at: at, funcs: m.u64(at + 8), pctab: at + m.u64(at+56), functab: at + m.u64(at+64),
		dropped: map[int]bool{}, needed: map[int]bool{},
	}
	t.lastByte = t.functab
	if t.funcs <= 0 || t.functab+8*t.funcs > len(m.mem) {
		return nil
	}
	return t
}

// function notes and unlinks the tables of one function.
func (t *pclntab) function(i int) error {
	m := t.m
	f := t.functab + m.u32(t.functab+8*i+4)
	if f+funcSize > len(m.mem) {
		return errShort
	}
	npc, nfd := m.u32(f+atNPCData), int(m.mem[f+atNFuncData])
	if npc > 8 || nfd > 16 || f+funcSize+4*(npc+nfd) > len(m.mem) {
		return errors.New("its record is not one of Go 1.26")
	}
	t.needed[m.u32(f+atPCSP)] = true
	for _, field := range []int{atPCFile, atPCLine} {
		t.dropped[m.u32(f+field)] = true
		t.put(f+field, 0)
	}
	t.put(f+atUnit, 0)
	t.put(f+atStartLine, 0)
	for k := range npc {
		field := f + funcSize + 4*k
		if !tracePCData[k] {
			t.needed[m.u32(field)] = true
			continue
		}
		t.dropped[m.u32(field)] = true
		t.put(field, 0)
	}
	for k := range nfd {
		if field := f + funcSize + 4*(npc+k); traceFuncData[k] {
			t.put(field, none)
		}
	}
	return nil
}

// put stores a word of a record. One of which the file lacks a byte that is to
// change, because zeros between segments are not in it, stays as it is.
func (t *pclntab) put(at, v int) {
	for k := range 4 {
		if byte(v>>(8*k)) != 0 && !t.m.has(at+k) {
			return
		}
	}
	for k := range 4 {
		if want := byte(v >> (8 * k)); t.m.mem[at+k] != want {
			t.m.set(at+k, want)
			t.cleared++
		}
	}
}

// clear zeroes the bytes of dropped tables that no needed table has.
func (t *pclntab) clear() error {
	keep := make([]bool, t.lastByte-t.pctab)
	for off := range t.needed {
		end, err := t.end(off)
		if err != nil {
			return err
		}
		for k := off; k < end; k++ {
			keep[k] = true
		}
	}
	for off := range t.dropped {
		end, err := t.end(off)
		if err != nil {
			return err
		}
		for k := off; k < end; k++ {
			if !keep[k] && t.m.mem[t.pctab+k] != 0 {
				t.m.set(t.pctab+k, 0)
				t.cleared++
			}
		}
	}
	return nil
}

// end is where the table at an offset of pctab ends: pairs of numbers, the first
// of which is zero in no pair but the first and the last.
func (t *pclntab) end(off int) (int, error) {
	if off == 0 {
		return 0, nil // there is none
	}
	c := &cursor{b: t.m.mem[:t.lastByte], at: t.pctab + off}
	for first := true; ; first = false {
		if v := c.leb(false); c.err != nil {
			return 0, c.err
		} else if v == 0 && !first {
			return c.at - t.pctab, nil
		}
		c.leb(false)
	}
}
