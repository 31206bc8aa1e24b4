package meter

import (
	"slices"

	"inos/kernel/module/bin"
)

// WebAssembly leaves sign and payload of a computed NaN open, and engines and
// processors differ in them: 0/0 has its sign set on x86-64 and not on AArch64. The
// rewriting makes the choice, the canonical NaN, which the specification allows
// wherever a NaN is computed, so that a module computes the same bits everywhere.
//
// It makes it late. A NaN that was computed may stay as it is while only arithmetic,
// comparisons and conversions to integers see it, since they cannot tell one from
// another and compute a new one; it is made canonical before anything else may: a
// store, a reinterpretation, a lane read as an integer, a sign that is copied, a call,
// the end of a run. So a chain of arithmetic is made canonical once, at its end.
//
// nanPlan finds the instructions whose results that concerns. It simulates the operand
// stack over straight-line code, and knows of each local whether all that is ever put
// there is computed or no NaN at all; such a local may hold what is not canonical yet.
// What is merely moved (loaded, passed, put into a local beside such values) keeps its
// bits, as specified.
//
// Invariants:
//   - A value that the plan leaves as computed reaches nothing that can tell.
//   - Bits that were not computed never change: a value is made canonical only where
//     every NaN that it can be was computed.
//
// Residents, which are not deterministic and in whose loops each instruction counts,
// are left alone.
//
// Source: WebAssembly Core Specification 2.0, "NaN Propagation".
type nanPlan struct {
	marks []nanMark // by place
	next  int       // of marks: the first that has not been written
	uses  [3]bool   // a mark of this lanes exists, so its added local does
}

// nanMark is an instruction whose result is made canonical.
type nanMark struct {
	at    int // first byte of the instruction in the body
	lanes lanes
}

// lanes is how a value's bits are read as floats.
type lanes uint8

const (
	noFloat lanes = iota
	scalar32
	scalar64
	vector32 // four lanes of 32 bits
	vector64 // two of 64
)

// value is what is known of a value on the stack or in a local. The zero value is of
// bits that must not change.
type value struct {
	at       int   // the instruction whose result it is, when computed
	computed lanes // a NaN in these lanes was computed and is not canonical yet
	calm     calm  // making it canonical would change nothing
}

// calm is a set of the lanes in which a value has no NaN but the canonical one.
type calm uint8

func (l lanes) calm() calm { return 1 << l }

const allCalm calm = 0xff

// settled reports whether making v canonical in lanes l changes no bits but those of
// computed NaNs.
func (v value) settled(l lanes) bool { return v.computed == l || v.calm&l.calm() != 0 }

// maxNaNPasses bounds how often a body is read; after that no local holds what is not
// canonical, which is always right.
const maxNaNPasses = 6

// nanScan reads a body for a plan.
type nanScan struct {
	r      *bin.Reader
	locals []localNaN
	stack  []value
	marks  []nanMark
	moved  bool // a local is known better than before: read again
}

// localNaN is what is known of a local.
type localNaN struct {
	typ   byte
	lanes lanes // of what it may hold not canonical; noFloat: nothing
	calm  calm  // of all that is put there
	fixed bool  // something is put there whose bits must not change
}

// planNaN makes the plan of a body. A body that cannot be read has an empty plan: the
// rewriting finds the fault.
func (m *module) planNaN(typ uint32, body []byte, p *nanPlan) {
	p.marks, p.next, p.uses = p.marks[:0], 0, [3]bool{}
	if m.info.Shared {
		return
	}
	r := bin.NewReader(body)
	s := nanScan{r: r}
	s.declare(len(m.types[typ].params), r)
	start := r.Pos()
	if r.Err() != nil || !computesFloats(r, body) {
		return
	}
	for pass := 0; ; pass++ {
		if pass == maxNaNPasses {
			for i := range s.locals {
				s.locals[i].fixed = true
			}
		}
		s.r = bin.NewReader(body)
		s.r.Bytes(uint32(start))
		s.moved, s.marks, s.stack = false, p.marks[:0], s.stack[:0]
		for s.r.Len() > 0 && s.r.Err() == nil {
			s.instruction()
		}
		s.flush()
		p.marks = s.marks
		if s.r.Err() != nil {
			p.marks = p.marks[:0]
			return
		}
		if !s.moved || pass == maxNaNPasses {
			break
		}
	}
	p.settle()
}

// settle sorts the marks and drops repeated ones.
func (p *nanPlan) settle() {
	slices.SortFunc(p.marks, func(a, b nanMark) int { return a.at - b.at })
	p.marks = slices.CompactFunc(p.marks, func(a, b nanMark) bool { return a.at == b.at })
	for _, k := range p.marks {
		p.uses[scratch(k.lanes)] = true
	}
}

