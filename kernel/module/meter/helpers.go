package meter

import "inos/kernel/module/bin"

// The helpers do what memory.copy and memory.fill do, in chunks of BulkChunk
// with a return to the host before each. Both check the bounds of the
// whole operation first, so one that traps writes nothing, as specified.
//
// Parameters: 0 destination, 1 source or value, 2 length. Local 3 is the number
// of bytes of memory, i64.

func appendHelpers(out []byte, p *plan) []byte {
	for _, body := range [][]byte{copyHelper(p), fillHelper(p)} {
		out = append(bin.AppendU32(out, uint32(len(body))), body...)
	}
	return out
}

func bulkHelper(p *plan, op []byte, inBounds []byte, loop []byte) []byte {
	b := []byte{1, 1, typeI64}                                             // one local
	b = append(b, opMemorySize, 0, opI64ExtendU, opI64Const, 16, opI64Shl) // bytes of memory
	b = appendOps(b, opLocalSet, 3)
	b = append(b, inBounds...)
	b = append(b, opIf, blockVoid) // out of bounds: the plain instruction traps
	b = appendOps(b, opLocalGet, 0, opLocalGet, 1, opLocalGet, 2)
	b = append(append(b, op...), opReturn, opEnd)
	b = append(b, loop...)
	b = appendOps(b, opLocalGet, 0, opLocalGet, 1, opLocalGet, 2) // the last chunk
	return append(append(b, op...), opEnd)
}

// beyond leaves 1 when local start plus the length passes the memory's end.
func beyond(b []byte, start uint32) []byte {
	b = append(appendOps(b, opLocalGet, start), opI64ExtendU)
	b = append(appendOps(b, opLocalGet, 2), opI64ExtendU, opI64Add)
	return append(appendOps(b, opLocalGet, 3), opI64GtU)
}

// tick stores what the host grants.
func tick(b []byte, p *plan) []byte {
	b = append(appendOps(b, opGlobalGet, p.gas), opI32Const, ReasonSlice)
	return appendOps(b, opCall, p.slice, opGlobalSet, p.gas)
}

// longer begins "loop while the length exceeds a chunk"; the caller closes it
// with again.
func longer(b []byte) []byte {
	b = appendOps(append(b, opLoop, blockVoid), opLocalGet, 2)
	return append(chunk(b), opI32GtU, opIf, blockVoid)
}

func again(b []byte) []byte { return append(b, opBr, 1, opEnd, opEnd) }

func chunk(b []byte) []byte { return bin.AppendS64(append(b, opI32Const), BulkChunk) }

// step moves a local by a chunk.
func step(b []byte, local uint32, op byte) []byte {
	b = append(chunk(appendOps(b, opLocalGet, local)), op)
	return appendOps(b, opLocalSet, local)
}

func fillHelper(p *plan) []byte {
	op := []byte{opMisc, miscMemoryFill, 0}
	b := tick(longer(nil), p)
	b = append(chunk(appendOps(b, opLocalGet, 0, opLocalGet, 1)), op...)
	b = step(step(b, 0, opI32Add), 2, opI32Sub)
	return bulkHelper(p, op, beyond(nil, 0), again(b))
}

// copyHelper copies forward when the destination is not above the source, else
// backward, so overlapping areas come out right.
func copyHelper(p *plan) []byte {
	op := []byte{opMisc, miscMemoryCopy, 0, 0}
	b := appendOps(nil, opLocalGet, 0, opLocalGet, 1)
	b = append(b, opI32LeU, opIf, blockVoid)

	b = tick(longer(b), p)
	b = append(chunk(appendOps(b, opLocalGet, 0, opLocalGet, 1)), op...)
	b = again(step(step(step(b, 0, opI32Add), 1, opI32Add), 2, opI32Sub))

	b = append(b, opElse)
	b = step(tick(longer(b), p), 2, opI32Sub)
	for _, local := range []uint32{0, 1} {
		b = append(appendOps(b, opLocalGet, local, opLocalGet, 2), opI32Add)
	}
	b = again(append(chunk(b), op...))
	b = append(b, opEnd)
	return bulkHelper(p, op, append(beyond(beyond(nil, 0), 1), opI32Or), b)
}
