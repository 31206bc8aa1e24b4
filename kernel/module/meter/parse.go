package meter

import (
	"strconv"

	"inos/kernel/module/bin"
)

type funcType struct {
	params  []byte
	results []byte
}

// letters is the type as Info.Types has it.
func (t funcType) letters() string {
	b := make([]byte, 0, len(t.params)+1+len(t.results))
	for _, p := range t.params {
		b = append(b, letter(p))
	}
	b = append(b, ':')
	for _, r := range t.results {
		b = append(b, letter(r))
	}
	return string(b)
}

func letter(t byte) byte {
	switch t {
	case typeI32:
		return 'i'
	case typeI64:
		return 'I'
	case typeF32:
		return 'f'
	case typeF64:
		return 'F'
	}
	return '?'
}

// module is the original, split and indexed. Section bodies alias the input.
type module struct {
	options Options

	body  [13][]byte // by section id, custom excluded
	has   [13]bool
	names []byte // body of the "name" section, nil without
	info  Info

	types       []funcType
	imports     int      // entries of the import section
	funcs       []uint32 // type of each function, imported first
	importFuncs int
	globals     int // imported and defined
	tables      int
	memories    int
	global0     int       // imported globals
	globalTypes [][2]byte // of the defined: type, mutability
}

// order is the place of each section in a module; data count stands before code.
var order = [...]byte{bin.Type, bin.Import, bin.Function, bin.Table, bin.Memory, bin.Global, bin.Export, bin.Start, bin.Element, bin.DataCount, bin.Code, bin.Data}

func place(id byte) int {
	for i, o := range order {
		if o == id {
			return i
		}
	}
	return -1
}

func parse(sections []bin.Section) (*module, error) {
	m := &module{info: Info{Exports: map[string]byte{}, Types: map[string]string{}}}
	last := -1
	for _, s := range sections {
		if s.ID == bin.Custom {
			if s.Name == "name" {
				m.names = s.Body
			}
			continue
		}
		p := place(s.ID)
		if p < 0 {
			return nil, invalid("the module has a section that WebAssembly 2.0 does not know (" + strconv.Itoa(int(s.ID)) + ")")
		}
		if p <= last {
			return nil, invalid("the module's sections are out of order or repeated")
		}
		last = p
		m.body[s.ID], m.has[s.ID] = s.Body, true
	}
	steps := []struct {
		id byte
		fn func(*bin.Reader)
	}{
		{bin.Type, m.parseTypes},
		{bin.Import, m.parseImports},
		{bin.Function, m.parseFunctions},
		{bin.Table, m.parseTables},
		{bin.Memory, m.parseMemories},
		{bin.Global, m.parseGlobals},
		{bin.Export, m.parseExports},
		{bin.Data, m.parseData},
	}
	for _, s := range steps {
		if !m.has[s.id] {
			continue
		}
		r := bin.NewReader(m.body[s.id])
		s.fn(r)
		if err := finish(r); err != nil {
			return nil, err
		}
	}
	m.info.HasStart = m.has[bin.Start]
	return m, nil
}

func finish(r *bin.Reader) error {
	if r.Err() == nil && r.Len() > 0 {
		r.Fail("a section has bytes left over")
	}
	return r.Err()
}

// count reads a vector's length and refuses more than max.
func count(r *bin.Reader, max uint32, what string) uint32 {
	n := r.Count()
	if n > max {
		r.Fail("the module has too many " + what)
		return 0
	}
	return n
}

func (m *module) parseTypes(r *bin.Reader) {
	n := count(r, maxTypes, "types")
	for range n {
		if r.Byte() != typeFunc {
			r.Fail("a type is not a function type")
		}
		p := valueTypes(r)
		m.types = append(m.types, funcType{params: p, results: valueTypes(r)})
		if r.Err() != nil {
			return
		}
	}
}

func valueTypes(r *bin.Reader) []byte {
	b := r.Bytes(count(r, maxParams, "parameters or results"))
	for _, t := range b {
		if !isValueType(t) {
			r.Fail("a type has a value type outside WebAssembly 2.0")
		}
	}
	return b
}

func (m *module) parseImports(r *bin.Reader) {
	n := r.Count()
	m.imports = int(n)
	for range n {
		imp := Import{Module: r.Name(), Name: r.Name(), Kind: r.Byte()}
		if reserved(imp.Module) {
			r.Fail("an import uses a module name beginning with " + Reserved + ", which belongs to the host")
		}
		switch imp.Kind {
		case bin.KindFunc:
			m.addFunc(r)
			m.importFuncs++
			if r.Err() == nil {
				imp.Type = m.types[m.funcs[len(m.funcs)-1]].letters()
			}
		case bin.KindTable:
			m.table(r)
		case bin.KindMemory:
			m.memory(r)
		case bin.KindGlobal:
			globalType(r)
			m.globals++
			m.global0++
		default:
			r.Fail("an import has an unknown kind")
		}
		if r.Err() != nil {
			return
		}
		m.info.Imports = append(m.info.Imports, imp)
	}
}

func (m *module) addFunc(r *bin.Reader) {
	t := r.U32()
	if t >= uint32(len(m.types)) {
		r.Fail("a function names a type that does not exist")
		return
	}
	m.funcs = append(m.funcs, t)
}

