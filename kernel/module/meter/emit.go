package meter

import "inos/kernel/module/bin"

// appendOps appends pairs of opcode and unsigned immediate.
func appendOps(b []byte, pairs ...uint32) []byte {
	for i := 0; i+1 < len(pairs); i += 2 {
		b = bin.AppendU32(append(b, byte(pairs[i])), pairs[i+1])
	}
	return b
}

// charge takes the run's cost from the gas local and, where the run is checked,
// asks for the next slice when the last is used up.
func (f *function) charge() {
	switch f.check {
	case checkHead:
		f.out = append(f.ask(append(f.spent(f.out), opIf, blockVoid), ReasonSlice), opEnd)
	case checkNest:
		f.out = appendOps(f.spent(f.out), opBrIf, 1)
	}
	b := appendOps(f.out, opLocalGet, f.gas)
	b = append(bin.AppendS64(append(b, opI64Const), f.cost), opI64Sub)
	f.out = appendOps(b, opLocalSet, f.gas)
	if f.check == checkEntry {
		f.out = append(f.ask(append(f.spent(f.out), opIf, blockVoid), ReasonSlice), opEnd)
	}
}

// canonize makes every NaN of the value on top of the stack the canonical one:
// what equals itself stays. It costs no gas: which instructions need it depends on
// the module alone, and their price covers it.
func (f *function) canonize(l lanes) {
	t := f.scratch[scratch(l)]
	b := appendOps(f.seg, opLocalTee, t)
	switch l {
	case scalar32:
		b = append(b, opF32Const, 0, 0, 0xc0, 0x7f)
	case scalar64:
		b = append(b, opF64Const, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f)
	case vector32:
		b = append(b, opVec, vecConst)
		b = append(b, 0, 0, 0xc0, 0x7f, 0, 0, 0xc0, 0x7f, 0, 0, 0xc0, 0x7f, 0, 0, 0xc0, 0x7f)
	case vector64:
		b = append(b, opVec, vecConst)
		b = append(b, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f)
	}
	b = appendOps(b, opLocalGet, t, opLocalGet, t)
	switch l {
	case scalar32:
		b = append(b, opF32Eq, opSelect)
	case scalar64:
		b = append(b, opF64Eq, opSelect)
	case vector32:
		b = append(b, opVec, vecF32x4Eq, opVec, vecBitselect)
	case vector64:
		b = append(b, opVec, vecF64x2Eq, opVec, vecBitselect)
	}
	f.seg = b
}

// spent leaves 1 when the slice is used up.
func (f *function) spent(b []byte) []byte {
	return append(appendOps(b, opLocalGet, f.gas), opI64Const, 0, opI64LtS)
}

// ask calls the host with the gas left and takes the gas it grants.
func (f *function) ask(b []byte, reason byte) []byte {
	b = append(appendOps(b, opLocalGet, f.gas), opI32Const, reason)
	return appendOps(b, opCall, f.p.slice, opLocalSet, f.gas)
}

// save and load move the gas between the local and the global, around whatever
// else may read or change it.
func (f *function) save() { f.seg = appendOps(f.seg, opLocalGet, f.gas, opGlobalSet, f.p.gas) }
func (f *function) load() { f.seg = appendOps(f.seg, opGlobalGet, f.p.gas, opLocalSet, f.gas) }

func (f *function) enter(units int) {
	b := appendOps(f.out, opGlobalGet, f.p.depth)
	b = append(bin.AppendS64(append(b, opI32Const), int64(units)), opI32Add)
	b = appendOps(b, opLocalTee, f.tmp, opGlobalSet, f.p.depth, opLocalGet, f.tmp)
	b = append(bin.AppendS64(append(b, opI32Const), StackUnits), opI32GtU, opIf, blockVoid)
	f.out = append(f.ask(b, ReasonStack), opEnd)
}

func (f *function) leave(units int) {
	b := appendOps(f.out, opGlobalGet, f.p.depth)
	b = append(bin.AppendS64(append(b, opI32Const), int64(units)), opI32Sub)
	f.out = appendOps(b, opGlobalSet, f.p.depth)
}

func (f *function) call(op byte) {
	f.save()
	if op == opCall {
		f.seg = bin.AppendU32(append(f.seg, op), f.m.moved(f.r, f.r.U32()))
	} else {
		start := f.r.Pos()
		if f.r.U32() >= uint32(len(f.m.types)) {
			f.r.Fail("an indirect call names a type that does not exist")
		}
		f.r.U32()
		f.seg = append(append(f.seg, op), f.r.Since(start)...)
	}
	f.load()
}

