//go:build wasmtime && linux && cgo && (amd64 || arm64)

package wasmtime

// #include "machine.h"
import "C"

import (
	"fmt"
	"runtime/cgo"
	"strings"
	"unsafe"

	"inos/host/internal/machine"
	"inos/kernel/api"
)

// instance implements machine.Machine.
type instance struct {
	code    *code
	c       *C.machine_t
	token   cgo.Handle // of this instance, for C
	guest   any
	mem     machine.Memory
	globals []*global // that were asked for

	// stop is what the running call ends with, as soon as the guest can be
	// stopped. The first counts.
	stop error
	kept []uint64 // values of globals when memory.grow set stop; nil when it did not
}

func (c *code) Machine(guest any, mem machine.Memory) (machine.Machine, error) {
	in := &instance{code: c, guest: guest, mem: mem}
	in.token = cgo.NewHandle(in)
	in.c = C.inos_machine_new(c.engine.c, C.uintptr_t(in.token))
	if in.c == nil {
		in.token.Delete()
		return nil, api.Errorf("wasmtime.machine", api.Unavailable, "this node cannot get memory for the guest")
	}
	if err := in.outcome(C.inos_machine_start(in.c, c.pre)); err != nil {
		in.Close()
		return nil, err
	}
	return in, nil
}

func (in *instance) Close() {
	C.inos_machine_delete(in.c)
	in.token.Delete()
}

// export looks up what the instance exports.
func (in *instance) export(name string, kind C.uint8_t) (e C.wasmtime_extern_t, ok bool) {
	ok = bool(C.inos_export(in.c, chars(name), C.size_t(len(name)), &e))
	return e, ok && e.kind == kind
}

func (in *instance) Func(name string) machine.Func {
	e, ok := in.export(name, C.WASMTIME_EXTERN_FUNC)
	if !ok {
		return nil
	}
	return &function{in, *(*C.wasmtime_func_t)(unsafe.Pointer(&e.of)), len(in.code.exports[name])}
}

func (in *instance) Global(name string) machine.Global {
	e, ok := in.export(name, C.WASMTIME_EXTERN_GLOBAL)
	if !ok {
		return nil
	}
	g := &global{in: in, c: *(*C.wasmtime_global_t)(unsafe.Pointer(&e.of))}
	g.Get()
	in.globals = append(in.globals, g)
	return g
}

func (in *instance) Shrink(size uint64) bool {
	e, ok := in.export("memory", C.WASMTIME_EXTERN_MEMORY)
	return ok && uint64(C.inos_memory_grow(in.c, (*C.wasmtime_memory_t)(unsafe.Pointer(&e.of)))) == size
}

// outcome is the error of a call into the guest.
func (in *instance) outcome(rc C.int) error {
	if err := in.stop; err != nil {
		for i, v := range in.kept {
			in.globals[i].Set(v)
		}
		in.stop, in.kept = nil, nil
		return err
	}
	switch rc {
	case C.DONE:
		return nil
	case C.FAILED:
		return api.Errorf("wasmtime.call", api.Other, C.GoString(&in.c.text[0]))
	}
	if in.c.trap_code == stackOverflow {
		return machine.ErrStack
	}
	t := machine.Trap{Text: trapTexts[in.c.trap_code], Frames: strings.Fields(C.GoString(&in.c.frames[0]))}
	if t.Text == "" {
		t.Text, _, _ = strings.Cut(C.GoString(&in.c.text[0]), "\n")
	}
	return t
}

const stackOverflow = 0

// trapTexts are the words for traps, the same on every engine, by Wasmtime's
// code.
var trapTexts = map[C.uint8_t]string{
	1: "out of bounds memory access",
	3: "invalid table access",
	4: "invalid table access",
	5: "indirect call type mismatch",
	6: "integer overflow",
	7: "integer divide by zero",
	8: "invalid conversion to integer",
	9: "unreachable",
}

// halt keeps what a panic says.
func (in *instance) halt(r any) {
	if in.stop != nil {
		return
	}
	err, ok := r.(error)
	if !ok {
		err = fmt.Errorf("%v", r)
	}
	in.stop = err
}

type function struct {
	in    *instance
	c     C.wasmtime_func_t
	slots int // at least as many as there are parameters or results
}

// raw is a value as C passes it.
type raw = C.wasmtime_val_raw_t

func slot(v *raw) *uint64 { return (*uint64)(unsafe.Pointer(v)) }

func (f *function) Call(stack []uint64) error {
	c := f.in.c
	for i := range min(len(stack), C.SLOTS) {
		*slot(&c.slots[i]) = stack[i]
	}
	rc := C.inos_call(c, &f.c, C.size_t(min(f.slots, C.SLOTS)))
	for i := range min(len(stack), C.SLOTS) {
		stack[i] = *slot(&c.slots[i])
	}
	return f.in.outcome(rc)
}

type global struct {
	in   *instance
	c    C.wasmtime_global_t
	kind C.uint8_t
}

func (g *global) Get() uint64 {
	v := uint64(C.inos_global_get(g.in.c, &g.c, &g.kind))
	if g.kind == 0 || g.kind == 2 { // 32 bits
		v = uint64(uint32(v))
	}
	return v
}

func (g *global) Set(v uint64) { C.inos_global_set(g.in.c, &g.c, g.kind, C.uint64_t(v)) }
