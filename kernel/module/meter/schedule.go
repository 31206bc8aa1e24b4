package meter

// Version names this schedule and this rewriting. A change of any constant or
// rule below changes what a job costs, so it raises Version, which is part of
// every cache key and of docs/gas.md.
const Version = 3

// Rules of the schedule that are not per instruction.
const (
	// Slice is the gas between two returns to the host. It is small enough that
	// even a loop of cache misses (100 ns each) returns within a few milliseconds.
	Slice = 1 << 17

	BulkShift = 3    // memory.copy, fill and init: 1 gas per 8 bytes
	GasPage   = 1024 // memory.grow: per page of 64 KiB
	GasElem   = 1    // table.copy, fill, init and grow: per element

	// BulkChunk is the most one uninterrupted memory.copy or memory.fill moves.
	BulkChunk = 1 << 20

	// StackUnits bounds the logical depth of the call stack: the sum of
	// frameUnits over the functions entered and not left. It is the same on every
	// host, unlike the machine stack that it stands for.
	StackUnits = 1 << 18

	// MaxTable bounds the elements of one table.
	MaxTable = 1_000_000
)

// frameUnits is what a function that calls others counts against StackUnits: a
// fixed part, its parameters and locals, and its code size, which bounds the
// values an engine may have to spill.
func frameUnits(locals, bodyBytes int) int { return 8 + locals + bodyBytes/8 }

// Costs of instructions in gas. One unit is about the time of one addition;
// what an optimizing compiler makes disappear (constants, locals, labels) is
// free. Everything not named here costs 1.
const (
	costFree     = 0
	costOp       = 1
	costBranch   = 1
	costTable    = 3  // br_table
	costCall     = 6  // call, and the callee's frame
	costIndirect = 10 // call_indirect: and the type check
	costDiv32    = 8
	costDiv64    = 12
	costFdiv     = 6 // float division and square root
	costFcall    = 4 // float rounding, min, max, conversions
	costBulk     = 8 // bulk instructions, before their length
	costGrow     = 200
	costVec      = 1
	costAtomic   = 8
	costWait     = Slice / 4 // memory.atomic.wait: so that the host hears from a waiter every fourth time
	costVecHeavy = 6         // lane-wise division, square root, conversions
)

// opCost is the price of a one-byte opcode.
func opCost(op byte) int64 {
	switch {
	case op == opBrTable:
		return costTable
	case op == opCall:
		return costCall
	case op == opCallIndirect:
		return costIndirect
	case op == opMemoryGrow:
		return costGrow
	case op == opBr, op == opBrIf, op == opIf, op == opLoop:
		return costBranch
	case op < 0x10, op == 0x1a, op >= 0x20 && op <= 0x22, op >= 0x41 && op <= 0x44:
		return costFree // structure, drop, locals, constants
	case op >= 0x6d && op <= 0x70:
		return costDiv32
	case op >= 0x7f && op <= 0x82:
		return costDiv64
	case op == 0x91, op == 0x95, op == 0x9f, op == 0xa3:
		return costFdiv
	case op >= 0x8d && op <= 0x90, op == 0x96, op == 0x97, op >= 0x9b && op <= 0x9e,
		op == 0xa4, op == 0xa5, op >= 0xa8 && op <= 0xab, op >= 0xae && op <= 0xbb:
		return costFcall
	}
	return costOp
}

// vecCost is the price of a SIMD instruction.
func vecCost(sub byte) int64 {
	switch sub {
	case 0x0c: // v128.const
		return costFree
	case 0xe3, 0xe7, 0xef, 0xf3, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff, 0x62, 0xd5:
		return costVecHeavy
	}
	return costVec
}

// miscCost is the price of an instruction behind 0xfc, without its length.
func miscCost(sub byte) int64 {
	switch {
	case sub < miscMemoryInit:
		return costFcall
	case sub == miscTableSize, sub == miscDataDrop, sub == miscElemDrop:
		return costOp
	}
	return costBulk
}
