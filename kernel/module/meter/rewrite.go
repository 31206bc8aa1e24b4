package meter

import (
	"strconv"

	"inos/kernel/module/bin"
)

// plan holds the indices of everything the rewriting adds.
type plan struct {
	slice      uint32            // function: the import
	grow       uint32            // function: the import, with Options.Browser
	copy, fill uint32            // functions: chunked bulk operations, when there is memory
	gas, depth uint32            // globals
	typeSlice  uint32            // (i64, i32) -> i64
	typeBulk   uint32            // (i32, i32, i32) -> ()
	typeGrow   uint32            // (i32) -> i32, with Options.Browser
	block      map[uint32]uint32 // function type -> type () -> its results, from two results on
	types      []byte            // the added types, encoded
	added      uint32            // how many
}

func (m *module) plan() *plan {
	n := uint32(len(m.types))
	p := &plan{
		slice: uint32(m.importFuncs), grow: uint32(m.importFuncs) + 1, gas: uint32(m.globals), depth: uint32(m.globals) + 1,
		copy: uint32(len(m.funcs)) + m.options.added(), fill: uint32(len(m.funcs)) + m.options.added() + 1,
		typeSlice: n, typeBulk: n + 1, block: map[uint32]uint32{},
	}
	p.types = []byte{
		typeFunc, 2, typeI64, typeI32, 1, typeI64,
		typeFunc, 3, typeI32, typeI32, typeI32, 0,
	}
	p.added = 2
	if m.options.Browser {
		p.typeGrow = n + p.added
		p.types = append(p.types, typeFunc, 1, typeI32, 1, typeI32)
		p.added++
	}
	for _, t := range m.funcs[m.importFuncs:] {
		if _, ok := p.block[t]; ok || len(m.types[t].results) < 2 {
			continue
		}
		p.block[t] = n + p.added
		p.types = bin.AppendU32(append(p.types, typeFunc, 0), uint32(len(m.types[t].results)))
		p.types = append(p.types, m.types[t].results...)
		p.added++
	}
	return p
}

// rewrite assembles the module. Sections that need no change are copied.
func (m *module) rewrite(inputLen int) ([]byte, error) {
	p := m.plan()
	code, err := m.code(p)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, inputLen+len(code)-len(m.body[bin.Code])+4096)
	out = append(out, bin.Header...)
	for _, id := range order {
		body, err := m.section(id, p, code)
		if err != nil {
			return nil, err
		}
		if body != nil {
			out = bin.AppendSection(out, id, body)
		}
	}
	if names := m.moveNames(); names != nil {
		out = bin.AppendSection(out, bin.Custom, append(bin.AppendName(nil, "name"), names...))
	}
	if len(out) > maxOutput {
		return nil, invalid("the module grows beyond 256 MiB when metered")
	}
	return out, nil
}

// section returns the body of one section, nil to leave it out.
func (m *module) section(id byte, p *plan, code []byte) ([]byte, error) {
	switch id {
	case bin.Type:
		return m.extend(id, uint32(len(m.types)), p.added, p.types), nil
	case bin.Import:
		b := bin.AppendName(bin.AppendName(nil, ImportModule), ImportSlice)
		b = bin.AppendU32(append(b, bin.KindFunc), p.typeSlice)
		if m.options.Browser {
			b = bin.AppendName(bin.AppendName(b, ImportModule), ImportGrow)
			b = bin.AppendU32(append(b, bin.KindFunc), p.typeGrow)
		}
		return m.extend(id, uint32(m.imports), m.options.added(), b), nil
	case bin.Function:
		if m.memories == 0 {
			return m.copied(id), nil
		}
		b := bin.AppendU32(bin.AppendU32(nil, p.typeBulk), p.typeBulk)
		return m.extend(id, uint32(len(m.funcs)-m.importFuncs), 2, b), nil
	case bin.Global:
		return m.globalSection()
	case bin.Export:
		return m.exportSection(p)
	case bin.Start:
		return m.startSection()
	case bin.Element:
		return m.elementSection()
	case bin.Code:
		return code, nil
	}
	return m.copied(id), nil
}

func (m *module) copied(id byte) []byte {
	if !m.has[id] {
		return nil
	}
	if m.body[id] == nil {
		return []byte{}
	}
	return m.body[id]
}

// extend appends encoded entries to a section that is a vector of n entries.
func (m *module) extend(id byte, n, added uint32, entries []byte) []byte {
	out := bin.AppendU32(nil, n+added)
	if m.has[id] {
		r := bin.NewReader(m.body[id])
		r.U32()
		out = append(out, m.body[id][r.Pos():]...)
	}
	return append(out, entries...)
}

