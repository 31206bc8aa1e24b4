package meter

import (
	"encoding/binary"

	"inos/kernel/module/bin"
)

// computesFloats reports whether the rest of the body has an instruction whose NaN is
// computed.
func computesFloats(r *bin.Reader, body []byte) bool {
	s := nanScan{r: bin.NewReader(body)}
	s.r.Bytes(uint32(r.Pos()))
	for s.r.Len() > 0 && s.r.Err() == nil {
		s.stack = s.stack[:0]
		if s.instruction(); len(s.stack) > 0 && s.stack[len(s.stack)-1].computed != noFloat {
			return true
		}
	}
	return false
}

// instruction follows one instruction.
func (s *nanScan) instruction() {
	at := s.r.Pos()
	op := s.r.Byte()
	switch {
	case op == opBlock, op == opLoop, op == opIf:
		s.r.SkipLEB(5)
		s.flush()
	case op == opBr, op == opBrIf, op == opCall:
		s.r.U32()
		s.flush()
	case op == opCallIndirect:
		s.r.U32()
		s.r.U32()
		s.flush()
	case op == opBrTable:
		for range uint64(s.r.Count()) + 1 {
			s.r.U32()
		}
		s.flush()
	case op == opUnreachable, op == opElse, op == opEnd, op == opReturn:
		s.flush()
	case op == opLocalGet:
		s.get(at, s.r.U32())
	case op == opLocalSet:
		s.put(s.r.U32(), s.pop())
	case op == opLocalTee:
		s.push(s.put(s.r.U32(), s.pop()))
	case op == opGlobalGet, op == opRefFunc:
		s.r.U32()
		s.push(value{})
	case op == opGlobalSet:
		s.r.U32()
		s.observed(1, 0)
	case op == opMisc:
		s.misc()
	case op == opVec:
		s.vector(at)
	case op == opAtomic:
		s.r.Fail("guests have no atomics")
	case op == opF32Const, op == opF64Const:
		s.constant(op)
	default:
		skipImmediates(s.r, op)
		s.plain(at, op)
	}
}

// constant pushes a number, which is calm unless it is a NaN other than the canonical.
func (s *nanScan) constant(op byte) {
	var pair [16]byte
	if op == opF32Const {
		copy(pair[:], s.r.Bytes(4))
		if !nan32(pair[:]) {
			s.push(value{calm: scalar32.calm()})
			return
		}
	} else if copy(pair[:], s.r.Bytes(8)); !nan64(pair[:]) {
		s.push(value{calm: scalar64.calm()})
		return
	}
	s.push(value{})
}

func nan32(b []byte) bool {
	return binary.LittleEndian.Uint32(b)&0x7fffffff > 0x7f800000
}

func nan64(b []byte) bool {
	return binary.LittleEndian.Uint64(b)&(1<<63-1) > 0x7ff0000000000000
}

// vectorCalm are the lanes in which a constant vector has no NaN.
func vectorCalm(b []byte) (c calm) {
	if len(b) < 16 {
		return 0
	}
	if !nan32(b) && !nan32(b[4:]) && !nan32(b[8:]) && !nan32(b[12:]) {
		c |= vector32.calm()
	}
	if !nan64(b) && !nan64(b[8:]) {
		c |= vector64.calm()
	}
	return c
}

// plain follows an instruction of one byte that moves nothing but operands.
func (s *nanScan) plain(at int, op byte) {
	switch {
	case op == 0x01: // nop
	case op == 0x1a: // drop
		s.pop()
	case op == opSelect, op == opSelectT:
		s.pop()
		b, a := s.pop(), s.pop()
		s.choose(at, a, b)
	case op == opI32Const, op == opI64Const, op == opMemorySize, op == opRefNull:
		s.push(value{})
	case op >= 0x36 && op <= 0x3e, op == opTableSet: // stores
		s.observed(2, 0)
	case op >= 0x5b && op <= 0x66: // comparisons of floats
		s.blind(2, floatOf(op < 0x61), 0)
	case op >= 0x8d && op <= 0x91: // rounding, sqrt
		s.arithmetic(at, 1, scalar32, scalar32)
	case op >= 0x92 && op <= 0x97: // add to max
		s.arithmetic(at, 2, scalar32, scalar32)
	case op >= 0x9b && op <= 0x9f:
		s.arithmetic(at, 1, scalar64, scalar64)
	case op >= 0xa0 && op <= 0xa5:
		s.arithmetic(at, 2, scalar64, scalar64)
	case op == 0xb6: // demotion
		s.arithmetic(at, 1, scalar64, scalar32)
	case op == 0xbb: // promotion
		s.arithmetic(at, 1, scalar32, scalar64)
	case op >= 0xa8 && op <= 0xab, op >= 0xae && op <= 0xb1: // to integers
		s.blind(1, floatOf(op < 0xaa || op == 0xae || op == 0xaf), 0)
	case op >= 0xb2 && op <= 0xb5:
		s.blind(1, noFloat, scalar32.calm())
	case op >= 0xb7 && op <= 0xba:
		s.blind(1, noFloat, scalar64.calm())
	case op == 0x98, op == 0xa6, // copysign
		op >= 0x46 && op <= 0x4f, op >= 0x51 && op <= 0x5a, // comparisons
		op >= 0x6a && op <= 0x78, op >= 0x7c && op <= 0x8a: // integers
		s.observed(2, 1)
	default: // loads, and what has one operand
		s.observed(1, 1)
	}
}

