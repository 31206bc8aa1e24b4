package meter

import "inos/kernel/module/bin"

// code rewrites the code section and appends the helper functions.
func (m *module) code(p *plan) ([]byte, error) {
	defined := len(m.funcs) - m.importFuncs
	r := bin.NewReader(m.body[bin.Code])
	n := uint32(0)
	if m.has[bin.Code] {
		n = r.U32()
	}
	if int64(n) != int64(defined) {
		return nil, invalid("the module declares functions without a body, or bodies without a declaration")
	}
	helpers := 0
	if m.memories > 0 {
		helpers = 2
	}
	if defined+helpers == 0 {
		return m.copied(bin.Code), nil
	}
	out := make([]byte, 0, 2*len(m.body[bin.Code])+1024)
	out = bin.AppendU32(out, n+uint32(helpers))
	f := &function{m: m, p: p}
	for i := range defined {
		body := r.Bytes(r.U32())
		if r.Err() != nil {
			return nil, r.Err()
		}
		if len(body) > maxBody {
			return nil, invalid("a function is larger than 2 MiB")
		}
		b, err := f.rewrite(m.funcs[m.importFuncs+i], body)
		if err != nil {
			return nil, err
		}
		out = append(bin.AppendU32(out, uint32(len(b))), b...)
		if len(out) > maxOutput {
			return nil, invalid("the module grows beyond 256 MiB when metered")
		}
	}
	if helpers > 0 {
		out = appendHelpers(out, p)
	}
	return out, finish(r)
}

// frame is one open block of the original.
type frame struct {
	loop     bool
	isIf     bool
	nested   bool // a loop written as a nest, see openLoop
	nests    int  // nests among this block and those around it
	dead     bool // the block was entered in dead code
	targeted bool // a branch leaves to its end
}

// How the charge of a run is checked.
const (
	checkNone  = iota
	checkEntry // after the charge: the entry of a function that calls others
	checkHead  // before the charge: a loop head that takes operands
	checkNest  // before the charge: a loop head inside a nest
)

// function rewrites one function at a time; its buffers are reused.
//
// seg holds the rewritten instructions of the current run, whose charge is not
// known before the run ends; out holds everything before it.
type function struct {
	m *module
	p *plan

	r         *bin.Reader
	out       []byte
	seg       []byte
	cost      int64
	check     int  // how the run is checked; checkNone in the middle of a body
	dead      bool // nothing reaches the current instruction
	frames    []frame
	locals    uint32 // parameters and locals of the original
	allLocals uint64 // of the functions so far
	gas       uint32 // added local: i64, gas left
	tmp       uint32 // added local: i32
	wait      uint32 // added local when the memory is shared: i64
	nan       nanPlan
	scratch   [3]uint32 // added locals for what is made canonical, where nan uses them: f32, f64, v128
}

// rewrite returns the new body, valid until the next call.
func (f *function) rewrite(typ uint32, body []byte) ([]byte, error) {
	f.r = bin.NewReader(body)
	f.out, f.seg, f.cost, f.dead, f.frames = f.out[:0], f.seg[:0], 0, false, f.frames[:0]
	f.m.planNaN(typ, body, &f.nan)
	f.localDecls(f.m.types[typ])
	if err := f.r.Err(); err != nil {
		return nil, err
	}
	start := f.r.Pos()
	caller := calls(f.r, body)
	f.r = bin.NewReader(body)
	f.r.Bytes(uint32(start))

	f.out = appendOps(f.out, opGlobalGet, f.p.gas, opLocalSet, f.gas)
	units := frameUnits(int(f.locals), len(body))
	if caller {
		f.enter(units)
	}
	f.out = append(f.out, opBlock)
	switch results := f.m.types[typ].results; len(results) {
	case 0:
		f.out = append(f.out, blockVoid)
	case 1:
		f.out = append(f.out, results[0])
	default:
		f.out = bin.AppendS64(f.out, int64(f.p.block[typ]))
	}
	f.check = checkNone
	if caller {
		f.check = checkEntry
	}
	f.frames = append(f.frames, frame{})
	for len(f.frames) > 0 && f.r.Err() == nil {
		f.instruction()
	}
	if caller {
		f.leave(units)
	}
	f.out = appendOps(f.out, opLocalGet, f.gas, opGlobalSet, f.p.gas)
	f.out = append(f.out, opEnd)
	return f.out, finish(f.r)
}

