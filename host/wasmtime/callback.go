//go:build wasmtime && linux && cgo && (amd64 || arm64)

package wasmtime

// #include "machine.h"
import "C"

import (
	"runtime/cgo"
	"unsafe"
)

// What C calls. Each returns 1, or 0 when the guest is to be stopped, and lets no
// panic through.

func machineOf(token C.uintptr_t) *instance { return cgo.Handle(token).Value().(*instance) }

// maxStackSlots bounds the parameters that a host function sees. Those of more
// parameters, which are none of ours, look at none beyond.
const maxStackSlots = 16

//export inosServe
func inosServe(token, fn C.uintptr_t, slots *C.wasmtime_val_raw_t, n C.size_t) (more C.int) {
	in := machineOf(token)
	if in.stop != nil {
		return 0
	}
	defer func() {
		if r := recover(); r != nil {
			in.halt(r)
			more = 0
		}
	}()
	f := &in.code.funcs[fn]
	values := unsafe.Slice(slots, n)
	var stack [maxStackSlots]uint64
	for i := range min(len(values), maxStackSlots) {
		stack[i] = *slot(&values[i])
		if i < len(f.t) && (f.t[i] == 'i' || f.t[i] == 'f') {
			stack[i] = uint64(uint32(stack[i]))
		}
	}
	f.serve(in.guest, stack[:])
	if len(values) > 0 {
		*slot(&values[0]) = stack[0]
	}
	return 1
}

//export inosReserve
func inosReserve(token C.uintptr_t, m *C.machine_t, minimum, reservation, guard C.size_t) (ok C.int) {
	in := machineOf(token)
	defer func() {
		if r := recover(); r != nil {
			in.halt(r)
			ok = 0
		}
	}()
	in.mem.Reserve(uint64(reservation), uint64(guard))
	in.show(m, uint64(minimum))
	return 1
}

//export inosGrow
func inosGrow(token C.uintptr_t, m *C.machine_t, size C.size_t) (ok C.int) {
	in := machineOf(token)
	if in.stop != nil {
		return 0
	}
	defer func() {
		if r := recover(); r != nil {
			for _, g := range in.globals {
				in.kept = append(in.kept, g.Get())
			}
			in.halt(r)
			ok = 0
		}
	}()
	in.show(m, uint64(size))
	return 1
}

// show asks for memory and tells C where it is.
func (in *instance) show(m *C.machine_t, size uint64) {
	b := in.mem.Reallocate(size)
	m.mem, m.mem_size = (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(b))), C.size_t(len(b))
}