// chargeOperand keeps the i32 on top of the stack and charges for it: shifted
// right by shift, then times each.
func (f *function) chargeOperand(shift, each int64) {
	b := appendOps(f.seg, opLocalTee, f.tmp, opLocalGet, f.gas, opLocalGet, f.tmp)
	b = append(b, opI64ExtendU)
	if shift > 0 {
		b = append(bin.AppendS64(append(b, opI64Const), shift), opI64ShrU)
	}
	if each > 1 {
		b = append(bin.AppendS64(append(b, opI64Const), each), opI64Mul)
	}
	f.seg = appendOps(append(b, opI64Sub), opLocalSet, f.gas)
}

// grow charges for the pages and stores the gas, because the host's allocator
// may end the call there.
func (f *function) grow() {
	skipImmediates(f.r, opMemoryGrow)
	f.chargeOperand(0, GasPage)
	f.save()
	if f.m.options.Browser && f.m.memories > 0 {
		f.seg = appendOps(f.seg, opCall, f.p.grow)
		return
	}
	f.seg = append(f.seg, opMemoryGrow, 0)
}

func (f *function) misc(start int) {
	sub := skipMisc(f.r)
	if f.r.Err() != nil {
		return
	}
	f.cost += miscCost(sub) - costOp
	switch sub {
	case miscMemoryCopy, miscMemoryFill:
		f.bulk(sub, start)
		return
	case miscMemoryInit:
		f.chargeOperand(BulkShift, 1)
	case miscTableGrow:
		f.chargeOperand(0, GasElem)
		f.tableLimit(start)
		f.m.info.Sticky = true
	case miscTableInit, miscTableCopy, miscTableFill:
		f.chargeOperand(0, GasElem)
		f.m.info.Sticky = true
	case miscDataDrop, miscElemDrop:
		f.m.info.Sticky = true
	}
	f.copied(start)
}

// bulk sends long copies and fills through the chunked helpers.
func (f *function) bulk(sub byte, start int) {
	if f.m.memories == 0 {
		f.r.Fail("a function copies memory but the module has none")
		return
	}
	helper := f.p.copy
	if sub == miscMemoryFill {
		helper = f.p.fill
	}
	f.chargeOperand(BulkShift, 1)
	f.seg = appendOps(f.seg, opLocalGet, f.tmp)
	f.seg = append(bin.AppendS64(append(f.seg, opI32Const), BulkChunk), opI32GtU, opIf)
	f.seg = bin.AppendS64(f.seg, int64(f.p.typeBulk))
	f.save()
	f.seg = appendOps(f.seg, opCall, helper)
	f.load()
	f.seg = append(f.seg, opElse)
	f.copied(start)
	f.seg = append(f.seg, opEnd)
}

// tableLimit asks the host to stop the guest when tmp more elements would make
// the table pass MaxTable.
func (f *function) tableLimit(start int) {
	r := bin.NewReader(f.r.Since(start + 2))
	table := r.U32()
	b := append(appendOps(f.seg, opLocalGet, f.tmp), opI64ExtendU)
	b = append(bin.AppendU32(append(b, opMisc, miscTableSize), table), opI64ExtendU, opI64Add)
	b = append(bin.AppendS64(append(b, opI64Const), MaxTable), opI64GtU, opIf, blockVoid)
	f.seg = append(f.ask(b, ReasonTable), opEnd)
}

// atomic copies an atomic instruction, and shortens a wait to MaxWait. Negative
// timeouts, which mean for ever, are large when compared without sign. A wait costs
// far more than its work, since one that waits again and again would otherwise be
// stopped only after a minute.
func (f *function) atomic(start int) {
	if !f.m.info.Shared {
		f.r.Fail("a function uses an atomic instruction on a memory that is not shared (threads are not available to guests)")
		return
	}
	sub := skipAtomic(f.r)
	f.cost += costAtomic - costOp
	if sub == atomicWait32 || sub == atomicWait64 {
		f.cost += costWait - costAtomic
		limit := bin.AppendS64([]byte{opI64Const}, MaxWait)
		b := append(appendOps(f.seg, opLocalTee, f.wait), limit...)
		b = append(appendOps(b, opLocalGet, f.wait), limit...)
		f.seg = append(b, opI64LtU, opSelect)
	}
	f.copied(start)
}