func (m *module) globalSection() ([]byte, error) {
	out := bin.AppendU32(nil, uint32(len(m.globalTypes))+2)
	if m.has[bin.Global] {
		r := bin.NewReader(m.body[bin.Global])
		r.U32()
		for _, t := range m.globalTypes {
			r.Bytes(2)
			out = append(out, t[:]...)
			m.constExpr(r, &out)
		}
		if r.Err() != nil {
			return nil, r.Err()
		}
	}
	out = append(bin.AppendS64(append(out, typeI64, 1, opI64Const), Slice), opEnd)
	return append(out, typeI32, 1, opI32Const, 0, opEnd), nil
}

func (m *module) exportSection(p *plan) ([]byte, error) {
	n := uint32(2 + len(m.info.Globals))
	start := m.has[bin.Start] && m.options.Browser
	if start {
		n++
	}
	var out []byte
	if m.has[bin.Export] {
		r := bin.NewReader(m.body[bin.Export])
		old := r.U32()
		n += old
		out = bin.AppendU32(out, n)
		for range old {
			name, kind, i := r.Name(), r.Byte(), r.U32()
			if kind == bin.KindFunc {
				i = m.moved(r, i)
			}
			out = bin.AppendU32(append(bin.AppendName(out, name), kind), i)
		}
		if r.Err() != nil {
			return nil, r.Err()
		}
	} else {
		out = bin.AppendU32(out, n)
	}
	out = bin.AppendU32(append(bin.AppendName(out, GasExport), bin.KindGlobal), p.gas)
	out = bin.AppendU32(append(bin.AppendName(out, DepthExport), bin.KindGlobal), p.depth)
	if start {
		f, err := m.start()
		if err != nil {
			return nil, err
		}
		out = bin.AppendU32(append(bin.AppendName(out, StartExport), bin.KindFunc), f)
	}
	for _, name := range m.info.Globals {
		i, _ := strconv.Atoi(name[len(globalPrefix):])
		out = bin.AppendU32(append(bin.AppendName(out, name), bin.KindGlobal), uint32(i))
	}
	return out, nil
}

func (m *module) startSection() ([]byte, error) {
	if !m.has[bin.Start] || m.options.Browser {
		return nil, nil
	}
	f, err := m.start()
	return bin.AppendU32(nil, f), err
}

// start is the start function's place in the rewritten module.
func (m *module) start() (uint32, error) {
	r := bin.NewReader(m.body[bin.Start])
	f := m.moved(r, r.U32())
	return f, finish(r)
}

// elementSection moves the function indices of all eight forms of segment.
func (m *module) elementSection() ([]byte, error) {
	if !m.has[bin.Element] {
		return nil, nil
	}
	r := bin.NewReader(m.body[bin.Element])
	n := r.Count()
	out := bin.AppendU32(nil, n)
	for range n {
		out = m.element(r, out)
		if r.Err() != nil {
			return nil, r.Err()
		}
	}
	return out, finish(r)
}

func (m *module) element(r *bin.Reader, out []byte) []byte {
	flags := r.U32()
	if flags > 7 {
		r.Fail("an element segment has an unknown form")
		return out
	}
	passive, explicit, exprs := flags&1 != 0, flags&2 != 0, flags&4 != 0
	out = append(out, byte(flags))
	if !passive {
		if explicit {
			out = bin.AppendU32(out, r.U32())
		}
		m.constExpr(r, &out)
	}
	if passive || explicit { // the element kind, or type
		out = append(out, r.Byte())
	}
	n := r.Count()
	out = bin.AppendU32(out, n)
	for range n {
		if exprs {
			m.constExpr(r, &out)
		} else {
			out = bin.AppendU32(out, m.moved(r, r.U32()))
		}
		if r.Err() != nil {
			return out
		}
	}
	return out
}

// moveNames keeps the names of functions, which appear in traps, under their
// new indices. A malformed name section is dropped: names are a courtesy.
func (m *module) moveNames() []byte {
	r := bin.NewReader(m.names)
	for r.Len() > 0 {
		id := r.Byte()
		sub := r.Bytes(r.U32())
		if id != 1 {
			continue
		}
		s := bin.NewReader(sub)
		n := s.Count()
		out := bin.AppendU32(nil, n)
		for range n {
			out = bin.AppendU32(out, m.moved(s, s.U32()))
			out = bin.AppendName(out, s.Name())
		}
		if s.Err() != nil || s.Len() > 0 {
			return nil
		}
		return bin.AppendSection(nil, 1, out)
	}
	return nil
}
