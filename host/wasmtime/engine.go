//go:build wasmtime && linux && cgo && (amd64 || arm64)

package wasmtime

// #include <stdlib.h>
// #include "machine.h"
import "C"

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unsafe"

	_ "github.com/bytecodealliance/wasmtime-go/v39" // brings the library to link with
	"github.com/zeebo/blake3"
	"golang.org/x/sys/cpu"

	"inos/host/internal/machine"
	"inos/kernel/api"
)

// Available reports whether this binary has Wasmtime.
const Available = true

const (
	// maxStack is the most that a guest takes of a machine's stack. The meter
	// allows StackUnits, each of which stands for at most 64 bytes of what an
	// engine may have to keep; machine.c gives threads more than this.
	maxStack = 24 << 20

	// reservation and guard let code reach any 32-bit address, with an offset that
	// an instruction adds, without checking it: what is not memory faults.
	reservation = 4 << 30
	guard       = 32 << 20

	codeFile = "code" // in the folder of a module's code
)

type engine struct{ c *C.wasm_engine_t }

// Engine returns the process's Wasmtime. It is made when it is first asked for
// and stays.
var Engine = sync.OnceValues(func() (machine.Engine, error) {
	c := C.inos_engine(maxStack, reservation, guard)
	if c == nil {
		return nil, api.Errorf("wasmtime.engine", api.Unsupported, "Wasmtime does not start on this machine; use --engine wazero")
	}
	return &engine{c}, nil
})

func (e *engine) Name() string { return "wasmtime" }

// Key has the features of the CPU, which decide what code is made.
func (e *engine) Key() string {
	sum := blake3.Sum256(fmt.Appendf(nil, "%+v %+v", cpu.X86, cpu.ARM64))
	return "wasmtime-" + machine.Version("github.com/bytecodealliance/wasmtime-go/v39") + "-" + hex.EncodeToString(sum[:6])
}

// text is where C writes what went wrong.
type text [C.TEXT]C.char

func (t *text) String() string { return C.GoString(&t[0]) }

func (e *engine) Compile(metered []byte, dir string, link machine.Link) (machine.Code, error) {
	imports, exports, err := types(metered)
	if err != nil {
		return nil, err
	}
	c := &code{engine: e, exports: exports}
	if err := e.module(c, metered, dir); err != nil {
		c.Close()
		return nil, err
	}
	if err := c.link(imports, link); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// module loads code from dir or compiles it and leaves it there. A disk that
// cannot be written costs speed, not the call.
func (e *engine) module(c *code, metered []byte, dir string) error {
	var why text
	path := filepath.Join(dir, codeFile)
	if dir != "" {
		if _, err := os.Stat(path); err == nil {
			p := C.CString(path)
			defer C.free(unsafe.Pointer(p))
			if C.inos_reload(e.c, p, &c.module, &why[0]) != C.DONE {
				return api.Errorf("wasmtime.reload", api.Corrupt, "the compiled code is not usable: "+why.String())
			}
			return nil
		}
	}
	wasm := (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(metered)))
	if C.inos_compile(e.c, wasm, C.size_t(len(metered)), &c.module, &why[0]) != C.DONE {
		first, _, _ := strings.Cut(why.String(), "\n")
		return api.Errorf("wasmtime.compile", api.Invalid, "the module is not valid WebAssembly 2.0: "+first)
	}
	if dir == "" {
		return nil
	}
	var made C.wasm_byte_vec_t
	if C.inos_serialize(c.module, &made, &why[0]) != C.DONE {
		return nil
	}
	defer C.wasm_byte_vec_delete(&made)
	_ = save(path, unsafe.Slice((*byte)(unsafe.Pointer(made.data)), int(made.size)))
	return nil
}

// save writes a file that only the owner can read.
func save(path string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// code implements machine.Code. It is not changed once made.
type code struct {
	engine  *engine
	module  *C.wasmtime_module_t
	pre     *C.wasmtime_instance_pre_t
	funcs   []linked // what guests import, by the index that C passes back
	exports map[string]machine.Type
}

type linked struct {
	serve machine.HostFunc
	t     machine.Type
}

func (c *code) link(imports []imported, link machine.Link) error {
	l := C.wasmtime_linker_new(c.engine.c)
	defer C.wasmtime_linker_delete(l)
	C.wasmtime_linker_allow_shadowing(l, true) // two imports may name one function
	var why text
	for i, im := range imports {
		f, err := link(im.module, im.name, im.t)
		if err != nil {
			return err
		}
		c.funcs = append(c.funcs, linked{f, im.t})
		if C.inos_link(l, c.module, C.size_t(i), chars(im.module), C.size_t(len(im.module)), chars(im.name), C.size_t(len(im.name)), C.uintptr_t(i), &why[0]) != C.DONE {
			return api.Errorf("wasmtime.link", api.Other, why.String())
		}
	}
	if C.inos_prepare(l, c.module, &c.pre, &why[0]) != C.DONE {
		first, _, _ := strings.Cut(why.String(), "\n")
		return api.Errorf("wasmtime.link", api.Invalid, "the module cannot be linked: "+first)
	}
	return nil
}

// chars passes a string's bytes, which C does not keep.
func chars(s string) *C.char { return (*C.char)(unsafe.Pointer(unsafe.StringData(s))) }

func (c *code) Exports() map[string]machine.Type { return c.exports }

func (c *code) Close() {
	if c.pre != nil {
		C.wasmtime_instance_pre_delete(c.pre)
		c.pre = nil
	}
	if c.module != nil {
		C.wasmtime_module_delete(c.module)
		c.module = nil
	}
}