func floatOf(single bool) lanes {
	if single {
		return scalar32
	}
	return scalar64
}

// misc follows an instruction behind 0xfc.
func (s *nanScan) misc() {
	switch sub := skipMisc(s.r); {
	case sub < miscMemoryInit: // saturating conversions
		s.blind(1, floatOf(sub&2 == 0), 0)
	case sub == miscDataDrop, sub == miscElemDrop:
	case sub == miscTableSize:
		s.push(value{})
	case sub == miscTableGrow:
		s.observed(2, 1)
	default:
		s.observed(3, 0)
	}
}

// vector follows a SIMD instruction. The prefix was read.
func (s *nanScan) vector(at int) {
	from := s.r.Pos()
	sub := skipVec(s.r)
	switch {
	case sub == 0x0c: // v128.const
		s.push(value{calm: vectorCalm(s.r.Since(from + 1))})
	case sub == 0x13, sub == 0x14: // splats of floats
		s.spread(at, vector32+lanes(sub-0x13))
	case sub == 0x1f, sub == 0x21: // lanes of floats
		s.narrow(at, sub)
	case sub == 0x20, sub == 0x22:
		s.replace(at, sub)
	case sub >= 0x41 && sub <= 0x4c: // comparisons of floats
		s.blind(2, vectorOf(sub < 0x47), 0)
	case sub == 0x5e: // demotion
		s.arithmetic(at, 1, vector64, vector32)
	case sub == 0x5f: // promotion
		s.arithmetic(at, 1, vector32, vector64)
	case sub >= 0x67 && sub <= 0x6a, sub == 0xe3:
		s.arithmetic(at, 1, vector32, vector32)
	case sub >= 0xe4 && sub <= 0xe9:
		s.arithmetic(at, 2, vector32, vector32)
	case sub == 0x74, sub == 0x75, sub == 0x7a, sub == 0x94, sub == 0xef:
		s.arithmetic(at, 1, vector64, vector64)
	case sub >= 0xf0 && sub <= 0xf5:
		s.arithmetic(at, 2, vector64, vector64)
	case sub == 0xf8, sub == 0xf9, sub == 0xfc, sub == 0xfd: // to integers
		s.blind(1, vectorOf(sub < 0xfc), 0)
	case sub == 0xfa, sub == 0xfb:
		s.blind(1, noFloat, vector32.calm())
	case sub == 0xfe, sub == 0xff:
		s.blind(1, noFloat, vector64.calm())
	default:
		pops, pushes := vectorOperands(sub)
		s.observed(pops, pushes)
	}
}

func vectorOf(single bool) lanes {
	if single {
		return vector32
	}
	return vector64
}

// spread follows a splat: what was computed once is computed in each lane.
func (s *nanScan) spread(at int, l lanes) {
	v := s.pop()
	switch {
	case v.computed != noFloat:
		s.push(value{at: at, computed: l})
	case v.calm&(l-2).calm() != 0:
		s.push(value{calm: l.calm()})
	default:
		s.push(value{})
	}
}

// narrow follows the reading of a lane as a float.
func (s *nanScan) narrow(at int, sub byte) {
	l := vector32
	if sub == 0x21 {
		l = vector64
	}
	v := s.pop()
	switch {
	case v.computed == l:
		s.push(value{at: at, computed: l - 2})
	case v.computed == noFloat && v.calm&l.calm() != 0:
		s.push(value{calm: (l - 2).calm()})
	default:
		s.observe(v)
		s.push(value{})
	}
}

// replace follows the writing of a float into a lane.
func (s *nanScan) replace(at int, sub byte) {
	l := vector32
	if sub == 0x22 {
		l = vector64
	}
	lane, v := s.pop(), s.pop()
	whole := v.computed != noFloat || lane.computed != noFloat
	switch {
	case whole && v.settled(l) && lane.settled(l-2):
		s.push(value{at: at, computed: l})
	case v.computed == noFloat && lane.computed == noFloat && v.settled(l) && lane.settled(l-2):
		s.push(value{calm: l.calm()})
	default:
		s.observe(lane)
		s.observe(v)
		s.push(value{})
	}
}

// vectorOperands is how many operands a SIMD instruction takes and gives.
func vectorOperands(sub byte) (pops, pushes int) {
	switch {
	case sub == 0x0b, sub >= 0x58 && sub <= 0x5b: // stores
		return 2, 0
	case sub == 0x52: // bitselect
		return 3, 1
	case sub <= 0x0a, sub >= 0x0f && sub <= 0x12, sub == 0x15, sub == 0x16, sub == 0x18, sub == 0x19, sub == 0x1b, sub == 0x1d,
		sub == 0x4d, sub == 0x53, sub == 0x5c, sub == 0x5d, sub >= 0x60 && sub <= 0x64, sub >= 0x7c && sub <= 0x81,
		sub == 0x83, sub == 0x84, sub >= 0x87 && sub <= 0x8a, sub == 0xa0, sub == 0xa1, sub == 0xa3, sub == 0xa4, sub >= 0xa7 && sub <= 0xaa,
		sub == 0xc0, sub == 0xc1, sub == 0xc3, sub == 0xc4, sub >= 0xc7 && sub <= 0xca, sub == 0xe0, sub == 0xe1, sub == 0xec, sub == 0xed:
		return 1, 1
	}
	return 2, 1
}
