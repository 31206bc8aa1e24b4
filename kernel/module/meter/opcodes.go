package meter

import "inos/kernel/module/bin"

// Opcodes that the rewriting looks at or writes.
const (
	opUnreachable  = 0x00
	opBlock        = 0x02
	opLoop         = 0x03
	opIf           = 0x04
	opElse         = 0x05
	opEnd          = 0x0b
	opBr           = 0x0c
	opBrIf         = 0x0d
	opBrTable      = 0x0e
	opReturn       = 0x0f
	opCall         = 0x10
	opCallIndirect = 0x11
	opSelectT      = 0x1c
	opLocalGet     = 0x20
	opLocalSet     = 0x21
	opLocalTee     = 0x22
	opGlobalGet    = 0x23
	opGlobalSet    = 0x24
	opTableGet     = 0x25
	opTableSet     = 0x26
	opMemorySize   = 0x3f
	opMemoryGrow   = 0x40
	opI32Const     = 0x41
	opI64Const     = 0x42
	opF32Const     = 0x43
	opF64Const     = 0x44
	opI32GtU       = 0x4b
	opI32LeU       = 0x4d
	opI64LtS       = 0x53
	opI64GtU       = 0x56
	opI32Add       = 0x6a
	opI32Sub       = 0x6b
	opI32Or        = 0x72
	opI64Add       = 0x7c
	opI64Sub       = 0x7d
	opI64Mul       = 0x7e
	opI64Shl       = 0x86
	opI64ShrU      = 0x88
	opI64ExtendU   = 0xad
	opRefNull      = 0xd0
	opRefFunc      = 0xd2
	opMisc         = 0xfc
	opVec          = 0xfd
	opAtomic       = 0xfe
	opSelect       = 0x1b
	opF32Eq        = 0x5b
	opF64Eq        = 0x61
	opI64LtU       = 0x54

	atomicWait32 = 0x01
	atomicWait64 = 0x02
	atomicFence  = 0x03

	vecConst     = 0x0c
	vecF32x4Eq   = 0x41
	vecF64x2Eq   = 0x47
	vecBitselect = 0x52

	miscMemoryInit = 8
	miscDataDrop   = 9
	miscMemoryCopy = 10
	miscMemoryFill = 11
	miscTableInit  = 12
	miscElemDrop   = 13
	miscTableCopy  = 14
	miscTableGrow  = 15
	miscTableSize  = 16
	miscTableFill  = 17

	typeF64   = 0x7c
	typeF32   = 0x7d
	typeI32   = 0x7f
	typeI64   = 0x7e
	typeV128  = 0x7b
	typeFunc  = 0x60
	blockVoid = 0x40
)

func isValueType(b byte) bool { return b >= typeV128 && b <= typeI32 || isRefType(b) }
func isRefType(b byte) bool   { return b == 0x70 || b == 0x6f }

// skipImmediates passes over what follows the one-byte opcode op, for every
// instruction that the rewriting copies without looking inside. It accepts one
// spelling of each, so that no two readers of the same bytes can disagree.
func skipImmediates(r *bin.Reader, op byte) {
	switch {
	case op == 0x00, op == 0x01, op == 0x1a, op == 0x1b, op >= 0x45 && op <= 0xc4, op == 0xd1:
	case op == opSelectT:
		if r.Byte() != 1 || !isValueType(r.Byte()) {
			r.Fail("select names other than one value type")
		}
	case op >= 0x28 && op <= 0x3e: // loads and stores
		r.U32()
		r.U32()
	case op == opMemorySize, op == opMemoryGrow:
		zero(r)
	case op == opI32Const:
		r.SkipLEB(5)
	case op == opI64Const:
		r.SkipLEB(10)
	case op == opF32Const:
		r.Bytes(4)
	case op == opF64Const:
		r.Bytes(8)
	case op == opTableGet, op == opTableSet:
		r.U32()
	case op == opRefNull:
		if !isRefType(r.Byte()) {
			r.Fail("ref.null names no reference type")
		}
	default:
		r.Fail("a function uses an instruction outside WebAssembly 2.0 (threads, tail calls and exceptions are not available)")
	}
}

// skipVec passes over a SIMD instruction after its prefix and returns its
// number. Numbers from 128 have two bytes.
func skipVec(r *bin.Reader) byte {
	sub := r.Byte()
	if sub >= 0x80 && r.Byte() != 0x01 {
		r.Fail("a function uses a SIMD instruction outside WebAssembly 2.0")
	}
	switch {
	case sub <= 0x0b, sub == 0x5c, sub == 0x5d:
		r.U32()
		r.U32()
	case sub == 0x0c, sub == 0x0d:
		r.Bytes(16)
	case sub >= 0x15 && sub <= 0x22:
		r.Byte()
	case sub >= 0x54 && sub <= 0x5b:
		r.U32()
		r.U32()
		r.Byte()
	}
	return sub
}

// skipAtomic passes over an atomic instruction after its prefix and returns its
// number.
//
// Source: WebAssembly threads proposal, "Binary format".
func skipAtomic(r *bin.Reader) byte {
	sub := r.Byte()
	switch {
	case sub == atomicFence:
		if r.Byte() != 0 {
			r.Fail("a fence is not the one that there is")
		}
	case sub < atomicFence, sub >= 0x10 && sub <= 0x4e:
		r.U32()
		r.U32()
	default:
		r.Fail("a function uses an unknown atomic instruction")
	}
	return sub
}

func zero(r *bin.Reader) {
	if r.Byte() != 0 {
		r.Fail("a memory index is not zero; a module has one memory")
	}
}