func (f *function) localDecls(t funcType) {
	n := f.r.Count()
	total := uint64(len(t.params))
	decls := f.r.Pos()
	for range n {
		total += uint64(f.r.U32())
		if !isValueType(f.r.Byte()) {
			f.r.Fail("a local has a type outside WebAssembly 2.0")
		}
		if total > maxLocals {
			f.r.Fail("a function has more than 50,000 locals")
		}
		if f.r.Err() != nil {
			return
		}
	}
	if f.allLocals += total; f.allLocals > maxAllLocals {
		f.r.Fail("the module has more than 8 million locals")
		return
	}
	f.locals = uint32(total)
	f.gas, f.tmp = f.locals, f.locals+1
	f.wait = f.locals + 2
	added := []byte{1, typeI64, 1, typeI32}
	if f.m.info.Shared {
		added = append(added, 1, typeI64)
	}
	for i, typ := range []byte{typeF32, typeF64, typeV128} {
		if f.nan.uses[i] {
			f.scratch[i] = f.locals + uint32(len(added)/2)
			added = append(added, 1, typ)
		}
	}
	f.out = bin.AppendU32(f.out, n+uint32(len(added)/2))
	f.out = append(f.out, f.r.Since(decls)...)
	f.out = append(f.out, added...)
}

// calls reports whether the rest of the body calls anything. It reads structure
// only; rewrite checks it again.
func calls(r *bin.Reader, body []byte) bool {
	for r.Len() > 0 {
		op := r.Byte()
		switch op {
		case opCall, opCallIndirect:
			return true
		case opBlock, opLoop, opIf:
			r.SkipLEB(5)
		case opElse, opEnd, opReturn:
		case opBr, opBrIf, opLocalGet, opLocalSet, opLocalTee, opGlobalGet, opGlobalSet, opRefFunc:
			r.U32()
		case opBrTable:
			for range uint64(r.Count()) + 1 {
				r.U32()
			}
		case opMisc:
			skipMisc(r)
		case opVec:
			skipVec(r)
		case opAtomic:
			skipAtomic(r)
		default:
			skipImmediates(r, op)
		}
	}
	return false
}

// skipMisc passes over an instruction after its 0xfc prefix.
func skipMisc(r *bin.Reader) byte {
	sub := r.Byte()
	switch {
	case sub < miscMemoryInit:
	case sub == miscMemoryInit:
		r.U32()
		zero(r)
	case sub == miscMemoryCopy:
		zero(r)
		zero(r)
	case sub == miscMemoryFill:
		zero(r)
	case sub == miscTableInit, sub == miscTableCopy:
		r.U32()
		r.U32()
	case sub <= miscTableFill:
		r.U32()
	default:
		r.Fail("a function uses an instruction outside WebAssembly 2.0")
	}
	return sub
}

// instruction rewrites one instruction.
func (f *function) instruction() {
	start := f.r.Pos()
	op := f.r.Byte()
	if f.r.Err() != nil {
		return
	}
	f.cost += opCost(op)
	switch op {
	case opBlock, opLoop, opIf:
		f.open(op, start)
	case opElse:
		f.otherwise()
	case opEnd:
		f.end()
	case opUnreachable:
		f.save()
		f.seg = append(f.seg, op)
		f.flush()
		f.dead = true
	case opBr, opBrIf, opBrTable, opReturn:
		f.branch(op)
	case opCall, opCallIndirect:
		f.call(op)
	case opRefFunc:
		f.seg = bin.AppendU32(append(f.seg, op), f.m.moved(f.r, f.r.U32()))
	case opLocalGet, opLocalSet, opLocalTee:
		f.indexed(start, f.locals, "local")
	case opGlobalGet, opGlobalSet:
		f.indexed(start, uint32(f.m.globals), "global")
	case opMemoryGrow:
		f.grow()
	case opMisc:
		f.misc(start)
	case opVec:
		f.cost += vecCost(skipVec(f.r)) - costOp
		f.copied(start)
	case opAtomic:
		f.atomic(start)
	case opTableSet:
		f.m.info.Sticky = true
		fallthrough
	default:
		skipImmediates(f.r, op)
		f.copied(start)
	}
	if l := f.nan.at(start); l != noFloat && f.r.Err() == nil {
		f.canonize(l)
	}
}

func (f *function) copied(start int) {
	if f.r.Err() == nil {
		f.seg = append(f.seg, f.r.Since(start)...)
	}
}

func (f *function) indexed(start int, n uint32, what string) {
	if f.r.U32() >= n {
		f.r.Fail("a " + what + " that does not exist is named")
	}
	f.copied(start)
}