func (m *module) parseFunctions(r *bin.Reader) {
	n := count(r, maxFunctions, "functions")
	for range n {
		m.addFunc(r)
		if r.Err() != nil {
			return
		}
	}
}

func (m *module) parseTables(r *bin.Reader) {
	for range count(r, maxTables, "tables") {
		m.table(r)
	}
}

func (m *module) table(r *bin.Reader) {
	if !isRefType(r.Byte()) {
		r.Fail("a table holds something other than references")
	}
	min, _ := limits(r, 0)
	m.info.TableMin += uint64(min)
	m.tables++
}

func (m *module) parseMemories(r *bin.Reader) {
	for range count(r, 1, "memories; it may have one") {
		m.memory(r)
	}
}

func (m *module) memory(r *bin.Reader) {
	m.info.MemMin, m.info.MemMax, m.info.Shared = memoryLimits(r)
	m.memories++
	if m.memories > 1 {
		r.Fail("the module has more than one memory")
	}
}

// limits reads the least and the most; the most is unbounded when none is named.
func limits(r *bin.Reader, unbounded uint32) (least, most uint32) {
	flag := r.Byte()
	least, most = r.U32(), unbounded
	switch flag {
	case 0:
	case 1:
		most = r.U32()
	default:
		r.Fail("a memory or table is shared or 64-bit, which guests may not use")
	}
	return least, most
}

// memoryLimits accepts a shared memory too; only residents may have one, which
// package module checks.
func memoryLimits(r *bin.Reader) (least, most uint32, shared bool) {
	const all = 1 << 16 // pages that 32-bit addresses reach
	if p := r.Pos(); r.Byte() != 3 {
		least, most = limits(r.At(p), all)
		return least, most, false
	}
	return r.U32(), r.U32(), true
}

func globalType(r *bin.Reader) (t [2]byte) {
	t = [2]byte{r.Byte(), r.Byte()}
	if !isValueType(t[0]) || t[1] > 1 {
		r.Fail("a global has a type outside WebAssembly 2.0")
	}
	return t
}

func (m *module) parseGlobals(r *bin.Reader) {
	n := count(r, maxGlobals, "globals")
	for i := range n {
		t := globalType(r)
		m.constExpr(r, nil)
		if r.Err() != nil {
			return
		}
		m.globalTypes = append(m.globalTypes, t)
		m.globals++
		if t[1] == 0 {
			continue
		}
		if t[0] == typeV128 || isRefType(t[0]) {
			m.info.Sticky = true
			continue
		}
		m.info.Globals = append(m.info.Globals, globalPrefix+strconv.Itoa(m.global0+int(i)))
	}
}

func (m *module) parseExports(r *bin.Reader) {
	n := r.Count()
	for range n {
		name, kind := r.Name(), r.Byte()
		i := r.U32()
		if kind > bin.KindGlobal || int64(i) >= int64([...]int{len(m.funcs), m.tables, m.memories, m.globals}[kind&3]) {
			r.Fail("an export names something that does not exist")
		}
		if reserved(name) {
			r.Fail("an export has a name beginning with " + Reserved + ", which belongs to the host")
		}
		if r.Err() != nil {
			return
		}
		m.info.Exports[name] = kind
		if kind == bin.KindFunc {
			m.info.Types[name] = m.types[m.funcs[i]].letters()
		}
	}
}

// parseData checks that each count is backed by bytes: an engine allocates by
// them before it reads on.
func (m *module) parseData(r *bin.Reader) {
	for range count(r, maxSegments, "data segments") {
		switch r.U32() {
		case 0:
			m.constExpr(r, nil)
		case 1: // passive
		case 2:
			r.U32() // the memory
			m.constExpr(r, nil)
		default:
			r.Fail("a data segment has an unknown form")
		}
		r.Bytes(r.U32())
		if r.Err() != nil {
			return
		}
	}
}

// constExpr passes over a constant expression. With out it appends the rewritten
// expression there, function indices moved.
func (m *module) constExpr(r *bin.Reader, out *[]byte) {
	for {
		start := r.Pos()
		op := r.Byte()
		if r.Err() != nil {
			return
		}
		switch op {
		case opI32Const, opI64Const, opF32Const, opF64Const, opRefNull:
			skipImmediates(r, op)
		case opVec:
			if skipVec(r) != 0x0c {
				r.Fail("a constant expression computes")
			}
		case opGlobalGet:
			if r.U32() >= uint32(m.global0) {
				r.Fail("a constant expression reads a global that is not imported")
			}
		case opRefFunc:
			f := m.moved(r, r.U32())
			if out != nil {
				*out = bin.AppendU32(append(*out, op), f)
			}
			continue
		case opEnd:
		default:
			r.Fail("a constant expression computes")
		}
		if out != nil && r.Err() == nil {
			*out = append(*out, r.Since(start)...)
		}
		if op == opEnd {
			return
		}
	}
}

// moved is the place of the original's function f in the rewritten module, where
// the added imports stand before all defined functions.
func (m *module) moved(r *bin.Reader, f uint32) uint32 {
	if f >= uint32(len(m.funcs)) {
		r.Fail("a function that does not exist is named")
		return 0
	}
	if f >= uint32(m.importFuncs) {
		return f + m.options.added()
	}
	return f
}