// scratch is the index of the added local that makes lanes canonical.
func scratch(l lanes) int { return int(min(l, vector32)) - 1 }

// at returns the lanes of the instruction at a place of the body; places are asked for
// in order.
func (p *nanPlan) at(place int) lanes {
	for p.next < len(p.marks) && p.marks[p.next].at < place {
		p.next++
	}
	if p.next < len(p.marks) && p.marks[p.next].at == place {
		return p.marks[p.next].lanes
	}
	return noFloat
}

// declare reads the locals. A parameter's bits are somebody else's.
func (s *nanScan) declare(params int, r *bin.Reader) {
	s.locals = make([]localNaN, params)
	for i := range s.locals {
		s.locals[i].fixed = true
	}
	for range r.Count() {
		n, typ := r.U32(), r.Byte()
		if uint64(len(s.locals))+uint64(n) > maxLocals {
			r.Fail("a function has more than 50,000 locals")
		}
		if r.Err() != nil {
			return
		}
		for range n {
			s.locals = append(s.locals, localNaN{typ: typ, calm: allCalm}) // it begins as zero
		}
	}
}

func (s *nanScan) push(v value) { s.stack = append(s.stack, v) }

// pop takes the top; what lies below what is simulated is canonical, and of unknown
// bits.
func (s *nanScan) pop() (v value) {
	if n := len(s.stack); n > 0 {
		v, s.stack = s.stack[n-1], s.stack[:n-1]
	}
	return v
}

// observe has v made canonical: something may tell its bits.
func (s *nanScan) observe(v value) value {
	if v.computed == noFloat {
		return v
	}
	s.marks = append(s.marks, nanMark{v.at, v.computed})
	return value{calm: v.computed.calm()}
}

// flush ends straight-line code: what is on the stack goes where nobody follows it.
func (s *nanScan) flush() {
	for _, v := range s.stack {
		s.observe(v)
	}
	s.stack = s.stack[:0]
}

func (s *nanScan) observed(pops, pushes int) {
	for range pops {
		s.observe(s.pop())
	}
	for range pushes {
		s.push(value{})
	}
}

// arithmetic pops operands in lanes in, of which no NaN can be told from another, and
// pushes a result in lanes out whose NaN is computed.
func (s *nanScan) arithmetic(at, pops int, in, out lanes) {
	s.take(pops, in)
	s.push(value{at: at, computed: out})
}

// blind pops operands likewise and pushes a result that depends on no payload.
func (s *nanScan) blind(pops int, in lanes, c calm) {
	s.take(pops, in)
	s.push(value{calm: c})
}

// take pops operands that are read in lanes l. In other lanes a NaN is a number.
func (s *nanScan) take(pops int, l lanes) {
	for range pops {
		if v := s.pop(); v.computed != l {
			s.observe(v)
		}
	}
}

// get pushes a local.
func (s *nanScan) get(at int, i uint32) {
	if i >= uint32(len(s.locals)) {
		s.push(value{})
		return
	}
	switch l := s.locals[i]; {
	case l.fixed:
		s.push(value{})
	case l.lanes != noFloat:
		s.push(value{at: at, computed: l.lanes})
	default:
		s.push(value{calm: l.calm})
	}
}

// put stores v into a local and returns it as it is afterwards.
func (s *nanScan) put(i uint32, v value) value {
	if i >= uint32(len(s.locals)) {
		return s.observe(v)
	}
	l := &s.locals[i]
	if l.fixed {
		return s.observe(v)
	}
	was := *l
	switch {
	case v.computed != noFloat && l.lanes == noFloat && l.calm&v.computed.calm() != 0:
		l.lanes = v.computed // all before was no NaN in these lanes
	case v.computed != noFloat && l.lanes == v.computed:
	case v.computed == noFloat && l.lanes == noFloat && v.calm != 0:
	case v.computed == noFloat && l.lanes != noFloat && v.settled(l.lanes):
	default:
		l.fixed = true
	}
	if v.computed == noFloat {
		l.calm &= v.calm
	}
	if !l.fixed && l.lanes == noFloat && l.calm == 0 {
		l.fixed = true
	}
	s.moved = s.moved || *l != was
	if l.fixed {
		return s.observe(v)
	}
	return v
}

// choose pushes one of two values, whichever the guest picks.
func (s *nanScan) choose(at int, a, b value) {
	for _, l := range []lanes{a.computed, b.computed} {
		if l != noFloat && a.settled(l) && b.settled(l) {
			s.push(value{at: at, computed: l})
			return
		}
	}
	a, b = s.observe(a), s.observe(b)
	s.push(value{calm: a.calm & b.calm})
}