func (f *function) open(op byte, start int) {
	params := f.blockType()
	if len(f.frames) >= maxNesting {
		f.r.Fail("blocks are nested more than 4096 deep")
	}
	top := frame{loop: op == opLoop, isIf: op == opIf, dead: f.dead, nests: f.frames[len(f.frames)-1].nests}
	switch {
	case op == opLoop:
		f.cost -= costBranch
		f.flush()
		top.nested = params == 0 && !f.dead
		if top.nested {
			top.nests++
		}
		f.openLoop(top.nested, start)
	default:
		f.copied(start)
		if op == opIf {
			f.flush()
		}
	}
	f.frames = append(f.frames, top)
}

// nestLabels is how many labels a nest adds outside the loop's own.
const nestLabels = 3

// openLoop writes a loop's head. A loop without operands becomes a nest:
//
//	block $exit (loop $again (block $slice
//	    (loop $original
//	        (br_if $slice (i64.lt_s gas 0)) charge ... the body ...)
//	    (br $exit))
//	  ask the host (br $again)))
//
// so that the loop itself contains no call, and an engine keeps its variables
// in registers. With the call inside, a tight loop takes twice as long.
func (f *function) openLoop(nested bool, start int) {
	head := f.r.Since(start)
	if !nested {
		f.out = append(f.out, head...)
		f.cost, f.check = costBranch, checkHead
		return
	}
	f.out = append(append(f.out, opBlock), head[1:]...) // the block type of the loop
	f.out = append(f.out, opLoop, blockVoid, opBlock, blockVoid)
	f.out = append(f.out, head...)
	f.cost, f.check = costBranch, checkNest
}

// closeNest follows the end of a nest's inner loop.
func (f *function) closeNest() {
	f.seg = append(appendOps(f.seg, opBr, 2), opEnd)
	f.seg = append(appendOps(f.ask(f.seg, ReasonSlice), opBr, 0), opEnd)
	f.seg = append(f.seg, opUnreachable, opEnd)
}

// blockType passes over a block's type and returns how many operands it takes.
func (f *function) blockType() int {
	b := f.r.SkipLEB(5)
	if f.r.Err() != nil || len(b) == 1 && (b[0] == blockVoid || isValueType(b[0])) {
		return 0
	}
	t, shift := uint64(0), 0
	for _, c := range b {
		t |= uint64(c&0x7f) << shift
		shift += 7
	}
	if b[len(b)-1]&0x40 != 0 || t >= uint64(len(f.m.types)) { // negative, or too large
		f.r.Fail("a block names a type that does not exist")
		return 0
	}
	return len(f.m.types[t].params)
}

func (f *function) otherwise() {
	top := &f.frames[len(f.frames)-1]
	if !top.isIf {
		f.r.Fail("an else stands without its if")
		return
	}
	f.flush()
	f.out = append(f.out, opElse)
	top.isIf = false
	top.targeted = true // the first arm joins at the end
	f.dead = top.dead
}

func (f *function) end() {
	top := f.frames[len(f.frames)-1]
	f.frames = f.frames[:len(f.frames)-1]
	if len(f.frames) == 0 || !top.loop && (top.targeted || top.isIf) {
		f.flush()
		f.out = append(f.out, opEnd)
		f.dead = top.dead
		return
	}
	// Only the instruction before reaches the one after: the run goes on.
	f.seg = append(f.seg, opEnd)
	if top.nested {
		f.closeNest()
	}
}

func (f *function) branch(op byte) {
	switch op {
	case opReturn:
		f.seg = append(f.seg, opBr)
		f.target(uint32(len(f.frames) - 1))
	case opBrTable:
		n := f.r.Count()
		f.seg = bin.AppendU32(append(f.seg, op), n)
		for range uint64(n) + 1 {
			f.target(f.r.U32())
		}
	default:
		f.seg = append(f.seg, op)
		f.target(f.r.U32())
	}
	f.flush()
	if op != opBrIf {
		f.dead = true
	}
}

// target writes a branch's label, counted past the labels that nests add.
func (f *function) target(depth uint32) {
	if uint64(depth) >= uint64(len(f.frames)) {
		f.r.Fail("a branch leaves more blocks than are open")
		return
	}
	at := len(f.frames) - 1 - int(depth)
	f.frames[at].targeted = true
	crossed := f.frames[len(f.frames)-1].nests - f.frames[at].nests
	f.seg = bin.AppendU32(f.seg, depth+nestLabels*uint32(crossed))
}

// flush ends the current run: its charge, then its instructions. Dead runs are
// not charged, because nothing executes them.
func (f *function) flush() {
	if !f.dead && (f.cost > 0 || f.check != checkNone) {
		f.charge()
	}
	f.out = append(f.out, f.seg...)
	f.seg, f.cost, f.check = f.seg[:0], 0, checkNone
}
